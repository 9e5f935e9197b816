"""A network namespace of one's own."""
import contextlib
import ctypes
import os
import pathlib
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
HERE = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


class NotPermitted(Exception):
    """No laboratory here, and why."""


class Namespace:
    """Lives as long as this object and the processes in it; it has no name, and nothing is left behind."""

    def __init__(self):
        self.fd, self._error = -1, ""
        thread = threading.Thread(target=self._create, name="namespace")
        thread.start()
        thread.join()
        if self.fd < 0:
            raise NotPermitted(f"no network namespace: {self._error} (needs CAP_SYS_ADMIN)")
        self.run("ip", "link", "set", "lo", "up")
        self.congestion_control = self._congestion_control()

    def _create(self):
        """In a thread that ends: the others stay where they are."""
        if _libc.unshare(CLONE_NEWNET) == 0:
            self.fd = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._error = os.strerror(ctypes.get_errno())

    def _congestion_control(self):
        """The kernel's own default, whatever this machine prefers; where that is not allowed, the one that always
        is."""
        place = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
        with self.entered():
            for name in ("cubic", "reno"):
                with contextlib.suppress(OSError):
                    place.write_text(name, encoding="ascii")
                    break
            return place.read_text(encoding="ascii").strip()

    def close(self):
        os.close(self.fd)

    @property
    def prefix(self):
        """In front of a command, makes it run in here; the process keeps its pid."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}", "--"]

    def run(self, *command):
        try:
            subprocess.run([*self.prefix, *command], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotPermitted(f"failed to run {' '.join(command)}: {getattr(error, 'stderr', '') or error}") from error

    @contextlib.contextmanager
    def entered(self):
        """This thread, and the threads it starts meanwhile, make their sockets in here."""
        before = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._enter(self.fd)
            yield self
        finally:
            self._enter(before)
            os.close(before)

    @staticmethod
    def _enter(fd):
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise NotPermitted(f"failed to enter a network namespace: {os.strerror(ctypes.get_errno())}")


class Armed:
    """A command in a namespace that is already there and waits for its input: what it does, it does at once."""

    def __init__(self, space, *command):
        self.process = subprocess.Popen([*space.prefix, *command], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def go(self, text):
        """Returns time.time_ns() of the beginning."""
        at = time.time_ns()
        _, errors = self.process.communicate(text, timeout=10)
        assert self.process.returncode == 0, f"{self.process.args}: {errors}"
        return at

    def close(self):
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()
