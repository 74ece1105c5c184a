"""Scheduled exports to a bucket of the project's own: each run goes on where the last one ended, and survives the node's death without leaving a part.

The bucket is on an S3 server of the test's own, with credentials that the server under test knows from the schedule alone. No test waits for a day: the time at which
a schedule is due is moved in the database.
"""

import hashlib
import json
import os
import sqlite3
import time
import unittest
import urllib.request

import servers
from analytics import until
from harness import CLUSTER, PLACES, SLOW, Case
from s3 import S3

SETTINGS = {"INDELIBLE_TASK_INTERVAL_MS": "50", "INDELIBLE_TASK_LEASE": "2"}
# How long after its time a run begins, and how often it is looked what is due.
SETTLE = 5


def begun(found):
    """What `found` finds, waited for without a pause."""
    deadline = time.monotonic() + 60 * SLOW
    while not (things := found()):
        if time.monotonic() > deadline:
            raise AssertionError("the upload never began")
    return things


class Schedules(Case):
    @classmethod
    def setUpClass(cls):
        cls.seaweed = cls.enterClassContext(servers.Seaweed()).start()

    def setUp(self):
        super().setUp()
        self.bucket = S3(self.seaweed.endpoint, f"audit-{os.urandom(4).hex()}", self.seaweed.access, self.seaweed.secret)
        self.bucket.request("PUT")
        self.node = self.server({**SETTINGS, "INDELIBLE_EXPORT_ENDPOINTS": f"https://elsewhere.example,{self.seaweed.endpoint}"}).start()
        self.connect()

    def connect(self):
        self.client = self.node.client()
        self.addCleanup(self.client.conn.close)

    def destination(self, **more):
        return {"bucket": self.bucket.bucket, "prefix": "from/indelible", "endpoint": self.seaweed.endpoint, "access_key_id": self.seaweed.access,
                "secret_access_key": self.seaweed.secret, **more}

    def make(self, **more):
        body = {"name": "nightly", "every": "daily", "at": "02:30", "format": "ndjson", "destination": self.destination(), **more}
        return self.assert_status(self.client.post("/v1/schedules", body), 201).json()["data"]

    def show(self, schedule):
        return self.assert_status(self.client.get(f"/v1/schedules/{schedule}"), 200).json()["data"]

    def append(self, count, pad=20):
        self.assert_status(self.client.bulk([{"action": "doc.read", "metadata": {"n": n, "pad": os.urandom(pad).hex()}} for n in range(count)]), 201)

    def make_due(self, schedule):
        """Lets a schedule be due now."""
        time.sleep(0.01)
        number = schedule.removeprefix("sch_")
        self.execute(f"UPDATE schedules SET next_at = {time.time_ns() // 1000} WHERE id = " + (f"'\\x{number}'" if CLUSTER else f"x'{number}'"))

    def execute(self, statement):
        if CLUSTER:
            PLACES[str(self.node.data_dir)].query(statement)
            return
        with sqlite3.connect(self.node.data_dir / "indelible.db", timeout=30) as database:
            database.execute(statement)

    def export(self, schedule):
        """The export of the schedule's last run."""
        last = self.show(schedule)["last_export"]
        return last and self.assert_status(self.client.get(f"/v1/exports/{last}"), 200).json()

    def run_once(self, schedule):
        """Lets a schedule run and returns its export."""
        before = self.show(schedule)["last_export"]
        self.make_due(schedule)
        until("the run", lambda: (made := self.export(schedule)) and made["id"] != before and made["state"] == "finished")
        return self.export(schedule)

    def fetch(self, url):
        with urllib.request.urlopen(url, timeout=60 * SLOW) as answer:
            return answer.read()

    def test_runs_follow_each_other(self):
        schedule = self.make()
        self.assertNotIn("secret", json.dumps(schedule))
        previous, first = None, 1
        for count in (100, 50, 0):
            self.append(count) if count else None
            made = self.run_once(schedule["id"])
            manifest = json.loads(self.fetch(made["result"]["manifest_url"]))
            key = f"from/indelible/{schedule['id']}/{manifest['name']}"
            data = self.bucket.get(key)
            self.assertEqual(json.loads(self.bucket.get(f"{key}.manifest.json")), manifest)
            self.assertEqual(data, self.fetch(made["result"]["download_url"]))
            self.assertEqual((manifest["sha256"], manifest["rows"], len(data)), (hashlib.sha256(data).hexdigest(), count, manifest["bytes"]))
            self.assertEqual([json.loads(line)["sequence_number"] for line in data.splitlines()], list(range(first, first + count)))
            self.assertEqual((manifest["schedule"]["first"], manifest["schedule"]["last"]), (first, first + count - 1))
            self.assertEqual(manifest["previous"], previous)
            previous = {"export": made["id"], "name": manifest["name"], "sha256": manifest["sha256"], "rows": count}
            first += count
        shown = self.show(schedule["id"])
        self.assertEqual((shown["runs"], shown["position"], len(self.bucket.list())), (3, 150, 6))
        self.assertGreater(shown["next_at"], time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()))
        self.assert_status(self.client.request("DELETE", f"/v1/schedules/{schedule['id']}"), 204)
        self.assert_status(self.client.get(f"/v1/schedules/{schedule['id']}"), 404)
        told = [e["action"] for e in self.client.get("/v1/events", log="activity", action="schedule.*").json()["data"]]
        until("the facts", lambda: len(self.client.get("/v1/events", log="activity", action="schedule.*").json()["data"]) == 2)
        self.assertLessEqual(set(told), {"schedule.created", "schedule.deleted"})
        everything = b"".join(self.client.export(log="activity")) + self.node.stderr().encode()
        self.assertNotIn(self.seaweed.secret.encode(), everything)
        self.assertEqual(len(self.client.get("/v1/exports").json()["exports"]), 3)

    def test_a_run_that_a_bucket_refuses_is_made_again_an_hour_later(self):
        schedule = self.make(destination=self.destination(secret_access_key="wrong"))
        self.append(10)
        self.make_due(schedule["id"])
        until("the failure", lambda: (made := self.export(schedule["id"])) and made["state"] == "failed")
        failed = self.export(schedule["id"])
        self.assertIn("bucket of the destination", failed["error"])
        self.assertNotIn(self.seaweed.access, failed["error"])
        self.assert_status(self.client.request("PATCH", f"/v1/schedules/{schedule['id']}", {"destination": self.destination()}), 200)
        self.execute("UPDATE asked_tasks SET finished_at = finished_at - 3600000000 WHERE status = 'failed'")
        until("the run", lambda: self.export(schedule["id"])["state"] == "finished")
        self.assertNotEqual(self.export(schedule["id"])["id"], failed["id"])
        self.assertEqual((self.show(schedule["id"])["runs"], len(self.bucket.list())), (1, 2))

    def test_hosts_that_the_operator_does_not_name_are_refused(self):
        for endpoint in ("http://127.0.0.1:1", self.seaweed.endpoint + "/x", "http://169.254.169.254", "file:///etc"):
            answer = self.client.post("/v1/schedules", {"name": "n", "every": "daily", "at": "02:30", "destination": self.destination(endpoint=endpoint)})
            self.assertEqual((answer.status, "endpoint" in answer.body.decode()), (422, True), endpoint)

    def test_a_node_that_dies_while_it_copies_leaves_no_part(self):
        schedule = self.make(destination=self.destination(prefix=None))
        for _ in range(10):
            self.append(2000, pad=1000)
        self.make_due(schedule["id"])
        key, _ = begun(self.bucket.uploads)[0]
        self.seaweed.freeze()
        self.node.kill()
        self.seaweed.thaw()
        self.node.start()
        self.connect()
        until("the run", lambda: self.export(schedule["id"])["state"] == "finished")
        made = self.export(schedule["id"])
        self.assertEqual(made["rows"], 20_000)
        self.assertEqual((self.bucket.uploads(), sorted(self.bucket.list())), ([], [key, f"{key}.manifest.json"]))
        self.assertEqual(hashlib.sha256(self.bucket.get(key)).hexdigest(), made["sha256"])
        self.assertEqual(self.show(schedule["id"])["runs"], 1)


if __name__ == "__main__":
    unittest.main()
