"""Counts rows of Parquet files with Spark in local mode. Run by the Python of servers.tools(("pyspark==...",)); not a test by itself.

Reads {"files": [...], "filters": [SQL, ...]} from standard input and writes the counts, one a filter, to the file that its argument names.
"""

import json
import sys

from pyspark.sql import SparkSession


def main():
    task = json.load(sys.stdin)
    spark = (SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
             .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate())
    events = spark.read.parquet(*task["files"])
    events.createOrReplaceTempView("events")
    counts = [spark.sql(f"SELECT count(*) FROM events WHERE {f}").collect()[0][0] for f in task["filters"]]
    with open(sys.argv[1], "w") as out:
        json.dump(counts, out)
    spark.stop()


if __name__ == "__main__":
    main()
