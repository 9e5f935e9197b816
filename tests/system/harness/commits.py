"""Commits, seen from outside: which of a process's threads is writing or syncing its LMDB file at this moment.

A thread that stands in such a call when SIGKILL has been sent never comes back from it: the commit was cut off there,
before its acknowledgement could go out.
"""
import contextlib
import os
import platform
import time

CALLS = {"x86_64": {18: "pwrite", 20: "writev", 296: "pwritev", 74: "fsync", 75: "fdatasync"},
         "aarch64": {68: "pwrite", 66: "writev", 70: "pwritev", 82: "fsync", 83: "fdatasync"}}
_CALLS = {str(number): name for number, name in CALLS.get(platform.machine(), {}).items()}


class Commits:
    """Of one process. Where the kernel does not tell system calls of others (no CAP_SYS_PTRACE, another machine), none
    is ever seen."""

    def __init__(self, pid):
        self.pid, self.files, self.tasks = pid, set(), []
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}").endswith("/data.mdb"):
                        self.files.add(hex(int(fd)))
            self.tasks = os.listdir(f"/proc/{pid}/task")

    def now(self):
        """The call by which a thread writes or syncs the file now, "" when none does."""
        for task in self.tasks:
            with contextlib.suppress(OSError):
                with open(f"/proc/{self.pid}/task/{task}/syscall", encoding="ascii") as file:
                    words = file.read().split()
                if words[0] in _CALLS and words[1] in self.files:
                    self.tasks.sort(key=lambda one, seen=task: one != seen)  # looked at first the next time
                    return _CALLS[words[0]]
        return ""

    def wait(self, seconds):
        """Until one is under way; False when none was in this time."""
        end = time.monotonic() + seconds
        while not self.now():
            if time.monotonic() > end:
                return False
        return True
