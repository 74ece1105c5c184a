"""What is measured on the program itself: loading, exports, look-ups, first byte, memory, disk.

Promises that every export's rows are counted against what the generator says before its time counts.
Never measures a run whose rows are wrong: it fails instead.
"""
import csv
import socket
import statistics
import subprocess
import time
import urllib.parse

from common import cpu_seconds, curl, quantile, repeated, reset_peak, say, status_bytes
from generate import LOGIN, MONTH, RARE_ACTOR, SEARCH_WORD, STEP
from ingest import bulk, single
from server import AUTH

NINE = "/v1/organizations/default/audit-log/export?limit=none"
EXPORT = "/v1/events/export?format="
# name, what it is, path, extra headers, how its rows are counted, which count of the generator it must give
ITEMS = (
    ("csv", "full CSV, 9 columns", NINE, (), "csv", "rows"),
    ("csv-logproof", "full CSV, 16 columns", EXPORT + "csv", (), "csv", "rows"),
    ("json", "full JSON", EXPORT + "json", (), "json", "rows"),
    ("ndjson", "full NDJSON", EXPORT + "ndjson", (), "lines", "rows"),
    ("zstd", "full NDJSON, zstd passed through", EXPORT + "ndjson", ("Accept-Encoding: zstd",), "zstd", "rows"),
    ("month", "one month, CSV, 9 columns", f"{NINE}&from_date={MONTH[0]}&to_date={MONTH[1]}", (), "csv", "month"),
    ("action", "action=user.login (5 %), CSV", f"{EXPORT}csv&action={LOGIN}", (), "csv", "login"),
    ("search", "substring search, CSV", f"{EXPORT}csv&search={SEARCH_WORD}", (), "csv", "search"),
)
FULL = ("csv", "csv-logproof", "json", "ndjson", "zstd")
PAGES = (
    ("search-page", "newest 50 by search", f"/v1/events?search={SEARCH_WORD}&per_page=50", "search"),
    ("actor-page", "newest 50 by the rare actor", f"/v1/events?actor_id={RARE_ACTOR}&per_page=50", "rare_actor"),
)


def load(server, events):
    """Load all events in four parts: 1,000 and 5,000 a body, over one and over four connections."""
    whole = -(-events.total // STEP)
    cuts = [part * whole // 8 * STEP for part in (0, 1, 3, 4)] + [events.total]
    found = {}
    for (size, clients), first, last in zip(((1000, 1), (1000, 4), (5000, 1), (5000, 4)), cuts, cuts[1:]):
        before = cpu_seconds(server.pid)
        result = bulk(server.url, events, events.bodies(first, last, size), clients)
        result["cpu"] = cpu_seconds(server.pid) - before
        found[f"bulk-{size}-{clients}"] = result
        say(f"bulk, {size} a body, {clients} connection(s): {result['rate']:,.0f} events/s, p99 {result['p99'] * 1e3:.1f} ms")
    return found


def singles(server, events, seconds=3.0):
    """One event a request, by 1 and by 16 clients."""
    with open(events.path, "rb") as source:
        lines = [source.readline().rstrip(b"\n") for _ in range(2000)]
    return {f"single-{n}": single(server.url, lines, n, seconds) for n in (1, 16)}


def count_rows(path, kind):
    """Rows of a saved export, found without the program's help."""
    if kind == "csv":
        with open(path, newline="", encoding="utf-8") as source:
            return sum(1 for _ in csv.reader(source)) - 1
    if kind == "zstd":
        with subprocess.Popen(["zstd", "-dcq", str(path)], stdout=subprocess.PIPE) as reader:
            return sum(part.count(b"\n") for part in iter(lambda: reader.stdout.read(1 << 20), b""))
    mark, total, rest = (b"\n" if kind == "lines" else b'"previous_hash":'), 0, b""
    with open(path, "rb") as source:
        for part in iter(lambda: source.read(1 << 20), b""):
            part = rest + part
            total += part.count(mark)
            rest = part[len(part) - len(mark) + 1:] if len(mark) > 1 else b""
    return total


def first_byte(server, path, headers, tries=7):
    """Seconds from the request to the first byte of the body over a fresh connection: median, and the first try."""
    parts, took = urllib.parse.urlsplit(server.url), []
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n" + "".join(f"{h}\r\n" for h in (AUTH, *headers)) + "\r\n"
    for _ in range(tries):
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            started, data = time.perf_counter(), b""
            link.sendall(request.encode())
            while len(data) <= data.find(b"\r\n\r\n") + 4 or b"\r\n\r\n" not in data:
                part = link.recv(4096)
                if not part:
                    raise RuntimeError(f"{path}: no body, {data[:200]!r}")
                data += part
            took.append(time.perf_counter() - started)
        time.sleep(.2)
    return {"median": statistics.median(took), "first": took[0]}


def exports(server, events, extra, folder, names=None, keep=()):
    """Check and measure the items; `extra` counts rows added after the load. Files of `keep` stay in the folder."""
    found = {}
    for name, label, path, headers, kind, fact in ITEMS:
        if names and name not in names:
            continue
        target, url, sent = folder / f"export.{name}", server.url + path, (AUTH, *headers)
        curl(url, sent, target)
        rows, want = count_rows(target, kind), events.facts[fact] + extra.get(fact, 0)
        if rows != want:
            raise RuntimeError(f"{name}: {rows} rows instead of {want} in {target}")
        if name not in keep:
            target.unlink()
        reset_peak(server.pid)
        result = repeated(lambda url=url, sent=sent: curl(url, sent), server.pid)
        found[name] = {**result, "label": label, "rows": rows, "rate": rows / result["seconds"], "peak": status_bytes(server.pid, "VmHWM"),
                       "first_byte": first_byte(server, path, headers)}
        say(f"{label}: {rows:,} rows in {result['seconds']:.3f} s = {found[name]['rate']:,.0f} rows/s, peak {found[name]['peak'] / 1e6:.0f} MB")
    return found


def pages(server, events, extra, calls=50):
    """Look-ups over one keep-alive connection: the first call after the restart, then the warm ones."""
    found = {}
    for name, label, path, fact in PAGES:
        link, took = server.connect(), []
        link.connect()
        for _ in range(calls + 1):
            started = time.perf_counter()
            status, body = server.get(path, link)
            took.append(time.perf_counter() - started)
            if status != 200:
                raise RuntimeError(f"{path}: {status} {body[:300]!r}")
        link.close()
        want = min(50, events.facts[fact] + extra.get(fact, 0))
        if body.count(b'"previous_hash":') != want:
            raise RuntimeError(f"{path}: {body.count(b'previous_hash')} events instead of {want}")
        warm = took[1:]
        found[name] = {"label": label, "rows": want, "median": statistics.median(warm), "best": min(warm), "worst": max(warm),
                       "p99": quantile(warm, .99), "first": took[0]}
        say(f"{label}: {found[name]['median'] * 1e3:.2f} ms, first call {took[0] * 1e3:.1f} ms")
    return found
