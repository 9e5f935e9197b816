"""The processes of a peer: started, watched, stopped; their listeners, and what CPU time they take."""

import ctypes
import os
import signal
import subprocess
import time

import common

GRACE_S = 5.0
PR_SET_PDEATHSIG = 1
TCP_ESTABLISHED, TCP_LISTEN = "01", "0A"  # as /proc/net/tcp writes them

_libc = ctypes.CDLL(None, use_errno=True)


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
        """Raises common.PeerError when a child has ended by itself."""
        for name, child in self.list_:
            if child.poll() is not None:
                raise common.PeerError(f"failed to keep {name} running: exit code {child.returncode}; "
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
    """Waits until `condition()` holds; raises common.PeerError when it takes too long."""
    deadline = time.monotonic() + limit_s
    while not condition():
        children.check()
        if time.monotonic() > deadline:
            raise common.PeerError(f"failed to see {what} within {limit_s:.0f} s")
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
