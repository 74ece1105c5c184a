"""A certified OpenID provider (npm's oidc-provider) for tests, and a browser that logs in with it.

`packages()` installs it, pinned by openid/package-lock.json, at the first call (`python3 openid.py` does so beforehand). Node is the machine's own.
"""

import fcntl
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

from servers import free_ports

HERE = Path(__file__).resolve().parent / "openid"
FILES = ("package.json", "package-lock.json", "provider.js")


def program(name):
    """Path of one of Node's programs."""
    found = shutil.which(name)
    if not found:
        raise SystemExit(f"openid: `{name}` is missing: install Node.js 20 or newer with npm (Debian: apt-get install nodejs npm)")
    return found


def packages(here=HERE, files=FILES):
    """The folder with a program (by default the provider) and what it needs of npm's."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "indelible-test"
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(b"".join((here / name).read_bytes() for name in files)).hexdigest()[:12]
    folder, done = cache / f"{here.name}-{digest}", cache / f"{here.name}-{digest}.done"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in files:
                shutil.copy(here / name, folder)
            subprocess.run([program("npm"), "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, stdout=sys.stderr)
            done.touch()
    return folder


class Provider:
    """The provider, running."""

    def __init__(self, clients, audience):
        port, = free_ports(1)
        self.issuer = f"http://127.0.0.1:{port}"
        settings = json.dumps({"clients": clients, "audience": audience})
        self.process = subprocess.Popen([program("node"), packages() / "provider.js", str(port), settings], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.close()
            raise AssertionError("the OpenID provider did not start")

    def account(self, name, *groups):
        """Says who logs in from now on, and what is claimed of them."""
        query = urllib.parse.urlencode({"account": name, "groups": ",".join(groups)})
        assert Browser().get(f"{self.issuer}/test/login?{query}").status == 200

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Page:
    """An answer that a browser got."""

    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers, self.body = url, status, headers, body

    def json(self):
        return json.loads(self.body)


class Browser:
    """Keeps cookies by host, and follows redirects until one leads to where nobody is asked: `stop` begins that address."""

    def __init__(self):
        self.cookies = {}

    def get(self, url, stop=None):
        for _ in range(10):
            page = self.request("GET", url)
            if page.status not in (302, 303):
                return page
            url = urllib.parse.urljoin(url, page.headers["Location"])
            if stop and url.startswith(stop):
                return Page(url, page.status, page.headers, page.body)
        raise AssertionError(f"redirected without end: {url}")

    def request(self, method, url, body=None, headers=None):
        parts = urllib.parse.urlsplit(url)
        jar = self.cookies.setdefault(parts.netloc, {})
        send = {"Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())} if jar else {}
        conn = http.client.HTTPConnection(parts.netloc, timeout=30)
        conn.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body=body, headers={**send, **(headers or {})})
        response = conn.getresponse()
        data = response.read()
        conn.close()
        for line in response.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            jar[name] = value
            if not value:
                del jar[name]
        return Page(url, response.status, response.headers, data)


if __name__ == "__main__":
    packages()
