#!/usr/bin/env python3
"""make bench-cluster: what 1, 2 and 3 nodes over PostgreSQL and S3 cost on this machine; writes the tables of docs/operations/sizing.md.

    bench/cluster.py [--events 1000000] [--nodes 1,2,3] [--quick] [--resume] [--report FILE]

Starts a PostgreSQL and a SeaweedFS of its own (tests/e2e/servers.py) and gives each run a fresh database and prefix.
Promises figures of processes and of the product's own counters, and rows that were counted; a part during which other
programs took more than a tenth of the cores is measured again, and what was measured is kept for --resume. Never writes the
document for a partial run, or from figures of different binaries.
"""
import argparse
import contextlib
import datetime
import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sizing
from common import REPO, TICK, Cleanup, cpu_seconds, curl, install, machine, say, scratch, wait_for
from generate import RARE_ACTOR, STEP, Events
from ingest import single, spread
from measure import count_rows
from server import AUTH, KEY, Server, binary
from slow_link import SlowLink

sys.dont_write_bytecode = True
sys.path.append(str(REPO / "tests" / "e2e"))
import servers  # noqa: E402
from places import Place  # noqa: E402

CONNECTIONS, BODY, PORTION = 4, 1000, 5000
# A part is measured again if other programs take more of the cores, until so many seconds after the start; what is shorter is not judged.
OTHERS, ATTEMPTS, PATIENCE, SHORT = 0.1, 3, 900, 1.0
QUIET_WAIT = 20
DELAYS, WORKERS, FAR_EVENTS = (0, 30, 100), (0, 16), 200_000
# Background work only when it is measured: thresholds that nothing reaches, and no polling.
QUIET = {"INDELIBLE_SEAL_BYTES": "4GiB", "INDELIBLE_MERGE_BATCHES": "100000", "INDELIBLE_TASK_INTERVAL_MS": "3600000"}
# Everything is old enough to be sealed, and nothing is left behind.
SEALING = {"INDELIBLE_SEAL_AGE": "1", "INDELIBLE_SEAL_BYTES": "1024"}
EXPORT = "/v1/events/export?format="
EXPORTS = (("zstd", "NDJSON, zstd passed through", EXPORT + "ndjson", ("Accept-Encoding: zstd",)), ("ndjson", "NDJSON", EXPORT + "ndjson", ()),
           ("csv", "CSV, 16 columns", EXPORT + "csv", ()))
SIZES = "SELECT COALESCE(SUM(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
TASKS, HOT, RETIRED = "SELECT COUNT(*) FROM tasks", "SELECT COALESCE(SUM(hot_events), 0) FROM logs", "SELECT COUNT(*) FROM retired"
STARTED = time.monotonic()


class Cluster:
    """Nodes over one fresh database and prefix, with projects to write to, and what they and their servers used."""

    def __init__(self, folder, postgres, seaweed, count, cleanup):
        self.postgres, self.seaweed = postgres, seaweed
        self.place = Place.of(postgres, seaweed)
        cleanup.callback(self.place.close)
        # One connection for all questions: to log in each time would be a good part of what PostgreSQL does.
        self.psql = subprocess.Popen([servers.postgres_program("psql"), "-XAtq", self.place.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cleanup.callback(self.psql.communicate)
        self.nodes = [Server(folder, f"node{number}", cleanup) for number in range(count)]
        self.keys = [KEY]

    def start(self, **settings):
        """The first node alone, for it makes the schema; then the others."""
        for node in self.nodes:
            node.start(**{**self.place.env(), **settings})

    def stop(self):
        for node in self.nodes:
            node.stop()

    def command(self, *args):
        """A command of the product on this store; its output."""
        done = subprocess.run([binary(), *args], capture_output=True, text=True, check=False, env={**os.environ, **self.place.env()})
        if done.returncode:
            raise SystemExit(f"indelible {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def make_projects(self, count):
        """Projects to write to instead of the one that the first start made."""
        self.keys = []
        for number in range(count):
            self.command("project", "create", f"p{number}")
            self.keys.append(re.search(r"^key\s+(\S+)", self.command("key", "create", "--project", f"p{number}", "--name", "bench"), re.M)[1])

    def targets(self, count):
        """(URL, key) of `count` connections, spread over nodes and projects."""
        return [(self.nodes[i % len(self.nodes)].url, self.keys[i % len(self.keys)]) for i in range(count)]

    def counters(self):
        """The figures of /metrics that have no labels, summed over the nodes that run."""
        total = {}
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                for name, value in re.findall(r"^indelible_(\w+?)(?:_total)? ([0-9.e+]+)$", node.get("/metrics")[1].decode(), re.M):
                    total[name] = total.get(name, 0) + float(value)
        return total

    def cpu(self):
        """CPU seconds so far of each part."""
        running = [n.pid for n in self.nodes if n.process and n.process.poll() is None]
        return {"nodes": sum(map(cpu_seconds, running)), "postgres": cpu_seconds(self.postgres.process.pid), "s3": cpu_seconds(self.seaweed.process.pid)}

    def number(self, statement):
        """The one number that a statement answers."""
        self.psql.stdin.write(statement + ";\n")
        self.psql.stdin.flush()
        return float(self.psql.stdout.readline())

    def settle(self, *left, seconds=300):
        """Waits until there is no task, and nothing of what `left` counts."""
        wait_for(lambda: all(self.number(each) == 0 for each in (TASKS, *left)) or time.sleep(.2), seconds, "background work")

    def stored(self):
        """Bytes in PostgreSQL after a VACUUM, and in the bucket by kind of object."""
        self.place.query("VACUUM")
        found = {"postgres": self.number(SIZES)}
        for key, size in self.place.keys().items():
            kind = key.rpartition("/")[2]
            found[kind] = found.get(kind, 0) + size
        return found


def busy():
    """CPU seconds that all processes of the machine have used."""
    user, nice, system = Path("/proc/stat").read_text().split(None, 4)[1:4]
    return (int(user) + int(nice) + int(system)) / TICK


def own():
    """CPU seconds of this program and of what it called."""
    return sum(os.times()[:4])


@contextlib.contextmanager
def measured(cluster, name):
    """What is used within the block, by part; counters of nodes that start in it count from zero."""
    figures, load = {}, os.getloadavg()[0]
    wal = cluster.number("SELECT pg_current_wal_lsn() - '0/0'")
    counters, cpu, others, clock = cluster.counters(), cluster.cpu(), busy() - own(), time.perf_counter()
    yield figures
    seconds, after = time.perf_counter() - clock, cluster.cpu()
    used = {part: after[part] - value for part, value in cpu.items()}
    others = busy() - own() - others - sum(used.values())
    counted = {key: value - counters.get(key, 0) for key, value in cluster.counters().items()}
    figures.update(seconds=seconds, cpu=used, count=counted, wal=cluster.number("SELECT pg_current_wal_lsn() - '0/0'") - wal,
                   load=[load, os.getloadavg()[0]], others=max(0, others) / seconds / os.cpu_count())
    say(f"{name}: {seconds:.1f} s, CPU s " + ", ".join(f"{part} {value:.2f}" for part, value in used.items())
        + f"; load {load:.2f} to {figures['load'][1]:.2f}, other programs {figures['others']:.0%} of the cores")


def wait_until_quiet():
    """Waits a while for a machine that does nothing else."""
    deadline = time.monotonic() + QUIET_WAIT
    while time.monotonic() < deadline:
        before, clock = busy() - own(), time.perf_counter()
        time.sleep(2)
        if (busy() - own() - before) / (time.perf_counter() - clock) / os.cpu_count() < OTHERS:
            return
    say("the machine does not become quiet")


class Figures:
    """What was measured so far, in a file: a run on a busy machine can be gone on with."""

    def __init__(self, path, head, resume):
        self.path, self.head = path, head
        earlier = json.loads(path.read_text()) if resume and path.exists() else {}
        self.done = earlier.get("parts", {}) if earlier.get("head") == head else {}

    def take(self, name, run):
        """The first run in which every part had the machine for itself, else the one that was disturbed least."""
        for _ in range(ATTEMPTS):
            if name in self.done and disturbance(self.done[name]) <= OTHERS or name in self.done and time.monotonic() - STARTED > PATIENCE:
                break
            wait_until_quiet()
            result = run()
            say(f"{name}: other programs took up to {disturbance(result):.0%} of the cores")
            if name not in self.done or disturbance(result) < disturbance(self.done[name]):
                self.done[name] = result
                self.path.write_text(json.dumps({"head": self.head, "parts": self.done}, indent=1))
        return self.done[name]


def disturbance(result):
    """The part of the cores that other programs took in the worst of its blocks."""
    return max(part["others"] for part in parts(result) if part["seconds"] >= SHORT)


def parts(result):
    """All measured blocks within a result."""
    if isinstance(result, dict):
        if "others" in result:
            yield result
        for value in result.values():
            yield from parts(value)


def load(cluster, events, name):
    """All events over some connections; figures of the block and of the clients."""
    with measured(cluster, name) as figures:
        figures["client"] = spread(cluster.targets(CONNECTIONS), events, events.bodies(0, events.total, BODY))
        cluster.settle()
    if figures["count"]["events_accepted"] != events.total:
        raise SystemExit(f"{name}: {figures['count']['events_accepted']:,.0f} events were counted instead of {events.total:,}")
    return figures


def export(cluster, events, name, path, headers):
    """All projects at once, project i from node i."""
    targets = cluster.targets(len(cluster.keys))
    with measured(cluster, name) as figures, ThreadPoolExecutor(len(targets)) as pool:
        done = list(pool.map(lambda t: curl(t[0] + path, (f"Authorization: Bearer {t[1]}", *headers)), targets))
    figures["bytes"] = sum(size for _, size in done)
    if figures["count"]["export_rows"] != events.total:
        raise SystemExit(f"{name}: {figures['count']['export_rows']:,.0f} rows instead of {events.total:,}")
    return figures


def counted_outside(cluster, events, folder):
    """Rows of the exports, without the product's word for it."""
    rows, path = 0, folder / "export.cluster"
    for url, key in cluster.targets(len(cluster.keys)):
        curl(url + EXPORT + "ndjson", (f"Authorization: Bearer {key}",), path)
        rows += count_rows(path, "lines")
    path.unlink()
    if rows != events.total:
        raise SystemExit(f"{rows:,} rows instead of {events.total:,}")


def cell(folder, servers_, count, projects, events):
    """Write, then seal, then export, each apart."""
    label, found = f"{count} node(s), {projects} project(s)", {"nodes": count, "projects": projects}
    with Cleanup() as cleanup:
        cluster = Cluster(folder, *servers_, count, cleanup)
        cluster.start(**QUIET)
        cluster.make_projects(projects)
        found["write"] = load(cluster, events, f"{label}: write")
        found["hot"] = cluster.stored()
        cluster.stop()
        with measured(cluster, f"{label}: seal") as found["seal"]:
            cluster.start(**SEALING)
            cluster.settle(HOT)
        found["sealed"] = cluster.stored()
        cluster.stop()
        cluster.start(**QUIET)
        for name, _, path, headers in EXPORTS:
            found[name] = export(cluster, events, f"{label}: export {name}", path, headers)
        counted_outside(cluster, events, folder)
    return found


def mixed(folder, servers_, count, events):
    """All that a slow stream into one project causes with the default thresholds: what a portion asks for is done before the next one comes."""
    with Cleanup() as cleanup:
        cluster = Cluster(folder, *servers_, count, cleanup)
        cluster.start(INDELIBLE_ORPHAN_GRACE="0")
        cluster.make_projects(1)
        with measured(cluster, f"{count} node(s), write, seal, compact and collect") as figures:
            for first in range(0, events.total, PORTION):
                spread(cluster.targets(CONNECTIONS), events, events.bodies(first, min(first + PORTION, events.total), BODY))
                cluster.settle()
            cluster.settle(RETIRED)
    return {"nodes": count, **figures}


def post(url, path, body, headers=()):
    """One POST that must be accepted."""
    parts_ = urllib.parse.urlsplit(url)
    link = http.client.HTTPConnection(parts_.hostname, parts_.port, timeout=60)
    link.request("POST", path, body=body, headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **dict(headers)})
    answer = link.getresponse()
    text = answer.read()
    link.close()
    if answer.status != 201:
        raise SystemExit(f"{path}: {answer.status} {text[:300]!r}")


def appends(cluster, events, lines):
    """One append at a time: what each costs in statements, and how long it holds the head."""
    found, url = {}, cluster.nodes[0].url
    for clients in (1, 16):
        with measured(cluster, f"one event a request, {clients} client(s)") as found[f"single-{clients}"]:
            found[f"single-{clients}"]["client"] = single(url, lines, clients, 3.0)
    # Once before: what was never asked before is prepared first.
    for times, name in ((1, "warm"), (100, "known")):
        with measured(cluster, "one event with external_id and Idempotency-Key") as found[name]:
            for i in range(times):
                body = lines[i][:-1] + f',"external_id":"{name}-{i}"}}'.encode()
                post(url, "/v1/events", body, {"Idempotency-Key": f"{name}-{i}"}.items())
            found[name]["client"] = {"events": times}
    for size, last in ((1000, 100_000), (10_000, 200_000)):
        with measured(cluster, f"bulk of {size:,}, 1 connection") as found[f"bulk-{size}"]:
            found[f"bulk-{size}"]["client"] = spread([(url, KEY)], events, events.bodies(0, min(last, events.total), size))
    return found


def one_seal(cluster, events):
    """An append that asks for a seal, and what follows until the manifest is published."""
    with measured(cluster, "one append of 10,000 with its seal and manifest") as figures:
        spread([(cluster.nodes[0].url, KEY)], events, events.bodies(0, 10_000, 10_000))
        cluster.settle(HOT)
    return figures


def calls(folder, servers_, events):
    """Round trips and S3 calls of single operations, on one node that does nothing else."""
    found = {}
    with open(events.path, "rb") as source:
        lines = [source.readline().rstrip(b"\n") for _ in range(2000)]
    with Cleanup() as cleanup:
        cluster = Cluster(folder, *servers_, 1, cleanup)
        cluster.start(**QUIET)
        post(cluster.nodes[0].url, "/v1/events", lines[0])
        found.update(appends(cluster, events, lines))
        cluster.stop()
        cluster.command("seal", "--all")
        cluster.start(INDELIBLE_SEAL_BYTES="1MiB", INDELIBLE_TASK_INTERVAL_MS="3600000", INDELIBLE_ORPHAN_GRACE="30d")
        found["seal"] = one_seal(cluster, events)
        cluster.stop()
        cluster.command("seal", "--all")
        cluster.start(**QUIET)
        url = cluster.nodes[0].url
        for name, path in (("export", EXPORT + "ndjson"), ("page", f"/v1/events?actor_id={RARE_ACTOR}&per_page=50")):
            for turn in ("first", "second"):
                with measured(cluster, f"{name}, {turn}") as found[f"{name}-{turn}"]:
                    curl(url + path, (AUTH,))
        found["segments"] = cluster.number("SELECT COUNT(*) FROM segments")
        found["objects"] = cluster.stored()
    return found


def far(folder, servers_, events):
    """Exports from an S3 server that is some way off, by the number of workers (0: one a core)."""
    found, total = {}, min(FAR_EVENTS, events.total)
    with Cleanup() as cleanup:
        cluster = Cluster(folder, *servers_, 1, cleanup)
        cluster.start(**QUIET)
        spread(cluster.targets(CONNECTIONS), events, events.bodies(0, total, BODY))
        cluster.stop()
        cluster.command("seal", "--all")
        link = SlowLink(urllib.parse.urlsplit(servers_[1].endpoint).port)
        cleanup.callback(link.close)
        for workers in WORKERS:
            cluster.start(**QUIET, **{"INDELIBLE_WORKERS": str(workers), "INDELIBLE_S3_ENDPOINT": f"http://127.0.0.1:{link.port}"})
            for delay in DELAYS:
                link.delay = delay / 1e3
                for name, _, path, headers in EXPORTS[::2]:
                    label = f"{workers}-{delay}-{name}"
                    with measured(cluster, f"export {name}, {workers or 'default'} workers, S3 {delay} ms farther") as found[label]:
                        curl(cluster.nodes[0].url + path, (AUTH, *headers))
                    if found[label]["count"]["export_rows"] != total:
                        raise SystemExit(f"{label}: {found[label]['count']['export_rows']:,.0f} rows instead of {total:,}")
            link.delay = 0
            cluster.stop()
    return {"events": total, "cores": os.cpu_count(), "workers": WORKERS, "delays": DELAYS, **found}


def idle(folder, servers_, count, seconds):
    """Nothing to do, on settled nodes with default settings."""
    with Cleanup() as cleanup:
        cluster = Cluster(folder, *servers_, count, cleanup)
        cluster.start()
        cluster.make_projects(5)
        time.sleep(12)
        with measured(cluster, f"{count} node(s), idle") as figures:
            time.sleep(seconds)
    return {"nodes": count, "idle": seconds, **figures}


def head(events, postgres):
    """What the figures are of."""
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    shown = ("server_version", "shared_buffers", "synchronous_commit", "fsync")
    return {"events": events.total, "event_bytes": events.facts["bytes"] / events.total, "machine": machine(), "version": version,
            "binary": hashlib.sha256(Path(binary()).read_bytes()).hexdigest(), "postgres": {name: servers.psql(postgres.url, f"SHOW {name}") for name in shown}}


def run(options, folder, events):
    """All parts, in the form that sizing.py reads."""
    counts, idle_seconds = [int(n) for n in options.nodes.split(",")], 10 if options.quick else 60
    with Cleanup() as cleanup:
        both = postgres, _ = cleanup.enter_context(servers.Postgres()).start(), cleanup.enter_context(servers.Seaweed()).start()
        figures = Figures(folder / "cluster.json", head(events, postgres), options.resume)
        single_calls = figures.take("calls", lambda: calls(folder, both, events))
        cells = [figures.take(f"cell-{n}-{p}", lambda n=n, p=p: cell(folder, both, n, p, events)) for n in counts for p in (CONNECTIONS, 1)]
        together = [figures.take(f"slow-{n}", lambda n=n: mixed(folder, both, n, events)) for n in counts]
        distant = figures.take("far", lambda: far(folder, both, events))
        nothing = figures.take("idle", lambda: idle(folder, both, max(counts), idle_seconds))
    return {**figures.head, "date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC", "calls": single_calls, "cells": cells, "mixed": together,
            "far": distant, "idle": nothing}


def main():
    """Run all parts and write the document."""
    parser = argparse.ArgumentParser(description="Measure a cluster of 1, 2 and 3 nodes on this machine.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--nodes", default="1,2,3", help="numbers of nodes, comma separated")
    parser.add_argument("--quick", action="store_true", help="100,000 events and a short idle time; writes no document")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run of the same binary measured undisturbed")
    parser.add_argument("--report", type=Path, help="write the document from the result of an earlier run")
    options = parser.parse_args()
    target = REPO / "docs" / "operations" / "sizing.md"
    if options.report:
        sizing.write(target, json.loads(options.report.read_text()))
        return
    if options.quick:
        options.events = 100_000
    if options.events < 10 * STEP:
        parser.error(f"at least {10 * STEP} events")
    install(("initdb", "psql", "zstd", "curl"))
    folder = scratch()
    say(f"scratch folder {folder}: generating {options.events:,} events unless they are there")
    result = run(options, folder, Events(folder, options.events).ensure())
    kept = folder / "cluster-result.json"
    kept.write_text(json.dumps(result, indent=1))
    print("\n" + sizing.measured(result) + "\n\n" + sizing.computed(result))
    if options.quick or options.nodes != "1,2,3":
        say(f"docs/operations/sizing.md is left as it is: this was not a full run (result: {kept})")
    else:
        sizing.write(target, result)
        say(f"written to {target} (result: {kept})")


if __name__ == "__main__":
    main()
