"""Retention and legal holds over HTTP: announced, applied, held, released, told in the log, and the chain verifies all the while."""

import os
import time
import unittest
from types import SimpleNamespace

import analytics
from harness import CLUSTER, PLACES, Case, run_cli, store_env

DELAY = 3
SETTINGS = {"INDELIBLE_TASK_INTERVAL_MS": "50", "INDELIBLE_TASK_LEASE": "1", "INDELIBLE_ORPHAN_GRACE": "1s", "INDELIBLE_RETENTION_DELAY": f"{DELAY}s"}


class Retention(Case):
    def events(self, actor, count):
        """Sends events of an actor that do not compress, and seals them into a segment."""
        sent = [{"action": "doc.read", "actor": {"id": actor}, "metadata": {"noise": os.urandom(100).hex()}} for _ in range(count)]
        self.assert_status(self.client.bulk(sent), 201)
        self.assertEqual(run_cli("seal", "--all", data_dir=self.server.data_dir, env=SETTINGS).returncode, 0)

    def store(self):
        """What analytics.make_old changes."""
        return PLACES[str(self.server.data_dir)] if CLUSTER else SimpleNamespace(folder=self.server.data_dir)

    def expired(self):
        return analytics.expired(store_env(self.server.data_dir) if CLUSTER else {"INDELIBLE_DATA_DIR": str(self.server.data_dir)})

    def retention(self):
        return {r["log"]: r for r in self.assert_status(self.client.get("/v1/retention"), 200).json()["data"]}

    def count(self, actor):
        return len(list(self.client.export(actor_id=actor)))

    def told(self, action):
        return self.assert_status(self.client.get("/v1/events", log="activity", action=action), 200).json()["data"]

    def test_announced_applied_held_released(self):
        self.server = self.server(SETTINGS).start()
        self.client = self.server.client()
        self.addCleanup(self.client.conn.close)
        self.events("gone", 200)
        gone = self.objects()
        self.events("held", 100)
        analytics.make_old(self.store(), 2)
        held_id = self.client.get("/v1/events", actor_id="held", per_page=1).json()["data"][0]["id"]
        self.assertEqual([(r["days"], r["announced"], r["marker"]) for r in self.retention().values()], [(None, None, None), (184, None, None)])

        first = self.assert_status(self.client.post("/v1/holds", {"case": "1", "reason": "letter", "filter": {"actor_id": "held"}}), 201).json()
        second = self.assert_status(self.client.post("/v1/holds", {"case": "2", "reason": "order", "events": [held_id]}), 201).json()
        self.assertEqual([h["meta"]["events_found"] for h in (first, second)], [100, 1])

        start = time.monotonic()
        answer = self.assert_status(self.client.request("PUT", "/v1/retention/events", {"days": 1}), 200).json()["data"]
        self.assertEqual((answer["days"], answer["announced"]["days"]), (None, 1))
        analytics.until("retention", self.expired)
        self.assertGreaterEqual(time.monotonic() - start, DELAY - 0.1)
        now = self.retention()["events"]
        self.assertEqual((now["days"], now["events_expired"], now["marker"]["position"]), (1, 200, 200))
        self.assertEqual(now["kept_by_holds"], [{"hold_id": first["data"]["id"], "segments": 1, "events": 100}])
        self.assertEqual((self.count("gone"), self.count("held")), (0, 100))
        verified = self.client.get("/v1/verify").json()["data"]
        self.assertEqual((verified["status"], verified["events_checked"], verified["verified_from"], verified["events_expired"]), ("valid", 100, 201, 200))
        oldest = self.client.get("/v1/events", actor_id="held", per_page=100).json()["data"][-1]
        self.assertEqual((oldest["sequence_number"], oldest["previous_hash"]), (201, now["marker"]["hash"]))
        self.assertIn("from position 201", run_cli("verify", data_dir=self.server.data_dir).stdout)

        analytics.until("the event of it", lambda: self.told("retention.applied"))
        applied = self.told("retention.applied")[0]["metadata"]
        self.assertEqual((applied["events"], applied["positions"], applied["marker"]), (200, [[1, 200]], now["marker"]))
        self.assertEqual([e["actor"]["type"] for e in self.told("retention.announced") + self.told("retention.changed")], ["api_key", "server"])
        analytics.until("the end of the files", lambda: all("/hashes" in key for key in gone & self.objects()))
        self.assertTrue(gone & self.objects(), "hashes stay")

        for hold in (first, second):
            path = f"/v1/holds/{hold['data']['id']}/release"
            self.assert_status(self.client.post(path, {"reason": "settled"}), 200)
            self.assert_status(self.client.post(path, {"reason": "settled"}), 409)
        analytics.until("the rest", lambda: self.expired() == 2)
        self.assertEqual(self.count("held"), 0)
        self.assertEqual(self.client.get("/v1/verify").json()["data"]["status"], "valid")
        listed = self.client.get("/v1/holds", per_page=1).json()
        self.assertEqual((listed["data"][0]["case"], listed["data"][0]["released"]["reason"], listed["meta"]["has_more"]), ("2", "settled", True))
        older = self.client.get("/v1/holds", cursor=listed["meta"]["next_cursor"]).json()
        self.assertEqual([h["case"] for h in older["data"]], ["1"])
        listed = run_cli("hold", "list", data_dir=self.server.data_dir)
        self.assertEqual(listed.stdout.count("released"), 2, listed.stderr)

    def objects(self):
        """Keys of the segment objects of the log events."""
        if CLUSTER:
            keys = self.store().keys()
        else:
            folder = self.server.data_dir / "objects"
            keys = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
        return {k for k in keys if "/log=events/" in k and not k.endswith(".json")}

    def test_what_is_refused(self):
        self.server = self.server(SETTINGS).start()
        self.client = self.server.client()
        self.addCleanup(self.client.conn.close)
        put = lambda log, body: self.client.request("PUT", f"/v1/retention/{log}", body)  # noqa: E731
        self.assert_status(put("other", {"days": 1}), 404)
        for body in ({}, {"days": 0}, {"days": "1"}, {"days": 1, "now": True}, [1]):
            self.assert_status(put("events", body), 422)
        good = {"case": "c", "reason": "r", "filter": {}}
        for change in ({"case": ""}, {"reason": None}, {"filter": None}, {"filter": {"search": "x"}}, {"filter": {"from": "soon"}}, {"events": ["evt_1"]}, {"until": "2030-01-01"}):
            self.assert_status(self.client.post("/v1/holds", {**good, **change}), 422)
        missing = [f"hold_{0:032x}", "hold_1", "x"]
        answers = {self.client.get(f"/v1/holds/{m}").body for m in missing} | {self.client.post(f"/v1/holds/{m}/release", {"reason": "r"}).body for m in missing}
        self.assertEqual(len(answers), 1, answers)
        self.assert_status(self.client.get("/v1/holds", state="live"), 422)


if __name__ == "__main__":
    unittest.main()
