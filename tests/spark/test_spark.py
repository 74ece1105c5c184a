"""PySpark reads the archive in place and counts what the API counts up to the sealed position. By `make spark`: it installs 500 MB, and needs Java 17.

Reads a directory: Spark's access to S3 needs jars that PySpark does not bring (docs/operations/analytics.md).
"""

import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import analytics  # noqa: E402
from harness import Case, run_cli  # noqa: E402
from servers import tools  # noqa: E402

SCRIPT = Path(__file__).with_name("archive_spark.py")
PYSPARK = ("pyspark==4.3.0",)


class Directory:
    def __init__(self, folder):
        self.folder = folder

    def env(self):
        return {"INDELIBLE_DATA_DIR": str(self.folder)}


class Spark(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("java"):
            self.fail("Java 17 or newer is needed (Debian: apt-get install openjdk-17-jre-headless)")
        self.store = Directory(self.dir / "data")

    def count(self):
        task = json.dumps({"files": analytics.archive(self.store.env(), "--columns"), "filters": [sql for _, sql in analytics.FILTERS]})
        out = self.dir / "counts.json"
        done = subprocess.run([tools(PYSPARK) / "python", SCRIPT, out], input=task, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return json.loads(out.read_text())

    def compare(self, client, when):
        ours, theirs = analytics.our_counts(client, self.store.env()), self.count()
        self.assertEqual(theirs, ours, when)
        self.assertGreater(ours[0], 0)
        print(f"\nspark: {when}: {ours[0]} events, {len(ours)} filters agree", flush=True)
        return ours

    def test_counts_agree(self):
        env = {**self.store.env(), **analytics.SETTINGS}
        server = self.server(env, data_dir=self.store.folder).start()
        with server.client() as client:
            analytics.fill(client, 0, analytics.EVENTS)
            analytics.until("a compaction", lambda: analytics.figure(client, "compactions_total"))
            before = self.compare(client, "right after a compaction")
            self.assertEqual(run_cli("project", "retain", "default", "1d", env=env).returncode, 0)
            analytics.make_old(self.store, 1)
            analytics.until("retention", lambda: analytics.expired(self.store.env()))
            self.assertLess(self.compare(client, "after retention")[0], before[0])


if __name__ == "__main__":
    unittest.main()
