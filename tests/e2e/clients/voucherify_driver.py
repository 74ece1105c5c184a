"""Drives Voucherify's SDK for Python: {"client": {"host", "id", "token"}, "api": "ExportsApi", "call": "get_export", "args": {...}} a line in, {"ok"} or {"error"} a line out."""

import json
import sys

import voucherify
from voucherify.rest import ApiException


def plain(value):
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "data"):  # an answer that was not read into a model
        return {"status": value.status, "headers": {k.lower(): v for k, v in value.headers.items()}, "body": value.data.decode()}
    return value


def answer(question):
    own = question["client"]
    settings = voucherify.Configuration(host=own["host"], api_key={"X-App-Id": own["id"], "X-App-Token": own["token"]})
    with voucherify.ApiClient(settings) as client:
        call = getattr(getattr(voucherify, question["api"])(client), question["call"])
        try:
            return {"ok": plain(call(**question.get("args", {})))}
        except ApiException as error:
            return {"error": type(error).__name__, "status": error.status, "body": error.body}
        except ValueError as error:  # a model that does not take what it was given
            return {"error": type(error).__name__, "message": str(error)}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), default=str), flush=True)
