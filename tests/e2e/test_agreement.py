"""All ways out of one log agree: LogProof's JSON and CSV streams, Aitronos' CSV without its cap, LoyaltyDog's tasks, Voucherify's export of our object `event` with every field, and
Parquet. Row by row and cell by cell, by a comparer that knows nothing of the server (compare_exports.py).

With INDELIBLE_TEST_EVENTS naming a folder of real events (<mapping>.ndjson.gz) those are compared, else made-up ones that are as awkward as can be.
"""

import json
import os
import random
import re
import shutil
import subprocess
import time
import unittest
import urllib.request
from pathlib import Path

from harness import NDJSON, SLOW, Case, run_cli, with_query
from servers import tools

SCRIPT = Path(__file__).with_name("compare_exports.py")
REAL = os.environ.get("INDELIBLE_TEST_EVENTS")
# Every field of the object `event`.
FIELDS = ["id", "sequence_number", "created_at", "occurred_at", "received_at", "hash", "previous_hash", "action", "actor_id", "actor_type", "actor_name", "actor_email", "actor_meta",
          "target_id", "target_type", "target_name", "target_meta", "subject_id", "subject_type", "subject_name", "subject_meta", "organization_id", "organization_name", "department_id",
          "ip", "user_agent", "request_id", "context", "diff_before", "diff_after", "metadata", "http_method", "http_endpoint", "http_url", "http_status", "http_channel",
          "http_duration_ms", "app_id", "client_app_id", "request_body", "response_body", "external_id", "diff"]
EVENTS = 3000
TEXTS = ["", " ", "a", "a,b", '"', '""', "a\r\nb", "\r", "\n", "=1+1", "'=1", "@x", "-1", "+1", "\t", "\\", "\\n", "null", "\u0001", "\u007f", "\u2028", "ü", "中文", "😀", "e\u0301", "[]", '{"a":1}',
         "x" * 5000, "0", "true", "'", ";", "\ufeff"]
NUMBERS = ["0", "-0", "1.10", "1e400", "-1E-400", "9007199254740993", "123456789012345678901234567890", "0.1e-7", "1.0"]


def made_up(count):
    """Events as JSON texts, each with a choice of members, and of awkward values in them."""
    chance = random.Random(5)
    some = lambda make, share=0.7: make() if chance.random() < share else None
    one = lambda: chance.choice(TEXTS)
    name = lambda: chance.choice([t for t in TEXTS if t.strip() and len(t) < 100])

    def value(depth=0):
        kind = chance.randrange(8 if depth < 3 else 5)
        if kind < 2:
            return one()
        if kind < 5:
            return chance.choice([None, True, False, f"@@{chance.choice(NUMBERS)}@@"])
        if kind == 5:
            return [value(depth + 1) for _ in range(chance.randrange(3))]
        return {chance.choice(["a", "diff", "n\"", "ü", "name", "b c"]) + str(i): value(depth + 1) for i in range(chance.randrange(4))}

    def bag(**more):
        extra = {f"k{i}": value() for i in range(chance.randrange(3))}
        return {**{k: v for k, v in more.items() if v is not None}, **extra}

    def party(who):
        # A subject may have its name outside; then it is not said again.
        outside = some(one, 0.4) if who == "subject" else None
        meta = lambda: bag(name=None if outside is not None else some(one), email=some(one, 0.4), title=some(one, 0.3))
        return {k: v for k, v in {"id": name(), "type": some(name, 1 if who != "subject" else 0.7), "name": outside, "meta": some(meta)}.items() if v is not None}

    def event(n):
        diff = lambda: {k: v for k, v in (("before", value()), ("after", value())) if chance.random() < 0.7}
        metadata = lambda: bag(department_id=some(name, 0.3), diff=some(value, 0.2), n=n)
        context = lambda: bag(ip=some(lambda: chance.choice(["192.0.2.1", "2001:db8::1"])), user_agent=some(one), request_id=some(one))
        members = {
            "action": chance.choice(["user.login", "login", "a.b.c", "x." + name(), "giftcard.issued"]),
            "occurred_at": some(lambda: f"20{chance.randrange(10, 30)}-0{chance.randrange(1, 10)}-11T10:00:0{chance.randrange(10)}{chance.choice(['', '.5', '.123456', '.000001'])}Z"),
            "actor": some(lambda: party("actor")), "target": some(lambda: party("target")), "subject": some(lambda: party("subject"), 0.4),
            "organization": some(lambda: {"id": name(), **({"name": one()} if chance.random() < 0.5 else {})}, 0.5),
            "context": some(context), "diff": some(diff, 0.5), "metadata": some(metadata), "external_id": some(lambda: f"x{n}", 0.2),
        }
        return re.sub(r'"@@(.*?)@@"', r"\1", json.dumps({k: v for k, v in members.items() if v is not None}, ensure_ascii=False))

    return [event(n) for n in range(count)]


class Agreement(Case):
    env = {"INDELIBLE_TASK_INTERVAL_MS": "100"}

    def fill(self):
        """A server with a log to compare."""
        server = self.server(self.env).start()
        if not REAL:
            with server.client() as client:
                texts = made_up(EVENTS)
                for at in range(0, EVENTS, 500):
                    self.assert_status(client.post("/v1/events/bulk", "\n".join(texts[at:at + 500]).encode(), {"Content-Type": NDJSON}), 201)
            return server
        # Imports go in while nobody serves.
        server.stop()
        mappings = run_cli("import", "--list-mappings").stdout
        for file in sorted(Path(REAL).glob("*.ndjson.gz")):
            name = file.name.removesuffix(".ndjson.gz")
            mapping = next(line.split()[0] for line in mappings.splitlines() if line.startswith(name.split("-")[0]) or (name == "saas-samples" and line.startswith("panther")))
            done = run_cli("import", "--mapping", mapping, file, data_dir=server.data_dir, timeout=600)
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return server.start()

    def stream(self, client, name, path, **params):
        """A streamed export, in a file."""
        response = client.open("GET", with_query(path, params))
        self.assertEqual(response.status, 200)
        with open(self.dir / name, "wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
        return str(self.dir / name)

    def fetch(self, name, ask, url):
        """The file of a task: `ask()` answers with its status until `url` finds a link in that."""
        patience = time.monotonic() + 300 * SLOW
        while not (link := url(status := ask())):
            self.assertLess(time.monotonic(), patience, status)
            time.sleep(0.1)
        with urllib.request.urlopen(link) as response, open(self.dir / name, "wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
        return str(self.dir / name)

    def loyaltydog(self, client, name, body):
        task = self.assert_status(client.post("/v2/giftcards/audit-logs/export", body), 202).json()["taskId"]

        def link(status):
            self.assertIsNone(status["error"])
            return status["downloadUrl"]

        return self.fetch(name, lambda: self.assert_status(client.get(f"/v2/giftcards/audit-logs/export/{task}"), 200).json(), link)

    def voucherify(self, client, name, parameters):
        made = self.assert_status(client.post("/v1/exports", {"exported_object": "event", "parameters": parameters}), 200).json()

        def link(status):
            self.assertNotIn(status["status"], ("ERROR",), status)
            return status["result"] and status["result"]["download_url"]

        return self.fetch(name, lambda: self.assert_status(client.get(f"/v1/exports/{made['id']}"), 200).json(), link)

    def test_all_ways_out_agree(self):
        server = self.fill()
        with server.client() as client:
            head = client.head()
            reference = self.stream(client, "logproof.json", "/v1/events/export", format="json")
            files = {
                "logproof": self.stream(client, "logproof.csv", "/v1/events/export", format="csv"),
                "aitronos": self.stream(client, "aitronos.csv", "/v1/organizations/default/audit-log/export", limit="none"),
                "loyaltydog": self.loyaltydog(client, "loyaltydog.csv", {}),
                "loyaltydog-json": self.loyaltydog(client, "loyaltydog.json", {"format": "json"}),
                "voucherify": self.voucherify(client, "voucherify.csv", {"fields": FIELDS}),
                "parquet": self.voucherify(client, "events.parquet", {"format": "parquet"}),
            }
        task = json.dumps({"reference": reference, "files": files, "fields": FIELDS})
        done = subprocess.run([tools() / "python", SCRIPT], input=task, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        found = json.loads(done.stdout)
        self.assertEqual(found["differences"], [])
        self.assertEqual(found["rows"], head)
        cells = {"logproof": 16, "aitronos": 9, "loyaltydog": 17, "loyaltydog-json": 17, "voucherify": len(FIELDS), "parquet": 39}
        self.assertEqual(found["cells"], {kind: head * count for kind, count in cells.items()})
        print(f"\nagreement: {head} {'real' if REAL else 'made-up'} events, {sum(found['cells'].values())} cells of {len(cells)} files agree with the reference", flush=True)


if __name__ == "__main__":
    unittest.main()
