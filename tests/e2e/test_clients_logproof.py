"""LogProof's documented clients: curl, requests, Node and Guzzle's request save an export; all of them get the same bytes. And a widget's browser."""

import csv
import io
import json
import subprocess

import clients
from harness import KEY, Case, Client, SharedCase

EVENTS = [{"action": ["user.login", "user.logout", "doc.read"][n % 3], "actor": {"id": f"usr_{n % 7}", "meta": {"name": "Jörg, \"J\"\n中文"}},
           "target": {"type": "doc", "id": f"doc_{n}"}, "occurred_at": f"2025-01-{1 + n % 31:02}T08:00:00Z", "metadata": {"n": n, "pad": "x" * 300}} for n in range(900)]
WINDOW = {"format": "csv", "action": "user.login", "from": "2025-01-01T00:00:00Z", "to": "2025-01-31T23:59:59Z"}


class Saves(SharedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            answer = client.bulk(EVENTS)
            if answer.status != 201:
                raise AssertionError(repr(answer))

    def setUp(self):
        super().setUp()
        self.file = self.dir / "events-export.csv"
        self.file.unlink(missing_ok=True)
        self.wanted = self.client.get("/v1/events/export", format="csv", action="user.login").body

    def check(self, headers):
        """What was saved is the whole file, and the head says what it is."""
        self.assertEqual(self.file.read_bytes(), self.wanted)
        self.assertRegex(headers["content-type"], "^text/csv")
        self.assertRegex(headers["content-disposition"], r'^attachment; filename="events-export-\d{4}-\d\d-\d\d-\d{6}\.csv"$')
        rows = list(csv.DictReader(io.StringIO(self.wanted.decode(), newline="")))
        self.assertEqual([json.loads(r["metadata"])["n"] for r in rows], [e["metadata"]["n"] for e in EVENTS if e["action"] == "user.login"])

    def test_curl(self):
        head = self.dir / "head"
        url = f"{self.shared.url}/v1/events/export?format=csv&action=user.login"
        subprocess.run(["curl", "-sS", "-X", "GET", url, "-H", f"Authorization: Bearer {KEY}", "-o", self.file, "-D", head], check=True, timeout=60)
        lines = head.read_text().splitlines()
        self.assertIn("200", lines[0])
        self.check({name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])})

    def test_requests(self):
        done = json.loads(clients.run(clients.python(), "logproof_requests.py", self.shared.url, KEY, self.file, json.dumps(WINDOW)))
        self.assertEqual(done["status"], 200)
        self.check(done["headers"])

    def test_node(self):
        path = "/v1/events/export?format=csv&action=user.login"
        done = json.loads(clients.run(clients.node(), "logproof_pipe.js", self.shared.url, KEY, self.file, path))
        self.assertEqual((done["status"], done["complete"]), (200, True))
        self.check(done["headers"])

    def test_the_request_that_guzzle_sends(self):
        """PHP itself is not needed: this is its request as it goes over the wire, saved as `sink` does."""
        query = "format=csv&action=user.login&from=2025-01-01T00%3A00%3A00Z&to=2025-01-31T23%3A59%3A59Z"
        response = self.client.open("GET", f"/v1/events/export?{query}", headers={"User-Agent": "GuzzleHttp/7"})
        with open(self.file, "wb") as sink:
            while piece := response.read(8192):
                sink.write(piece)
        self.assertEqual(response.status, 200)
        self.check({k.lower(): v for k, v in response.getheaders()})


class Widget(Case):
    ORIGIN = "https://app.example.com"

    def test_a_browser_shows_a_timeline(self):
        server = self.server({"INDELIBLE_WIDGET_ORIGINS": f"{self.ORIGIN},http://localhost:3000"}).start()
        with server.client() as client:
            self.assert_status(client.bulk(EVENTS[:120]), 201)
            token = self.assert_status(client.post("/v1/api-keys", {"name": "widget", "face": "widget"}), 201).json()["data"]["key"]
        self.assertTrue(token.startswith("lp_wt_"))
        with Client(server.url, key=token) as widget:
            preflight = widget.request("OPTIONS", "/v1/widget/timeline", headers={
                "Authorization": None, "Origin": self.ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"})
            self.assert_status(preflight, 204)
            self.assertEqual((preflight.headers["Access-Control-Allow-Origin"], preflight.headers["Access-Control-Allow-Methods"]), (self.ORIGIN, "GET"))
            self.assertIn("authorization", preflight.headers["Access-Control-Allow-Headers"].lower())
            first = self.assert_status(widget.get("/v1/widget/timeline", headers={"Origin": self.ORIGIN}), 200)
            self.assertEqual((first.headers["Access-Control-Allow-Origin"], len(first.json()["data"])), (self.ORIGIN, 25))
            self.assertIn("origin", first.headers["Vary"].lower())
            seen, cursor = [], None
            while True:
                page = widget.get("/v1/widget/timeline", limit=50, action="user.*", **({"cursor": cursor} if cursor else {})).json()
                seen += [e["metadata"]["n"] for e in page["data"]]
                cursor = page["meta"]["next_cursor"]
                if not page["meta"]["has_more"]:
                    break
            self.assertEqual(seen, [n for n in reversed(range(120)) if n % 3 < 2])
            # It reads nothing else, and other origins read nothing.
            for path in ("/v1/events", "/v1/events/export", "/v1/verify", "/v1/api-keys", "/v1/organizations/default/audit-log"):
                self.assert_status(widget.get(path), 403)
            self.assert_status(widget.post("/v1/events", {"action": "x"}), 403)
            other = widget.get("/v1/widget/timeline", headers={"Origin": "https://evil.example"})
            self.assertIsNone(other.headers["Access-Control-Allow-Origin"])
            # A failure can be read by the page as well.
            refused = widget.get("/v1/widget/timeline", headers={"Origin": self.ORIGIN, "Authorization": "Bearer lp_wt_wrong"})
            self.assert_status(refused, 401)
            self.assertEqual((refused.headers["Access-Control-Allow-Origin"], refused.json()["error"]["type"]), (self.ORIGIN, "authentication_error"))
            self.assert_status(widget.get("/v1/widget/timeline", limit=51), 422)

    def test_without_the_setting_no_origin_is_allowed(self):
        with self.server().start().client() as client:
            answer = client.get("/v1/widget/timeline", headers={"Origin": self.ORIGIN})
            self.assert_status(answer, 200)
            self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
            preflight = client.request("OPTIONS", "/v1/widget/timeline", headers={"Origin": self.ORIGIN, "Access-Control-Request-Method": "GET"})
            self.assertEqual((preflight.status, preflight.headers["Allow"]), (405, "GET"))
