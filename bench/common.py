"""What every part of the bench shares: the scratch folder, Debian packages, process figures, curl, statistics.

Promises that whatever `Cleanup` was told about is stopped when the bench ends, also after an error.
Never touches processes it did not start.
"""
import contextlib
import datetime
import multiprocessing
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
PACKAGES = {"nginx": "nginx-light", "initdb": "postgresql-15", "sqlite3": "sqlite3", "zstd": "zstd", "curl": "curl", "psql": "postgresql-client-15"}


def scratch():
    """The folder for generated and measured files; reused from run to run."""
    folder = Path(os.environ.get("INDELIBLE_BENCH_DIR") or Path(tempfile.gettempdir()) / "indelible-bench")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def say(text):
    """Progress on the terminal."""
    print(f"[{datetime.datetime.now():%H:%M:%S}] {text}", flush=True)


def tool(name):
    """Where a program lies; PostgreSQL's server programs are not on the PATH of Debian."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) if name in ("initdb", "pg_ctl", "postgres") else []
    return str(found[-1]) if found else shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def install(names):
    """Install what is absent with apt-get, without starting the services that the packages bring."""
    missing = sorted({PACKAGES[name] for name in names if tool(name) is None})
    if not missing:
        return
    say(f"installing {' '.join(missing)}")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=True, **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, **quiet)
    finally:
        if ours:
            policy.unlink()


class Cleanup(contextlib.ExitStack):
    """Undoes what was started, last first; SIGTERM counts as an error."""

    def __enter__(self):
        signal.signal(signal.SIGTERM, self.terminated)
        return super().__enter__()

    @staticmethod
    def terminated(*_):
        """Turn the signal into an exception, so that everything is undone."""
        raise SystemExit(143)


def in_pool(function, jobs, initializer=None):
    """Results in order, made by all cores. The workers are new processes, not forks: forks of a process with threads can hang."""
    with multiprocessing.get_context("spawn").Pool(initializer=initializer) as pool:
        yield from pool.imap(function, jobs)
        pool.close()
        pool.join()


def free_port():
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(check, seconds, what):
    """Poll until `check` gives something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(.05)
    raise SystemExit(f"{what}: not within {seconds} s")


def stop(process, seconds=60):
    """SIGTERM, then SIGKILL; quiet when it has ended already."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(root):
    """A process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(root):
    """CPU seconds of a process tree so far, ended children included."""
    total = 0
    for pid in family(root) if root else ():
        with contextlib.suppress(OSError):
            total += sum(int(x) for x in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15])
    return total / TICK


def status_bytes(pid, member):
    """A size of /proc/PID/status, such as VmHWM or VmRSS, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(member + ":"):
            return int(line.split()[1]) * 1024
    return 0


def reset_peak(pid):
    """Let VmHWM start again from the present size."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def quantile(values, share):
    """The value below which `share` of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def curl(url, headers=(), output="/dev/null"):
    """Fetch a URL; gives seconds and the bytes of the body as they came over the wire."""
    command = ["curl", "-sS", "-o", str(output), "-w", "%{http_code} %{time_total} %{size_download}"]
    for header in headers:
        command += ["-H", header]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=False)
    code, seconds, size = (done.stdout or "0 0 0").split()
    if done.returncode or code != "200":
        raise RuntimeError(f"curl {url}: HTTP {code} {done.stderr.strip()}")
    return float(seconds), int(size)


def repeated(run, root, runs=3):
    """One warm-up, then `runs` counted calls of `run() -> (seconds, bytes)`; medians, with the CPU of a process tree."""
    run()
    seconds, cpu, size = [], [], 0
    for _ in range(runs):
        before = cpu_seconds(root)
        took, size = run()
        seconds.append(took)
        cpu.append(cpu_seconds(root) - before)
    return {"seconds": statistics.median(seconds), "best": min(seconds), "worst": max(seconds), "cpu": statistics.median(cpu), "bytes": size}


def versions():
    """Versions of the programs compared."""
    def first(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).splitlines()[0].strip()
    return {"PostgreSQL": first(tool("postgres"), "--version").split()[2], "SQLite": first("sqlite3", "--version").split()[0],
            "nginx": first(tool("nginx"), "-v").rpartition("/")[2], "curl": first("curl", "--version").split()[1],
            "Python": platform.python_version()}


def machine():
    """CPU model, cores, memory and kernel."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB memory, Linux {platform.release()} {platform.machine()}"
