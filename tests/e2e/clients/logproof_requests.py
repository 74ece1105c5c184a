"""Saves a LogProof export as its documentation does with requests: streamed, in pieces of 8192 bytes. usage: BASE KEY FILE PARAMETERS(JSON)"""

import json
import sys

import requests

base, key, path, parameters = sys.argv[1:]
answer = requests.get(f"{base}/v1/events/export", headers={"Authorization": f"Bearer {key}"}, params=json.loads(parameters), stream=True)
with open(path, "wb") as out:
    for piece in answer.iter_content(chunk_size=8192):
        out.write(piece)
print(json.dumps({"status": answer.status_code, "headers": {k.lower(): v for k, v in answer.headers.items()}}))
