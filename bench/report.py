"""Turns figures into the tables of docs/benchmarks.md.

Promises that each goal is judged by figures of the same run. Never rounds a missed goal into a met one.
"""


def thousands(value):
    """1234567 -> 1,234,567."""
    return f"{value:,.0f}"


def ms(seconds):
    """Milliseconds with a useful number of digits."""
    value = seconds * 1e3
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def table(head, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def speed_row(what, who, figures, rows, peak=None, first=None):
    """One row of the export table."""
    size = figures["bytes"]
    return (what, who, f"{figures['seconds']:.3f} ({figures['best']:.3f}–{figures['worst']:.3f})", thousands(rows / figures["seconds"]),
            thousands(size / figures["seconds"] / 1e6) if size else "", f"{figures['cpu']:.2f}" if figures["cpu"] else "",
            ms(first["median"]) if first else "", f"{peak / 1e6:.0f}" if peak else "")


def figures_tables(result):
    """All measured figures."""
    total, ours, parts = result["events"], result.get("exports", {}), []
    postgres, sqlite, nginx = result.get("postgres", {}), result.get("sqlite", {}), result.get("nginx", {})
    rows = [speed_row(item["label"], "Indelible", item, item["rows"], item["peak"], item["first_byte"]) for item in ours.values()]
    for name, what, count in (("csv", "full CSV, 9 columns, in order", "rows"), ("csv-bare", "full CSV, 9 columns, no order, times as stored", "rows"),
                              ("ndjson", "full NDJSON", "rows"), ("month", "one month, CSV, 9 columns", "month"), ("action", "action=user.login (5 %), CSV", "login")):
        if name in postgres:
            rows.append(speed_row(what, "PostgreSQL COPY, psql", postgres[name], result["facts"][count]))
    if sqlite:
        rows.append(speed_row("full CSV, 9 columns", "SQLite shell", sqlite["csv"], total))
    for name, what in (("ndjson", "the NDJSON as a static file"), ("zstd", "the zstd NDJSON as a static file")):
        if name in nginx:
            rows.append(speed_row(what, "nginx", nginx[name], ours[name]["rows"]))
    if rows:
        parts.append("### Export\n\n" + table(("what", "who", "seconds: median (min–max)", "rows/s", "MB/s", "server CPU s", "first byte ms", "peak RSS MB"), rows))
    rows = []
    for name, figure in {**result.get("bulk", {}), **result.get("singles", {})}.items():
        kind, *numbers = name.split("-")
        what = f"bulk, {int(numbers[0]):,} a body, {numbers[1]} connection(s)" if kind == "bulk" else f"one event a request, {numbers[0]} client(s)"
        rows.append((what, "Indelible", figure))
    rows += [(f"COPY of 1,000 a transaction, key and index in place, {n} session(s)", "PostgreSQL", postgres[f"ingest-{n}"])
             for n in (1, 4) if f"ingest-{n}" in postgres]
    if sqlite:
        rows.append(("transactions of 1,000, key and index in place", "SQLite", sqlite["ingest"]))
    rows = [(what, who, thousands(f["rate"]), ms(f["p50"]), ms(f["p99"]), thousands(f["events"])) for what, who, f in rows]
    for size, f in result.get("fdatasync", {}).items():
        rows.append((f"append of {size} + fdatasync", "disk", f"{f['rate']:,.0f} appends/s", ms(f["p50"]), ms(f["p99"]), ""))
    if rows:
        parts.append("### Durable ingest\n\n" + table(("what", "who", "events/s acknowledged", "p50 ms", "p99 ms", "events"), rows))
    rows = [(page["label"], "Indelible", ms(page["median"]), f"{ms(page['best'])}–{ms(page['worst'])}", ms(page["first"])) for page in result.get("pages", {}).values()]
    if "actor" in postgres:
        f = postgres["actor"]
        rows.append(("newest 50 by the rare actor, index (tenant, actor, time)", "PostgreSQL, one psql", ms(f["median"]), f"{ms(f['best'])}–{ms(f['worst'])}", ms(f["first"])))
    if rows:
        parts.append("### Look-ups\n\n" + table(("what", "who", "median ms", "min–max ms", "first call ms"), rows))
    if "disk" in result:
        rows = [(part, f"{size / result['stored']:.1f}") for part, size in sorted(result["disk"].items())]
        rows.append(("**all of Indelible**", f"**{sum(result['disk'].values()) / result['stored']:.1f}**"))
        rows += [(name, f"{peer['disk']:.1f}") for name, peer in (("PostgreSQL with key and two indexes", postgres), ("SQLite with key and one index", sqlite)) if peer]
        rows.append(("the events as generated, plain NDJSON", f"{result['facts']['bytes'] / total:.1f}"))
        parts.append("### Bytes on disk an event\n\n" + table(("part", "bytes"), rows))
    if "small" in result:
        small = result["small"]
        rows = [(ours[name]["label"], f"{small['exports'][name]['peak'] / 1e6:.0f}", f"{ours[name]['peak'] / 1e6:.0f}") for name in small["exports"] if name in ours]
        parts.append("### Peak RSS of the server, MB\n\n" + table(("export", f"{small['events']:,} rows", f"{total:,} rows"), rows))
    times = result.get("times", {})
    if times:
        parts.append(f"Sealing and compacting everything by the command line took {times['seal']:.1f} s, the restart {times['ready']:.2f} s until ready. "
                     f"RSS after the restart: {times['rss'] / 1e6:.0f} MB.")
    return "\n\n".join(parts)


def goals(result):
    """(what, ours, peer, ratio or figure, goal, aim, met) for each criterion that this run can judge."""
    ours, postgres, nginx = result.get("exports", {}), result.get("postgres", {}), result.get("nginx", {})
    total, rows = result["events"], []

    def ratio(what, mine, theirs, goal, aim=None):
        value = mine / theirs
        rows.append((what, thousands(mine), thousands(theirs), f"{value:.1f}×", f"≥ {goal}×" + (f" (aim {aim}×)" if aim else ""), value >= goal))

    def below(what, value, goal, unit, shown):
        rows.append((what, shown, "", "", f"< {goal} {unit}", value < goal))
    if postgres and "csv" in ours:
        ratio("full CSV, 9 columns / PostgreSQL COPY by psql, rows/s", ours["csv"]["rate"], total / postgres["csv"]["seconds"], 4, 8)
        ratio("full NDJSON / PostgreSQL COPY by psql, rows/s", ours["ndjson"]["rate"], total / postgres["ndjson"]["seconds"], 10, 20)
    if "ndjson" in nginx:
        ratio("zstd NDJSON passed through / nginx serving it plain, rows/s", ours["zstd"]["rate"], ours["ndjson"]["rows"] / nginx["ndjson"]["seconds"], 2)
    if "bulk" in result and "ingest-1" in postgres:
        bulk = result["bulk"]
        ratio("bulk ingest, 1,000 a body, 1 connection / COPY of 1,000, 1 session, events/s", bulk["bulk-1000-1"]["rate"], postgres["ingest-1"]["rate"], 2, 3)
        best = max(postgres[f"ingest-{n}"]["rate"] for n in (1, 4))
        ratio("bulk ingest, best / COPY, best, events/s", max(f["rate"] for f in bulk.values()), best, 2, 3)
    if "pages" in result:
        page = result["pages"]["actor-page"]
        below("newest 50 by the rare actor, warm median", page["median"] * 1e3, 10, "ms", f"{ms(page['median'])} ms")
    if "csv" in ours:
        worst = max((item["first_byte"]["median"], item["label"]) for name, item in ours.items() if name in ("csv", "csv-logproof", "json", "ndjson", "zstd"))
        below(f"first byte, slowest full export ({worst[1]})", worst[0] * 1e3, 20, "ms", f"{ms(worst[0])} ms")
    if "small" in result and ours:
        small = max(item["peak"] for item in result["small"]["exports"].values())
        large = max(ours[name]["peak"] for name in result["small"]["exports"])
        rows.append((f"peak RSS of full exports, {total:,} rows / {result['small']['events']:,} rows, MB", f"{large / 1e6:.0f}", f"{small / 1e6:.0f}",
                     f"{large / small:.2f}×", "flat: ≤ 1.25× or + 32 MB", large <= max(small * 1.25, small + 32e6)))
    return rows


def goals_table(result):
    """The table of ratios."""
    rows = [(*row[:-1], "met" if row[-1] else "**fell short**") for row in goals(result)]
    return table(("criterion", "ours", "peer", "ratio", "goal", "result"), rows) if rows else "This run measured no peer to compare with."


def beyond(result):
    """Ratios that no goal asks for but a reader wants."""
    ours, postgres, sqlite = result.get("exports", {}), result.get("postgres", {}), result.get("sqlite", {})
    rows = []
    if "csv" in ours and postgres:
        rows.append(("full CSV / PostgreSQL's fastest form (no order, times as stored)", ours["csv"]["rate"] / (result["events"] / postgres["csv-bare"]["seconds"])))
        rows += [(f"{ours[name]['label']} / PostgreSQL COPY", postgres[name]["seconds"] / ours[name]["seconds"]) for name in ("month", "action") if name in ours]
    if "csv" in ours and sqlite:
        rows.append(("full CSV / SQLite shell", ours["csv"]["rate"] / (result["events"] / sqlite["csv"]["seconds"])))
    if "bulk" in result and sqlite:
        rows.append(("bulk ingest, 1,000 a body, 1 connection / SQLite", result["bulk"]["bulk-1000-1"]["rate"] / sqlite["ingest"]["rate"]))
    return table(("also", "ratio"), [(what, f"{value:.1f}×") for what, value in rows]) if rows else ""


def document(result):
    """The whole of docs/benchmarks.md."""
    named = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"""# Benchmarks

Written by `make bench` on {result['date']}; do not edit by hand.

- Machine: {result['machine']}. Server, client and peers share it; every figure is warm unless it says otherwise.
- Data: {result['events']:,} seeded events over twelve months, {result['facts']['bytes'] / result['events']:.0f} bytes each; `bench/generate.py` makes the same bytes again.
- State: loaded by `POST /v1/events/bulk`, sealed and compacted, server restarted, then measured: one warm-up, median of 3 runs, curl to /dev/null.
  Each export's rows were counted against the generator before it was timed.
- Indelible {result['version']}; {named}. PostgreSQL: private cluster, fsync on, 2 GB shared buffers, psql over its socket.

## Against the goals

{goals_table(result)}

{beyond(result)}

## Figures

{figures_tables(result)}
"""
