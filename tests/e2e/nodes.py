"""A cluster for tests: nodes over one database and one bucket, kept running as a supervisor would, whatever kills them."""

import collections
import contextlib
import http.client
import os
import re
import signal
import threading
import time

from harness import SLOW, Client, Server, run_cli

SECRET = re.compile(r"^key\s+(lp_sk_\S+)", re.M)


def command(place, *args, env=None, **options):
    """Runs a command on the store of a place and returns its output; AssertionError if it fails."""
    done = run_cli(*args, env={**place.env(), **(env or {})}, **options)
    if done.returncode:
        raise AssertionError(f"indelible {' '.join(map(str, args))} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def make_project(place, name):
    """A project with a key that may do everything: (its id, the key)."""
    made = command(place, "project", "create", name)
    return re.search(rf"^project\s+(prj_[0-9a-f]{{32}})\s+{name}$", made, re.M)[1], SECRET.search(command(place, "key", "create", "--project", name, "--name", "test"))[1]


class Node:
    """A server that is started again when it ends. What ends without having been killed, once it was ready, is in `deaths`."""

    def __init__(self, number, folder, env):
        self.server = Server(folder / f"node{number}", env, log_dir=folder)
        self.number, self.ready, self.killed, self.frozen, self.kills, self.refused, self.deaths = number, False, False, False, 0, 0, []
        self._earlier, self._figures, self._looked = collections.Counter(), {}, 0
        self._halt = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self):
        self._keeper.start()
        return self

    @property
    def url(self):
        """Where it listens, if it has said so since its last start."""
        return self.server.url

    def client(self, **options):
        return Client(self.url, **options)

    def _keep(self):
        while not self._halt.is_set():
            process = self.server.process
            if process is None or process.poll() is not None:
                self._ended(process)
                self.server.launch()
            elif not self.ready and self.url and not self.frozen:
                self.ready = self.server.is_ready()
            elif self.ready and not self.frozen and time.monotonic() - self._looked > 1:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self._figures, self._looked = self.metrics(timeout=2), time.monotonic()
            time.sleep(0.05)

    def _ended(self, process):
        self.server.url = None
        self._earlier.update(self._figures)
        self._figures = {}
        if process is not None and not self.killed:
            self.refused += not self.ready
            if self.ready:
                self.deaths.append(f"node {self.number} ended by itself with {process.returncode}: {self.server.stderr()[-1500:]}")
        self.ready = self.killed = False
        if process is not None:
            time.sleep(0.3)

    def kill(self):
        """kill -9; the keeper starts it again."""
        self.killed, self.kills = True, self.kills + 1
        os.kill(self.server.process.pid, signal.SIGKILL)

    def freeze(self):
        self.frozen = True
        os.kill(self.server.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.server.process.pid, signal.SIGCONT)
        self.frozen = False

    def wait_ready(self, seconds=60):
        deadline = time.monotonic() + seconds * SLOW
        while not self.ready:
            if time.monotonic() > deadline:
                raise AssertionError(f"node {self.number} was not ready after {seconds} s\n{self.server.stderr()[-3000:]}")
            time.sleep(0.05)
        return self

    def close(self):
        """Ends it for good."""
        self._halt.set()
        self._keeper.join()
        self.server.kill()

    def metrics(self, timeout=30):
        """The figures of /metrics that have no labels, by their names without prefix and suffix."""
        with self.client(key=None, timeout=timeout) as client:
            text = client.get("/metrics").body.decode()
        return {name: float(value) for name, value in re.findall(r"^indelible_(\w+?)(?:_total)? ([0-9.e+]+)$", text, re.M)}

    def total(self, counter):
        """A counter over all its lives, but for what it counted in the last second of each."""
        return self._earlier[counter] + self.metrics().get(counter, 0)
