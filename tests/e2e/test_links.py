"""Links to the files of exports: curl, requests and a browser follow them without a credential, take a download up again anywhere, and get nothing more once the
link's time is over, it was changed, or the export is gone. On a cluster the links lead to the S3 server itself.
"""

import hashlib
import json
import random
import re
import socket
import subprocess
import time
import unittest
import urllib.parse

import browser
import clients
from harness import CLUSTER, KEY, SLOW, Case, Client, SharedCase, embedded_only

# More than one part of an upload to S3.
EVENTS = [{"action": f"user.{n % 9}", "external_id": f"x{n}", "metadata": {"n": n, "pad": f"{n:07}" * 60, "name": "Jörg 中"}} for n in range(20_000)]
XML_ERROR = re.compile(rb"<Error>.*<Code>(\w+)</Code>", re.S)


def fetch(url, method="GET", headers=None):
    """Status, headers and body, of whoever serves the URL, without a credential."""
    parts = urllib.parse.urlsplit(url)
    with Client(url, key=None) as client:
        return client.request(method, parts.path + "?" + parts.query, headers=headers)


def changed(url, name, change):
    """A link of which one parameter has another value."""
    parts = urllib.parse.urlsplit(url)
    pairs = [(n, change(v) if n == name else v) for n, v in urllib.parse.parse_qsl(parts.query)]
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)))


def parameters(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def show(client, id):
    """An export as the server shows it, with fresh links."""
    answer = client.get(f"/v1/exports/{id}")
    if answer.status != 200:
        raise AssertionError(repr(answer))
    return answer.json()


def export(client, **wanted):
    """A finished export of all events."""
    made = client.post("/v1/exports", {"exported_object": "event", "parameters": wanted})
    if made.status != 200:
        raise AssertionError(repr(made))
    deadline = time.monotonic() + 60 * SLOW
    while (info := show(client, made.json()["id"]))["state"] != "finished":
        if info["state"] not in ("queued", "running") or time.monotonic() > deadline:
            raise AssertionError(info)
        time.sleep(0.05)
    return info


def store(client, events):
    answer = client.bulk(events)
    if answer.status != 201:
        raise AssertionError(repr(answer))


class Refused:
    def assert_refused(self, answer, status, *codes):
        """It is S3's error, whoever answers."""
        self.assertEqual(answer.status, status, repr(answer))
        self.assertRegex(answer.headers["Content-Type"], "^application/xml")
        found = XML_ERROR.search(answer.body)
        self.assertIn(found and found[1].decode(), codes, repr(answer))


class Links(Refused, SharedCase):
    env = {"INDELIBLE_API_LOG_BODIES": "all"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            store(client, EVENTS)
            cls.info = export(client, format="ndjson")
            cls.data = b"".join(client.export())

    def setUp(self):
        super().setUp()
        self.url = self.fresh()
        self.file = self.dir / "file"
        self.file.unlink(missing_ok=True)

    def fresh(self):
        """A link that was made for this asking."""
        return show(self.client, self.info["id"])["result"]["download_url"]

    def name(self):
        return urllib.parse.urlsplit(self.url).path.rsplit("/", 1)[1]

    def test_the_link_is_all_that_one_needs(self):
        self.assertEqual((hashlib.sha256(self.data).hexdigest(), len(self.data), len(EVENTS)), (self.info["sha256"], self.info["size"], self.info["rows"]))
        self.assertEqual(self.url.startswith(self.shared.url), not CLUSTER)
        for stray in ({}, {"Authorization": "Bearer lp_sk_wrong"}, {"Authorization": f"Bearer {KEY}"}):
            answer = fetch(self.url, headers=stray)
            self.assertEqual(answer.status, 200, repr(answer))
            self.assertTrue(answer.body == self.data, "other bytes")
            self.assertEqual(answer.headers["Content-Type"], "application/x-ndjson")
            self.assertEqual(answer.headers["Content-Disposition"], f'attachment; filename="{self.name()}"')
            self.assertEqual((answer.headers["Accept-Ranges"], int(answer.headers["Content-Length"])), ("bytes", len(self.data)))
            self.assertTrue(answer.headers["ETag"])
        self.assertRegex(self.name(), r"^[A-Za-z0-9-]+\d{4}-\d\d-\d\d\.ndjson$")
        head = fetch(self.url, "HEAD")
        if CLUSTER:
            # The signature is for GET, and S3 takes it for nothing else.
            self.assertEqual((head.status, head.body), (403, b""))
        else:
            self.assertEqual((head.status, head.body, head.headers["ETag"]), (200, b"", answer.headers["ETag"]))
            self.assertEqual(head.headers["Content-Length"], str(len(self.data)))
            self.assert_refused(fetch(self.url, "POST"), 405, "MethodNotAllowed")
        manifest = fetch(show(self.client, self.info["id"])["result"]["manifest_url"])
        self.assertEqual((manifest.status, manifest.headers["Content-Type"], manifest.json()["sha256"]), (200, "application/json", self.info["sha256"]))

    def test_each_asking_gives_a_fresh_link(self):
        time.sleep(1.1)
        again = self.fresh()
        self.assertNotEqual(again, self.url)
        self.assertEqual([fetch(url, headers={"Range": "bytes=0-9"}).body for url in (self.url, again)], [self.data[:10]] * 2)

    def test_files_of_every_kind_say_what_they_are(self):
        for wanted, media in (({"format": "csv"}, "text/csv; charset=utf-8"), ({"format": "json"}, "application/json"), ({"format": "parquet"}, "application/vnd.apache.parquet"),
                                  ({"format": "csv", "compression": "gzip"}, "application/gzip"), ({"format": "ndjson", "compression": "zstd"}, "application/zstd")):
            info = export(self.client, **wanted)
            answer = fetch(info["result"]["download_url"])
            self.assertEqual((answer.status, answer.headers["Content-Type"], hashlib.sha256(answer.body).hexdigest()), (200, media, info["sha256"]), wanted)
            self.assertIsNone(answer.headers["Content-Encoding"])

    def test_a_download_goes_on_at_any_byte(self):
        length = len(self.data)
        etag = fetch(self.url, headers={"Range": "bytes=0-0"}).headers["ETag"]
        for start in [0, 1, length - 1, *random.Random(7).sample(range(length), 17)]:
            answer = fetch(self.url, headers={"Range": f"bytes={start}-", "If-Range": etag})
            self.assertEqual((answer.status, answer.headers["Content-Range"]), (206, f"bytes {start}-{length - 1}/{length}"))
            self.assertTrue(answer.body == self.data[start:], f"other bytes from {start} on")
        answer = fetch(self.url, headers={"Range": "bytes=-9"})
        self.assertEqual((answer.status, answer.body), (206, self.data[-9:]))
        self.assert_refused(fetch(self.url, headers={"Range": f"bytes={length}-"}), 416, "InvalidRange")

    @embedded_only("If-Range is the S3 server's own there")
    def test_a_download_of_another_file_begins_anew(self):
        for other in ('"another"', "Tue, 10 Feb 2026 14:32:15 GMT"):
            answer = fetch(self.url, headers={"Range": "bytes=5-", "If-Range": other})
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.body == self.data)
        answer = fetch(self.url, headers={"Range": "bytes=0-1,5-6"})
        self.assertEqual((answer.status, len(answer.body)), (200, len(self.data)))

    def test_curl(self):
        for cut in (1, 100_000, len(self.data) - 1):
            self.file.write_bytes(self.data[:cut])
            subprocess.run(["curl", "-sS", "--fail", "-C", "-", "-o", self.file, self.url], check=True, timeout=60)
            self.assertTrue(self.file.read_bytes() == self.data, f"other bytes after {cut}")
        folder = self.dir / "saved"
        folder.mkdir(exist_ok=True)
        subprocess.run(["curl", "-sS", "--fail", "-OJ", self.url], check=True, timeout=60, cwd=folder)
        self.assertEqual({f.name: f.read_bytes() == self.data for f in folder.iterdir()}, {self.name(): True})

    def test_requests(self):
        done = json.loads(clients.run(clients.python(), "link_requests.py", self.url, self.file, 1_000_000))
        self.assertTrue(self.file.read_bytes() == self.data, "other bytes")
        self.assertEqual((done["name"], done["type"]), (f'attachment; filename="{self.name()}"', "application/x-ndjson"))
        self.assertGreater(done["rounds"], 5)

    @unittest.skipUnless(browser.chromium(), "there is no Chromium (Debian: apt-get install chromium)")
    def test_a_browser(self):
        for part, data in (("download_url", self.data), ("manifest_url", None)):
            url = show(self.client, self.info["id"])["result"][part]
            saved = browser.download(url, self.file)
            name = urllib.parse.urlsplit(url).path.rsplit("/", 1)[1]
            self.assertEqual((saved["status"], saved["name"], saved["failure"]), (200, name, None))
            self.assertTrue(data is None or self.file.read_bytes() == data, "other bytes")
        refused = browser.download(changed(self.url, "X-Amz-Expires", lambda v: "3601"), self.file)
        self.assertEqual((refused["status"], refused["type"]), (403, "application/xml"))

    def test_a_link_that_was_changed_opens_nothing(self):
        self.assertLessEqual({"X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"}, set(parameters(self.url)))
        answer = fetch(changed(self.url, "nothing", str), headers={"Range": "bytes=0-0"})
        self.assertEqual(answer.status, 206, repr(answer))
        for name, change in {"X-Amz-Date": lambda v: v[:-2] + ("0Z" if v[-2] != "0" else "1Z"), "X-Amz-Expires": lambda v: str(int(v) + 1),
                             "X-Amz-Signature": lambda v: v[:-1] + ("0" if v[-1] != "0" else "1")}.items():
            self.assert_refused(fetch(changed(self.url, name, change)), 403, "AccessDenied", "SignatureDoesNotMatch")
        other = urllib.parse.urlsplit(export(self.client, format="csv")["result"]["download_url"])
        # Another export's path with this one's signature.
        self.assert_refused(fetch(urllib.parse.urlunsplit(urllib.parse.urlsplit(self.url)._replace(path=other.path))), 403, "AccessDenied", "SignatureDoesNotMatch")
        self.assert_refused(fetch(self.url.split("?")[0] + "?"), 403, "AccessDenied")

    def test_a_deleted_export_has_no_link_any_more(self):
        info = export(self.client, format="csv")
        url = info["result"]["download_url"]
        self.assertEqual(fetch(url, headers={"Range": "bytes=0-0"}).status, 206)
        self.assert_status(self.client.request("DELETE", f"/v1/exports/{info['id']}"), 204)
        if CLUSTER:
            self.assert_refused(fetch(url), 404, "NoSuchKey")
        else:
            self.assert_refused(fetch(url), 403, "AccessDenied")

    @embedded_only("a download that was begun is the S3 server's own there")
    def test_a_download_that_runs_breaks_off_when_the_export_is_deleted(self):
        info = export(self.client, format="ndjson")
        parts = urllib.parse.urlsplit(info["result"]["download_url"])
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            sock.settimeout(30 * SLOW)
            sock.connect((parts.hostname, parts.port))
            sock.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got = len(sock.recv(16384))
            self.assert_status(self.client.request("DELETE", f"/v1/exports/{info['id']}"), 204)
            time.sleep(1.2)
            try:
                while chunk := sock.recv(1 << 20):
                    got += len(chunk)
            except ConnectionError:
                pass
        self.assertLess(got, info["size"])

    def test_a_token_is_all_that_one_needs(self):
        csv = export(self.client, format="csv")
        url = csv["result"]["url"]
        self.assertRegex(url, rf"^{re.escape(self.shared.url)}/v1/exports/{csv['id']}\?token=[A-Za-z0-9_-]+$")
        answer = fetch(url)
        self.assertEqual((answer.status, hashlib.sha256(answer.body).hexdigest()), (200, csv["sha256"]))
        self.assertRegex(answer.headers["Content-Type"], "^text/plain")
        part = fetch(url, headers={"Range": "bytes=7-", "If-Range": answer.headers["ETag"]})
        self.assertEqual((part.status, part.body == answer.body[7:]), (206, True))
        for wrong in (url[:-1] + ("A" if url[-1] != "A" else "B"), url.replace(csv["id"], self.info["id"]), url + "x"):
            self.assertEqual(fetch(wrong).status, 401)

    def test_no_log_holds_what_opens_a_file(self):
        result = show(self.client, self.info["id"])["result"]
        secrets = {parameters(result["download_url"])["X-Amz-Signature"], parameters(result["manifest_url"])["X-Amz-Signature"], parameters(result["url"])["token"]}
        for name in ("download_url", "url"):
            fetch(result[name], headers={"Range": "bytes=0-0"})
        deadline, seen = time.monotonic() + 20 * SLOW, ""
        while "X-Amz-Signature=***" not in seen or "token=***" not in seen:
            self.assertLess(time.monotonic(), deadline, "the API log does not show the request")
            time.sleep(0.2)
            seen = self.client.get("/v1/logs", per_page=100).body.decode()
        for secret in secrets:
            self.assertNotIn(secret, seen)
            self.assertNotIn(secret, self.shared.stderr())


class Late(Refused, Case):
    def test_a_link_is_over_when_its_time_is(self):
        server = self.server({"INDELIBLE_LINK_LIFETIME": "3s"}).start()
        with server.client() as client:
            store(client, EVENTS[:100])
            info = export(client, format="csv")
            result = show(client, info["id"])["result"]
            self.assertEqual((fetch(result["download_url"]).status, fetch(result["url"]).status), (200, 200))
            time.sleep(4.2)
            late = fetch(result["download_url"])
            self.assert_refused(late, 403, "AccessDenied")
            self.assertRegex(late.body, rb"(?i)<Message>Request has expired</Message>")
            self.assertEqual(fetch(result["url"]).status, 401)
            fresh = show(client, info["id"])["result"]
            self.assertEqual((fetch(fresh["download_url"]).status, fetch(fresh["url"]).status), (200, 200))


if __name__ == "__main__":
    unittest.main()
