"""A full disk and a failing sync: nothing acknowledged is lost, nothing lost is acknowledged.

Needs the right to mount a tmpfs, and strace with the right to trace; what is missing is skipped with a message.
"""

import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import unittest

from harness import BUSY, SLOW, Case, embedded_only, verify_chain

DISK = "24m"
BALLAST = 8 << 20


def loud_skip(test, why):
    print(f"\nNOT RUN: {test.id()}: {why}", file=sys.stderr, flush=True)
    test.skipTest(why)


def stored_markers(case, client, log):
    """Every stored marker -> how often; the chain is checked on the way."""
    found = {}

    def lines():
        for line in client.export():
            marker = json.loads(line)["metadata"]["marker"]
            found[marker] = found.get(marker, 0) + 1
            yield line

    broken, said = verify_chain(lines(), log)
    case.assertEqual(broken, 0, f"line {broken} {said}")
    return found


@embedded_only("a cluster's disks are those of its database and its object store")
class FullDisk(Case):
    def setUp(self):
        super().setUp()
        self.mount = self.dir / "disk"
        self.mount.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.mount)], capture_output=True, text=True, check=False)
        if done.returncode:
            loud_skip(self, f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.mount)], check=False)

    def test_full_disk_with_sealing(self):
        self.run_full(BUSY)

    def test_full_disk_of_batches(self):
        self.run_full({})

    def run_full(self, env):
        (self.mount / "ballast").write_bytes(os.urandom(BALLAST))
        server = self.server(env, data_dir=self.mount / "data").start()
        self.addCleanup(server.kill)
        pid, log = server.process.pid, server.log_id()
        self.acked, self.count = [], 0
        with server.client() as client:
            full = self.fill(client)
            self.assertEqual(full.status, 507, repr(full))
            self.assertRegex(full.headers.get("Retry-After", ""), r"^[1-9][0-9]*$")
            self.assertEqual(set(full.json()["error"]) - {"errors"}, {"type", "message"})
            print(f"\nfull disk: 507 after {len(self.acked)} events", flush=True)
            for _ in range(5):
                self.assert_readable(client, log)
                self.write(client, 20)
                time.sleep(0.3)
            (self.mount / "ballast").unlink()
            freed = time.monotonic()
            while self.write(client, 1).status != 201:
                self.assertLess(time.monotonic() - freed, 30 * SLOW, "writing did not resume within 30 s of room")
                time.sleep(0.2)
            print(f"full disk: writing resumed {time.monotonic() - freed:.1f} s after there was room", flush=True)
            for _ in range(5):
                self.assert_status(self.write(client, 20), 201)
            self.assert_readable(client, log)
        self.assertEqual(server.process.pid, pid)
        self.assertEqual(server.stop(), 0)
        server.start()
        with server.client() as client:
            self.assert_readable(client, log)

    def write(self, client, events):
        """One bulk request of events that do not compress; an acknowledged one is journalled."""
        markers = [f"m{self.count + n}" for n in range(events)]
        self.count += events
        answer = client.bulk([{"action": "disk.write", "metadata": {"marker": m, "pad": random.randbytes(1000).hex()}} for m in markers])
        self.assertIn(answer.status, (201, 503, 507), repr(answer))
        if answer.status == 201:
            self.acked += markers
        return answer

    def fill(self, client):
        for _ in range(2000):
            answer = self.write(client, 50)
            if answer.status == 507:
                return answer
        self.fail("the disk never became full")

    def assert_readable(self, client, log):
        self.assert_status(client.get("/healthz"), 200)
        page = self.assert_status(client.get("/v1/events", per_page=100), 200).json()
        self.assertEqual(len(page["data"]), 100)
        found = stored_markers(self, client, log)
        self.assertEqual([m for m in self.acked if found.get(m) != 1][:5], [], "acknowledged, but not stored once")
        extra = found.keys() - set(self.acked)
        self.assertEqual([m for m in extra if found[m] > 1][:5], [])
        self.assertEqual(len(extra), 0, f"refused with 507, but stored: {sorted(extra)[:5]}")


@embedded_only("a cluster's syncs are its database's")
class FailingSync(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("strace"):
            loud_skip(self, "strace is not installed")
        probe = subprocess.run(["strace", "-f", "-o", str(self.dir / "probe"), "true"], capture_output=True, text=True, check=False)
        if probe.returncode:
            loud_skip(self, f"tracing is not allowed here: {probe.stderr.strip()}")
        self.trace = self.dir / "trace"

    def inject(self, nth):
        return ["strace", "-f", "-ttt", "-o", str(self.trace), "-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:error=EIO:when={nth}+"]

    def assert_ended_loudly(self, server, process):
        code = process.wait(20 * SLOW)
        self.assertNotEqual(code, 0, "the process ended as if all was well")
        self.assertRegex(server.stderr(), r"(?i)f(data)?sync|\bsync", "the message does not say what failed")
        print(f"\nfailed sync: exit code {code}: {server.stderr().strip().splitlines()[-1][:200]}", flush=True)

    def test_failing_from_the_start(self):
        server = self.server(wrapper=self.inject(1))
        try:
            server.start()
        except AssertionError:
            pass  # it ended at its first sync, before it was ready
        else:
            with server.client() as client, self.assertRaises((OSError, http.client.HTTPException)):
                while client.post("/v1/events", {"action": "sync.start"}).status != 201:
                    time.sleep(0.1)
        self.assert_ended_loudly(server, server.process)

    def test_nth_sync_of_a_running_server(self):
        for nth in (1, 2, 7):
            with self.subTest(nth=nth):
                self.run_nth(nth)

    def run_nth(self, nth):
        server = self.server(data_dir=self.dir / f"data{nth}").start()
        log = server.log_id()
        self.trace.unlink(missing_ok=True)
        tracer = subprocess.Popen([*self.inject(nth), "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.kill)
        self.assertIn("attached", tracer.stderr.readline())
        time.sleep(0.3)
        journal = self.write_until_it_ends(server)
        self.assert_ended_loudly(server, server.process)
        tracer.communicate(timeout=20 * SLOW)
        injected = [float(m[1]) for m in re.finditer(r"^\d+ +(\d+\.\d+) .*\(INJECTED\)", self.trace.read_text(), re.M)]
        self.assertTrue(injected, "nothing was injected")
        late = [entry for entry in journal if entry[3] == 201 and entry[2] > injected[0]]
        self.assertEqual(late, [], "acknowledged although its sync failed")
        self.assertTrue(any(entry[3] != 201 for entry in journal))
        server.start()
        acked = [marker for marker, _, _, status in journal if status == 201]
        with server.client() as client:
            found = stored_markers(self, client, log)
            self.assertEqual([m for m in acked if found.get(m) != 1], [])
            self.assertEqual([m for m, times in found.items() if times > 1], [])
            self.assertLessEqual(len(found.keys() - set(acked)), len(journal) - len(acked))
            self.assertEqual(client.get("/v1/verify").json()["data"]["status"], "valid")
        self.assertEqual(server.stop(), 0)

    def write_until_it_ends(self, server):
        """One writer, one event a time: [(marker, sent, answered, status or None)] by the wall clock, as strace writes it."""
        journal = []
        with server.client(timeout=20) as client:
            for n in range(500):
                sent = time.time()
                try:
                    status = client.post("/v1/events", {"action": "sync.test", "metadata": {"marker": f"s{n}"}}).status
                except (OSError, http.client.HTTPException):
                    status = None
                journal.append((f"s{n}", sent, time.time(), status))
                if status is None or server.process.poll() is not None:
                    return journal
        self.fail(f"500 requests were answered ({status} at last), and the process did not end")


if __name__ == "__main__":
    unittest.main()
