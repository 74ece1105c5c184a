"""Browsing an export's file: pages, search over the whole file, order by a column, and what is not shown."""

import csv
import io
import json
import re
import time
import unittest
import urllib.request

from analytics import until
from harness import KEY, SLOW, Client, SharedCase, run_cli

EVENTS = 1200


class Rows(SharedCase):
    env = {"INDELIBLE_TASK_INTERVAL_MS": "50"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            sent = [{"action": f"doc.{n % 3}", "actor": {"id": f"u{n * 7919 % EVENTS}", "meta": {"name": "Ärger" if n == 77 else f'a "quoted", name\n{n}'}},
                     "organization": {"id": "ab"[n % 2]}, "metadata": {"n": n, "nested": {"deep": [n, "x"]}}} for n in range(EVENTS)]
            for at in range(0, EVENTS, 300):
                answer = client.bulk(sent[at:at + 300])
                assert answer.status == 201, answer

    def export(self, client=None, object="event", **parameters):
        """An export that is finished."""
        client = client or self.client
        made = self.assert_status(client.post("/v1/exports", {"exported_object": object, "parameters": parameters}), 200).json()
        until("the export", lambda: client.get(f"/v1/exports/{made['id']}").json()["state"] == "finished")
        return client.get(f"/v1/exports/{made['id']}").json()

    def rows(self, export, **params):
        return self.assert_status(self.client.get(f"/v1/exports/{export['id']}/rows", **params), 200).json()

    def file(self, export):
        with urllib.request.urlopen(export["result"]["download_url"], timeout=60 * SLOW) as answer:
            return answer.read()

    def test_pages_are_the_file(self):
        export = self.export(format="csv")
        want = list(csv.DictReader(io.StringIO(self.file(export).decode(), newline="")))
        self.assertEqual(len(want), EVENTS)
        got = []
        for page in range(1, EVENTS // 100 + 1):
            answer = self.rows(export, page=page, per_page=100)
            self.assertEqual((answer["meta"]["page"], answer["meta"]["per_page"], answer["meta"]["total"]), (page, 100, EVENTS))
            got += answer["data"]
        self.assertEqual(got, want)
        meta = self.rows(export)["meta"]
        self.assertEqual((meta["columns"], meta["search"], meta["sort"], meta["order"]), (list(want[0]), None, None, "asc"))
        self.assertEqual((meta["export"]["id"], meta["export"]["object"], meta["export"]["rows"], meta["export"]["parameters"]["format"]), (export["id"], "event", EVENTS, "csv"))
        self.assertEqual(self.rows(export, page=13, per_page=100)["data"], [])

    def test_search_and_order_are_over_the_whole_file(self):
        export = self.export(format="ndjson", compression="zstd")
        first = self.rows(export, per_page=1)
        self.assertEqual(json.loads(first["data"][0]["actor"])["id"], "u0")
        self.assertIn("hash", first["meta"]["columns"])
        found = self.rows(export, search="äRGER")
        self.assertEqual((found["meta"]["total"], [r["sequence_number"] for r in found["data"]]), (1, ["78"]))
        third = self.rows(export, search="DOC.2", per_page=10, page=2)
        self.assertEqual((third["meta"]["total"], [r["sequence_number"] for r in third["data"]]), (EVENTS // 3, [str(3 * n + 3) for n in range(10, 20)]))
        down = self.rows(export, sort="sequence_number", order="desc", page=2, per_page=5)
        self.assertEqual([r["sequence_number"] for r in down["data"]], [str(EVENTS - n) for n in range(5, 10)])
        table = self.export(format="csv", fields=["actor_id", "sequence_number"], compression="gzip")
        column = self.rows(table)["meta"]["columns"][0]
        texts = self.rows(table, sort=column, per_page=100)
        self.assertEqual([r[column] for r in texts["data"]], sorted((f"u{n}" for n in range(EVENTS)), key=str.encode)[:100])
        for parameters in ({"format": "json"}, {"format": "csv", "fields": ["id", "actor_name"]}):
            self.assertEqual(self.rows(self.export(compression="gzip", **parameters), search="Ärger")["meta"]["total"], 1)

    def test_api_logs_are_shown(self):
        until("an entry", lambda: self.client.get("/v1/logs", method="GET", per_page=1).json()["data"])
        export = self.export(object="api_log")
        shown = self.rows(export)
        self.assertGreater(shown["meta"]["total"], 0)
        self.assertEqual(shown["meta"]["total"], export["rows"])

    def test_what_is_not_shown(self):
        parquet = self.export(format="parquet")
        header = self.export(object="voucher")
        for export, why in ((parquet, "Parquet"), (header, "api_log and event")):
            answer = self.assert_status(self.client.get(f"/v1/exports/{export['id']}/rows"), 409)
            self.assertIn(why, answer.body.decode())
        export = self.export(format="csv")
        target = f"/v1/exports/{export['id']}/rows"
        for params in ({"page": 0}, {"per_page": 101}, {"page": 101, "per_page": 100}, {"order": "desc"}, {"sort": "no such column"}, {"limit": 1}):
            self.assert_status(self.client.get(target, **params), 422)
        for name in ("exp_" + "0" * 24, "exp_1", "x%2Fy"):
            self.assert_status(self.client.get(f"/v1/exports/{name}/rows"), 404)
        self.assert_status(self.client.request("DELETE", f"/v1/exports/{export['id']}"), 204)
        self.assert_status(self.client.get(target), 404)

    def test_foreign_rows_are_missing(self):
        export = self.export(format="csv")
        missing = self.client.get("/v1/exports/exp_" + "0" * 24 + "/rows")
        made = run_cli("project", "create", "rows-other", data_dir=self.shared.data_dir)
        self.assertEqual(made.returncode, 0, made.stderr)
        made = run_cli("key", "create", "--project", "rows-other", "--name", "other", data_dir=self.shared.data_dir)
        with Client(self.shared.url, key=re.search(r"lp_sk_\w+", made.stdout)[0]) as other:
            self.assertEqual(self.assert_status(other.get(f"/v1/exports/{export['id']}/rows"), 404).json()["error"], missing.json()["error"])
        bound = self.assert_status(self.client.post("/v1/api-keys", {"name": "bound", "organizations": ["a"]}), 201).json()["data"]["key"]
        with Client(self.shared.url, key=bound) as client:
            self.assert_status(client.get(f"/v1/exports/{export['id']}/rows"), 404)
            own = self.export(client, format="csv")
            self.assertEqual(self.assert_status(client.get(f"/v1/exports/{own['id']}/rows"), 200).json()["meta"]["total"], EVENTS // 2)
        with Client(self.shared.url, key=None) as nobody:
            self.assert_status(nobody.get(f"/v1/exports/{export['id']}/rows"), 401)

    def test_who_leaves_stops_the_work(self):
        export = self.export(format="csv")
        for _ in range(20):
            client = Client(self.shared.url, key=KEY)
            client.conn.request("GET", f"/v1/exports/{export['id']}/rows?search=zzz&sort=id", headers={"Authorization": f"Bearer {KEY}"})
            client.conn.close()
        start = time.monotonic()
        self.rows(export)
        self.assertLess(time.monotonic() - start, 10 * SLOW)


if __name__ == "__main__":
    unittest.main()
