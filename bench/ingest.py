"""Load clients: bulk bodies straight from the generated file, and single events.

Promises that a body costs the client next to nothing (sendfile from the page cache, no copy, no encoding) and that
only acknowledged events count. Never retries: an answer that is not 201 ends the run.
"""
import json
import os
import selectors
import socket
import threading
import time
import urllib.parse

from common import quantile
from server import KEY


def open_socket(url):
    """A connected socket without Nagle's delay."""
    parts = urllib.parse.urlsplit(url)
    link = socket.create_connection((parts.hostname, parts.port), timeout=120)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def head(path, length, kind, key=KEY):
    """Request line and headers of a POST."""
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n").encode()


def complete(data):
    """(status, body) when `data` holds a whole answer with Content-Length, else None."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lowered = data[:end].lower()
    mark = lowered.find(b"content-length:")
    if mark < 0:
        raise RuntimeError(f"answer without Content-Length: {bytes(data[:300])!r}")
    length = int(lowered[mark + 15:].split(b"\r\n", 1)[0])
    return (int(data[9:12]), bytes(data[end + 4:])) if len(data) >= end + 4 + length else None


def receive(link):
    """One whole answer of a blocking socket."""
    data = bytearray()
    while True:
        part = link.recv(65536)
        if not part:
            raise RuntimeError(f"the server closed the connection: {bytes(data[:300])!r}")
        data += part
        answer = complete(data)
        if answer:
            return answer


def post_body(link, source, start, end, count, key=KEY):
    """Send one bulk body and check that all its events were accepted."""
    link.sendall(head("/v1/events/bulk", end - start, "application/x-ndjson", key))
    at = start
    while at < end:
        at += os.sendfile(link.fileno(), source, at, end - at)
    status, body = receive(link)
    if status != 201 or json.loads(body)["data"]["accepted"] != count:
        raise RuntimeError(f"bulk answered {status}: {body[:500]!r}")


def bulk(url, events, ranges, clients):
    """POST the bodies over `clients` keep-alive connections; events/s acknowledged and latency a body."""
    return spread([(url, KEY)] * clients, events, ranges)


def spread(targets, events, ranges):
    """As `bulk`, with one connection for each (URL, key) of `targets`."""
    todo, lock, latencies, failures = iter(ranges), threading.Lock(), [], []

    def work(url, key):
        link, source = open_socket(url), os.open(events.path, os.O_RDONLY)
        link.settimeout(None)
        try:
            while not failures:
                with lock:
                    job = next(todo, None)
                if job is None:
                    return
                started = time.perf_counter()
                post_body(link, source, *job, key)
                latencies.append(time.perf_counter() - started)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            failures.append(error)
        finally:
            link.close()
            os.close(source)
    threads = [threading.Thread(target=work, args=target) for target in targets]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise SystemExit(f"ingest failed: {failures[0]}")
    count = sum(job[2] for job in ranges)
    return {"events": count, "rate": count / seconds, "p50": quantile(latencies, .5), "p99": quantile(latencies, .99)}


def single(url, lines, clients, seconds):
    """POST one event at a time, each client again as soon as it is answered, from one thread."""
    chooser, sent, latencies, at = selectors.DefaultSelector(), {}, [], 0
    requests = [head("/v1/events", len(line), "application/json") + line for line in lines]
    links = [open_socket(url) for _ in range(clients)]
    started = time.perf_counter()

    def next_request(link):
        nonlocal at
        sent[link] = (time.perf_counter(), bytearray())
        link.sendall(requests[at % len(requests)])
        at += 1
    for link in links:
        chooser.register(link, selectors.EVENT_READ)
        next_request(link)
    while sent:
        for key, _ in chooser.select(30):
            link = key.fileobj
            begun, data = sent[link]
            part = link.recv(65536)
            if not part:
                raise SystemExit(f"single events: connection closed after {bytes(data[:300])!r}")
            data += part
            answer = complete(data)
            if not answer:
                continue
            if answer[0] != 201:
                raise SystemExit(f"single event answered {answer[0]}: {answer[1][:500]!r}")
            now = time.perf_counter()
            latencies.append(now - begun)
            del sent[link]
            if now - started < seconds:
                next_request(link)
    took = time.perf_counter() - started
    for link in links:
        link.close()
    chooser.close()
    return {"events": len(latencies), "rate": len(latencies) / took, "p50": quantile(latencies, .5), "p99": quantile(latencies, .99)}
