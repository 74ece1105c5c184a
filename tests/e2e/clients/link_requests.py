"""Fetches a link with requests, breaking the connection off after every few bytes and going on from there. Takes the URL, the file and the bytes at a time."""

import json
import sys

import requests

url, file, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
session, got, headers, rounds, length = requests.Session(), 0, {}, 0, None
with open(file, "wb") as out:
    while length is None or got < length:
        with session.get(url, headers=headers, stream=True, timeout=60) as answer:
            answer.raise_for_status()
            if answer.status_code == 200:
                out.truncate(0)
                out.seek(0)
                got = 0
            length = got + int(answer.headers["Content-Length"])
            taken = 0
            for chunk in answer.iter_content(65536):
                out.write(chunk)
                taken += len(chunk)
                if taken >= most:
                    break
            got += taken
            headers = {"Range": f"bytes={got}-", "If-Range": answer.headers["ETag"]}
            rounds += 1
print(json.dumps({"rounds": rounds, "name": answer.headers["Content-Disposition"], "type": answer.headers["Content-Type"]}))
