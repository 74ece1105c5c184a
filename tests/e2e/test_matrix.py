"""The tenant matrix: every route of the OpenAPI document x every credential x own, foreign and missing ids.

A route without an entry in ROUTES fails, so that nobody adds one without saying what it may show to whom. What is checked of each answer:
its status is the one that the credential's scopes, role and organizations ask for; it holds no mark of an event that the credential must
not see; and for a foreign id it is, byte for byte, the answer for a missing one.
"""

import itertools
import json
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.parse
from pathlib import Path

import clients
from harness import NDJSON, Client, Server, run_cli

PASSWORD = "correct horse battery staple"
WIDE = {"INDELIBLE_LOGIN_PER_MINUTE": "100000", "INDELIBLE_TASKS_PER_PROJECT": "4"}
FORM = "application/x-www-form-urlencoded"
ALL = {"events:read", "events:write", "verify", "export", "keys:manage", "logs:read", "members:manage", "project:manage", "timeline"}
READ = {"events:read", "timeline"}
ROLES = {
    "owner": ALL,
    "admin": ALL,
    "member": READ | {"events:write", "verify", "export", "logs:read"},
    "auditor": READ | {"verify", "export", "logs:read"},
    "MERCHANT_ADMIN": READ | {"export"},
    "MERCHANT_STAFF": READ,
}
# What differs between two answers for reasons other than what they are about.
VOLATILE = [
    (re.compile(rb"\b(?:evt|key|mem|prj|tok|hold|aentry)_[0-9a-f]{32}\b"), b"ID"),
    (re.compile(rb"\bexp_[0-9A-Za-z]{24}\b|\baa_[0-9a-f]{18}\b|\bsch_[0-9a-f]{32}\b"), b"ID"),
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), b"UUID"),
    (re.compile(rb"\b[vw]-[0-9a-f]{18}\b"), b"VREQUEST"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), b"TIME"),
]


def masked(answer):
    """Status, media type and body, without what differs from call to call."""
    if answer.headers.get("content-type") == "application/pdf":
        # Compressed, and it names the time and the organization asked for; how many rows it has is in a header.
        return answer.status, "application/pdf", answer.headers.get("x-total-count")
    body = answer.body
    for pattern, name in VOLATILE:
        body = pattern.sub(name, body)
    return answer.status, answer.headers.get("content-type"), body


class Who:
    """A credential: what it sends, what it may do, and which of its project's organizations it sees (None: all)."""

    def __init__(self, name, headers, scopes, organizations=None, live=True):
        self.name, self.headers, self.scopes, self.organizations, self.live = name, headers, set(scopes), organizations, live

    def __repr__(self):
        return self.name


class Fresh:
    """A client with a connection for each call: one that idles for long is closed."""

    def __init__(self, url, key):
        self.url, self.key = url, key

    def __getattr__(self, name):
        def call(*args, **more):
            with Client(self.url, key=self.key) as client:
                return getattr(client, name)(*args, **more)
        return call


class Tenant:
    """A project, with events of two organizations and of none, and everything else that can be named by an id."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        made = run_server_cli(server, "project", "create", name)
        self.id = re.search(r"prj_[0-9a-f]{32}", made)[0]
        made = run_server_cli(server, "key", "create", "--project", name, "--name", f"root of {name}")
        self.key = re.search(r"lp_sk_\w+", made)[0]
        self.client = Fresh(server.url, self.key)
        self.mark = f"MARK{name.upper()}"
        self.bound = {}
        events = [self.event(i, o) for i, o in enumerate(["a", "b", None] * 20)]
        foreign = {"action": "thing.made", "actor": {"id": f"only-in-{name}"}, "target": {"type": "assistant", "id": f"t-only-in-{name}"}, "metadata": {"mark": self.mark}}
        stored = self.client.bulk([*events, foreign, {**foreign, "organization": {"id": "b"}}])
        assert stored.status == 201, stored
        lines = self.data(self.client.get("/v1/events", per_page=100))
        self.events = {o: next(e["id"] for e in lines if (e.get("organization") or {}).get("id") == o) for o in ("a", "b", None)}
        first = self.client.get("/v1/events", per_page=5).json()
        self.cursor = first["meta"]["next_cursor"]
        self.log = self.api_log()

    def marked(self, organizations):
        """The mark of something that is bound to organizations, or to none."""
        return self.mark + ("".join(organizations) if organizations else "none").upper()

    def event(self, i, organization):
        """An event that says whose it is in several places."""
        mark = f"{self.mark}{(organization or 'none').upper()}"
        event = {"action": f"thing.{['made', 'changed'][i % 2]}", "actor": {"id": f"u{i % 7}", "type": "user", "meta": {"name": f"{mark} actor"}}}
        event |= {"target": {"type": "assistant", "id": f"t{i % 3}", "meta": {"name": mark}}, "metadata": {"mark": mark, "department_id": "d"}}
        event |= {"diff": {"before": {"x": mark}, "after": {"x": "y"}}, "subject": {"id": "s", "name": mark}}
        return event | ({"organization": {"id": organization, "name": mark}} if organization else {})

    def data(self, answer):
        assert answer.status in (200, 201), answer
        return answer.json()["data"]

    def api_log(self):
        """The id of an entry of the API log."""
        for _ in range(100):
            found = self.data(self.client.get("/v1/logs"))
            if found:
                return found[0]["id"]
            time.sleep(0.1)
        raise AssertionError("nothing came into the API log")

    def new_key(self, **more):
        """(id, secret) of a new key."""
        made = self.data(self.client.post("/v1/api-keys", {"name": f"{self.marked(more.get('organizations'))} key", **more}))
        return made["id"], made["key"], made

    def new_member(self, role="auditor", organizations=None):
        mail = f"{role.lower()}-{time.monotonic_ns()}@{self.name}.test"
        if role == "owner":
            # No key makes owners.
            done = run_cli("member", "add", "--project", self.name, "--role", role, "--password-stdin", mail, data_dir=self.server.data_dir, input=PASSWORD)
            assert done.returncode == 0, done.stderr
            return None, mail
        body = {"email": mail, "name": f"{self.marked(organizations)} person", "role": role, "password": PASSWORD}
        body |= {"organizations": organizations} if organizations else {}
        return self.data(self.client.post("/v1/members", body))["id"], mail

    def new_hold(self):
        return self.data(self.client.post("/v1/holds", {"case": f"{self.mark} case", "reason": "r", "events": [self.events["a"]]}))["id"]

    def as_bound(self, organizations):
        """A fresh client of somebody with this binding."""
        return Client(self.server.url, key=self.bound_key(organizations) if organizations else self.key)

    def new_export(self, organizations=None):
        """(id, task) of an export that somebody with this binding asked for, and that is finished."""
        with self.as_bound(organizations) as client:
            answer = client.post("/v1/exports", {"exported_object": "event", "parameters": {"format": "ndjson"}})
            assert answer.status == 200, answer
            for _ in range(500):
                seen = client.get(f"/v1/exports/{answer.json()['id']}").json()
                if seen["state"] == "finished":
                    return seen["id"], seen["task_id"]
                time.sleep(0.02)
        raise AssertionError(seen)

    def new_import(self, organizations=None, refused=True):
        """The task of an import that somebody with this binding asked for, and that is over: it stored one event and, if wanted, refused one."""
        with self.as_bound(organizations) as client:
            answer = client.post("/v1/imports", import_body(self, organizations, refused), {"Content-Type": NDJSON})
            assert answer.status == 202, answer
            for _ in range(500):
                seen = client.get(f"/v1/imports/{answer.json()['data']['id']}").json()["data"]
                if seen["status"] == "done":
                    return seen["id"]
                time.sleep(0.02)
        raise AssertionError(seen)

    def new_schedule(self, organizations=None):
        listed = self.data(self.client.get("/v1/schedules"))
        if len(listed) > 50:
            for old in listed:
                assert self.client.request("DELETE", f"/v1/schedules/{old['id']}").status == 204
        with self.as_bound(organizations) as client:
            return self.data(client.post("/v1/schedules", SCHEDULE))["id"]

    def bound_key(self, organizations):
        """The secret of a key with this binding, made once."""
        name = tuple(organizations)
        if name not in self.bound:
            self.bound[name] = self.new_key(organizations=list(organizations))[1]
        return self.bound[name]

    def login(self, mail):
        with Client(self.server.url, key=None) as client:
            made = client.post("/v1/auth/login", {"email": mail, "password": PASSWORD, "project": self.name})
        return self.data(made)["token"]

    def people(self):
        """Every kind of credential of this project."""
        bearer = lambda secret: {"Authorization": f"Bearer {secret}"}
        yield Who("key", bearer(self.key), ALL)
        for scope in sorted(ALL - {"timeline"}):
            implied = {"timeline"} if scope == "events:read" else set()
            yield Who(f"key with {scope}", bearer(self.new_key(scopes=[scope])[1]), {scope} | implied)
        for face, header in (("aitronos", "X-API-Key"), ("loyaltydog", None), ("loyaltydog-test", None)):
            secret = self.new_key(face=face)[1]
            yield Who(f"{face} key", {header: secret} if header else bearer(secret), ALL)
        key, secret, _ = self.new_key(face="voucherify")
        hexes = key.removeprefix("key_")
        pair = {"X-App-Id": "-".join([hexes[:8], hexes[8:12], hexes[12:16], hexes[16:20], hexes[20:]]), "X-App-Token": secret}
        yield Who("voucherify pair", pair, ALL)
        with Client(self.server.url, key=None) as client:
            made = client.post("/v1/oauth/token", b"grant_type=client_credentials&scope=api", {"Content-Type": FORM, **pair})
        assert made.status == 200, made
        yield Who("oauth token", bearer(made.json()["access_token"]), ALL)
        yield Who("widget token", bearer(self.new_key(face="widget")[1]), {"timeline"})
        yield Who("key bound to a", bearer(self.new_key(organizations=["a"])[1]), ALL, {"a"})
        yield Who("key bound to c, which has no events", bearer(self.new_key(organizations=["c"])[1]), ALL, {"c"})
        yield Who("widget bound to a", bearer(self.new_key(face="widget", organizations=["a"])[1]), {"timeline"}, {"a"})
        for role, scopes in ROLES.items():
            bound = ["a"] if role.startswith("MERCHANT") else None
            yield Who(role, bearer(self.login(self.new_member(role, bound)[1])), scopes, bound and {"a"})
        yield Who("auditor bound to a", bearer(self.login(self.new_member("auditor", ["a"])[1])), ROLES["auditor"], {"a"})
        key, secret, _ = self.new_key()
        assert self.client.request("DELETE", f"/v1/api-keys/{key}").status == 204
        yield Who("revoked key", bearer(secret), [], live=False)


def pdf_text(body):
    """What a reader of a PDF sees, as bytes."""
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(body)
        file.flush()
        return clients.run(clients.python(), "pdf_text.py", file.name).encode()


def zstd(data):
    """What is in zstd frames."""
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout


def readable(answer):
    """An answer's body in which a mark can be found."""
    return pdf_text(answer.body) if answer.headers.get("content-type") == "application/pdf" else answer.body


def run_server_cli(server, *args):
    done = run_cli(*args, data_dir=server.data_dir, env=server.env)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Route:
    """How a route is called, and what is special about it.

    ids: a function of the matrix and the caller that gives (own, foreign, missing) for what stands in braces in the path; its own one is made anew
    for each call, so that it may be deleted. query, body, form: what is sent, or functions of the caller. whole: about the whole project, and refused to
    credentials that are bound to organizations. public: needs no credential. any: any credential will do but a widget's. gives: scopes that
    the call hands on, and that the caller must have. either: scopes of which one will do. refused: names of callers who may not although their scopes suffice. among: what a route answers whose rules are not scopes,
    tested elsewhere; here only what it shows counts.
    """

    def __init__(self, ids=None, query="", body=None, form=None, whole=False, public=False, any=False, among=None, headers=None, gives=frozenset(), refused=(), either=()):
        self.ids, self.query, self.body, self.form, self.whole, self.public, self.any, self.among = ids, query, body, form, whole, public, any, among
        self.either = set(either)
        self.headers, self.gives, self.refused = headers or {}, gives, refused


def one_event(who):
    return {"action": "matrix.wrote", **({"organization": {"id": min(who.organizations)}} if who.organizations else {})}


def bound_to(who):
    """What a new key or member of this caller must be bound to."""
    return {"organizations": sorted(who.organizations)} if who.organizations else {}


def event(matrix, who):
    if who.organizations == {"a"}:
        return matrix.own.events["a"], matrix.own.events["b"], "evt_" + "0" * 32
    return (None if who.organizations else matrix.own.events[None]), matrix.other.events["a"], "evt_" + "0" * 32


def log_entry(matrix, who):
    # What the API log holds is of no organization here, and so nothing to those who are bound to one.
    return (None if who.organizations else matrix.own.log), matrix.own.log if who.organizations else matrix.other.log, "evt_" + "0" * 32


def organization(matrix, who):
    own = min(who.organizations) if who.organizations else matrix.own.id
    return own, "b" if who.organizations else matrix.other.id, "nowhere" if who.organizations else "prj_" + "0" * 32


def assistant(matrix, who):
    """Something that events of this project, or of another, are about."""
    own = "t0" if who.organizations is None or who.organizations == {"a"} else None
    return own, "t-only-in-other", "t-nowhere"


def user(matrix, who):
    """Somebody in the organization of the path."""
    own = "u0" if who.organizations is None or who.organizations == {"a"} else None
    return own, "only-in-other", "nowhere"


def key(matrix, who):
    foreign = matrix.own.new_key()[0] if who.organizations else matrix.other.new_key()[0]
    return matrix.own.new_key(scopes=["events:read"], **bound_to(who))[0], foreign, "key_" + "0" * 32


def member(matrix, who):
    foreign = matrix.own.new_member()[0] if who.organizations else matrix.other.new_member()[0]
    return matrix.own.new_member("auditor", sorted(who.organizations or []))[0], foreign, "mem_" + "0" * 32


def hold(matrix, who):
    return matrix.own.new_hold(), matrix.other.new_hold(), "hold_" + "0" * 32


def exports(matrix, who):
    """Exports of the caller's own binding, of another project or binding, and none."""
    bound = sorted(who.organizations or [])
    foreign = matrix.own if bound else matrix.other
    return matrix.own.new_export(bound), foreign.new_export(), ("exp_" + "0" * 24, "aa_" + "0" * 18)


def export(matrix, who):
    return [e[0] for e in exports(matrix, who)]


def uuid(export):
    """The id of an export as LoyaltyDog has it."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for c in export.removeprefix("exp_"):
        number = number * 62 + digits.index(c)
    h = f"{number:032x}"
    return "-".join([h[:8], h[8:12], h[12:16], h[16:20], h[20:]])


def loyaltydog_task(matrix, who):
    return [uuid(e) for e in export(matrix, who)]


def task(matrix, who):
    # Who may not export sees imports.
    return [e[1] for e in exports(matrix, who)] if "export" in who.scopes else imported(matrix, who)


def import_body(tenant, organizations, refused=True):
    """An event as all others, with the organization that a bound caller's events must have, and a line that is none."""
    event = {**tenant.event(1, min(organizations) if organizations else None), "external_id": f"imported {time.monotonic_ns()}"}
    return json.dumps(event).encode() + (b"\n{\"action\":7}\n" if refused else b"\n")


def imported(matrix, who):
    bound = sorted(who.organizations or [])
    foreign = matrix.own if bound else matrix.other
    return matrix.own.new_import(bound), foreign.new_import(), "aa_" + "0" * 18


def imported_whole(matrix, who):
    """As `imported`, without refused records: those may be of anybody, and so the file is not shown to all."""
    bound = sorted(who.organizations or [])
    foreign = matrix.own if bound else matrix.other
    return matrix.own.new_import(bound, False), foreign.new_import([], False), "aa_" + "0" * 18


def schedule(matrix, who):
    bound = sorted(who.organizations or [])
    foreign = matrix.own if bound else matrix.other
    return matrix.own.new_schedule(bound), foreign.new_schedule(), "sch_" + "0" * 32


SCHEDULE = {"name": "nightly", "every": "daily", "at": "03:00", "format": "ndjson"}


def new_member(who):
    role = "MERCHANT_STAFF" if who.organizations else "auditor"
    return {"email": f"m{time.monotonic_ns()}@own.test", "name": "n", "role": role, "password": PASSWORD, **bound_to(who)}


# Routes that show events.
AUDIT_LOG = "/v1/organizations/{organization_id}/audit-log"
SHOWN = {"/v1/events/export", "/v1/widget/timeline", AUDIT_LOG, AUDIT_LOG + "/export", AUDIT_LOG + "/export/pdf"}
TASKS, IMPORTS = {"export", "events:write"}, {"events:read", "events:write"}
FORMATS = itertools.cycle(["json", "csv", "ndjson"])
ROUTES = {
    "GET /healthz": Route(public=True),
    "GET /readyz": Route(public=True),
    "GET /.well-known/jwks.json": Route(public=True),
    "GET /v1/auth/oidc": Route(public=True),
    "GET /v1/auth/oidc/{name}/start": Route(lambda matrix, who: ("none", "none", "some"), among={404}),
    "GET /v1/auth/oidc/{name}/callback": Route(lambda matrix, who: ("none", "none", "some"), among={404, 429}),
    "POST /v1/auth/login": Route(body=lambda who: {"email": f"m{time.monotonic_ns()}@own.test", "password": PASSWORD}, among={401}),
    "POST /v1/auth/logout": Route(among={204, 401, 403}),
    "GET /v1/auth/me": Route(any=True),
    "POST /v1/oauth/token": Route(form=b"grant_type=client_credentials&scope=events", among={200, 401, 403}),
    "POST /v1/oauth/introspect": Route(form=b"access_token=made-up", among={200, 401, 403}),
    "POST /v1/oauth/token/revoke": Route(form=b"access_token=made-up", among={404, 401, 403}),
    "POST /v2/token": Route(form=lambda who: f"username=m{time.monotonic_ns()}%40own.test&password={PASSWORD}".replace(" ", "+").encode(), among={401}),
    "GET /v2/token": Route(among={200, 401, 403}),
    "POST /v2/giftcards/merchants/session": Route(body=lambda who: {"merchantId": "a"}, among={200, 401, 403, 404}),
    "GET /v1/project": Route(any=True, whole=True),
    "GET /v1/projects": Route(any=True),
    "POST /v1/projects": Route(body=lambda who: {"name": f"p{time.monotonic_ns()}"}, among={401, 403}),
    "PATCH /v1/projects/{id}": Route(lambda matrix, who: (matrix.own.id, matrix.other.id, "prj_" + "0" * 32), body=lambda who: {"name": "taken over"}, among={401, 403}),
    "GET /v1/events": Route(query="per_page=100"),
    "POST /v1/events": Route(body=one_event),
    "POST /v1/events/batch": Route(body=lambda who: {"events": [one_event(who)]}),
    "POST /v1/events/bulk": Route(body=lambda who: [one_event(who)]),
    "GET /v1/events/export": Route(query=lambda who: f"format={next(FORMATS)}"),
    "GET /v1/events/{id}": Route(event),
    "GET /v1/verify": Route(whole=True),
    "GET /v1/widget/timeline": Route(query="limit=50"),
    "GET /v1/organizations/{organization_id}/audit-log": Route(organization, query="limit=100"),
    "GET /v1/organizations/{organization_id}/audit-log/export": Route(organization),
    "GET /v1/organizations/{organization_id}/audit-log/export/pdf": Route(organization),
    "POST /v1/organizations/{organization_id}/dashboard/change-logs": Route(organization, body=lambda who: {"take": 100}),
    "POST /v1/organizations/{organization_id}/users/{user_id}/change-logs": Route(user, body=lambda who: {"take": 100}),
    "GET /v1/assistants/{assistant_id}/history": Route(assistant),
    "GET /v1/logs": Route(),
    "GET /v1/logs/{id}": Route(log_entry),
    "GET /v1/api-keys": Route(),
    "POST /v1/api-keys": Route(body=lambda who: {"name": "n", "scopes": ["keys:manage"], **bound_to(who)}, refused=["oauth token"]),
    "PATCH /v1/api-keys/{id}": Route(key, body=lambda who: {"name": "renamed"}),
    "DELETE /v1/api-keys/{id}": Route(key),
    "GET /v1/members": Route(),
    "POST /v1/members": Route(body=new_member, gives=READ),
    "GET /v1/members/{id}": Route(member),
    "PATCH /v1/members/{id}": Route(member, body=lambda who: {"name": "renamed"}, gives=ROLES["auditor"]),
    "DELETE /v1/members/{id}": Route(member, gives=ROLES["auditor"]),
    "POST /v1/members/{id}/logins": Route(member, body=lambda who: {"provider": "none", "subject": "s"}, among={401, 403, 404}),
    "GET /v1/retention": Route(whole=True),
    "PUT /v1/retention/{log}": Route(lambda matrix, who: ("activity", None, None), body=lambda who: {"days": 200}, whole=True),
    "GET /v1/holds": Route(whole=True),
    "POST /v1/holds": Route(body=lambda who: {"case": "c", "reason": "r", "filter": {"actor_id": "u1"}}, whole=True),
    "GET /v1/holds/{id}": Route(hold, whole=True),
    "POST /v1/exports": Route(body=lambda who: {"exported_object": "event", "parameters": {"format": "csv", "fields": ["id", "action", "target_name", "actor_name"]}}),
    "GET /v1/exports": Route(query="limit=100"),
    "GET /v1/exports/{id}": Route(export),
    "GET /v1/exports/{id}/rows": Route(export, query="per_page=100"),
    "DELETE /v1/exports/{id}": Route(export),
    "GET /files/{export}/{name}": Route(export, among={403}),
    "GET /v1/async-actions": Route(query="limit=100", either=TASKS),
    "GET /v1/async-actions/{id}": Route(task, either=TASKS),
    "GET /v1/tasks": Route(query="per_page=100", either=TASKS),
    "GET /v1/tasks/{id}": Route(task, either=TASKS),
    # What is over cannot be stopped.
    "POST /v1/tasks/{id}/cancel": Route(task, either=TASKS, among={401, 403, 409}),
    "GET /v2/giftcards/audit-logs": Route(query="limit=200"),
    "POST /v2/giftcards/audit-logs/export": Route(body={}),
    "GET /v2/giftcards/audit-logs/export/{task_id}": Route(loyaltydog_task),
    "POST /v1/imports": Route(),
    "GET /v1/imports": Route(either=IMPORTS),
    "GET /v1/imports/{id}": Route(imported, either=IMPORTS),
    # Who may see what was refused is in test_imports.py.
    "GET /v1/imports/{id}/report": Route(imported, either=IMPORTS, among={200, 401, 403}),
    "GET /v1/imports/{id}/file": Route(imported_whole),
    "POST /v1/schedules": Route(body=SCHEDULE, gives={"export"}),
    "GET /v1/schedules": Route(),
    "GET /v1/schedules/{id}": Route(schedule),
    "PATCH /v1/schedules/{id}": Route(schedule, body={"name": "weekly"}),
    "DELETE /v1/schedules/{id}": Route(schedule),
    "POST /v1/holds/{id}/release": Route(hold, body=lambda who: {"reason": "r"}, whole=True),
}


class Matrix(unittest.TestCase):
    """The whole matrix on one server with two projects."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="indelible-matrix-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.server = Server(cls.folder / "data", WIDE, log_dir=cls.folder)
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()
        with Client(cls.server.url, key=None) as client:
            cls.document = client.get("/openapi.json").json()
        cls.own, cls.other = Tenant(cls.server, "own"), Tenant(cls.server, "other")
        cls.people = list(cls.own.people())

    def operations(self):
        """(method, path, scope) of everything that the document lists; what ends a session comes last."""
        for path, item in sorted(self.document["paths"].items(), key=lambda item: item[0] == "/v1/auth/logout"):
            for method, operation in item.items():
                yield method.upper(), path, next((scope for way in operation.get("security") or [] for scopes in way.values() for scope in scopes), None)

    def call(self, who, method, path, route, named=None):
        """Calls a route as somebody."""
        query = route.query(who) if callable(route.query) else route.query
        target = path.replace("{organization_id}/users", f"{organization(self, who)[0]}/users")
        target = re.sub(r"\{[^}]*\}", named or "", target) + (f"?{query}" if query else "")
        body = route.body(who) if callable(route.body) else route.body
        headers = dict(route.headers)
        if route.form is not None:
            body, headers = route.form(who) if callable(route.form) else route.form, headers | {"Content-Type": FORM}
        if path == "/v1/imports" and method == "POST":
            body, headers = import_body(self.own, who.organizations), headers | {"Content-Type": NDJSON}
        if path == "/v1/events/bulk":
            body, headers = b"".join(json.dumps(e).encode() for e in body), headers | {"Content-Type": NDJSON}
        with Client(self.server.url, key=None) as client:
            return client.request(method, target, body, headers | who.headers)

    def check_marks(self, who, answer, what):
        """Nothing that the credential must not see is in an answer, whatever its status."""
        body = readable(answer)
        hidden = [self.other.mark]
        if who.organizations is not None:
            hidden += [self.own.mark + o for o in {"A", "B", "NONE"} - {o.upper() for o in who.organizations}]
        for mark in hidden:
            self.assertNotIn(mark.encode(), body, f"{what} as {who} shows {mark}")

    def wanted(self, who, route, scope):
        """The status that a call with own ids must have; None for success."""
        if not who.live:
            return 401
        if route.any and who.scopes == {"timeline"}:
            return 403
        if route.either:
            return None if route.either & who.scopes else 403
        if (scope is not None and scope not in who.scopes) or not route.gives <= who.scopes or who.name in route.refused:
            return 403
        return 403 if route.whole and who.organizations is not None else None

    def test_every_route_has_an_entry(self):
        listed = {f"{method} {path}" for method, path, _ in self.operations()}
        self.assertEqual(listed - ROUTES.keys(), set(), "say in ROUTES who may see what of these")
        self.assertEqual(ROUTES.keys() - listed, set(), "these are not routes any more")

    def test_statuses_and_marks(self):
        """Every route as everybody, on their own things."""
        nobody = [Who("nobody", {}, [], live=False), Who("a made-up key", {"Authorization": "Bearer lp_sk_" + "0" * 64}, [], live=False)]
        calls = 0
        for (method, path, scope), who in itertools.product(self.operations(), self.people + nobody):
            route, what = ROUTES[f"{method} {path}"], f"{method} {path}"
            named = None
            if route.ids:
                named = route.ids(self, who)[0] if who.live and self.wanted(who, route, scope) is None else route.ids(self, nobody[0])[0]
                if named is None:
                    continue
            answer = self.call(who, method, path, route, named)
            calls += 1
            self.check_marks(who, answer, what)
            want = None if route.public else self.wanted(who, route, None if route.any else scope)
            allowed = route.among or ({want} if want else range(200, 300))
            with self.subTest(f"{what} as {who}"):
                self.assertIn(answer.status, allowed, answer)
                if path in SHOWN and answer.status == 200 and (who.organizations is None or "a" in who.organizations):
                    # What is looked for is there to be found.
                    self.assertIn(f"{self.own.mark}A".encode(), readable(answer))
        print(f"{calls} calls", end=" ", flush=True)

    def test_foreign_is_missing(self):
        """What is another project's, or another organization's, is answered as what is not there."""
        pairs = 0
        for (method, path, scope), who in itertools.product(self.operations(), self.people):
            route = ROUTES[f"{method} {path}"]
            if not route.ids or self.wanted(who, route, scope) is not None:
                continue
            _, foreign, missing = route.ids(self, who)
            if foreign is None:
                continue
            foreign_answer, missing_answer = self.call(who, method, path, route, foreign), self.call(who, method, path, route, missing)
            self.check_marks(who, foreign_answer, f"{method} {path} (foreign)")
            with self.subTest(f"{method} {path} as {who}"):
                self.assertEqual(masked(foreign_answer), masked(missing_answer))
                self.assertLess(foreign_answer.status, 500)
            pairs += 1
        print(f"{pairs} pairs", end=" ", flush=True)

    def test_files_of_exports_hold_what_their_askers_see(self):
        """Every form of an export, as everybody who may: by a link that needs no credential."""
        files = 0
        for who in self.people:
            if "export" not in who.scopes or not who.live:
                continue
            for form in ({"format": "csv"}, {"format": "json"}, {"format": "ndjson", "compression": "zstd"}, {"format": "parquet"}):
                made = self.call(who, "POST", "/v1/exports", Route(body={"exported_object": "event", "parameters": form}))
                self.assertEqual(made.status, 200, f"{who}: {made}")
                for _ in range(500):
                    seen = self.call(who, "GET", "/v1/exports/{id}", Route(), made.json()["id"]).json()
                    if seen["state"] not in ("queued", "running"):
                        break
                    time.sleep(0.02)
                self.assertEqual(seen["state"], "finished", seen)
                with Client(seen["result"]["download_url"], key=None) as client:
                    parts = urllib.parse.urlsplit(seen["result"]["download_url"])
                    file = client.request("GET", f"{parts.path}?{parts.query}")
                self.assertEqual(file.status, 200, file)
                if form.get("compression"):
                    file.body = zstd(file.body)
                self.check_marks(who, file, f"the file of an export as {form}")
                if who.organizations is None or "a" in who.organizations:
                    rows = 62 if who.organizations is None else 20
                    self.assertGreaterEqual(seen["rows"], rows, f"{who} {form}")
                    if form["format"] in ("json", "ndjson"):
                        self.assertIn(f"{self.own.mark}A".encode(), file.body)
                else:
                    self.assertEqual(seen["rows"], 0, f"{who} {form}")
                files += 1
        print(f"{files} files", end=" ", flush=True)

    def test_cursors_of_others_lead_nowhere(self):
        for who in self.people:
            for path in ("/v1/events", "/v1/widget/timeline", "/v1/logs"):
                answer = self.call(who, "GET", path, Route(query=f"cursor={self.other.cursor}"))
                self.check_marks(who, answer, f"{path} with a foreign cursor")
                self.assertIn(answer.status, (200, 401, 403, 422), f"{path} as {who}: {answer}")

    def test_idempotency_keys_and_external_ids_are_ones_own(self):
        seen = {}
        for round_, who in itertools.product((1, 2), self.people):
            if "events:write" not in who.scopes or not who.live:
                continue
            # Callers with the same sight share a key, as the nodes of one client do.
            sight = tuple(sorted(who.organizations or ["*"]))
            body = {**one_event(who), "external_id": "shared", "metadata": {"sight": sight}}
            answer = self.call(who, "POST", "/v1/events", Route(body=body, headers={"Idempotency-Key": "shared"}))
            self.assertIn(answer.status, (200, 201), f"{who}: {answer}")
            told = seen.setdefault(sight, answer.json()["data"]["id"])
            self.assertEqual(answer.json()["data"]["id"], told, f"{who} in round {round_}")
        self.assertEqual(len(set(seen.values())), len(seen), "two sights were told of one event")


if __name__ == "__main__":
    unittest.main()
