"""kill -9 at random moments under concurrent writers: what was acknowledged is there, once, in order, and the chain holds.

INDELIBLE_CRASH_ROUNDS  rounds (8; the full run is 200)
INDELIBLE_CRASH_SEED    seed of the moments and of what is sent (printed)

Sealing, compaction and collection run all the time (see BUSY). What is checked is said in journal.py.
"""

import os
import random
import threading
import time
import unittest

import journal
from harness import BUSY, SLOW, Case, run_cli

ROUNDS = int(os.environ.get("INDELIBLE_CRASH_ROUNDS", "8"))
SEED = int(os.environ.get("INDELIBLE_CRASH_SEED", str(random.randrange(10**9))))
WRITERS = 8
RESTART_LIMIT = 5.0


class Crash(Case):
    def test_kill_9(self):
        print(f"\ncrash: {ROUNDS} rounds, seed {SEED}", flush=True)
        chance = random.Random(SEED)
        self.writers = [journal.Writer(n, SEED + n) for n in range(WRITERS)]
        server = self.server(BUSY).start()
        self.log = server.log_id()
        every, stored, restarts = max(1, ROUNDS // 20), None, []
        for number in range(ROUNDS):
            halt = threading.Event()
            threads = journal.in_threads([lambda w=w: w.run(server, halt) for w in self.writers])
            time.sleep(chance.uniform(0.05, 1.5))
            self.assertIsNone(server.process.poll(), f"the server ended by itself\n{server.stderr()[-4000:]}")
            server.kill()
            halt.set()
            for thread in threads:
                thread.finish()
            server.start(timeout=60)
            restarts.append(server.ready_seconds)
            if number % every == every - 1 or number == ROUNDS - 1:
                stored = self.check(server, stored)
        with server.client() as client:
            for writer in self.writers:
                writer.finish(client)
                self.assertEqual(writer.retry, [], "a repeated request failed")
            stored = self.check(server, stored)
            verdict = client.get("/v1/verify").json()["data"]
        self.assertEqual((verdict["status"], verdict["events_checked"]), ("valid", stored.last))
        self.assertEqual(server.stop(), 0)
        for command in ("doctor", "verify"):
            done = run_cli(command, data_dir=server.data_dir, timeout=600)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        acked, unknown, kept, replays = journal.summary(self.writers, stored)
        print(f"crash: {ROUNDS} kills, {stored.last} events stored, {acked} acknowledged, {unknown} of unknown outcome ({kept} stored), "
              f"{replays} replays, restart {max(restarts):.2f} s at most", flush=True)
        self.assertGreater(acked, ROUNDS)
        self.assertLess(max(restarts), RESTART_LIMIT * SLOW)

    def check(self, server, before):
        with server.client() as client:
            stored = journal.Stored(self, client, self.log, before)
        self.assertEqual(journal.faults(self.writers, stored)[:10], [], f"seed {SEED}\n{server.stderr()[-2000:]}")
        return stored


if __name__ == "__main__":
    unittest.main()
