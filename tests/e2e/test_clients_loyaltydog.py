"""The client layer of loyaltydog-mcp as published: list with each filter, pages, export, status and download, both families of errors, merchants' roles and sessions."""

import csv
import io
import json
import time
import unittest
import urllib.parse

import clients
from harness import SLOW, Case, SharedCase, with_query

OWNER, PASSWORD = "owner@example.com", "correct horse battery staple"
LIST, EXPORT = "/giftcards/audit-logs", "/giftcards/audit-logs/export"
COLUMNS = ["id", "action", "resourceType", "resourceId", "actorId", "actorType", "subjectId", "merchantId", "ipAddress", "userAgent", "requestId", "details", "timestamp",
           "actorName", "subjectName", "merchantName", "resourceName"]
ACTIONS, NAMES = ["login_failed", "pii_access", "giftcard.issued"], ["Ann", "Jörg", "Ελένη", "中文"]


def event(n):
    """The nth made-up event; every filter of the dialect splits them."""
    return {
        "action": ACTIONS[n % 3],
        "occurred_at": f"2025-01-{1 + n % 28:02}T12:00:00{'.25' if n % 2 else ''}Z",
        "actor": {"id": f"usr_{n % 4}", "type": "user", "meta": {"name": NAMES[n % 4], "email": f"actor{n % 4}@example.com"}},
        "target": {"type": ["card", "pass"][n % 2], "id": f"card_{n % 5}", "meta": {"name": f"Card \"{n % 5}\", =1+1"}},
        "subject": {"id": f"cus_{n % 3}", "name": f"Customer {n % 3}", "meta": {"email": f"c{n % 3}@shop.example"}},
        "organization": {"id": f"m{n % 2 + 1}", "name": ["North Shop", "South Shop"][n % 2]},
        "context": {"ip": "192.0.2.7", "user_agent": "tests\r\n2", "request_id": f"req-{n}"},
        "metadata": {"n": n, "amount": 9007199254740993},
        **({"diff": {"before": {"balance": n}, "after": None}} if n % 5 == 0 else {}),
    }


EVENTS = [event(n) for n in range(140)]
ALL = range(140)


def matching(**wanted):
    """Numbers of the events, oldest first, that pass a test of each."""
    has = lambda part, *texts: any(part.lower() in text.lower() for text in texts)
    tests = {
        "merchantId": lambda e, v: e["organization"]["id"] == v,
        "subjectId": lambda e, v: e["subject"]["id"] == v,
        "actorId": lambda e, v: e["actor"]["id"] == v,
        "subjectName": lambda e, v: has(v, e["subject"]["name"], e["subject"]["meta"]["email"]),
        "actorName": lambda e, v: has(v, e["actor"]["meta"]["name"], e["actor"]["meta"]["email"], e["actor"]["id"]),
        "merchantName": lambda e, v: has(v, e["organization"]["name"]),
        "action": lambda e, v: e["action"] in ([v] if isinstance(v, str) else v),
        "resourceType": lambda e, v: e["target"]["type"] in ([v] if isinstance(v, str) else v),
        "from": lambda e, v: e["occurred_at"][:10] >= v[:10],
        "to": lambda e, v: e["occurred_at"].removesuffix("Z") <= v[:19],
    }
    return [n for n in ALL if all(tests[name](EVENTS[n], value) for name, value in wanted.items())]


FILTERS = [
    {}, {"merchantId": "m2"}, {"subjectId": "cus_1"}, {"actorId": "usr_3"}, {"subjectName": "customer 2"}, {"subjectName": "C1@SHOP"}, {"subjectName": "email"}, {"actorName": "jÖRG"},
    {"actorName": "actor2@"}, {"actorName": "SR_1"}, {"merchantName": "north"}, {"action": "pii_access"}, {"action": ["login_failed", "giftcard.issued"]}, {"resourceType": "pass"},
    {"resourceType": ["card", "pass"]}, {"from": "2025-01-20T00:00:00Z"}, {"from": "2025-01-20"}, {"to": "2025-01-05T12:00:00Z"}, {"to": "2025-01-05T12:00:00"},
    {"merchantId": "m1", "actorName": "ann", "from": "2025-01-03", "action": ["pii_access"]}, {"actorId": "nobody"}, {"merchantId": ""},
]
# What FastAPI 0.165 with Pydantic 2.14 answers for the same declarations: (parameters, entries).
PARAMETERS = [
    ("page=0", [{"type": "greater_than_equal", "loc": ["query", "page"], "msg": "Input should be greater than or equal to 1", "input": "0", "ctx": {"ge": 1}}]),
    ("limit=201", [{"type": "less_than_equal", "loc": ["query", "limit"], "msg": "Input should be less than or equal to 200", "input": "201", "ctx": {"le": 200}}]),
    ("from=x&page=1.5", [
        {"type": "datetime_from_date_parsing", "loc": ["query", "from"], "msg": "Input should be a valid datetime or date, input is too short", "input": "x", "ctx": {"error": "input is too short"}},
        {"type": "int_parsing", "loc": ["query", "page"], "msg": "Input should be a valid integer, unable to parse string as an integer", "input": "1.5"}]),
]
BODIES = [
    (b"", [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}]),
    (b"[]", [{"type": "model_attributes_type", "loc": ["body"], "msg": "Input should be a valid dictionary or object to extract fields from", "input": []}]),
    (b'{"a":1,}', [{"type": "json_invalid", "loc": ["body", 7], "msg": "JSON decode error", "input": {}, "ctx": {"error": "Expecting property name enclosed in double quotes"}}]),
    (b'{"format":null,"actorId":1,"actions":"x","resourceTypes":["a",2],"fromDate":true,"toDate":"0000-01-01"}', [
        {"type": "string_type", "loc": ["body", "format"], "msg": "Input should be a valid string", "input": None},
        {"type": "string_type", "loc": ["body", "actorId"], "msg": "Input should be a valid string", "input": 1},
        {"type": "list_type", "loc": ["body", "actions"], "msg": "Input should be a valid list", "input": "x"},
        {"type": "string_type", "loc": ["body", "resourceTypes", 1], "msg": "Input should be a valid string", "input": 2},
        {"type": "datetime_type", "loc": ["body", "fromDate"], "msg": "Input should be a valid datetime", "input": True},
        {"type": "datetime_parsing", "loc": ["body", "toDate"], "msg": "Input should be a valid datetime, year 0 is out of range", "input": "0000-01-01", "ctx": {"error": "year 0 is out of range"}}]),
]


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def login(client, email=OWNER, password=PASSWORD):
    """A member's token, the LoyaltyDog way."""
    form = urllib.parse.urlencode({"username": email, "password": password, "grant_type": "password"}).encode()
    answer = client.request("POST", "/v2/token", form, {"Authorization": None, "Content-Type": "application/x-www-form-urlencoded"})
    if answer.status != 200:
        raise AssertionError(repr(answer))
    return answer.json()["accessToken"]


class LoyaltyDog(SharedCase):
    env = {"INDELIBLE_OWNER_EMAIL": OWNER, "INDELIBLE_OWNER_PASSWORD": PASSWORD, "INDELIBLE_LOGIN_PER_MINUTE": "100000", "INDELIBLE_TASK_INTERVAL_MS": "100"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            for answer in (client.bulk(EVENTS), client.post("/v1/api-keys", {"name": "test", "face": "loyaltydog"})):
                if answer.status != 201:
                    raise AssertionError(repr(answer))
            cls.key = answer.json()["data"]["key"]
            cls.owner = login(client)
            cls.admin, cls.staff = (cls.member(client, role, ["m1"]) for role in ("MERCHANT_ADMIN", "MERCHANT_STAFF"))
            cls.other = cls.member(client, "MERCHANT_ADMIN", ["m2"], "other")
        cls.driver = clients.Driver(clients.python(clients.LOYALTYDOG), "loyaltydog_driver.py", {"LOYALTYDOG_API_URL": f"{cls.shared.url}/v2", "LOYALTYDOG_API_KEY": cls.owner})
        cls.addClassCleanup(cls.driver.close)

    @classmethod
    def member(cls, client, role, organizations, name=None):
        email, password = f"{name or role.lower()}@example.com", f"a password of {role}"
        answer = client.post("/v1/members", {"email": email, "password": password, "role": role, "organizations": organizations}, bearer(cls.owner))
        if answer.status != 201:
            raise AssertionError(repr(answer))
        return login(client, email, password)

    def ask(self, **question):
        return self.driver.ask(**question)

    def ok(self, **question):
        answer = self.ask(**question)
        self.assertIn("ok", answer, answer)
        return answer["ok"]

    def listed(self, key=None, **params):
        return self.ok(get=LIST, params=params, key=key)

    def export(self, key=None, **body):
        """Asks for a file and waits for it: (the last status, the answer to its link)."""
        task = self.ok(post=EXPORT, body=body, key=key)
        self.assertEqual(set(task), {"taskId", "status", "downloadUrl", "error"})
        self.assertIn(task["status"], ("pending", "processing", "success"))
        patience = time.monotonic() + 60 * SLOW
        while task["status"] in ("pending", "processing"):
            self.assertEqual((task["downloadUrl"], task["error"]), (None, None))
            self.assertLess(time.monotonic(), patience, "the export never ended")
            time.sleep(0.05)
            task = self.ok(get=f"{EXPORT}/{task['taskId']}", key=key)
        self.assertEqual((task["status"], task["error"]), ("success", None))
        return task, self.ask(download=task["downloadUrl"])

    def test_every_filter(self):
        for filters in FILTERS:
            with self.subTest(filters):
                page, wanted = self.listed(limit=200, **filters), matching(**filters)
                self.assertEqual((page["total"], page["page"], page["pages"], page["limit"]), (len(wanted), 1, min(1, len(wanted)), 200))
                self.assertEqual([item["details"]["n"] for item in page["items"]], wanted[::-1])
        self.assertEqual(self.listed(unknown="x", limit=1)["total"], 140)

    def test_times_as_pydantic_reads_them(self):
        for text in ("2025-01-20T00:00:00", "2025-01-20T01:00+01:00", "1737331200", "1737331200000", "2025-01-20 00:00:00Z"):
            self.assertEqual(self.listed(**{"from": text})["total"], len(matching(**{"from": "2025-01-20"})), text)

    def test_an_entry_has_its_members(self):
        item, wanted = self.listed(limit=1, page=5)["items"][0], EVENTS[135]
        self.assertEqual(list(item), COLUMNS)
        self.assertRegex(item["id"], "^[0-9a-f]{32}$")
        self.assertEqual(item["details"], {**wanted["metadata"], "diff": wanted["diff"]})
        parts = [wanted["action"], wanted["target"]["type"], wanted["target"]["id"], wanted["actor"]["id"], "user", wanted["subject"]["id"], wanted["organization"]["id"], *wanted["context"].values()]
        self.assertEqual([item[name] for name in COLUMNS[1:11]], parts)
        self.assertEqual([item[name] for name in COLUMNS[12:]], ["2025-01-24T12:00:00.250000Z", wanted["actor"]["meta"]["name"], wanted["subject"]["name"], wanted["organization"]["name"], wanted["target"]["meta"]["name"]])

    def test_pages_show_every_entry_once(self):
        seen, page, pages = [], 1, 2
        while page <= pages:
            answer = self.listed(page=page, limit=33)
            seen += [item["details"]["n"] for item in answer["items"]]
            page, pages = page + 1, answer["pages"]
        self.assertEqual((seen, pages), (list(ALL)[::-1], 5))
        self.assertEqual(self.listed(page=6, limit=33)["items"], [])
        self.assertEqual(self.listed(page=10**30)["items"], [])

    def test_csv(self):
        task, file = self.export(key=self.admin)
        self.assertEqual((file["status"], file["headers"]["content-type"].split(";")[0]), (200, "text/csv"))
        self.assertRegex(file["headers"]["content-disposition"], r'^attachment; filename="?audit-logs-\d{4}-\d\d-\d\d\.csv"?$')
        rows = list(csv.reader(io.StringIO(file["text"], newline="")))
        wanted = self.listed(key=self.admin, limit=200)["items"][::-1]
        self.assertEqual(rows[0], COLUMNS)
        self.assertEqual(len(rows) - 1, len(matching(merchantId="m1")))
        for row, item in zip(rows[1:], wanted):
            self.assertEqual(json.loads(row[11]), item["details"])
            self.assertEqual([cell for i, cell in enumerate(row) if i != 11], [item[name] or "" for name in COLUMNS if name != "details"])
        # A stray credential does no harm.
        again = self.ask(download=self.ok(get=f"{EXPORT}/{task['taskId']}", key=self.admin)["downloadUrl"], headers=bearer("nonsense") if "X-Amz-Credential" not in task["downloadUrl"] else {})
        self.assertEqual((again["status"], again["text"]), (200, file["text"]))

    def test_json_and_every_filter_of_an_export(self):
        names = {"action": "actions", "resourceType": "resourceTypes", "from": "fromDate", "to": "toDate"}
        for filters in FILTERS:
            with self.subTest(filters):
                body = {names.get(name, name): [value] if name in ("action", "resourceType") and isinstance(value, str) else value for name, value in filters.items()}
                _, file = self.export(format="json", **body)
                items = json.loads(file["text"])
                self.assertEqual(items, self.listed(limit=200, **filters)["items"][::-1])
        self.assertEqual(file["headers"]["content-type"], "application/json")

    def test_nulls_and_unknown_members(self):
        _, file = self.export(merchantId=None, actions=None, fromDate=None, unknown={"a": 1}, actionsx=[1], resourceTypes=[])
        self.assertEqual(file["text"].count("\r\n2"), 140)

    def test_an_idempotency_key(self):
        headers, body = {**bearer(self.admin), "Idempotency-Key": "once"}, {"actions": ["pii_access"]}
        first = self.assert_status(self.client.post(f"/v2{EXPORT}", body, headers), 202).json()
        again = self.assert_status(self.client.post(f"/api/v2{EXPORT}", body, headers), 202).json()
        self.assertEqual(first["taskId"], again["taskId"])
        changed = self.assert_status(self.client.post(f"/v2{EXPORT}", {"actions": []}, headers), 409).json()
        self.assertEqual(set(changed), {"detail"})
        # Another merchant's key of the same name is another key.
        other = self.assert_status(self.client.post(f"/v2{EXPORT}", body, {**headers, **bearer(self.other)}), 202).json()
        self.assertNotEqual(first["taskId"], other["taskId"])
        self.assert_status(self.client.post(f"/v2{EXPORT}", body, {**headers, **bearer(self.key)}), 202)
        changed = self.assert_status(self.client.post(f"/v2{EXPORT}", {}, {**headers, **bearer(self.key)}), 409).json()
        self.assertEqual((changed["code"], set(changed)), ("conflict", {"code", "message", "request_id"}))
        self.assertEqual(self.assert_status(self.client.post(f"/v2{EXPORT}", {}, {**headers, "Idempotency-Key": "ü"}), 422).json()["detail"][0]["loc"], ["header", "idempotency-key"])

    def test_roles(self):
        mine = matching(merchantId="m1")
        for key in (self.admin, self.staff):
            self.assertEqual(self.listed(key=key)["total"], len(mine))
            self.assertEqual(self.listed(key=key, merchantId="m2")["total"], 0)
        task, _ = self.export(key=self.admin)
        for question in ({"post": EXPORT, "body": {}}, {"get": f"{EXPORT}/{task['taskId']}"}):
            refused = self.ask(**question, key=self.staff)
            self.assertEqual((refused["status"], set(refused["body"])), (403, {"detail"}), refused)
            self.assertEqual(refused["detail"], refused["body"]["detail"])
        for key in (self.other, self.owner, None):
            seen = self.ask(get=f"{EXPORT}/{task['taskId']}", key=key)
            if key == self.other:
                self.assertEqual((seen["status"], seen["body"]), (404, {"detail": "Export task not found"}))
            else:
                self.assertEqual(seen["ok"]["status"], "success")
        for unknown in ("x", "00000000-0000-4000-8000-000000000000", "%20", task["taskId"] + "0", task["taskId"].replace("-", "")):
            self.assertEqual(self.ask(get=f"{EXPORT}/{unknown}", key=self.admin)["body"], {"detail": "Export task not found"})

    def test_a_session_of_a_merchant(self):
        session = self.assert_status(self.client.post("/v2/giftcards/merchants/session", {"merchantId": "m2"}, bearer(self.owner)), 200).json()
        for headers in ({**bearer(self.owner), "X-Eposn-Merchant-Token": session["sessionToken"]}, bearer(session["sessionToken"])):
            answer = self.assert_status(self.client.get(f"/v2{LIST}", headers), 200).json()
            self.assertEqual(answer["total"], len(matching(merchantId="m2")))
        _, file = self.export(key=session["sessionToken"])
        self.assertEqual(file["text"].count("\r\n2"), len(matching(merchantId="m2")))
        for body, kind in ((b"{}", "missing"), (b'{"merchantId":5}', "string_type"), (b"[]", "model_attributes_type")):
            detail = self.assert_status(self.client.post("/v2/giftcards/merchants/session", body, bearer(self.owner)), 422).json()["detail"]
            self.assertEqual(detail[0]["type"], kind)

    def test_broken_rules_as_fastapi_tells_them(self):
        for base in ("/v2", "/api/v2"):
            for query, entries in PARAMETERS:
                self.assertEqual(self.assert_status(self.client.get(f"{base}{LIST}?{query}", bearer(self.staff)), 422).json(), {"detail": entries}, query)
            for body, entries in BODIES:
                self.assertEqual(self.assert_status(self.client.post(f"{base}{EXPORT}", body, bearer(self.admin)), 422).json(), {"detail": entries}, body)
        text = self.client.post(f"/v2{EXPORT}", b"{}", {**bearer(self.admin), "Content-Type": "text/plain"})
        self.assertEqual(text.json()["detail"][0]["type"], "model_attributes_type")
        detail = self.ask(post=EXPORT, body={"format": "xlsx"}, key=self.admin)["body"]["detail"]
        self.assertEqual((detail[0]["loc"], detail[0]["input"]), (["body", "format"], "xlsx"))

    def test_the_other_family_of_errors(self):
        self.assertEqual(self.listed(key=self.key)["total"], 140)
        _, file = self.export(key=self.key, merchantId="m1")
        self.assertEqual(file["status"], 200)
        for question, status, code in (
            ({"get": LIST, "params": {"page": 0}}, 422, "validation_error"),
            ({"post": EXPORT, "body": []}, 422, "validation_error"),
            ({"get": f"{EXPORT}/x"}, 404, "not_found"),
            ({"get": f"{LIST}/nowhere"}, 404, "not_found"),
            ({"get": LIST, "key": self.key[:-1] + "x"}, 401, "unauthorized"),
        ):
            refused = self.ask(**{"key": self.key, **question})
            self.assertEqual((refused["status"], refused["body"]["code"], set(refused["body"])), (status, code, {"code", "message", "request_id"}))
            self.assertEqual(refused["body"]["request_id"], refused["headers"]["x-request-id"])
        page = self.ask(get=LIST, params={"page": 0}, key=self.key)["body"]
        self.assertEqual(page["message"], "page: Input should be greater than or equal to 1")

    def test_failures_of_members(self):
        for question, status, detail in (
            ({"get": LIST, "key": "a.b.c"}, 401, None),
            ({"get": f"{LIST}/nowhere"}, 404, "Not Found"),
            ({"post": LIST, "body": {}}, 405, "Method Not Allowed"),
        ):
            refused = self.ask(**question)
            self.assertEqual(refused["status"], status)
            self.assertIn(detail, (None, refused["body"]["detail"]))
        self.assertEqual(self.client.request("GET", f"/v2{LIST}", None, {"Authorization": None}).json(), {"detail": "Not authenticated"})


class LargeEvents(Case):
    def test_a_page_that_is_too_large_is_refused_not_cut(self):
        server = self.server().start()
        with server.client() as client:
            for n in range(12):
                self.assert_status(client.post("/v1/events", {"action": "a.b", "metadata": {"n": n, "text": "x" * 900_000}}), 201)
            refused = self.assert_status(client.get(f"/v2{LIST}"), 422).json()["detail"]
            self.assertEqual((refused[0]["loc"], refused[0]["input"]), (["query", "limit"], "50"))
            seen = [item["details"]["n"] for page in (1, 2, 3) for item in client.get(with_query(f"/v2{LIST}", {"limit": 5, "page": page})).json()["items"]]
            self.assertEqual(seen, list(range(12))[::-1])


if __name__ == "__main__":
    unittest.main()
