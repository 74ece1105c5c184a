"""Published clients, unmodified: their packages, and how a test talks to the ones that live in a process of their own.

`tools(CLIENTS)` makes their Python environment (`python3 clients.py` makes it beforehand); Node is the machine's own.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from openid import packages as npm
from servers import tools

# Each pinned to the version that was tried; aitronos-sdk above all: a plain install gives one that lacks the audit log.
CLIENTS = ("aitronos-sdk==0.8.178", "requests==2.34.2", "pypdf==7.1.0")
LOYALTYDOG = ("loyaltydog-mcp==0.1.0", "requests==2.34.2")
SCHEMATHESIS = ("schemathesis==4.32.5",)
VOUCHERIFY = ("voucherify==6.1.1",)
HERE = Path(__file__).resolve().parent


def python(packages=CLIENTS):
    """The Python that has the clients."""
    return str(tools(packages) / "python")


def node():
    """The Node that runs the JavaScript clients."""
    found = shutil.which("node")
    if not found:
        raise SystemExit("clients: `node` is missing: install Node.js (Debian: apt-get install nodejs)")
    return found


def voucherify_node():
    """The driver of Voucherify's SDKs for Node, beside what it needs of npm's."""
    return str(npm(HERE / "clients" / "voucherify", ("package.json", "package-lock.json", "driver.js")) / "driver.js")


def run(program, script, *args, timeout=120):
    """Runs a client that does one thing and ends; returns what it printed."""
    done = subprocess.run([program, str(HERE / "clients" / script), *map(str, args)], capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


class Driver:
    """A client in a process that takes one question a line and gives one answer a line, both JSON."""

    def __init__(self, program, script, env=None):
        self.errors = tempfile.TemporaryFile("w+")
        command = [program, str(HERE / "clients" / script)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env={**os.environ, **(env or {})})

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.errors.seek(0)
            raise AssertionError(f"the client ended: {self.errors.read()[-2000:]}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self.errors.close()


if __name__ == "__main__":
    python()
    python(LOYALTYDOG)
    python(SCHEMATHESIS)
    python(VOUCHERIFY)
    voucherify_node()
