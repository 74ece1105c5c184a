"""`indelible export --async` and `indelible task`: files that a running server makes, fetched over bad connections, and whole or not at all."""

import contextlib
import csv
import gzip
import hashlib
import http.client
import http.server
import io
import json
import random
import re
import signal
import subprocess
import threading
import time
import unittest
import urllib.parse

from harness import KEY, Case, SharedCase, binary, clean_env, run_cli, with_query

EXPORT = re.compile(r"\bexp_[0-9A-Za-z]{24}\b")
TASK = re.compile(r"\baa_[0-9a-f]{18}\b")
SHOWN = re.compile(r"^rows +([\d,]+)\nsha256 +([0-9a-f]{64})$", re.M)


class Proxy(http.server.ThreadingHTTPServer):
    """Stands between a client and a server, wherever its links lead, and spoils downloads.

    cuts: after how many bytes of its body each download ends, in turn; what comes after the last is left alone. flip: the offset of a byte that is changed.
    """

    daemon_threads = True

    def __init__(self, url):
        super().__init__(("127.0.0.1", 0), Passing)
        self.target = urllib.parse.urlsplit(url).netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.cuts, self.flip, self.downloads = [], None, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A client that left is no news."""

    def through_here(self, link):
        parts = urllib.parse.urlsplit(link)
        return f"{self.url}/link/{parts.netloc}{urllib.parse.urlunsplit(parts._replace(scheme='', netloc=''))}"


class Passing(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def pass_on(self):
        host, path = self.server.target, self.path
        if link := re.match(r"/link/([^/]+)(/.*)", path):
            host, path = link.groups()
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "content-length")}
        with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as upstream:
            upstream.request(self.command, path, body=body or None, headers=headers)
            answer = upstream.getresponse()
            data = answer.read()
        if link:
            data = self.spoil(answer, data)
        else:
            data = re.sub(rb'"download_url":"([^"]*)"', lambda m: json.dumps({"download_url": self.server.through_here(json.loads(m[0][15:]))}, separators=(",", ":")).encode()[1:-1], data)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("content-length", answer.headers.get("content-length") if link else str(len(data)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def spoil(self, answer, data):
        proxy = self.server
        proxy.downloads.append({**{k.lower(): v for k, v in self.headers.items()}, "status": answer.status})
        start = int(re.match(r"bytes (\d+)-", answer.headers.get("content-range", "bytes 0-"))[1])
        if proxy.flip is not None and start <= proxy.flip < start + len(data):
            at = proxy.flip - start
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        cut = proxy.cuts.pop(0) if proxy.cuts else None
        return data if cut is None else data[:cut]

    do_GET = do_POST = pass_on


def remote(url, *args, key=KEY, timeout=120):
    return run_cli(*args, env={"INDELIBLE_SERVER": url, "INDELIBLE_API_KEY": key, "NO_PROXY": "*"}, timeout=timeout)


class Fetching(SharedCase):
    env = {"INDELIBLE_SEAL_BYTES": "200000", "INDELIBLE_TASK_INTERVAL_MS": "50"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            for start in range(0, 6000, 2000):
                made = client.bulk([cls.event(n) for n in range(start, start + 2000)])
                assert made.status == 201, made
            cls.stream = cls.streamed(client)

    @staticmethod
    def event(n):
        day = f"2026-02-{1 + n % 20:02}T12:00:00.{n % 1000:03}001Z"
        return {"action": ["user.login", "user.logout", "order.deleted"][n % 3], "occurred_at": day, "actor": {"id": f"u{n % 7}", "type": "user"},
                "target": {"type": "order", "id": f"o{n % 11}"}, "metadata": {"n": n, "note": f"=1+{n}" if n % 5 == 0 else "x" * (n % 50)}}

    @staticmethod
    def streamed(client, **params):
        answer = client.get("/v1/events/export", format="ndjson", **params)
        assert answer.status == 200, answer
        return answer.body

    def setUp(self):
        super().setUp()
        self.proxy = Proxy(self.shared.url)
        self.addCleanup(self.proxy.server_close)
        self.addCleanup(self.proxy.shutdown)
        self.folder = self.dir / self.id()
        self.folder.mkdir()
        self.out = self.folder / "out"

    def fetch(self, *args, url=None, code=0):
        """Runs the export with --wait and returns (the bytes of the file, the finished process)."""
        done = remote(url or self.shared.url, "export", "--async", "--wait", "--output", self.out, *args)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn(KEY, done.stderr + done.stdout)
        if code:
            return None, done
        data = self.out.read_bytes()
        self.assertEqual([p.name for p in self.folder.iterdir()], ["out"])
        rows, digest = SHOWN.search(done.stderr).groups()
        self.assertEqual(digest, hashlib.sha256(data).hexdigest())
        self.rows = int(rows.replace(",", ""))
        return data, done

    def asked(self, *args):
        """Asks for an export without waiting, and returns its id when it is finished."""
        done = remote(self.shared.url, "export", "--async", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        export = EXPORT.search(done.stdout)[0]
        self.assertIn(f"--export {export}", done.stderr)
        self.assertTrue(TASK.search(done.stdout))
        return export

    def test_what_is_fetched_is_what_is_streamed(self):
        data, done = self.fetch()
        self.assertEqual(data, self.stream)
        self.assertEqual(self.rows, self.stream.count(b"\n"))
        self.assertEqual(done.stdout, "")
        zipped, _ = self.fetch("--gzip")
        self.assertEqual(gzip.decompress(zipped), self.stream)
        self.assertIsInstance(json.loads(self.fetch("--format", "json")[0]), (dict, list))
        self.assertEqual(self.fetch("--format", "parquet")[0][:4], b"PAR1")

    def test_filters_are_those_of_the_stream(self):
        for flags, params in [
            (("--action", "user.*"), {"action": "user.*"}),
            (("--action", "*.deleted", "--actor-id", "u3"), {"action": "*.deleted", "actor_id": "u3"}),
            (("--from", "2026-02-03", "--to", "2026-02-05"), {"from": "2026-02-03", "to": "2026-02-05"}),
            (("--from", "2026-02-03T12:00:00.042001Z", "--to", "2026-02-03T12:00:00.702001Z"), {"from": "2026-02-03T12:00:00.042001Z", "to": "2026-02-03T12:00:00.702001Z"}),
            (("--target-type", "order", "--target-id", "o4"), {"target_type": "order", "target_id": "o4"}),
        ]:
            with self.subTest(flags):
                wanted = self.streamed(self.client, **params)
                self.assertGreater(wanted.count(b"\n"), 0)
                self.assertEqual(self.fetch(*flags)[0], wanted)

    def test_a_csv_has_the_fields_that_were_asked_for(self):
        for safe, cell in (("true", "'=1+0"), ("false", "=1+0")):
            data, _ = self.fetch("--format", "csv", "--fields", "id,action,metadata,actor_id", "--csv-safe", safe)
            rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
            self.assertEqual(len(rows), 1 + self.rows)
            self.assertEqual(rows[0][0], "ID")
            self.assertEqual(rows[1][1], "user.login")
        done = remote(self.shared.url, "export", "--async", "--format", "csv", "--fields", "nonsense")
        self.assertEqual(done.returncode, 1)
        self.assertIn("field", done.stderr)

    def test_standard_output(self):
        done = subprocess.run([binary(), "export", "--async", "--wait", "--output", "-", "--server", self.shared.url], capture_output=True, timeout=120,
                              env=clean_env({"INDELIBLE_API_KEY": KEY, "NO_PROXY": "*"}))
        self.assertEqual((done.returncode, done.stdout), (0, self.stream), done.stderr)

    def test_a_broken_download_goes_on(self):
        self.proxy.cuts = [0, 1000, 1, 300_000]
        data, _ = self.fetch(url=self.proxy.url)
        self.assertEqual(data, self.stream)
        self.assertEqual([d.get("range") for d in self.proxy.downloads], [None, None, "bytes=1000-", "bytes=1001-", "bytes=301001-"])
        self.assertEqual([d["status"] for d in self.proxy.downloads], [200, 200, 206, 206, 206])
        self.assertTrue(all(d.get("if-range") for d in self.proxy.downloads[2:]))
        # The link alone says who may fetch it.
        self.assertTrue(all("authorization" not in d for d in self.proxy.downloads))

    def test_a_download_goes_on_in_another_process(self):
        export = self.asked()
        part = self.folder / f"out.{export}.part"
        part.write_bytes(self.stream[:5000])
        data, done = self.fetch("--export", export, url=self.proxy.url)
        self.assertEqual(data, self.stream)
        self.assertEqual([d.get("range") for d in self.proxy.downloads], ["bytes=5000-"])
        self.assertIn("5,000", done.stderr)
        # One that is whole already is only checked; one that is too long is fetched anew.
        for there in (self.stream, self.stream + b"more"):
            part.write_bytes(there)
            self.assertEqual(self.fetch("--export", export)[0], self.stream)

    def test_what_was_changed_on_its_way_is_not_kept(self):
        self.proxy.flip = len(self.stream) // 2
        self.out.write_bytes(b"before")
        _, done = self.fetch(url=self.proxy.url, code=1)
        self.assertIn("SHA-256", done.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["out"])
        self.assertEqual(self.out.read_bytes(), b"before")
        export = self.asked()
        (self.folder / f"out.{export}.part").write_bytes(b"x" + self.stream[1:5000])
        self.fetch("--export", export, code=1)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["out"])

    def test_an_export_that_is_gone(self):
        export = self.asked()
        self.fetch("--export", export)
        self.assert_status(self.client.request("DELETE", f"/v1/exports/{export}"), 204)
        _, done = self.fetch("--export", export, code=1)
        self.assertIn("404", done.stderr)

    def test_activity(self):
        data, _ = self.fetch("--log", "activity", "--to", "2030-01-01")
        self.assertGreater(self.rows, 0)
        self.assertTrue(all("http" in json.loads(line) or "action" in json.loads(line) for line in data.splitlines()))

    def test_a_key_is_needed_and_stays_secret(self):
        done = run_cli("task", "list", env={"INDELIBLE_SERVER": self.shared.url})
        self.assertEqual(done.returncode, 2)
        self.assertIn("INDELIBLE_API_KEY", done.stderr)
        secret = "lp_sk_wrong_0123456789abcdefghijklmnopq"
        place = self.folder / "key"
        place.write_text(secret + "\n")
        done = run_cli("task", "list", "--server", self.shared.url, "--api-key-file", place, env={"NO_PROXY": "*"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("401", done.stderr)
        self.assertNotIn(secret, done.stderr)
        place.write_text(KEY)
        done = run_cli("task", "list", "--server", self.shared.url, "--api-key-file", place, env={"NO_PROXY": "*"})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_tasks_are_listed_and_shown(self):
        exports = [self.asked() for _ in range(3)]
        for export in exports:
            self.fetch("--export", export)
        lines = remote(self.shared.url, "task", "list", "--kind", "export", "--status", "done", "--limit", "3").stdout.splitlines()
        self.assertEqual([EXPORT.search(line)[0] for line in lines], exports[::-1])
        task = TASK.search(lines[0])[0]
        shown = remote(self.shared.url, "task", "show", task).stdout
        for part in (task, exports[-1], "done", "processing_time", hashlib.sha256(self.stream).hexdigest()):
            self.assertIn(part, shown)
        over = remote(self.shared.url, "task", "cancel", task)
        self.assertEqual(over.returncode, 1)
        self.assertIn("409", over.stderr)
        missing = remote(self.shared.url, "task", "show", "aa_" + "0" * 18)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("404", missing.stderr)

    def test_the_pages_of_the_list_hold_each_task_once(self):
        for _ in range(5):
            self.asked("--format", "csv")
        whole = self.client.get("/v1/tasks", per_page=100).json()["data"]
        seen, cursor = [], {}
        while cursor is not None:
            page = self.assert_status(self.client.request("GET", with_query("/v1/tasks", {"per_page": 2, "from": "2020-01-01", **cursor})), 200).json()
            seen += [task["id"] for task in page["data"]]
            cursor = {"cursor": page["meta"]["next_cursor"]} if page["meta"]["has_more"] else None
        self.assertEqual(seen, [task["id"] for task in whole])
        self.assertEqual(whole, sorted(whole, key=lambda t: (t["created_at"], t["id"]), reverse=True))
        self.assertEqual(self.client.get("/v1/tasks", kind="import").json()["data"], [])
        self.assertEqual(self.client.get("/v1/tasks", to="2020-01-01").json()["data"], [])


class Stopping(Case):
    def test_tasks_that_wait_and_tasks_that_run_are_cancelled(self):
        server = self.server({"INDELIBLE_TASKS_PER_PROJECT": "1", "INDELIBLE_TASK_INTERVAL_MS": "50", "INDELIBLE_TASK_LEASE": "1"}).start()
        with server.client() as client:
            for start in range(0, 60_000, 10_000):
                made = client.bulk([{"action": "a", "metadata": {"n": n, "text": random.randbytes(400).hex()}} for n in range(start, start + 10_000)])
                self.assert_status(made, 201)
            asked = [self.assert_status(client.post("/v1/exports", {"exported_object": "event", "parameters": {"format": "ndjson", "compression": "gzip"}}), 200).json() for _ in range(8)]
            exports, tasks = [e["id"] for e in asked], [e["task_id"] for e in asked]

            def task(id):
                return client.get(f"/v1/tasks/{id}").json()["data"]

            def waiting_for(export):
                return subprocess.Popen([binary(), "export", "--async", "--wait", "--export", export, "--output", str(self.dir / export), "--server", server.url],
                                        env=clean_env({"INDELIBLE_API_KEY": KEY, "NO_PROXY": "*"}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

            # Somebody who gives up is told how to go on; nothing is stopped by that.
            gives_up, is_told = waiting_for(exports[6]), waiting_for(exports[7])
            time.sleep(0.3)
            gives_up.send_signal(signal.SIGINT)
            _, words = gives_up.communicate(timeout=60)
            self.assertEqual(gives_up.returncode, 130, words)
            self.assertIn(f"--export {exports[6]}", words)

            done = remote(server.url, "task", "cancel", tasks[7])
            self.assertEqual((done.returncode, done.stdout), (0, f"cancelled {tasks[7]}\n"), done.stderr)
            _, words = is_told.communicate(timeout=60)
            self.assertEqual(is_told.returncode, 1)
            self.assertIn("cancelled", words)

            # One may end just before it is told to.
            stopped = None
            for id in tasks[:6]:
                while task(id)["status"] == "queued":
                    time.sleep(0.01)
                done = remote(server.url, "task", "cancel", id)
                while task(id)["status"] == "running":
                    time.sleep(0.01)
                if done.stdout == f"stopping {id}\n" and task(id)["status"] == "cancelled":
                    stopped = id
                    break
            self.assertIsNotNone(stopped, "no running task was stopped")
            for id in (stopped, tasks[7]):
                self.assertIsNone(task(id)["result"])
            shown = self.assert_status(client.get(f"/v1/exports/{exports[tasks.index(stopped)]}"), 200).json()
            self.assertEqual((shown["state"], shown["result"]), ("cancelled", None))
            while task(tasks[6])["status"] in ("queued", "running"):
                time.sleep(0.05)
            self.assertEqual(task(tasks[6])["result"]["rows"], 60_000)


if __name__ == "__main__":
    unittest.main()
