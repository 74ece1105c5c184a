"""Published clients, unmodified: their packages, and how a test talks to the ones that live in a process of their own.

`tools(CLIENTS)` makes their Python environment (`python3 clients.py` makes it beforehand); Node is the machine's own.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from servers import tools

# Each pinned to the version that was tried; aitronos-sdk above all: a plain install gives one that lacks the audit log.
CLIENTS = ("aitronos-sdk==0.8.178", "requests==2.34.2", "pypdf==7.1.0")
HERE = Path(__file__).resolve().parent


def python():
    """The Python that has the clients."""
    return str(tools(CLIENTS) / "python")


def node():
    """The Node that runs the JavaScript clients."""
    found = shutil.which("node")
    if not found:
        raise SystemExit("clients: `node` is missing: install Node.js (Debian: apt-get install nodejs)")
    return found


def run(program, script, *args, timeout=120):
    """Runs a client that does one thing and ends; returns what it printed."""
    done = subprocess.run([program, str(HERE / "clients" / script), *map(str, args)], capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


class Driver:
    """A client in a process that takes one question a line and gives one answer a line, both JSON."""

    def __init__(self, program, script):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([program, str(HERE / "clients" / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)

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
