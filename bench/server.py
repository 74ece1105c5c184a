"""The program under test: one release binary on a fresh data directory.

Promises that the server is the only process on its data and that its log is kept in the scratch folder.
Never reuses data of an earlier run.
"""
import http.client
import os
import re
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path

from common import REPO, say, stop, wait_for

KEY = "lp_sk_test_bench_0123456789abcdef0123456789abcdef"
AUTH = f"Authorization: Bearer {KEY}"


def binary():
    """The release binary: INDELIBLE_BIN, else the cargo target directory."""
    path = Path(os.environ.get("INDELIBLE_BIN") or Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target") / "release" / "indelible")
    if not path.exists():
        raise SystemExit(f"{path} is not there: run `cargo build --release` first")
    return str(path)


class Server:
    """A running server; `start` again after `stop` keeps the data."""

    def __init__(self, folder, name, cleanup):
        self.data, self.log_path = folder / f"data-{name}", folder / f"server-{name}.log"
        shutil.rmtree(self.data, ignore_errors=True)
        self.log_path.unlink(missing_ok=True)
        self.process, self.url = None, None
        cleanup.callback(self.remove)
        self.keep = False

    @property
    def pid(self):
        """Process id of the running server."""
        return self.process.pid

    def start(self, **settings):
        """Start and wait until it is ready; `settings` are INDELIBLE_* variables. Gives the seconds until ready."""
        env = {**os.environ, "INDELIBLE_BOOTSTRAP_KEY": KEY, **settings}
        before, at = time.monotonic(), self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([binary(), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.data)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env)

        def printed():
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended at once: {self.log_path}\n{self.log_path.read_text(errors='replace')[-2000:]}")
            text = re.sub(r"\x1b\[[0-9;]*m", "", self.log_path.read_bytes()[at:].decode(errors="replace"))
            return re.search(r"http://127\.0\.0\.1:[1-9]\d*", text)
        self.url = wait_for(printed, 60, "URL of the server").group()
        wait_for(lambda: self.get("/readyz")[0] == 200, 120, "readiness")
        return time.monotonic() - before

    def stop(self):
        """Graceful end."""
        if self.process:
            stop(self.process)

    def remove(self):
        """End, and delete the data unless it shall be kept."""
        self.stop()
        if not self.keep:
            shutil.rmtree(self.data, ignore_errors=True)

    def connect(self):
        """A keep-alive connection."""
        parts = urllib.parse.urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=600)

    def get(self, path, connection=None):
        """Status and body of one GET."""
        own = connection or self.connect()
        try:
            own.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
            answer = own.getresponse()
            return answer.status, answer.read()
        except OSError:
            if connection:
                raise
            return 0, b""
        finally:
            if not connection:
                own.close()

    def metric(self, name):
        """A figure of /metrics summed over its labels; None when it is not there."""
        rows = re.findall(rf"^{name}(?:{{[^}}]*}})?\s+(\S+)", self.get("/metrics")[1].decode(errors="replace"), re.M)
        return sum(map(float, rows)) if rows else None

    def seal_and_restart(self):
        """Seal and compact everything, then start again with cold caches of our own."""
        self.stop()
        started = time.monotonic()
        done = subprocess.run([binary(), "seal", "--all", "--data-dir", str(self.data)], capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"`indelible seal` failed ({done.stderr.strip()[-300:]}): waiting for the server to seal by itself")
            self.start()
            wait_for(lambda: self.metric("indelible_hot_events") in (0, None), 600, "sealing")
            self.stop()
        sealed = time.monotonic() - started
        return {"seal": sealed, "ready": self.start()}

    def disk(self):
        """Bytes on disk by part of the data directory."""
        parts = {}
        for path in self.data.rglob("*"):
            if path.is_file():
                text = path.name
                kind = ("rows (zstd NDJSON)" if text.endswith(".zst") else "columns (Parquet)" if text.endswith(".parquet")
                        else "hashes" if "hash" in text else "database" if re.search(r"\.(db|sqlite3?)(-wal|-shm)?$", text) else "other")
                parts[kind] = parts.get(kind, 0) + path.stat().st_blocks * 512
        return parts
