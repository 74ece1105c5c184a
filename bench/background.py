#!/usr/bin/env python3
"""What an export by a task costs beside the same export as a stream, in CPU seconds of the server.

    bench/background.py [--events 2000000] [--rounds 3]

The stream's client reads from the loopback and throws away; the task hashes what it writes to a file, and syncs that. All take turns on one sealed store.
A stream that is asked for trailers hashes too. The exit code is 1 when a task costs more than 1.3 times the stream without them.
"""
import argparse
import json
import statistics
import sys
import time

from common import Cleanup, cpu_seconds, curl, say, scratch, status_bytes
from generate import Events
from ingest import bulk
from server import AUTH, KEY, Server

GOAL = 1.3
# What is compared: the stream's query and headers, and the parameters of the task.
FORMS = {
    "NDJSON": ("format=ndjson", (), {"format": "ndjson"}),
    "NDJSON, zstd (passed through)": ("format=ndjson", ("Accept-Encoding: zstd",), {"format": "ndjson", "compression": "zstd"}),
    "NDJSON, gzip": ("format=ndjson", ("Accept-Encoding: gzip",), {"format": "ndjson", "compression": "gzip"}),
    "JSON": ("format=json", (), {"format": "json"}),
    "Parquet": ("format=parquet", (), {"format": "parquet"}),
}


def ask(server, method, path, body=None):
    """The JSON of an answer."""
    link = server.connect()
    link.request(method, path, body=None if body is None else json.dumps(body), headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
    answer = link.getresponse()
    text = answer.read()
    link.close()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
    return json.loads(text) if text else None


def task(server, parameters, rows):
    """One export by a task, deleted afterwards; its bytes."""
    export = ask(server, "POST", "/v1/exports", {"exported_object": "event", "parameters": parameters})["id"]
    while (seen := ask(server, "GET", f"/v1/exports/{export}"))["state"] in ("queued", "running"):
        time.sleep(0.2)
    if seen["state"] != "finished" or seen["rows"] != rows:
        raise SystemExit(f"the export is {seen}")
    ask(server, "DELETE", f"/v1/exports/{export}")
    return seen["size"]


def timed(server, work):
    """CPU seconds of the server and wall seconds."""
    cpu, wall = cpu_seconds(server.pid), time.monotonic()
    work()
    return cpu_seconds(server.pid) - cpu, time.monotonic() - wall


def main():
    """All forms, and a verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    folder = scratch()
    events = Events(folder, args.events).ensure()
    missed = False
    with Cleanup() as cleanup:
        server = Server(folder, "background", cleanup)
        server.start()
        say(f"load {args.events} events")
        bulk(server.url, events, events.bodies(0, events.total, 10_000), 2)
        server.seal_and_restart()
        print(f"\n{'':32}{'stream CPU s':>14}{'with digest':>13}{'task CPU s':>12}{'ratio':>8}{'to digest':>11}{'stream s':>10}{'task s':>8}")
        for name, (query, headers, parameters) in FORMS.items():
            took = {"stream": [], "digest": [], "task": []}
            for turn in range(args.rounds + 1):
                stream = timed(server, lambda: curl(f"{server.url}/v1/events/export?{query}", (AUTH, *headers)))
                digest = timed(server, lambda: curl(f"{server.url}/v1/events/export?{query}", (AUTH, "TE: trailers", *headers)))
                made = timed(server, lambda: task(server, parameters, args.events))
                if turn:
                    took["stream"].append(stream)
                    took["digest"].append(digest)
                    took["task"].append(made)
            (s, sw), (d, _), (t, tw) = ([statistics.median(x) for x in zip(*took[kind])] for kind in ("stream", "digest", "task"))
            missed |= t / s > GOAL
            print(f"{name:32}{s:14.2f}{d:13.2f}{t:12.2f}{t / s:8.2f}{t / d:11.2f}{sw:10.2f}{tw:8.2f}", flush=True)
        print(f"peak memory {status_bytes(server.pid, 'VmHWM') >> 20} MiB")
    print(f"{'MISSED' if missed else 'met   '} a task costs at most {GOAL} times its stream")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
