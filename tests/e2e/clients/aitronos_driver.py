"""Drives the Aitronos SDK: {"client": {...}, "call": "audit_log_v2.query_audit_log", "args": {...}} a line in, {"ok"} or {"error"} a line out."""

import datetime
import json
import sys

from aitronos import Aitronos
from aitronos.core.api_error import ApiError

TIMES = ("start_date", "end_date")


def plain(value):
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def answer(question):
    target = Aitronos(**question["client"])
    for name in question["call"].split("."):
        target = getattr(target, name)
    args = question.get("args", {})
    if question.get("times"):
        args = {k: datetime.datetime.fromisoformat(v) if k in TIMES else v for k, v in args.items()}
    try:
        return {"ok": plain(target(**args))}
    except ApiError as error:
        headers = {k.lower(): v for k, v in (error.headers or {}).items()}
        return {"error": type(error).__name__, "status": error.status_code, "headers": headers, "body": error.body}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
