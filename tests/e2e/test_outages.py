"""PostgreSQL away, PostgreSQL frozen, S3 away: what is answered then, and that all goes on afterwards without a restart."""

import http.client
import json
import random
import time
import unittest

import journal
from harness import CLUSTER, SLOW, Case, split_lines, verify_chain
from nodes import command
from places import Place
from servers import Postgres, Seaweed

ANSWER_SECONDS = 5.0
RECOVERY_SECONDS = 15.0
EVENTS = 24_000
HOT_BYTES = 4 << 20


@unittest.skipIf(CLUSTER, "starts a cluster of its own in either run")
class Outages(Case):
    def setUp(self):
        super().setUp()
        self.postgres = self.enterContext(Postgres()).start()
        self.seaweed = self.enterContext(Seaweed()).start()
        self.place = Place.of(self.postgres, self.seaweed)
        self.count, self.acked = 0, []

    def node(self, **settings):
        env = {**self.place.env(), "INDELIBLE_TASK_INTERVAL_MS": "200", **settings}
        server = self.server(env).start()
        self.log = server.log_id()
        return server

    def fill(self, client, events):
        """Events of about 1,400 bytes that compress little."""
        for _ in range(events // 1000):
            self.assert_status(self.write(client, 1000), 201)

    def write(self, client, events):
        """One bulk request; an acknowledged one is journalled."""
        markers = [f"m{self.count + n}" for n in range(events)]
        self.count += events
        answer = client.bulk([{"action": "outage.write", "external_id": m, "metadata": {"marker": m, "pad": random.randbytes(700).hex()}} for m in markers])
        if answer.status == 201:
            self.acked += markers
        return answer

    def assert_away(self, answer):
        """503 with Retry-After, and soon."""
        self.assert_status(answer, 503)
        self.assertRegex(answer.headers.get("Retry-After", ""), r"^[1-9][0-9]*$")
        self.assertLess(answer.seconds, ANSWER_SECONDS * SLOW, repr(answer))

    def away_at_once(self, server, writers=8):
        """Many writers, each on a connection of its own, are told so in time; their answers."""
        answers = []

        def ask(number):
            with server.client(timeout=30) as client:
                for _ in range(3):
                    answers.append(client.post("/v1/events", {"action": "outage.away", "external_id": f"away-{number}", "metadata": {"marker": f"away-{number}"}}))

        for thread in journal.in_threads([lambda n=n: ask(n) for n in range(writers)]):
            thread.finish()
        for answer in answers:
            self.assert_away(answer)
        print(f"\noutage: {len(answers)} requests answered with 503 within {max(a.seconds for a in answers):.1f} s", flush=True)

    def back(self, server, what):
        """Waits until a write is taken again."""
        start = time.monotonic()
        with server.client() as client:
            while (answer := self.write(client, 1)).status != 201:
                self.assert_status(answer, 503)
                self.assertLess(time.monotonic() - start, RECOVERY_SECONDS * SLOW, f"{what}: nothing is taken in again; {answer!r}")
                time.sleep(0.1)
        print(f"outage: {what}: a write is taken {time.monotonic() - start:.1f} s after the server is back", flush=True)

    def assert_whole(self, server, process):
        """The same process shows all that it acknowledged, once, in a valid chain."""
        self.assertEqual((server.process.pid, server.process.poll()), (process, None), f"the node was restarted\n{server.stderr()[-2000:]}")
        found = {}

        def lines(client):
            for line in client.export():
                marker = json.loads(line)["metadata"]["marker"]
                found[marker] = found.get(marker, 0) + 1
                yield line

        with server.client() as client:
            broken, said = verify_chain(lines(client), self.log)
            self.assertEqual(broken, 0, f"line {broken} {said}")
            self.assertEqual(client.get("/v1/verify").json()["data"]["status"], "valid")
        self.assertEqual([m for m in self.acked if found.get(m) != 1][:5], [], "acknowledged, but not stored once")
        self.assertEqual([m for m, times in found.items() if times > 1][:5], [])

    def test_postgres_away(self):
        server = self.node(INDELIBLE_SEAL_BYTES="4000000", INDELIBLE_SEGMENT_BYTES="8000000")
        process = server.process.pid
        with server.client() as client:
            self.fill(client, EVENTS)
        command(self.place, "seal", "--all", env={"INDELIBLE_SEGMENT_BYTES": "8000000"})
        with server.client() as reader:
            response = reader.open("GET", "/v1/events/export?format=ndjson&end=true")
            self.assertEqual(response.status, 200)
            lines, got = split_lines(response), []
            for _ in range(100):
                got.append(next(lines))
            self.postgres.stop_immediate()
            before = len(got)
            with self.assertRaises((http.client.IncompleteRead, ConnectionError), msg="an export that lost its database ended like a whole one"):
                for line in lines:
                    got.append(line)
        whole = [line for line in got if line.endswith(b"\n")]
        broken, said = verify_chain(iter(whole), self.log)
        self.assertEqual(broken, 0, f"what was exported before the end: line {broken} {said}")
        self.assertGreater(len(whole), before, "nothing more came after the database went away")
        print(f"\noutage: an export of {EVENTS} events went on from row {before} to {len(whole)} without the database, then broke off", flush=True)
        self.away_at_once(server)
        with server.client() as client:
            for path in ("/v1/events", "/v1/events/export?format=csv", "/v1/verify"):
                self.assert_away(client.get(path))
            self.assert_status(client.get("/healthz"), 200)
            self.assert_status(client.get("/readyz"), 503)
        self.postgres.start()
        self.back(server, "PostgreSQL")
        self.assert_whole(server, process)

    def test_postgres_frozen(self):
        server = self.node()
        process = server.process.pid
        with server.client() as client:
            self.fill(client, 2000)
        self.postgres.freeze()
        self.addCleanup(self.postgres.thaw)
        self.away_at_once(server)
        with server.client() as client:
            for path in ("/v1/events", "/v1/events/export?format=csv", "/v1/verify"):
                self.assert_away(client.get(path))
            self.assert_status(client.get("/readyz"), 503)
            self.assert_status(client.get("/healthz"), 200)
        self.postgres.thaw()
        self.back(server, "PostgreSQL")
        self.assert_whole(server, process)

    def test_s3_away(self):
        server = self.node(INDELIBLE_SEAL_BYTES="1000000", INDELIBLE_HOT_BYTES=str(HOT_BYTES), INDELIBLE_CACHE_BYTES="0")
        process = server.process.pid
        with server.client(timeout=60) as client:
            for _ in range(6):
                self.fill(client, 1000)
                self.settle(client)
            event = list(client.export())[0]
            self.seaweed.kill()
            taken = self.count
            while (answer := self.write(client, 200)).status == 201:
                self.assertLess((self.count - taken) * 1400, 10 * HOT_BYTES, "nothing stops the tails from growing")
            self.assert_away(answer)
            print(f"\noutage: without S3, {self.count - taken - 200} events ({(self.count - taken - 200) * 1400 >> 10} KiB) were taken before the first 503; the limit is {HOT_BYTES >> 10} KiB", flush=True)
            self.assertGreater((self.count - taken) * 1400, HOT_BYTES // 2, "ingest stopped long before the limit")
            self.read_without_s3(client, event)
        self.seaweed.start()
        self.back(server, "S3")
        with server.client(timeout=60) as client:
            self.assertEqual(client.get(f"/v1/events/{json.loads(event)['id']}").json()["data"]["id"], json.loads(event)["id"])
            self.settle(client)
        self.assert_whole(server, process)

    def read_without_s3(self, client, event):
        """What needs a sealed event says so; what lies in the tail is still shown."""
        for path in (f"/v1/events/{json.loads(event)['id']}", "/v1/events/export?format=ndjson", "/v1/events/export?format=csv", "/v1/events?search=nosuchtext", "/v1/verify",
                     "/v1/organizations/default/audit-log/export?limit=none"):
            with self.subTest(path):
                start = time.monotonic()
                answer = client.get(path)
                self.assert_status(answer, 503)
                self.assertRegex(answer.headers.get("Retry-After", ""), r"^[1-9][0-9]*$")
                print(f"outage: {path.partition('?')[0]} without S3: {answer.status} after {time.monotonic() - start:.1f} s", flush=True)
        newest = self.assert_status(client.get("/v1/events", per_page=5), 200).json()["data"]
        self.assertEqual(len(newest), 5)

    def settle(self, client):
        """Waits until the tail is sealed."""
        deadline = time.monotonic() + 30 * SLOW
        while True:
            text = client.get("/metrics").body.decode()
            if "\nindelible_tasks_live 0\n" in text and int(text.split("\nindelible_hot_bytes ")[1].split()[0]) < 1_500_000:
                return
            self.assertLess(time.monotonic(), deadline, "the tail is not sealed")
            time.sleep(0.2)


if __name__ == "__main__":
    unittest.main()
