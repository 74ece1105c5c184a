#!/usr/bin/env python3
"""Seeded generator of realistic audit events, one JSON document a line, ready for POST /v1/events/bulk.

    generate.py EVENTS [--dir DIR]

Promises the same bytes for the same number of events on every machine, and files that are complete or absent:
  events-N.ndjson   the events, occurred_at rising over the twelve months of 2025
  events-N.index    byte offset of every 1,000th line and of the end (64-bit little endian), so that bodies need no scan
  events-N.json     what a correct reader must find: rows in all, in the month, of the action, of the search, of the rare actor
Never reads a clock, the environment or the network for the content.
"""
import argparse
import array
import datetime
import itertools
import json
import random
import time
from pathlib import Path

from common import in_pool

SEED = 20250101
CHUNK = 50_000
STEP = 1_000
ACTORS, TARGETS = 20_000, 60_000
RARE_ACTOR, RARE_SHARE = "usr_rare_0001", 60e-6
SEARCH_WORD, SEARCH_EVERY = "meridian", 1_430
LOGIN, LOGIN_SHARE = "user.login", 0.05
YEAR_START = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
MONTH = ("2025-06-01", "2025-06-30")
MONTH_SECONDS = (int(datetime.datetime(2025, 6, 1, tzinfo=datetime.timezone.utc).timestamp()),
                 int(datetime.datetime(2025, 7, 1, tzinfo=datetime.timezone.utc).timestamp()))
YEAR_US = 365 * 86_400 * 1_000_000

# action, does it carry a diff, does it name a subject beside the target
ACTION_TABLE = """
user.logout - - | user.login_failed - - | user.created d - | user.updated d - | user.invited - s | user.deactivated d -
user.password_changed - - | user.mfa_enabled d - | user.email_changed d - | role.created d - | role.updated d -
role.assigned d s | role.unassigned d s | department.updated d - | department.membership_added d s
department.membership_removed d s | permission.granted d s | permission.revoked d s | api_key.created d - | api_key.rotated - -
api_key.used - - | document.created d - | document.viewed - - | document.updated d - | document.deleted d -
document.shared d s | document.downloaded - - | invoice.created d - | invoice.sent - s | invoice.paid d - | invoice.voided d -
invoice.refunded d - | webhook.delivered - - | webhook.failed - - | webhook.updated d - | settings.updated d - | sso.enabled d -
scim.synced - - | export.requested - - | export.completed - -
"""
FIRST = """Anna Ben Carla David Elena Farid Grace Hugo Ines Jonas Katja Liam Maya Noah Olga Pedro Rosa Sven Tara Umar Vera Wei
Yusuf Jürgen Zoë Åsa Łukasz José Renée Søren Chloé Dmitri Priya Haruto Fatima Kwame Aoife Björn""".split()
LAST = """Smith Müller García Rossi Novák Kowalski Jensen Nguyen Patel Okafor Tanaka Ivanova Silva Dubois Andersson Haddad Cohen
Kim O'Brien McDonald Fernández Weiß Çelik Öztürk Bakker Horvat Popescu Moreau Castillo Ahmed Brown Taylor Evans Walker""".split()
WORDS = """quarterly report budget plan onboarding contract policy roadmap payroll vendor release customer invoice pricing
security incident review design brief campaign forecast inventory survey handbook travel expense region north south pipeline
deck summary draft archive legal finance people platform mobile backend analytics growth sales support partner trial renewal""".split()
AGENTS = [f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
          for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
          for version in (128, 131, 134, 137)] + ["python-requests/2.32.3", "okhttp/4.12.0", "acme-sync/3.4 (+https://acme.example)",
          "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Mobile/15E148"]
FIELDS = ["status", "owner", "title", "plan", "limit", "visibility", "department", "amount", "expires_at", "role"]
REASONS = ["requested by customer", "scheduled review, see ticket", 'marked "urgent" by owner', "cleanup of old entries",
           "Prüfung abgeschlossen", "policy §4.2; approved", "first line\nsecond line", "=SUM(A1:A9) pasted from a sheet"]


def dumps(value):
    """Compact JSON text, letters kept as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def names(rnd, first, last, number):
    """A person's name; some need quoting in CSV, some would be run as a formula by a spreadsheet."""
    kind = rnd.random()
    if kind < .03:
        return f"{last}, {first}"
    if kind < .04:
        return f'{first} "{last[:3]}" {last}'
    if kind < .044:
        return f"={first}+{last}"
    if kind < .048:
        return f"{first}\n{last}"
    return f"{last} 太郎{number}" if kind < .06 else f"{first} {last}"


def title(rnd, number):
    """A target's name."""
    a, b, c = rnd.choices(WORDS, k=3)
    kind = rnd.random()
    if number % SEARCH_EVERY == 715:
        return f"{a.title()} {SEARCH_WORD.title() if kind < .5 else SEARCH_WORD} {b} {number}"
    if kind < .03:
        return f"{a.title()}, {b} and {c} {number}"
    if kind < .04:
        return f'{a.title()} "{b}" {number}'
    if kind < .045:
        return f"={a}({number})"
    if kind < .05:
        return f"{a}\n{b} {number}"
    return f"{a.title()} – Zürich/東京 {number}" if kind < .08 else f"{a.title()} {b} {c} {number}"


class Tables:
    """Actors, targets and actions as ready-made JSON fragments; the same in every worker."""

    def __init__(self):
        rnd = random.Random(SEED)
        self.actors, self.ips, self.subjects = [], [], []
        for i in range(ACTORS):
            first, last = rnd.choice(FIRST), rnd.choice(LAST)
            kind = rnd.choices(("user", "api_key", "service"), (88, 8, 4))[0]
            mail = f"{first}.{last}{i}@{('example.com', 'corp.example', 'mail.example.org')[i % 3]}".lower()
            mail = mail.replace("'", "").encode("ascii", "ignore").decode()
            name = names(rnd, first, last, i) if kind == "user" else f"{rnd.choice(WORDS)}-{rnd.choice(WORDS)}-{i}"
            ident = f"usr_{rnd.getrandbits(64):016x}"
            self.actors.append(dumps({"id": ident, "type": kind, "meta": {"name": name, "email": mail}}))
            self.subjects.append(dumps({"id": ident, "type": kind, "name": name, "meta": {"email": mail}}))
            self.ips.append(f"{rnd.choice((10, 172, 192, 203))}.{rnd.randrange(256)}.{rnd.randrange(256)}.{rnd.randrange(1, 255)}")
        self.actors.append(dumps({"id": RARE_ACTOR, "type": "user", "meta": {"name": "Rare Visitor", "email": "rare@example.com"}}))
        self.ips.append("198.51.100.7")
        self.targets = []
        for i in range(TARGETS):
            kind = rnd.choice(("user", "role", "document", "invoice", "webhook", "department", "api_key", "settings"))
            self.targets.append(dumps({"id": f"{kind[:3]}_{rnd.getrandbits(48):012x}", "type": kind, "meta": {"name": title(rnd, i)}}))
        self.found = [SEARCH_WORD in text.lower() for text in self.targets]
        self.actions = [(LOGIN, False, False)]
        for entry in ACTION_TABLE.replace("\n", " | ").split("|"):
            if entry.strip():
                action, diff, subject = entry.split()
                self.actions.append((action, diff == "d", subject == "s"))
        weights = [1 / (rank + 3) for rank in range(1, len(self.actions))]
        rest = (1 - LOGIN_SHARE) / sum(weights)
        self.action_sums = list(itertools.accumulate([LOGIN_SHARE] + [w * rest for w in weights]))
        self.actor_sums = list(itertools.accumulate(1 / rank for rank in range(1, ACTORS + 1)))
        self.agents = [dumps(agent) for agent in AGENTS]
        self.reasons = [dumps(reason) for reason in REASONS]


TABLES = None


def start_worker():
    """Build the fragment tables once a process."""
    global TABLES
    TABLES = Tables()


def difference(rnd):
    """The inner text of a diff: two to four fields before and after."""
    before, after = [], []
    for field in rnd.sample(FIELDS, rnd.choice((2, 3, 3, 4))):
        old, new = rnd.getrandbits(24), rnd.getrandbits(24)
        if field in ("limit", "amount"):
            before.append(f'"{field}":{old / 100}')
            after.append(f'"{field}":{new / 100}')
        else:
            before.append(f'"{field}":"{WORDS[old % len(WORDS)]} {old % 9973}"')
            after.append(f'"{field}":"{WORDS[new % len(WORDS)]} {new % 9973}"')
    return f'{{"before":{{{",".join(before)}}},"after":{{{",".join(after)}}}}}'


def chunk(job):
    """The lines of one chunk, the length of each run of STEP lines, and the counts."""
    start, count, total = job
    tables, rnd = TABLES, random.Random(SEED * 1_000_003 + start)
    rand, bits = rnd.random, rnd.getrandbits
    actions = rnd.choices(tables.actions, cum_weights=tables.action_sums, k=count)
    actors = rnd.choices(range(ACTORS), cum_weights=tables.actor_sums, k=count)
    spread, base = YEAR_US / total, int(YEAR_START.timestamp()) * 1_000_000
    counts = {"rows": count, "month": 0, "login": 0, "search": 0, "rare_actor": 0}
    hour, prefix, lines, out, lengths = -1, "", [], [], []
    for i in range(count):
        second, micro = divmod(base + int((start + i + rand()) * spread), 1_000_000)
        if second // 3600 != hour:
            hour = second // 3600
            prefix = time.strftime("%Y-%m-%dT%H:", time.gmtime(second))
        action, has_diff, has_subject = actions[i]
        actor = actors[i]
        if rand() < RARE_SHARE:
            actor = ACTORS
            counts["rare_actor"] += 1
        share = rand()
        target = int(share * share * TARGETS)
        ip = tables.ips[actor] if rand() < .85 else f"203.0.{bits(8)}.{bits(8)}"
        diff = f',"diff":{difference(rnd)}' if has_diff else ""
        subject = f',"subject":{tables.subjects[bits(30) % ACTORS]}' if has_subject else ""
        reason = f',"reason":{tables.reasons[bits(16) % 8]}' if rand() < .3 else ""
        number = bits(32)
        lines.append(
            f'{{"action":"{action}","occurred_at":"{prefix}{second // 60 % 60:02d}:{second % 60:02d}.{micro:06d}Z",'
            f'"actor":{tables.actors[actor]},"target":{tables.targets[target]}{subject},"context":{{"ip":"{ip}",'
            f'"user_agent":{tables.agents[number % len(AGENTS)]},"request_id":"req_{bits(96):024x}"}}{diff},'
            f'"metadata":{{"source":"{("web", "api", "mobile", "cli")[number >> 8 & 3]}","region":"eu-central-{number >> 10 & 3}",'
            f'"session":"ses_{bits(48):012x}","duration_ms":{number >> 12 & 4095}{reason}}}}}\n')
        counts["month"] += MONTH_SECONDS[0] <= second < MONTH_SECONDS[1]
        counts["login"] += action == LOGIN
        counts["search"] += tables.found[target]
        if len(lines) == STEP or i + 1 == count:
            block = "".join(lines).encode()
            lengths.append(len(block))
            out.append(block)
            lines.clear()
    return b"".join(out), lengths, counts


class Events:
    """The generated files of one size."""

    def __init__(self, folder, total):
        self.total, self.path = total, Path(folder) / f"events-{total}.ndjson"
        self.index_path, self.facts_path = self.path.with_suffix(".index"), self.path.with_suffix(".json")

    def ensure(self):
        """Generate unless complete files are there; then read index and facts."""
        if not self.facts_path.exists():
            self.generate()
        self.facts = json.loads(self.facts_path.read_text())
        self.index = array.array("Q")
        self.index.frombytes(self.index_path.read_bytes())
        return self

    def generate(self):
        """Write all three files; the facts come last and say that the others are complete."""
        jobs = [(at, min(CHUNK, self.total - at), self.total) for at in range(0, self.total, CHUNK)]
        offsets, at, facts = array.array("Q", [0]), 0, {}
        with open(self.path, "wb") as out:
            for text, lengths, counts in in_pool(chunk, jobs, start_worker):
                out.write(text)
                for length in lengths:
                    at += length
                    offsets.append(at)
                for key, value in counts.items():
                    facts[key] = facts.get(key, 0) + value
        self.index_path.write_bytes(offsets.tobytes())
        self.facts_path.write_text(json.dumps({**facts, "bytes": at}))

    def bodies(self, first, last, size):
        """Byte ranges of bodies of `size` events (a multiple of STEP) that cover the events first..last."""
        step, end = size // STEP, -(-last // STEP)
        return [(self.index[i], self.index[min(i + step, end)], min(size, last - i * STEP)) for i in range(first // STEP, end, step)]


def main():
    """Generate from the command line."""
    parser = argparse.ArgumentParser(description="Generate audit events.")
    parser.add_argument("events", type=int)
    parser.add_argument("--dir", default=".")
    options = parser.parse_args()
    started = time.monotonic()
    events = Events(options.dir, options.events).ensure()
    print(f"{events.path}: {dumps(events.facts)} in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
