"""Drives the client layer of loyaltydog-mcp, and `requests` for what it has no call for: one JSON question a line in, one answer a line out.

{"get": "/path", "params": {...}, "key": "..."}, {"post": "/path", "body": {...}, "key": "..."} or {"download": "url", "headers": {...}}. Without a key the client takes LOYALTYDOG_API_KEY.
"""

import asyncio
import json
import sys

import httpx
import requests
from loyaltydog_mcp.client import APIClient, error_detail


async def call(question):
    key = question.get("key")
    async with APIClient(key) if key else APIClient() as client:
        try:
            if "get" in question:
                return {"ok": await client.get(question["get"], **question.get("params", {}))}
            return {"ok": await client.post(question["post"], question.get("body"))}
        except httpx.HTTPStatusError as error:
            return {"status": error.response.status_code, "detail": error_detail(error), "body": error.response.json(), "headers": dict(error.response.headers)}


def download(question):
    answer = requests.get(question["download"], headers=question.get("headers"), timeout=60)
    answer.encoding = "utf-8"
    return {"status": answer.status_code, "headers": {k.lower(): v for k, v in answer.headers.items()}, "text": answer.text}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(download(asked) if "download" in asked else asyncio.run(call(asked))), flush=True)
