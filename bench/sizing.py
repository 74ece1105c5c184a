"""Turns the figures of cluster.py into the tables of docs/operations/sizing.md, and into what they say about other sizes.

Promises that each computed number stands beside the formula and the measured figures that it is made of.
Never touches the text of the document outside of its two marked regions.
"""
import re

from report import ms, table, thousands

# What a cluster is computed for: nodes, cores a node, cores of PostgreSQL.
SHAPES = ((3, 4, 8), (8, 8, 16), (16, 16, 64))
# Cores are not planned to be busier than this.
USED = 0.6
# Round trips between a node and PostgreSQL in milliseconds: same machine, same zone, two zones.
TRIPS = (0, 0.5, 2)
# Round trips that a commit makes while it holds the head (INSERT, UPDATE, COMMIT).
LOCKED_TRIPS = 3
GROUPS = (1, 100, 1000, 10_000)
WAL_DISKS = (100, 500)
CALLS = ("object_puts", "object_parts", "object_gets", "object_heads", "object_deletes", "object_lists")


def per_million(value, events):
    """A figure for a million events."""
    return value * 1e6 / events


def seconds(value):
    """CPU seconds with a useful number of digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def cpu(part, events):
    """The CPU cells of nodes, PostgreSQL, S3 server."""
    return [seconds(per_million(part["cpu"][name], events)) for name in ("nodes", "postgres", "s3")]


def disturbed(part):
    """How much of the machine others took."""
    return f"{part['others']:.0%}"


def lock(part):
    """Microseconds for which a commit held its heads."""
    return part["count"]["lock_micros"] / part["count"]["commits"]


def writing(result):
    """Write, by nodes and projects."""
    rows, n = [], result["events"]
    for cell in result["cells"]:
        part = cell["write"]
        c = part["count"]
        rows.append((cell["nodes"], cell["projects"], thousands(part["client"]["rate"]), *cpu(part, n), thousands(c["events_accepted"] / c["commits"]),
                     ms(lock(part) / 1e6), thousands(c["database_statements"] / c["commits"]), f"{per_million(part['wal'], n) / 1e6:,.0f}",
                     f"{per_million(cell['hot']['postgres'], n) / 1e6:,.0f}", disturbed(part)))
    return table(("nodes", "projects", "events/s", "CPU s: nodes", "PostgreSQL", "S3", "events a commit", "head locked, ms a commit", "statements a commit", "WAL MB", "in PostgreSQL MB",
                  "others"), rows)


def sealing(result):
    """Seal, by nodes and projects."""
    rows, n = [], result["events"]
    for cell in result["cells"]:
        part, stored = cell["seal"], cell["sealed"]
        c = part["count"]
        sizes = [f"{per_million(stored.get(name, 0), n) / 1e6:,.0f}" for name in ("rows.ndjson.zst", "columns.parquet", "hashes")]
        rows.append((cell["nodes"], cell["projects"], f"{c['seals']:.0f}", *cpu(part, n), f"{per_million(part['wal'], n) / 1e6:,.0f}", thousands(c["object_puts"]),
                     thousands(c["object_parts"]), *sizes, f"{per_million(stored['postgres'], n) / 1e6:,.1f}", disturbed(part)))
    return table(("nodes", "projects", "seals", "CPU s: nodes", "PostgreSQL", "S3", "WAL MB", "PUT and upload calls", "parts", "rows MB", "columns MB", "hashes MB", "left in PostgreSQL MB",
                  "others"), rows)


def exporting(result):
    """Export, by form, nodes and projects."""
    rows, n = [], result["events"]
    for name, label in (("zstd", "NDJSON, zstd passed through"), ("ndjson", "NDJSON"), ("csv", "CSV, 16 columns")):
        for cell in result["cells"]:
            part = cell[name]
            c = part["count"]
            rows.append((label, cell["nodes"], cell["projects"], thousands(n / part["seconds"]), *cpu(part, n), thousands(c["database_statements"] / cell["projects"]),
                         thousands(c["object_gets"]), f"{per_million(c['object_bytes_read'], n) / 1e6:,.0f}", disturbed(part)))
    return table(("export", "nodes", "projects", "rows/s", "CPU s: nodes", "PostgreSQL", "S3", "statements an export", "GETs, all", "MB from S3", "others"), rows)


def together(result):
    """A slow stream with the default thresholds."""
    rows, n = [], result["events"]
    for part in result["mixed"]:
        c = part["count"]
        rows.append((part["nodes"], *cpu(part, n), f"{c['seals']:.0f}", f"{c['compactions']:.0f}", f"{per_million(part['wal'], n) / 1e6:,.0f}", *(thousands(c[name]) for name in CALLS),
                     f"{per_million(c['object_bytes_written'], n) / 1e6:,.0f}", disturbed(part)))
    return table(("nodes", "CPU s: nodes", "PostgreSQL", "S3", "seals", "compactions", "WAL MB", "PUT and upload calls", "parts", "GETs", "HEADs", "DELETEs", "LISTs", "MB to S3", "others"), rows)


def distance(result):
    """Exports by the distance of S3 and the number of workers."""
    part, rows = result["far"], []
    for name, label in (("zstd", "NDJSON, zstd passed through"), ("csv", "CSV, 16 columns")):
        for workers in part["workers"]:
            cells = [thousands(part["events"] / part[f"{workers}-{delay}-{name}"]["seconds"]) for delay in part["delays"]]
            rows.append((label, workers or f"{part['cores']} (default, one a core)", *cells))
    return table(("export, rows/s", "`workers`", *(f"S3 {delay} ms farther" for delay in part["delays"])), rows)


def operations(result):
    """What single operations ask of the database and of S3."""
    calls, rows = result["calls"], []

    def row(what, part, times):
        c = part["count"]
        held = ms(lock(part) / 1e6) if c["commits"] else ""
        rows.append((what, f"{c['database_statements'] / times:.1f}", *(f"{c[name] / times:g}" for name in CALLS), held))
    for name, what in (("single-1", "one event a request, 1 client"), ("single-16", "one event a request, 16 clients (they share commits)"),
                       ("known", "one event with `external_id` and `Idempotency-Key`"), ("bulk-1000", "bulk of 1,000"), ("bulk-10000", "bulk of 10,000")):
        part = calls[name]
        row(what, part, requests(name, part))
    row("one bulk of 10,000 with the seal that it causes, and the manifest", calls["seal"], 1)
    segments = f"{calls['segments']:.0f} segment(s)"
    for name, what in (("export", f"export as NDJSON, {segments}"), ("page", f"newest 50 of one actor, {segments}")):
        row(f"{what}, first time", calls[f"{name}-first"], 1)
        row(f"{what}, again", calls[f"{name}-second"], 1)
    return table(("one request", "statements", "PUT and upload calls", "parts", "GETs", "HEADs", "DELETEs", "LISTs", "head locked, ms a commit"), rows)


def requests(name, part):
    """How many requests a part of the single operations made."""
    kind, _, size = name.partition("-")
    return part["client"]["events"] // (int(size) if kind == "bulk" else 1)


def idling(result):
    """The idle cluster."""
    part = result["idle"]
    each = 60 / part["seconds"] / part["nodes"]
    objects = sum(part["count"][name] for name in CALLS)
    used = ", ".join(f"{label} {part['cpu'][name] * 60 / part['seconds']:.2f}" for name, label in (("nodes", "all nodes"), ("postgres", "PostgreSQL"), ("s3", "S3 server")))
    return (f"Idle, {part['nodes']} nodes for {part['seconds']:.0f} s with default settings: {part['count']['database_statements'] * each:.0f} statements and {objects * each:g} S3 calls "
            f"a minute and node; CPU seconds a minute: {used}.")


def measured(result):
    """The region of measured figures."""
    pg, n = result["postgres"], result["events"]
    return f"""Measured by `make bench-cluster` on {result['date']}, Indelible {result['version']}, {n:,} events of {result['event_bytes']:.0f} bytes a run; do not edit by hand.

- Machine: {result['machine']}. **All parts shared these cores**: nodes, PostgreSQL {pg['server_version'].split()[0]}, SeaweedFS and the clients. CPU seconds are
  therefore the figures to plan with; events/s show only what two cores do in all, and more nodes cannot be faster here.
- PostgreSQL: fsync {pg['fsync']}, synchronous_commit {pg['synchronous_commit']}, shared_buffers {pg['shared_buffers']}, else as installed. Everything speaks over loopback.
- "others" is the part of the cores that programs took which do not belong to the measurement.

### Write

{n:,} events, 1,000 a request, 4 connections; nothing is sealed meanwhile. CPU seconds and MB are for a million events.

{writing(result)}

### Seal

The same events into segments of up to 512 MiB of lines. CPU seconds and MB are for a million events.

{sealing(result)}

### Export

All projects at once from restarted nodes, which read everything from S3. CPU seconds and MB are for a million events.

{exporting(result)}

### Export from an S3 server that is far away

{result['far']['events']:,} events, one node, each request to S3 held up by a proxy.

{distance(result)}

### Write, seal, compact and collect

A slow stream: one project, default thresholds, what is due done before more comes, superseded objects deleted at once. What is hot at the end stays. CPU seconds and MB are for a million events, calls are counts of the run.

{together(result)}

### Round trips of single requests

One node with nothing else to do. One statement of each request looks up the API key.

{operations(result)}

{idling(result)}"""


def mean(values):
    """The arithmetic mean."""
    values = list(values)
    return sum(values) / len(values)


def lifecycle(result):
    """CPU seconds of a million events until they are compacted, by part: mean over the runs of default settings."""
    return {name: mean(per_million(part["cpu"][name], result["events"]) for part in result["mixed"]) for name in ("nodes", "postgres", "s3")}


def shapes(result):
    """Events/s of clusters by their cores."""
    cost, rows = lifecycle(result), []
    for nodes, cores, database in SHAPES:
        node_rate, database_rate = nodes * cores * USED * 1e6 / cost["nodes"], database * USED * 1e6 / cost["postgres"]
        rate = min(node_rate, database_rate)
        rows.append((f"{nodes} nodes of {cores} cores, PostgreSQL of {database}", thousands(node_rate), thousands(database_rate), "nodes" if node_rate <= database_rate else "PostgreSQL",
                     f"{rate * cost['s3'] / 1e6 / USED:.1f}", f"{rate * 86_400 / 1e9:,.1f}"))
    return table(("cluster", "limit of the nodes, events/s", "limit of PostgreSQL, events/s", "less is", "cores of S3 for it", "thousand million events a day"), rows)


def heads(result):
    """Events/s of one project by the size of its commits and the distance of the database."""
    calls = result["calls"]
    one, many = lock(calls["single-1"]), lock(calls["bulk-10000"])
    events = calls["bulk-10000"]["count"]["events_accepted"] / calls["bulk-10000"]["count"]["commits"]
    each = max(0.0, (many - one) / (events - 1))
    rows = []
    for group in GROUPS:
        cells = []
        for trip in TRIPS:
            held = one + each * (group - 1) + LOCKED_TRIPS * trip * 1e3
            cells.append(f"{thousands(group * 1e6 / held)} ({ms(held / 1e6)} ms)")
        rows.append((thousands(group), *cells))
    text = table(("events a commit", *(f"round trip + {trip} ms" for trip in TRIPS)), rows)
    return one, each, text


def wal(result):
    """Bytes of WAL of one event, and what disks allow."""
    each = mean(part["wal"] / result["events"] for part in result["mixed"])
    return each, ", ".join(f"{speed} MB/s of WAL are {thousands(speed * 1e6 / each)} events/s" for speed in WAL_DISKS)


def computed(result):
    """The region of computed figures."""
    cost, n = lifecycle(result), result["events"]
    one, each, head_table = heads(result)
    bytes_, disks = wal(result)
    mixed = result["mixed"][0]
    writes = sum(per_million(mixed["count"][name], n) for name in ("object_puts", "object_parts"))
    reads = sum(per_million(mixed["count"][name], n) for name in ("object_gets", "object_heads"))
    deletes = per_million(mixed["count"]["object_deletes"], n)
    stored = result["cells"][-1]["sealed"]
    objects = sum(stored.get(name, 0) for name in ("rows.ndjson.zst", "columns.parquet", "hashes")) / n
    export = {name: mean(per_million(cell[name]["cpu"]["nodes"], n) for cell in result["cells"]) for name in ("zstd", "ndjson", "csv")}
    gets = mean(per_million(cell["ndjson"]["count"]["object_gets"], n) for cell in result["cells"])
    idle = result["idle"]["count"]["database_statements"] * 60 / result["idle"]["seconds"] / result["idle"]["nodes"]
    return f"""Computed from the figures above by the same command; do not edit by hand. **Not measured**: nothing here was run on more than the machine above.

**Cores.** A million events cost {seconds(cost['nodes'])} CPU seconds on nodes until they are written, sealed and compacted, {seconds(cost['postgres'])} on PostgreSQL, {seconds(cost['s3'])} on the S3 server.
So a core of a node takes 1,000,000 / {seconds(cost['nodes'])} = {thousands(1e6 / cost['nodes'])} events/s, and a core of PostgreSQL {thousands(1e6 / cost['postgres'])}. With cores {USED:.0%} busy, if cost stays in
proportion to cores, and with projects enough that no single head is the limit:

{shapes(result)}

**One project.** Its commits follow each other, whatever the number of nodes: events/s ≤ events of a commit / time for which the head is locked. That time is {one:,.0f} µs for a commit of one event and {each:.2f} µs for each
further one (measured over loopback: commits of 1 and of 10,000), and {LOCKED_TRIPS} round trips to PostgreSQL. A slower disk under its WAL comes on top, once a commit. A commit has as many events as arrived during the one
before, some 20,000 at most. Events/s, and in brackets how long the head is locked:

{head_table}

**WAL.** An event writes {thousands(bytes_)} bytes of it, sealing and compaction included (each batch is written once, and its deletion noted): {disks}. Replicas receive the same.

**S3.** With the default thresholds a million events cause {writes:,.0f} write requests (PUT, parts, begin and end of uploads), {reads:,.0f} reads and {deletes:,.0f} deletions, and keep {objects:,.0f} bytes each. Exporting a million
asks {gets:,.0f} GETs. A project that sends little still causes one seal every `seal_age` (30 days), 4 write requests.

**Export.** A core of a node, with S3 near, gives {thousands(1e6 / export['zstd'])} rows/s as zstd passed through, {thousands(1e6 / export['ndjson'])} as NDJSON, {thousands(1e6 / export['csv'])} as CSV; PostgreSQL has next to nothing to do with it.

**Idle nodes.** Each asks {idle:.0f} statements a minute: 100 nodes are {idle * 100 / 60:,.0f} statements/s. `INDELIBLE_TASK_INTERVAL_MS` lowers that; wake-ups do not wait for it."""


def write(target, result):
    """Puts both regions into the document."""
    text = target.read_text()
    for name, part in (("measured", measured(result)), ("computed", computed(result))):
        text, count = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", lambda m, part=part: f"{m[1]}{part}\n{m[2]}", text, flags=re.S)
        if count != 1:
            raise SystemExit(f"{target} has no region <!-- {name} -->")
    target.write_text(text)
