"""Schemathesis against the server: LoyaltyDog's published operations, and our own document. No failure of the server, no answer that breaks its schema, no wrong content type.

LoyaltyDog's fragments are text files with a fenced block of OpenAPI in YAML, in the folder that INDELIBLE_TEST_FRAGMENTS names; else an equal description of our own serves.
INDELIBLE_SCHEMATHESIS_EXAMPLES says how many examples each operation gets (5).
"""

import json
import os
import re
import subprocess
import unittest
import urllib.parse
from pathlib import Path

import clients
from harness import SLOW, SharedCase
from servers import tools

EXAMPLES = os.environ.get("INDELIBLE_SCHEMATHESIS_EXAMPLES", "5")
FRAGMENTS = os.environ.get("INDELIBLE_TEST_FRAGMENTS")
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
OWNER, PASSWORD = "owner@example.com", "correct horse battery staple"
# What would take away the credential that the run itself uses.
LEFT_OUT = ("/v1/auth/logout",)
# Bodies that it cannot write.
UNWRITTEN = "application/x-ndjson"


def text_or_null(**more):
    return {"anyOf": [{"type": "string", **more}, {"type": "null"}]}


def list_or_null():
    return {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}


def answer(description, schema):
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


TOKEN = {"name": "X-Eposn-Merchant-Token", "in": "header", "required": False, "schema": text_or_null()}
REFUSED = answer("Refused", "Refused")
# The operations of LoyaltyDog's fragments.
OWN_FRAGMENT = {
    "openapi": "3.1.0",
    "info": {"title": "LoyaltyDog's export of audit logs", "version": "1"},
    "paths": {
        "/v2/giftcards/audit-logs/export": {"post": {
            "operationId": "export", "parameters": [TOKEN], "responses": {"202": answer("Asked for", "Status"), "422": REFUSED},
            "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}},
        }},
        "/v2/giftcards/audit-logs/export/{task_id}": {"get": {
            "operationId": "status", "responses": {"200": answer("Found", "Status"), "422": REFUSED},
            "parameters": [{"name": "task_id", "in": "path", "required": True, "schema": {"type": "string"}}, TOKEN],
        }},
    },
    "components": {"schemas": {
        "Request": {"type": "object", "properties": {
            "format": {"type": "string", "default": "csv"},
            **{name: text_or_null() for name in ("merchantId", "subjectId", "actorId", "subjectName", "actorName", "merchantName")},
            **{name: list_or_null() for name in ("actions", "resourceTypes")}, **{name: text_or_null(format="date-time") for name in ("fromDate", "toDate")},
        }},
        "Status": {"type": "object", "required": ["taskId", "status"], "properties": {
            "taskId": {"type": "string"}, "status": {"type": "string"}, "downloadUrl": text_or_null(), "error": text_or_null(),
        }},
        "Refused": {"type": "object", "properties": {"detail": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}}}},
        "Entry": {"type": "object", "required": ["loc", "msg", "type"], "properties": {
            "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}, "msg": {"type": "string"}, "type": {"type": "string"}, "input": {}, "ctx": {"type": "object"},
        }},
    }},
}


class Schemathesis(SharedCase):
    env = {"INDELIBLE_OWNER_EMAIL": OWNER, "INDELIBLE_OWNER_PASSWORD": PASSWORD, "INDELIBLE_LOGIN_PER_MINUTE": "100000"}

    def fragments(self):
        """The descriptions to run, as files."""
        if not FRAGMENTS:
            (self.dir / "loyaltydog.json").write_text(json.dumps(OWN_FRAGMENT))
            return [self.dir / "loyaltydog.json"]
        found = []
        for file in sorted(Path(FRAGMENTS).glob("*.txt")):
            block = re.search(r"^`{3,}yaml\b[^\n]*\n(.*?)^`{3,}", file.read_text(), re.S | re.M)
            if block and "/v2/giftcards/audit-logs/export" in block[1]:
                found.append(self.dir / f"{file.stem}.yaml")
                found[-1].write_text(block[1])
        self.assertEqual(len(found), 2, FRAGMENTS)
        return found

    def admin(self):
        """The token of a merchant's administrator."""
        form = urllib.parse.urlencode({"username": OWNER, "password": PASSWORD}).encode()
        owner = self.assert_status(self.client.request("POST", "/v2/token", form, {"Authorization": None, "Content-Type": "application/x-www-form-urlencoded"}), 200).json()["accessToken"]
        session = self.client.post("/v2/giftcards/merchants/session", {"merchantId": "m1"}, {"Authorization": f"Bearer {owner}"})
        return self.assert_status(session, 200).json()["sessionToken"]

    def fill(self):
        events = [{"action": f"card.{n % 3}", "actor": {"id": f"u{n}", "type": "user"}, "target": {"type": "card", "id": "c"}, "organization": {"id": "m1"}, "metadata": {"n": n}} for n in range(50)]
        self.assert_status(self.client.bulk(events), 201)

    def run_on(self, description, credential, *more):
        command = [tools(clients.SCHEMATHESIS) / "schemathesis", "run", description, "--url", self.shared.url, "-H", f"Authorization: Bearer {credential}", "-c", CHECKS, "-n", EXAMPLES,
                   "--phases", "examples,coverage,fuzzing", "-w", "2", "--seed", "1", "--warnings", "off", "--suppress-health-check", "all", "--request-timeout", "30", *more]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", cwd=self.dir, timeout=3600 * SLOW, check=False)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-12000:]}\n{done.stderr[-2000:]}")
        cases = re.search(r"(\d+) generated", done.stdout)
        print(f"\nschemathesis: {description.name}: {cases[1] if cases else 'some'} cases", flush=True)

    def test_loyaltydogs_operations(self):
        self.fill()
        credential = self.admin()
        for description in self.fragments():
            self.run_on(description, credential)

    def test_our_own_document(self):
        self.fill()
        document = self.client.get("/openapi.json").json()
        for operation in (operation for item in document["paths"].values() for operation in item.values() if "requestBody" in operation):
            operation["requestBody"]["content"].pop(UNWRITTEN, None)
        description = self.dir / "openapi.json"
        description.write_text(json.dumps(document))
        self.run_on(description, self.client.key, *(part for path in LEFT_OUT for part in ("--exclude-path", path)))


if __name__ == "__main__":
    unittest.main()
