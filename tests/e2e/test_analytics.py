"""DuckDB reads the archive in place, on a directory and on S3, and counts what the API counts up to the sealed position."""

import json
import subprocess
import unittest
from pathlib import Path

import analytics
from analytics import FILTERS, SETTINGS
from harness import CLUSTER, Case, run_cli
from places import Place
from servers import tools

SCRIPT = Path(__file__).with_name("archive_duckdb.py")


class Directory:
    """A store in a directory, with the members of a Place that are needed here."""

    def __init__(self, folder):
        self.folder = folder

    def env(self):
        return {"INDELIBLE_DATA_DIR": str(self.folder)}

    def read(self, key):
        return (self.folder / "objects" / key).read_bytes()

    def keys(self):
        return [str(p.relative_to(self.folder / "objects")) for p in (self.folder / "objects").rglob("*") if p.is_file()]


@unittest.skipIf(CLUSTER, "uses both kinds of store in either run")
class DuckDb(Case):
    def count(self, store, files):
        access = None
        if isinstance(store, Place):
            access = {"endpoint": f"{store.s3.scheme}://{store.s3.host}", "access": store.s3.access, "secret": store.s3.secret, "region": store.s3.region}
        task = json.dumps({"files": files, "s3": access, "filters": [sql for _, sql in FILTERS]})
        done = subprocess.run([tools() / "python", SCRIPT], input=task, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return json.loads(done.stdout)

    def compare(self, store, client, when):
        """Both counts, and the published manifest against the list."""
        files = analytics.archive(store.env(), "--columns")
        ours, theirs = analytics.our_counts(client, store.env()), self.count(store, files)
        self.assertEqual(theirs, ours, f"{when}: DuckDB counts {theirs}, the API {ours}")
        self.assertGreater(ours[0], 0)
        print(f"\nanalytics: {when}: {ours[0]} events in {len(files)} files, {len(FILTERS)} filters agree", flush=True)
        return files, ours

    def check_manifest(self, store):
        """The published copy names what the list names."""
        entries = [json.loads(line) for line in analytics.archive(store.env())]
        manifest = json.loads(store.read(f"project={entries[0]['project']}/log=events/manifest.json"))
        self.assertEqual(manifest["segments"], [{k: v for k, v in e.items() if k not in ("project", "log")} for e in entries])
        self.assertEqual(manifest["sealed_to"], entries[-1]["last"])

    def run_on(self, store, data_dir):
        env = {**store.env(), **SETTINGS}
        server = self.server(env, data_dir=data_dir).start()
        with server.client() as client:
            analytics.fill(client, 0, analytics.EVENTS)
            analytics.until("a compaction", lambda: analytics.figure(client, "compactions_total"))
            files, _ = self.compare(store, client, "right after a compaction")
            columns = [k for k in store.keys() if k.endswith(".parquet")]
            self.assertGreater(len(columns), len(files), "no superseded file lies beside the live ones: this test shows nothing")
            tail = [{"action": "user.login", "actor": {"id": "u7"}}] * 20
            self.assert_status(client.bulk(tail), 201)
            self.compare(store, client, "with events in the tail")
            self.assertEqual(run_cli("seal", "--all", env=env).returncode, 0)
            _, ours = self.compare(store, client, "sealed to the end")
            self.assertEqual(ours[0], client.head())
            self.check_manifest(store)
            self.assertEqual(run_cli("project", "retain", "default", "1d", env=env).returncode, 0)
            analytics.make_old(store, 1)
            analytics.until("retention", lambda: analytics.expired(store.env()))
            _, left = self.compare(store, client, "after retention")
            self.assertLess(left[0], ours[0])
            self.assertEqual(client.get("/v1/verify").json()["data"]["status"], "valid")

    def test_directory(self):
        self.run_on(Directory(self.dir / "data"), self.dir / "data")

    def test_s3(self):
        place = Place.from_environment()
        self.addCleanup(place.close)
        self.run_on(place, self.dir / "scratch")


if __name__ == "__main__":
    unittest.main()
