"""A store moved from one machine to a cluster and back, backed up under load and restored: every position, hash and byte stays.

INDELIBLE_COPY_EVENTS  events that are copied (20,000; the full run is 1,000,000)
"""

import filecmp
import json
import os
import random
import subprocess
import threading
import time
import unittest

import journal
from harness import BUSY, CLUSTER, NDJSON, Case, Client, binary, clean_env, run_cli
from nodes import make_project
from places import Place

EVENTS = int(os.environ.get("INDELIBLE_COPY_EVENTS", "20000"))
SETTINGS = {"INDELIBLE_SEAL_BYTES": str(EVENTS * 20), "INDELIBLE_TASK_INTERVAL_MS": "50"}
SHOWN = [("default", "events"), ("default", "activity"), ("second", "events")]


class Embedded:
    """A store in a directory, with the members of a Place that are needed here."""

    def __init__(self, folder):
        self.folder = folder

    def env(self):
        return {"INDELIBLE_DATA_DIR": str(self.folder)}


@unittest.skipIf(CLUSTER, "uses both kinds of store in either run")
class Transfer(Case):
    def cluster(self):
        place = Place.from_environment()
        self.addCleanup(place.close)
        return place

    def run_on(self, store, *args, env=None):
        """A command on a store; its output."""
        start = time.monotonic()
        done = run_cli(*args, env={**store.env(), **(env or {})}, timeout=1200)
        self.assertEqual(done.returncode, 0, f"indelible {args}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        if args[0] in ("copy", "backup", "restore"):
            print(f"\n{args[0]}: {time.monotonic() - start:.1f} s: {done.stdout.partition(chr(10))[0]}", flush=True)
        return done.stdout

    def start(self, store, **settings):
        return self.server({**store.env(), **SETTINGS, **settings}, data_dir=getattr(store, "folder", self.dir / "scratch")).start()

    def fill(self, store):
        """Two projects, both logs, sealed segments and a tail, external ids, a key that is known. Returns what a repeat must answer."""
        server = self.start(store)
        with server.client(timeout=600) as client:
            for at in range(0, EVENTS, 10_000):
                lines = (json.dumps({"action": f"copy.{n % 9}", "external_id": f"x{n}", "actor": {"id": f"u{n % 100}", "meta": {"name": "Ünal"}}, "target": {"type": "doc", "id": f"d{n % 7}"},
                                     "metadata": {"n": n, "text": "\"quoted\",\n" * (n % 3)}, "occurred_at": f"2026-0{1 + n % 9}-01T00:00:{n % 60:02}Z"}) for n in range(at, min(EVENTS, at + 10_000)))
                self.assert_status(client.post("/v1/events/bulk", "\n".join(lines).encode(), {"Content-Type": NDJSON}), 201)
            self.assert_status(client.bulk([{"action": "api.call", "http": {"method": "GET", "status": 200 + n % 3}} for n in range(500)]), 201)
            self.wait_sealed(client)
            answer = self.assert_status(client.post("/v1/events", {"action": "copy.once"}, {"Idempotency-Key": "once"}), 201).json()
        secret = make_project(store, "second")[1]
        with Client(server.url, key=secret) as client:
            self.assert_status(client.bulk([{"action": f"second.{n}"} for n in range(50)]), 201)
        self.assertEqual(server.stop(), 0)
        return answer, secret

    def wait_sealed(self, client):
        """Some is sealed, so that objects are copied too."""
        deadline = time.monotonic() + 60
        while "\nindelible_segments 0\n" in client.get("/metrics").body.decode():
            self.assertLess(time.monotonic(), deadline, "nothing is sealed")
            time.sleep(0.1)

    def shown(self, store, name):
        """Exports of everything, as files."""
        files = []
        for project, log in SHOWN:
            for form in ("ndjson", "csv"):
                files.append(self.dir / f"{name}-{project}-{log}.{form}")
                self.run_on(store, "export", "--project", project, "--log", log, "--format", form, "--output", files[-1])
        return files

    def assert_same(self, first, second):
        for a, b in zip(first, second):
            self.assertGreater(a.stat().st_size, 0)
            self.assertTrue(filecmp.cmp(a, b, shallow=False), f"{a.name} and {b.name} differ")

    def assert_sound(self, store):
        for project, _ in SHOWN[::2]:
            self.run_on(store, "verify", "--project", project)
        self.assertNotIn("nothing knows", self.run_on(store, "doctor"))

    def assert_lives(self, store, once, secret):
        """Its keys hold, repeats are known, and it takes new events at the next position."""
        server = self.start(store)
        with server.client() as client:
            self.assertEqual(client.post("/v1/events", {"action": "copy.once"}, {"Idempotency-Key": "once"}).json(), once)
            head = client.head()
            again = client.bulk([{"action": "copy.0", "external_id": "x0"}]).json()["data"]
            self.assertEqual((again["accepted"], again["duplicates"], client.head()), (0, 1, head))
            self.assertEqual(client.post("/v1/events", {"action": "copy.next"}).json()["data"]["sequence_number"], head + 1)
            self.assertEqual(client.get("/v1/verify").json()["data"]["status"], "valid")
        with Client(server.url, key=secret) as client:
            self.assertEqual(client.head(), 50)
        self.assertEqual(server.stop(), 0)

    def test_there_and_back(self):
        source, cluster, back = Embedded(self.dir / "source"), self.cluster(), Embedded(self.dir / "back")
        once, secret = self.fill(source)
        first = self.shown(source, "source")
        target = {**cluster.env(), "INDELIBLE_DATABASE_URL": "", "INDELIBLE_OBJECTS_URL": ""}
        self.run_on(source, "copy", "--to-database", cluster.database, "--to-objects", cluster.objects, env=target)
        self.assert_same(first, self.shown(cluster, "cluster"))
        self.assert_sound(cluster)
        self.run_on(cluster, "copy", "--to-data-dir", back.folder)
        self.assert_same(first, self.shown(back, "back"))
        self.assert_sound(back)
        refused = run_cli("copy", "--to-database", cluster.database, "--to-objects", cluster.objects, env={**source.env(), **target, "INDELIBLE_DATA_DIR": str(source.folder)})
        self.assertNotEqual(refused.returncode, 0, "copied over a store that holds something")
        self.assert_lives(back, once, secret)
        self.assert_lives(cluster, once, secret)

    def test_backup_and_restore(self):
        for name, store, other in (("embedded", Embedded(self.dir / "one"), self.cluster()), ("cluster", self.cluster(), Embedded(self.dir / "two"))):
            with self.subTest(name):
                once, secret = self.fill(store)
                first = self.shown(store, f"{name}-live")
                backup = Embedded(self.dir / f"{name}-backup")
                self.run_on(store, "backup", backup.folder)
                self.assert_same(first, self.shown(backup, f"{name}-backup"))
                self.run_on(other, "restore", backup.folder)
                self.assert_same(first, self.shown(other, f"{name}-restored"))
                self.assert_sound(other)
                self.assert_lives(other, once, secret)

    def test_backup_of_the_database_alone(self):
        """The objects stay where they are; a new database finds them."""
        store = self.cluster()
        once, secret = self.fill(store)
        first, backup = self.shown(store, "live"), self.dir / "rows"
        self.run_on(store, "backup", "--database-only", backup)
        refused = run_cli("serve", "--listen", "127.0.0.1:0", env={"INDELIBLE_DATA_DIR": str(backup)}, timeout=30)
        self.assertNotEqual(refused.returncode, 0, "a server runs on a backup without objects")
        lost = self.cluster()
        store.database, lost.database = lost.database, store.database
        self.run_on(store, "restore", backup)
        self.assert_same(first, self.shown(store, "restored"))
        self.assert_sound(store)
        self.assert_lives(store, once, secret)

    def test_a_copy_that_was_cut_off_is_not_taken_for_a_store(self):
        source, cluster = Embedded(self.dir / "source"), self.cluster()
        self.fill(source)
        target = {**source.env(), **cluster.env(), "INDELIBLE_DATABASE_URL": "", "INDELIBLE_OBJECTS_URL": "", "INDELIBLE_TO_DATABASE": cluster.database, "INDELIBLE_TO_OBJECTS": cluster.objects}
        self.run_on(cluster, "migrate")
        for _ in range(20):
            copy = subprocess.Popen([binary(), "copy"], env=clean_env(target), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 30
            while copy.poll() is None and cluster.query("SELECT count(*) FROM marks") == "0":
                self.assertLess(time.monotonic(), deadline)
            copy.kill()
            if copy.wait() == 0:
                cluster = self.cluster()  # it was faster than we are
                self.run_on(cluster, "migrate")
                target.update(INDELIBLE_TO_DATABASE=cluster.database, INDELIBLE_TO_OBJECTS=cluster.objects)
                continue
            for args in (("serve", "--listen", "127.0.0.1:0"), ("project", "list")):
                refused = run_cli(*args, env=cluster.env(), timeout=30)
                self.assertNotEqual(refused.returncode, 0, "half a copy is taken for a store")
                self.assertIn("copy", refused.stderr)
            again = run_cli("copy", env=target)
            self.assertNotEqual(again.returncode, 0, "copied over half a copy")
            return
        self.fail("no copy could be cut off")

    def test_backup_under_load(self):
        """It is the store at one moment: a prefix of what came later, with all that was acknowledged before."""
        for name, store in (("embedded", Embedded(self.dir / "busy")), ("cluster", self.cluster())):
            with self.subTest(name):
                server, seed = self.start(store, **BUSY), random.randrange(10**9)
                log, halt = server.log_id(), threading.Event()
                writers = [journal.Writer(n, seed + n) for n in range(4)]
                threads = journal.in_threads([lambda w=w: w.run(server, halt) for w in writers])
                prefixes = []
                for number in range(3):
                    time.sleep(1.5)
                    with server.client() as client:
                        low = client.head()
                    backup = Embedded(self.dir / f"{name}-{number}")
                    self.run_on(store, "backup", backup.folder)
                    with server.client() as client:
                        prefixes.append((backup, low, client.head()))
                halt.set()
                for thread in threads:
                    thread.finish()
                with server.client() as client:
                    stored = journal.Stored(self, client, log)
                    whole = b"".join(client.export())
                self.assertEqual(journal.faults(writers, stored)[:10], [], f"seed {seed}")
                for backup, low, high in prefixes:
                    self.run_on(backup, "verify")
                    self.run_on(backup, "doctor")
                    path = self.dir / "backup.ndjson"
                    self.run_on(backup, "export", "--output", path)
                    text = path.read_bytes()
                    self.assertTrue(whole.startswith(text), "a backup is not a prefix of the store")
                    self.assertTrue(low <= text.count(b"\n") <= high, f"a backup of {text.count(10)} events; there were {low} before and {high} after it")
                self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
