"""What other programs must count in the archive: shared by the tests with DuckDB and with Spark."""

import json
import sqlite3
import time

from harness import NDJSON, SLOW, run_cli

EVENTS = 6000
# What the API is asked, and the same question in SQL.
FILTERS = [
    ({}, "true"),
    ({"action": "user.login"}, "action = 'user.login'"),
    ({"action": "user.*"}, "action LIKE 'user.%'"),
    ({"actor_id": "u7"}, "actor_id = 'u7'"),
    ({"from": "2026-03-01", "to": "2026-05-31"}, "occurred_at >= TIMESTAMP '2026-03-01 00:00:00' AND occurred_at < TIMESTAMP '2026-06-01 00:00:00'"),
    ({"from": "2026-02-11", "action": "doc.deleted", "actor_id": "u3"}, "occurred_at >= TIMESTAMP '2026-02-11 00:00:00' AND action = 'doc.deleted' AND actor_id = 'u3'"),
    ({"actor_id": "nobody"}, "actor_id = 'nobody'"),
]
# Small segments that are compacted at once, and superseded files that stay for the length of the test.
SETTINGS = {"INDELIBLE_SEAL_BYTES": "50000", "INDELIBLE_SEGMENT_BYTES": "1500000", "INDELIBLE_TASK_INTERVAL_MS": "50", "INDELIBLE_ORPHAN_GRACE": "1h", "INDELIBLE_TASK_LEASE": "2",
            "INDELIBLE_RETENTION_DELAY": "0"}
ACTIONS = ["user.login", "user.logout", "doc.deleted", "doc.read", "users.list"]


def fill(client, first, events):
    """Events with numbers from `first` on; no faster than they are sealed, so that there are many segments."""
    for at in range(first, first + events, 300):
        lines = (json.dumps({"action": ACTIONS[n % 5], "actor": {"id": f"u{n % 13}"}, "metadata": {"n": n, "pad": "x" * 100},
                             "occurred_at": f"2026-0{1 + n % 8}-1{n % 3}T{n % 24:02}:59:59.999999Z"}) for n in range(at, at + 300))
        answer = client.post("/v1/events/bulk", "\n".join(lines).encode(), {"Content-Type": NDJSON})
        if answer.status != 201:
            raise AssertionError(repr(answer))
        until("a seal", lambda: figure(client, "sealed_events") >= at + 300)


def archive(env, *flags):
    """What `indelible archive list` prints, by lines."""
    done = run_cli("archive", "list", "--log", "events", *flags, env=env)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout.splitlines()


def sealed_to(env):
    """The sealed position: up to it, the archive and the API must agree."""
    return json.loads(archive(env)[-1])["last"]


def our_counts(client, env):
    """What the API counts up to the sealed position, one a filter."""
    end = sealed_to(env)
    return [sum(json.loads(line)["sequence_number"] <= end for line in client.export(**params)) for params, _ in FILTERS]


def until(what, found):
    """Waits until `found()` is true."""
    deadline = time.monotonic() + 60 * SLOW
    while not found():
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.05)


def figure(client, name):
    """A figure of /metrics."""
    text = client.get("/metrics").body.decode()
    return int(text.split(f"\nindelible_{name} ")[1].split()[0])


def expired(env):
    return sum(json.loads(line)["expired"] for line in archive(env))


def make_old(store, segments):
    """Lets the first segments of the log events be three days older than they are: retention counts from when an event was received, and no test waits for that."""
    days = 3 * 86_400 * 1_000_000
    statement = (f"UPDATE segments SET max_received = max_received - {days}, max_occurred = max_received - {days} "
                 f"WHERE id IN (SELECT id FROM segments WHERE kind = 0 ORDER BY first LIMIT {segments})")
    if hasattr(store, "query"):
        store.query(statement)
    else:
        with sqlite3.connect(store.folder / "indelible.db", timeout=30) as database:
            database.execute(statement)
        database.close()
