"""A network of one's own that can become slow, by Linux network namespaces and tc."""
import ctypes
import os
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000


def in_own_network(work):
    """Runs work() in a thread with a network namespace of its own, which whatever it starts shares; skips the test
    where that is not permitted."""
    result = []

    def run():
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET) != 0:
                pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())} (needs CAP_SYS_ADMIN)")
            result.append(work())
        except BaseException as error:  # also pytest's skip, which is none of Exception
            result.append(error)
    thread = threading.Thread(target=run, name="own-network")
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def tell(*command):
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"failed to run {' '.join(command)}: {getattr(error, 'stderr', None) or error}")


def bring_up():
    """In a new network namespace: 127.0.0.1 works, in frames as on a real wire."""
    tell("ip", "link", "set", "lo", "mtu", "1500", "up")


def slow_down(rate, queue):
    """All of it passes a link of this rate with a queue of so many bytes, as a modem has; Unix sockets do not."""
    tell("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate, "burst", "4k", "limit", str(queue))
