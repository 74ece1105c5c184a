"""Three nodes on one PostgreSQL and one S3, while all of them are killed, stopped and frozen under 24 writers.

INDELIBLE_CHAOS_SECONDS  how long faults go on at least (30; the full run is 600)
INDELIBLE_CHAOS_SEED     seed of the moments and of what is sent (printed)

Nodes are killed (-9) all the time; PostgreSQL is stopped in immediate mode five times (three in the short run), the S3 server
killed during multipart uploads as often, and one node frozen past its lease. Twelve writers share a project and twelve have one each; they go to
another node when theirs does not answer. Checked: what journal.py says, for each project; no task is lost, the segments tile the
log, and after the grace period the bucket holds what the manifests name, and nothing else.
"""

import base64
import itertools
import json
import os
import random
import re
import threading
import time
import unittest

import journal
from harness import CLUSTER, SLOW, Case, run_cli
from nodes import Node, command, make_project
from places import Place
from servers import Postgres, Seaweed

SECONDS = float(os.environ.get("INDELIBLE_CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("INDELIBLE_CHAOS_SEED", str(random.randrange(10**9))))
NODES, SHARED, ALONE = 3, 12, 12
OUTAGES = 5 if SECONDS >= 300 else 3
LEASE = 2
SEAL_BYTES = 1_000_000
# Segments often outgrow one part of a multipart upload, and are compacted again soon.
SETTINGS = {"INDELIBLE_SEAL_BYTES": str(SEAL_BYTES), "INDELIBLE_SEGMENT_BYTES": "64000000", "INDELIBLE_ORPHAN_GRACE": "2", "INDELIBLE_TASK_INTERVAL_MS": "200",
            "INDELIBLE_TASK_LEASE": str(LEASE)}
PATIENCE = 90


class Roamer(journal.Writer):
    """A writer that goes to another node when its own does not answer. Some of what it sends does not compress."""

    PAUSE = 0.4
    PASSING = {409, 503}  # 409: its first try is still in flight on a node

    def __init__(self, number, key, heavy):
        super().__init__(number, SEED + number)
        self.key, self.heavy = key, heavy

    def pad(self):
        return base64.b64encode(self.random.randbytes(75_000)).decode() if self.random.random() < self.heavy else super().pad()

    def roam(self, nodes, halt):
        pending = []
        while not halt.is_set():
            reachable = [n for n in nodes if n.url]
            if not reachable:
                time.sleep(0.05)
                continue
            with self.random.choice(reachable).client(key=self.key, timeout=5) as client:
                for _ in range(self.random.randint(1, 50)):
                    if halt.is_set() or not self.step(client, pending):
                        break
                    time.sleep(0.3 if self.status in self.PASSING else self.random.random() * self.PAUSE)
            pending, self.retry = pending + self.retry, []
        self.retry += pending


class Reader:
    """Exports a project again and again: each answer is whole or visibly not, and none shows less than an earlier one."""

    def __init__(self, key):
        self.key, self.whole, self.broken, self.rows, self.faults = key, 0, 0, 0, []

    def read(self, nodes, halt):
        while not halt.wait(0.5):
            for node in [n for n in nodes if n.url]:
                try:
                    with node.client(key=self.key, timeout=10) as client:
                        rows = sum(1 for _ in client.export())
                except AssertionError as error:
                    self.broken += 1
                    if "answered 503" not in str(error):
                        self.faults.append(f"export: {error}")
                    continue
                except Exception:
                    self.broken += 1  # cut off: the client saw it
                    continue
                self.whole += 1
                if rows < self.rows:
                    self.faults.append(f"A6: an export of {rows} rows after one of {self.rows}")
                self.rows = max(self.rows, rows)


class Faults:
    """What is done to the servers, and when: [(kind, from, to)]."""

    def __init__(self, postgres, seaweed, place, nodes):
        self.postgres, self.seaweed, self.place, self.nodes = postgres, seaweed, place, nodes
        self.random, self.done, self.idle_s3 = random.Random(SEED), [], 0

    def run(self, seconds):
        until = time.monotonic() + seconds * SLOW
        plan = [self.stop_postgres] * OUTAGES + [self.kill_s3] * OUTAGES + [self.freeze_node]
        self.random.shuffle(plan)
        pause = max(0.5, seconds / len(plan) - 4)
        for fault in plan:
            time.sleep(self.random.uniform(0.5, 1.5) * pause)
            fault()
        time.sleep(max(0, until - time.monotonic()))

    def kill_nodes(self, halt):
        while not halt.wait(self.random.uniform(1.5, 5)):
            ready = [n for n in self.nodes if n.ready and not n.frozen]
            if ready:
                start = time.monotonic()
                self.random.choice(ready).kill()
                self.done.append(("node killed", start, time.monotonic()))

    def stop_postgres(self):
        start = time.monotonic()
        self.postgres.stop_immediate()
        time.sleep(self.random.uniform(0.1, 2))
        self.postgres.start()
        self.done.append(("PostgreSQL stopped", start, time.monotonic()))

    def kill_s3(self):
        patience = time.monotonic() + 20 * SLOW
        while not (seen := self.place.uploads()) and time.monotonic() < patience:
            time.sleep(0.005)
        start = time.monotonic()
        self.seaweed.kill()
        self.idle_s3 += not seen
        time.sleep(self.random.uniform(0.1, 2))
        self.seaweed.start()
        self.done.append(("S3 killed", start, time.monotonic()))

    def freeze_node(self):
        while not (ready := [n for n in self.nodes if n.ready]):
            time.sleep(0.05)
        node, start = self.random.choice(ready), time.monotonic()
        node.freeze()
        time.sleep(2.5 * LEASE)
        node.thaw()
        self.done.append(("node frozen", start, time.monotonic()))

    def report(self, projects):
        """For each kind of fault, and kinds that came together: how often it was made, and the longest time that a project took nothing in around it."""
        worst = {kind: 0 for kind, _, _ in self.done}
        for writers in projects:
            acks = sorted(op.acked for w in writers for op in w.ops if op.acked)
            for a, b in zip(acks, acks[1:]):
                kinds = {kind for kind, start, end in self.done if a < end and b > start} if b - a > 0.5 else ()
                if kinds:
                    label = " and ".join(sorted(kinds))
                    worst[label] = max(worst.get(label, 0), b - a)
        return {kind: (sum(k == kind for k, _, _ in self.done), gap) for kind, gap in worst.items()}


@unittest.skipIf(CLUSTER, "starts a cluster of its own in either run")
class Chaos(Case):
    def setUp(self):
        super().setUp()
        self.postgres = self.enterContext(Postgres()).start()
        self.seaweed = self.enterContext(Seaweed()).start()
        self.place = Place.of(self.postgres, self.seaweed)
        self.nodes = []

    def start_nodes(self):
        for number in range(NODES):
            self.nodes.append(Node(number, self.dir, {**self.place.env(), **SETTINGS}).start())
            self.addCleanup(self.nodes[-1].close)
            self.nodes[-1].wait_ready()

    def test_everything_dies_now_and_then(self):
        print(f"\nchaos: {SECONDS:.0f} s, seed {SEED}", flush=True)
        command(self.place, "migrate")
        keys = [make_project(self.place, f"p{n}") for n in range(1 + ALONE)]
        self.start_nodes()
        shared = [Roamer(n, keys[0][1], 0.02) for n in range(SHARED)]
        alone = [[Roamer(SHARED + n, keys[1 + n][1], 0)] for n in range(ALONE)]
        projects, reader = [shared, *alone], Reader(keys[1][1])
        faults, halt, spare = Faults(self.postgres, self.seaweed, self.place, self.nodes), threading.Event(), threading.Event()
        threads = journal.in_threads([lambda w=w: w.roam(self.nodes, halt) for ws in projects for w in ws] + [lambda: reader.read(self.nodes, halt)])
        killer, = journal.in_threads([lambda: faults.kill_nodes(spare)])
        start = time.monotonic()
        faults.run(SECONDS)
        print(f"chaos: {len(faults.done)} faults in {time.monotonic() - start:.0f} s", flush=True)
        spare.set()
        killer.finish()
        for node in self.nodes:
            node.wait_ready()
        halt.set()
        for thread in threads:
            thread.finish()
        self.print_faults(faults, projects, reader)
        self.assertEqual([d for n in self.nodes for d in n.deaths], [])
        self.assertEqual(reader.faults[:5], [])
        self.check_journals(keys, projects)
        self.check_tasks()
        self.check_archive([project for project, _ in keys])
        self.assertEqual([d for n in self.nodes for d in n.deaths], [])

    def print_faults(self, faults, projects, reader):
        for kind, (count, gap) in sorted(faults.report(projects).items()):
            print(f"chaos: {kind}{f' {count} times' if count else ''}: a project took nothing in for {gap:.1f} s at most", flush=True)
        print(f"chaos: {sum(n.refused for n in self.nodes)} starts ended because a server was away; {reader.whole} exports were whole, {reader.broken} refused or cut off", flush=True)
        if faults.idle_s3:
            print(f"chaos: {faults.idle_s3} of the S3 kills met no multipart upload", flush=True)
        self.assertLess(faults.idle_s3, OUTAGES, "no S3 kill met a multipart upload")

    def check_journals(self, keys, projects):
        acked = stored_events = unknown = kept = replays = 0
        for (project, key), writers in zip(keys, projects):
            with self.nodes[0].client(key=key, timeout=120) as client:
                for writer in writers:
                    self.finish(writer, client)
                stored = journal.Stored(self, client, f"{project}/events")
                self.assertEqual(journal.faults(writers, stored)[:10], [], f"project {project}, seed {SEED}")
                verdict = client.get("/v1/verify").json()["data"]
            self.assertEqual((verdict["status"], verdict["events_checked"]), ("valid", stored.last))
            figures = journal.summary(writers, stored)
            acked, unknown, kept, replays = (a + b for a, b in zip((acked, unknown, kept, replays), figures))
            stored_events += stored.last
        print(f"chaos: {stored_events} events stored, {acked} acknowledged, {unknown} of unknown outcome ({kept} stored), {replays} replays", flush=True)

    def finish(self, writer, client):
        """What may be repeated is acknowledged now, at the latest after a few tries."""
        deadline = time.monotonic() + 30 * SLOW
        while writer.retry and time.monotonic() < deadline:
            writer.finish(client)
            time.sleep(0.2 if writer.retry else 0)
        self.assertEqual(len(writer.retry), 0, "repeated requests fail")

    def wait(self, what, found):
        """Waits until `found()` is empty and fails with what it still gives."""
        deadline = time.monotonic() + PATIENCE * SLOW
        while left := found():
            if time.monotonic() > deadline:
                self.fail(f"{what}: {left}\n" + "".join(n.server.stderr()[-1500:] for n in self.nodes))
            time.sleep(0.5)

    def check_tasks(self):
        """All tasks get done, and no tail is left that should have been sealed."""
        node = self.nodes[0]
        self.wait("tasks are left", lambda: node.metrics()["tasks_live"])
        self.assertLess(node.metrics()["hot_bytes"], (1 + ALONE) * SEAL_BYTES, "tails are larger than what is sealed, and no task is there to seal them")
        totals = (f"{sum(n.total(name) for n in self.nodes):.0f} {name}" for name in ("seals", "compactions", "merges", "objects_deleted", "task_failures"))
        print(f"chaos: at least {', '.join(totals)}", flush=True)

    def check_archive(self, projects):
        """The segments tile each log, and the bucket holds what the manifests name, and nothing else."""
        command(self.place, "seal", "--all", env=SETTINGS)
        expected, segments = set(), 0
        everyone = re.findall(r"^prj_[0-9a-f]{32}", command(self.place, "project", "list"), re.M)
        self.assertLessEqual(set(projects), set(everyone))
        for project, log in itertools.product(everyone, ("events", "activity")):
            entries = [json.loads(line) for line in command(self.place, "archive", "list", "--project", project, "--log", log).splitlines()]
            if not entries:
                self.assertFalse(log == "events" and project in projects)
                continue
            places = [(e["first"], e["last"]) for e in entries]
            self.assertEqual([first for first, _ in places], [1] + [last + 1 for _, last in places[:-1]], f"the segments of {project}/{log} overlap or leave a gap")
            manifest = f"project={project}/log={log}/manifest.json"
            expected |= {manifest} | {e[part] for e in entries for part in ("rows", "columns", "hashes") if part in e}
            published = [(s["first"], s["last"], s["hashes"]) for s in json.loads(self.place.read(manifest))["segments"]]
            self.assertEqual(published, [(e["first"], e["last"], e["hashes"]) for e in entries], "the published manifest is not the current one")
            segments += len(entries)
        self.wait("objects beside those of the manifests", lambda: sorted(set(self.place.keys()) - expected)[:5])
        self.assertEqual(sorted(expected - set(self.place.keys())), [])
        uploads = [(key, self.place.parts(key, upload)) for key, upload in self.place.uploads()]
        for key, _ in (u for u in uploads if u[1] == 0):
            print(f"chaos: an empty upload to {key} is left: the answer with its id was lost in the moment of a kill", flush=True)
        self.assertEqual([u for u in uploads if u[1]], [], "unfinished uploads with parts are left")
        done = run_cli("doctor", env=self.place.env(), timeout=300)
        self.assertEqual((done.returncode, re.findall("^PROBLEM.*|.*nothing knows.*", done.stdout, re.M)), (0, []), done.stdout[-2000:] + done.stderr[-2000:])
        print(f"chaos: {segments} segments in {len(expected)} objects, nothing else in the bucket", flush=True)


@unittest.skipIf(CLUSTER, "uses a cluster in either run")
class Nodes(Case):
    """What one node does, the others know."""

    def setUp(self):
        super().setUp()
        self.place = Place.from_environment()
        self.addCleanup(self.place.close)
        self.servers = [self.server({**self.place.env(), "INDELIBLE_SEAL_BYTES": "20000", "INDELIBLE_TASK_INTERVAL_MS": "100"}, data_dir=self.dir / f"node{n}").start() for n in range(3)]

    def at_once(self, ask):
        """What `ask(client, number)` gives for four clients of each node at the same time."""
        found, gate = [], threading.Barrier(12)

        def run(number):
            with self.servers[number % 3].client() as client:
                client.get("/healthz")
                gate.wait()
                found.append(ask(client, number))

        for thread in journal.in_threads([lambda n=n: run(n) for n in range(12)]):
            thread.finish()
        return found

    def test_repeats_at_several_nodes_store_once(self):
        with self.servers[0].client() as client:
            for round_ in range(5):
                before = client.head()
                answers = self.at_once(lambda c, n, r=round_: c.post("/v1/events", {"action": "race.external", "external_id": f"race-{r}"}))
                self.assertEqual(({a.status for a in answers} - {200, 201}, len({a.json()["data"]["id"] for a in answers}), client.head() - before), (set(), 1, 1))
                answers = self.at_once(lambda c, n, r=round_: c.bulk([{"action": "race.key"}] * 3, {"Idempotency-Key": f"race-{r}"}))
                self.assertEqual({a.status for a in answers} - {201, 409}, set())
                self.assertEqual((len({a.body for a in answers if a.status == 201}), client.head() - before), (1, 4))

    def test_all_nodes_show_the_same(self):
        """Acknowledged by one is shown by the others at once, sealed or not."""
        for number in range(60):
            node, other = self.servers[number % 3], self.servers[(number + 1) % 3]
            with node.client() as writer, other.client() as reader:
                made = self.assert_status(writer.bulk([{"action": "shown", "metadata": {"pad": "x" * 100}}] * 20), 201).json()["data"]
                self.assertEqual(reader.head(), made["last_position"])
        exports = self.at_once(lambda c, n: b"".join(c.export()))
        self.assertEqual((len(set(exports)), exports[0].count(b"\n")), (1, 1200))
        for server in self.servers:
            with server.client() as client:
                self.assertEqual(client.get("/v1/verify").json()["data"]["status"], "valid")

    def test_a_revoked_key_is_refused_everywhere(self):
        with self.servers[0].client() as client:
            made = client.post("/v1/api-keys", {"name": "short", "scopes": ["events:read"]}).json()["data"]
            for server in self.servers:
                with server.client(key=made["key"]) as other:
                    self.assert_status(other.get("/v1/events"), 200)
            self.assert_status(client.request("DELETE", f"/v1/api-keys/{made['id']}"), 200, 204)
        for server in self.servers:
            with server.client(key=made["key"]) as other:
                self.assert_status(other.get("/v1/events"), 401)


@unittest.skipIf(CLUSTER, "uses a cluster in either run")
class Schema(Case):
    def test_migration_by_hand(self):
        place = Place.from_environment()
        self.addCleanup(place.close)
        by_hand = {**place.env(), "INDELIBLE_AUTO_MIGRATE": "no"}
        refused = run_cli("serve", "--listen", "127.0.0.1:0", env=by_hand, timeout=30)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("indelible migrate", refused.stderr)
        self.assertNotIn(place.database.split(":")[2].split("@")[0], refused.stderr + refused.stdout, "the password is shown")
        command(place, "migrate")
        self.assertIn("nothing to do", command(place, "migrate"))
        server = self.server(by_hand).start()
        with server.client() as client:
            self.assert_status(client.post("/v1/events", {"action": "schema.made"}), 201)
        self.assertEqual(server.stop(), 0)
        place.query("INSERT INTO _sqlx_migrations SELECT 999999, description, installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1")
        refused = run_cli("serve", "--listen", "127.0.0.1:0", env=place.env(), timeout=30)
        self.assertNotEqual(refused.returncode, 0, "a schema from the future was taken")
        self.assertIn("999999", refused.stderr)


if __name__ == "__main__":
    unittest.main()
