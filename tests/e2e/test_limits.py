"""Plans, quotas and rate limits as clients meet them: what is refused, in each dialect's words and with its headers; and that nodes admit together what one would."""

import re
import threading
import time

from harness import Case, Server, run_cli
from nodes import command, make_project
from places import Place

PLANS = """
[tight]
export = false
events_per_month = 5
keys = 7
requests_per_minute = 20
[shared]
requests_per_minute = 240
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class LimitsTest(Case):
    def plans(self):
        file = self.dir / "plans.toml"
        file.write_text(PLANS)
        return str(file)

    def start(self, **env):
        return self.server({"INDELIBLE_PLANS_FILE": self.plans(), **env}).start()

    def cli(self, server, *args):
        done = run_cli(*args, data_dir=server.data_dir, env=server.env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def key(self, server, face, *args):
        """A key of a face: (its secret, its application id if it has one)."""
        made = self.cli(server, "key", "create", "--name", face, "--face", face, *args)
        found = re.search(r"^app id +(\S+)$", made, re.M)
        return re.search(r"^key +(\S+)", made, re.M)[1], found and found[1]

    def refused(self, client, limit, method, path, headers=None, body=None):
        """Asks until it is refused, which must be after `limit` requests and what came to the bucket meanwhile; the refusal and the answer before."""
        began, answers = time.monotonic(), []
        while not answers or answers[-1].status != 429:
            self.assertLess(len(answers), 3 * limit, f"no 429: {answers[-1:]}")
            answers.append(client.request(method, path, body=body, headers=headers))
        refilled = limit * (time.monotonic() - began) / 60
        self.assertTrue(limit <= len(answers) - 1 <= limit + refilled + 1, f"{len(answers) - 1} of {limit} were admitted")
        self.assertIn(int(answers[-1].headers["Retry-After"]), range(1, 60 // limit + 2))
        return answers[-1], answers[-2]

    def assert_headers(self, answer, limit, remaining=None, prefix="X-RateLimit-"):
        self.assertEqual(answer.headers[prefix + "Limit"], str(limit))
        if remaining is not None:
            self.assertEqual(answer.headers[prefix + "Remaining"], str(remaining))
        return answer.headers

    def test_too_many_requests_in_each_dialect(self):
        server = self.start(INDELIBLE_PLAN="tight")
        project = server.log_id().split("/")[0]
        with server.client() as client:
            self.assert_headers(client.get("/v1/events"), 20, 19)
            answer, before = self.refused(client, 19, "GET", "/v1/events")
            wait = answer.headers["Retry-After"]
            self.assertEqual(answer.json(), {"error": {"type": "rate_limit_exceeded", "message": f"Rate limit exceeded. Please retry after {wait} seconds."}})
            self.assert_headers(answer, 20, 0)
            self.assertNotIn("X-RateLimit-Reset", before.headers)
            # What needs no credential is not limited, nor is another key.
            self.assert_status(client.get("/healthz"), 200)
        with server.client(key=None) as client:
            self.assertNotIn("X-RateLimit-Limit", client.get("/v1/events").headers)

            own = {"X-API-Key": self.key(server, "aitronos")[0]}
            answer, _ = self.refused(client, 20, "GET", f"/v1/organizations/{project}/audit-log", own)
            error = answer.json()["error"]
            self.assertEqual((error["code"], error["type"], error["status"]), ("RATE_LIMIT_EXCEEDED", "rate_limit_error", 429))
            self.assertAlmostEqual(int(self.assert_headers(answer, 20, 0)["X-RateLimit-Reset"]), time.time() + 60, delta=10)

            own = {"Authorization": f"Bearer {self.key(server, 'loyaltydog')[0]}"}
            answer, _ = self.refused(client, 20, "GET", "/v2/token", own)
            self.assertEqual(answer.json()["code"], "rate_limited")
            self.assertAlmostEqual(int(self.assert_headers(answer, 20, 0)["X-RateLimit-Reset"]), time.time() + 60, delta=10)

            secret, app = self.key(server, "voucherify")
            answer, before = self.refused(client, 20, "POST", "/v1/oauth/introspect", {"X-App-Id": app, "X-App-Token": secret, **FORM}, b"access_token=x")
            self.assertEqual(answer.json(), {"code": 429, "message": "Too many requests hit the API too quickly."})
            headers = self.assert_headers(answer, 20, 0, "X-Rate-Limit-")
            self.assertEqual(headers["X-Rate-Limit-Type"], "api_calls")
            self.assertAlmostEqual(int(headers["X-Rate-Limit-Retry"]), time.time() + int(headers["Retry-After"]), delta=5)
            self.assertNotIn("Retry-After", before.headers)
            self.assertFalse([name for name in headers if name.lower().startswith("x-ratelimit")])

            own = {"Authorization": f"Bearer {self.key(server, 'logproof', '--per-minute', '6')[0]}"}
            self.assert_headers(self.refused(client, 6, "GET", "/v1/events", own)[0], 6, 0)

    def test_a_tight_plan(self):
        server = self.start(INDELIBLE_PLAN="tight")
        project = server.log_id().split("/")[0]
        with server.client() as client:
            answer = self.assert_status(client.get("/v1/events/export?format=csv"), 403)
            self.assertEqual(answer.json()["error"]["type"], "plan_feature_unavailable")
            answer = self.assert_status(client.get(f"/v1/organizations/{project}/audit-log/export"), 403)
            self.assertEqual(answer.json()["error"]["code"], "OPERATION_NOT_ALLOWED")
            event = {"action": "a.b", "external_id": "x"}
            self.assert_status(client.post("/v1/events/batch", {"events": [{"action": "a"}] * 3 + [event]}), 201)
            answer = self.assert_status(client.post("/v1/events/batch", {"events": [{"action": "a"}] * 2}), 429)
            self.assertEqual(answer.json()["error"]["type"], "plan_limit_exceeded")
            self.assertTrue(0 < int(answer.headers["Retry-After"]) <= 31 * 86_400)
            self.assert_status(client.post("/v1/events", {"action": "a"}), 201)
            self.assert_status(client.post("/v1/events", event), 200)
            self.assert_status(client.post("/v1/events", {"action": "a"}), 429)
            made = [client.post("/v1/api-keys", {"name": str(i)}).status for i in range(7)]
            self.assertEqual(made, [201] * 6 + [403])
        # Another plan counts from the next request on, on the running server.
        self.cli(server, "project", "plan", "default", "unrestricted")
        with server.client() as client:
            self.assert_headers(client.get("/v1/events"), 1_000_000)
            self.assert_status(client.post("/v1/events", {"action": "a"}), 201)
            self.assert_status(client.get("/v1/events/export?format=csv"), 200)

    def test_a_plan_that_is_lost_stops_the_start(self):
        server = self.start()
        self.cli(server, "project", "plan", "default", "tight")
        self.assertEqual(server.stop(), 0)
        del server.env["INDELIBLE_PLANS_FILE"]
        with self.assertRaisesRegex(AssertionError, r"(?s)ended with 1.*Project default \(prj_.*no plan tight.*free, pro"):
            server.start()
        (self.dir / "wrong.toml").write_text("[tight]\nexprt = true\n")
        server.env["INDELIBLE_PLANS_FILE"] = str(self.dir / "wrong.toml")
        with self.assertRaisesRegex(AssertionError, r"(?s)ended with 2.*wrong\.toml.*line 2.*exprt"):
            server.start()

    def test_logins(self):
        server = self.start(INDELIBLE_LOGIN_PER_MINUTE="6", INDELIBLE_LOGIN_FAILURES="4", INDELIBLE_TRUSTED_PROXIES="127.0.0.1")

        def login(client, address, email):
            return client.post("/v1/auth/login", {"email": email, "password": "a wrong password"}, headers={"X-Forwarded-For": address})

        with server.client(key=None) as client:
            # An account that is there and one that is not.
            for n, email in enumerate(["owner@localhost", "nobody@localhost"]):
                answers = [login(client, f"203.0.113.{n}", email) for _ in range(5)]
                self.assertEqual([a.status for a in answers], [401] * 4 + [429], answers)
                self.assertEqual(answers[-1].json()["error"]["type"], "rate_limit_exceeded")
                self.assertIn(int(answers[-1].headers["Retry-After"]), range(180, 226))
                # Nobody locks another's account from afar.
                self.assert_status(login(client, f"203.0.113.{90 + n}", email), 401)
            # Many accounts from one address; what the client itself wrote into the header is not believed.
            statuses = [login(client, f"192.0.2.{n}, 198.51.100.7", f"{n}@localhost").status for n in range(7)]
            self.assertEqual(statuses, [401] * 6 + [429])
            self.assert_status(login(client, "198.51.100.8", "8@localhost"), 401)

    def test_nodes_share_a_limit(self):
        place = Place.from_environment()
        self.addCleanup(place.close)
        env = {**place.env(), "INDELIBLE_PLANS_FILE": self.plans(), "INDELIBLE_PLAN": "shared"}
        nodes = [Server(self.dir / f"node{n}", env, log_dir=self.dir) for n in range(2)]
        for node in nodes:
            self.addCleanup(node.kill)
            node.start()
        limit, halt = 240, time.monotonic() + 8
        _, key = make_project(place, "shop")
        admitted, told = [], []

        def ask(node):
            with node.client(key=key) as client:
                while time.monotonic() < halt:
                    answer = client.get("/v1/events?per_page=1")
                    (admitted if answer.status == 200 else told).append((answer.status, answer.headers.get("X-RateLimit-Limit")))

        began = time.monotonic()
        threads = [threading.Thread(target=ask, args=(node,)) for node in nodes * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        most = limit * (1 + (time.monotonic() - began) / 60)
        self.assertEqual({*admitted, *told}, {(200, "240"), (429, "240")})
        self.assertTrue(limit <= len(admitted) <= most * 1.01 + 1, f"{len(admitted)} were admitted, {most:.0f} may be")
        # Another plan counts on every node.
        command(place, "project", "plan", "shop", "tight", env={"INDELIBLE_PLANS_FILE": self.plans()})
        for node in nodes:
            with node.client(key=key) as client:
                self.assert_headers(client.get("/v1/events"), 20)
