"""Writers that journal what they send and what is acknowledged, and the checks over their journals and an export.

A1 acknowledged is stored once; A2 stored was sent; A3 an unknown outcome appears 0 or 1 times, and a retry does not make 2;
A4 positions have no gap; A5 acknowledged before another was sent means a smaller position; A6 what one export showed, later ones show.
"""

import http.client
import json
import random
import threading
import time

from harness import NDJSON, verify_chain


class Op:
    """One request of a writer: its events' markers, when it was first sent and first acknowledged, the positions that were answered."""

    __slots__ = ("acked", "body", "key", "markers", "path", "positions", "safe", "sent", "type")

    def __init__(self, path, body, content_type, markers, key, safe):
        self.path, self.body, self.type, self.markers, self.key, self.safe = path, body, content_type, markers, key, safe
        self.sent = self.acked = self.positions = None


class Writer:
    """Sends events of all kinds. `ops` is its journal; `retry` holds what may safely be sent again."""

    PAUSE = 0.004
    PASSING = {503}

    def __init__(self, number, seed):
        self.number, self.random = number, random.Random(seed)
        self.ops, self.retry, self.count, self.faults, self.replays = [], [], 0, [], 0
        self.status = None

    def run(self, server, halt):
        """One round on one server; ends when it is gone."""
        with server.client(timeout=20) as client:
            pending, self.retry = self.retry, []
            while not halt.is_set() and self.step(client, pending):
                time.sleep(self.random.random() * self.PAUSE)
            self.retry += pending

    def step(self, client, pending):
        """Sends something, of `pending` first; False if there was no answer."""
        again = pending.pop() if pending else None
        op = again or self.make()
        if not again:
            self.ops.append(op)
        if not self.send(client, op):
            return False
        if op.acked and op.key and self.random.random() < 0.1 and not self.replay(client, op):
            return False
        if op.acked:
            op.body = None
        return True

    def pad(self):
        return f"{self.random.getrandbits(400):x}"

    def event(self, external):
        marker = f"w{self.number}-{self.count}"
        self.count += 1
        event = {"action": f"crash.{self.count % 7}", "actor": {"id": f"user-{self.count % 50}", "type": "user"},
                 "metadata": {"marker": marker, "pad": self.pad()}}
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
        """The answer, or None; `status` is that of the last one."""
        self.status = None
        try:
            answer = client.post(op.path, op.body, {"Content-Type": op.type, "Idempotency-Key": op.key})
        except (OSError, http.client.HTTPException):
            return None
        self.status = answer.status
        return answer

    def send(self, client, op):
        """False if there was no answer."""
        op.sent = op.sent or time.monotonic()
        answer = self.call(client, op)
        if answer is not None and answer.status in (200, 201):
            op.acked, op.positions = time.monotonic(), positions(op, answer)
            return True
        if op.safe:
            self.retry.append(op)
        else:
            op.body = None
        if answer is not None and answer.status not in self.PASSING:
            self.faults.append(f"{op.path}: {answer!r}")
        return answer is not None

    def replay(self, client, op):
        """The same body under the same key gives the same answer."""
        answer = self.call(client, op)
        if answer is None:
            return False
        if answer.status in self.PASSING:
            return True
        self.replays += 1
        if answer.status not in (200, 201) or positions(op, answer) != op.positions:
            self.faults.append(f"replay of {op.key}: {answer!r}, first {op.positions}")
        return True

    def finish(self, client):
        """Sends once more what has an unknown outcome and may be repeated; what failed again is left in `retry`."""
        pending, self.retry = self.retry, []
        for op in pending:
            self.send(client, op)


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

    def __init__(self, case, client, log, before=None):
        self.at, self.faults, self.head = {}, [], None
        broken, said = verify_chain(self.read(client, before), log)
        case.assertEqual(broken, 0, f"{log}: line {broken} {said}")
        case.assertEqual(self.faults[:5], [], log)

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


def faults(writers, stored):
    """What the journals of all writers of a log and an export of it contradict each other in."""
    found, ops = [], [op for w in writers for op in w.ops]
    for writer in writers:
        found += writer.faults
    sent = {m for op in ops for m in op.markers}
    found += [f"A2: {m} was never sent" for m in stored.at.keys() - sent][:5]
    for op in ops:
        at = [stored.at.get(m) for m in op.markers]
        if op.acked and None in at:
            found.append(f"A1: {op.markers[at.index(None)]} of an acknowledged {op.path} is lost")
        if op.acked and op.positions and tuple(at) != op.positions:
            found.append(f"the answer said {op.positions[:3]}..., the export says {at[:3]}...")
        if not op.acked and None in at and any(at):
            found.append(f"{op.path} of unknown outcome is stored in part: {sum(p is not None for p in at)} of {len(at)}")
    return found + order_faults(ops, stored.at)


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
    wrong, top = [], 0
    for _, sending, position, op in moments:
        if sending and position < top:
            wrong.append(f"A5: {op.markers[0]} has position {position}, but {top} was acknowledged before it was sent")
        elif not sending:
            top = max(top, position)
    return wrong[:5]


def summary(writers, stored):
    """Figures for people: acknowledged events, and how many of unknown outcome were stored."""
    acked = sum(len(op.markers) for w in writers for op in w.ops if op.acked)
    unknown = [m for w in writers for op in w.ops if not op.acked for m in op.markers]
    return acked, len(unknown), sum(m in stored.at for m in unknown), sum(w.replays for w in writers)


def in_threads(calls):
    """Starts one thread a call and returns them; what one raises is kept in its `error`."""
    threads = [Caught(call) for call in calls]
    for thread in threads:
        thread.start()
    return threads


class Caught(threading.Thread):
    """A thread that keeps what its call raised; `finish` joins and raises it."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.error = call, None

    def run(self):
        try:
            self.call()
        except BaseException as error:
            self.error = error

    def finish(self):
        self.join()
        if self.error:
            raise self.error
