"""The chain as the server writes it, recomputed by scripts/verify_chain.py; tampering is found by it and by `indelible verify FILE`."""

import re
import subprocess
import sys
import unittest

from harness import NDJSON, ROOT, Case, run_cli

SCRIPT = ROOT / "scripts" / "verify_chain.py"


def script(path, *args):
    """Runs the script as a user would; returns (exit code, what it said)."""
    done = subprocess.run([sys.executable, str(SCRIPT), *args, str(path)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class Chain(Case):
    def test_format_document_example(self):
        text = (ROOT / "docs" / "formats" / "event-v1.md").read_text()
        log = re.search(r"The log `(prj_[0-9a-f]{32}/events)`", text)[1]
        path = self.dir / "example.ndjson"
        path.write_text(re.search(r"```json\n(.*?)```", text, re.S)[1])
        self.assertEqual(script(path, "--log", log)[0], 0, script(path, "--log", log)[1])

    def test_export_holds_and_tampering_is_found(self):
        server = self.server(env={"INDELIBLE_SEAL_BYTES": "20000", "INDELIBLE_TASK_INTERVAL_MS": "50"}).start()
        with server.client() as client:
            for batch in range(6):
                events = [{"action": f"chain.step{n}", "actor": {"id": "ü\"\\", "meta": {"k": ',"salt":"' + "0" * 32}},
                           "metadata": {"n": 2**60 + n, "text": "x" * (n * 7 + 7)}} for n in range(50)]
                self.assert_status(client.bulk(events), 201)
                self.assert_status(client.post("/v1/events", {"action": "chain.single", "metadata": {"batch": batch}}), 201)
            self.assert_status(client.post("/v1/events", {"action": "api.call", "http": {"method": "GET", "status": 200}}), 201)
            lines = list(client.export())
            activity = list(client.export(log="activity"))
            verdict = client.get("/v1/verify").json()["data"]
        self.assertEqual(len(lines), 306)
        self.assertEqual((verdict["status"], verdict["broken_at_event_id"]), ("valid", None))
        self.check(lines, server.log_id())
        # The server's own events are in it as well.
        self.assertEqual(sum(b'"action":"api.call"' in line for line in activity), 1)
        path = self.dir / "activity.ndjson"
        path.write_bytes(b"".join(activity))
        self.assertEqual(script(path, "--log", server.log_id("activity")), (0, script(path)[1]))
        self.assertEqual(script(path, "--log", server.log_id("events"))[0], 1, "one log passed off as another")

    def check(self, lines, log):
        """Verifies the rows whole and tampered with in every way."""
        self.judge("whole", lines, None, log)
        middle = len(lines) // 2
        row = lines[middle]
        places = {"id": 20, "position": row.index(b'"sequence_number":') + 18, "action": row.index(b'"action":"') + 11, "occurred_at": row.index(b'"occurred_at":"') + 18,
                  "details": row.index(b'"metadata":{"n":') + 17, "text": row.index(b'"text":"') + 9, "salt": len(row) - 190, "hash": len(row) - 120, "previous_hash": len(row) - 20}
        for what, at in places.items():
            changed = bytearray(row)
            changed[at] = ord("1") if row[at] == ord("0") else ord("0")
            self.judge(f"changed byte in {what}", [*lines[:middle], bytes(changed), *lines[middle + 1:]], middle + 1, log)
        self.judge("removed row", lines[:middle] + lines[middle + 1:], middle + 1, log)
        self.judge("removed first row", lines[1:], 1, log, cli=False)
        self.judge("swapped rows", [*lines[:middle], lines[middle + 1], row, *lines[middle + 2:]], middle + 1, log)
        self.judge("repeated row", [*lines[:middle], row, *lines[middle:]], middle + 2, log)
        self.judge("cut row", [*lines[:middle], row[:-40]], middle + 1, log)

    def judge(self, what, lines, broken, log, cli=True):
        """Both judges find the file good (`broken` None), or broken at that line."""
        path = self.dir / "export.ndjson"
        path.write_bytes(b"".join(lines))
        code, said = script(path, "--log", log)
        self.assertEqual(code, 0 if broken is None else 1, f"{what}: {said}")
        if broken is not None:
            self.assertIn(f"line {broken} ", said, what)
        if cli:
            done = run_cli("verify", path)
            self.assertEqual(done.returncode == 0, broken is None, f"indelible verify, {what}: {done.stdout}{done.stderr}")
            if broken is not None:
                self.assertRegex(done.stdout + done.stderr, rf"\b{broken}\b", what)

    def test_closing_line(self):
        server = self.server().start()
        with server.client() as client:
            self.assert_status(client.bulk([{"action": f"end.{n}"} for n in range(5)]), 201)
            whole = client.get("/v1/events/export", format="ndjson", end="true").body.splitlines(True)
        self.assertTrue(whole[-1].startswith(b'{"_end":'))
        path = self.dir / "closed.ndjson"
        for what, lines, code in [("whole", whole, 0), ("last row removed", whole[:4] + whole[5:], 1), ("row after the end", [*whole, whole[0]], 1)]:
            path.write_bytes(b"".join(lines))
            self.assertEqual(script(path, "--log", server.log_id())[0], code, what)
            self.assertEqual(run_cli("verify", path).returncode != 0, code != 0, f"indelible verify, {what}")

    def test_bulk_lines_are_stored_as_sent(self):
        """Number text and order of members survive, byte for byte, and the chain is over those bytes."""
        server = self.server().start()
        details = b'"metadata":{"z":1E400,"a":-0,"m":1.0,"big":123456789012345678901234567890,"s":"\\u0001/\xc3\xa9\xf0\x9f\x98\x80"}'
        with server.client() as client:
            body = b'{ "action" : "raw" , ' + details.replace(b":", b" : ", 3) + b" }\n"
            self.assert_status(client.post("/v1/events/bulk", body, {"Content-Type": NDJSON}), 201)
            [line] = client.export()
        self.assertIn(b'"actor":null,"target":null,"context":{},"diff":null,' + details + b',"salt":"', line)
        path = self.dir / "raw.ndjson"
        path.write_bytes(line)
        self.assertEqual(script(path, "--log", server.log_id())[0], 0)


if __name__ == "__main__":
    unittest.main()
