"""Signed tokens on the running server: what a session gives, and every known way to forge one."""

import base64
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import openid
from harness import CLUSTER, Client, Server, close_places

OWNER = {"email": "owner@example.com", "password": "a long enough password"}
SETTINGS = {"INDELIBLE_OWNER_EMAIL": OWNER["email"], "INDELIBLE_OWNER_PASSWORD": OWNER["password"]}


def encode(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Forger:
    """Signs with keys that are not the server's."""

    def __init__(self):
        self.process = subprocess.Popen([openid.program("node"), openid.HERE / "forge.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sign(self, how, header, claims):
        self.process.stdin.write(json.dumps([how, header, claims]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(close_places, cls.folder.name)
        cls.server = Server(Path(cls.folder.name) / "data", SETTINGS).start()
        cls.addClassCleanup(cls.server.kill)
        cls.forger = Forger()
        cls.addClassCleanup(cls.forger.close)
        with Client(cls.server.url, key=None) as client:
            answer = client.post("/v1/auth/login", OWNER)
            assert answer.status == 200, answer
            cls.token = answer.json()["data"]["token"]
            cls.keys = client.get("/.well-known/jwks.json").json()["keys"]
        cls.header, cls.claims = (json.loads(decode(part)) for part in cls.token.split(".")[:2])

    def status(self, token, path="/v1/events"):
        with Client(self.server.url, key=token) as client:
            answer = client.get(path)
        return answer

    def refused(self, token, why):
        answer = self.status(token)
        self.assertEqual(answer.status, 401, f"{why}: {answer}")
        self.bodies.add(answer.json()["error"]["message"] if "error" in answer.json() else answer.body)

    def setUp(self):
        self.bodies = set()

    def tearDown(self):
        # Nobody learns why.
        self.assertLessEqual(len(self.bodies), 1, self.bodies)

    def test_a_session_is_a_token_of_the_published_key(self):
        self.assertEqual(self.status(self.token).status, 200)
        self.assertEqual(self.header, {"alg": "EdDSA", "kid": self.keys[0]["kid"], "typ": "at+jwt"})
        self.assertEqual({self.claims["iss"], self.claims["aud"]}, {"indelible"})
        self.assertEqual(self.claims["exp"] - self.claims["iat"], 3600)
        self.assertEqual([set(k) for k in self.keys], [{"kty", "crv", "x", "kid", "use", "alg"}])
        with Client(self.server.url, key=None) as client:
            answer = client.get("/.well-known/jwks.json")
            self.assertEqual(answer.headers["Cache-Control"], "public, max-age=300")

    def test_forged_algorithms(self):
        public = self.keys[0]["x"]
        self.refused(self.forger.sign("none", {**self.header, "alg": "none"}, self.claims), "none")
        for alg in ("None", "NONE", "nOnE", "", "HS256", "RS256", "ES256", "PS256", "EdDSA"):
            self.refused(self.forger.sign("none", {**self.header, "alg": alg}, self.claims), f"{alg} without a signature")
        for secret in (public, encode(public.encode()), encode(json.dumps(self.keys[0]).encode()), encode(b""), encode(b"secret")):
            for alg in ("HS256", "EdDSA"):
                self.refused(self.forger.sign(["hs", secret], {**self.header, "alg": alg}, self.claims), f"{alg} with the public key")
        for how, alg in (("ed", "EdDSA"), ("rsa", "RS256"), ("rsa", "EdDSA"), ("ed", "RS256"), ("ed", "ES256")):
            self.refused(self.forger.sign(how, {**self.header, "alg": alg}, self.claims), f"{alg} of another key")

    def test_keys_that_a_token_brings_along(self):
        url = f"{self.server.url}/.well-known/jwks.json"
        for more in ({"jwk": True}, {"jku": url}, {"jku": "https://127.0.0.1:1/keys"}, {"x5u": url}, {"x5c": ["MIIB"]}):
            self.refused(self.forger.sign("ed", {**self.header, **more}, self.claims), more)
            self.refused(self.forger.sign("ed", {**self.header, **more, "kid": "mine"}, self.claims), more)
        for kid in ("../../../../dev/null", "/dev/null", "file:///etc/passwd", "' UNION SELECT '", "x'; DROP TABLE signing_keys;--", "", "\0", "k" * 5000, None, 7, ["a"]):
            self.refused(self.forger.sign("ed", {**self.header, "kid": kid}, self.claims), kid)
            self.refused(self.forger.sign(["hs", ""], {**self.header, "alg": "HS256", "kid": kid}, self.claims), kid)
        self.assertEqual(self.status(self.token).status, 200)

    def test_extensions_and_changed_tokens(self):
        header, claims, signature = self.token.split(".")
        for more in ({"b64": False, "crit": ["b64"]}, {"b64": True}, {"crit": ["exp"]}, {"crit": []}, {"crit": ["http://example.com/x"], "http://example.com/x": 1}, {"zip": "DEF"}):
            self.refused(f"{encode({**self.header, **more})}.{claims}.{signature}", more)
            self.refused(self.forger.sign("ed", {**self.header, **more}, self.claims), more)
        for more in ({"exp": 9999999999}, {"jti": "tok_" + "0" * 32}, {"project": "prj_" + "0" * 32}, {"sub": "other"}, {"iss": "https://evil.example"}, {"aud": "other"}):
            self.refused(f"{header}.{encode({**self.claims, **more})}.{signature}", more)
            self.refused(self.forger.sign("ed", self.header, {**self.claims, **more}), more)
        twice = b'{"alg":"none",' + decode(header)[1:]
        self.refused(f"{encode(twice)}.{claims}.{signature}", "a member twice")
        for cut in (signature[:-1], signature[:43], "", "AAAA", signature + "AA", signature[:-1] + ("B" if signature[-1] == "A" else "A")):
            self.refused(f"{header}.{claims}.{cut}", "another signature")
        for text in (f"{header}.{claims}", f"{header}..{signature}", f"..{signature}", f"{self.token}.", f".{self.token}", f"{self.token}=", f"{header}=.{claims}.{signature}",
                     f"{self.token}.{signature}", self.token.replace("-", "+").replace("_", "/") + "+", self.token + "A" * 5000):
            self.refused(text, "another spelling")
        state = self.forger.sign("ed", {**self.header, "typ": "JWT"}, self.claims)
        self.refused(state, "another type")
        self.assertEqual(self.status(self.token).status, 200)

    def test_a_token_ends_with_its_session(self):
        with Client(self.server.url, key=None) as client:
            token = client.post("/v1/auth/login", OWNER).json()["data"]["token"]
        self.assertEqual(self.status(token).status, 200)
        with Client(self.server.url, key=token) as client:
            self.assertEqual(client.post("/v1/auth/logout", b"", {"Content-Type": None}).status, 204)
        self.refused(token, "after the logout")

    def test_a_token_is_good_on_another_node_and_after_a_restart(self):
        if CLUSTER:
            # The other node is at work beside this one.
            other = Server(self.server.data_dir, SETTINGS).start()
        else:
            self.server.stop()
            other = self.server.start()
        try:
            with Client(other.url, key=self.token) as client:
                self.assertEqual(client.get("/v1/events").status, 200)
        finally:
            if CLUSTER:
                other.kill()


if __name__ == "__main__":
    unittest.main()
