"""What the benchmark peers share: lines, children, clocks, the count, the result.

A peer script drives one chain of processes that somebody else wrote.  Everything
it starts is a direct child and is stopped by its own pid; everything it writes
is below one temporary directory, which it removes.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DEFAULT_RECORDS = 200_000
DEFAULT_SIZE = 200
DEFAULT_LIMIT_S = 120.0
SEQUENCE_DIGITS = 12
PRIORITY = b"<134>"  # local0.info, so that a syslog peer needs no fallback parser
HEAD_BYTES = len(PRIORITY) + SEQUENCE_DIGITS + 1
POLL_S = 0.002
GRACE_S = 5.0
LATE_DUPLICATES_S = 0.5
PR_SET_PDEATHSIG = 1
TCP_ESTABLISHED, TCP_LISTEN = "01", "0A"  # as /proc/net/tcp writes them

_libc = ctypes.CDLL(None, use_errno=True)


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


# -- children ------------------------------------------------------------------


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Children:
    """The child processes of one run, stopped in reverse order of their start."""

    def __init__(self, directory):
        self.directory_ = directory
        self.list_ = []

    def start(self, name, command):
        """Starts `command`; its output goes to <directory>/<name>.log."""
        log = os.path.join(self.directory_, name + ".log")
        with open(log, "ab") as out:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     preexec_fn=_die_with_parent)
        self.list_.append((name, child))
        return child

    def check(self):
        """Raises PeerError when a child has ended by itself."""
        for name, child in self.list_:
            if child.poll() is not None:
                raise PeerError(f"failed to keep {name} running: exit code {child.returncode}; "
                                + self.log_tail(name))

    def log_tail(self, name):
        """Returns the end of a child's log on one line."""
        with open(os.path.join(self.directory_, name + ".log"), "rb") as log:
            return log.read()[-600:].decode("utf-8", "replace").replace("\n", " | ")

    def cpu_seconds(self):
        """Returns user plus system time of all living children so far."""
        ticks = 0
        for _, child in self.list_:
            try:
                with open(f"/proc/{child.pid}/stat", encoding="ascii", errors="replace") as stat:
                    fields = stat.read().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
            except FileNotFoundError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Terminates every child by its own pid, kills what outlives the grace."""
        for _, child in reversed(self.list_):
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + GRACE_S
        for _, child in reversed(self.list_):
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.list_ = []


def tcp_table():
    """Returns (local port, remote port, state) of every TCP socket here, IPv4."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [row.split() for row in table.readlines()[1:]]
    return [(int(row[1][-4:], 16), int(row[2][-4:], 16), row[3]) for row in rows]


def wait_for(condition, what, children, limit_s=10.0):
    """Waits until `condition()` holds; raises PeerError when it takes too long."""
    deadline = time.monotonic() + limit_s
    while not condition():
        children.check()
        if time.monotonic() > deadline:
            raise PeerError(f"failed to see {what} within {limit_s:.0f} s")
        time.sleep(0.02)


def wait_for_listeners(ports, children):
    """Waits until all the ports are listened on; does not connect to them."""
    def listening():
        return set(ports) <= {local for local, _, state in tcp_table() if state == TCP_LISTEN}
    wait_for(listening, f"listeners on {ports}", children)


class CpuClock:
    """CPU time from now on: of the peers, of this script, of everything else."""

    def __init__(self, children):
        self.children_ = children
        self.begin_ = self._now()

    def _now(self):
        with open("/proc/stat", encoding="ascii") as stat:
            user, nice, system, _, _, irq, softirq = map(int, stat.readline().split()[1:8])
        machine = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
        return self.children_.cpu_seconds(), time.process_time(), machine

    def spent(self):
        """Returns the fields of the result; `other` shows the neighbours' noise."""
        peers, script, machine = (end - begin for begin, end in zip(self.begin_, self._now()))
        return {"cpu_seconds": round(peers, 2), "load_cpu_seconds": round(script, 2),
                "other_cpu_seconds": round(max(0.0, machine - peers - script), 2)}


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


# -- command line and result ---------------------------------------------------


def parse_arguments(description, variants):
    """Parses the options every peer script has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--records", type=int, default=DEFAULT_RECORDS)
    parser.add_argument("--size", type=int, default=DEFAULT_SIZE,
                        help="bytes of a line, newline included")
    parser.add_argument("--directory", default="/var/tmp", help="where to work; a real disk")
    parser.add_argument("--json", help="write the list of results to this file")
    parser.add_argument("--limit", type=float, default=DEFAULT_LIMIT_S,
                        help="seconds for each variant")
    parser.add_argument("--variant", choices=[*variants, "all"], default="all")
    parser.add_argument("--repeat", type=int, default=1,
                        help="runs of each variant; the best complete one is the result")
    parser.add_argument("--keep", action="store_true", help="leave the run directory for a look")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="override one setting of the variants, to try what it costs")
    options = parser.parse_args()
    if options.records < 1 or options.limit <= 0 or options.repeat < 1:
        parser.error("--records, --limit and --repeat must be positive")
    return options


def settings_of(variants, variant, options):
    """Returns the settings of a variant with the overrides of --set."""
    settings = dict(variants[variant])
    for override in options.set:
        name, _, value = override.partition("=")
        if name not in settings:
            raise PeerError(f"failed to set {name}: the settings are {', '.join(settings)}")
        settings[name] = type(settings[name])(value)
    return settings


def make_result(name, variant, options, seconds, counts, about):
    """Returns the result of one run as a dict; README.md explains the fields.

    `about` holds what only the peer knows: durability, versions, settings and
    the fields of CpuClock.
    """
    arrived, duplicates, damaged = counts
    missing = options.records - arrived
    return {
        "name": name,
        "variant": variant,
        "records": options.records,
        "record_bytes": options.size,
        "arrived": arrived,
        "complete": missing == 0 and duplicates == 0 and damaged == 0,
        "seconds": round(seconds, 4),
        "records_per_second": round(arrived / seconds, 1) if seconds > 0 else 0.0,
        "missing": missing,
        "duplicates": duplicates,
        "damaged": damaged,
        "cores": len(os.sched_getaffinity(0)),
        **about,
    }


def print_result(result):
    """Prints the one line for people."""
    state = "exactly once" if result["complete"] else (
        f"INCOMPLETE: arrived {result['arrived']}, missing {result['missing']}, "
        f"duplicates {result['duplicates']}, damaged {result['damaged']}")
    print(f"{result['name']} {result['variant']}: {result['records_per_second']:.0f} records/s "
          f"({result['arrived']} of {result['records']} x {result['record_bytes']} B in "
          f"{result['seconds']:.2f} s, CPU peer {result['cpu_seconds']:.2f} load "
          f"{result['load_cpu_seconds']:.2f} other {result['other_cpu_seconds']:.2f} s, {state})", flush=True)


def first_line(command):
    """Returns the first line a command prints, for version strings."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return " ".join(lines[0].split()) if lines else ""


def find_program(name):
    """Returns the path of a program; /usr/sbin is looked into as well."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise PeerError(f"failed to find {name}: is the Debian package installed?")
    return path


def _interrupted(number, _frame):
    raise PeerError(f"failed to finish: signal {number}")


def _run_once(variant, options, run_variant):
    """Runs one variant in a directory of its own; prints and returns the result."""
    directory = make_directory(options.directory, f"holdfast-peer-{variant}-")
    try:
        result = run_variant(variant, directory, options)
        print_result(result)
        return result
    finally:
        if options.keep:
            print(f"{variant}: kept {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


def run_all(options, variants, run_variant):
    """Runs the wished variants, prints and stores them; returns the exit code.

    0: all complete and exactly once; 1: some record missing, duplicate or
    damaged; 2: a peer could not be driven.
    """
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    names = list(variants) if options.variant == "all" else [options.variant]
    results, code = [], 0
    for name in names:
        try:
            tries = [_run_once(name, options, run_variant) for _ in range(options.repeat)]
        except (PeerError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 2
            continue
        best = max(tries, key=lambda run: (run["complete"], run["records_per_second"]))
        best["all_records_per_second"] = [run["records_per_second"] for run in tries]
        results.append(best)
        code = code or (0 if best["complete"] else 1)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(results, out, indent=2)
            out.write("\n")
    return code
