"""Where a cluster store lies: a database and a prefix in a bucket, fresh for each test and gone after it."""

import contextlib
import os
import secrets
import urllib.parse

import s3
from servers import psql

HINT = "run the tests by `scripts/with-servers COMMAND` (make does), or set INDELIBLE_TEST_DATABASE_URL and INDELIBLE_TEST_OBJECTS_URL"


class Place:
    """A database of its own on a PostgreSQL server, and a prefix of its own in a bucket."""

    def __init__(self, server, client, prefix=""):
        self.server, self.s3 = server, client
        self.name = f"e2e_{secrets.token_hex(8)}"
        self.prefix = f"{prefix}{self.name}/"
        parts = urllib.parse.urlsplit(server)
        self.database = urllib.parse.urlunsplit(parts._replace(path="/" + self.name))
        self.objects = f"s3://{client.bucket}/{self.prefix.rstrip('/')}"
        psql(server, f"CREATE DATABASE {self.name}")

    @classmethod
    def of(cls, postgres, seaweed):
        """On private servers."""
        return cls(postgres.url, seaweed.client())

    @classmethod
    def from_environment(cls):
        """On the servers that the environment names."""
        if not os.environ.get("INDELIBLE_TEST_DATABASE_URL") or not os.environ.get("INDELIBLE_TEST_OBJECTS_URL"):
            raise AssertionError(f"no servers to test with: {HINT}")
        client, prefix = s3.from_environment()
        return cls(os.environ["INDELIBLE_TEST_DATABASE_URL"], client, prefix)

    def env(self):
        """The settings under which a server or a command uses it."""
        scheme = f"{self.s3.scheme}://{self.s3.host}"
        return {"INDELIBLE_DATABASE_URL": self.database, "INDELIBLE_OBJECTS_URL": self.objects, "INDELIBLE_S3_ENDPOINT": scheme, "INDELIBLE_S3_REGION": self.s3.region,
                "AWS_ACCESS_KEY_ID": self.s3.access, "AWS_SECRET_ACCESS_KEY": self.s3.secret}

    def keys(self):
        """Keys of all objects without the prefix -> their sizes."""
        return {key.removeprefix(self.prefix): size for key, size in self.s3.list(self.prefix).items()}

    def uploads(self):
        """Unfinished multipart uploads, keys without the prefix."""
        return [(key.removeprefix(self.prefix), upload) for key, upload in self.s3.uploads(self.prefix) if key.startswith(self.prefix)]

    def parts(self, key, upload):
        """How many parts of an unfinished upload are there."""
        return self.s3.parts(self.prefix + key, upload)

    def read(self, key):
        return self.s3.get(self.prefix + key)

    def query(self, statement):
        return psql(self.database, statement)

    def close(self):
        """Drops the database and what lies under the prefix; no matter if the servers are gone."""
        with contextlib.suppress(RuntimeError):
            psql(self.server, f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        with contextlib.suppress(OSError, s3.S3Error):
            for key in self.s3.list(self.prefix):
                self.s3.delete(key)
