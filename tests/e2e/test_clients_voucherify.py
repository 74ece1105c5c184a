"""Voucherify's published SDKs, unmodified: @voucherify/sdk 2.9.0 and voucherify 5.2.0 for Node, voucherify 6.1.1 for Python."""

import csv
import io
import json
import re
import time
import urllib.parse
import urllib.request

import clients
from harness import Client, SharedCase, run_cli

OWNER, PASSWORD = "owner@localhost", "a password of the owner"
API_LOG_FIELDS = ["id", "created_at", "status", "request_id", "channel", "method", "endpoint", "url", "user_email", "app_id", "client_app_id", "request_duration",
                  "request_body", "response_body"]
API_LOG_HEADER = ["ID", "Created At", "Status", "Request ID", "Channel", "Method", "Endpoint", "Url", "User Email", "App ID", "Client App ID", "Request Duration",
                  "Request Body", "Response Body"]
# Requests of another system, told of by its own log; what the server says of itself is of today.
REQUESTS = [{
    "action": "api.request", "occurred_at": f"2025-03-01T10:00:{n:02}.{n:03}456Z", "actor": {"id": f"mem_{n % 3}", "meta": {"email": f"user{n % 3}@example.com"}},
    "http": {"method": ["GET", "POST"][n % 2], "endpoint": ["GET_v1_vouchers", "POST_v1_vouchers_import_csv"][n % 2], "url": f"/v1/vouchers?n={n}", "status": [200, 404, 302, 500][n % 4],
             "channel": ["API", "Node.js-v20.20.2-SDK-v2.9.0", "Python-SDK"][n % 3], "duration_ms": n, "request_id": f"v-{n:018x}", "app_id": f"app-{n % 2}",
             "request_body": {"text": f"Jörg, \"{n}\"\n中文"}, "response_body": {"n": n}},
} for n in range(40)]
EVENTS = [{
    "action": ["user.login", "user.logout", "doc.read"][n % 3], "occurred_at": f"2025-04-01T10:00:{n % 60:02}.{n:03}789Z", "actor": {"id": f"usr_{n % 7}", "type": "user",
    "meta": {"name": "Jörg, \"J\"\n中文", "email": f"usr_{n % 7}@example.com"}}, "target": {"type": "doc", "id": f"doc_{n}", "meta": {"title": f"Doc {n}"}},
    "context": {"ip": "192.0.2.7", "request_id": f"req-{n}"}, "metadata": {"n": n, "department_id": "d1"}, "diff": {"before": {"a": n}, "after": {"a": n + 1}},
} for n in range(60)]
EXPORT = {"id", "object", "created_at", "status", "channel", "exported_object", "parameters", "result", "user_id"}


def rows(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def fetch(url, headers=None):
    """(status, headers, body) of a GET by somebody who has nothing but the URL."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


class VoucherifyCase(SharedCase):
    env = {"INDELIBLE_OWNER_PASSWORD": PASSWORD}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            cls.pair = cls.new_pair(client)
            # What only this test writes, so that it can be compared row by row.
            for events in (REQUESTS, EVENTS):
                answer = client.bulk(events)
                if answer.status != 201:
                    raise AssertionError(repr(answer))

    @staticmethod
    def new_pair(client, **more):
        answer = client.post("/v1/api-keys", {"name": "backend", "face": "voucherify", **more})
        if answer.status != 201:
            raise AssertionError(repr(answer))
        made = answer.json()["data"]
        return made["application_id"], made["key"]

    @property
    def headers(self):
        return {"Authorization": None, "X-App-Id": self.pair[0], "X-App-Token": self.pair[1]}

    def ask(self, call, *args, sdk="v2", pair=None):
        app, token = pair or self.pair
        secret = "secretKey" if sdk == "v2" else "clientSecretKey"
        return self.node.ask(sdk=sdk, client={"applicationId": app, secret: token, "apiUrl": self.shared.url}, call=call, args=list(args))

    def do(self, call, *args, **more):
        answer = self.ask(call, *args, **more)
        self.assertIn("ok", answer, answer)
        return answer["ok"]

    def refused(self, call, *args, **more):
        """The members of its error."""
        answer = self.ask(call, *args, **more)
        self.assertIn("error", answer, answer)
        return answer["error"]

    def ask_python(self, api, call, pair=None, **args):
        app, token = pair or self.pair
        return self.python.ask(client={"host": self.shared.url, "id": app, "token": token}, api=api, call=call, args=args)

    def do_python(self, api, call, **args):
        answer = self.ask_python(api, call, **args)
        self.assertIn("ok", answer, answer)
        return answer["ok"]

    def until(self, get, over=lambda seen: seen["status"] in ("DONE", "ERROR")):
        deadline = time.monotonic() + 60
        while not over(seen := get()):
            self.assertLess(time.monotonic(), deadline, seen)
            time.sleep(0.05)
        return seen

    def lines(self, path, **params):
        """All of a list, as stored."""
        out, cursor = [], {}
        while True:
            page = self.client.get(path, per_page=100, **params, **cursor).json()
            out += page["data"]
            if not page["meta"]["has_more"]:
                return out
            cursor = {"cursor": page["meta"]["next_cursor"]}


class NodeSdk(VoucherifyCase):
    """@voucherify/sdk 2.9.0, and voucherify 5.2.0 before it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.node = clients.Driver(clients.node(), clients.voucherify_node())
        cls.addClassCleanup(cls.node.close)

    def export(self, sdk="v2", **body):
        made = self.do("distributions.exports.create", body, sdk=sdk)
        self.assertEqual((made["status"], made["result"], made["object"], made["channel"], made["user_id"]), ("SCHEDULED", None, "export", "API", None))
        self.assertLessEqual(EXPORT, made.keys())
        self.assertRegex(made["id"], r"^exp_[0-9A-Za-z]{24}$")
        self.assertRegex(made["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        done = self.until(lambda: self.do("distributions.exports.get", made["id"], sdk=sdk))
        self.assertEqual((done["status"], done["state"], done["progress"]), ("DONE", "finished", 100), done)
        return done

    def download(self, export):
        status, headers, body = fetch(export["result"]["url"])
        self.assertEqual(status, 200, body)
        self.assertTrue(headers["Content-Type"].startswith("text/plain"))
        self.assertEqual((len(body), export["size"]), (export["size"], len(body)))
        return rows(body.decode())

    def test_requests_are_exported_as_they_were_stored(self):
        window = {"created_at": {"conditions": {"$after": ["2025-03-01T00:00:00Z"], "$before": ["2025-03-02T00:00:00.000Z"]}}}
        done = self.export(exported_object="api_log", parameters={"order": "created_at", "fields": API_LOG_FIELDS, "filters": {"junction": "and", **window}})
        self.assertEqual(done["parameters"], {"order": "created_at", "fields": API_LOG_FIELDS, "filters": {"junction": "and", **window}})
        header, *found = self.download(done)
        self.assertEqual(header, API_LOG_HEADER)
        stored = [e for e in reversed(self.lines("/v1/logs", **{"from": "2025-03-01", "to": "2025-03-01"}))]
        self.assertEqual(len(stored), len(REQUESTS))
        self.assertEqual(done["rows"], len(REQUESTS))
        for row, event in zip(found, stored, strict=True):
            http = event["http"]
            texts = [event["id"], event["occurred_at"][:23] + "Z", "SUCCESS" if http["status"] < 400 else "FAILURE", http["request_id"], http["channel"], http["method"],
                     http["endpoint"], http["url"], event["actor"]["meta"]["email"], http["app_id"], "", str(http["duration_ms"])]
            self.assertEqual(row[:12], texts)
            self.assertEqual([json.loads(row[12]), json.loads(row[13])], [http["request_body"], http["response_body"]])

    def test_requests_are_filtered_and_ordered(self):
        window = {"created_at": {"conditions": {"$after": ["2025-03-01T00:00:00Z"], "$before": ["2025-03-02T00:00:00Z"]}}}

        def found(order="created_at", junction="and", **filters):
            both = {**filters, "junction": junction} if junction == "or" else {**window, **filters, "junction": junction}
            done = self.export(exported_object="api_log", parameters={"order": order, "fields": ["request_id"], "filters": both})
            return [int(row[0].removeprefix("v-"), 16) for row in self.download(done)[1:]]

        def wanted(test):
            return [n for n, request in enumerate(REQUESTS) if test(request["http"], n)]

        conditions = lambda **operators: {"conditions": {f"${name}": values for name, values in operators.items()}}
        self.assertEqual(found(status=conditions(**{"is": ["SUCCESS"]})), wanted(lambda h, n: h["status"] < 400))
        self.assertEqual(found(status=conditions(is_not=["SUCCESS"]), order="-created_at"), wanted(lambda h, n: h["status"] >= 400)[::-1])
        self.assertEqual(found(channel=conditions(**{"in": ["API", "Python-SDK"]})), wanted(lambda h, n: n % 3 != 1))
        self.assertEqual(found(channel=conditions(not_in=["API"]), app_id=conditions(**{"is": ["app-1"]})), wanted(lambda h, n: n % 3 and n % 2))
        self.assertEqual(found(junction="or", request_id=conditions(**{"in": ["v-" + "0" * 18, "v-" + "0" * 17 + "9"]}), url=conditions(ends_with=["n=12"])), [0, 9, 12])
        # Exclusive at both ends, to the microsecond.
        at = [request["occurred_at"] for request in REQUESTS]
        done = self.export(exported_object="api_log", parameters={"fields": ["request_id"], "filters": {"created_at": conditions(after=[at[3]], before=[at[6]])}})
        self.assertEqual([int(row[0][2:], 16) for row in self.download(done)[1:]], [4, 5])

    def test_events_are_exported_with_every_field(self):
        first = {"filters": {"action": {"conditions": {"$in": ["user.login", "user.logout", "doc.read"]}}}}
        refused = self.refused("distributions.exports.create", {"exported_object": "event", "parameters": {"fields": ["nothing"]}})
        fields = refused["details"].removeprefix("Unsupported field used. Allowed fields: ").split(", ")
        self.assertGreater(len(fields), 40)
        done = self.export(exported_object="event", parameters={"fields": fields, **first})
        header, *found = self.download(done)
        self.assertEqual(len(header), len(fields))
        stored = self.lines("/v1/events")[::-1]
        stored = [e for e in stored if e["action"] in ("user.login", "user.logout", "doc.read")]
        self.assertEqual((len(stored), len(found)), (len(EVENTS), len(EVENTS)))
        for row, event in zip(found, stored, strict=True):
            row = dict(zip(fields, row, strict=True))
            texts = {"id": event["id"], "sequence_number": str(event["sequence_number"]), "created_at": event["occurred_at"][:23] + "Z", "occurred_at": event["occurred_at"],
                     "received_at": event["received_at"], "hash": event["hash"], "previous_hash": event["previous_hash"], "action": event["action"],
                     "actor_id": event["actor"]["id"], "actor_type": "user", "actor_name": event["actor"]["meta"]["name"], "actor_email": event["actor"]["meta"]["email"],
                     "target_id": event["target"]["id"], "target_type": "doc", "target_name": event["target"]["meta"]["title"], "ip": "192.0.2.7",
                     "request_id": event["context"]["request_id"], "department_id": "d1", "external_id": "", "subject_id": "", "organization_id": ""}
            self.assertEqual({name: row[name] for name in texts}, texts)
            for name in ("metadata", "context", "diff"):
                self.assertEqual(json.loads(row[name]), event[name])

    def test_events_are_filtered(self):
        def found(**filters):
            done = self.export(exported_object="event", parameters={"fields": ["target_id"], "filters": filters})
            return [int(row[0].removeprefix("doc_")) for row in self.download(done)[1:]]

        conditions = lambda **operators: {"conditions": {f"${name}": values for name, values in operators.items()}}
        mine = {"target_type": conditions(**{"is": ["doc"]})}
        everything = range(len(EVENTS))
        self.assertEqual(found(**mine, action=conditions(starts_with=["user."], is_not=["user.logout"])), [n for n in everything if n % 3 == 0])
        self.assertEqual(found(**mine, actor_email=conditions(contains=["USR_3@"])), [n for n in everything if n % 7 == 3])
        self.assertEqual(found(**mine, actor_id=conditions(not_in=["usr_1", "usr_2"]), target_id=conditions(ends_with=["5"])), [n for n in everything if n % 7 not in (1, 2) and n % 10 == 5])
        self.assertEqual(found(**mine, subject_id=conditions(has_value=[])), [])
        self.assertEqual(found(**mine, subject_id=conditions(is_unknown=[])), list(everything))
        self.assertEqual(found(junction="or", target_id=conditions(**{"is": ["doc_7"]}), request_id=conditions(**{"is": ["req-9"]})), [7, 9])

    def test_other_objects_have_a_header_and_no_rows(self):
        done = self.export(exported_object="voucher", parameters={"order": "-created_at", "fields": ["id", "code", "voucher_type", "value", "metadata.Shop"]})
        self.assertEqual(fetch(done["result"]["url"])[2], b"ID,Code,Voucher Type,Value,Metadata.Shop\r\n")
        self.assertEqual((done["rows"], done["channel"]), (0, "API"))

    def test_lists(self):
        # Others export to this server as well, but no orders.
        made = [self.export(exported_object="order")["id"] for _ in range(3)]
        page = self.do("distributions.exports.list", {"limit": 100, "page": 1, "order": "-created_at"})
        self.assertEqual((page["object"], page["data_ref"]), ("list", "exports"))
        self.assertEqual([e["id"] for e in page["exports"] if e["exported_object"] == "order"][:3], made[::-1])
        self.assertTrue(all(EXPORT <= e.keys() for e in page["exports"]))
        self.assertEqual(page["total"], len(page["exports"]))
        mine = self.do("distributions.exports.list", {"limit": 2, "page": 2, "order": "created_at", "exported_object": "order", "status": "DONE"})
        self.assertEqual(([e["id"] for e in mine["exports"]], mine["total"]), ([made[2]], 3))
        status, _, body = fetch(mine["exports"][0]["result"]["url"])
        self.assertEqual((status, body), (200, b"ID,Source ID,Status\r\n"))
        since = self.do("distributions.exports.list", {"created_at": {"after": "2100-01-01T00:00:00Z"}})
        self.assertEqual((since["exports"], since["total"]), ([], 0))
        refused = self.refused("distributions.exports.list", {"limit": 101})
        self.assertEqual((refused["code"], refused["key"], refused["message"]), (400, "invalid_query_params", "Invalid query params"))
        self.assertTrue(refused["details"].startswith("Property .limit "), refused)

    def test_the_end_of_an_export(self):
        done = self.export(exported_object="sku")
        url = done["result"]["url"]
        self.assertEqual(self.do("distributions.exports.delete", done["id"]), "")
        gone = self.refused("distributions.exports.get", done["id"])
        self.assertEqual((gone["code"], gone["key"], gone["resource_id"], gone["resource_type"], gone["details"]),
                         (404, "not_found", done["id"], "export", f"Cannot find export with id {done['id']}"))
        self.assertRegex(gone["request_id"], r"^v-[0-9a-f]{18}$")
        status, _, body = fetch(url)
        self.assertEqual((status, json.loads(body)), (401, {"code": 401, "key": "unauthorized", "message": "Unauthorized"}))

    def test_async_actions(self):
        made = self.export(exported_object="publication")
        listed = self.do("asyncActions.list", {"limit": 100})
        self.assertEqual((listed["object"], listed["data_ref"], listed["has_more"]), ("list", "async_actions", False))
        entry = next(a for a in listed["async_actions"] if a["id"] == made["task_id"])
        self.assertNotIn("result", entry)
        times = [a["created_at"] for a in listed["async_actions"]]
        self.assertEqual(times, sorted(times, reverse=True))
        one = self.do("asyncActions.get", made["task_id"])
        self.assertEqual({k: one[k] for k in ("type", "status", "operation_status", "progress", "object", "export_id")},
                         {"type": "EXPORTS.CREATE", "status": "DONE", "operation_status": "SUCCESS", "progress": 100, "object": "async_action", "export_id": made["id"]})
        self.assertEqual((one["result"]["done_count"], one["result"]["failed_count"], one["result"]["reports"]), (0, 0, []))
        self.assertRegex(one["request_id"], r"^v-[0-9a-f]{18}$")
        self.assertIsInstance(one["processing_time"], int)
        # One by one, each page from where the last one ended.
        seen, end = [], {}
        while True:
            page = self.do("asyncActions.list", {"limit": 1, **end})
            seen += [a["id"] for a in page["async_actions"]]
            if not page["has_more"] or len(seen) > len(listed["async_actions"]):
                break
            end = {"end_date": page["async_actions"][-1]["created_at"]}
        self.assertEqual(seen, [a["id"] for a in listed["async_actions"]])
        # The API log tells of the request, soon after.
        found = self.until(lambda: self.do("asyncActions.get", made["task_id"]), lambda seen: seen["log_id"])
        entry = self.assert_status(self.client.get(f"/v1/logs/{found['log_id']}"), 200).json()["data"]
        self.assertEqual((entry["http"]["endpoint"], entry["http"]["request_id"]), ("POST_v1_exports", one["request_id"]))
        missing = self.refused("asyncActions.get", "aa_" + "0" * 18)
        self.assertEqual((missing["code"], missing["key"], missing["resource_type"], missing["resource_id"]), (404, "not_found", "async_action", "aa_" + "0" * 18))
        self.assertEqual(self.refused("asyncActions.list", {"end_date": "soon"})["details"], "Property .end_date cannot be recognized as a ISO-8601 compliant date")

    def test_custom_events(self):
        told = self.do("events.create", "basket.abandoned", {"customer": {"source_id": "shop-7", "name": "Ann", "email": "ann@example.com"},
                                                            "metadata": {"basket": [1, 2], "total": 12.5}, "loyalty": {"code": "card-1"}})
        self.assertEqual(told, {"object": "event", "type": "basket.abandoned", "referral": None, "loyalty": {"code": "card-1"},
                                "customer": {"object": "customer", "id": "shop-7", "source_id": "shop-7", "name": "Ann", "email": "ann@example.com"}})
        stored = self.lines("/v1/events", action="basket.abandoned")
        self.assertEqual(len(stored), 1)
        self.assertEqual(stored[0]["actor"], {"type": "customer", "id": "shop-7", "meta": {"name": "Ann", "email": "ann@example.com", "source_id": "shop-7"}})
        self.assertEqual((stored[0]["metadata"], stored[0]["context"]["loyalty"]), ({"basket": [1, 2], "total": 12.5}, {"code": "card-1"}))
        self.assertRegex(stored[0]["context"]["channel"], r"^Node\.js-v[\d.]+-SDK-v2\.9\.0$")
        refused = self.refused("events.create", "x" * 301, {"customer": {}})
        self.assertEqual((refused["code"], refused["key"], refused["message"], refused["details"]),
                         (400, "invalid_payload", "Invalid payload", "Property .event should be a text of 1 to 300 characters"))

    def test_failures_are_its_errors(self):
        wrong = self.refused("distributions.exports.list", {}, pair=(self.pair[0], "wrong"))
        self.assertEqual((wrong["code"], wrong["key"], wrong["message"]), (401, "unauthorized", "Unauthorized"))
        unknown = self.refused("distributions.exports.create", {"exported_object": "campaign"})
        self.assertEqual((unknown["code"], unknown["key"]), (400, "invalid_payload"))
        self.assertTrue(unknown["details"].startswith("Property .exported_object should be equal to one of the allowed values [ voucher, "), unknown)
        fields = self.refused("distributions.exports.create", {"exported_object": "order", "parameters": {"fields": ["id", "shoe_size"]}})
        self.assertEqual((fields["key"], fields["message"]), ("invalid_export_fields", "Invalid Export"))
        self.assertTrue(fields["details"].startswith("Unsupported field used. Allowed fields: id, source_id, "), fields)
        when = self.refused("distributions.exports.create", {"exported_object": "api_log", "parameters": {"filters": {"created_at": {"conditions": {"$after": ["x"]}}}}})
        self.assertEqual(when["details"], "Property .parameters.filters.created_at.conditions.$after cannot be recognized as a ISO-8601 compliant date")
        with self.shared.client() as client:
            reader = self.new_pair(client, scopes=["events:read"])
            events_only = self.new_pair(client, scopes=["export"])
        denied = self.refused("distributions.exports.list", {}, pair=reader)
        self.assertEqual((denied["code"], denied["key"]), (403, "forbidden"))
        # Who may not read the API log may not export it.
        denied = self.refused("distributions.exports.create", {"exported_object": "api_log"}, pair=events_only)
        self.assertEqual((denied["code"], denied["key"]), (403, "forbidden"))

    def test_limits_are_told(self):
        run_cli("project", "create", "limited", data_dir=self.shared.data_dir)
        made = run_cli("key", "create", "--project", "limited", "--name", "root", data_dir=self.shared.data_dir)
        with Client(self.shared.url, key=re.search(r"lp_sk_\w+", made.stdout)[0]) as client:
            pair = self.new_pair(client, per_minute=50)
        self.do("distributions.exports.list", {}, pair=pair)
        self.assertEqual(self.do("apiLimitsHandler.getRateLimit", pair=pair), 50)
        self.assertLess(self.do("apiLimitsHandler.getRateLimitRemaining", pair=pair), 50)
        # It was told of none.
        self.assertEqual(self.do("apiLimitsHandler.getRetryAfter", pair=pair), 0)

    def test_the_old_sdk(self):
        """voucherify 5.2.0: create, get, delete."""
        done = self.export(sdk="v1", exported_object="event", parameters={"fields": ["id"], "filters": {"target_id": {"conditions": {"$is": ["doc_1"]}}}})
        self.assertEqual(len(self.download(done)), 2)
        self.do("distributions.exports.delete", done["id"], sdk="v1")
        gone = self.refused("distributions.exports.get", done["id"], sdk="v1")
        self.assertEqual((gone["code"], gone["key"], gone["resource_type"]), (404, "not_found", "export"))
        told = self.do("events.create", "old.event", {"customer": {"id": "cust_1"}}, sdk="v1")
        self.assertEqual((told["object"], told["type"], told["customer"]["id"]), ("event", "old.event", "cust_1"))


class PythonSdk(VoucherifyCase):
    """voucherify 6.1.1. Its models take no object but Voucherify's own, so its project exports nothing else."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.python = clients.Driver(clients.python(clients.VOUCHERIFY), "voucherify_driver.py")
        cls.addClassCleanup(cls.python.close)
        cls.everything = cls.pair
        run_cli("project", "create", "documented", data_dir=cls.shared.data_dir)
        made = run_cli("key", "create", "--project", "documented", "--name", "root", data_dir=cls.shared.data_dir)
        with Client(cls.shared.url, key=re.search(r"lp_sk_\w+", made.stdout)[0]) as client:
            cls.pair = cls.new_pair(client)

    def finished(self, export, **more):
        return self.until(lambda: self.do_python("ExportsApi", "get_export", export_id=export, **more))

    def create(self, **body):
        return self.do_python("ExportsApi", "create_export", exports_create_request_body=body)

    def test_exports(self):
        filters = {"junction": "and", "code": {"conditions": {"$is": ["x"]}}}
        made = self.create(exported_object="voucher", parameters={"order": "-created_at", "fields": ["id", "code"], "filters": filters})
        self.assertEqual((made["status"], made["channel"]), ("SCHEDULED", "API"))
        done = self.finished(made["id"])
        self.assertEqual({k: v for k, v in done["parameters"].items() if v is not None}, {"order": "-created_at", "fields": ["id", "code"], "filters": filters})
        token = urllib.parse.parse_qs(urllib.parse.urlsplit(done["result"]["url"]).query)["token"][0]
        self.assertEqual(self.do_python("ExportsApi", "download_export", export_id=made["id"], token=token), "ID,Code\r\n")
        listed = self.do_python("ExportsApi", "list_exports", limit=100, page=1, order="-created_at")
        self.assertIn(made["id"], [e["id"] for e in listed["exports"]])
        self.assertEqual(listed["total"], len(listed["exports"]))
        self.do_python("ExportsApi", "delete_export", export_id=made["id"])
        gone = self.ask_python("ExportsApi", "get_export", export_id=made["id"])
        self.assertEqual((gone["error"], gone["status"], json.loads(gone["body"])["key"]), ("NotFoundException", 404, "not_found"))
        refused = self.ask_python("ExportsApi", "download_export", export_id=made["id"], token=token)
        self.assertEqual((refused["error"], json.loads(refused["body"])["key"]), ("UnauthorizedException", "unauthorized"))

    def test_every_documented_object_with_its_defaults(self):
        for name in ("voucher", "redemption", "customer", "publication", "order", "points_expiration", "voucher_transactions", "product", "sku"):
            with self.subTest(name):
                done = self.finished(self.create(exported_object=name)["id"])
                self.assertEqual((done["status"], done["exported_object"]), ("DONE", name))
                header, *rest = rows(fetch(done["result"]["url"])[2].decode())
                self.assertEqual((len(header), rest), (len(done["parameters"]["fields"]), []))

    def test_async_actions(self):
        made = self.create(exported_object="order")
        self.finished(made["id"])
        listed = self.do_python("AsyncActionsApi", "list_async_actions", limit=100)
        self.assertEqual(listed["has_more"], False)
        action = listed["async_actions"][0]["id"]
        one = self.do_python("AsyncActionsApi", "get_async_action", async_action_id=action)
        self.assertEqual((one["type"], one["status"], one["operation_status"], one["result"]["done_count"]), ("EXPORTS.CREATE", "DONE", "SUCCESS", 0))
        older = self.do_python("AsyncActionsApi", "list_async_actions", limit=100, end_date=one["created_at"])
        self.assertNotIn(action, [a["id"] for a in older["async_actions"]])
        self.assertEqual(len(older["async_actions"]), len(listed["async_actions"]) - 1)

    def test_requests_without_its_models(self):
        made = self.assert_status(self.client.post("/v1/exports", {"exported_object": "api_log"}, self.headers | dict(zip(("X-App-Id", "X-App-Token"), self.everything))), 200).json()
        self.assertEqual(self.ask_python("ExportsApi", "get_export", pair=self.everything, export_id=made["id"])["error"], "ValidationError")

        def get():
            answer = self.do_python("ExportsApi", "get_export_without_preload_content", pair=self.everything, export_id=made["id"])
            self.assertEqual(answer["status"], 200)
            return json.loads(answer["body"])

        done = self.until(get)
        header, *found = rows(fetch(done["result"]["url"])[2].decode())
        self.assertEqual(header, ["ID", "Created At", "Status", "Method", "Endpoint", "Request ID"])
        self.assertGreaterEqual(len(found), len(REQUESTS))

    def test_custom_events(self):
        told = self.do_python("EventsApi", "track_custom_event", events_create_request_body={"event": "py.event", "customer": {"source_id": "p1"}, "metadata": {"a": 1}})
        self.assertEqual((told["object"], told["type"]), ("event", "py.event"))


class Wire(VoucherifyCase):
    """What no SDK shows."""

    def made(self, headers=None, **body):
        return self.assert_status(self.client.post("/v1/exports", body, headers or self.headers), 200).json()

    def done(self, export, headers=None):
        return self.until(lambda: self.assert_status(self.client.get(f"/v1/exports/{export}", headers or self.headers), 200).json())

    def test_downloads(self):
        done = self.done(self.made(exported_object="order")["id"])
        path = f"/v1/exports/{done['id']}"
        body = b"ID,Source ID,Status\r\n"
        url = urllib.parse.urlsplit(done["result"]["url"])
        for target, headers in [
            (f"{path}?{url.query}", {"Authorization": None}),
            (f"{path}?{url.query}", {"Authorization": "Bearer nonsense", "X-App-Id": "x"}),
            (path, {**self.headers, "Accept": "text/plain"}),
            (path, {**self.headers, "Host": "download.example.com"}),
        ]:
            answer = self.assert_status(self.client.request("GET", target, headers=headers), 200)
            self.assertEqual(answer.body, body)
            self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
            self.assertRegex(answer.headers["Content-Disposition"], r'^attachment; filename="order-export-\d{4}-\d\d-\d\d\.csv"$')
        part = self.assert_status(self.client.request("GET", f"{path}?{url.query}", headers={"Range": "bytes=3-8"}), 206)
        self.assertEqual(part.body, body[3:9])
        head = self.assert_status(self.client.request("HEAD", f"{path}?{url.query}", headers={"Authorization": None}), 200)
        self.assertEqual((head.headers["Content-Length"], head.body), (str(len(body)), b""))
        bad = {"code": 401, "key": "unauthorized", "message": "Unauthorized"}
        for target, headers in [(f"{path}?token=nonsense", {"Authorization": None}), (f"{path}?token=nonsense", self.headers), (f"/v1/exports/x?{url.query}", {"Authorization": None}),
                                (f"/v1/exports/exp_{'0' * 24}?{url.query}", {"Authorization": None}), (path, {"Authorization": None})]:
            answer = self.assert_status(self.client.request("GET", target, headers=headers), 401)
            self.assertEqual(answer.json(), bad)

    def test_every_format_and_compression(self):
        filters = {"target_id": {"conditions": {"$is": ["doc_3"]}}}
        for name, media in (("csv", "text/plain; charset=utf-8"), ("json", "application/json"), ("ndjson", "application/x-ndjson"), ("parquet", "application/vnd.apache.parquet")):
            for compression, coded in (("none", None), ("gzip", "application/gzip"), ("zstd", "application/zstd")):
                with self.subTest(f"{name} {compression}"):
                    made = self.made(exported_object="event", parameters={"format": name, "compression": compression, "filters": filters})
                    self.assertEqual((made["parameters"]["format"], made["parameters"]["compression"], "fields" in made["parameters"]), (name, compression, name == "csv"))
                    done = self.done(made["id"])
                    status, headers, body = fetch(done["result"]["url"])
                    self.assertEqual((status, headers["Content-Type"], len(body), done["rows"]), (200, coded or media, done["size"], 1))
        self.assertEqual(fetch(done["result"]["manifest_url"])[0], 200)
        self.assertEqual(fetch(done["result"]["download_url"])[2], body)

    def test_members_export_by_the_website(self):
        login = self.assert_status(self.client.post("/v1/auth/login", {"email": OWNER, "password": PASSWORD}, {"Authorization": None}), 200).json()["data"]
        member = {"Authorization": f"Bearer {login['token']}"}
        made = self.made(member, exported_object="order")
        self.assertEqual((made["channel"], made["user_id"]), ("WEBSITE", login["member"]["id"]))
        self.done(made["id"])
        listed = self.client.get("/v1/exports", self.headers, user_id=login["member"]["id"]).json()
        self.assertEqual([e["id"] for e in listed["exports"]], [made["id"]])
        action = self.assert_status(self.client.get(f"/v1/async-actions/{made['task_id']}", self.headers), 200).json()
        self.assertEqual(action["user"], {"id": login["member"]["id"], "email": OWNER, "name": login["member"]["name"]})

    def test_a_repeated_request_is_the_same_export(self):
        headers = {**self.headers, "Idempotency-Key": "once"}
        first, again = self.made(headers, exported_object="order"), self.made(headers, exported_object="order")
        self.assertEqual(first, again)
        other = self.assert_status(self.client.post("/v1/exports", {"exported_object": "sku"}, headers), 409)
        self.assertEqual(other.json()["key"], "duplicate_resource_key")

    def test_json_that_is_none_and_types_on_empty_bodies(self):
        for body in (b"{", b"", b"[1", b"\xff"):
            answer = self.assert_status(self.client.post("/v1/exports", body, self.headers), 400)
            self.assertEqual((answer.json()["key"], answer.json()["message"]), ("invalid_payload", "Invalid payload"))
        made = self.made(exported_object="order")
        json_type = {**self.headers, "Content-Type": "application/json"}
        self.assert_status(self.client.get("/v1/exports", json_type), 200)
        self.assertEqual(self.assert_status(self.client.request("DELETE", f"/v1/exports/{made['id']}", headers=json_type), 204).body, b"")
        self.assert_status(self.client.request("DELETE", f"/v1/exports/{made['id']}", headers=json_type), 404)

    def test_two_dialects_share_a_path(self):
        """`POST /v1/events`: the body decides, and where it does not, the credential."""
        logproof, visitor = {"action": "ours.event"}, {"event": "theirs.event", "customer": {"id": "c1"}}
        token = self.client.request("POST", "/v1/oauth/token", b"grant_type=client_credentials&scope=events", {**self.headers, "Content-Type": "application/x-www-form-urlencoded"}).json()
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        own = {}
        for headers in (own, self.headers, bearer):
            answer = self.assert_status(self.client.post("/v1/events", logproof, headers), 201)
            self.assertEqual(answer.json()["data"]["action"], "ours.event")
            answer = self.assert_status(self.client.post("/v1/events", visitor, headers), 200)
            self.assertEqual((answer.json()["object"], answer.json()["type"]), ("event", "theirs.event"))
            # Each is refused in its own words.
            wrong = self.assert_status(self.client.post("/v1/events", {**logproof, "more": 1}, headers), 422)
            self.assertEqual(wrong.json()["error"]["type"], "validation_error")
            wrong = self.assert_status(self.client.post("/v1/events", {**visitor, "metadata": []}, headers), 400)
            self.assertEqual(wrong.json()["details"], "Property .metadata should be object")
        for headers in (self.headers, bearer):
            wrong = self.assert_status(self.client.post("/v1/events", {"customer": {"id": "c1"}}, headers), 400)
            self.assertEqual(wrong.json()["details"], "Payload must have required property 'event'")
            self.assertIn("key", self.assert_status(self.client.post("/v1/events", b"{", headers), 400).json())
        self.assertIn("error", self.assert_status(self.client.post("/v1/events", {"customer": {"id": "c1"}}), 422).json())
        # What is refused unread ends its connection.
        for headers, member in (({**self.headers, "X-App-Token": "x"}, "key"), ({"Authorization": "Bearer x"}, "error")):
            with self.shared.client() as client:
                self.assertIn(member, self.assert_status(client.post("/v1/events", visitor, headers), 401).json())
        replay = {**self.headers, "Idempotency-Key": "an event"}
        first, again = (self.assert_status(self.client.post("/v1/events", {**visitor, "event": "once"}, replay), 200) for _ in range(2))
        self.assertEqual((first.json(), again.headers["Idempotency-Replayed"]), (again.json(), "true"))
        self.assertEqual(len(self.lines("/v1/events", action="once")), 1)
