"""Imports over HTTP: files sent by curl and read by tasks, whatever they hold and whatever happens meanwhile.

Real files come from /work/shared/data, or from INDELIBLE_DATA; without them the tests that need some are skipped.
"""

import collections
import gzip
import hashlib
import io
import json
import os
import socket
import subprocess
import time
import unittest
import zlib
from pathlib import Path

from harness import CLUSTER, JSON, KEY, NDJSON, SLOW, Case, SharedCase, run_cli

DATA = Path(os.environ.get("INDELIBLE_DATA", "/work/shared/data"))
PATH = "/v1/imports"
ROWS = 20_000


def lines(start, end):
    """Native events that say which they are."""
    return b"".join(b'{"action":"row.%d","actor":{"id":"u%d"},"metadata":{"n":%d,"big":-9214364837600034816}}\n' % (n % 7, n % 97, n) for n in range(start, end))


def curl(server, *args):
    """What curl says to `server`: (status, headers, body)."""
    done = subprocess.run(["curl", "-sS", "-i", "-H", f"Authorization: Bearer {KEY}", *args[:-1], server.url + args[-1]], capture_output=True, timeout=120 * SLOW, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}, body


def wait(client, made, seconds=120):
    """The import once it is over."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        data = client.get(f"{PATH}/{made}").json()["data"]
        if data["status"] not in ("queued", "running"):
            return data
        if time.monotonic() > deadline:
            raise AssertionError(f"the import is not over: {data}")
        time.sleep(0.05)


class Imports(SharedCase):
    env = {"INDELIBLE_IMPORT_BYTES": "60MiB", "INDELIBLE_TASK_INTERVAL_MS": "100"}

    def send(self, body, mapping="native", headers=None, **params):
        self.client.conn.close()  # one that was refused in the middle of a body, or idle for long, is not used again
        query = "&".join(f"{k}={v}" for k, v in {"mapping": mapping, **params}.items())
        return self.client.post(f"{PATH}?{query}", body, {"Content-Type": "application/octet-stream", **(headers or {})})

    def make(self, body, **options):
        answer = self.assert_status(self.send(body, **options), 202)
        data = answer.json()["data"]
        self.assertEqual(answer.headers["Location"], f"{PATH}/{data['id']}")
        return data

    def events(self, made, log="events"):
        mark = f'import":{{"task":"{made}"'.encode()
        return [json.loads(line) for line in self.client.export(log=log) if mark in line]

    def report(self, made):
        answer = self.assert_status(self.client.get(f"{PATH}/{made}/report"), 200)
        self.assertEqual(answer.headers.get_content_type(), NDJSON)
        return [json.loads(line) for line in answer.body.splitlines()]

    def counts(self, data):
        return [data["result"][name] for name in ("done_count", "duplicate_count", "failed_count")]

    def test_curl_sends_a_form(self):
        file, mapping = self.dir / "a b.csv", self.dir / "m.toml"
        file.write_bytes(b"what,who,at\nbuy,ann,2026-01-02T03:04:05Z\nsell,,2026-01-02T03:04:06Z\nbroken,row\n,nobody,2026-01-02T03:04:06Z\n")
        mapping.write_text('action = "shop.{what}"\noccurred_at = "{at}"\nactor = { id = "{who}" }\n')
        status, headers, body = curl(self.shared, "-F", f"mapping=<{mapping}", "-F", f"file=@{file};type=text/csv", "-F", "name=märz.csv", PATH)
        self.assertEqual(status, 202, body)
        data = json.loads(body)["data"]
        self.assertEqual((data["id"], data["status"], data["mapping"], headers["location"]), (data["async_action_id"], "queued", "inline", f"{PATH}/{data['id']}"))
        self.assertEqual(data["file"], {"name": "märz.csv", "bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
        done = wait(self.client, data["id"])
        self.assertEqual((done["status"], done["progress"], self.counts(done), done["result"]["records"]), ("done", 100, [2, 0, 2], 4))
        self.assertEqual([(r["line"], r["member"]) for r in self.report(data["id"])], [(4, ""), (5, "action")])
        first, second = self.events(data["id"])
        self.assertEqual((first["action"], first["actor"]["id"], first["context"]), ("shop.buy", "ann", {"import": {"task": data["id"], "line": 2}}))
        self.assertEqual((second["actor"], second["context"]["import"]["line"]), (None, 3))
        for headers, want in [({}, file.read_bytes()), ({"Range": "bytes=5-"}, file.read_bytes()[5:])]:
            got = self.client.get(data["links"]["file"], headers)
            self.assertEqual(got.body, want)
        self.assertIn("filename*=UTF-8''m%C3%A4rz.csv", got.headers["Content-Disposition"])
        self.assertEqual(json.loads(curl(self.shared, f"{PATH}/{data['id']}")[2])["data"]["links"]["report"], f"{PATH}/{data['id']}/report")

    def test_packed_files_come_as_they_are_and_twice_is_once(self):
        text = lines(0, ROWS)
        packed = gzip.compress(text)
        file = self.dir / "rows.ndjson.gz"
        file.write_bytes(packed)
        status, _, body = curl(self.shared, "-T", str(file), "-X", "POST", "-H", "Content-Type: application/gzip", f"{PATH}?name=rows.ndjson.gz")
        self.assertEqual(status, 202, body)
        first = wait(self.client, json.loads(body)["data"]["id"])
        self.assertEqual(self.counts(first), [ROWS, 0, 0])
        self.assertEqual((first["links"]["report"], self.client.get(f"{PATH}/{first['id']}/report").status), (None, 404))
        self.assertEqual(first["result"]["positions"]["events"]["last"] - first["result"]["positions"]["events"]["first"], ROWS - 1)
        again = wait(self.client, self.make(packed)["id"])
        self.assertEqual(self.counts(again), [0, ROWS, 0])
        stored = self.events(first["id"])
        self.assertEqual([e["metadata"]["n"] for e in stored], list(range(ROWS)))
        self.assertEqual([e["context"]["import"]["line"] for e in stored], list(range(1, ROWS + 1)))
        self.assertEqual(self.client.get(first["links"]["file"]).body, packed)

    def test_a_key_makes_one_import(self):
        body, key = lines(0, 3) + b'{"action":"of-key","external_id":"k"}\n', {"Idempotency-Key": "import-1"}
        first = self.make(body, headers=key)
        again = self.assert_status(self.send(body, headers=key), 202)
        self.assertEqual((again.json()["data"]["id"], again.headers["Idempotency-Replayed"]), (first["id"], "true"))
        self.assert_status(self.send(body + b"\n", headers=key), 422)
        self.assert_status(self.send(body, headers=key, mapping="okta"), 422)

    def test_what_is_refused_at_once(self):
        before = len(self.client.get(PATH, per_page=100).json()["data"])
        form = {"Content-Type": "multipart/form-data; boundary=B"}
        huge = self.send(bytes(61 << 20))
        self.client.conn.close()
        part = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        for status, name, answer in [
            (422, "mapping", self.send(b"{}", mapping="nothing")),
            (422, "mapping", self.send(b"{}", mapping="action=1")),
            (422, "file", self.send(b"")),
            (422, "what", self.send(b"{}", what="x")),
            (415, "Content-Type", self.send(b"{}", headers={"Content-Type": JSON})),
            (415, "Content-Encoding", self.send(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})),
            (413, "import_bytes", huge),
            (422, "file", self.client.post(PATH, part % (b"mapping", b"native") + b"--B--", form)),
            (422, "mapping", self.client.post(PATH, part % (b"file", b"{}") + part % (b"mapping", b"no") + b"--B--", form)),
            (422, "other", self.client.post(PATH, part % (b"other", b"{}") + b"--B--", form)),
            (422, "closing", self.client.post(PATH, part % (b"file", b"{}"), form)),
            (422, "boundary", self.client.post(PATH, b"", {"Content-Type": "multipart/form-data"})),
        ]:
            self.assertEqual(answer.status, status, (name, answer))
            self.assertIn(name, json.dumps(answer.json()))
        chunks = iter([bytes(1 << 20)] * 80)
        self.client.conn.close()
        try:
            self.client.conn.request("POST", PATH, body=chunks, headers={"Authorization": f"Bearer {KEY}", "Transfer-Encoding": "chunked"}, encode_chunked=True)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent
        self.assertEqual(self.client.conn.getresponse().status, 413)
        self.client.conn.close()
        # A sender that leaves in the middle.
        with socket.create_connection((self.client.host, self.client.port)) as sock:
            sock.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 1000\r\n\r\n".encode() + b"{}")
        self.assertEqual(len(self.client.get(PATH, per_page=100).json()["data"]), before)

    def test_bad_rows_are_reported_and_the_others_stored(self):
        bad = {3: b"no json", 500: b'{"action":5}', 501: b'{"action":"a","actor":{"id":7}}', 900: b"{", 1200: b'{"action":"x","x":"' + b"y" * (5 << 20) + b'"}', 1500: b'{"action":"\xff"}', 1501: b'{"a":1,"a":2}'}
        rows = lines(0, 2000).splitlines(keepends=True)
        for line, text in bad.items():
            rows[line - 1] = text + b"\n"
        body = b"".join(rows) + b'{"action":"marked","context":{"import":"mine","n":1.50}}\n'
        done = wait(self.client, self.make(gzip.compress(body, 1))["id"])
        self.assertEqual((done["status"], self.counts(done)), ("done", [2001 - len(bad), 0, len(bad)]))
        self.assertEqual([r["line"] for r in self.report(done["id"])], sorted(bad))
        self.assertEqual([r["member"] for r in self.report(done["id"])][1:3], ["action", "actor.id"])
        self.assertEqual(self.events(done["id"])[-1]["context"], {"import": "mine", "n": 1.5, "indelible_import": {"task": done["id"], "line": 2001}})

    def test_broken_files_fail_and_say_where(self):
        packed = gzip.compress(lines(50_000, 60_000))
        for body, what in [(packed[: len(packed) // 2], "cannot be read on at line"), (b"a,b,a\n1,2,3\n", "neither NDJSON nor CSV")]:
            done = wait(self.client, self.make(body)["id"])
            self.assertEqual(done["status"], "failed")
            self.assertIn(what, done["error"])
            self.assertIn(f"{done['result']['done_count']} events were stored before", done["error"])
            self.assertEqual(len(self.events(done["id"])), done["result"]["done_count"])

    def test_bombs_take_no_memory(self):
        def bomb(head, byte, megabytes=800):
            out = io.BytesIO()
            with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
                file.write(head)
                for _ in range(megabytes):
                    file.write(byte * (1 << 20))
                file.write(b'"}\n' + lines(70_000, 70_002) if byte == b"x" else b"")
            return out.getvalue()

        wait(self.client, self.make(lines(70_010, 70_011))["id"])
        before = self.shared.memory()
        for body in (bomb(b'{"action":"', b"x"), bomb(b'a,b\n1,2\n"', b"y")):
            done = wait(self.client, self.make(body)["id"], 300)
            self.assertEqual((done["status"], done["result"]["failed_count"] > 0), ("done", True), done)
        grown = self.shared.memory("VmHWM") - before
        print(f"\nimport: {grown >> 20} MiB more than before at most, of 800 MiB in one line", flush=True)
        self.assertLess(grown, 200 << 20)

    def test_an_import_is_cancelled(self):
        text = lines(100_000, 400_000)
        made = self.make(zlib.compress(text, 1, wbits=31))["id"]
        while not (data := self.client.get(f"{PATH}/{made}").json()["data"])["progress"] and data["status"] in ("queued", "running"):
            time.sleep(0.02)
        self.assert_status(self.client.post(f"/v1/tasks/{made}/cancel", b"", {"Content-Type": None}), 200)
        done = wait(self.client, made)
        self.assertEqual((done["status"], done["error"]), ("cancelled", None))
        stored = len(self.events(made))
        self.assertEqual(done["result"]["done_count"], stored)
        self.assertTrue(0 < stored < 300_000, stored)

    def test_lists_and_facts(self):
        made = [self.make(b'{"action":"listed"}\n%s' % (b"\n" * n))["id"] for n in range(3)]
        for one in made:
            wait(self.client, one)
        listed, cursor = [], {}
        while True:
            page = self.client.get(PATH, per_page=2, **cursor).json()
            listed += [d["id"] for d in page["data"]]
            if not page["meta"]["has_more"]:
                break
            cursor = {"cursor": page["meta"]["next_cursor"]}
        self.assertEqual(len(listed), len(set(listed)))
        self.assertLessEqual(set(made), set(listed))
        self.assertEqual({d["status"] for d in self.client.get(PATH, status="done").json()["data"]}, {"done"})
        self.assert_status(self.client.get(PATH, cursor="aa_" + "0" * 18), 422)
        self.assert_status(self.client.get(f"{PATH}/aa_{'0' * 18}"), 404)
        deadline = time.monotonic() + 20 * SLOW
        while made[0] not in (facts := [e["target"]["id"] for e in map(json.loads, self.client.export(log="activity")) if e["action"] == "import.created"]) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLessEqual(set(made), set(facts))

    def test_real_files(self):
        if not (DATA / "cloudtrail.ndjson.gz").exists():
            self.skipTest(f"no files in {DATA}")
        for name, mapping, rows in [("cloudtrail", "cloudtrail", 3210), ("saas-samples", "panther-samples", 2139)]:
            file = DATA / f"{name}.ndjson.gz"
            done = wait(self.client, self.make(file.read_bytes(), mapping=mapping, name=file.name)["id"], 300)
            self.assertEqual((done["status"], sum(self.counts(done)), done["result"]["failed_count"]), ("done", rows, 0), done)
            got = self.client.get(done["links"]["file"])
            self.assertEqual(hashlib.sha256(got.body).hexdigest(), hashlib.sha256(file.read_bytes()).hexdigest())
            sources = gzip.decompress(file.read_bytes()).splitlines()
            for event in self.events(done["id"])[::97]:
                self.assertEqual(event["metadata"], json.loads(sources[event["context"]["import"]["line"] - 1]))


class Killed(Case):
    def test_an_import_survives_kill_9(self):
        server = self.server({"INDELIBLE_TASK_INTERVAL_MS": "100", "INDELIBLE_TASK_LEASE": "2"} if CLUSTER else {"INDELIBLE_TASK_INTERVAL_MS": "100"}).start()
        text = lines(0, ROWS * 5) + b"bad\n"
        with server.client() as client:
            # Killed while the file comes: nothing is there afterwards.
            client.conn.putrequest("POST", PATH)
            for name, value in {"Authorization": f"Bearer {KEY}", "Content-Length": str(len(text))}.items():
                client.conn.putheader(name, value)
            client.conn.endheaders(text[: len(text) // 2])
            time.sleep(0.3)
        server.kill()
        server.start()
        client, kills = server.client(), 0
        self.assertEqual(client.get(PATH).json()["data"], [])
        made = self.assert_status(client.post(PATH, text, {"Content-Type": NDJSON}), 202).json()["data"]["id"]
        for share in (5, 40, 80):
            while (data := client.get(f"{PATH}/{made}").json()["data"])["progress"] < share and data["status"] in ("queued", "running"):
                time.sleep(0.01)
            if data["status"] == "done":
                break
            server.kill()
            kills += 1
            client.conn.close()
            client = server.start().client()
        done = wait(client, made, 240)
        result = done["result"]
        self.assertEqual((done["status"], result["done_count"], result["duplicate_count"], result["failed_count"]), ("done", ROWS * 5, 0, 1))
        stored = [json.loads(line) for line in client.export()]
        numbers = collections.Counter(e["metadata"]["n"] for e in stored)
        self.assertEqual((len(stored), len(numbers), max(numbers.values())), (ROWS * 5, ROWS * 5, 1))
        self.assertEqual({(e["context"]["import"]["task"], e["context"]["import"]["line"] - e["metadata"]["n"]) for e in stored}, {(made, 1)})
        report = client.get(f"{PATH}/{made}/report").body.splitlines()
        self.assertEqual([json.loads(line)["line"] for line in report], [ROWS * 5 + 1])
        self.assertEqual(hashlib.sha256(client.get(f"{PATH}/{made}/file").body).digest(), hashlib.sha256(text).digest())
        client.conn.close()
        print(f"\nimport: {kills} kills, {ROWS * 5} rows once each", flush=True)
        self.assertEqual(server.stop(), 0)
        done = run_cli("doctor", data_dir=server.data_dir, env=server.env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
