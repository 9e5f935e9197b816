"""What the benchmark peers share: records, places, the wait for the last record.

A peer script drives one chain of processes that somebody else wrote.  Everything
it starts is a direct child and is stopped by its own pid (children.py); everything
it writes is below one temporary directory, which it removes (runs.py).
"""

import os
import socket
import tempfile
import time

DEFAULT_SIZE = 200
SEQUENCE_DIGITS = 12
PRIORITY = b"<134>"  # local0.info, so that a syslog peer needs no fallback parser
HEAD_BYTES = len(PRIORITY) + SEQUENCE_DIGITS + 1
POLL_S = 0.002
LATE_DUPLICATES_S = 0.5


class PeerError(Exception):
    """The peer could not be started or driven; the text says why."""


# -- records -------------------------------------------------------------------


def make_block(first, count, size):
    """Returns `count` numbered lines of `size` bytes each, newline included.

    A line is "<134>", twelve digits, a blank, filler, newline; the first record
    of a run has the number 0.
    """
    if size < HEAD_BYTES + 2:
        raise PeerError(f"failed to make lines: size {size} is below {HEAD_BYTES + 2}")
    tail = b" " + b"x" * (size - HEAD_BYTES - 1) + b"\n"
    return b"".join(b"<134>%012d%s" % (n, tail) for n in range(first, first + count))


def count_files(paths, records, size):
    """Counts the distinct records in the files.

    Returns (arrived, duplicates, damaged).  Every line must be byte for byte a
    line that was sent; an incomplete last line is not counted.
    """
    seen = bytearray(records)
    total = [0, 0, 0]
    tail = make_block(0, 1, size)[HEAD_BYTES - 1:]
    for path in paths:
        if os.path.exists(path):
            with open(path, "rb") as lines:
                for line in lines:
                    _count_line(line, tail, seen, total)
    return tuple(total)


def _count_line(line, tail, seen, total):
    """Counts one line: total is [arrived, duplicates, damaged]."""
    digits = line[len(PRIORITY):HEAD_BYTES - 1]
    if not line.endswith(b"\n"):
        return
    if (not line.startswith(PRIORITY) or line[HEAD_BYTES - 1:] != tail
            or not digits.isdigit() or int(digits) >= len(seen)):
        total[2] += 1
    elif seen[int(digits)]:
        total[1] += 1
    else:
        seen[int(digits)] = 1
        total[0] += 1


# -- places --------------------------------------------------------------------


def free_ports(count):
    """Returns `count` different loopback TCP ports that are free right now."""
    holders = []
    for _ in range(count):
        holder = socket.socket()
        holder.bind(("127.0.0.1", 0))
        holders.append(holder)
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def file_system_of(directory):
    """Returns the type of the file system that holds `directory`."""
    best, kind = "", "unknown"
    real = os.path.realpath(directory)
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for entry in mounts:
            point, entry_kind = entry.split()[1:3]
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, entry_kind
    return kind


def make_directory(parent, prefix):
    """Creates a run directory below `parent`; refuses a file system in memory."""
    os.makedirs(parent, exist_ok=True)
    kind = file_system_of(parent)
    if kind in ("tmpfs", "ramfs", "devtmpfs"):
        raise PeerError(f"failed to use {parent}: {kind} is memory, not a disk")
    return tempfile.mkdtemp(prefix=prefix, dir=parent)


def sync_cost_ms(directory):
    """Returns what one append of 200 bytes with fdatasync costs here, in ms."""
    path = os.path.join(directory, "sync-probe")
    probe = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    begin = time.monotonic()
    for _ in range(100):
        os.write(probe, b"x" * DEFAULT_SIZE)
        os.fdatasync(probe)
    cost = (time.monotonic() - begin) * 10.0
    os.close(probe)
    os.unlink(path)
    return round(cost, 3)


# -- the wait for the last record ----------------------------------------------


def wait_for_files(paths, options, deadline, children):
    """Waits until every record is in the files; returns the time of that.

    The sizes are cheap to poll; the lines are counted only when the sizes say
    that all may be there.
    """
    expected = options.records * options.size
    while True:
        length = sum(os.path.getsize(path) for path in paths if os.path.exists(path))
        now = time.monotonic()
        if length >= expected:
            if count_files(paths, options.records, options.size)[0] == options.records:
                return now
            expected = length + 1
        if now > deadline:
            return now
        children.check()
        time.sleep(POLL_S)
