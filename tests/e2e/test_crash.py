"""kill -9 at random moments under concurrent writers: what was acknowledged is there, once, in order, and the chain holds.

INDELIBLE_CRASH_ROUNDS  rounds (8; the full run is 200)
INDELIBLE_CRASH_SEED    seed of the moments and of what is sent (printed)

Sealing, compaction and collection run all the time (see BUSY). Each writer journals what it sends and what is acknowledged. Checked over all journals:
A1 acknowledged is stored once; A2 stored was sent; A3 an unknown outcome appears 0 or 1 times, and a retry does not make 2;
A4 positions have no gap; A5 acknowledged before another was sent means a smaller position; A6 what one export showed, later ones show.
"""

import http.client
import json
import os
import random
import threading
import time
import unittest

from harness import BUSY, NDJSON, SLOW, Case, run_cli, verify_chain

ROUNDS = int(os.environ.get("INDELIBLE_CRASH_ROUNDS", "8"))
SEED = int(os.environ.get("INDELIBLE_CRASH_SEED", str(random.randrange(10**9))))
WRITERS = 8
RESTART_LIMIT = 5.0


class Op:
    """One request of a writer: its events' markers, when it was first sent and first acknowledged, the positions that were answered."""

    __slots__ = ("acked", "body", "key", "markers", "path", "positions", "safe", "sent", "type")

    def __init__(self, path, body, content_type, markers, key, safe):
        self.path, self.body, self.type, self.markers, self.key, self.safe = path, body, content_type, markers, key, safe
        self.sent = self.acked = self.positions = None


class Writer:
    """Sends for a round until the server is gone. `ops` is its journal; `retry` holds what may safely be sent again."""

    def __init__(self, number, seed):
        self.number, self.random = number, random.Random(seed)
        self.ops, self.retry, self.count, self.faults, self.replays = [], [], 0, [], 0

    def run(self, server, halt):
        with server.client(timeout=20) as client:
            pending, self.retry = self.retry, []
            while not halt.is_set():
                again = pending.pop() if pending else None
                op = again or self.make()
                if not again:
                    self.ops.append(op)
                if not self.send(client, op):
                    break
                if op.acked and op.key and self.random.random() < 0.1 and not self.replay(client, op):
                    break
                if op.acked:
                    op.body = None
                time.sleep(self.random.random() * 0.004)
            self.retry += pending

    def event(self, external):
        marker = f"w{self.number}-{self.count}"
        self.count += 1
        event = {"action": f"crash.{self.count % 7}", "actor": {"id": f"user-{self.count % 50}", "type": "user"},
                 "metadata": {"marker": marker, "pad": f"{self.random.getrandbits(400):x}"}}
        if external:
            event["external_id"] = marker
        return marker, event

    def make(self):
        kind, key, external = self.random.random(), None, self.random.random() < 0.4
        if self.random.random() < 0.4:
            key = f"key-{self.number}-{len(self.ops)}"
        if kind < 0.70:
            markers, events = zip(self.event(external))
            path, body, content = "/v1/events", events[0], "application/json"
        elif kind < 0.94:
            markers, events = zip(*(self.event(external) for _ in range(self.random.randint(2, 50))))
            path, body, content = "/v1/events/batch", {"events": events}, "application/json"
        else:
            markers, events = zip(*(self.event(external) for _ in range(self.random.randint(50, 500))))
            path, body, content = "/v1/events/bulk", b"\n".join(json.dumps(e).encode() for e in events), NDJSON
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Op(path, body, content, markers, key, bool(key or external))

    def call(self, client, op):
        try:
            return client.post(op.path, op.body, {"Content-Type": op.type, "Idempotency-Key": op.key})
        except (OSError, http.client.HTTPException):
            return None

    def send(self, client, op):
        """True if the round goes on."""
        op.sent = op.sent or time.monotonic()
        answer = self.call(client, op)
        if answer is not None and answer.status in (200, 201):
            op.acked, op.positions = time.monotonic(), positions(op, answer)
            return True
        if op.safe:
            self.retry.append(op)
        else:
            op.body = None
        if answer is not None and answer.status != 503:
            self.faults.append(f"{op.path}: {answer!r}")
        return answer is not None

    def replay(self, client, op):
        """The same body under the same key gives the same answer."""
        answer = self.call(client, op)
        if answer is None:
            return False
        self.replays += 1
        if answer.status not in (200, 201) or positions(op, answer) != op.positions:
            self.faults.append(f"replay of {op.key}: {answer!r}, first {op.positions}")
        return True


def positions(op, answer):
    """The positions that an answer states for an operation's events, or None if it does not name each."""
    data = answer.json()["data"]
    if op.path == "/v1/events":
        return (data["sequence_number"],)
    if op.path == "/v1/events/batch":
        return tuple(e["sequence_number"] for e in data)
    first, last = data["first_position"], data["last_position"]
    whole = data["accepted"] == len(op.markers) and last - first + 1 == len(op.markers)
    return tuple(range(first, last + 1)) if whole else None


class Stored:
    """What an export showed: marker -> position, and the hash at its last position."""

    def __init__(self, case, client, before=None):
        self.at, self.faults, self.hash = {}, [], {}
        broken, said = verify_chain(self.read(client, before), case.log)
        case.assertEqual(broken, 0, f"line {broken} {said}")
        case.assertEqual(self.faults[:5], [])

    def read(self, client, before):
        seen = before.last if before else 0
        self.last = 0
        for line in client.export():
            event = json.loads(line)
            self.last += 1
            if event["sequence_number"] != self.last:
                self.faults.append(f"A4: position {event['sequence_number']} in place {self.last}")
            marker = event["metadata"]["marker"]
            if marker in self.at:
                self.faults.append(f"A1/A3: {marker} at {self.at[marker]} and at {self.last}")
            self.at[marker] = self.last
            if self.last == seen and event["hash"] != before.head:
                self.faults.append(f"A6: the hash at {seen} has changed")
            yield line
            self.head = event["hash"]
        if self.last < seen:
            self.faults.append(f"A6: {self.last} rows, {seen} were shown before")


class Crash(Case):
    def test_kill_9(self):
        print(f"\ncrash: {ROUNDS} rounds, seed {SEED}", flush=True)
        chance = random.Random(SEED)
        self.writers = [Writer(n, SEED + n) for n in range(WRITERS)]
        server = self.server(BUSY).start()
        self.log = server.log_id()
        every, stored, restarts = max(1, ROUNDS // 20), None, []
        for number in range(ROUNDS):
            halt = threading.Event()
            threads = [threading.Thread(target=w.run, args=(server, halt)) for w in self.writers]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.05, 1.5))
            self.assertIsNone(server.process.poll(), f"the server ended by itself\n{server.stderr()[-4000:]}")
            server.kill()
            halt.set()
            for thread in threads:
                thread.join()
            server.start(timeout=60)
            restarts.append(server.ready_seconds)
            if number % every == every - 1 or number == ROUNDS - 1:
                stored = self.check(server, stored)
        self.finish(server, stored)
        with server.client() as client:
            stored = self.check(server, stored)
            verdict = client.get("/v1/verify").json()["data"]
        self.assertEqual((verdict["status"], verdict["events_checked"]), ("valid", stored.last))
        self.assertEqual(server.stop(), 0)
        for command in ("doctor", "verify"):
            done = run_cli(command, data_dir=server.data_dir, timeout=600)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        acked = sum(len(op.markers) for w in self.writers for op in w.ops if op.acked)
        unknown = [m for w in self.writers for op in w.ops if not op.acked for m in op.markers]
        print(f"crash: {ROUNDS} kills, {stored.last} events stored, {acked} acknowledged, {len(unknown)} of unknown outcome ({sum(m in stored.at for m in unknown)} stored), "
              f"{sum(w.replays for w in self.writers)} replays, restart {max(restarts):.2f} s at most", flush=True)
        self.assertGreater(acked, ROUNDS)
        self.assertLess(max(restarts), RESTART_LIMIT * SLOW)

    def finish(self, server, stored):
        """Sends once more what has an unknown outcome and may be repeated: it must be acknowledged now."""
        with server.client() as client:
            for writer in self.writers:
                pending, writer.retry = writer.retry, []
                for op in pending:
                    writer.send(client, op)
                self.assertEqual(writer.retry, [], "a repeated request failed")

    def check(self, server, before):
        with server.client() as client:
            stored = Stored(self, client, before)
        faults, ops = [], [op for w in self.writers for op in w.ops]
        for writer in self.writers:
            faults += writer.faults
        sent = {m for op in ops for m in op.markers}
        faults += [f"A2: {m} was never sent" for m in stored.at.keys() - sent][:5]
        for op in ops:
            at = [stored.at.get(m) for m in op.markers]
            if op.acked and None in at:
                faults.append(f"A1: {op.markers[at.index(None)]} of an acknowledged {op.path} is lost")
            if op.acked and op.positions and tuple(at) != op.positions:
                faults.append(f"the answer said {op.positions[:3]}..., the export says {at[:3]}...")
            if not op.acked and None in at and any(at):
                faults.append(f"{op.path} of unknown outcome is stored in part: {sum(p is not None for p in at)} of {len(at)}")
        faults += order_faults(ops, stored.at)
        self.assertEqual(faults[:10], [], f"seed {SEED}\n{server.stderr()[-2000:]}")
        return stored


def order_faults(ops, at):
    """A5, by one sweep over the times of sending and of acknowledgement."""
    moments = []
    for op in ops:
        found = [at[m] for m in op.markers if m in at]
        if found:
            moments.append((op.sent, 1, min(found), op))
            if op.acked:
                moments.append((op.acked, 0, max(found), op))
    moments.sort(key=lambda m: m[:2])
    faults, top = [], 0
    for _, sending, position, op in moments:
        if sending and position < top:
            faults.append(f"A5: {op.markers[0]} has position {position}, but {top} was acknowledged before it was sent")
        elif not sending:
            top = max(top, position)
    return faults[:5]


if __name__ == "__main__":
    unittest.main()
