"""A name of the centre with several addresses, of which the first does not work: the link finds the one that does."""
import contextlib
import os
import shutil
import socket
import threading
import time

import pytest

from devices import LineDevice, check_lines
from harness import BIN, Gateway, free_port, line_source, wait_for

HOST, BAD, GOOD = "collector.test", "127.0.0.2", "127.0.0.1"
QUICK = {"connect_timeout": "2s", "heartbeat_interval": "200ms", "heartbeat_timeout": "1s",
         "reconnect": {"quick": "20ms", "first": "50ms", "cap": "200ms", "stable": "1s", "unavailable_after": 1000},
         "tuning": {"breaker": {"open": "1s"}}}


class Bad:
    """The other address, on the collector's port. mode: silent (no answer to a SYN), mute (accepts and says nothing),
    close (accepts and closes), work (passes all on until freeze()), refuse."""

    def __init__(self, mode, port):
        self.mode, self.accepted, self.frozen = mode, 0, threading.Event()
        self._kept, self._listener = [], None
        if mode == "refuse":
            return
        self._listener = socket.create_server((BAD, port), backlog=0 if mode == "silent" else 64)
        if mode == "silent":  # its queue is full: the kernel drops what else comes
            for _ in range(4):
                full = socket.socket()
                full.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    full.connect((BAD, port))
                self._kept.append(full)
        else:
            threading.Thread(target=self._accept, args=(port,), daemon=True).start()

    def close(self):
        for s in filter(None, [self._listener, *self._kept]):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def _accept(self, port):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.accepted += 1
                if self.mode == "close":
                    near.close()
                    continue
                self._kept.append(near)
                if self.mode == "work" and not self.frozen.is_set():
                    far = socket.create_connection((GOOD, port))
                    self._kept.append(far)
                    for a, b in ((near, far), (far, near)):
                        threading.Thread(target=self._pass, args=(a, b), daemon=True).start()

    def _pass(self, a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                if self.frozen.is_set():
                    return  # both connections stay, and nothing passes
                b.sendall(data)


@contextlib.contextmanager
def named(directory, port, mode):
    """A gateway whose link has a name with both addresses, the bad one first."""
    hosts = directory / "hosts"
    hosts.write_text(f"{BAD} {HOST}\n{GOOD} {HOST}\n")
    gateway = Gateway(directory, [line_source(port)], [{"name": "main", "destination": "centre"} | QUICK])
    gateway.links[0]["connect"] = f"{HOST}:{gateway.collector_port}"
    gateway.write_configurations()
    gateway.init.command = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts),
                            str(BIN / "holdfast-watchdog"), "--config", str(gateway.config_path)]
    with contextlib.closing(Bad(mode, gateway.collector_port)) as bad, gateway:
        yield gateway, bad


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare")
@pytest.mark.parametrize("mode", ["refuse", "silent", "mute", "close", "work"])
def test_the_first_address_does_not_work(directory, report, mode):
    port = free_port()
    with named(directory, port, mode) as (gateway, bad):
        gateway.wait_running()
        with LineDevice(port, rate=500) as device:
            wait_for(lambda: device.confirmed > 100, 20, device.counts)
            if mode == "work":
                wait_for(lambda: bad.accepted >= 1 and gateway.unsent() < 100, 20, "it goes over the other address")
                bad.frozen.set()
            through = device.made
            seconds = wait_through(gateway, through)
            device.finish()
            gateway.wait_delivered(device.confirmed)
        archive = gateway.dump().verify(origins=1)
        assert not check_lines(archive.streams["lines"], device.confirmed)
        report("the other address carries", mode=mode, seconds=seconds, accepted_at_the_bad_one=bad.accepted)


def wait_through(gateway, records):
    """Seconds until the collector has so many."""
    begin = time.monotonic()
    wait_for(lambda: gateway.archived() >= records, 30, lambda: f"{gateway.archived()} of {records} arrived")
    return time.monotonic() - begin
