"""Compares exports of one log row by row, in every field that two of them share. Run by the Python of servers.tools(); not a test by itself.

Reads {"reference": path of LogProof's JSON, "files": {kind: path}, "fields": [names of the columns of "voucherify"]} from standard input and writes
{"rows", "cells": {kind: compared}, "differences": [...]}. Each cell of a file is compared with what that dialect's contract makes of the reference's event, derived
here and not by the server. Numbers are compared as they are written, members in their order. All files are read side by side, none as a whole.
"""

import csv
import datetime
import functools
import itertools
import json
import sys

import pyarrow.parquet

MOST = 20
LOYALTYDOG = ["id", "action", "resourceType", "resourceId", "actorId", "actorType", "subjectId", "merchantId", "ipAddress", "userAgent", "requestId", "details", "timestamp",
              "actorName", "subjectName", "merchantName", "resourceName"]
AITRONOS = ["Timestamp", "Entity Type", "Entity Name", "Action", "Actor Name", "Actor Email", "Target Name", "Previous Value", "New Value"]
LOGPROOF = ["id", "sequence_number", "action", "actor_id", "actor_type", "actor_meta", "target_type", "target_id", "target_meta", "context", "diff", "metadata", "hash", "previous_hash",
            "occurred_at", "received_at"]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


# --- values ---------------------------------------------------------------------------------------------------------------

class Members(tuple):
    """The members of an object, in their order."""

    def get(self, name):
        return next((value for n, value in self if n == name), None)


ABSENT = object()
# A number is ("#", as it is written), which no text is.
load = json.JSONDecoder(parse_float=lambda n: ("#", n), parse_int=lambda n: ("#", n), object_pairs_hook=Members).decode


class Json:
    """A value where a file has JSON text."""

    def __init__(self, value):
        self.value = value


def member(value, *path):
    """What is at a path of members, or nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, Members) else None
    return value


def has(value, name):
    return isinstance(value, Members) and any(n == name for n, _ in value)


def text(value):
    """A value if it is a text, as it is one in a field."""
    return value if isinstance(value, str) else None


def plain(json):
    """A field of JSON for people: a text's characters, anything else as JSON."""
    if json is None or json.value is None:
        return None
    return text(json.value) if text(json.value) is not None else json


def first(*values):
    return next((v for v in values if v is not None), None)


def short(time):
    return time[:-8] + "Z" if time.endswith(".000000Z") else time


# --- the reference --------------------------------------------------------------------------------------------------------

def fields(event):
    """What every dialect's columns are made of, by the names of the archive's columns."""
    get = functools.partial(member, event)
    party = lambda who, *more: first(text(get(who, "name")), text(get(who, "meta", "name")), *more)
    json_of = lambda *path: Json(get(*path)) if has(member(event, *path[:-1]), path[-1]) else None
    some_json = lambda *path: json_of(*path) if get(*path) is not None else None
    meta = lambda who: Json(get(who, "meta")) if isinstance(get(who, "meta"), Members) else None
    return {
        "id": get("id"), "sequence_number": get("sequence_number")[1], "occurred_at": get("occurred_at"), "received_at": get("received_at"),
        "created_at": get("occurred_at")[:23] + "Z", "hash": get("hash"), "previous_hash": get("previous_hash"), "action": get("action"),
        "actor_id": text(get("actor", "id")), "actor_type": text(get("actor", "type")), "actor_name": party("actor"), "actor_email": text(get("actor", "meta", "email")), "actor_meta": meta("actor"),
        "target_id": text(get("target", "id")), "target_type": text(get("target", "type")), "target_name": party("target", text(get("target", "meta", "title"))), "target_meta": meta("target"),
        "subject_id": text(get("subject", "id")), "subject_type": text(get("subject", "type")), "subject_name": party("subject"), "subject_meta": meta("subject"),
        "organization_id": text(get("organization", "id")), "organization_name": text(get("organization", "name")), "department_id": text(get("metadata", "department_id")),
        "ip": text(get("context", "ip")), "user_agent": text(get("context", "user_agent")), "request_id": first(text(get("http", "request_id")), text(get("context", "request_id"))),
        "context": json_of("context"), "diff_before": json_of("diff", "before"), "diff_after": json_of("diff", "after"), "metadata": json_of("metadata"),
        "http_method": text(get("http", "method")), "http_endpoint": text(get("http", "endpoint")), "http_url": text(get("http", "url")), "http_status": some_json("http", "status"),
        "http_channel": text(get("http", "channel")), "http_duration_ms": some_json("http", "duration_ms"), "app_id": text(get("http", "app_id")), "client_app_id": text(get("http", "client_app_id")),
        "request_body": json_of("http", "request_body"), "response_body": json_of("http", "response_body"), "external_id": text(get("external_id")),
        "diff": Json(get("diff")) if isinstance(get("diff"), Members) and get("diff") else None,
    }


def details(row):
    """LoyaltyDog's details: the metadata with the diff as a member, or both side by side if the metadata has such a member of its own."""
    metadata = row["metadata"].value if row["metadata"] and row["metadata"].value else None
    diff = row["diff"] and row["diff"].value
    if not diff:
        return Json(metadata) if metadata else None
    if not metadata:
        return Json(Members([("diff", diff)]))
    return Json(Members([("metadata", metadata), ("diff", diff)]) if has(metadata, "diff") else Members([*metadata, ("diff", diff)]))


def loyaltydog(row):
    names = ["action", "target_type", "target_id", "actor_id", "actor_type", "subject_id", "organization_id", "ip", "user_agent", "request_id"]
    return [row["id"].removeprefix("evt_"), *(row[n] for n in names), details(row), short(row["occurred_at"]), row["actor_name"], row["subject_name"], row["organization_name"], row["target_name"]]


def aitronos(row):
    return [short(row["occurred_at"]), row["target_type"], row["target_name"], row["action"].rsplit(".", 1)[-1], row["actor_name"], row["actor_email"], row["subject_name"],
            plain(row["diff_before"]), plain(row["diff_after"])]


# --- the files ------------------------------------------------------------------------------------------------------------

def json_rows(path):
    """The rows of an array that has one a line."""
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            line = line.rstrip("\n")
            line = line.removeprefix("[") if line.startswith("[{") or line == "[]" else line
            line = line.removesuffix(",").removesuffix("]")
            if line:
                yield load(line)


def csv_rows(path, header):
    """The rows of a table, and that its header is right."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        found = next(rows)
        if found != header:
            raise SystemExit(f"{path}: the header is {found}, not {header}")
        yield from rows


def parquet_rows(path):
    file = pyarrow.parquet.ParquetFile(path)
    for batch in file.iter_batches(batch_size=2000):
        names = batch.schema.names
        for values in zip(*(column.to_pylist() for column in batch.columns)):
            yield dict(zip(names, values))


def title(name):
    return " ".join("ID" if word == "id" else word.capitalize() for word in name.split("_"))


# --- comparing ------------------------------------------------------------------------------------------------------------

def same_text(found, want):
    """A cell of a table: nothing is the empty text."""
    if isinstance(want, Json):
        return found != "" and load(found) == want.value
    return found == (want or "")


def same_json(found, want, required=False):
    """A member of an object."""
    if isinstance(want, Json):
        return found == want.value
    return found == ("" if required and want is None else want)


def same_column(found, want):
    """A value of a Parquet file."""
    if isinstance(want, Json):
        return found is not None and load(found) == want.value
    if isinstance(found, bytes):
        return f"evt_{found.hex()}" == want
    if isinstance(found, datetime.datetime):
        return (found - EPOCH) // datetime.timedelta(microseconds=1) == (datetime.datetime.fromisoformat(want.replace("Z", "+00:00")) - EPOCH) // datetime.timedelta(microseconds=1)
    return (str(found) if isinstance(found, int) else found) == want


def cells(kind, found, row, chosen):
    """(name, is it the same, found, wanted) for each cell of a row of a file."""
    if kind == "parquet":
        return [(name, same_column(value, row[name]), value, row[name]) for name, value in found.items()]
    if kind == "loyaltydog-json":
        required = ("resourceType", "actorType")
        names = [name for name, _ in found]
        if names != LOYALTYDOG:
            return [("members", False, names, LOYALTYDOG)]
        return [(name, same_json(value, want, name in required), value, want) for (name, value), want in zip(found, loyaltydog(row))]
    names, wanted = {
        "logproof": lambda: (LOGPROOF, [row[n] for n in LOGPROOF]), "aitronos": lambda: (AITRONOS, aitronos(row)), "loyaltydog": lambda: (LOYALTYDOG, loyaltydog(row)),
        "voucherify": lambda: (chosen, [row[n] for n in chosen]),
    }[kind]()
    if len(found) != len(names):
        return [("cells", False, len(found), len(names))]
    return [(name, same_text(value, want), value, want) for name, value, want in zip(names, found, wanted)]


def shown(value):
    return repr(value.value if isinstance(value, Json) else value)[:200]


def main():
    csv.field_size_limit(1 << 30)
    task = json.load(sys.stdin)
    chosen, files = task["fields"], task["files"]
    read = {"parquet": parquet_rows, "loyaltydog-json": json_rows, "logproof": lambda p: csv_rows(p, LOGPROOF), "aitronos": lambda p: csv_rows(p, AITRONOS),
            "loyaltydog": lambda p: csv_rows(p, LOYALTYDOG), "voucherify": lambda p: csv_rows(p, [title(n) for n in chosen])}
    kinds = list(files)
    rows, compared, differences = 0, dict.fromkeys(kinds, 0), []
    for event, *others in itertools.zip_longest(json_rows(task["reference"]), *(read[kind](files[kind]) for kind in kinds), fillvalue=ABSENT):
        rows += 1
        missing = [kind for kind, found in zip(["reference", *kinds], [event, *others]) if found is ABSENT]
        if missing:
            differences.append(f"row {rows}: not in {missing}")
        else:
            row = fields(event)
            for kind, found in zip(kinds, others):
                for name, same, value, want in cells(kind, found, row, chosen):
                    compared[kind] += 1
                    if not same:
                        differences.append(f"row {rows}, {kind}, {name}: {shown(value)} where {shown(want)} is wanted")
        if len(differences) >= MOST:
            break
    json.dump({"rows": rows, "cells": compared, "differences": differences}, sys.stdout)


if __name__ == "__main__":
    main()
