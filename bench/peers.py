"""The floors (nginx, fdatasync) and the peers (PostgreSQL, SQLite), each private to the scratch folder.

Promises that every peer holds the same events in typed columns, durable in the same sense (fsync on), and gives the same
columns; PostgreSQL is measured in its fastest form as well. Never uses a system service or its data.
"""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time

from common import cpu_seconds, curl, free_port, in_pool, quantile, repeated, say, stop, tool, wait_for
from generate import RARE_ACTOR, STEP

COLUMNS = ("id", "time", "tenant_id", "action", "actor_id", "actor_type", "actor_name", "actor_email", "target_id", "target_type",
           "target_name", "subject_id", "subject_type", "subject_name", "ip", "user_agent", "request_id", "before", "after", "metadata")
JSON_COLUMNS = ("before", "after", "metadata")
NINE = (("time", "Timestamp"), ("target_type", "Entity Type"), ("target_name", "Entity Name"), ("action", "Action"),
        ("actor_name", "Actor Name"), ("actor_email", "Actor Email"), ("subject_name", "Target Name"),
        ("before", "Previous Value"), ("after", "New Value"))
TENANT = "default"
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def compact(value):
    """Compact JSON text or None."""
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def columns(position, line):
    """One event as a row; the id is a UUIDv7 that rises with the position, which suits a B-tree best."""
    event = json.loads(line)
    actor, target, context = event["actor"], event["target"], event["context"]
    subject, diff = event.get("subject", {}), event.get("diff", {})
    noise = position * 0x9E3779B97F4A7C15 & (1 << 60) - 1
    return (f"{1735689600000 + position:012x}7{position & 0xFFF:03x}8{noise:015x}", event["occurred_at"], TENANT, event["action"],
            actor["id"], actor["type"], actor["meta"]["name"], actor["meta"]["email"], target["id"], target["type"],
            target["meta"]["name"], subject.get("id"), subject.get("type"), subject.get("name"), context["ip"], context["user_agent"],
            context["request_id"], compact(diff.get("before")), compact(diff.get("after")), compact(event["metadata"]))


def read_rows(job):
    """The rows of one block of the generated file."""
    path, start, end, first = job
    with open(path, "rb") as source:
        source.seek(start)
        lines = source.read(end - start).decode().split("\n")
    return [columns(first + i, line) for i, line in enumerate(lines) if line]


def copy_text(job):
    """The same rows in the text form of COPY."""
    return "".join("\t".join("\\N" if cell is None else cell.translate(ESCAPES) for cell in row) + "\n" for row in read_rows(job)).encode()


def blocks(events, count, size=10 * STEP):
    """Jobs for the two functions above."""
    return [(events.path, start, end, i * size) for i, (start, end, _) in enumerate(events.bodies(0, count, size))]


def drained(command):
    """Run a command with its output discarded: (seconds, 0), and fail loudly."""
    started = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')[-500:]}")
    return time.perf_counter() - started, 0


# ---------- floors ----------
def nginx(folder, files, cleanup):
    """Serve files as they lie, with sendfile, to the same curl; figures by name."""
    home, port = folder / "nginx", free_port()
    cleanup.callback(shutil.rmtree, home, ignore_errors=True)
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    temporary = "".join(f"  {kind}_temp_path {home}/tmp;\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(
        f"{'user root;' if os.getuid() == 0 else ''}\nworker_processes auto;\npid {home}/nginx.pid;\nerror_log {home}/error.log;\n"
        f"events {{ worker_connections 64; }}\nhttp {{\n{temporary}  access_log off;\n  sendfile on;\n  tcp_nopush on;\n"
        f"  server {{ listen 127.0.0.1:{port}; root {folder}; }}\n}}\n")
    process = subprocess.Popen([tool("nginx"), "-p", str(home), "-c", str(home / "nginx.conf"), "-g", "daemon off;"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    cleanup.callback(stop, process)
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: subprocess.run(["curl", "-s", "-o", "/dev/null", url], check=False).returncode == 0, 20, "nginx")
    found = {name: repeated(lambda path=path: curl(f"{url}/{path.name}"), process.pid) for name, path in files.items()}
    stop(process)
    return found


def fdatasync(folder, size, seconds=2.0):
    """Appends of `size` bytes, each made durable: how many a second, and their latency."""
    path, data, took = folder / "fdatasync.bin", os.urandom(size), []
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        started = time.perf_counter()
        os.write(target, data)
        os.fdatasync(target)
        took.append(time.perf_counter() - started)
    os.close(target)
    path.unlink()
    return {"rate": len(took) / sum(took), "p50": quantile(took, .5), "p99": quantile(took, .99)}


# ---------- PostgreSQL ----------
class Postgres:
    """A private cluster that only a socket in its own folder reaches."""

    SETTINGS = ("listen_addresses=''", "fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=2GB", "work_mem=64MB",
                "maintenance_work_mem=512MB", "effective_cache_size=8GB", "max_wal_size=8GB", "random_page_cost=1.1")
    TABLE = ", ".join(f'"{name}" ' + {"id": "uuid", "time": "timestamptz NOT NULL"}.get(name, "json" if name in JSON_COLUMNS else "text")
                      for name in COLUMNS)

    def __init__(self, folder, cleanup):
        self.folder, self.home = folder, folder / "postgres"
        self.data, self.process = self.home / "data", None
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        self.owner = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.owner:
            shutil.chown(self.home, "postgres")
        for parent in (folder, *folder.parents) if self.owner else ():
            if not parent.stat().st_mode & 1:
                raise SystemExit(f"user postgres may not enter {parent}: set INDELIBLE_BENCH_DIR to a folder that it may")
        cleanup.callback(shutil.rmtree, self.home, ignore_errors=True)
        cleanup.callback(self.stop)

    def start(self):
        """Make the cluster and start it."""
        subprocess.run([*self.owner, tool("initdb"), "-D", str(self.data), "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", "bench"],
                       check=True, stdout=subprocess.DEVNULL, cwd=self.home)
        settings = [word for setting in (*self.SETTINGS, f"unix_socket_directories='{self.home}'") for word in ("-c", setting.replace("'", ""))]
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen([*self.owner, tool("postgres"), "-D", str(self.data), *settings], stdout=log, stderr=log, cwd=self.home)
        wait_for(lambda: subprocess.run(self.psql("-c", "SELECT 1"), capture_output=True, check=False).returncode == 0, 60, "PostgreSQL")

    def stop(self):
        """Fast shutdown; the postmaster, not the wrapper that changed the user, gets the signal."""
        if self.process and self.process.poll() is None:
            subprocess.run([*self.owner, tool("pg_ctl"), "-D", str(self.data), "-m", "fast", "-w", "stop"], stdout=subprocess.DEVNULL, check=False, cwd=self.home)
            stop(self.process)

    def psql(self, *arguments):
        """A psql command line."""
        return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.home), "-U", "bench", "-d", "postgres", *arguments]

    def run(self, *statements):
        """Run statements one after the other; gives the last one's output."""
        options = [word for statement in statements for word in ("-c", statement)]
        done = subprocess.run(self.psql("-At", *options), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr[-500:]}")
        return done.stdout.strip()

    def load(self, events):
        """Fill the table, then build key and indexes."""
        self.run(f"CREATE TABLE events ({self.TABLE})")
        started = time.perf_counter()
        feed = subprocess.Popen(self.psql("-c", "COPY events FROM STDIN"), stdin=subprocess.PIPE)
        for text in in_pool(copy_text, blocks(events, events.total)):
            feed.stdin.write(text)
        feed.stdin.close()
        if feed.wait():
            raise RuntimeError("loading PostgreSQL failed")
        self.run("ALTER TABLE events ADD PRIMARY KEY (id)", "CREATE INDEX ON events (tenant_id, time)", "CREATE INDEX ON events (tenant_id, actor_id, time)",
                 "VACUUM (ANALYZE, FREEZE) events", "CHECKPOINT")
        say(f"PostgreSQL loaded in {time.perf_counter() - started:.0f} s")
        if int(self.run("SELECT count(*) FROM events")) != events.total:
            raise RuntimeError("PostgreSQL does not hold all events")

    def bytes_per_event(self, total):
        """Table, key and both indexes."""
        return int(self.run("SELECT pg_total_relation_size('events')")) / total

    @staticmethod
    def nine_csv(condition="true", bare=False):
        """COPY of the nine columns; `bare` leaves out the order and the wire form of times, the fastest PostgreSQL can."""
        time_text = '"time"' if bare else """to_char("time" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
        cells = ", ".join((time_text if name == "time" else f'"{name}"') + f' AS "{title}"' for name, title in NINE)
        order = "" if bare else ' ORDER BY "time"'
        return f"COPY (SELECT {cells} FROM events WHERE tenant_id = '{TENANT}' AND {condition}{order}) TO STDOUT WITH (FORMAT csv, HEADER)"

    @staticmethod
    def ndjson():
        """COPY of whole events as JSON; quote and delimiter are bytes that JSON text never holds, so that nothing is escaped twice."""
        rows = f"""SELECT * FROM events WHERE tenant_id = '{TENANT}' ORDER BY "time\""""
        return f"COPY (SELECT row_to_json(e) FROM ({rows}) e) TO STDOUT WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"

    def export(self, statement, runs=3):
        """psql to /dev/null, with the CPU seconds of the cluster."""
        return repeated(lambda: drained(self.psql("-c", statement)), self.process.pid, runs)

    def count_rows(self, statement, newline=b"\n"):
        """Lines of a COPY."""
        with subprocess.Popen(self.psql("-c", statement), stdout=subprocess.PIPE) as reader:
            return sum(part.count(newline) for part in iter(lambda: reader.stdout.read(1 << 20), b""))

    def timings(self, script):
        """Run a script file with \\timing; the seconds of each statement."""
        done = subprocess.run(self.psql("-f", str(script)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"psql -f: {done.stderr[-500:]}")
        return [float(ms) / 1e3 for ms in re.findall(r"^Time: ([\d.]+) ms", done.stdout, re.M)]

    def look_up(self, calls=50):
        """Newest 50 of the rare actor over one connection, by an index made for it."""
        script = self.home / "look-up.sql"
        query = f"""SELECT row_to_json(e) FROM (SELECT * FROM events WHERE tenant_id = '{TENANT}' AND actor_id = '{RARE_ACTOR}' ORDER BY "time" DESC LIMIT 50) e;\n"""
        script.write_text("\\timing on\n" + query * calls)
        return self.timings(script)

    def ingest(self, events, count, sessions):
        """COPY in transactions of 1,000 into a table with its key and index in place; psql sends ready-made text."""
        self.run("DROP TABLE IF EXISTS ingested", f"CREATE TABLE ingested ({self.TABLE})", "ALTER TABLE ingested ADD PRIMARY KEY (id)",
                 "CREATE INDEX ON ingested (tenant_id, time)", "CHECKPOINT")
        scripts = [self.home / f"ingest-{i}.sql" for i in range(sessions)]
        files = [open(script, "wb") for script in scripts]
        for file in files:
            file.write(b"\\timing on\n")
        for i, text in enumerate(in_pool(copy_text, blocks(events, count, STEP))):
            files[i % sessions].write(b"COPY ingested FROM STDIN;\n" + text + b"\\.\n")
        for file in files:
            file.close()
        started = time.perf_counter()
        before = cpu_seconds(self.process.pid)
        readers = [subprocess.Popen(self.psql("-f", str(script)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for script in scripts]
        output = "".join(reader.communicate()[0] for reader in readers)
        seconds = time.perf_counter() - started
        took = [float(ms) / 1e3 for ms in re.findall(r"^Time: ([\d.]+) ms", output, re.M)]
        if any(reader.returncode for reader in readers) or int(self.run("SELECT count(*) FROM ingested")) != count:
            raise RuntimeError(f"PostgreSQL ingest failed: {output[-500:]}")
        self.run("DROP TABLE ingested")
        for script in scripts:
            script.unlink()
        return {"events": count, "rate": count / seconds, "p50": quantile(took, .5), "p99": quantile(took, .99), "cpu": cpu_seconds(self.process.pid) - before}


def postgres(folder, events, ingest_events, cleanup):
    """All PostgreSQL figures."""
    server = Postgres(folder, cleanup)
    server.start()
    found = {f"ingest-{n}": server.ingest(events, ingest_events, n) for n in (1, 4)}
    server.load(events)
    lines = server.count_rows(server.ndjson())
    if lines != events.total:
        raise RuntimeError(f"PostgreSQL gave {lines} of {events.total} rows")
    month = "\"time\" >= '2025-06-01Z' AND \"time\" < '2025-07-01Z'"
    statements = {"csv": server.nine_csv(), "csv-bare": server.nine_csv(bare=True), "ndjson": server.ndjson(),
                  "month": server.nine_csv(month), "action": server.nine_csv("action = 'user.login'")}
    for name, statement in statements.items():
        found[name] = server.export(statement)
        say(f"PostgreSQL {name}: {found[name]['seconds']:.2f} s")
    took = server.look_up()
    found["actor"] = {"median": quantile(took[1:], .5), "best": min(took[1:]), "worst": max(took[1:]), "first": took[0]}
    found["disk"] = server.bytes_per_event(events.total)
    server.stop()
    return found


# ---------- SQLite ----------
class Sqlite:
    """A database file with the same columns, WAL and synchronous=FULL."""

    TABLE = ", ".join(f'"{name}" TEXT' + (" PRIMARY KEY" if name == "id" else "") for name in COLUMNS)
    INSERT = f"INSERT INTO events VALUES ({','.join('?' * len(COLUMNS))})"

    def __init__(self, path, cleanup):
        self.path = path
        self.remove()
        cleanup.callback(self.remove)
        self.link = sqlite3.connect(path, isolation_level=None)
        self.link.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-262144; CREATE TABLE events ({self.TABLE});"
                                "CREATE INDEX by_time ON events (tenant_id, time);")

    def remove(self):
        """Delete the file and its companions."""
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def transaction(self, rows):
        """Insert rows durably."""
        self.link.execute("BEGIN IMMEDIATE")
        self.link.executemany(self.INSERT, rows)
        self.link.execute("COMMIT")

    def ingest(self, events, count):
        """Transactions of 1,000 rows made beforehand."""
        ready = list(in_pool(read_rows, blocks(events, count, STEP)))
        took, started = [], time.perf_counter()
        for rows in ready:
            begun = time.perf_counter()
            self.transaction(rows)
            took.append(time.perf_counter() - begun)
        return {"events": count, "rate": count / (time.perf_counter() - started), "p50": quantile(took, .5), "p99": quantile(took, .99)}

    def fill(self, events):
        """Load all events; speed is not measured here."""
        self.link.execute("PRAGMA synchronous=OFF")
        for rows in in_pool(read_rows, blocks(events, events.total)):
            self.transaction(rows)
        self.link.executescript("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);")

    def export(self):
        """The nine columns by the command line shell."""
        cells = ", ".join(f'"{name}" AS "{title}"' for name, title in NINE)
        query = f"SELECT {cells} FROM events WHERE tenant_id = '{TENANT}' ORDER BY time"
        return repeated(lambda: drained(["sqlite3", "-readonly", "-csv", "-header", "-cmd", "PRAGMA cache_size=-262144;", str(self.path), query]), None)


def sqlite(folder, events, ingest_events, cleanup):
    """All SQLite figures."""
    small = Sqlite(folder / "ingest.sqlite", cleanup)
    found = {"ingest": small.ingest(events, ingest_events)}
    small.link.close()
    small.remove()
    whole = Sqlite(folder / "events.sqlite", cleanup)
    whole.fill(events)
    found["csv"] = whole.export()
    found["disk"] = whole.path.stat().st_size / events.total
    whole.link.close()
    whole.remove()
    return found
