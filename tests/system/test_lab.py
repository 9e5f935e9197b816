"""The laboratory itself: its links do what they are told, or no figure measured over them is worth anything."""
import contextlib
import fcntl
import os
import select
import socket
import struct
import threading
import time

import pytest

from harness import quantile, wait_for
from lab import FIBRE, MOBILE, SATELLITE, Network, mostly_calm

pytestmark = pytest.mark.usefixtures("laboratory")
PORT = 9000
SIOCGIFFLAGS, IFF_UP, IFF_RUNNING = 0x8913, 0x1, 0x40


def at_once():
    """Whoever measures waits for no other process."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))


class Ends:
    """A UDP socket at both ends of a network; the centre's returns what it gets while `echo` holds."""

    def __init__(self, network):
        self.network, self.echo, self.got = network, True, []
        with network.centre.entered():
            self.far = socket.socket(type=socket.SOCK_DGRAM)
            self.far.bind(("0.0.0.0", PORT))
        with network.gateway.entered():
            self.near = socket.socket(type=socket.SOCK_DGRAM)
        for end in (self.far, self.near):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.far.close()
        self.near.close()

    def _serve(self):
        at_once()
        while not self._stop.is_set():
            if select.select([self.far], [], [], 0.05)[0]:
                data, sender = self.far.recvfrom(2000)
                self.got.append((time.monotonic(), data))
                if self.echo:
                    self.far.sendto(data, sender)

    def send(self, link, data):
        self.near.sendto(data, (self.network.addresses[link], PORT))

    def round_trips(self, link, count, period, wait=2.0):
        """Milliseconds of `count` packets, one each `period`, and how many never came back. Sent from a thread of its
        own, because what a sender does between two packets is none of the link's time."""
        out, pending = [], {}

        def run():
            at_once()
            number, due = 0, time.monotonic()
            end = due + count * period + wait
            while time.monotonic() < end and (number < count or pending):
                if number < count and time.monotonic() >= due:
                    pending[number] = time.monotonic()
                    self.send(link, number.to_bytes(4, "big"))
                    number, due = number + 1, due + period
                left = max(min(due if number < count else end, end) - time.monotonic(), 0)
                if select.select([self.near], [], [], left)[0]:
                    sent = pending.pop(int.from_bytes(self.near.recv(2000)[:4], "big"))
                    out.append((time.monotonic() - sent) * 1e3)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return out, len(pending)


@pytest.fixture(scope="module")
def network(laboratory):
    with Network(FIBRE, MOBILE, SATELLITE) as network:
        yield network


@pytest.fixture
def ends(network):
    for name in network.kinds:
        network.heal(name)
    with Ends(network) as ends:
        yield ends


@pytest.mark.parametrize("kind, count, period", [(FIBRE, 400, 0.005), (MOBILE, 400, 0.01), (SATELLITE, 100, 0.02)],
                         ids=["fibre", "5G", "GEO"])
def test_round_trip(network, ends, report, kind, count, period):
    middle, jitter = kind.round_trip * 1e3, kind.jitter * 1e3

    def measure():
        values, lost = ends.round_trips(kind.name, count, period)
        figures = {"p1_ms": quantile(values, 0.01), "p50_ms": quantile(values, 0.5), "p99_ms": quantile(values, 0.99)}
        report(kind.title, set_ms=middle, jitter_ms=jitter, **figures, lost=lost,
               relay_late_ms=network.stats()["late_micros"] / 1e3)
        assert not lost
        assert figures["p1_ms"] >= middle - jitter - 0.1, "faster than it was set"
        return figures
    figures = mostly_calm(measure, lambda f: f["p99_ms"] < middle + jitter + 10)
    assert figures["p99_ms"] < middle + jitter + 10, "slower than it was set"
    assert abs(figures["p50_ms"] - middle) < 3 + 0.2 * jitter
    assert figures["p99_ms"] - figures["p1_ms"] > 0.8 * jitter, "it does not wander"


@pytest.mark.parametrize("way", ["up", "down"])
def test_loss(network, ends, report, way):
    network.set("fibre", way, loss=0.1)
    values, lost = ends.round_trips("fibre", 3000, 0.001, wait=0.5)
    report(way, set_percent=10, lost_percent=lost / 30, came=len(values))
    assert 220 <= lost <= 380, "five standard deviations of 3000 throws at 10 %"


def test_rate(network, ends, report):
    """500 kB of packets at once into 250 kB/s with a queue of 100 kB: the queue leaves in its time, the rest is
    dropped, as a modem does."""
    ends.echo = False
    network.set("fibre", "up", rate=250_000, queue=100_000)

    def measure():
        ends.got.clear()
        before = network.stats()["fibre up"]["overflow"]
        for _ in range(500):
            ends.send("fibre", bytes(972))  # 1000 with its headers
        wait_for(lambda: len(ends.got) >= 100 and time.monotonic() - ends.got[-1][0] > 0.5, 5, lambda: len(ends.got))
        dropped = network.stats()["fibre up"]["overflow"] - before
        seconds = ends.got[-1][0] - ends.got[0][0]
        rate = (len(ends.got) - 1) * 1000 / seconds
        report(set_rate=250_000, rate=rate, came=len(ends.got), dropped=dropped)
        return rate, len(ends.got), dropped
    rate, came, dropped = mostly_calm(measure, lambda f: 0.95 < f[0] / 250_000 < 1.05 and f[1] <= 130 and f[2] >= 370)
    assert 0.95 < rate / 250_000 < 1.05
    assert 100 <= came <= 130 and dropped >= 370


@pytest.mark.parametrize("reorder", [0, 1])
def test_order(network, ends, report, reorder):
    """Jitter alone changes no order."""
    ends.echo = False
    network.set("mobile", "up", reorder=reorder)
    for number in range(500):
        ends.send("mobile", number.to_bytes(4, "big"))
        time.sleep(0.001)
    wait_for(lambda: len(ends.got) == 500, 5, lambda: len(ends.got))
    numbers = [int.from_bytes(data, "big") for _, data in ends.got]
    back = sum(1 for a, b in zip(numbers, numbers[1:]) if b < a)
    report(reorder=bool(reorder), steps_back=back)
    assert back > 50 if reorder else back == 0


def test_black_hole(network, ends):
    """Silence, no error; each direction for itself."""
    network.cut("fibre", "down")
    values, lost = ends.round_trips("fibre", 10, 0.002, wait=1)
    wait_for(lambda: len(ends.got) == 10, 5, lambda: len(ends.got))
    assert (len(values), lost) == (0, 10)
    network.heal("fibre")
    network.cut("fibre", "up")
    values, lost = ends.round_trips("fibre", 10, 0.002, wait=1)
    assert (len(values), lost, len(ends.got)) == (0, 10, 10)
    network.heal("fibre")
    assert ends.round_trips("fibre", 10, 0.002)[1] == 0


@contextlib.contextmanager
def connection(network, link):
    """Both ends of a TCP connection over this link."""
    with network.centre.entered():
        server = socket.create_server((network.addresses[link], PORT))
    with server:
        with network.gateway.entered():
            near = socket.create_connection(server.getsockname(), timeout=3)
        far, _ = server.accept()
        with near, far:
            far.settimeout(1)
            yield near, far


def test_stall(network, ends):
    """Connections are made, and nothing passes over them."""
    network.stall("fibre")
    with connection(network, "fibre") as (near, far):
        near.sendall(b"x")
        with pytest.raises(TimeoutError):
            far.recv(1)
        network.heal("fibre")
        far.settimeout(5)
        assert far.recv(1) == b"x"


def test_reject(network, ends):
    """What stands is reset, what is new is refused, other links go on."""
    with connection(network, "mobile") as (other, _), connection(network, "fibre") as (near, _):
        network.reject("fibre")
        near.sendall(b"x")
        with pytest.raises((ConnectionResetError, ConnectionRefusedError)):
            near.recv(1)
        with network.gateway.entered(), pytest.raises(ConnectionRefusedError):
            socket.create_connection((network.addresses["fibre"], PORT), timeout=1)
        other.sendall(b"x")
    network.heal("fibre")
    with connection(network, "fibre"):
        pass


def flags(network, device):
    """Of the gateway's device: IFF_UP, IFF_RUNNING."""
    with network.gateway.entered(), socket.socket(type=socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH14x", device.encode(), 0))
    return struct.unpack("16xH14x", request)[0] & (IFF_UP | IFF_RUNNING)


@pytest.mark.parametrize("what, left", [("unplug", IFF_UP), ("disable", 0)])
def test_carrier(network, ends, what, left):
    """The device says so to its own side, and nothing passes."""
    getattr(network, what)("fibre")
    wait_for(lambda: flags(network, "fibre") == left, 3, lambda: flags(network, "fibre"))
    network.heal("fibre")
    wait_for(lambda: flags(network, "fibre") == IFF_UP | IFF_RUNNING, 3, lambda: flags(network, "fibre"))
    wait_for(lambda: ends.round_trips("fibre", 1, 0.01, wait=0.1)[1] == 0, 5, "nothing passes")
