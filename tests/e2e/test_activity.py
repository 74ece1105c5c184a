"""The server's own log: what was asked of it and what changed in it is in the log `activity`, soon, whole, and without secrets."""

import concurrent.futures
import json
import re
import time
import unittest
import urllib.parse
import uuid

from harness import JSON, KEY, SLOW, Case, Client, SharedCase, run_cli

SOON = 2.0
INGEST = {"createEvent", "createEvents", "createEventsInBulk", "createImport"}
SECRETS = ["hunter2hunter2", "correct horse battery staple", "s3cr3t-in-a-query", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl"]


def entries(client, **params):
    """All entries of the API log that match, oldest first."""
    out, cursor = [], None
    while True:
        page = client.get("/v1/logs", per_page=100, **params, **({"cursor": cursor} if cursor else {}))
        assert page.status == 200, page
        out += page.json()["data"]
        cursor = page.json()["meta"]["next_cursor"]
        if not cursor:
            return out[::-1]


def wait(find, seconds=SOON):
    """The first true result of `find` within some time, else its last."""
    end = time.monotonic() + seconds * SLOW
    while not (found := find()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def entry(client, request_id):
    """The entry of a request, which must come soon."""
    found = wait(lambda: entries(client, request_id=request_id))
    assert len(found) == 1, f"{request_id}: {found}"
    return found[0]


def event(i):
    return {"action": "order.created", "actor": {"id": f"u{i}"}, "metadata": {"word": "zebra" if i % 2 else "horse"}}


class ApiLog(SharedCase):
    def ask(self, method, target, body=None, headers=None, client=None):
        """A request with an id of its own: (answer, id)."""
        request_id = f"t-{uuid.uuid4().hex}"
        answer = (client or self.client).request(method, target, body, {"X-Request-Id": request_id, **(headers or {})})
        self.assertEqual(answer.headers["X-Request-Id"], request_id)
        return answer, request_id

    def test_every_route_that_is_called_appears(self):
        document = self.client.get("/openapi.json").json()
        asked = []
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if "security" not in operation or operation["operationId"] in INGEST:
                    continue
                target = re.sub(r"\{\w+\}", "evt_" + "0" * 32, path)
                # A connection whose request was refused before its body was read may be closed.
                with self.shared.client() as client:
                    answer, request_id = self.ask(method.upper(), target, {} if "requestBody" in operation else None, client=client)
                if answer.status != 401:
                    asked.append((request_id, method.upper(), path, target, answer.status))
        self.assertGreater(len(asked), 8)
        for request_id, method, path, target, status in asked:
            with self.subTest(f"{method} {path}"):
                seen = entry(self.client, request_id)
                http = seen["http"]
                self.assertEqual((http["method"], http["status"], http["url"], http["channel"]), (method, status, target, "API"))
                word = re.sub(r"[{}]", "", path).replace("/", "_").replace("-", "_").replace(".", "_")
                self.assertEqual(http["endpoint"].replace("_", ""), (method + word).lower().replace(method.lower(), method, 1).replace("_", ""))
                self.assertGreaterEqual(http["duration_ms"], 0)
                self.assertEqual(seen["actor"]["type"], "api_key")
                self.assertRegex(seen["actor"]["id"], "^key_[0-9a-f]{32}$")
                self.assertEqual(seen["context"]["ip"], "127.0.0.1")
                self.assertEqual(seen["context"]["request_id"], request_id)

    def test_what_belongs_to_no_project_is_not_recorded(self):
        for target, headers in [("/v1/events", {"Authorization": "Bearer lp_sk_unknown_0123456789abcdef"}), ("/v1/events", {"Authorization": None}), ("/healthz", {}), ("/metrics", {}), ("/openapi.json", {})]:
            _, request_id = self.ask("GET", target, headers=headers)
            time.sleep(0.7 * SLOW)
            self.assertEqual(entries(self.client, request_id=request_id), [], target)

    def test_ingest_is_not_recorded_unless_wanted(self):
        _, request_id = self.ask("POST", "/v1/events", event(1))
        time.sleep(0.7 * SLOW)
        self.assertEqual(entries(self.client, request_id=request_id), [])

    def test_searches_and_exports_are_recorded(self):
        self.assert_status(self.client.bulk([event(i) for i in range(3000)]), 201)
        _, listed = self.ask("GET", "/v1/events?per_page=3")
        _, searched = self.ask("GET", "/v1/events?search=zebra&actor_id=u1")
        exported, export = self.ask("GET", "/v1/events/export?format=csv&search=zebra")
        self.assertEqual(entry(self.client, listed)["action"], "events.listed")
        seen = entry(self.client, searched)
        self.assertEqual((seen["action"], seen["http"]["url"]), ("events.searched", "/v1/events?search=zebra&actor_id=u1"))
        seen = entry(self.client, export)
        rows = exported.body.count(b"\n") - 1
        self.assertEqual((seen["action"], seen["metadata"]), ("events.exported", {"outcome": "finished", "bytes": len(exported.body), "rows": rows}))
        self.assertNotIn("response_body", seen["http"])

    def test_an_export_that_a_client_leaves_is_recorded(self):
        big = [{"action": "a", "metadata": {"pad": uuid.uuid4().hex * 300}} for _ in range(800)]
        for _ in range(6):
            self.assert_status(self.client.bulk(big), 201)
        request_id = f"t-{uuid.uuid4().hex}"
        leaver = self.shared.client()
        leaver.open("GET", "/v1/events/export?format=ndjson", headers={"X-Request-Id": request_id}).read(1000)
        leaver.conn.sock.close()
        leaver.conn.close()
        seen = wait(lambda: entries(self.client, request_id=request_id), 10)
        self.assertEqual(seen[0]["metadata"]["outcome"], "aborted")
        self.assertNotIn("rows", seen[0]["metadata"])

    def test_bodies_of_changes_and_of_failures(self):
        made, request_id = self.ask("POST", "/v1/api-keys", {"name": "for bodies", "scopes": ["events:read"]})
        seen = entry(self.client, request_id)["http"]
        self.assertEqual(seen["request_body"], {"name": "for bodies", "scopes": ["events:read"]})
        self.assertEqual(seen["response_body"]["data"]["id"], made.json()["data"]["id"])
        self.assertEqual(seen["response_body"]["data"]["key"], "***")
        _, request_id = self.ask("GET", "/v1/events?colour=red")
        self.assertIn("colour", json.dumps(entry(self.client, request_id)["http"]["response_body"]))
        _, request_id = self.ask("GET", "/v1/events?per_page=1")
        self.assertNotIn("response_body", entry(self.client, request_id)["http"])
        _, request_id = self.ask("POST", "/v1/api-keys", {"name": "x" * 9000})
        body = entry(self.client, request_id)["http"]["request_body"]
        self.assertEqual(body["_truncated"], len(json.dumps({"name": "x" * 9000})))
        self.assertLess(len(body["_start"]), 4100)

    def test_secrets_are_nowhere(self):
        made = self.client.post("/v1/api-keys", {"name": "secret", "scopes": ["events:read"]}).json()["data"]
        for text in SECRETS:
            quoted = urllib.parse.quote(text)
            self.ask("GET", f"/v1/events?token={quoted}")
            self.ask("GET", f"/v1/events?search={made['key']}&password={quoted}")
            self.ask("POST", "/v1/api-keys", {"name": 5, "password": text, "deep": [{"clientSecret": text, "note": f"Bearer {made['key']}"}]})
            self.ask("POST", "/v1/api-keys", f'{{"password":"{text}"'.encode())
            self.ask("POST", "/v1/api-keys", f"a=b&client_secret={quoted}".encode(), {"Content-Type": "application/x-www-form-urlencoded"})
            self.ask("PATCH", f"/v1/api-keys/{made['id']}?api_key={quoted}", {"name": "n", "token": text, "pad": "y" * 5000})
            self.ask("GET", "/v1/events?per_page=1", headers={"User-Agent": f"curl token={quoted}", "X-Voucherify-Channel": f"key={quoted}"})
            self.ask("POST", "/v2/token", f"grant_type=password&username=owner@localhost&password={quoted}".encode(), {"Content-Type": "application/x-www-form-urlencoded"})
            self.ask("POST", "/v1/oauth/introspect", f"access_token={quoted}".encode(), {"Content-Type": "application/x-www-form-urlencoded"})
        _, last = self.ask("GET", "/v1/events?per_page=1")
        entry(self.client, last)
        text = b"".join(self.client.export(log="activity")).decode()
        self.assertIn("***", text)
        for secret in [*SECRETS, *map(urllib.parse.quote, SECRETS), made["key"], KEY]:
            self.assertNotIn(secret, text)
            self.assertNotIn(secret, self.shared.stderr())

    def test_a_key_that_was_good_once_is_told_of(self):
        made = self.client.post("/v1/api-keys", {"name": "gone", "scopes": ["events:read"]}).json()["data"]
        self.assert_status(self.client.request("DELETE", f"/v1/api-keys/{made['id']}"), 200, 204)
        answer, request_id = self.ask("GET", "/v1/events", headers={"Authorization": f"Bearer {made['key']}"})
        self.assertEqual(answer.status, 401)
        seen = entry(self.client, request_id)
        self.assertEqual((seen["action"], seen["actor"]["id"], seen["http"]["status"]), ("auth.refused", made["id"], 401))

    def test_facts_say_who_changed_what(self):
        made = self.client.post("/v1/api-keys", {"name": "before", "scopes": ["events:read"]}).json()["data"]
        self.assert_status(self.client.request("PATCH", f"/v1/api-keys/{made['id']}", {"name": "after"}), 200)
        self.assert_status(self.client.request("DELETE", f"/v1/api-keys/{made['id']}"), 200, 204)

        def facts():
            all_of = [e for e in entries(self.client, action="key.*") if (e["target"] or {}).get("id") == made["id"]]
            return all_of if len(all_of) == 3 else None

        found = wait(facts)
        self.assertEqual([e["action"] for e in found or []], ["key.created", "key.renamed", "key.revoked"])
        self.assertEqual({e["actor"]["type"] for e in found}, {"api_key"})
        self.assertTrue(all("http" not in e for e in found))

    def test_filters(self):
        mark = uuid.uuid4().hex
        asked = {}
        for name, (method, target, body) in {
            "list": ("GET", "/v1/events?per_page=1", None),
            "wrong": ("GET", f"/v1/events?mark={mark}", None),
            "missing": ("GET", "/v1/events/evt_" + "0" * 32, None),
            "made": ("POST", "/v1/api-keys", {"name": f"K {mark}", "scopes": ["events:read", "logs:read"]}),
        }.items():
            asked[name] = self.ask(method, target, body, {"X-Voucherify-Channel": f"sdk-{mark}"})
        other = self.shared.client(key=asked["made"][0].json()["data"]["key"])
        self.addCleanup(other.conn.close)
        asked["other"] = self.ask("GET", "/v1/events?per_page=1", client=other)
        ids = {name: request_id for name, (_, request_id) in asked.items()}
        for request_id in ids.values():
            entry(self.client, request_id)

        def found(**params):
            got = {e["http"]["request_id"] for e in entries(self.client, **params) if "http" in e}
            return sorted(name for name, request_id in ids.items() if request_id in got)

        mine = {"channel": f"sdk-{mark}"}
        self.assertEqual(found(**mine), ["list", "made", "missing", "wrong"])
        self.assertEqual(found(**mine, status="success"), ["list", "made"])
        self.assertEqual(found(**mine, status="failure"), ["missing", "wrong"])
        self.assertEqual(found(**mine, status="4xx"), ["missing", "wrong"])
        self.assertEqual(found(**mine, status="404"), ["missing"])
        self.assertEqual(found(**mine, method="post"), ["made"])
        self.assertEqual(found(**mine, endpoint="GET_v1_events"), ["list", "wrong"])
        self.assertEqual(found(**mine, endpoint="GET_v1_events*"), ["list", "missing", "wrong"])
        self.assertEqual(found(**mine, body=f"k {mark}"), ["made"])
        self.assertEqual(found(**mine, action="event.read"), ["missing"])
        self.assertEqual(found(key=f"K {mark}"), ["other"])
        self.assertEqual(found(key=asked["made"][0].json()["data"]["id"]), ["other"])
        self.assertEqual(found(user=asked["made"][0].json()["data"]["id"]), ["other"])
        self.assertEqual(found(**mine, to="2020-01-01"), [])
        self.assertEqual(found(**mine, **{"from": "2020-01-01"}), ["list", "made", "missing", "wrong"])
        one = self.client.get("/v1/logs", request_id=ids["made"]).json()["data"][0]
        self.assertEqual(self.client.get(f"/v1/logs/{one['id']}").json()["data"], one)
        for answer in [self.client.get("/v1/logs", nonsense=1), self.client.get("/v1/logs", status="fine"), self.client.get("/v1/logs", cursor="x")]:
            self.assert_status(answer, 422)
        # An event of the other log is not an entry, and the words are those for one that is nowhere.
        event_id = self.client.post("/v1/events", event(1)).json()["data"]["id"]
        missing, wrong = self.client.get("/v1/logs/evt_" + "0" * 32), self.client.get(f"/v1/logs/{event_id}")
        self.assertEqual((wrong.status, wrong.body), (404, missing.body))
        self.assertEqual(self.client.get("/v1/logs/x").body, missing.body)

    def test_the_scope_is_needed(self):
        made = self.client.post("/v1/api-keys", {"name": "reader", "scopes": ["events:read"]}).json()["data"]
        with Client(self.shared.url, key=made["key"]) as reader:
            answer, request_id = self.ask("GET", "/v1/logs", client=reader)
        self.assertEqual(answer.status, 403)
        self.assertEqual(entry(self.client, request_id)["http"]["status"], 403)


class Durable(Case):
    def test_facts_survive_a_kill_right_after_the_answer(self):
        server = self.server().start()
        made = []
        for round_ in range(6):
            with server.client() as client:
                key = self.assert_status(client.post("/v1/api-keys", {"name": f"k{round_}", "scopes": ["events:read"]}), 201).json()["data"]["id"]
                if round_ % 2:
                    time.sleep(0.1 * round_)
                server.kill()
            made.append(key)
            server.start()
        with server.client() as client:
            targets = lambda: [e["target"]["id"] for e in entries(client, action="key.created") if e["target"]["meta"]["name"].startswith("k")]
            wait(lambda: len(targets()) >= len(made))
            self.assertEqual(targets(), made)
            self.assertEqual(client.get("/v1/verify", log="activity").json()["data"]["status"], "valid")

    def test_calls_survive_an_orderly_end(self):
        server = self.server().start()
        ids = [f"t-{i}" for i in range(20)]
        with server.client() as client:
            for request_id in ids:
                client.request("GET", "/v1/events?per_page=1", headers={"X-Request-Id": request_id})
        self.assertEqual(server.stop(), 0)
        with server.start().client() as client:
            found = [e["http"]["request_id"] for e in entries(client, action="events.listed")]
        self.assertEqual(sorted(i for i in found if i in ids), sorted(ids))

    def test_commands_report_their_changes(self):
        server = self.server().start()
        done = run_cli("key", "create", "--name", "by hand", data_dir=server.data_dir, env=server.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        with server.client() as client:
            found = wait(lambda: [e for e in entries(client, action="key.created") if e["target"]["meta"]["name"] == "by hand"])
        self.assertEqual(found[0]["actor"], {"id": "operator", "type": "operator"})

    def test_what_operators_can_set(self):
        server = self.server({"INDELIBLE_API_LOG_INGEST": "yes", "INDELIBLE_API_LOG_BODIES": "all"}).start()
        with server.client() as client:
            client.request("POST", "/v1/events", event(1), {"X-Request-Id": "t-ingest"})
            client.request("GET", "/v1/events?per_page=1", headers={"X-Request-Id": "t-list"})
            seen = entry(client, "t-ingest")
            self.assertEqual((seen["action"], seen["http"]["status"]), ("api.request", 201))
            self.assertNotIn("request_body", seen["http"])
            self.assertNotIn("response_body", seen["http"])
            self.assertEqual(entry(client, "t-list")["http"]["response_body"]["data"][0]["action"], "order.created")
        server.stop()
        server.env = {"INDELIBLE_API_LOG": "no"}
        with server.start().client() as client:
            client.request("GET", "/v1/events?per_page=1", headers={"X-Request-Id": "t-off"})
            client.post("/v1/api-keys", {"name": "in any case", "scopes": ["events:read"]})
            found = wait(lambda: [e for e in entries(client, action="key.created") if e["target"]["meta"]["name"] == "in any case"])
            self.assertEqual(len(found), 1)
            self.assertEqual(entries(client, request_id="t-off"), [])

    def test_nothing_is_lost_silently(self):
        server = self.server({"INDELIBLE_API_LOG_QUEUE": "64KiB"}).start()
        asked = 0

        def ask(worker):
            with server.client() as client:
                for i in range(100):
                    self.assert_status(client.get("/v1/events", {"X-Request-Id": f"t-{worker}-{i}"}, per_page=1), 200)
            return 100

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = sum(pool.map(ask, range(8)))
        with server.client() as client:

            def told():
                found = entries(client)
                recorded = sum(1 for e in found if e.get("http", {}).get("request_id", "").startswith("t-"))
                lost = sum(e["metadata"]["requests"] for e in found if e["action"] == "api_log.lost")
                return recorded + lost >= asked and (recorded, lost)

            recorded, lost = wait(told, 5) or (0, 0)
            self.assertEqual(recorded + lost, asked)


if __name__ == "__main__":
    unittest.main()
