#!/usr/bin/env python3
"""Recomputes the hash chain of an NDJSON export of one log by docs/formats/event-v1.md alone; exit 1 names the first broken line."""
import argparse
import hashlib
import re
import sys

HEAD = re.compile(rb'\{"id":"(evt_[0-9a-f]{32})","sequence_number":([1-9][0-9]*),"action":("(?:[^"\\]|\\.)*"),'
                  rb'"occurred_at":"([0-9T:.Z-]{27})","received_at":"([0-9T:.Z-]{27})","created_at":"([0-9T:.Z-]{27})",')
TAIL = re.compile(rb',"salt":"([0-9a-f]{32})","hash":"([0-9a-f]{64})","previous_hash":"([0-9a-f]{64})"\}')
ERASED = re.compile(rb'"actor":null,"target":null,"context":\{\},"diff":null,"metadata":\{\}'
                    rb',"commitment":"([0-9a-f]{64})","hash":"([0-9a-f]{64})","previous_hash":"([0-9a-f]{64})"\}')


def check(line, position, previous):
    """Position and hash of a row, and whether it is an erased one; ValueError if it cannot stand here."""
    head, tail = HEAD.match(line), TAIL.fullmatch(line[-200:])
    erased = ERASED.fullmatch(line[head.end():]) if head and not tail else None
    if not head or not (tail or erased) or head[5] != head[6]:
        raise ValueError("is not a row of format v1")
    _, own, before = (tail or erased).groups()
    if position not in (None, int(head[2])):
        raise ValueError(f"has position {int(head[2])} instead of {position}: a row is missing or out of place")
    if previous not in (None, before):
        raise ValueError("does not name the hash of the row before it")
    commitment = erased[1] if erased else hashlib.sha256(bytes.fromhex(tail[1].decode()) + line[head.end():-200]).hexdigest().encode()
    envelope = (b'{"action":%s,"commitment":"%s","id":"%s","occurred_at":"%s","previous_hash":"%s","received_at":"%s","sequence_number":%s,"v":1}'
                % (head[3], commitment, head[1], head[4], before, head[5], head[2]))
    if hashlib.sha256(b"\0" + envelope).hexdigest().encode() != own:
        raise ValueError("was altered: its content does not give its hash")
    return int(head[2]), own, bool(erased)


def verify(lines, log=None):
    """(number of the first broken line or 0, what to say of it) for the lines of an export, each with its line feed."""
    position, previous = (1, hashlib.sha256(f"indelible-log-v1\n{log}".encode()).hexdigest().encode()) if log else (None, None)
    digest, rows, erased, closed = hashlib.sha256(), 0, 0, False
    for number, line in enumerate(lines, 1):
        if closed or not line.endswith(b"\n"):
            return number, "follows the closing line" if closed else "is cut short"
        closed = line == b'{"_end":{"rows":%d,"sha256":"%s"}}\n' % (rows, digest.hexdigest().encode())
        if not closed:
            try:
                at, previous, gone = check(line[:-1], position, previous)
            except ValueError as why:
                return number, str(why)
            position, rows, erased = at + 1, rows + 1, erased + gone
            digest.update(line)
    return 0, f"{rows} rows hold ({erased} erased), last hash {(previous or b'-').decode()}, closing line {'holds' if closed else 'absent'}"


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--log", help="id of the log, prj_<hex>/events; without it the first row's place is taken as given")
    arguments.add_argument("file", nargs="?", type=argparse.FileType("rb"), default=sys.stdin.buffer, help="standard input by default")
    options = arguments.parse_args()
    broken, text = verify(options.file, options.log)
    sys.exit(f"line {broken} {text}" if broken else print(text))
