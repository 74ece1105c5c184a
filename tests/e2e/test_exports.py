"""What goes in comes out: every format carries every hostile text, whole or visibly broken, never silently cut."""

import csv
import gzip
import hashlib
import http.client
import io
import json
import shutil
import subprocess
import sys
import threading
import time
import unittest

from harness import NDJSON, Case, SharedCase, compact, members, with_query

NASTY = [
    "", " ", "plain", 'quote " and ""', "comma, semicolon; tab\t", "CR\r", "LF\n", "CRLF\r\nand more", "\n", '"', '""', "'", "''", "'=1+1",
    "=1+1", "+49 30 1234", "-5", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0", "=HYPERLINK(\"http://x\",\"y\")", "＝1＋1", "＋1", "－1", "＠x",
    "\u0000", "a\u0000b", "\u0001\u001f\u007f\u0080\u009f", "\u2028\u2029", "\ufeff", "\ufffe\uffff", "é e\u0301", "ﷺ", "😀👩‍👩‍👧🏳️‍🌈", "\U0010ffff",
    "‮right to left‬", "שלום", "مرحبا", "日本語", "Ω≈ç√", "İıſK", "ß", "\\", "\\n", "\\u0000", "\\\"", "/", "</script><script>alert(1)</script>",
    "'; DROP TABLE events; --", "%s%n%x", "${jndi:ldap://x}", "../../etc/passwd", "{\"json\":true}", "[1,2]", "null", "true", "007", "1E5",
    "12345678901234567890", "NaN", "a" * 2000, ",", ",,", "\r\n", "\"\r\n\"", ",\"", "a,\"b\"\r\nc", "|", "#", "% _ *", "*", "x*y",
]
NUMBERS = ["0", "-0", "1.0", "-0.0", "1E400", "-1e-400", "9007199254740993", "123456789012345678901234567890", "0.1e+1", "1e5", "3.141592653589793238462643"]
CSV_COLUMNS = ("id,sequence_number,action,actor_id,actor_type,actor_meta,target_type,target_id,target_meta,context,diff,metadata,"
               "hash,previous_hash,occurred_at,received_at").split(",")
TRIGGERS = "=+-@\t\r\n＝＋－＠"


def rfc4180(data):
    """Reads CSV by the grammar of RFC 4180 and nothing else; ValueError on any other byte."""
    rows, row, at, end = [], [], 0, len(data)
    while at < end:
        if data[at:at + 1] == b'"':
            field, at = bytearray(), at + 1
            while True:
                close = data.index(b'"', at)
                field += data[at:close]
                at = close + 1
                if data[at:at + 1] != b'"':
                    break
                field += b'"'
                at += 1
        else:
            stop = min(p for p in (data.find(b",", at), data.find(b"\r\n", at), end) if p >= 0)
            field, at = data[at:stop], stop
            if any(c in field for c in b'"\r\n'):
                raise ValueError(f"bare quote or line end in {bytes(field)!r}")
        row.append(bytes(field).decode())
        if data[at:at + 1] == b",":
            at += 1
        elif data[at:at + 2] == b"\r\n":
            rows.append(row)
            row, at = [], at + 2
        else:
            raise ValueError(f"neither comma nor CRLF after a field at byte {at}: {data[at:at + 20]!r}")
    if row:
        raise ValueError("the last record has no CRLF")
    return rows


def event_of(text, n):
    """An event that has `text` wherever text may be."""
    short = text or "x"
    return {"action": f"nasty.{short}", "actor": {"id": text, "type": text, "meta": {"name": text, text: text}}, "target": {"type": text, "id": text, "meta": {text: 1}},
            "context": {"ip": text}, "diff": {"before": {text: text}, "after": [text]}, "metadata": {"n": n, "text": text}}


class RoundTrip(SharedCase):
    env = {"INDELIBLE_SEAL_BYTES": "30000", "INDELIBLE_TASK_INTERVAL_MS": "50"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.shared.client() as client:
            cls.sent = [json.dumps(event_of(text, n), ensure_ascii=False).encode() for n, text in enumerate(NASTY)]
            cls.sent += [b'{"action":"number","metadata":{"v":%s,"deep":[{"%s":[%s]}]}}' % (n.encode(), n.encode(), n.encode()) for n in NUMBERS]
            answer = client.post("/v1/events/bulk", b"\n".join(cls.sent), {"Content-Type": NDJSON})
            assert answer.status == 201, answer
            for body in cls.sent[:20]:
                answer = client.post("/v1/events", body)
                assert answer.status == 201, answer
                cls.sent.append(body)
            time.sleep(1)  # let a part be sealed
            cls.lines = [line.rstrip(b"\n") for line in client.export()]

    def fetch(self, headers=None, **params):
        answer = self.client.get("/v1/events/export", headers, **params)
        return self.assert_status(answer, 200)

    def test_ndjson(self):
        self.assertEqual(len(self.lines), len(self.sent))
        for body, line in zip(self.sent, self.lines):
            sent, got = members(compact(body)), members(line)
            for name in sent:
                self.assertEqual(got[name], sent[name], name)
            self.assertEqual(compact(line), line, "a line is compact")

    def test_json(self):
        answer = self.fetch(format="json")
        self.assertEqual(answer.headers.get_content_type(), "application/json")
        self.assertEqual(compact(answer.body), b"[" + b",".join(self.lines) + b"]")
        self.assertEqual(compact(self.fetch().body), compact(answer.body), "json is the default")
        self.assertEqual(compact(self.fetch(action="no.such.action").body), b"[]")

    def csv_rows(self, text):
        rows = rfc4180(text)
        csv.field_size_limit(1 << 24)
        if sys.version_info >= (3, 11):  # before, Python's reader refused NUL
            self.assertEqual(list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True)), rows)
        self.assertEqual(rows[0], CSV_COLUMNS)
        return rows[1:]

    def wanted_cells(self, line):
        event = {name: value for name, value in members(line).items()}
        text = lambda value: json.loads(value) if value and value.startswith('"') else "" if value in (None, "null") else value  # noqa: E731
        inner = lambda name, key: members(event[name].encode()).get(key) if event[name] != "null" else None  # noqa: E731
        cells = {name: text(event.get(name)) for name in CSV_COLUMNS if name in event}
        for who, keys in (("actor", ("id", "type", "meta")), ("target", ("type", "id", "meta"))):
            cells.update({f"{who}_{key}": text(inner(who, key)) for key in keys})
        return [cells[name] for name in CSV_COLUMNS]

    def test_csv_raw(self):
        answer = self.fetch(format="csv")
        self.assertEqual(answer.headers.get_content_type(), "text/csv")
        self.assertRegex(answer.headers["Content-Disposition"], r'^attachment; filename="events-export-[0-9-]+\.csv"')
        rows = self.csv_rows(answer.body)
        self.assertEqual(len(rows), len(self.lines))
        for row, line in zip(rows, self.lines):
            self.assertEqual(row, self.wanted_cells(line))
        self.assertEqual(self.csv_rows(self.fetch(format="csv", action="no.such.action").body), [])

    def test_csv_safe_is_reversible(self):
        rows = self.csv_rows(self.fetch(format="csv", csv_safe="true").body)
        self.assertEqual(len(rows), len(self.lines))
        for row, line in zip(rows, self.lines):
            for cell in row:
                self.assertFalse(cell and cell[0] in TRIGGERS, repr(cell))
            self.assertEqual([cell[1:] if cell.startswith("'") else cell for cell in row], self.wanted_cells(line))

    def test_bom(self):
        self.assertEqual(self.fetch(format="csv", bom="true").body, b"\xef\xbb\xbf" + self.fetch(format="csv").body)

    def test_encodings_decode_to_the_same_bytes(self):
        for params in ({"format": "ndjson"}, {"format": "ndjson", "end": "true"}, {"format": "json"}, {"format": "csv"}, {"format": "ndjson", "action": "number"}):
            plain = self.fetch(**params)
            self.assertIsNone(plain.headers["Content-Encoding"])
            zipped = self.fetch({"Accept-Encoding": "gzip"}, **params)
            self.assertEqual(zipped.headers["Content-Encoding"], "gzip")
            self.assertEqual(gzip.decompress(zipped.body), plain.body, params)
            refused = self.fetch({"Accept-Encoding": "zstd;q=0, gzip;q=0"}, **params)
            self.assertEqual((refused.headers["Content-Encoding"], refused.body), (None, plain.body))
            if shutil.which("zstd"):
                packed = self.fetch({"Accept-Encoding": "zstd, gzip"}, **params)
                self.assertEqual(packed.headers["Content-Encoding"], "zstd")
                self.assertEqual(subprocess.run(["zstd", "-dcq"], input=packed.body, capture_output=True, check=True).stdout, plain.body, params)
            else:
                print("\nNOT RUN: zstd answers: no zstd command", file=sys.stderr)

    def test_closing_line(self):
        for params in ({}, {"action": "number"}, {"action": "no.such.action"}):
            body = self.fetch(format="ndjson", end="true", **params).body
            rows = self.fetch(format="ndjson", **params).body
            end = b'{"_end":{"rows":%d,"sha256":"%s"}}\n' % (rows.count(b"\n"), hashlib.sha256(rows).hexdigest().encode())
            self.assertEqual(body, rows + end)

    def test_one_event_and_the_list_show_the_same(self):
        for line in self.lines[::7]:
            event = json.loads(line, parse_int=str, parse_float=str)
            body = self.assert_status(self.client.get(f"/v1/events/{event['id']}"), 200).body
            self.assertIn(b'"metadata":' + members(line)["metadata"].encode(), compact(body))

    def test_search_and_filters_find_hostile_text(self):
        for text in ("'; DROP TABLE events; --", "\U0010ffff", "שלום", "%s%n%x", "日本語", "{\"json\":true}"):
            for params in ({"search": text}, {"actor_id": text}, {"target_id": text}, {"target_type": text}):
                data = self.assert_status(self.client.get("/v1/events", per_page=100, **params), 200).json()["data"]
                self.assertIn(text, [e["metadata"].get("text") for e in data], params)
        for odd in ("%", "_", "\\"):  # never patterns
            data = self.client.get("/v1/events", per_page=100, search=f"no{odd}such{odd}text").json()["data"]
            self.assertEqual(data, [])

    def test_aitronos_csv(self):
        answer = self.assert_status(self.client.get("/v1/organizations/default/audit-log/export"), 200)
        rows = rfc4180(answer.body)
        self.assertEqual(",".join(rows[0]), "Timestamp,Entity Type,Entity Name,Action,Actor Name,Actor Email,Target Name,Previous Value,New Value")
        self.assertEqual(len(rows) - 1, len(self.lines))
        self.assertEqual(answer.headers["X-Total-Count"], str(len(self.lines)))
        self.assertNotEqual((answer.headers["X-Export-Truncated"] or "false").lower(), "true")


class Streams(Case):
    """Readers that leave, and a server that dies, in the middle of a large export."""

    EVENTS = 30_000

    def setUp(self):
        super().setUp()
        self.run_server = self.server().start()
        lines = [b'{"action":"big.%d","metadata":{"pad":"%s"}}' % (n % 5, hashlib.sha256(b"%d" % n).hexdigest().encode() * 14) for n in range(self.EVENTS)]
        with self.run_server.client() as client:
            for at in range(0, self.EVENTS, 10_000):
                answer = client.post("/v1/events/bulk", b"\n".join(lines[at:at + 10_000]), {"Content-Type": NDJSON})
                self.assert_status(answer, 201)

    def begin(self, client, **params):
        """An export of which the beginning has been read."""
        response = client.open("GET", with_query("/v1/events/export", params))
        self.assertEqual(response.status, 200)
        self.assertTrue(response.read(100_000))
        return response

    def test_leaving_early_and_dying(self):
        server = self.run_server
        for n in range(20):
            with server.client() as client:
                self.begin(client, format=("ndjson", "json", "csv")[n % 3])
        with server.client() as client:
            self.assertEqual(sum(1 for _ in client.export()), self.EVENTS)
            capped = client.get("/v1/organizations/default/audit-log/export")
            self.assertEqual(len(rfc4180(capped.body)) - 1, 10_000)
            self.assertEqual((capped.headers["X-Total-Count"], capped.headers["X-Export-Truncated"]), (str(self.EVENTS), "true"))
            whole = client.get("/v1/organizations/default/audit-log/export", limit="none")
            self.assertEqual(len(rfc4180(whole.body)) - 1, self.EVENTS)
        self.assertLess(server.memory("VmHWM"), 300 << 20)
        self.dies()

    def dies(self):
        """Every client notices that the server was killed."""
        server = self.run_server
        target = server.url + "/v1/events/export?format="
        key = f"Authorization: Bearer {server.client().key}"
        curls = [subprocess.Popen(["curl", "-sS", "--limit-rate", "200k", "-o", "/dev/null", "-H", key, target + f], stderr=subprocess.PIPE)
                 for f in ("ndjson", "json", "csv")] if shutil.which("curl") else []
        clients = [server.client() for _ in range(3)]
        responses = [self.begin(c, format=f) for c, f in zip(clients, ("ndjson", "json", "csv"))]
        time.sleep(1)
        server.kill()
        for response in responses:
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                response.read()
        for curl in curls:
            curl.communicate(timeout=60)
            self.assertNotEqual(curl.returncode, 0, "curl took a cut file for a whole one")
        for client in clients:
            client.conn.close()


class Concurrent(Case):
    def test_export_is_a_snapshot_while_events_arrive(self):
        server, halt, sent = self.server({"INDELIBLE_SEAL_BYTES": "200000", "INDELIBLE_TASK_INTERVAL_MS": "50"}).start(), threading.Event(), []

        def write():
            with server.client() as client:
                while not halt.is_set():
                    answer = client.bulk([{"action": "live", "metadata": {"n": n}} for n in range(100)])
                    sent.append(answer.json()["data"]["last_position"] if answer.status == 201 else repr(answer))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            with server.client() as client:
                for _ in range(10):
                    time.sleep(0.2)
                    low = client.head()
                    numbers = [json.loads(line)["sequence_number"] for line in client.export()]
                    self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
                    self.assertGreaterEqual(len(numbers), low, "an event that was shown is missing")
        finally:
            halt.set()
            writer.join()
        self.assertEqual([s for s in sent if isinstance(s, str)], [])


if __name__ == "__main__":
    unittest.main()
