#!/usr/bin/env python3
"""Compares source files with what Indelible exports after importing them.

An implementation of its own (Python's standard library only) of what docs/import.md says. It checks that every source
record is in the export exactly once (matched by external_id), that every mapped member is equal, that the metadata is
the source record's compact text byte for byte (number text and member order included), that nothing else is in the
export, that positions have no gap, and that every CSV cell equals the NDJSON member.

  compare_import.py --source cloudtrail.ndjson.gz=cloudtrail --source shop.csv=shop.toml \\
      --ndjson export.ndjson [--csv export.csv]

Sources and exports may be plain or gzip. The CSV export is the one of the LogProof path, made without the formula-safe
form (csv_safe=false) and with the same rows as the NDJSON export. Exit code 0 if all is equal, 1 if not.
"""

import argparse
import csv
import datetime
import gzip
import hashlib
import io
import itertools
import json
import pathlib
import re
import sys
import tomllib

SERVER_MEMBERS = {"id", "sequence_number", "received_at", "created_at", "salt", "hash", "previous_hash"}
CSV_COLUMNS = (
    "id,sequence_number,action,actor_id,actor_type,actor_meta,target_type,target_id,target_meta,"
    "context,diff,metadata,hash,previous_hash,occurred_at,received_at"
).split(",")
TEXTS = {
    "actor": ("id", "type", "name", "email"),
    "target": ("id", "type", "name"),
    "subject": ("id", "type", "name"),
    "organization": ("id", "name"),
    "http": ("method", "endpoint", "url", "channel", "request_id", "app_id", "client_app_id"),
    "diff": (),
}
VALUES = {"diff": ("before", "after"), "http": ("status", "duration_ms", "request_body", "response_body")}
IN_META = {"actor": ("name", "email"), "target": ("name",)}
MAPPINGS = pathlib.Path(__file__).resolve().parent.parent / "mappings"
csv.field_size_limit(1 << 30)


class Unmappable(Exception):
    """A record that the mapping must refuse, or a mapping that is wrong."""


class Number:
    """A JSON number as its text."""

    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Number) and other.text == self.text

    __hash__ = None


ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
ESCAPED = re.compile('["\\\\\x00-\x1f]')


def parse(text):
    """JSON with numbers kept as text; a name twice in one object is an error."""

    def members(pairs):
        made = dict(pairs)
        if len(made) != len(pairs):
            raise Unmappable("a member name stands twice in one object")
        return made

    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=members)


def compact(value):
    """Compact JSON text with the least escapes, members in their order."""
    if isinstance(value, str):
        return '"' + ESCAPED.sub(lambda m: ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", value) + '"'
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(compact(k) + ":" + compact(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return {None: "null", True: "true", False: "false"}[value]


# Mappings


def overlay(below, above):
    made = dict(below)
    for key, value in above.items():
        both = isinstance(made.get(key), dict) and isinstance(value, dict)
        made[key] = overlay(made[key], value) if both else value
    return made


def load(name):
    path = MAPPINGS / f"{name}.toml"
    with open(path if path.exists() else name, "rb") as file:
        return tomllib.load(file)


def with_used(table):
    own = {k: v for k, v in table.items() if k != "use"}
    return overlay(load(table["use"]), own) if "use" in table else own


STEP = re.compile(r"\[((?:[^\]]|\]\])+)\](?!\])|([^.\[\]|{}]+)")


def steps(path):
    """The names of a path, and what follows it."""
    if re.match(r"\.(?=[|}]|$)", path):
        return [], path[1:]
    names, at = [], 0
    while True:
        match = STEP.match(path, at)
        if not match:
            raise Unmappable(f"bad path {path!r}")
        names.append(match[1].replace("]]", "]") if match[1] else match[2])
        at = match.end()
        if path[at : at + 1] == ".":
            at += 1
        elif path[at : at + 1] != "[":
            return names, path[at:]


def text_of(value):
    if isinstance(value, Number):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


class Scope:
    """One record under one mapping's settings."""

    def __init__(self, record, table, digest, line):
        self.special = {"$file": digest, "$line": str(line)}
        self.ignore_case = table.get("ignore_case", False)
        self.absent = ()
        self.root = record
        self.root = self.walk(steps(table.get("root", "."))[0])
        absent = table.get("absent", [])
        self.absent = (absent,) if isinstance(absent, str) else tuple(absent)

    def walk(self, names):
        value = self.root
        for name in names:
            if isinstance(value, list):
                value = value[int(name)] if re.fullmatch(r"\d+", name) and int(name) < len(value) else None
            elif isinstance(value, dict):
                if name not in value and self.ignore_case:
                    low = name.encode().lower()
                    name = next((k for k in value if k.encode().lower() == low), name)
                value = value.get(name)
            else:
                return None
        return value

    def find(self, names):
        """The value that counts, or None."""
        value = self.walk(names)
        return None if value == "" or (isinstance(value, str) and value in self.absent) else value

    def fill(self, template, as_value):
        """One template's value, and whether the record had part in it; None if it is not usable."""
        parts, found, at = [], False, 0
        while at < len(template):
            char = template[at]
            if char in "{}" and template[at + 1 : at + 2] == char:
                parts.append(char)
                at += 2
            elif char == "{":
                inside = template[at + 1 :]
                special = next((s for s in self.special if inside.startswith(s)), None)
                if special:
                    parts.append(self.special[special])
                    rest = inside[len(special) :]
                else:
                    names, rest = steps(inside)
                    mode, rest = (rest[1:].split("}")[0], "}" + rest.split("}", 1)[1]) if rest[:1] == "|" else ("", rest)
                    value = self.find(names)
                    if value is None:
                        return None
                    found = True
                    if as_value and not mode and at == 0 and rest == "}":
                        return value, True
                    text = text_of(value)
                    if text is None and mode == "json":
                        text = compact(value)
                    if text is None:
                        return None
                    parts.append({"lower": str.lower, "upper": str.upper}.get(mode, str)(text))
                at = len(template) - len(rest) + 1
            else:
                parts.append(char)
                at += 1
        return "".join(parts), found

    def first(self, candidates, as_value=False):
        """The first usable candidate's value, and whether the record had part in it."""
        for template in [candidates] if isinstance(candidates, str) else candidates or []:
            made = self.fill(template, as_value)
            if made is not None:
                return made
        return None, False

    def free(self, spec):
        """A table of free names."""
        if not isinstance(spec, dict):
            return self.first(spec, True)[0]
        made = {name: self.free(inner) for name, inner in spec.items()}
        return {name: value for name, value in made.items() if value is not None} or None

    def part(self, kind, spec):
        """A part of the event such as the actor; None if the record has nothing for it."""
        if kind == "context":
            return self.free(spec)
        made, meta, any_found = {}, {}, False
        for name in TEXTS[kind] + VALUES.get(kind, ()):
            value, found = self.first(spec.get(name), name in VALUES.get(kind, ()))
            any_found |= found
            if value is not None:
                (meta if name in IN_META.get(kind, ()) else made)[name] = value
        free = self.free(spec.get("meta", {})) or {}
        any_found |= any(self.from_record(inner) for inner in spec.get("meta", {}).values())
        meta.update(free)
        if meta:
            made["meta"] = meta
        return made if any_found else None

    def from_record(self, spec):
        if isinstance(spec, dict):
            return any(map(self.from_record, spec.values()))
        return self.first(spec, True)[1]

    def holds(self, when):
        def test(path, want):
            value = self.find(steps(path)[0])
            if isinstance(want, bool):
                return (value is not None) == want
            return value is not None and text_of(value) in [str(w) for w in (want if isinstance(want, list) else [want])]

        return all(test(path, want) for path, want in when.items())


EPOCH = datetime.datetime(1970, 1, 1)
TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z|z)|\s*(UTC)|([+-])(\d\d):(\d\d)|\s*([+-])(\d\d)(\d\d))?",
    re.ASCII,
)


def read_time(text, rules):
    """The time in the form of the export, or an error."""
    text = text.strip()
    if re.fullmatch(r"-?[0-9.]*", text):
        match = re.fullmatch(r"(-?)(\d+)(?:\.(\d*))?", text)
        if not match:
            raise Unmappable(f"unreadable time {text!r}")
        number = int(match[2])
        units = {"s": 0, "ms": 3, "us": 6, "ns": 9}
        unit = rules.get("epoch") or next((u for u, n in units.items() if not match[1] and 10 ** (8 + n) <= number < 42 * 10 ** (8 + n)), None)
        if unit is None:
            raise Unmappable(f"{text!r} does not tell its unit")
        digits = match[2] + (match[3] or "").ljust(6, "0")
        whole = len(match[2]) + 6 - units[unit]
        micros = int(digits[:whole] or "0") * (-1 if match[1] else 1)
        return (EPOCH + datetime.timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"
    match = TIME.fullmatch(text)
    if not match:
        raise Unmappable(f"unreadable time {text!r}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    leap = second == 60
    offset = datetime.timedelta()
    zone = match
    if not any(match.groups()[7:]):
        assumed = rules.get("assume_zone") or ""
        zone = TIME.fullmatch("2000-01-01T00:00:00" + ("Z" if assumed == "UTC" else assumed))
        if not assumed:
            raise Unmappable(f"{text!r} has no zone")
    sign, hours, minutes = (zone[10], zone[11], zone[12]) if zone[10] else (zone[13], zone[14], zone[15])
    if sign:
        offset = datetime.timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    micros = 0 if leap else int((match[7] or "").ljust(6, "0")[:6])
    try:
        local = datetime.datetime(year, month, day, hour, minute, second - leap, micros) + datetime.timedelta(seconds=leap)
        return (local - offset).isoformat(timespec="microseconds") + "Z"
    except (ValueError, OverflowError) as error:
        raise Unmappable(f"unreadable time {text!r}") from error


def expected(table, record, digest, line):
    """The event that a record must become, with its metadata as text; occurred_at is None for the time of import."""
    if table.get("native"):
        event = {k: v for k, v in record.items() if k not in SERVER_MEMBERS}
        event.setdefault("external_id", record.get("id") or f"{digest}:{line}")
        event["metadata"] = compact(event.get("metadata") or {})
        return event
    scope = Scope(record, table, digest, line)
    for case in table.get("case", []):
        if scope.holds(case["when"]):
            base = {k: v for k, v in table.items() if k != "case"}
            own = overlay(base, {k: v for k, v in case.items() if k != "when"})
            return expected(with_used(own), record, digest, line)
    event = {
        "action": scope.first(table.get("action"))[0],
        "external_id": scope.first(table.get("external_id", "{$file}:{$line}"))[0],
    }
    for name, value in event.items():
        if value is None:
            raise Unmappable(f"{name} is not in the record")
    rules = table.get("time", {})
    time = scope.first(table.get("occurred_at"))[0]
    event["occurred_at"] = None
    if time is None and rules.get("missing") != "import-time":
        raise Unmappable("occurred_at is not in the record")
    if time is not None:
        try:
            event["occurred_at"] = read_time(time, rules)
        except Unmappable:
            if rules.get("unreadable") != "import-time":
                raise
    for kind in ("actor", "target", "context", "diff", "subject", "organization", "http"):
        value = scope.part(kind, table[kind]) if kind in table else None
        if value is not None:
            event[kind] = value
    metadata = table.get("metadata")
    if metadata is None:
        metadata = record
    elif isinstance(metadata, dict):
        metadata = scope.free(metadata) or {}
    else:
        metadata = scope.first(metadata, True)[0]
        if not isinstance(metadata, dict):
            raise Unmappable("metadata is not an object")
    event["metadata"] = compact(metadata)
    return event


# Files


def opened(path):
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    raw = gzip.open(path) if packed else open(path, "rb")
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="strict", newline="\n")


def records(path):
    """Line numbers and records of a source file."""
    if re.search(r"\.csv(\.gz)?$", path):
        with opened(path) as file:
            file.reconfigure(newline="")
            rows = csv.reader(file, strict=True)
            names = next(rows)
            for number, row in enumerate(rows, 2):
                yield number, dict(zip(names, row, strict=True))
        return
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, parse(line)


class Report:
    """Counts differences and prints the first of them."""

    def __init__(self, show):
        self.differences = 0
        self.show = show

    def add(self, text):
        self.differences += 1
        if self.differences <= self.show:
            print("DIFFERENT", text[:600])


def cell(value):
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value)


def csv_row(event):
    actor, target = event["actor"] or {}, event["target"] or {}
    values = {f"actor_{k}": actor.get(k) for k in ("id", "type", "meta")} | {f"target_{k}": target.get(k) for k in ("id", "type", "meta")}
    return [cell(values[c] if c in values else event[c]) for c in CSV_COLUMNS]


def check_event(event, wanted, report):
    """Compares one exported event with what was expected; returns how many members were compared."""
    identity = f"{wanted['external_id']} (position {event['sequence_number'].text})"
    got = {k: v for k, v in event.items() if k not in SERVER_MEMBERS and v is not None}
    got["metadata"] = compact(got["metadata"])
    want = {"context": {}, "metadata": "{}"} | {k: v for k, v in wanted.items() if v is not None}
    if wanted.get("occurred_at") is None:
        want["occurred_at"] = event["received_at"]
    for name in sorted(got.keys() | want.keys()):
        if got.get(name) != want.get(name):
            texts = [side.get(name) if name == "metadata" else compact(side.get(name)) for side in (want, got)]
            same = next((i for i, (a, b) in enumerate(zip(*texts)) if a != b), min(map(len, texts)))
            wanted_text, got_text = (text[max(0, same - 40) : same + 80] for text in texts)
            report.add(f"{identity}: {name}, from character {same}\n  want ...{wanted_text}\n  got  ...{got_text}")
    return len(want)


def main():
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--source", action="append", required=True, metavar="FILE=MAPPING", help="a source file and the built-in mapping's name or the mapping file")
    cli.add_argument("--ndjson", required=True, help="NDJSON export of the whole log")
    cli.add_argument("--csv", help="CSV export of the same rows")
    cli.add_argument("--show", type=int, default=20, help="how many differences to print (20)")
    args = cli.parse_args()
    report = Report(args.show)
    events, counts = {}, {"source records": 0, "exported events": 0, "members compared": 0, "csv cells compared": 0}

    for source in args.source:
        path, _, name = source.rpartition("=")
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        table = with_used(load(name))
        for line, record in records(path):
            if table.get("native") and list(record) == ["_end"]:
                continue
            counts["source records"] += 1
            try:
                event = expected(table, record, digest, line)
            except Unmappable as error:
                report.add(f"{path}, line {line}: {error}")
                continue
            if event["external_id"] in events:
                report.add(f"{path}, line {line}: external_id {event['external_id']} stands twice in the sources")
            events[event["external_id"]] = event

    rows = None
    if args.csv:
        file = opened(args.csv)
        file.reconfigure(newline="")
        rows = csv.reader(file, strict=True)
        if next(rows, None) != CSV_COLUMNS:
            report.add("the CSV header is not the expected one")
    position, missing = 0, set(events)
    with opened(args.ndjson) as file:
        for line in file:
            line = line.rstrip("\n")
            event = parse(line)
            if list(event) == ["_end"]:
                continue
            counts["exported events"] += 1
            position += 1
            if event["sequence_number"] != Number(str(position)):
                report.add(f"position {event['sequence_number'].text} where {position} is due")
            if compact(event) != line:
                report.add(f"position {position}: the line is not in compact form")
            key = event.get("external_id")
            if key not in missing:
                report.add(f"position {position}: external_id {key} " + ("stands twice" if key in events else "is of no source record"))
            else:
                missing.remove(key)
                counts["members compared"] += check_event(event, events[key], report)
            if rows is not None:
                row = next(rows, [])
                counts["csv cells compared"] += len(row)
                for column, want, got in itertools.zip_longest(CSV_COLUMNS, csv_row(event), row):
                    if want != got:
                        report.add(f"position {position}, CSV {column}:\n  want {want!r}\n  got  {got!r}")
    if rows is not None and next(rows, None) is not None:
        report.add("the CSV export has more rows than the NDJSON export")
    for key in missing:
        report.add(f"{key} is not in the export")
    for name, count in counts.items():
        print(f"{name:20}{count:>12,}")
    print(f"{'differences':20}{report.differences:>12,}")
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
