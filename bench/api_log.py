#!/usr/bin/env python3
"""What the API log and the check of credentials cost, in CPU seconds of the server.

    bench/api_log.py [--events 400000] [--requests 4000] [--rounds 5]

1. bulk ingest, bodies of a thousand events: the API log off, on (as it is by default), and with every ingest request recorded
2. small requests over one connection: a page of one event, the API log off and on: CPU and latency of one request
3. a request that is refused after its credential was checked, beside one that is refused before: the check's share of bulk ingest
Servers take turns, so that what else the machine does falls on all of them alike. The exit code is 1 when a goal is missed.
"""
import argparse
import statistics
import sys
import time

from common import Cleanup, cpu_seconds, quantile, say, scratch
from generate import Events
from ingest import bulk, open_socket, receive
from server import KEY, Server

OFF, ON, ALL = {"INDELIBLE_API_LOG": "no"}, {}, {"INDELIBLE_API_LOG_INGEST": "yes"}
# Sealing would fall on one round and not on another.
QUIET = {"INDELIBLE_SEAL_BYTES": "4GiB", "INDELIBLE_MERGE_BATCHES": "100000"}
BODY_EVENTS, BULK_GOAL, SMALL_GOAL = 1000, 0.10, 1e-3
PAGE, REFUSED, NOWHERE = "/v1/events?per_page=1", "/v1/events?nonsense=1", "/nowhere"
SETTLED = 1.5


def spent(server, work):
    """CPU seconds of the server for `work`, with what it does soon afterwards."""
    before = cpu_seconds(server.pid)
    result = work()
    time.sleep(SETTLED)
    return cpu_seconds(server.pid) - before, result


def ask(server, target, count):
    """Latencies of `count` requests over one connection."""
    request = f"GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    link, took = open_socket(server.url), []
    for _ in range(count):
        started = time.perf_counter()
        link.sendall(request)
        receive(link)
        took.append(time.perf_counter() - started)
    link.close()
    return took


def ingest(folder, cleanup, events, rounds):
    """CPU seconds of each variant's rounds, each on a new store."""
    ranges, cpu = events.bodies(0, events.total, BODY_EVENTS), {"off": [], "on": [], "all": []}
    for turn in range(rounds + 1):
        for name, settings in (("off", OFF), ("on", ON), ("all", ALL)):
            server = Server(folder, f"api-log-{name}", cleanup)
            server.start(**QUIET, **settings)
            used, _ = spent(server, lambda: bulk(server.url, events, ranges, 2))
            server.remove()
            if turn:
                cpu[name].append(used)
    return cpu


def main():
    """All parts, and a verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    folder = scratch()
    events = Events(folder, args.events).ensure()
    with Cleanup() as cleanup:
        say("bulk ingest")
        cpu = ingest(folder, cleanup, events, args.rounds)
        servers = {}
        for name, settings in (("off", OFF), ("on", ON)):
            servers[name] = Server(folder, f"api-log-small-{name}", cleanup)
            servers[name].start(**QUIET, **settings)
            bulk(servers[name].url, events, events.bodies(0, 10_000, BODY_EVENTS), 1)
        say("small requests")
        small = {(name, target): [] for name in servers for target in (PAGE, REFUSED, NOWHERE)}
        latency = {name: [] for name in servers}
        for turn in range(args.rounds + 1):
            for name, target in small:
                used, took = spent(servers[name], lambda: ask(servers[name], target, args.requests))
                if turn:
                    small[name, target].append(used / args.requests)
                    latency[name] += took if target == PAGE else []
    million = {name: statistics.median(used) / args.events * 1e6 for name, used in cpu.items()}
    each = {key: statistics.median(used) for key, used in small.items()}
    check = each["off", REFUSED] - each["off", NOWHERE]
    share = check * 1e6 / BODY_EVENTS / million["off"]
    added, added_all = million["on"] / million["off"] - 1, million["all"] / million["off"] - 1
    slower = quantile(latency["on"], .5) - quantile(latency["off"], .5)
    print(f"""
bulk ingest, CPU seconds for a million events      off {million["off"]:.2f}   on {million["on"]:.2f} ({added:+.1%})   with ingest recorded {million["all"]:.2f} ({added_all:+.1%})
credential check, CPU for one request              {check * 1e6:.0f} us, {share:.2%} of bulk ingest in bodies of {BODY_EVENTS}
small request, CPU                                 off {each["off", PAGE] * 1e6:.0f} us   on {each["on", PAGE] * 1e6:.0f} us   ({(each["on", PAGE] - each["off", PAGE]) * 1e6:+.0f} us)
small request, median latency                      off {quantile(latency["off"], .5) * 1e6:.0f} us   on {quantile(latency["on"], .5) * 1e6:.0f} us   ({slower * 1e6:+.0f} us)
refused request, CPU                               off {each["off", REFUSED] * 1e6:.0f} us   on {each["on", REFUSED] * 1e6:.0f} us""")
    goals = [("API log and credentials add less than 10 % to bulk ingest", added + share < BULK_GOAL),
             ("and less than 1 ms to a small request", slower + max(check, 0) < SMALL_GOAL and each["on", PAGE] - each["off", PAGE] < SMALL_GOAL)]
    for goal, met in goals:
        print(f"{'met   ' if met else 'MISSED'} {goal}")
    return 0 if all(met for _, met in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
