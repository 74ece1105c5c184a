#!/usr/bin/env python3
"""make bench: measures Indelible beside nginx, the disk, PostgreSQL and SQLite in one run and writes docs/benchmarks.md.

    bench/run.py [--events 2000000] [--small 200000] [--quick] [--only server,small,nginx,fdatasync,postgres,sqlite] [--keep]

Promises to stop and delete what it started, also on error; generated events stay in the scratch folder for the next run.
Never writes docs/benchmarks.md for a partial or a quick run.
"""
import argparse
import datetime
import json
import shutil
import subprocess

import measure
import peers
import report
from common import REPO, Cleanup, install, machine, say, scratch, status_bytes, versions
from generate import LOGIN, RARE_ACTOR, SEARCH_WORD, STEP, Events
from server import Server, binary

PARTS = ("server", "small", "nginx", "fdatasync", "postgres", "sqlite")


def single_facts(events, count):
    """What the events posted one by one add to the generator's counts: they are its first lines, again and again."""
    added = {"rows": count, "login": 0, "search": 0, "rare_actor": 0}
    with open(events.path, "rb") as source:
        lines = [json.loads(source.readline()) for _ in range(2000)]
    for i in range(count):
        event = lines[i % len(lines)]
        added["login"] += event["action"] == LOGIN
        added["search"] += SEARCH_WORD in event["target"]["meta"]["name"].lower()
        added["rare_actor"] += event["actor"]["id"] == RARE_ACTOR
    return added


def measure_server(result, folder, events, cleanup, keep):
    """Load, seal, restart, measure."""
    server = Server(folder, "large", cleanup)
    server.keep = keep
    server.start()
    result["bulk"] = measure.load(server, events)
    result["singles"] = measure.singles(server, events)
    # The clients take the lines in turn, 1 client first: each run starts at line 0.
    extra = {}
    for figure in result["singles"].values():
        for name, value in single_facts(events, figure["events"]).items():
            extra[name] = extra.get(name, 0) + value
    result["stored"] = events.total + extra["rows"]
    say("sealing")
    result["times"] = server.seal_and_restart()
    result["times"]["rss"] = status_bytes(server.pid, "VmRSS")
    result["disk"] = server.disk()
    result["pages"] = measure.pages(server, events, extra)
    result["exports"] = measure.exports(server, events, extra, folder, keep=("ndjson", "zstd"))
    server.stop()


def measure_small(folder, total, cleanup):
    """Peak memory of the full exports of a small store."""
    events = Events(folder, total).ensure()
    server = Server(folder, "small", cleanup)
    server.start()
    measure.load(server, events)
    server.seal_and_restart()
    aside = folder / "small"
    cleanup.callback(shutil.rmtree, aside, ignore_errors=True)
    aside.mkdir(exist_ok=True)
    found = measure.exports(server, events, {}, aside, names=measure.FULL)
    server.stop()
    return {"events": total, "exports": found}


def main():
    """Run the parts in order and report."""
    parser = argparse.ArgumentParser(description="Measure Indelible beside its peers in one run.")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--small", type=int, default=200_000, help="events of the store that memory is compared with")
    parser.add_argument("--quick", action="store_true", help="100,000 and 20,000 events; about two minutes")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma separated: " + ", ".join(PARTS))
    parser.add_argument("--keep", action="store_true", help="leave the data directory and the exports in the scratch folder")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if set(wanted) - set(PARTS):
        parser.error(f"--only knows {', '.join(PARTS)}")
    if options.quick:
        options.events, options.small = 100_000, 20_000
    if min(options.events, options.small) < 10 * STEP:
        parser.error(f"at least {10 * STEP} events")
    install(("nginx", "initdb", "psql", "sqlite3", "zstd", "curl"))
    folder = scratch()
    say(f"scratch folder {folder}: generating {options.events:,} events unless they are there")
    events = Events(folder, options.events).ensure()
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=False).stdout.split()[-1:] if {"server", "small"} & set(wanted) else []
    result = {"events": events.total, "facts": events.facts, "date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
              "machine": machine(), "versions": versions(), "version": (version or ["(not measured)"])[0]}
    ingest_events = min(events.total, 400_000)
    files = {name: folder / f"export.{name}" for name in ("ndjson", "zstd")}
    with Cleanup() as cleanup:
        if not options.keep:
            for path in files.values():
                cleanup.callback(path.unlink, missing_ok=True)
        if "fdatasync" in wanted:
            result["fdatasync"] = {"4 KiB": peers.fdatasync(folder, 4096), "700 KB (1,000 events)": peers.fdatasync(folder, 700_000)}
        if "server" in wanted:
            measure_server(result, folder, events, cleanup, options.keep)
        if "small" in wanted:
            result["small"] = measure_small(folder, options.small, cleanup)
        if "nginx" in wanted and "server" in wanted:
            say("nginx")
            result["nginx"] = peers.nginx(folder, files, cleanup)
        if "postgres" in wanted:
            say("PostgreSQL")
            result["postgres"] = peers.postgres(folder, events, ingest_events, cleanup)
        if "sqlite" in wanted:
            say("SQLite")
            result["sqlite"] = peers.sqlite(folder, events, ingest_events, cleanup)
    text = report.document(result)
    (folder / "result.json").write_text(json.dumps(result, indent=1))
    print("\n" + text)
    if options.quick or set(wanted) != set(PARTS):
        say("docs/benchmarks.md is left as it is: this was not a full run")
    else:
        target = REPO / "docs" / "benchmarks.md"
        target.write_text(text)
        say(f"written to {target}")


if __name__ == "__main__":
    main()
