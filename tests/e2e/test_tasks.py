"""Exports as tasks: they survive the death of the server and of the object store, end once, and let others through.

INDELIBLE_TASK_ROWS: rows of the export under which the server is killed (200,000; two million take some minutes).
"""

import collections
import hashlib
import http.client
import json
import os
import time
import unittest
import urllib.parse
import zlib

from harness import CLUSTER, PLACES, SLOW, Case, Client, run_cli
from nodes import SECRET, Node
from places import Place
from servers import Postgres, Seaweed

ROWS = int(os.environ.get("INDELIBLE_TASK_ROWS", "200000"))
# A lease that ends soon, and what came to nothing collected at once.
QUICK = {"INDELIBLE_TASK_LEASE": "2", "INDELIBLE_ORPHAN_GRACE": "0", "INDELIBLE_TASK_INTERVAL_MS": "50"}
COLLECTED = 15


def load(client, rows, start=0, size=10_000):
    """Stores `rows` events of about 300 bytes."""
    for at in range(start, start + rows, size):
        last = min(at + size, start + rows)
        events = [{"action": f"file.{'read' if i % 3 else 'deleted'}", "actor": {"id": f"usr_{i % 1000}", "type": "user"}, "target": {"id": f"file_{i}", "type": "file"},
                   "metadata": {"number": i, "note": hashlib.md5(str(i).encode()).hexdigest() * 3}} for i in range(at, last)]
        answer = client.bulk(events)
        if answer.status != 201:
            raise AssertionError(repr(answer))


def start_export(client, **parameters):
    answer = client.post("/v1/exports", {"exported_object": "event", "parameters": parameters})
    if answer.status != 200:
        raise AssertionError(repr(answer))
    return answer.json()["id"]


def show(client, export):
    answer = client.get(f"/v1/exports/{export}")
    if answer.status != 200:
        raise AssertionError(repr(answer))
    return answer.json()


def wait(find, export, seconds=300, states=("finished", "failed", "cancelled")):
    """Polls through `find`, a function that gives a client or None, until the export is over."""
    deadline = time.monotonic() + seconds * SLOW
    while time.monotonic() < deadline:
        try:
            client = find()
            if client:
                with client:
                    seen = show(client, export)
                if seen["state"] in states:
                    return seen
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    raise AssertionError(f"export {export} was not over after {seconds} s")


def fetch(url, headers=None):
    """A whole GET without a credential."""
    with Client(url, key=None, timeout=300) as client:
        parts = urllib.parse.urlsplit(url)
        answer = client.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
    if answer.status != 200:
        raise AssertionError(repr(answer))
    return answer.body


def stream_digest(client):
    """Rows and digest of the NDJSON stream."""
    rows, digest = 0, hashlib.sha256()
    for line in client.export():
        rows += 1
        digest.update(line)
    return rows, digest.hexdigest()


class Deaths(Case):
    def files(self, server):
        """Objects of tasks and unfinished ones."""
        if CLUSTER:
            place = PLACES[str(server.data_dir)]
            return sorted(k for k in place.keys() if "/tasks/" in k), [u for u in place.uploads() if "/tasks/" in u[0]]
        found = [p for p in (server.data_dir / "objects").rglob("*") if p.is_file() and "/tasks/" in str(p)]
        return sorted(map(str, (p for p in found if p.suffix != ".part"))), [p for p in found if p.suffix == ".part"]

    def assert_whole(self, done, rows, plain):
        """The file is what its manifest and the export say, and unpacked the stream."""
        self.assertEqual((done["state"], done["rows"]), ("finished", rows), done.get("error"))
        body = fetch(done["result"]["download_url"])
        self.assertEqual((len(body), hashlib.sha256(body).hexdigest()), (done["size"], done["sha256"]))
        manifest = json.loads(fetch(done["result"]["manifest_url"]))
        self.assertEqual((manifest["rows"], manifest["sha256"], manifest["snapshot"], manifest["first"], manifest["last"]), (rows, done["sha256"], rows, 1, rows))
        self.assertEqual(hashlib.sha256(zlib.decompress(body, 31)).hexdigest(), plain)

    def assert_clean(self, server, objects):
        """Only published files are left, soon."""
        deadline = time.monotonic() + (COLLECTED + 20) * SLOW
        while (left := self.files(server)) and (len(left[0]) != objects or left[1]) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual((len(left[0]), left[1]), (objects, []), left)

    def test_a_killed_server_finishes_its_export_by_itself_and_once(self):
        server = self.server(QUICK).start()
        with server.client() as client:
            load(client, ROWS)
            _, plain = stream_digest(client)
            export = start_export(client, format="ndjson", compression="gzip")
        done = wait(server.client, export)
        self.assert_whole(done, ROWS, plain)
        took = self.seconds(server, done)
        killed = collections.Counter()
        for n, part in enumerate([0.01, 0.5, 0.99]):
            for attempt in range(12):
                with server.client() as client:
                    export = start_export(client, format="ndjson", compression="gzip")
                    while show(client, export)["state"] == "queued":
                        pass
                    time.sleep(took * part * (1 - attempt * 0.04))
                    before = show(client, export)
                server.kill()
                server.start()
                if before["state"] == "running":
                    killed[part] += 1
                    break
                took = min(took, self.seconds(server, before))
            done = wait(server.client, export)
            self.assert_whole(done, ROWS, plain)
            with server.client() as client:
                task = client.get(f"/v1/async-actions/{done['task_id']}").json()
                self.assertEqual((task["status"], task["progress"], task["result"]["done_count"]), ("DONE", 100, ROWS))
        with server.client() as client:
            exports = client.get("/v1/exports", limit=100).json()["total"]
        self.assertEqual([killed[p] for p in (0.01, 0.5, 0.99)], [1, 1, 1], "a kill came after the end")
        self.assert_clean(server, 2 * exports)
        print(f"kills at 1, 50 and 99 % of {ROWS} rows ({took:.1f} s alone)", flush=True)

    def seconds(self, server, export):
        """How long the work on a finished export took."""
        with server.client() as client:
            return client.get(f"/v1/async-actions/{export['task_id']}").json()["processing_time"] / 1000

    def test_a_task_that_is_stopped_leaves_nothing(self):
        server = self.server(QUICK).start()
        with server.client() as client:
            load(client, 60_000)
            export = start_export(client, format="csv", compression="gzip")
            task = show(client, export)["task_id"]
            answer = client.post(f"/v1/tasks/{task}/cancel", b"")
            self.assertIn(answer.status, (200, 409), repr(answer))
            done = wait(server.client, export)
            if answer.status == 200 and done["state"] == "cancelled":
                self.assertEqual((done["status"], done["result"]), ("ERROR", None))
                self.assert_clean(server, 0)
                self.assertEqual(client.post(f"/v1/tasks/{task}/cancel", b"").status, 409)

    def test_an_export_that_finds_nothing_stays_alive_and_can_be_stopped(self):
        """No row matches, so no byte comes for a long time: signs of life must not wait for one."""
        server = self.server({**QUICK, "INDELIBLE_TASK_LEASE": "1"}).start()
        filters = {"junction": "and", "metadata": {"conditions": {"$not_contain": [f"zq{i}x" for i in range(900)]}}, "target_id": {"conditions": {"$ends_with": ["never"]}}}
        with server.client() as client:
            load(client, 100_000)
            export = start_export(client, format="ndjson", filters=filters)
            done = wait(server.client, export)
            self.assertEqual((done["state"], done["rows"]), ("finished", 0), done)
            self.assertGreater(self.seconds(server, done), 0.5, "too quick to say anything")
            export = start_export(client, format="ndjson", filters=filters)
            while not (seen := show(client, export))["progress"]:
                self.assertIn(seen["state"], ("queued", "running"))
                time.sleep(0.05)
            self.assertEqual(client.post(f"/v1/tasks/{seen['task_id']}/cancel", b"").status, 200)
            self.assertEqual(wait(server.client, export, 20)["state"], "cancelled")
        self.assertNotIn("lease was lost", server.stderr())

    def test_many_exports_of_one_project_do_not_keep_another_waiting(self):
        server = self.server().start()
        made = run_cli("project", "create", "other", data_dir=server.data_dir)
        self.assertEqual(made.returncode, 0, made.stderr)
        key = SECRET.search(run_cli("key", "create", "--project", "other", "--name", "test", data_dir=server.data_dir).stdout)[1]
        with server.client() as one, server.client(key=key) as other:
            load(one, 20_000)
            load(other, 60_000)
            alone = self.timed(other)
            queued = [start_export(one, format="ndjson", compression="gzip") for _ in range(200)]
            delayed = self.timed(other)
            states = [show(one, export)["state"] for export in queued]
            self.assertGreater(states.count("queued"), 20, "too few were waiting to say anything")
            print(f"first export of another project: {alone:.2f} s alone, {delayed:.2f} s behind 200 queued ones; {server.memory('VmHWM') >> 20} MiB", flush=True)
            self.assertLess(delayed - alone, alone + 2 * SLOW)
            self.assertLess(server.memory("VmHWM"), 300 << 20)
            for export in queued:
                self.assertEqual(one.request("DELETE", f"/v1/exports/{export}").status, 204)

    def timed(self, client):
        began = time.monotonic()
        export = start_export(client, format="csv", compression="gzip")
        while show(client, export)["state"] != "finished":
            time.sleep(0.02)
        return time.monotonic() - began


@unittest.skipIf(CLUSTER, "starts a cluster of its own in either run")
class Outages(Case):
    def test_an_export_outlives_the_death_of_the_object_store(self):
        postgres, seaweed = self.enterContext(Postgres()).start(), self.enterContext(Seaweed()).start()
        place = Place.of(postgres, seaweed)
        self.addCleanup(place.close)
        nodes = [Node(n, self.dir, {**place.env(), **QUICK}).start() for n in range(2)]
        self.addCleanup(lambda: [n.close() for n in nodes])
        for node in nodes:
            node.wait_ready()
        with nodes[0].client() as client:
            load(client, ROWS)
            _, plain = stream_digest(client)
            export = start_export(client, format="ndjson")
        deadline = time.monotonic() + 30 * SLOW
        while not (met := [u for u in place.uploads() if "/tasks/" in u[0]]) and time.monotonic() < deadline:
            time.sleep(0.002)
        seaweed.kill()
        time.sleep(1.5)
        seaweed.start()
        ready = lambda: next((n.client(timeout=10) for n in nodes if n.ready), None)
        done = wait(ready, export)
        self.assertEqual((done["state"], done["rows"]), ("finished", ROWS), done)
        body = fetch(done["result"]["download_url"])
        self.assertEqual((hashlib.sha256(body).hexdigest(), done["sha256"]), (plain, plain))
        self.assertTrue(met, "the store was killed outside of an upload")
        # And the node that works on one dies: the other goes on when the lease ends.
        with nodes[0].client() as client:
            export = start_export(client, format="ndjson", compression="gzip")
            while show(client, export)["state"] == "queued":
                time.sleep(0.005)
        for node in nodes:
            node.kill()
            time.sleep(0.2)
        done = wait(ready, export)
        self.assertEqual((done["state"], done["rows"]), ("finished", ROWS), done)
        deadline = time.monotonic() + (COLLECTED + 20) * SLOW
        tasks = lambda: ([k for k in place.keys() if "/tasks/" in k], [u for u in place.uploads() if "/tasks/" in u[0]])
        while (left := tasks()) and (len(left[0]) != 4 or left[1]) and time.monotonic() < deadline:
            time.sleep(0.3)
        self.assertEqual((len(left[0]), left[1]), (4, []), left)


if __name__ == "__main__":
    unittest.main()
