"""The collector alone, fed over its own wire: readers of its archive that stop reading, and peers that burden it."""
import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

import pytest
from holdfast.v1 import record_pb2, wire_pb2

from harness import BIN, ROOT, Gateway, wait_for
from peers import relay as wire

sys.path.insert(0, str(ROOT / "tests/examples"))
from producer import crc32c  # noqa: E402


@pytest.fixture
def centre(directory):
    """A collector below its watchdog, without a gateway."""
    gateway = Gateway(directory, collector_overrides={"collector": {"quota": "16MiB"}})
    try:
        gateway.start_collector()
        wait_for(lambda: gateway.component("collector", "server") == "listening", 15, "the collector")
        yield gateway
    finally:
        gateway.stop()


class Peer:
    """A gateway's session, by hand."""

    def __init__(self, centre, name="peer", epoch=1):
        self.connection = socket.create_connection(("127.0.0.1", centre.collector_port), timeout=20)
        self.rest = b""
        hello = wire_pb2.WireMessage()
        hello.hello.protocol, hello.hello.gateway, hello.hello.epoch, hello.hello.link = 1, name, epoch, "x"
        self.connection.sendall(wire.frame(hello))
        assert self.next().HasField("welcome")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def next(self):
        """The next message, None at the end."""
        with contextlib.suppress(ConnectionError):
            if found := wire.read_frame(self.connection, self.rest):
                message, self.rest = found
                return message
        return None

    @staticmethod
    def data(first, count, record_class="telemetry", gap=0):
        payload = b"" if gap else batch(first, count)
        message = wire_pb2.WireMessage()
        message.data.record_class, message.data.first_seq, message.data.record_count = record_class, first, count
        message.data.crc32c, message.data.gap_reason = crc32c(payload) if payload else 0, gap
        return wire.frame(message, payload)

    def store(self, first, count, **more):
        """Sends one batch and waits until it is on disk."""
        self.connection.sendall(self.data(first, count, **more))
        assert self.next().HasField("ack")


def batch(first, count):
    out = record_pb2.Batch()
    out.streams.append("s")
    for number in range(first, first + count):
        out.records.add().integer = number
    return out.SerializeToString()


def dump(centre, *words, **settings):
    command = [BIN / "holdfastctl", "collector", "dump", "--directory", centre.collector_directory, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **settings)


def blocked(process):
    """It waits in write()."""
    return pathlib.Path(f"/proc/{process.pid}/wchan").read_text().startswith("pipe_") \
        or pathlib.Path(f"/proc/{process.pid}/syscall").read_text().startswith("1 ")


def ended(process, number):
    """Seconds until it ends after the signal, and the exit code."""
    began = time.monotonic()
    process.send_signal(number)
    code = process.wait(5)
    return time.monotonic() - began, code


def test_stalled_reader(centre, report):
    """Whoever stops reading a dump keeps no page of the archive, and a signal ends it at once."""
    stalled = {}
    with Peer(centre) as peer:
        for first in range(1, 40001, 1000):
            peer.store(first, 1000)
        for words in ([], ["--follow"], ["--order", "arrival"]):
            process = dump(centre, *words)
            stalled[process] = words
            wait_for(lambda p=process: blocked(p), 10, f"dump {words} does not wait for its reader")
        size = os.path.getsize(centre.collector_directory / "data.mdb")
        commits = 600
        for first in range(40001, 40001 + commits):
            peer.store(first, 1)
        grown = os.path.getsize(centre.collector_directory / "data.mdb") - size
        report(commits=commits, grown_KiB=grown >> 10)
        assert grown < 1 << 20, "freed pages are not used again"
    for (process, words), number in zip(stalled.items(), (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
        seconds, code = ended(process, number)
        report(signal=number.name, seconds=seconds)
        assert seconds < 1 and code == 0, f"dump {words}: {code} after {seconds} s"
        lines = process.stdout.read().split(b"\n")
        seqs = [json.loads(line)["seq"] for line in lines[:-1]]
        assert seqs == list(range(1, len(seqs) + 1)), f"dump {words}"


def test_reader_leaves(centre):
    """A closed pipe ends the dump quietly, a full disk does not."""
    with Peer(centre) as peer:
        peer.store(1, 20000)
    process = dump(centre, "--follow", stderr=subprocess.PIPE)
    assert process.stdout.read(100)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(5) == 0
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BIN / "holdfastctl", "collector", "dump", "--directory", centre.collector_directory],
                              stdout=full, stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 2 and b"failed to write output: No space left on device" in done.stderr


def answers_of(peer, records, batches):
    """Reads until so many records were acknowledged and batches rejected; the acknowledgements, and the reasons."""
    acks, reasons = [], []
    while len(reasons) < batches or sum(last - first + 1 for _, first, last in acks) < records:
        message = peer.next()
        if message.HasField("ack"):
            acks += [(stored.record_class, r.first, r.last) for stored in message.ack.stored for r in stored.ranges]
        elif message.HasField("rejected"):
            reasons.append(message.rejected.detail)
    return acks, reasons


def test_burden(centre, report):
    """20,000 classes, or 20,000 single numbers of one, in one session: what is beyond the limits is rejected, what is
    within is stored, the archive's loop goes on, and an honest gateway does not notice."""
    pid = centre.pid("collector")
    with Peer(centre, "honest") as honest, Peer(centre, "classes") as classes, Peer(centre, "holes") as holes:
        honest.store(1, 10)
        classes.connection.sendall(b"".join(Peer.data(1, 1, f"c{n}", gap=1) for n in range(20000)))
        holes.connection.sendall(b"".join(Peer.data(2 * n + 2, 1, gap=1) for n in range(20000)))
        slowest = 0
        for first in range(11, 111):
            began = time.monotonic()
            honest.store(first, 1)
            slowest = max(slowest, time.monotonic() - began)
        acks, reasons = answers_of(classes, 256, 20000 - 256)
        assert set(reasons) == {"more than 256 classes of one gateway"}
        assert len({record_class for record_class, _, _ in acks}) == 256
        acks, reasons = answers_of(holes, 10000, 20000 - 10000)
        assert all(reason.startswith("more holes than the collector remembers: 10000 ranges") for reason in reasons)
        assert sum(last - first + 1 for _, first, last in acks) == 10000
        classes.store(2, 1, record_class="c7")  # known classes, and numbers that make no hole, go on
        holes.store(1, 1)
    rejected = centre.metric("collector", "holdfast_collector_rejected_total", reason="limit")
    report(slowest_honest_ms=slowest * 1e3, rejected=rejected,
           holes=centre.metric("collector", "holdfast_collector_holes"))
    assert rejected == 20000 - 256 + 20000 - 10000
    assert slowest < 5, "the honest gateway waits"
    assert centre.pid("collector") == pid and centre.state("collector") == "running"
    assert centre.collector_log().count("batches rejected") == 2, "a line a session"


def read_line(stream, timeout):
    assert select.select([stream], [], [], timeout)[0], f"nothing within {timeout} s"
    return stream.readline().decode()


def test_follow_waits_at_a_hole(centre):
    """It says what it waits for and that it goes on; the number that was missing comes in its place."""
    with Peer(centre) as peer:
        peer.store(1, 2)
        peer.store(5, 3)
        process = dump(centre, "--follow", stderr=subprocess.PIPE)
        try:
            who = 'gateway "peer" class "telemetry" epoch 0000000000000001'
            assert read_line(process.stderr, 20) == f"waiting: {who}: seq 3 has not arrived, 3 newer records are held\n"
            peer.store(3, 2, gap=1)
            assert read_line(process.stderr, 20) == f"going on: {who}: at seq 8\n"
        finally:
            process.terminate()
        assert [json.loads(line)["seq"] for line in process.stdout.read().splitlines()] == [1, 2, 3, 5, 6, 7]
        assert process.wait(5) == 0


def test_follow_ends_with_its_archive(centre):
    """Whoever follows an archive that was moved away is told, instead of waiting for what goes elsewhere."""
    with Peer(centre) as peer:
        peer.store(1, 2)
    process = dump(centre, "--follow", stderr=subprocess.PIPE)
    try:
        assert json.loads(read_line(process.stdout, 20))["seq"] == 1
        os.rename(centre.collector_directory, f"{centre.collector_directory}.away")
        assert read_line(process.stderr, 20).endswith("its data.mdb was replaced or removed\n")
        assert process.wait(5) == 2
    finally:
        process.kill()
