"""Repeats, pages and filters: an event sent twice is stored once, and every page and filter shows exactly what it must."""

import gzip
import json
import shutil
import subprocess
import threading
import unittest

from harness import JSON, NDJSON, SharedCase

ROUTES = {
    "/v1/events": (lambda e: e, JSON),
    "/v1/events/batch": (lambda e: {"events": [e, {**e, "action": "second"}]}, JSON),
    "/v1/events/bulk": (lambda e: [e, {**e, "action": "second"}], JSON),
}


class Idempotency(SharedCase):
    def test_same_body_replays_the_answer(self):
        for path, (shape, _) in ROUTES.items():
            body, key = shape({"action": "idem", "metadata": {"path": path}}), {"Idempotency-Key": f"same {path}"}
            first = self.assert_status(self.client.post(path, body, key), 201)
            before = self.client.head()
            for _ in range(3):
                again = self.client.post(path, body, key)
                self.assertEqual((again.status, again.json()), (first.status, first.json()))
            self.assertEqual(self.client.head(), before)

    def test_other_body_is_refused(self):
        for path, (shape, _) in ROUTES.items():
            key = {"Idempotency-Key": f"other {path}"}
            self.assert_status(self.client.post(path, shape({"action": "idem.a"}), key), 201)
            before = self.client.head()
            refused = self.assert_status(self.client.post(path, shape({"action": "idem.b"}), key), 422)
            self.assertEqual(set(refused.json()["error"]) - {"errors"}, {"type", "message"})
            self.assertEqual(self.client.head(), before)

    def test_a_refused_request_does_not_use_up_its_key(self):
        key = {"Idempotency-Key": "refused first"}
        self.assert_status(self.client.post("/v1/events", {"metadata": {}}, key), 422)
        self.assertIn(self.client.post("/v1/events", {"action": "idem.now"}, key).status, (201, 422))

    def test_concurrent_repeats_store_once(self):
        for path, (shape, _) in ROUTES.items():
            body, answers, gate = shape({"action": "idem.race", "metadata": {"path": path}}), [], threading.Barrier(8)

            def send():
                with self.shared.client() as client:
                    gate.wait()
                    answers.append(client.post(path, body, {"Idempotency-Key": f"race {path}"}))

            before = self.client.head()
            threads = [threading.Thread(target=send) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertLessEqual({a.status for a in answers}, {201, 409})
            good = [a.json() for a in answers if a.status == 201]
            self.assertTrue(good)
            self.assertEqual([g for g in good if g != good[0]], [])
            self.assertEqual(self.client.head() - before, 1 if path == "/v1/events" else 2)

    def test_external_id_repeats_answer_with_the_first(self):
        first = self.assert_status(self.client.post("/v1/events", {"action": "ext", "external_id": "order-1", "metadata": {"n": 1}}), 201).json()["data"]
        before = self.client.head()
        again = self.assert_status(self.client.post("/v1/events", {"action": "ext", "external_id": "order-1", "metadata": {"n": 1}}), 200, 201)
        self.assertEqual((again.json()["data"]["id"], again.json()["data"]["sequence_number"]), (first["id"], first["sequence_number"]))
        changed = self.assert_status(self.client.post("/v1/events", {"action": "ext.changed", "external_id": "order-1"}), 200, 201)
        self.assertEqual(changed.json()["data"]["action"], "ext")
        self.assertEqual(self.client.head(), before)
        batch = self.assert_status(self.client.post("/v1/events/batch", {"events": [
            {"action": "ext", "external_id": "order-2"}, {"action": "ext", "external_id": "order-1"}, {"action": "ext", "external_id": "order-2"}]}), 201).json()["data"]
        self.assertEqual([e["sequence_number"] for e in batch], [before + 1, first["sequence_number"], before + 1])
        bulk = self.assert_status(self.client.bulk([{"action": "ext", "external_id": f"order-{n}"} for n in (1, 2, 3, 3, 4)]), 201).json()["data"]
        self.assertEqual((bulk["accepted"], bulk["duplicates"]), (2, 3))
        self.assertEqual(self.client.head(), before + 3)

    def test_external_id_race_stores_once(self):
        ids, gate, before = [], threading.Barrier(8), self.client.head()

        def send():
            with self.shared.client() as client:
                gate.wait()
                ids.append(client.post("/v1/events", {"action": "ext.race", "external_id": "race"}).json()["data"]["id"])

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(ids), len(set(ids)), self.client.head() - before), (8, 1, 1))

    def test_external_id_is_kept_over_a_restart(self):
        first = self.client.post("/v1/events", {"action": "ext.kept", "external_id": "kept"}).json()["data"]
        key = {"Idempotency-Key": "kept"}
        answer = self.client.post("/v1/events", {"action": "idem.kept"}, key).json()
        self.client.conn.close()
        self.shared.kill()
        self.shared.start()
        with self.shared.client() as client:
            self.assertEqual(client.post("/v1/events", {"action": "ext.kept", "external_id": "kept"}).json()["data"]["id"], first["id"])
            self.assertEqual(client.post("/v1/events", {"action": "idem.kept"}, key).json(), answer)

    def test_bulk_forms_and_encodings(self):
        events = [{"action": "bulk.form", "metadata": {"n": n}} for n in range(3)]
        lines = b"\n".join(json.dumps(e).encode() for e in events)
        forms = [(lines, NDJSON, None), (lines + b"\n\n", NDJSON, None), (lines.replace(b"\n", b"\r\n"), NDJSON, None),
                 (json.dumps(events, indent=1).encode(), JSON, None), (gzip.compress(lines), NDJSON, "gzip"), (gzip.compress(json.dumps(events).encode()), JSON, "gzip")]
        if shutil.which("zstd"):
            forms.append((subprocess.run(["zstd", "-cq"], input=lines, capture_output=True, check=True).stdout, NDJSON, "zstd"))
        for body, kind, coding in forms:
            before = self.client.head()
            answer = self.assert_status(self.client.post("/v1/events/bulk", body, {"Content-Type": kind, "Content-Encoding": coding}), 201)
            data = answer.json()["data"]
            self.assertEqual((data["first_position"], data["last_position"], data["accepted"], data["duplicates"]), (before + 1, before + 3, 3, 0))

    def test_bulk_is_all_or_nothing_and_names_line_and_member(self):
        before = self.client.head()
        good, bad = b'{"action":"a"}', b'{"action":"a","actor":{"id":5}}'
        answer = self.client.post("/v1/events/bulk", b"\n".join([good, good, bad, good]), {"Content-Type": NDJSON})
        self.assert_status(answer, 422)
        self.assertRegex(answer.body.decode(), r"(?i)line\W{0,4}3|\b3\W{1,4}actor|\.3\.|\"2\.|\.2\.")
        self.assertIn(b"actor.id", answer.body)
        answer = self.assert_status(self.client.post("/v1/events/batch", {"events": [{"action": "a"}, {"action": 5}]}), 422)
        self.assertIn("action", answer.body.decode())
        self.assertEqual(self.client.head(), before)


class Reading(SharedCase):
    ACTIONS = ["user.login", "user.logout", "user.deleted", "users.list", "doc.deleted", "a.b.deleted", "deleted", "user"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            cls.sent = [{"action": cls.ACTIONS[n % 8], "actor": {"id": f"u{n % 10}"}, "target": {"type": "doc", "id": f"d{n % 3}"},
                         "metadata": {"n": n, "word": f"Needle{n}x"}, "occurred_at": f"2026-0{1 + n % 3}-1{n % 5}T{n % 24:02}:59:59.999999Z"} for n in range(250)]
            for event in cls.sent[:10]:
                assert client.post("/v1/events", event).status == 201
            assert client.bulk(cls.sent[10:]).status == 201

    def pages(self, **params):
        """All events of a listing, page by page."""
        found, cursor = [], {}
        for _ in range(100):
            page = self.assert_status(self.client.get("/v1/events", **params, **cursor), 200).json()
            found += page["data"]
            self.assertEqual(bool(page["meta"]["next_cursor"]), page["meta"]["has_more"])
            if not page["meta"]["has_more"]:
                return found
            cursor = {"cursor": page["meta"]["next_cursor"]}
        self.fail("the pages do not end")

    def numbers(self, **params):
        """The `metadata.n` of all matches, by the list and by the export, which must agree."""
        listed = [e["metadata"]["n"] for e in self.pages(per_page=100, **params)]
        exported = [json.loads(line)["metadata"]["n"] for line in self.client.export(**params)]
        self.assertEqual(listed, exported[::-1], params)
        return exported

    def want(self, test):
        return [e["metadata"]["n"] for e in self.sent if test(e)]

    def test_pages_show_every_event_once_newest_first(self):
        for size in (7, 25, 100):
            found = [e["sequence_number"] for e in self.pages(per_page=size)]
            self.assertEqual(found, list(range(250, 0, -1)))
        self.assertEqual(len(self.client.get("/v1/events").json()["data"]), 25)
        some = [e["metadata"]["n"] for e in self.pages(per_page=3, action="user.*")]
        self.assertEqual(some, self.want(lambda e: e["action"].startswith("user."))[::-1])

    def test_action_wildcards(self):
        for pattern, test in {
            "user.*": lambda a: a.startswith("user."), "*.deleted": lambda a: a.endswith(".deleted"), "user.login": lambda a: a == "user.login",
            "*": lambda a: True, "u*r.*": lambda a: a.startswith("user."), "user": lambda a: a == "user", "USER.*": lambda a: False, "nothing": lambda a: False,
        }.items():
            self.assertEqual(self.numbers(action=pattern), self.want(lambda e: test(e["action"])), pattern)

    def test_exact_filters(self):
        self.assertEqual(self.numbers(actor_id="u3"), self.want(lambda e: e["actor"]["id"] == "u3"))
        self.assertEqual(self.numbers(target_type="doc", target_id="d2"), self.want(lambda e: e["target"]["id"] == "d2"))
        self.assertEqual(self.numbers(actor_id="u3", target_id="d2", action="*.deleted"), self.want(
            lambda e: (e["actor"]["id"], e["target"]["id"]) == ("u3", "d2") and e["action"].endswith(".deleted")))
        self.assertEqual(self.numbers(target_type="d"), [])

    def test_dates_without_a_time_mean_the_whole_day(self):
        for low, high in [("2026-01-12", "2026-01-12"), ("2026-01-11", "2026-02-12"), ("2026-03-14", "2026-03-14")]:
            self.assertEqual(self.numbers(**{"from": low, "to": high}), self.want(lambda e: low <= e["occurred_at"][:10] <= high), (low, high))
        edge = self.sent[6]["occurred_at"]
        self.assertIn(6, self.numbers(**{"from": edge, "to": edge}), "both ends are inclusive")
        self.assertEqual(self.numbers(**{"from": "2026-02-01T00:00:00+00:00"}), self.want(lambda e: e["occurred_at"] >= "2026-02"))
        self.assertEqual(self.numbers(to="2025-12-31"), [])
        self.assertEqual(self.numbers(**{"from": "2026-02-02", "to": "2026-02-01"}), [])

    def test_search(self):
        self.assertEqual(self.numbers(search="Needle17x"), [17])
        self.assertEqual(self.numbers(search="needle17X"), [17], "without regard to case")
        self.assertEqual(self.numbers(search="no such text"), [])

    def test_one_event(self):
        newest = self.client.get("/v1/events", per_page=1).json()["data"][0]
        self.assertEqual(self.client.get(f"/v1/events/{newest['id']}").json()["data"], newest)

    def test_aitronos_pages(self):
        found = []
        for skip in range(0, 300, 100):
            page = self.assert_status(self.client.get("/v1/organizations/default/audit-log", skip=skip, limit=100), 200).json()
            self.assertEqual((page["total"], page["skip"], page["limit"], page["has_more"]), (250, skip, 100, skip < 200))
            found += [item["id"].removeprefix("aentry_") for item in page["items"]]
        self.assertEqual(found, [e["id"].removeprefix("evt_") for e in self.pages(per_page=100)])


if __name__ == "__main__":
    unittest.main()
