"""A small S3 client over http.client: what the tests need to look into a bucket from outside. Knows nothing of the product.

Path-style requests, signed with AWS Signature Version 4. Repeats nothing by itself.
"""

import datetime
import hashlib
import hmac
import http.client
import os
import urllib.parse
import xml.etree.ElementTree


class S3Error(Exception):
    """An answer that is not a success."""

    def __init__(self, status, body):
        super().__init__(f"S3 answered {status}: {body[:300]!r}")
        self.status = status


class S3:
    """A bucket. `region` is only signed, for servers that have none."""

    def __init__(self, endpoint, bucket, access, secret, region="us-east-1", timeout=30):
        parts = urllib.parse.urlsplit(endpoint)
        self.scheme, self.host, self.bucket, self.timeout = parts.scheme, parts.netloc, bucket, timeout
        self.access, self.secret, self.region = access, secret, region

    def request(self, method, key="", query=None, body=b""):
        """The body of a successful answer; S3Error for another, OSError or HTTPException if there is none."""
        path = "/" + urllib.parse.quote(f"{self.bucket}/{key}" if key else self.bucket, safe="/-_.~")
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted((query or {}).items()))
        connect = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        connection = connect(self.host, timeout=self.timeout)
        try:
            connection.request(method, path + ("?" + query if query else ""), body=body, headers=self.sign(method, path, query, body))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise S3Error(answer.status, data)
        return data

    def sign(self, method, path, query, body):
        """The headers of a signed request."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        headers = {"host": self.host, "x-amz-content-sha256": hashlib.sha256(body).hexdigest(), "x-amz-date": now}
        names = ";".join(headers)
        canonical = "\n".join([method, path, query, *(f"{k}:{v}" for k, v in headers.items()), "", names, headers["x-amz-content-sha256"]])
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self.secret.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        return {**headers, "Authorization": f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, Signature={signature}"}

    def list(self, prefix=""):
        """All keys with a prefix -> their sizes."""
        found, query = {}, {"list-type": "2", "prefix": prefix}
        while True:
            page = parse(self.request("GET", query=query))
            found.update({entry.findtext("Key"): int(entry.findtext("Size")) for entry in page.iter("Contents")})
            if page.findtext("IsTruncated") != "true":
                return found
            query["continuation-token"] = page.findtext("NextContinuationToken")

    def uploads(self, prefix=""):
        """Unfinished multipart uploads: [(key, upload id)]."""
        page = parse(self.request("GET", query={"uploads": "", "prefix": prefix, "max-uploads": "1000"}))
        return [(entry.findtext("Key"), entry.findtext("UploadId")) for entry in page.iter("Upload")]

    def parts(self, key, upload):
        """How many parts of an upload are there."""
        return sum(1 for _ in parse(self.request("GET", key, query={"uploadId": upload})).iter("Part"))

    def get(self, key):
        return self.request("GET", key)

    def put(self, key, body):
        self.request("PUT", key, body=body)

    def delete(self, key):
        self.request("DELETE", key)


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def parse(data):
    """An XML answer without its name space."""
    root = xml.etree.ElementTree.fromstring(data)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def from_environment():
    """The bucket and the prefix (with its slash, or empty) that INDELIBLE_TEST_OBJECTS_URL names."""
    place = urllib.parse.urlsplit(os.environ["INDELIBLE_TEST_OBJECTS_URL"])
    region = os.environ.get("AWS_REGION", "us-east-1")
    endpoint = os.environ.get("INDELIBLE_TEST_S3_ENDPOINT") or f"https://s3.{region}.amazonaws.com"
    prefix = place.path.strip("/")
    return S3(endpoint, place.netloc, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], region), prefix + "/" if prefix else ""
