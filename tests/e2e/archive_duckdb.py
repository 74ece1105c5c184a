"""Counts rows of Parquet files with DuckDB. Run by the Python of servers.tools(); not a test by itself.

Reads {"files": [...], "s3": null or {"endpoint", "access", "secret", "region"}, "filters": [SQL, ...]} from standard input and writes the counts,
one a filter, as a JSON list. Files in S3 are read through PyArrow, since DuckDB's own S3 support is a download.
"""

import json
import sys

import duckdb
import pyarrow.dataset
import pyarrow.fs


def main():
    task = json.load(sys.stdin)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if task["s3"]:
        s3 = task["s3"]
        scheme, _, host = s3["endpoint"].partition("://")
        bucket = pyarrow.fs.S3FileSystem(access_key=s3["access"], secret_key=s3["secret"], region=s3["region"], endpoint_override=host, scheme=scheme)
        files = [name.removeprefix("s3://") for name in task["files"]]
        connection.register("events", pyarrow.dataset.dataset(files, filesystem=bucket, format="parquet", partitioning=None))
    else:
        connection.execute("CREATE VIEW events AS SELECT * FROM read_parquet(" + json.dumps(task["files"]).replace('"', "'") + ", hive_partitioning = false)")
    json.dump([connection.execute(f"SELECT count(*) FROM events WHERE {f}").fetchone()[0] for f in task["filters"]], sys.stdout)


if __name__ == "__main__":
    main()
