"""Starts, drives and stops the real server for the end-to-end tests.

Each server has a fresh data directory and a port of its own. Never touches a server or a file that it did not make.
With INDELIBLE_TEST_STORE=cluster a data directory stands for a fresh database and prefix in a bucket instead (places.py).
The binary: INDELIBLE_BIN, else `indelible` under CARGO_TARGET_DIR or ./target (release before debug).
INDELIBLE_E2E_SLOW multiplies every time limit, for slow machines.
"""

import hashlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

from places import Place

ROOT = Path(__file__).resolve().parents[2]
KEY = "lp_sk_test_e2e_0123456789abcdefghijklmnopqrstuv"
SLOW = float(os.environ.get("INDELIBLE_E2E_SLOW", "1"))
CLUSTER = os.environ.get("INDELIBLE_TEST_STORE") == "cluster"
NDJSON = "application/x-ndjson"
JSON = "application/json"

# Settings under which sealing, compaction and collection happen all the time.
BUSY = {
    "INDELIBLE_SEAL_BYTES": "200000",
    "INDELIBLE_SEGMENT_BYTES": "2000000",
    "INDELIBLE_ORPHAN_GRACE": "1",
    "INDELIBLE_TASK_INTERVAL_MS": "50",
}


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verify_chain = _load(ROOT / "scripts" / "verify_chain.py").verify


def binary():
    """Path of the binary under test."""
    named = os.environ.get("INDELIBLE_BIN")
    targets = [Path(t) for t in (os.environ.get("CARGO_TARGET_DIR"), ROOT / "target") if t]
    found = [Path(named)] if named else [t / profile / "indelible" for t in targets for profile in ("release", "debug")]
    for path in found:
        if path.is_file():
            return str(path.resolve())
    raise SystemExit(f"no binary to test: build it, or set INDELIBLE_BIN (looked at {', '.join(map(str, found))})")


def clean_env(more):
    """The environment without this test's own INDELIBLE_* settings."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("INDELIBLE_")}, **(more or {})}


PLACES = {}


def store_env(data_dir, env=None):
    """`env`, and in cluster mode the settings of what stands in a data directory's place, unless `env` says where the data lies."""
    if not CLUSTER or data_dir is None or "INDELIBLE_DATABASE_URL" in (env or {}):
        return env or {}
    place = PLACES.get(str(data_dir)) or PLACES.setdefault(str(data_dir), Place.from_environment())
    return {**place.env(), **(env or {})}


def close_places(folder):
    """Ends what stood in the place of data directories in a folder."""
    for data_dir in [d for d in PLACES if Path(d).is_relative_to(folder)]:
        PLACES.pop(data_dir).close()


def embedded_only(why):
    """Marks a test that says nothing about a cluster."""
    return unittest.skipIf(CLUSTER, f"embedded store only: {why}")


def run_cli(*args, data_dir=None, env=None, timeout=120, input=None):
    """Runs a command of the CLI and returns the finished process with its output as text."""
    command = [binary(), *map(str, args)] + (["--data-dir", str(data_dir)] if data_dir else [])
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout * SLOW, input=input, env=clean_env(store_env(data_dir, env)))


class Answer:
    """A whole HTTP answer and how long it took."""

    def __init__(self, status, headers, body, seconds):
        self.status, self.headers, self.body, self.seconds = status, headers, body, seconds

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} in {self.seconds:.3f}s: {self.body[:400]!r}"


class Client:
    """A keep-alive HTTP/1.1 client of one thread. Repeats nothing by itself but a GET on a connection that had been closed while idle."""

    def __init__(self, url, key=KEY, timeout=60):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.key = parts.hostname, parts.port, key
        self.conn = http.client.HTTPConnection(self.host, self.port, timeout=timeout * SLOW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def open(self, method, target, body=None, headers=None):
        """Sends a request and returns http.client's response, its body still to be read."""
        send = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if body is not None and not isinstance(body, (bytes, bytearray)):
            body = json.dumps(body, ensure_ascii=False).encode()
        if body is not None:
            send["Content-Type"] = JSON
        send.update(headers or {})
        send = {k: v for k, v in send.items() if v is not None}
        try:
            self.conn.request(method, target, body=body, headers=send)
        except (BrokenPipeError, ConnectionResetError):
            if self.conn.sock is None:  # reset while it connected
                self.conn.close()
                raise
            # The server may have answered before it read the whole body.
        try:
            return self.conn.getresponse()
        except BaseException:
            self.conn.close()
            raise

    def request(self, method, target, body=None, headers=None):
        """Sends a request and reads the whole answer."""
        start, reused = time.monotonic(), self.conn.sock is not None
        try:
            response = self.open(method, target, body, headers)
            data = response.read()
        except BaseException as error:
            self.conn.close()
            if reused and method == "GET" and isinstance(error, ConnectionError):
                return self.request(method, target, body, headers)
            raise
        return Answer(response.status, response.headers, data, time.monotonic() - start)

    def get(self, path, headers=None, **params):
        return self.request("GET", with_query(path, params), headers=headers)

    def post(self, path, body, headers=None):
        return self.request("POST", path, body, headers)

    def bulk(self, events, headers=None):
        """Sends events as NDJSON to the native route."""
        body = b"".join(json.dumps(e, ensure_ascii=False).encode() + b"\n" for e in events)
        return self.post("/v1/events/bulk", body, {"Content-Type": NDJSON, **(headers or {})})

    def head(self):
        """The newest position (0 in an empty log)."""
        data = self.get("/v1/events", per_page=1).json()["data"]
        return data[0]["sequence_number"] if data else 0

    def export(self, **params):
        """Yields the lines of an NDJSON export and fails unless the closing line's count and digest are right."""
        response = self.open("GET", with_query("/v1/events/export", {"format": "ndjson", "end": "true", **params}))
        if response.status != 200:
            raise AssertionError(f"export answered {response.status}: {response.read()[:400]!r}")
        digest, rows, end = hashlib.sha256(), 0, None
        for line in split_lines(response):
            if end is not None:
                raise AssertionError(f"a line after the closing line: {line[:200]!r}")
            if line.startswith(b'{"_end":'):
                end = json.loads(line)["_end"]
                continue
            digest.update(line)
            rows += 1
            yield line
        if end != {"rows": rows, "sha256": digest.hexdigest()}:
            raise AssertionError(f"closing line {end} after {rows} rows with digest {digest.hexdigest()}")


def split_lines(response):
    """The lines of a streamed answer, each with its line feed; the last one may lack it."""
    rest = b""
    while chunk := response.read(1 << 18):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def with_query(path, params):
    """A path with a query string."""
    return path + ("?" + urllib.parse.urlencode(params) if params else "")


def raw(url, data, timeout=5):
    """Sends bytes while it reads, so that an early answer is not lost. Returns (what came back, seconds)."""
    parts = urllib.parse.urlsplit(url)
    start, got = time.monotonic(), b""
    with socket.create_connection((parts.hostname, parts.port), timeout=timeout * SLOW) as sock:

        def send():
            try:
                sock.sendall(data)
            except OSError:
                pass  # closed by an early answer

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            while chunk := sock.recv(65536):
                got += chunk
                head, _, body = got.partition(b"\r\n\r\n")
                length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
                if length and len(body) >= int(length[1]):
                    break
        except OSError:
            pass  # a reset or a silent server: the caller judges what came
        seconds = time.monotonic() - start
    sender.join(1)
    return got, seconds


class Server:
    """One server process."""

    def __init__(self, data_dir, env=None, wrapper=(), log_dir=None):
        self.data_dir, self.env, self.wrapper = Path(data_dir), env or {}, list(wrapper)
        self.log = Path(log_dir or tempfile.gettempdir()) / f"indelible-{os.getpid()}-{id(self)}.stderr"
        self.url = self.process = self.ready_seconds = None
        self.output = ""

    def start(self, timeout=30):
        """Starts it and waits until it is ready."""
        self.launch()
        deadline = self.started + timeout * SLOW
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode} at its start\n{self.stderr()}")
            if self.url and self.is_ready():
                self.ready_seconds = time.monotonic() - self.started
                return self
            time.sleep(0.005)
        raise AssertionError(f"the server was not ready after {timeout} s; it printed {self.output!r}\n{self.stderr()}")

    def launch(self):
        """Starts it without waiting."""
        env = clean_env({"INDELIBLE_BOOTSTRAP_KEY": KEY, **store_env(self.data_dir, self.env)})
        command = [*self.wrapper, binary(), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.data_dir)]
        self.url, self.started = None, time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env=env, start_new_session=True)
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def _read(self, stdout):
        with stdout:
            for line in stdout:
                self.output += line.decode(errors="replace")
                if found := re.search(rb"\burl\s+(http://\S+)", line):
                    self.url = found[1].decode()

    def is_ready(self):
        try:
            with Client(self.url, key=None, timeout=5) as client:
                return client.get("/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def client(self, **options):
        return Client(self.url, **options)

    def kill(self):
        """kill -9, of the wrapper too if there is one."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.reader.join()

    def stop(self, timeout=30):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout * SLOW)
        self.reader.join()
        return code

    def stderr(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def memory(self, field="VmRSS"):
        """Resident bytes now (VmRSS) or at most so far (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024

    def log_id(self, log="events"):
        """`prj_<hex>/<log>` of the default project, as printed at the first start."""
        patience = time.monotonic() + 10
        # The URL comes first, and the server may answer before the line after it is read.
        while not (found := re.search(r"prj_[0-9a-f]{32}", self.output)) and time.monotonic() < patience:
            time.sleep(0.02)
        if not found:
            raise AssertionError(f"the first start printed no project id: {self.output!r}")
        return f"{found[0]}/{log}"


class Case(unittest.TestCase):
    """A test with a directory of its own and servers that end with it."""

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="indelible-e2e-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(close_places, self.dir)

    def server(self, env=None, data_dir=None, wrapper=()):
        """A server that is not yet started."""
        server = Server(data_dir or self.dir / "data", env, wrapper, self.dir)
        self.addCleanup(server.kill)
        return server

    def assert_status(self, answer, *wanted):
        self.assertIn(answer.status, wanted, repr(answer))
        return answer


class SharedCase(unittest.TestCase):
    """Tests that share one server, started once for the class."""

    env = {}

    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp(prefix="indelible-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.addClassCleanup(close_places, cls.dir)
        cls.shared = Server(cls.dir / "data", cls.env, log_dir=cls.dir)
        cls.addClassCleanup(cls.shared.kill)
        cls.shared.start()

    def setUp(self):
        self.client = self.shared.client()
        self.addCleanup(self.client.conn.close)

    assert_status = Case.assert_status


# --- JSON as text -------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r'[ \t\n\r]*(?:([{}\[\],:])|("(?:[^"\\\x00-\x1f]|\\.)*")|([^\s{}\[\],:"]+))')


class NotUnicode(ValueError):
    """A string with a lone surrogate."""


def compact(text):
    """The compact form of a valid JSON text: no white space, minimal escapes, number text and order as given."""
    text = text.decode()
    out, at, end = [], 0, len(text.rstrip(" \t\n\r"))
    while at < end:
        token = _TOKEN.match(text, at)
        punctuation, string, other = token.groups()
        if string:
            value = json.loads(string)
            if any("\ud800" <= c <= "\udfff" for c in value):
                raise NotUnicode(value)
            string = json.dumps(value, ensure_ascii=False)
        out.append(punctuation or string or other)
        at = token.end()
    return "".join(out).encode()


def has_duplicate_names(text):
    """True if some object of a valid JSON text has two members of one name."""
    found = []

    def pairs(items):
        found.append(len({k for k, _ in items}) != len(items))

    json.loads(text, object_pairs_hook=pairs, parse_int=str, parse_float=str)
    return any(found)


def members(line):
    """The members of a canonical object's text: name -> value, both as text."""
    out, depth, start, name, text = {}, 0, None, None, line.decode()
    for token in _TOKEN.finditer(text):
        mark = token[1]
        if mark in ("{", "["):
            depth += 1
            start = token.end() if depth == 1 else start
        elif mark in ("}", "]"):
            depth -= 1
        if depth == 1 and mark == ":" and name is None:
            name = json.loads(text[start:token.start()])
            start = token.end()
        elif (depth == 1 and mark == ",") or depth == 0:
            if name is not None:
                out[name] = text[start:token.start()]
            name, start = None, token.end()
    return out
