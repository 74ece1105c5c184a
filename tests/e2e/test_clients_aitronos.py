"""The Aitronos SDK as published: query with each filter, paging, CSV, PDF, change logs, failures, both credentials.

Its `export_*` calls read any body as JSON, so a right answer comes back as an ApiError with status 200 and the text as its body.
"""

import csv
import hashlib
import io
import json
import os
import tempfile
import time
import unittest
from pathlib import Path

import clients
from harness import Case, Client, SharedCase, run_cli, with_query

PASSWORD = "correct horse battery staple"
COLUMNS = ["Timestamp", "Entity Type", "Entity Name", "Action", "Actor Name", "Actor Email", "Target Name", "Previous Value", "New Value"]
TYPES, ACTIONS, NAMES = ["user", "role", "department"], ["created", "updated", "deleted"], ["Ann", "Jörg", "Ελένη", "中文"]


def event(n):
    """The nth made-up event; every filter of the dialect splits them."""
    return {
        "action": f"{TYPES[n % 3]}.{ACTIONS[n % 3 - n % 2]}",
        "occurred_at": f"2025-01-{1 + n % 28:02}T12:00:00Z",
        "actor": {"id": f"usr_{n % 4}", "type": "user", "meta": {"name": NAMES[n % 4], "email": f"actor{n % 4}@example.com"}},
        "target": {"type": TYPES[n % 3], "id": f"entity_{n % 5}", "meta": {"name": f"Entity {n % 5}"}},
        "subject": {"id": f"dep_{n % 2}", "name": f"Department {n % 2}"},
        "organization": {"id": "org_1" if n % 6 else "org_2"},
        "diff": {"before": {"role": "member", "kept": 1}, "after": {"role": "admin", "kept": 1, "n": n}},
        "metadata": {"department_id": f"dep_{n % 3}", "n": n},
    }


EVENTS = [event(n) for n in range(130)]
OWN = [n for n in range(130) if n % 6]


def matching(**wanted):
    """Numbers of org_1's events, newest first, that pass a test of each."""
    tests = {
        "entity_type": lambda e, v: e["target"]["type"] == v,
        "entity_id": lambda e, v: e["target"]["id"] == v,
        "action_type": lambda e, v: e["action"].endswith(f".{v}"),
        "actor_id": lambda e, v: e["actor"]["id"] == v,
        "target_id": lambda e, v: e["subject"]["id"] == v,
        "department_id": lambda e, v: e["metadata"]["department_id"] == v,
        "from_date": lambda e, v: e["occurred_at"][:10] >= v,
        "to_date": lambda e, v: e["occurred_at"][:10] <= v,
        "search_term": lambda e, v: any(v.lower() in text.lower() for text in (e["target"]["meta"]["name"], e["actor"]["meta"]["name"], e["actor"]["meta"]["email"])),
    }
    return [n for n in reversed(OWN) if all(tests[name](EVENTS[n], value) for name, value in wanted.items())]


FILTERS = [
    {}, {"entity_type": "user"}, {"entity_id": "entity_3"}, {"action_type": "updated"}, {"actor_id": "usr_2"}, {"target_id": "dep_1"}, {"department_id": "dep_2"},
    {"from_date": "2025-01-20"}, {"to_date": "2025-01-05"}, {"search_term": "jörg"}, {"search_term": "ENTITY 4"}, {"search_term": "actor0@"},
    {"entity_type": "user", "actor_id": "usr_1", "from_date": "2025-01-03", "to_date": "2025-01-25"}, {"actor_id": "nobody"}, {"entity_type": "vector_store"},
]


class Sdk:
    """The SDK with a server and its credentials."""

    def __init__(self, driver, url, **credentials):
        self.driver, self.client = driver, {"base_url": url, **credentials}

    def __call__(self, call, **args):
        return self.driver.ask(client=self.client, call=call, args=args, times=call.startswith("crew_management_admin."))

    def query(self, organization="org_1", **args):
        return self("audit_log_v2.query_audit_log", organization_id=organization, **args)


class Aitronos(SharedCase):
    env = {"INDELIBLE_OWNER_EMAIL": "owner@example.com", "INDELIBLE_OWNER_PASSWORD": PASSWORD}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.driver = clients.Driver(clients.python(), "aitronos_driver.py")
        cls.addClassCleanup(cls.driver.close)
        with cls.shared.client() as client:
            answer = client.bulk(EVENTS)
            if answer.status != 201:
                raise AssertionError(repr(answer))
            cls.key = cls.make_key(client, face="aitronos")
        cls.sdk = Sdk(cls.driver, cls.shared.url, api_key=cls.key)

    @staticmethod
    def make_key(client, **spec):
        answer = client.post("/v1/api-keys", {"name": "test", **spec})
        if answer.status != 201:
            raise AssertionError(repr(answer))
        return answer.json()["data"]["key"]

    def ok(self, answer):
        self.assertIn("ok", answer, answer)
        return answer["ok"]

    def failed(self, answer, status, code, kind="ApiError"):
        """A failure in the documented shape, with the headers of every answer."""
        self.assertEqual((answer.get("status"), answer.get("error")), (status, kind), answer)
        error = answer["body"]["error"]
        self.assertEqual((error["code"], error["status"], answer["body"]["success"]), (code, status, False))
        self.assertEqual(set(error), {"code", "message", "system_message", "type", "status", "details", "trace_id", "timestamp"})
        for name in ("x-request-id", "aitronos-organization", "freddy-processing-ms", "freddy-api-version"):
            self.assertIn(name, answer["headers"])
        return error

    def exported(self, answer):
        """The body of an export that the SDK took for JSON."""
        self.assertEqual((answer.get("error"), answer.get("status")), ("ApiError", 200), answer)
        return answer["body"], answer["headers"]

    def test_a_key_has_the_documented_form(self):
        self.assertRegex(self.key, r"^ak_.{39}$")

    def test_every_filter(self):
        for filters in FILTERS:
            with self.subTest(filters):
                page = self.ok(self.sdk.query(limit=100, **filters))
                wanted = matching(**filters)
                self.assertEqual((page["total"], page["skip"], page["limit"], page["has_more"]), (len(wanted), 0, 100, len(wanted) > 100))
                self.assertEqual([item["metadata"]["n"] for item in page["items"]], wanted[:100])

    def test_an_entry_has_its_members(self):
        item = self.ok(self.sdk.query(limit=1))["items"][0]
        wanted = EVENTS[OWN[-1]]
        self.assertRegex(item["id"], "^aentry_[0-9a-f]{32}$")
        self.assertEqual((item["entity_type"], item["entity_id"], item["entity_name"]), (wanted["target"]["type"], wanted["target"]["id"], wanted["target"]["meta"]["name"]))
        self.assertEqual((item["actor_id"], item["actor_name"], item["actor_email"]), (wanted["actor"]["id"], *wanted["actor"]["meta"].values()))
        self.assertEqual((item["target_id"], item["target_name"]), tuple(wanted["subject"].values()))
        self.assertEqual((json.loads(item["previous_value"]), json.loads(item["new_value"])), (wanted["diff"]["before"], wanted["diff"]["after"]))
        self.assertEqual((item["organization_id"], item["department_id"]), ("org_1", wanted["metadata"]["department_id"]))

    def test_paging_shows_every_entry_once(self):
        seen, skip, more = [], 0, True
        while more:
            page = self.ok(self.sdk.query(skip=skip, limit=33))
            seen += [item["metadata"]["n"] for item in page["items"]]
            skip, more = skip + 33, page["has_more"]
            self.assertEqual(page["total"], len(OWN))
        self.assertEqual(seen, OWN[::-1])

    def test_the_project_means_all_organizations(self):
        with self.shared.client() as client:
            self.assertEqual(self.ok(self.sdk.query("default"))["total"], client.head())
        self.assertEqual(self.ok(self.sdk.query("org_nowhere"))["total"], 0)

    def test_csv(self):
        for filters in ({}, {"entity_type": "role", "to_date": "2025-01-10"}):
            body, headers = self.exported(self.sdk("audit_log_v2.export_audit_log", organization_id="org_1", **filters))
            self.assertRegex(headers["content-type"], "^text/csv")
            self.assertRegex(headers["content-disposition"], r'^attachment; filename="audit-log-org_1-\d{4}-\d\d-\d\d\.csv"$')
            rows = list(csv.reader(io.StringIO(body, newline="")))
            wanted = [EVENTS[n] for n in matching(**filters)]
            self.assertEqual(rows[0], COLUMNS)
            self.assertEqual([(r[0], r[1], r[2], r[4], r[5], r[6]) for r in rows[1:]],
                             [(e["occurred_at"], e["target"]["type"], e["target"]["meta"]["name"], *e["actor"]["meta"].values(), e["subject"]["name"]) for e in wanted])
            self.assertEqual([json.loads(r[8]) for r in rows[1:]], [e["diff"]["after"] for e in wanted])

    def pdf(self, **filters):
        body, headers = self.exported(self.sdk("audit_log_v2.export_audit_log_pdf", organization_id="org_1", **filters))
        self.assertEqual(headers["content-type"], "application/pdf")
        self.assertRegex(headers["content-disposition"], r'^attachment; filename="audit-log-org_1-\d{4}-\d\d-\d\d\.pdf"$')
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            file.write(body.encode("ascii"))
            file.flush()
            return json.loads(clients.run(clients.python(), "pdf_text.py", file.name)), headers

    def test_pdf(self):
        read, headers = self.pdf(actor_id="usr_1")
        wanted, pages = matching(actor_id="usr_1"), read["pages"]
        text = "\n".join(pages)
        self.assertEqual((read["title"], headers["x-total-count"]), ("Audit log of org_1", str(len(wanted))))
        for n, page in enumerate(pages, 1):
            self.assertRegex(page, rf"Page {n} of\s+{len(pages)}\b")
            self.assertIn("Entity Type", page)
        for part in ("Organization org_1", "Project default (prj_", "Filter actor is usr_1", f"Rows {len(wanted)}\n", "Jörg"):
            self.assertIn(part, text)
        self.assertEqual(text.count("actor1@example.com"), len(wanted))
        self.assertIn(hashlib.sha256(self.exported(self.sdk("audit_log_v2.export_audit_log", organization_id="org_1", actor_id="usr_1"))[0].encode()).hexdigest(), text)

    def test_pdf_of_nothing_and_of_any_unicode(self):
        read, _ = self.pdf(actor_id="nobody")
        self.assertEqual(len(read["pages"]), 1)
        self.assertIn("Rows 0\n", read["pages"][0])
        read, _ = self.pdf(search_term="中文")
        self.assertIn("中文", "\n".join(read["pages"]))

    def test_change_logs(self):
        admin = "crew_management_admin."
        page = self.ok(self.sdk(admin + "get_organization_change_logs", organization_id="org_1", take=100))
        self.assertEqual((page["total_count"], page["skip"], page["take"]), (len(OWN), 0, 100))
        newest = EVENTS[OWN[-1]]
        log = page["logs"][0]
        self.assertEqual((log["user_id"], log["resource_type"], log["resource_id"], log["action"]), (newest["actor"]["id"], newest["target"]["type"], newest["target"]["id"], newest["action"].split(".")[1]))
        self.assertEqual(log["changes"], [{"field": "role", "old_value": "member", "new_value": "admin"}, {"field": "n", "old_value": None, "new_value": str(OWN[-1])}])
        some = self.ok(self.sdk(admin + "get_organization_change_logs", organization_id="org_1", skip=1, take=3, resource_type="role", action="created",
                                start_date="2025-01-05T00:00:00+00:00", end_date="2025-01-20T23:59:59+00:00"))
        wanted = matching(entity_type="role", action_type="created", from_date="2025-01-05", to_date="2025-01-20")
        self.assertEqual((some["total_count"], [int(log["changes"][-1]["new_value"]) for log in some["logs"]]), (len(wanted), wanted[1:4]))
        member = self.ok(self.sdk(admin + "get_member_change_logs", organization_id="org_1", user_id="entity_2"))
        self.assertEqual(member["total_count"], len(matching(entity_id="entity_2")))
        nothing = self.ok(self.sdk(admin + "get_member_change_logs", organization_id="org_1", user_id="usr_1", action="reparented"))
        self.assertEqual((nothing["total_count"], nothing["logs"]), (0, []))
        self.failed(self.sdk(admin + "get_member_change_logs", organization_id="org_1", user_id="usr_77"), 404, "NOT_FOUND")

    def test_the_history_of_an_assistant(self):
        with self.shared.client() as client:
            change = {"action": "assistant.updated", "actor": {"id": "usr_1"}, "target": {"type": "assistant", "id": "asst_1"}, "organization": {"id": "org_3"},
                      "diff": {"before": {"model": "a"}, "after": {"model": "b"}}}
            self.assert_status(client.post("/v1/events", change), 201)
        page = self.ok(self.sdk("assistants.get_assistant_history", assistant_id="asst_1", limit=10))
        self.assertEqual(page["pagination"], {"total": 1, "limit": 10, "offset": 0, "has_more": False})
        self.assertEqual(page["audit_logs"][0]["changes"], [{"field": "model", "old_value": "a", "new_value": "b"}])
        missing = self.sdk("assistants.get_assistant_history", assistant_id="asst_2")
        self.assertEqual((missing["status"], missing["body"]["error"]["code"]), (404, "NOT_FOUND"))

    def test_failures(self):
        anonymous = Sdk(self.driver, self.shared.url, api_key="ak_wrong")
        error = self.failed(anonymous.query(), 401, "INVALID_API_KEY")
        self.assertEqual((error["message"], error["type"]), ("Your API key is invalid", "authentication_error"))
        with self.shared.client() as client:
            reader = Sdk(self.driver, self.shared.url, api_key=self.make_key(client, face="aitronos", scopes=["events:read"]))
            bound = Sdk(self.driver, self.shared.url, api_key=self.make_key(client, face="aitronos", organizations=["org_2"]))
        for call in ("audit_log_v2.export_audit_log", "audit_log_v2.export_audit_log_pdf"):
            self.failed(reader(call, organization_id="org_1"), 403, "INSUFFICIENT_PERMISSIONS")
        self.assertEqual(self.ok(reader.query())["total"], len(OWN))
        bodies = set()
        for organization in ("org_1", "org_nowhere"):
            error = self.failed(bound.query(organization), 403, "ORGANIZATION_ACCESS_DENIED")
            bodies.add(json.dumps({k: v for k, v in error.items() if k not in ("trace_id", "timestamp")}))
        self.assertEqual(len(bodies), 1, "an organization that is there answers as one that is not")
        for organization in ("org_2", "default"):
            self.assertEqual(self.ok(bound.query(organization))["total"], len(EVENTS) - len(OWN))
        error = self.failed(self.sdk.query(limit=101), 422, "VALIDATION_ERROR", "UnprocessableEntityError")
        self.assertIn("limit", error["details"]["errors"])

    def test_a_limited_call_is_repeated_by_the_sdk(self):
        with self.shared.client() as client:
            key = self.make_key(client, face="aitronos", per_minute=60)
        with Client(self.shared.url, key=key) as client:
            for _ in range(200):
                answer = client.get("/v1/organizations/org_1/audit-log", limit=1)
                if answer.status == 429:
                    break
        self.assert_status(answer, 429)
        for name in ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            self.assertIsNotNone(answer.headers[name], name)
        start = time.monotonic()
        page = self.ok(Sdk(self.driver, self.shared.url, api_key=key).query())
        self.assertEqual(page["total"], len(OWN))
        self.assertGreater(time.monotonic() - start, 0.2, "the SDK waited as it was told")

    def test_both_credentials(self):
        with self.shared.client(key=None) as client:
            login = self.assert_status(client.post("/v1/auth/login", {"email": "owner@example.com", "password": PASSWORD}), 200).json()["data"]
            token = login["token"]
            direct = client.get(with_query("/v1/organizations/org_1/audit-log", {"limit": 1}), headers={"Authorization": f"Bearer {token}"})
        self.assertEqual(direct.json()["total"], len(OWN))
        self.assertEqual(self.ok(Sdk(self.driver, self.shared.url, api_key=self.key, token=token).query())["total"], len(OWN))
        self.failed(Sdk(self.driver, self.shared.url, api_key=self.key, token=token[:-3] + "AAA").query(), 401, "TOKEN_INVALID")


class Reports(Case):
    def text(self, answer):
        file = self.dir / "report.pdf"
        file.write_bytes(answer.body)
        return "\n".join(json.loads(clients.run(clients.python(), "pdf_text.py", file))["pages"])

    def test_a_report_says_what_it_leaves_out(self):
        server = self.server({"INDELIBLE_AITRONOS_EXPORT_ROWS": "5"}).start()
        with server.client() as client:
            self.assert_status(client.bulk(EVENTS), 201)
            answer = self.assert_status(client.get("/v1/organizations/org_1/audit-log/export/pdf"), 200)
        self.assertEqual((answer.headers["X-Total-Count"], answer.headers["X-Export-Truncated"]), (str(len(OWN)), "true"))
        self.assertIn(f"Rows 5, the newest of {len(OWN)}", self.text(answer))

    def test_the_digest_can_be_checked_after_more_came_in(self):
        server = self.server().start()
        with server.client() as client:
            self.assert_status(client.bulk(EVENTS), 201)
            report = self.assert_status(client.get("/v1/organizations/org_1/audit-log/export/pdf", entity_type="user"), 200)
            snapshot = report.headers["X-Snapshot-Position"]
            self.assert_status(client.bulk(EVENTS), 201)
            same = client.get("/v1/organizations/org_1/audit-log/export", entity_type="user", snapshot=snapshot)
            more = client.get("/v1/organizations/org_1/audit-log/export", entity_type="user")
        self.assertEqual((snapshot, same.headers["X-Snapshot-Position"]), (str(len(EVENTS)), str(len(EVENTS))))
        text = self.text(report)
        self.assertIn(hashlib.sha256(same.body).hexdigest(), text)
        self.assertNotIn(hashlib.sha256(more.body).hexdigest(), text)


@unittest.skipUnless(os.environ.get("INDELIBLE_TEST_EVENTS"), "INDELIBLE_TEST_EVENTS names no folder of real events (<mapping>.ndjson.gz)")
class RealEvents(Case):
    def test_the_sdk_shows_as_many_as_were_imported(self):
        # The first start makes the project with the tests' key; imports go in while nobody serves.
        server = self.server().start()
        server.stop()
        files = sorted(Path(os.environ["INDELIBLE_TEST_EVENTS"]).glob("*.ndjson.gz"))
        mappings = run_cli("import", "--list-mappings").stdout
        for file in files:
            name = file.name.removesuffix(".ndjson.gz")
            mapping = next(line.split()[0] for line in mappings.splitlines() if line.startswith(name.split("-")[0]) or (name == "saas-samples" and line.startswith("panther")))
            done = run_cli("import", "--mapping", mapping, file, data_dir=server.data_dir, timeout=600)
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        server.start()
        driver = clients.Driver(clients.python(), "aitronos_driver.py")
        self.addCleanup(driver.close)
        sdk = Sdk(driver, server.url, api_key=server.client().key)
        with server.client() as client:
            head = client.head()
        self.assertEqual(self.total(sdk), head)
        answer = sdk("audit_log_v2.export_audit_log", organization_id="default")
        self.assertEqual((answer["headers"]["x-total-count"], len(list(csv.reader(io.StringIO(answer["body"], newline=""))))), (str(head), min(head, 10_000) + 1))
        report = sdk("audit_log_v2.export_audit_log_pdf", organization_id="default")
        (self.dir / "report.pdf").write_bytes(report["body"].encode("ascii"))
        text = json.loads(clients.run(clients.python(), "pdf_text.py", self.dir / "report.pdf", timeout=900))["pages"][-1]
        self.assertIn(hashlib.sha256(answer["body"].encode()).hexdigest(), text)

    def total(self, sdk):
        return sdk.query("default", limit=1)["ok"]["total"]
