"""Members of a certified OpenID provider log in by the code flow, and call with tokens that it gave them."""

import base64
import hashlib
import tempfile
import time
import unittest
import urllib.parse
from pathlib import Path

from harness import Client, Server, close_places
from openid import Browser, Provider
from test_tokens import OWNER, SETTINGS

PUBLIC = "http://localhost:8700"
AUDIENCE = "https://audit.example.com/api"
CLI = "http://localhost:9/back"
VERIFIER = "v" * 43

FILE = """
[[provider]]
name = "corp"
issuer = "{issuer}"
client_id = "web"
client_secret_env = "CORP_SECRET"
audiences = ["{audience}"]
project = "default"
let_in_unknown = true
roles_claim = "groups"
[provider.roles]
auditors = "auditor"
admins = "admin"

[[provider]]
name = "closed"
issuer = "{issuer}"
client_id = "closed"
project = "default"
"""


def client(name, back, **more):
    return {"client_id": name, "redirect_uris": [back], "grant_types": ["authorization_code"], "response_types": ["code"], **more}


class OpenId(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(close_places, cls.folder.name)
        cls.provider = Provider([
            client("web", f"{PUBLIC}/v1/auth/oidc/corp/callback", client_secret="s+cret /%"),
            client("closed", f"{PUBLIC}/v1/auth/oidc/closed/callback", token_endpoint_auth_method="none", id_token_signed_response_alg="EdDSA"),
            client("cli", CLI, client_secret="other", id_token_signed_response_alg="ES256"),
        ], AUDIENCE)
        cls.addClassCleanup(cls.provider.close)
        config = Path(cls.folder.name) / "oidc.toml"
        config.write_text(FILE.format(issuer=cls.provider.issuer, audience=AUDIENCE))
        env = {**SETTINGS, "INDELIBLE_OIDC_FILE": str(config), "INDELIBLE_PUBLIC_URL": PUBLIC, "INDELIBLE_LOGIN_PER_MINUTE": "10000", "CORP_SECRET": "s+cret /%"}
        cls.server = Server(Path(cls.folder.name) / "data", env).start()
        cls.addClassCleanup(cls.server.kill)

    def come_back(self, browser, name="corp"):
        """Goes to the provider and back; the address that the browser is sent to at the end, on the server's own port."""
        page = browser.get(f"{self.server.url}/v1/auth/oidc/{name}/start", stop=f"{PUBLIC}/v1/auth/oidc/{name}/callback")
        return page.url.replace(PUBLIC, self.server.url)

    def login(self, *groups, account="ann", name="corp"):
        self.provider.account(account, *groups)
        browser = Browser()
        return browser.get(self.come_back(browser, name))

    def bearer(self, *groups, account="ann", scope="openid email profile api"):
        """The tokens that another client of the provider gets."""
        self.provider.account(account, *groups)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        asked = {"client_id": "cli", "response_type": "code", "redirect_uri": CLI, "scope": scope, "code_challenge": challenge, "code_challenge_method": "S256"}
        browser = Browser()
        back = browser.get(f"{self.provider.issuer}/auth?{urllib.parse.urlencode(asked)}", stop=CLI)
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(back.url).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CLI, "code_verifier": VERIFIER}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic " + base64.b64encode(b"cli:other").decode()}
        return browser.request("POST", f"{self.provider.issuer}/token", urllib.parse.urlencode(form), headers).json()

    def call(self, token, path="/v1/auth/me"):
        with Client(self.server.url, key=token) as asker:
            return asker.get(path)

    def test_a_member_logs_in(self):
        page = self.login("auditors")
        self.assertEqual(page.status, 200, page.body)
        self.assertEqual((page.headers["Cache-Control"], page.headers["Referrer-Policy"]), ("no-store", "no-referrer"))
        data = page.json()["data"]
        self.assertEqual((data["token_type"], data["member"]["email"], data["member"]["role"]), ("Bearer", "ann@example.com", "auditor"))
        self.assertEqual(self.call(data["token"], "/v1/events").status, 200)
        self.assertEqual(self.call(data["token"], "/v1/members").status, 403)
        # A role that the provider withdraws ends with the next login, and with it the sessions that had it.
        again = self.login("admins").json()["data"]
        self.assertEqual((again["member"]["id"], again["member"]["role"]), (data["member"]["id"], "admin"))
        self.assertEqual(self.call(again["token"], "/v1/members").status, 200)
        self.assertEqual(self.login("auditors").json()["data"]["member"]["role"], "auditor")
        self.assertEqual(self.call(again["token"], "/v1/members").status, 403)
        self.assertEqual(self.login().status, 403)
        self.assertEqual(self.call(again["token"]).status, 401)

    def test_a_providers_token_is_a_credential(self):
        tokens = self.bearer("auditors", account="bob")
        me = self.call(tokens["access_token"]).json()["data"]
        self.assertEqual((me["member"]["role"], me["project"]["name"]), ("auditor", "default"))
        for path in ("/v1/events", "/v1/organizations/default/audit-log"):
            self.assertNotIn(self.call(tokens["access_token"], path).status, (401, 403), path)
        # An ID token is for the client that asked for it.
        self.assertEqual(self.call(tokens["id_token"]).status, 401)
        header, claims, signature = tokens["access_token"].split(".")
        for changed in (f"{header}.{claims}.{signature[:-8]}", f"{header}.{claims}.", f"{header}.{claims[:-4]}.{signature}"):
            self.assertEqual(self.call(changed).status, 401)
        self.assertEqual(self.call(self.bearer("admins", account="bob")["access_token"]).json()["data"]["member"]["role"], "admin")
        self.assertEqual(self.call(self.bearer("nothing", account="bob")["access_token"]).status, 403)

    def test_an_answer_belongs_to_its_browser(self):
        self.provider.account("eve", "admins")
        browser, other = Browser(), Browser()
        back = self.come_back(browser)
        self.come_back(other)
        failed = [other.get(back), Browser().get(back), browser.get(back.replace("state=", "state=x"))]
        failed += [browser.get(back.replace("corp", "closed")), browser.get(f"{back}&state=x"), browser.get(back.split("&iss=")[0]), browser.get(back.replace("code=", "code=x"))]
        self.assertEqual([page.status for page in failed], [401] * len(failed), [page.body for page in failed])
        self.assertEqual(len({page.json()["error"]["message"] if "error" in page.json() else page.body for page in failed}), 1)
        # A code is good once.
        browser = Browser()
        back = self.come_back(browser)
        kept = {host: dict(jar) for host, jar in browser.cookies.items()}
        self.assertEqual(browser.get(back).status, 200)
        browser.cookies = kept
        self.assertEqual(browser.get(back).status, 401)

    def test_the_beginning_of_a_login(self):
        with Client(self.server.url, key=None) as asker:
            self.assertEqual(asker.get("/v1/auth/oidc").json()["data"], [{"name": n, "start": f"/v1/auth/oidc/{n}/start"} for n in ("corp", "closed")])
            answer = asker.get("/v1/auth/oidc/corp/start", {"Host": "evil.example"})
            self.assertEqual(answer.status, 303)
            asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["Location"]).query))
            self.assertEqual(asked["redirect_uri"], f"{PUBLIC}/v1/auth/oidc/corp/callback")
            self.assertTrue({"state", "nonce", "code_challenge"} <= set(asked))
            cookie = answer.headers["Set-Cookie"]
            self.assertIn("; HttpOnly; SameSite=Lax", cookie)
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertEqual([asker.get(f"/v1/auth/oidc/{name}/start").status for name in ("nobody", "..%2f..", "%00")], [404] * 3)
            # What the browser keeps is no credential.
            self.assertEqual(self.call(cookie.split("=", 1)[1].split(";")[0]).status, 401)

    def test_unknown_people_are_joined_by_an_operator(self):
        self.assertEqual(self.login(account="carol", name="closed").status, 403)
        with Client(self.server.url, key=None) as asker:
            owner = asker.post("/v1/auth/login", OWNER).json()["data"]["token"]
        with Client(self.server.url, key=owner) as asker:
            made = asker.post("/v1/members", {"email": "carol@example.org", "name": "Carol", "role": "member"}).json()["data"]
            path, body = f"/v1/members/{made['id']}/logins", {"provider": "closed", "subject": "carol"}
            self.assertEqual(asker.post(path, body).status, 204)
            self.assertEqual(asker.post(path, body).status, 409)
            self.assertEqual(asker.post(path, {**body, "provider": "nobody"}).status, 404)
            self.assertEqual(asker.post(f"/v1/members/mem_{'0' * 32}/logins", body).status, 404)
        with Client(self.server.url) as asker:
            self.assertEqual(asker.post(path, body).status, 403)
        page = self.login(account="carol", name="closed")
        self.assertEqual((page.status, page.json()["data"]["member"]["id"]), (200, made["id"]), page.body)

    def test_logins_are_audited(self):
        self.provider.account("dora", "auditors")
        member = self.login("auditors", account="dora").json()["data"]["member"]["id"]
        self.assertEqual(self.login(account="dora").status, 403)
        wanted = {("member.created", member), ("member.login", member), ("member.removed", member)}
        deadline = time.monotonic() + 15
        while True:
            with Client(self.server.url) as asker:
                events = asker.get("/v1/events", log="activity", per_page=100).json()["data"]
            found = {(e["action"], i) for e in events for i in ((e.get("target") or {}).get("id"), (e.get("actor") or {}).get("id"))}
            if wanted <= found or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self.assertLessEqual(wanted, found)
        self.assertIn("member.login_failed", {e["action"] for e in events})


if __name__ == "__main__":
    unittest.main()
