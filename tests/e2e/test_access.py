"""Access across nodes: what was withdrawn on one node counts on the next request to the other, for every kind of credential, and what is bound
to organizations hides everything else.

On the embedded store both nodes are the same server.
"""

import http.client
import re
import time
import urllib.parse

from harness import CLUSTER, NDJSON, PLACES, Case, Server, with_query

OWNER, PASSWORD = "owner@localhost", "a password of the owner"
ENV = {"INDELIBLE_OWNER_PASSWORD": PASSWORD, "INDELIBLE_LOGIN_PER_MINUTE": "100000"}
FORM = "application/x-www-form-urlencoded"


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


class AccessCase(Case):
    """Two nodes: `one` is where things change, `two` where they must be seen."""

    def setUp(self):
        super().setUp()
        first = self.server(ENV).start()
        second = first
        if CLUSTER:
            second = Server(self.dir / "second", {**PLACES[str(first.data_dir)].env(), **ENV}, log_dir=self.dir)
            self.addCleanup(second.kill)
            second.start()
        self.one, self.two = first.client(), second.client()
        self.addCleanup(self.one.conn.close)
        self.addCleanup(self.two.conn.close)

    def data(self, answer, status=200):
        return self.assert_status(answer, status).json()["data"]

    def make_key(self, **more):
        return self.data(self.one.post("/v1/api-keys", {"name": "test", **more}), 201)

    def form(self, client, path, headers=None, **fields):
        return client.request("POST", path, urllib.parse.urlencode(fields).encode(), {"Authorization": None, "Content-Type": FORM, **(headers or {})})

    def login(self, client, email=OWNER, password=PASSWORD):
        return self.data(client.post("/v1/auth/login", {"email": email, "password": password}, {"Authorization": None}))

    def member(self, **more):
        """A member who is logged in: (as the project sees them, their headers)."""
        email, password = "jane@example.com", "a password of Jane"
        owner = bearer(self.login(self.one)["token"])
        made = self.data(self.one.post("/v1/members", {"email": email, "password": password, **more}, owner), 201)
        return made, bearer(self.login(self.one, email, password)["token"]), owner

    def change(self, member, owner, **change):
        return self.data(self.one.request("PATCH", f"/v1/members/{member['id']}", change, owner))


class WithdrawnTest(AccessCase):
    def test_a_revoked_key(self):
        key = self.make_key()
        self.assert_status(self.two.get("/v1/events", headers=bearer(key["key"])), 200)
        self.assert_status(self.one.request("DELETE", f"/v1/api-keys/{key['id']}"), 204)
        refused = self.assert_status(self.two.get("/v1/events", headers=bearer(key["key"])), 401)
        unknown = self.assert_status(self.two.get("/v1/events", headers=bearer(f"lp_sk_{'0' * 64}")), 401)
        self.assertEqual(refused.body, unknown.body)

    def test_an_open_export_of_a_revoked_key(self):
        key = self.make_key()
        for _ in range(6):
            self.assert_status(self.one.bulk([{"action": "a.b", "metadata": {"text": f"{i:08}" * 1000}} for i in range(1000)]), 201)
        with self.two as client:
            response = client.open("GET", with_query("/v1/events/export", {"format": "ndjson"}), headers={**bearer(key["key"]), "Accept-Encoding": "identity"})
            self.assertEqual(response.status, 200)
            response.read(1000)
            self.assert_status(self.one.request("DELETE", f"/v1/api-keys/{key['id']}"), 204)
            time.sleep(3)
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                while response.read(1 << 20):
                    pass

    def test_a_withdrawn_role(self):
        member, jane, owner = self.member(role="admin")
        event = {"action": "a.b"}
        self.assert_status(self.two.post("/v1/events", event, jane), 201)
        self.assert_status(self.two.get("/v1/api-keys", headers=jane), 200)
        self.change(member, owner, role="auditor")
        self.assert_status(self.two.post("/v1/events", event, jane), 403)
        self.assert_status(self.two.get("/v1/api-keys", headers=jane), 403)
        self.assert_status(self.two.get("/v1/events", headers=jane), 200)
        self.change(member, owner, organizations=["o1"])
        self.assertEqual(self.data(self.two.get("/v1/events", headers=jane)), [])

    def test_a_member_who_is_kept_out_or_removed(self):
        member, jane, owner = self.member(role="member")
        self.assert_status(self.two.get("/v1/events", headers=jane), 200)
        self.change(member, owner, active=False)
        self.assert_status(self.two.get("/v1/events", headers=jane), 401)
        refused = self.two.post("/v1/auth/login", {"email": member["email"], "password": "a password of Jane"}, {"Authorization": None})
        self.assert_status(refused, 401)
        self.change(member, owner, active=True)
        jane = bearer(self.login(self.two, member["email"], "a password of Jane")["token"])
        self.assert_status(self.one.get("/v1/events", headers=jane), 200)
        self.assert_status(self.one.request("DELETE", f"/v1/members/{member['id']}", headers=owner), 204)
        self.assert_status(self.two.get("/v1/events", headers=jane), 401)

    def test_a_changed_password_ends_sessions(self):
        member, jane, owner = self.member(role="member")
        self.change(member, owner, password="another password of Jane")
        self.assert_status(self.two.get("/v1/events", headers=jane), 401)
        self.login(self.two, member["email"], "another password of Jane")


class VoucherifyTest(AccessCase):
    def setUp(self):
        super().setUp()
        self.key = self.make_key(face="voucherify")
        self.pair = {"X-App-Id": self.key["application_id"], "X-App-Token": self.key["key"]}

    def token(self, scope="api"):
        return self.assert_status(self.form(self.one, "/v1/oauth/token", self.pair, grant_type="client_credentials", scope=scope), 200).json()

    def introspect(self, token):
        return self.assert_status(self.form(self.two, "/v1/oauth/introspect", self.pair, access_token=token), 200).json()

    def test_a_tokens_life(self):
        made = self.token()
        self.assertEqual((made["client_id"], made["token_type"], made["scope"]), (self.key["application_id"], "Bearer", "api"))
        self.assertTrue(890 <= made["expires_in"] <= 900 and abs(made["expires_at"] - time.time() - 900) < 60)
        token = made["access_token"]
        self.assert_status(self.two.post("/v1/events", {"action": "a.b"}, bearer(token)), 201)
        known = self.introspect(token)
        self.assertEqual(known, {**made, "expires_in": known["expires_in"], "active": True})
        self.assert_status(self.form(self.one, "/v1/oauth/token/revoke", self.pair, access_token=token), 204)
        self.assert_status(self.two.get("/v1/events", headers=bearer(token)), 401)
        self.assertEqual(self.introspect(token), {"active": False})

    def test_tokens_die_with_their_key(self):
        token = self.token()["access_token"]
        self.assert_status(self.two.get("/v1/events", headers=bearer(token)), 200)
        self.assert_status(self.one.request("DELETE", f"/v1/api-keys/{self.key['id']}"), 204)
        self.assert_status(self.two.get("/v1/events", headers=bearer(token)), 401)
        self.assert_status(self.form(self.two, "/v1/oauth/token", self.pair, grant_type="client_credentials", scope="api"), 401)

    def test_another_keys_token_is_unknown(self):
        token = self.token()["access_token"]
        other = self.make_key(face="voucherify")
        self.pair = {"X-App-Id": other["application_id"], "X-App-Token": other["key"]}
        self.assertEqual(self.introspect(token), {"active": False})
        self.assert_status(self.form(self.two, "/v1/oauth/token/revoke", self.pair, access_token=token), 404)
        self.assert_status(self.two.get("/v1/events", headers=bearer(token)), 200)


class LoyaltyDogTest(AccessCase):
    def test_login_session_and_logout(self):
        events = [{"action": f"a.{o}", "organization": {"id": o}} for o in ("m1", "m2")]
        self.assert_status(self.one.bulk(events), 201)
        for base in ("/v2", "/api/v2"):
            token = self.assert_status(self.form(self.one, f"{base}/token", username=OWNER, password=PASSWORD), 200).json()["accessToken"]
            self.assertEqual(self.assert_status(self.two.get(f"{base}/token", headers=bearer(token)), 200).json()["email"], OWNER)
            session = self.two.post(f"{base}/giftcards/merchants/session", {"merchantId": "m1"}, bearer(token))
            session = self.assert_status(session, 200).json()
            self.assertEqual((session["role"], session["merchantId"]), ("MERCHANT_ADMIN", "m1"))
            narrow = {"X-Eposn-Merchant-Token": session["sessionToken"]}
            for headers in ({**narrow, **bearer(token)}, {**narrow, "Authorization": None}, bearer(session["sessionToken"])):
                self.assertEqual([e["action"] for e in self.data(self.one.get("/v1/events", headers=headers))], ["a.m1"], headers)
            self.assert_status(self.one.request("POST", "/v1/auth/logout", headers=bearer(token)), 204)
            self.assert_status(self.two.get("/v1/events", headers=bearer(session["sessionToken"])), 401)

    def test_failed_logins_are_alike(self):
        wrong = self.assert_status(self.form(self.one, "/v2/token", username=OWNER, password="wrong"), 401)
        unknown = self.assert_status(self.form(self.one, "/v2/token", username="nobody@example.com", password="wrong"), 401)
        self.assertEqual(wrong.body, unknown.body)
        times = {name: min(self.form(self.one, "/v2/token", username=name, password="wrong").seconds for _ in range(5)) for name in (OWNER, "nobody@example.com")}
        self.assertLess(max(times.values()) / min(times.values()), 2, times)


class BoundTest(AccessCase):
    """A key that is bound to `mine` beside one that is bound to nothing."""

    MARK, OTHER = "MARKMINE", "MARKOTHER"

    def setUp(self):
        super().setUp()
        mine = {"action": "doc.read", "organization": {"id": "mine"}, "target": {"id": "d1", "type": "doc"}, "metadata": {"note": self.MARK}}
        others = [{**mine, "organization": o, "metadata": {"note": self.OTHER}} for o in ({"id": "other"}, {"id": "Mine"}, {"name": "mine"}, None)]
        events = [{k: v for k, v in e.items() if v is not None} for e in [mine, *others, mine]]
        self.assert_status(self.one.bulk(events * 5), 201)
        self.bound = bearer(self.make_key(organizations=["mine"])["key"])
        lines = self.data(self.one.get("/v1/events", per_page=100))
        self.own = next(e["id"] for e in lines if self.MARK in str(e))
        self.foreign = next(e["id"] for e in lines if self.OTHER in str(e))

    def get(self, path, **params):
        answer = self.two.get(path, headers=self.bound, **params)
        self.assertNotIn(self.OTHER.encode(), answer.body)
        return answer

    def test_lists_totals_and_search(self):
        seen, cursor = 0, None
        while True:
            page = self.assert_status(self.get("/v1/events", per_page=3, **({"cursor": cursor} if cursor else {})), 200).json()
            seen += len(page["data"])
            cursor = page["meta"]["next_cursor"]
            if not page["meta"]["has_more"]:
                break
        self.assertEqual(seen, 10)
        self.assertEqual(len(self.data(self.get("/v1/events", search=self.OTHER))), 0)
        self.assertEqual(len(self.data(self.get("/v1/events", search=self.MARK))), 10)
        self.assertEqual(len(self.data(self.get("/v1/events", organization_id="other"))), 0)
        for organization in ("mine", "default"):
            page = self.assert_status(self.get(f"/v1/organizations/{organization}/audit-log"), 200).json()
            self.assertEqual((page["total"], len(page["items"])), (10, 10), organization)
        foreign, missing = ({**self.assert_status(self.get(f"/v1/organizations/{o}/audit-log"), 403).json()["error"], "trace_id": 0, "timestamp": 0} for o in ("other", "none"))
        self.assertEqual(foreign, missing)

    def test_an_event_by_its_id(self):
        self.assertEqual(self.data(self.get(f"/v1/events/{self.own}"))["id"], self.own)
        foreign, missing = self.get(f"/v1/events/{self.foreign}"), self.get(f"/v1/events/evt_{'0' * 32}")
        self.assertEqual((foreign.status, foreign.body), (404, missing.body))

    def test_exports_and_the_timeline(self):
        for kind in ("json", "csv", "ndjson", "parquet"):
            exported = self.assert_status(self.get("/v1/events/export", format=kind), 200)
            if kind == "ndjson":
                self.assertEqual(exported.body.count(b"\n"), 10)
        csv = self.assert_status(self.get("/v1/organizations/default/audit-log/export"), 200)
        self.assertEqual((len(re.findall(rb"(?m)^\d{4}-", csv.body)), csv.headers["X-Total-Count"]), (10, "10"))
        self.assertEqual(len(self.data(self.get("/v1/widget/timeline"))), 10)

    def test_what_is_the_whole_projects_is_refused(self):
        self.assert_status(self.get("/v1/verify"), 403)
        self.assert_status(self.get("/v1/project"), 403)
        keys = self.data(self.get("/v1/api-keys"))
        self.assertEqual([key["organizations"] for key in keys], [["mine"]])
        for more in ({"organizations": ["other"]}, {"organizations": ["mine", "other"]}):
            self.assert_status(self.two.post("/v1/api-keys", {"name": "more", **more}, self.bound), 403)
        inherited = self.data(self.two.post("/v1/api-keys", {"name": "same"}, self.bound), 201)
        self.assertEqual(inherited["organizations"], ["mine"])

    def test_writing(self):
        self.assert_status(self.two.post("/v1/events", {"action": "a.b", "organization": {"id": "mine"}}, self.bound), 201)
        for organization in ({"id": "other"}, None):
            event = {"action": "a.b", **({"organization": organization} if organization else {})}
            self.assertIn(self.two.post("/v1/events", event, self.bound).status, (403, 422))
            self.assertIn(self.two.bulk([event], {**self.bound, "Content-Type": NDJSON}).status, (403, 422))
