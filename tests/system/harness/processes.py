"""The processes of a gateway, and an init for its watchdog."""
import contextlib
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time

from harness.base import wait_for


def executable(pid):
    """File name of the program, "" when there is no such living process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            if stat.read().rpartition(")")[2].split()[0] in ("Z", "X"):
                return ""
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    except (OSError, IndexError):
        return ""


def processes_of(mark):
    """Pids of our programs whose command line holds this text, e.g. the path of a configuration."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if os.fsencode(str(mark)) in words and executable(entry).startswith("holdfast-"):
            found.append(int(entry))
    return found


class Init:
    """Plays systemd for one watchdog: Type=notify, WatchdogSec, KillMode=process, Restart=always.

    `lives` tells what happened: (monotonic time, what, pid) with what = started, ended, silent.
    """

    abort_grace = 0.5
    start_s = 20.0  # TimeoutStartSec: until READY=1

    def __init__(self, command, directory, name, watchdog_s=2.0, environment=None):
        self.command, self.watchdog_s = [str(word) for word in command], watchdog_s
        self.log = pathlib.Path(directory) / f"{name}.log"
        self.notify_path = str(pathlib.Path(directory) / f"{name}.notify")
        self.environment = environment or {}
        self.lives = []
        self.status = ""
        self.failed = None  # exit code of a watchdog that ended at once
        self.ready = threading.Event()
        self.process = None
        self._stopping = threading.Event()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(self.notify_path)
        self._notify.setblocking(False)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"init-{name}", daemon=True)

    @property
    def stopped(self):
        return self._stopping.is_set()

    def start(self):
        self._thread.start()
        wait_for(lambda: self.process, 5, "the watchdog was not started")

    def stop(self, timeout=15.0):
        """SIGTERM, and all its services end in order; returns the exit code, None when it had to be killed."""
        self._stopping.set()
        code = None
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                code = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._end_thread()
        return code

    def abandon(self):
        """Restarts it no more and leaves everything as it is."""
        self._stopping.set()
        self._end_thread()

    def _end_thread(self):
        if self._notify.fileno() >= 0:
            os.write(self._wake_write, b"x")
        if self._thread.is_alive():
            self._thread.join(5)
        if self._notify.fileno() < 0:
            return  # called before
        self._notify.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        with contextlib.suppress(OSError):
            os.unlink(self.notify_path)

    def _run(self):
        while not self._stopping.is_set():
            try:
                self._life()
            except Exception as error:  # a test must see it, not miss it
                print(f"init: {error!r}", file=sys.stderr, flush=True)
                return

    def _life(self):
        environment = os.environ | self.environment | {
            "NOTIFY_SOCKET": self.notify_path, "WATCHDOG_USEC": str(int(self.watchdog_s * 1e6))}
        with open(self.log, "ab") as log:
            process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                       start_new_session=True)
        self.process = process
        self.lives.append((time.monotonic(), "started", process.pid))
        self._guard(process)
        if self._stopping.is_set():
            return
        code = process.wait()
        began = self.lives[-1][0]
        self.lives.append((time.monotonic(), "ended", process.pid))
        self.ready.clear()
        if code > 0 and time.monotonic() - began < 0.5:
            self.failed = code  # not killed: it cannot work
            self._stopping.wait(0.1)  # RestartSec

    def _guard(self, process):
        """Until it ends, or until stop()."""
        pidfd = os.pidfd_open(process.pid)
        due = time.monotonic() + self.start_s  # then READY=1 is late, later WATCHDOG=1
        try:
            while True:
                wait = None if due is None else max(due - time.monotonic(), 0)
                readable, _, _ = select.select([pidfd, self._notify, self._wake_read], [], [], wait)
                if pidfd in readable or self._wake_read in readable:
                    return
                if self._notify in readable:
                    if self._take_notes():
                        due = time.monotonic() + self.watchdog_s
                elif due is not None and time.monotonic() >= due:
                    self.lives.append((time.monotonic(), "silent", process.pid))
                    self._abort(process)
                    due = None
        finally:
            os.close(pidfd)

    def _take_notes(self):
        beat = False
        while True:
            try:
                notes = self._notify.recv(4096).decode(errors="replace").split("\n")
            except BlockingIOError:
                return beat
            for note in notes:
                if note == "READY=1":
                    self.ready.set()
                beat = beat or note in ("READY=1", "WATCHDOG=1")
                if note.startswith("STATUS="):
                    self.status = note.removeprefix("STATUS=")

    def _abort(self, process):
        process.send_signal(signal.SIGABRT)
        process.send_signal(signal.SIGCONT)  # as systemd does
        try:
            process.wait(self.abort_grace)
        except subprocess.TimeoutExpired:
            process.kill()
