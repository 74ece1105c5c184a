"""A browser for tests: Debian's Chromium, driven by npm's playwright-core.

`python3 browser.py` installs what comes from npm beforehand, pinned by browser/package-lock.json.
"""

import json
import shutil
import subprocess
from pathlib import Path

from openid import packages, program

HERE = Path(__file__).resolve().parent / "browser"
FILES = ("package.json", "package-lock.json", "download.js")


def chromium():
    """Path of the browser; `None` where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def download(url, file):
    """Clicks on a link. What came of it: `status` and `type`, and for a file its `name` and the `failure` to save it as `file`, if it was one."""
    question = json.dumps({"executable": chromium(), "url": url, "file": str(file)})
    done = subprocess.run([program("node"), packages(HERE, FILES) / "download.js"], input=question, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise AssertionError(f"the browser ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    packages(HERE, FILES)
