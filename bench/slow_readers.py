#!/usr/bin/env python3
"""Exports while events arrive, and many slow readers: are the rows exactly the snapshot, and does memory stay flat?

    bench/slow_readers.py [--events 2000000] [--seconds 300] [--readers 50] [--rate 2000] [--keep]

1. loads the events over one connection (so position n is line n of the generated file), then reads a whole NDJSON export
   while --rate events/s arrive: contiguous positions, the snapshot's size, the closing line's digest, each event equal to what was sent
2. measures the latency of the arriving batches without readers, then with --readers readers at 1 kB/s in mixed formats, with
   sealing and compaction going on; checks every row they read, and lets one NDJSON reader finish the whole export at the end
Prints a verdict a criterion; the exit code is 1 when one fails. Never counts a row that it did not parse.
"""
import argparse
import bisect
import codecs
import csv
import hashlib
import io
import json
import multiprocessing
import re
import selectors
import socket
import subprocess
import sys
import time
import urllib.parse

from common import Cleanup, install, quantile, reset_peak, say, scratch, status_bytes
from generate import STEP, Events
from ingest import bulk, head, open_socket, receive
from measure import EXPORT, NINE
from server import AUTH, Server

BATCH = 100
RSS_LIMIT, P99_FACTOR = 300e6, 2
FORMATS = (("ndjson", EXPORT + "ndjson&end=true", ()), ("csv", EXPORT + "csv", ()), ("json", EXPORT + "json", ()),
           ("zstd", EXPORT + "ndjson", ("Accept-Encoding: zstd",)), ("nine", NINE, ()))


class Wrong(Exception):
    """A row that is not what was sent."""


# ---------- the arriving events ----------
def arrive(url, path, index, rate, head_position, stopping, results):
    """A process that posts `rate` events/s in batches, and then reports the latency of each."""
    link, took, block, step = open_socket(url), [], [], 0
    interval, due = BATCH / rate, time.perf_counter()
    with open(path, "rb") as source:
        while not stopping.is_set():
            if not block:
                source.seek(index[step])
                lines = source.read(index[step + 1] - index[step]).splitlines(keepends=True)
                block = [b"".join(lines[i:i + BATCH]) for i in range(0, len(lines), BATCH)]
                step = (step + 1) % (len(index) - 1)
            body = block.pop(0)
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            started = time.perf_counter()
            link.sendall(head("/v1/events/bulk", len(body), "application/x-ndjson") + body)
            status, answer = receive(link)
            took.append(time.perf_counter() - started)
            if status != 201:
                results.send({"error": f"{status} {answer[:300]!r}"})
                return
            head_position.value = json.loads(answer)["data"]["last_position"]
            due = max(due + interval, time.perf_counter() - 1)
    results.send({"took": took})


class Arrivals:
    """The process above as a context; `figures` after it has ended."""

    def __init__(self, server, events, rate, sent):
        fresh = multiprocessing.get_context("spawn")
        self.sent, self.head, self.stopping = sent, fresh.Value("q", 0), fresh.Event()
        self.pipe, theirs = fresh.Pipe(False)
        self.process = fresh.Process(target=arrive, daemon=True,
                                               args=(server.url, events.path, events.index, rate, self.head, self.stopping, theirs))
        self.started, self.figures = 0, {}

    def __enter__(self):
        self.process.start()
        while not self.head.value and self.process.is_alive():
            time.sleep(.01)
        self.started = time.monotonic()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        answer = self.pipe.recv() if self.pipe.poll(60) else {"error": "no answer"}
        self.process.join(10)
        if "error" in answer:
            raise SystemExit(f"arriving events failed: {answer['error']}")
        self.sent.starts.append(self.head.value + 1)
        took = answer["took"]
        self.figures = {"rate": len(took) * BATCH / (time.monotonic() - self.started), "p50": quantile(took, .5), "p99": quantile(took, .99), "max": max(took)}
        say(f"arrivals: {self.figures['rate']:,.0f} events/s, p50 {self.figures['p50'] * 1e3:.1f} ms, p99 {self.figures['p99'] * 1e3:.1f} ms, "
            f"max {self.figures['max'] * 1e3:.0f} ms")


# ---------- what must come back ----------
class Sent:
    """The generated events by position. Each run of arrivals, the load being the first, starts at line 0 and goes round."""

    def __init__(self, events):
        self.total, self.index, self.source, self.at, self.block = events.total, events.index, open(events.path, "rb"), -1, []
        self.starts = [1]

    def event(self, position):
        """The event at a position, as it was sent."""
        start = self.starts[bisect.bisect_right(self.starts, position) - 1]
        step, line = divmod((position - start) % self.total, STEP)
        if step != self.at:
            self.at = step
            self.source.seek(self.index[step])
            self.block = self.source.read(self.index[step + 1] - self.index[step]).splitlines()
        return json.loads(self.block[line])


def same_event(got, sent):
    """Are all members that were sent in the exported event?"""
    if any(got.get(name) != sent.get(name) for name in ("action", "actor", "target", "context", "metadata", "subject")):
        return False
    diff = got.get("diff")
    return got["occurred_at"] == sent["occurred_at"] and (diff or None) == sent.get("diff")


class LineCheck:
    """NDJSON as it arrives: positions contiguous from 1, events equal, digest of the closing line."""

    def __init__(self, sent):
        self.sent, self.rest, self.rows, self.end, self.digest = sent, b"", 0, None, hashlib.sha256()

    def feed(self, data):
        """Check the whole lines so far."""
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            if self.end is not None:
                raise Wrong(f"a line after the closing line: {line[:100]!r}")
            if line.startswith(b'{"_end"'):
                self.end = json.loads(line)["_end"]
                continue
            self.digest.update(line + b"\n")
            got = json.loads(line)
            self.rows += 1
            if got["sequence_number"] != self.rows:
                raise Wrong(f"position {got['sequence_number']} where {self.rows} was due")
            if not same_event(got, self.sent.event(self.rows)):
                raise Wrong(f"position {self.rows} is not the event that was sent")

    def complete(self):
        """Rows of a whole export."""
        if self.rest or self.end is None or self.end["rows"] != self.rows or self.end["sha256"] != self.digest.hexdigest():
            raise Wrong(f"closing line {self.end} after {self.rows} rows, sha256 {self.digest.hexdigest()}, rest {self.rest[:80]!r}")
        return self.rows


def check_csv(text, sent):
    """Rows of a cut-off CSV; the last record may be incomplete and is left out."""
    reader = csv.reader(io.StringIO(text, newline=""))
    titles = next(reader)
    rows = [dict(zip(titles, row)) for row in reader][:-1]
    for position, row in enumerate(rows, 1):
        event = sent.event(position)
        if "sequence_number" in row:
            good = (int(row["sequence_number"]) == position and row["action"] == event["action"] and row["actor_id"] == event["actor"]["id"]
                    and json.loads(row["context"]) == event["context"] and json.loads(row["metadata"]) == event["metadata"])
        else:
            good = row["Actor Name"] == event["actor"]["meta"]["name"] and row["Actor Email"] == event["actor"]["meta"]["email"]
        if not good:
            raise Wrong(f"CSV row {position}: {row}")
    return len(rows)


def check_json(text, sent):
    """Events of a cut-off JSON array."""
    decoder, at, rows = json.JSONDecoder(), text.find("[") + 1, 0
    while True:
        while at < len(text) and text[at] in ", \r\n\t":
            at += 1
        try:
            got, at = decoder.raw_decode(text, at)
        except ValueError:
            return rows
        rows += 1
        if got["sequence_number"] != rows or not same_event(got, sent.event(rows)):
            raise Wrong(f"JSON element {rows}: position {got['sequence_number']}")


def check_cut(kind, data, sent):
    """Rows in what a reader had read when it hung up."""
    if kind == "zstd":
        data = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=False).stdout
    text = codecs.getincrementaldecoder("utf-8")().decode(data)
    if kind in ("csv", "nine"):
        return check_csv(text, sent)
    if kind == "json":
        return check_json(text, sent)
    lines = LineCheck(sent)
    lines.feed(data)
    return lines.rows


# ---------- readers ----------
class Reader:
    """One HTTP/1.1 export over a raw socket with a small receive buffer; takes chunked bodies apart."""

    def __init__(self, url, path, headers, buffer=4096):
        parts = urllib.parse.urlsplit(url)
        self.link = socket.socket()
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.link.connect((parts.hostname, parts.port))
        self.link.sendall((f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n" + "".join(f"{h}\r\n" for h in (AUTH, *headers)) + "\r\n").encode())
        self.raw, self.header, self.chunked, self.left, self.ended = b"", None, False, 0, False

    def read(self, size):
        """Up to `size` bytes from the wire; gives the bytes of the body in them, None at the end of the connection."""
        data = self.link.recv(size)
        if not data:
            if not self.ended and self.chunked:
                raise Wrong("the connection ended inside the body")
            return None
        self.raw += data
        if self.header is None:
            end = self.raw.find(b"\r\n\r\n")
            if end < 0:
                return b""
            self.header, self.raw = self.raw[:end].decode("latin-1"), self.raw[end + 4:]
            if not self.header.startswith("HTTP/1.1 200"):
                raise Wrong(self.header.splitlines()[0])
            self.chunked = re.search(r"(?im)^transfer-encoding:\s*chunked", self.header) is not None
        if not self.chunked:
            body, self.raw = self.raw, b""
            return body
        return self.dechunk()

    def dechunk(self):
        """Body bytes of the chunks received so far."""
        body = []
        while self.raw and not self.ended:
            if self.left:
                part = self.raw[:self.left]
                self.raw, self.left = self.raw[len(part):], self.left - len(part)
                body.append(part)
                continue
            line, mark, rest = self.raw.lstrip(b"\r\n").partition(b"\r\n")
            if not mark:
                break
            self.left, self.raw, self.ended = int(line.split(b";")[0], 16), rest, int(line.split(b";")[0], 16) == 0
        return b"".join(body)


def crowd(server, count, seconds):
    """`count` readers at 1 kB/s for `seconds`; gives (format, reader) pairs and the bytes that each has read."""
    readers, kept = [], {}
    for i in range(count):
        kind, path, headers = FORMATS[i % len(FORMATS)]
        readers.append((kind, Reader(server.url, path, headers)))
        kept[i] = bytearray()
    started = time.monotonic()
    for second in range(1, seconds + 1):
        chooser = selectors.DefaultSelector()
        for i, (_, reader) in enumerate(readers):
            chooser.register(reader.link, selectors.EVENT_READ, i)
        waiting, deadline = set(range(count)), started + second
        while waiting and time.monotonic() < deadline:
            for key, _ in chooser.select(max(0, deadline - time.monotonic())):
                data = readers[key.data][1].read(1000)
                if data is None:
                    raise Wrong(f"reader {key.data} ({readers[key.data][0]}) was cut off after {len(kept[key.data])} bytes")
                kept[key.data] += data
                waiting.discard(key.data)
                chooser.unregister(key.fileobj)
        if waiting:
            say(f"second {second}: {len(waiting)} readers got nothing")
        chooser.close()
        time.sleep(max(0, deadline - time.monotonic()))
        if second % 30 == 0:
            say(f"{second} s: RSS {status_bytes(server.pid, 'VmRSS') / 1e6:.0f} MB, {segment_files(server)} row files")
    return readers, kept


def segment_files(server):
    """Row files in the data directory, for the record that sealing and compaction went on."""
    return sum(1 for _ in server.data.rglob("*.zst"))


def finish(reader, held, sent):
    """Let a slow NDJSON reader read the rest at full speed; gives the rows of its whole export."""
    check = LineCheck(sent)
    check.feed(bytes(held))
    while (data := reader.read(1 << 20)) is not None:
        check.feed(data)
    return check.complete()


class Verdicts:
    """Criteria and whether they hold."""

    def __init__(self):
        self.failed = 0

    def add(self, good, text):
        """Print one."""
        self.failed += not good
        say(f"{'met ' if good else 'FAIL'} {text}")


def during_export(server, events, sent, rate, verdicts):
    """Part 1."""
    reset_peak(server.pid)
    with Arrivals(server, events, rate, sent) as arrivals:
        low = arrivals.head.value
        started = time.monotonic()
        reader, check, high = Reader(server.url, EXPORT + "ndjson&end=true", (), 1 << 20), LineCheck(sent), None
        while (data := reader.read(1 << 20)) is not None:
            if high is None and data:
                time.sleep(BATCH / rate)
                high = arrivals.head.value + BATCH
            check.feed(data)
        rows, seconds, last = check.complete(), time.monotonic() - started, arrivals.head.value
    verdicts.add(low <= rows <= high, f"the export of {rows:,} rows is the snapshot at its request (between {low:,} and {high:,}; head {last:,} at its end), "
                 f"every event equal, digest right, {seconds:.0f} s with checking")
    peak = status_bytes(server.pid, "VmHWM")
    verdicts.add(peak < RSS_LIMIT, f"peak RSS {peak / 1e6:.0f} MB during the export")


def with_readers(server, events, sent, options, verdicts):
    """Part 2."""
    say(f"{min(60, options.seconds)} s of arrivals without readers")
    with Arrivals(server, events, options.rate, sent) as alone:
        time.sleep(min(60, options.seconds))
    files = segment_files(server)
    reset_peak(server.pid)
    with Arrivals(server, events, options.rate, sent) as crowded:
        low = crowded.head.value
        readers, kept = crowd(server, options.readers, options.seconds)
        peak = status_bytes(server.pid, "VmHWM")
    say(f"row files: {files} before, {segment_files(server)} after")
    rows = {}
    for i, (kind, _) in enumerate(readers):
        rows[kind] = rows.get(kind, 0) + check_cut(kind, bytes(kept[i]), sent)
    # A frame of zstd holds minutes of 1 kB/s: in a short trial a reader may have got no whole row of it.
    verdicts.add(all(count for kind, count in rows.items() if kind != "zstd" or options.seconds >= 300), f"{sum(rows.values()):,} rows of {len(readers)} slow readers checked: {rows}")
    verdicts.add(peak < RSS_LIMIT, f"peak RSS {peak / 1e6:.0f} MB with {options.readers} readers at 1 kB/s for {options.seconds} s")
    factor = crowded.figures["p99"] / alone.figures["p99"]
    verdicts.add(factor <= P99_FACTOR, f"ingest p99 {crowded.figures['p99'] * 1e3:.1f} ms with readers, {alone.figures['p99'] * 1e3:.1f} ms without: {factor:.2f}×")
    verdicts.add(crowded.figures["rate"] > .95 * options.rate, f"{crowded.figures['rate']:,.0f} events/s arrived of {options.rate:,}")
    total = finish(readers[0][1], kept[0], sent)
    verdicts.add(low - BATCH <= total <= low + 2 * options.rate, f"a reader of {options.seconds} s then read its whole snapshot: {total:,} rows, digest right")
    for _, reader in readers:
        reader.link.close()


def main():
    """Load and run both parts."""
    parser = argparse.ArgumentParser(description="Exact snapshots and flat memory under slow readers.")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--keep", action="store_true", help="leave the data directory")
    options = parser.parse_args()
    if options.events % STEP or options.events < 2 * STEP:
        parser.error(f"--events must be a multiple of {STEP}")
    install(("zstd",))
    folder, verdicts = scratch(), Verdicts()
    events = Events(folder, options.events).ensure()
    with Cleanup() as cleanup:
        server = Server(folder, "readers", cleanup)
        server.keep = options.keep
        server.start()
        say(f"loading {events.total:,} events over one connection")
        loaded = bulk(server.url, events, events.bodies(0, events.total, 5 * STEP), 1)
        say(f"loaded at {loaded['rate']:,.0f} events/s; RSS {status_bytes(server.pid, 'VmRSS') / 1e6:.0f} MB")
        try:
            sent = Sent(events)
            during_export(server, events, sent, options.rate, verdicts)
            with_readers(server, events, sent, options, verdicts)
        except Wrong as error:
            verdicts.add(False, f"wrong rows: {error}")
    sys.exit(1 if verdicts.failed else 0)


if __name__ == "__main__":
    main()
