"""Noise on every socket, and valid frames with nonsense inside: counted, harming nobody."""
import contextlib
import random
import re
import resource
import socket
import time

import pytest
import zmq
from holdfast.v1 import control_pb2, dispatch_pb2, ingest_pb2

from devices import LineDevice, check_lines
from harness import Gateway, free_port, line_source, wait_for
from peers import relay as wire
from peers.certificates import Authority
from peers.looks import peak_mib, pids

# -- noise on every socket ---------------------------------------------------------------------------------------------

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + b"\0" * 157
NOISE = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", TLS_HELLO, b"HFW1" + b"\xff" * 8, b"HFW1" + bytes(8), b"\xff" * 64,
         b"\xff\0\0\0\0\0\0\0\1\x7f", b"SSH-2.0-x\r\n", b"\0" * 5000,
         b"PUT / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
         b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"\n" * 1000]


def connect(address):
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=3)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(3)
    connection.connect(str(address))
    return connection


def make_noise(address, dice):
    """All of NOISE, random bytes, half-open connections, byte by byte; whatever the other end does about it is
    right."""
    half_open = []
    for data in [*NOISE, *(dice.randbytes(dice.randint(1, 20000)) for _ in range(15))]:
        with contextlib.suppress(OSError):
            connection = connect(address)
            connection.sendall(data)
            if dice.random() < 0.3:
                half_open.append(connection)
                continue
            if dice.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.02)
            with contextlib.suppress(OSError):
                connection.recv(65536)
            wire.reset(connection) if dice.random() < 0.5 else connection.close()
    with contextlib.suppress(OSError):
        slow = connect(address)
        for byte in b"HFW1\0\0\0\x10GET / HTTP":
            slow.sendall(bytes([byte]))
        half_open.append(slow)
    return half_open


def crowd(address, size=1100):
    """So many connections at a time, more than the usual limit of descriptors; returns how many came to stand."""
    stand, deadline = [], time.monotonic() + 5
    while len(stand) < size and time.monotonic() < deadline:
        try:
            stand.append(connect(address))
        except BlockingIOError:  # a Unix socket whose queue of connections is full
            time.sleep(0.001)
        except OSError:
            break
    for connection in stand:
        connection.close()
    return len(stand)


@pytest.fixture
def usual_limit():
    """1024 descriptors, as a service gets them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard)), lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_noise_on_every_socket(directory, report, usual_limit, tls):
    """Random bytes, HTTP, TLS, half-open and slow connections, a thousand at a time, on every listening socket: the
    same processes live on, and a device's lines arrive once."""
    dice, port, noisy, udp = random.Random(5), free_port(), free_port(), free_port()
    sources = [line_source(port, "good"), line_source(noisy, "noisy", "none"),
               {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{udp}"}]
    secure, link = {}, {"reconnect": {"first": "50ms", "cap": "500ms"}, "tuning": {"breaker": {"open": "1s"}}}
    if tls:
        ours = Authority(directory, "ours")
        certificate, key = ours.issue("collector", "IP:127.0.0.1")
        secure = {"collector": {"tls": {"certificate_file": str(certificate), "key_file": str(key)}}}
        link["tls"] = {"ca_file": str(ours.certificate)}
    gateway = Gateway(directory, sources=sources, links=[link], collector_overrides=secure)
    lower, restore = usual_limit
    lower()  # the services are started with it
    with gateway:
        restore()
        gateway.wait_running()
        before = pids(gateway, "collector", "watchdog-collector")
        addresses = [("127.0.0.1", gateway.collector_port)]
        if not tls:
            addresses += [("127.0.0.1", noisy), ("127.0.0.1", gateway.health_port)]
            addresses += sorted(gateway.run.glob("*.sock")) + sorted(gateway.collector_run.glob("*.sock"))
        with LineDevice(port, rate=2000) as device:
            kept = []
            for address in addresses:
                kept += make_noise(address, dice)
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                for _ in range(300 if not tls else 0):
                    sender.sendto(dice.randbytes(dice.randint(0, 2000)), ("127.0.0.1", udp))
            crowds = [crowd(address) for address in addresses]
            for connection in kept:
                connection.close()
            assert pids(gateway, "collector", "watchdog-collector") == before
            wait_for(lambda: gateway.link_up(), 20, "the link")
            wait_for(lambda: device.confirmed > 1000, 20, "load")
            device.finish()
            assert not device.errors
        gateway.wait_running()
        gateway.wait_delivered()
        archive = gateway.dump()
        archive.verify(gaps=True)
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert pids(gateway, "collector", "watchdog-collector") == before, "the same processes"
        peaks = {name.replace("-", "_"): round(peak_mib(pid)) for name, pid in before.items()}
        report(sockets=len(addresses), lines=device.confirmed, smallest_crowd=min(crowds), **peaks)
        assert max(peaks.values()) < 400, f"MiB: {peaks}"
        said = gateway.collector_log()
        assert re.search(r"warning collector .*peer=127\.0\.0\.1:\d+ ", said) or tls and "handshake: " in said
        if not tls:
            refused = {text.split("endpoint=")[1].split(" ")[0] for text in gateway.log().splitlines()
                       if "bus peer refused endpoint=" in text}
            for endpoint in ("store.ingest", "store.dispatch", "tap", "control.store", "events.store"):
                assert endpoint in refused, f"{endpoint} not in {refused}"


# -- valid ZeroMQ, nonsense inside -------------------------------------------------------------------------------------


def nonsense(dice):
    """Multipart messages that nobody sends: wrong numbers of parts, no protobuf, absurd protobuf."""
    offer = ingest_pb2.ProducerMessage()
    offer.offer.producer, offer.offer.session = "x", 1
    offer.offer.producer_seq, offer.offer.record_count = 2**64 - 1, 2**32 - 1
    hello = ingest_pb2.ProducerMessage()
    hello.hello.producer, hello.hello.session, hello.hello.record_class = "p" * 10000, 7, "telemetry"
    strange = ingest_pb2.ProducerMessage()
    strange.hello.producer, strange.hello.session, strange.hello.record_class = "a\0b\nc", 9, "no such class"
    links = []
    for fill in (lambda m: m.hello, lambda m: m.ready, lambda m: m.delivered, lambda m: m.down):
        message = dispatch_pb2.LinkMessage()
        part = fill(message)
        part.link, part.session = "l" * 5000, 5
        links.append([message.SerializeToString()])
    lie = dispatch_pb2.LinkMessage()
    lie.delivered.link, lie.delivered.session = "main", 12345
    lie.delivered.delivered.add(record_class="telemetry").ranges.add(first=1, last=2**64 - 1)
    control = control_pb2.ControlRequest(id=1)
    control.log_level.level = "x" * 1000
    return [[b""], [b"", b""], [b"\xff" * 20], [b"x"] * 50, [hello.SerializeToString()], [strange.SerializeToString()],
            [offer.SerializeToString()], [offer.SerializeToString(), b""],
            [offer.SerializeToString(), dice.randbytes(1000)],
            [offer.SerializeToString(), b"a", b"b", b"c"], *links, [lie.SerializeToString()],
            [control.SerializeToString()],
            [control.SerializeToString(), b"more"],
            *[[dice.randbytes(dice.randint(0, 300)) for _ in range(dice.randint(1, 4))] for _ in range(60)]]


def test_nonsense_on_the_bus(directory, report):
    """Well-formed ZeroMQ with malformed content, names that would forge log lines, and huge parts, to every bus
    socket."""
    dice, port = random.Random(11), free_port()
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway:
        gateway.wait_running()
        before = pids(gateway, "collector", "watchdog-collector")
        sockets = sorted(gateway.run.glob("*.sock")) + sorted(gateway.collector_run.glob("*.sock"))
        with LineDevice(port, rate=2000) as device, zmq.Context() as context:
            rogues = []
            for path in sockets:
                for kind, name in ((zmq.DEALER, b"rogue\nforged line"), (zmq.DEALER, b""), (zmq.SUB, b""),
                                   (zmq.XSUB, b"")):
                    rogue = context.socket(kind)
                    rogue.linger, rogue.sndtimeo, rogue.immediate = 0, 100, True
                    if name:
                        rogue.routing_id = name
                    rogue.connect(f"ipc://{path}")
                    rogues.append((path, kind, rogue))
            for path, kind, rogue in rogues:
                if kind == zmq.SUB:
                    for number in range(200):
                        rogue.subscribe(b"topic%d" % number)
                    continue
                # a DEALER finds no peer at an XPUB, an XSUB none at a ROUTER
                fits = (kind == zmq.XSUB) == (path.name == "tap.sock" or path.name.startswith("events."))
                for parts in nonsense(dice) if fits else ():
                    with contextlib.suppress(zmq.ZMQError):
                        rogue.send_multipart(parts)
                for size in (70 << 10, 16 << 20) if fits else ():
                    with contextlib.suppress(zmq.ZMQError):
                        rogue.send_multipart([b"x" * size])
            wait_for(lambda: (gateway.metric("store", "holdfast_store_malformed_total") or 0) > 20, 20,
                     "malformed, counted")
            after = device.confirmed
            wait_for(lambda: device.confirmed > after + 2000, 20, "load")
            device.finish()
            assert not device.errors
            for _, _, rogue in rogues:
                rogue.close(0)
        gateway.wait_running()
        gateway.wait_delivered(device.confirmed)
        assert not check_lines(gateway.dump().verify().streams["good"], device.confirmed)
        assert pids(gateway, "collector", "watchdog-collector") == before
        log = gateway.log()
        assert "malformed message endpoint=store.ingest peer=" in log
        assert "malformed message endpoint=store.dispatch" in log
        assert "malformed control request" in log
        peaks = {name.replace("-", "_"): round(peak_mib(pid)) for name, pid in before.items()}
        report(sockets=len(sockets), malformed=gateway.metric("store", "holdfast_store_malformed_total"), **peaks)
        forged = [text for text in log.splitlines() if text.startswith("forged line")]
        assert not forged, "a peer's name begins a line of our log"
        assert "\0" not in log, "binary names in our log"
