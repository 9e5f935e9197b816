"""The bus under those who mean harm or do not know better: floods, stolen names, readers that do not read (L48 to L52).
What is malformed, half-open or random, one message at a time, is test_noise's."""
import collections
import contextlib
import os
import socket
import subprocess
import sys
import time

import pytest
import zmq
from holdfast.v1 import dispatch_pb2, envelope_pb2, ingest_pb2, record_pb2

from devices import LineDevice, check_lines
from harness import PEERS, SANITIZED, ArrivalWatch, Gateway, free_port, line_source, wait_for
from peers.looks import peak_mib, pids

RATE = 1000
PEAK_MIB = 256    # of any service, whatever comes
LOG_BYTES = 2 << 20
GAP_MS = 3000     # a machine that is shared may stand still for a while

FLOODS = [("garbage", "store.ingest"), ("halves", "store.ingest"), ("many parts", "store.ingest"),
          ("producers", "store.ingest"), ("no class", "store.ingest"), ("offers", "store.ingest"),
          ("small offers", "store.ingest"), ("garbage", "store.dispatch"), ("hellos of a link", "store.dispatch"),
          ("states of a link", "store.dispatch"), ("questions", "control.store"), ("garbage", "control.acquisition"),
          ("questions", "control.uplink-main"), ("questions", "control.watchdog"), ("subscriptions", "events.store"),
          ("subscriptions", "tap"), ("garbage", "control.health")]


@contextlib.contextmanager
def rogue(gateway, messages, endpoint, identity=""):
    """Floods the endpoint from a process of its own."""
    command = [sys.executable, PEERS / "rogue.py", messages, f"ipc://{gateway.run}/{endpoint}.sock"]
    command += ["--identity", identity] if identity else []
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline().strip() == b"READY", f"{messages} did not reach {endpoint}"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def progress(device, records, timeout=60):
    before = device.confirmed
    wait_for(lambda: device.confirmed >= before + records, timeout, lambda: f"records on disk: {device.counts()}")


def finish(gateway, device):
    """Everything through, once; the same after as before."""
    device.finish()
    assert not device.errors
    wait_for(lambda: all(gateway.state(service) for service in gateway.services), 20, "every service answers")
    gateway.wait_delivered(device.confirmed)
    archive = gateway.dump().verify()
    assert not check_lines(archive.streams["good"], device.confirmed)
    return archive


def peaks(before):
    return {name.replace("-", "_"): round(peak_mib(pid)) for name, pid in before.items()}


def test_floods(directory, report):
    """A peer that sends as fast as it can and reads nothing, on every kind of endpoint: records go on, memory and log
    stay small, and the figures tell."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, LineDevice(port, rate=RATE) as device:
        gateway.wait_running()
        before = pids(gateway, "collector")
        progress(device, RATE)
        gaps = {}
        with ArrivalWatch(gateway) as arrivals:
            for messages, endpoint in FLOODS:
                begin = time.time_ns()
                with rogue(gateway, messages, endpoint):
                    progress(device, RATE)
                gaps[f"{messages} at {endpoint}"] = arrivals.longest_gap(begin, time.time_ns()) / 1e6
        finish(gateway, device)
        memory, log = peaks(before), gateway.init.log.stat().st_size
        told = {"malformed": gateway.metric("store", "holdfast_store_malformed_total"),
                "offers_refused": gateway.metric("store", "holdfast_store_refused_total"),
                "answers_dropped": gateway.metric("store", "holdfast_bus_dropped_total"),
                "subscriptions_refused": gateway.metric("health", "holdfast_tap_refused_total")}
        report("longest gap in ms: " + ", ".join(f"{what} {gap:.0f}" for what, gap in gaps.items()))
        report(records=device.confirmed, log_kib=log >> 10, **told, **memory)
        assert pids(gateway, "collector") == before, "the same processes"
        assert SANITIZED or max(memory.values()) <= PEAK_MIB
        assert log <= LOG_BYTES
        assert all(told.values()), "not counted"
        assert max(gaps.values()) <= GAP_MS


def test_stolen_names(directory, report):
    """Peers that call themselves what our services are called, and two that have one name: nobody's connection is
    taken from him."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, LineDevice(port, rate=RATE) as device:
        gateway.wait_running()
        before = pids(gateway, "collector")
        progress(device, RATE)
        for name, endpoint in (("acquisition", "store.ingest"), ("uplink-main", "store.dispatch"),
                               ("health", "control.store")):
            with rogue(gateway, "garbage", endpoint, name), rogue(gateway, "garbage", endpoint, name):
                progress(device, RATE)
        finish(gateway, device)
        assert pids(gateway, "collector") == before
        report(records=device.confirmed, **peaks(before))


def test_hijacked_sessions(directory, report):
    """Somebody opens our link's and our source's session as his own, again and again: they take them back."""
    port = free_port()
    link, status, source = dispatch_pb2.LinkMessage(), dispatch_pb2.LinkMessage(), ingest_pb2.ProducerMessage()
    link.hello.link, link.hello.session, link.hello.destination = "main", 4711, "centre"
    status.status.link, status.status.session, status.status.health = "main", 4711, dispatch_pb2.LinkStatus.HEALTH_UP
    source.hello.session, source.hello.record_class = 4711, "telemetry"
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, zmq.Context() as context:
        gateway.wait_running()
        source.hello.producer = "acquisition/good"
        with LineDevice(port, rate=RATE) as device:
            progress(device, RATE)
            taken = collections.Counter()
            for path, messages in (("store.dispatch", (link, status)), ("store.ingest", (source,))):
                with context.socket(zmq.DEALER) as thief:
                    thief.linger = 0
                    thief.connect(f"ipc://{gateway.run}/{path}.sock")
                    for _ in range(20):
                        for message in messages:
                            thief.send(message.SerializeToString())
                        assert thief.poll(5000), "no answer"
                        thief.recv_multipart()
                        taken[path] += 1
                        progress(device, RATE // 10)
            finish(gateway, device)
            report(records=device.confirmed, **{path.replace(".", "_"): count for path, count in taken.items()})


# -- readers that do not read ------------------------------------------------------------------------------------------


def test_taps_that_never_read(directory, report):
    """L48, L52: large batches at full speed past taps that read nothing; what a tap then reads shows its true loss."""
    port, lines = free_port(), 200000
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, zmq.Context() as context:
        gateway.wait_running()
        before = pids(gateway)
        taps = []
        for endpoint in ("tap", "events.store") * 3:
            tap = context.socket(zmq.SUB)
            tap.linger, tap.rcvhwm = 0, 1
            tap.connect(f"ipc://{gateway.run}/{endpoint}.sock")
            tap.subscribe("")
            taps.append(tap)
        reading = Reading(taps[0])
        with LineDevice(port, rate=200, line_bytes=1000) as device:  # until the store knows of the taps
            wait_for(lambda: reading.go_on() and reading.batches, 10, "the tap's first records")
            device.finish()
        with LineDevice(port, line_bytes=1000, total=lines) as device:
            device.wait(120)
            gateway.wait_delivered(lines, 120)
            memory = peaks(before)
        with LineDevice(port, rate=200, line_bytes=1000) as device:  # the gap shows with the next record
            wait_for(lambda: reading.go_on() and reading.lost, 20, lambda: f"no gap: {vars(reading)}")
            device.finish()
        gateway.wait_delivered(device.confirmed, 120)
        report(lines=lines, batches_read=reading.batches, batches_lost=reading.lost, **memory)
        assert gateway.dump(values=False).verify().streams["good"].count == device.confirmed
        for tap in taps:
            tap.close(0)
        assert SANITIZED or max(memory.values()) <= 2 * PEAK_MIB, \
            "128 MiB for what slow readers may still get, and what the store has"
        assert pids(gateway) == before


class Reading:
    """What a tap reads of records. Batches that are missing by the envelopes' numbers are missing by the records' own."""

    def __init__(self, tap):
        self.tap, self.batches, self.lost = tap, 0, 0
        self._number = self._next = None

    def go_on(self):
        while self.tap.poll(0):
            topic, head, payload = self.tap.recv_multipart()
            if topic.startswith(b"record."):
                self._take(envelope_pb2.Envelope.FromString(head), record_pb2.Batch.FromString(payload))
        return True

    def _take(self, envelope, batch):
        if self._number is not None:
            missing = envelope.seq - self._number - 1
            assert (missing > 0) == (envelope.place.first_seq > self._next), "the gap is not what is missing"
            assert missing >= 0 and envelope.place.first_seq >= self._next
            self.lost += missing
        self.batches += 1
        self._number, self._next = envelope.seq, envelope.place.first_seq + len(batch.records)


def test_subscriptions_outlive_their_publishers(directory, report):
    """L49: a tap with all the topics it may have, and one at each service; publishers are killed again and again, and
    every service is heard again within 2 s of its return."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, zmq.Context() as context, \
            LineDevice(port, rate=RATE) as device:
        gateway.wait_running()
        services = gateway.services + ["watchdog"]
        taps = {"tap": context.socket(zmq.SUB), "direct": context.socket(zmq.SUB)}
        for service in services:
            taps["direct"].connect(f"ipc://{gateway.run}/events.{service}.sock")
        taps["tap"].connect(f"ipc://{gateway.run}/tap.sock")
        topics = [f"heartbeat.{service}" for service in services] + [f"none.{n}" for n in range(900)]
        for tap in taps.values():
            tap.linger, tap.reconnect_ivl, tap.reconnect_ivl_max = 0, 20, 200
            for topic in topics:
                tap.subscribe(topic)

        def heard(tap):
            missing = set(topics[:len(services)])

            def all_there():
                while missing and tap.poll(0):
                    missing.discard(tap.recv_multipart()[0].decode())
                return not missing
            return all_there
        worst = 0
        for round_ in range(10):
            victim = ("health", "store")[round_ % 2]
            pid = gateway.kill(victim)
            wait_for(lambda: gateway.pid(victim) not in (None, pid), 10, f"{victim}'s next life")
            wait_for(lambda: gateway.state(victim), 20, f"{victim} answers")
            for name, tap in taps.items():
                while tap.poll(0):
                    tap.recv_multipart()
                begin = time.monotonic()
                wait_for(heard(tap), 10, lambda: f"round {round_}: not all topics at {name}")
                worst = max(worst, time.monotonic() - begin)
        finish(gateway, device)
        for tap in taps.values():
            tap.close(0)
        report(rounds=10, topics=len(topics), slowest_s=worst, target_s=2)
        assert worst <= 5


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_nobody_else_may_connect(directory):
    """L52: another user of the machine gets to no endpoint."""
    with Gateway(directory) as gateway:
        wait_for(lambda: gateway.state("health"), 20, "health answers")
        paths = sorted(map(str, gateway.run.glob("*.sock")))
        assert paths
        script = ("import socket, sys\nfor path in sys.argv[1:]:\n try: socket.socket(socket.AF_UNIX).connect(path)\n"
                  " except PermissionError: continue\n print(path)")
        done = subprocess.run([sys.executable, "-c", script, *paths], user=65534, group=65534, extra_groups=[],
                              cwd="/", capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and done.stdout == "", f"open to everybody: {done.stdout}{done.stderr}"


def test_handshakes_that_never_end(directory, report):
    """Hundreds of connections that begin ZeroMQ's greeting and say no more: closed after 5 s, counted, and records go
    on."""
    port, size = free_port(), 300
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, LineDevice(port, rate=RATE) as device:
        gateway.wait_running()
        before, open_ = pids(gateway), []
        for endpoint in ("store.ingest", "store.dispatch", "tap", "control.store"):
            for number in range(size):
                peer = socket.socket(socket.AF_UNIX)
                wait_for(lambda: not peer.connect_ex(str(gateway.run / f"{endpoint}.sock")), 10, endpoint)
                peer.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3"[:number % 11 + 1])
                peer.setblocking(False)
                open_.append(peer)
        progress(device, RATE)
        begin = time.monotonic()
        waiting = set(open_)

        def all_closed():
            for peer in list(waiting):
                try:
                    while peer.recv(4096):
                        pass
                    waiting.discard(peer)
                except BlockingIOError:
                    continue
                except OSError:
                    waiting.discard(peer)
            return not waiting
        wait_for(all_closed, 30, lambda: f"{len(waiting)} stand", interval=0.1)
        closed_after = time.monotonic() - begin
        for peer in open_:
            peer.close()
        finish(gateway, device)
        def counted():  # up to a second old
            return gateway.metric("store", "holdfast_bus_handshake_failures_total")
        wait_for(lambda: counted() >= size, 10, lambda: f"{counted()} are counted")
        report(connections=len(open_), closed_after_s=closed_after, counted_by_store=counted())
        assert pids(gateway) == before
