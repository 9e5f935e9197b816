"""Records too long for what is behind them, and a gateway that lies to the collector."""
import contextlib
import re
import socket
import struct
import sys

from holdfast.v1 import wire_pb2

from devices import LineDevice, check_lines
from harness import ROOT, Gateway, free_port, line_source, wait_for
from peers import relay as wire
from peers.looks import pids

sys.path.insert(0, str(ROOT / "tests/examples"))
from producer import crc32c  # noqa: E402

# -- too long ----------------------------------------------------------------------------------------------------------


def test_too_long(directory):
    """Lines, frames and datagrams above the limit: each becomes one gap record, the log names the peer, others go
    on."""
    ports = {name: free_port() for name in ("good", "lines", "prefix", "udp", "gap")}
    limit = 1024
    sources = [line_source(ports["good"], "good"),
               line_source(ports["lines"], "lines", "none", framing={"type": "line", "max_length": limit}),
               line_source(ports["prefix"], "prefix", "none", framing={"type": "length-prefix", "prefix_bytes": 4,
                                                                       "max_length": limit}),
               line_source(ports["gap"], "gap", "none",
                           framing={"type": "idle-gap", "max_length": limit, "gap": "100ms"}),
               {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{ports['udp']}", "max_datagram": limit}]
    with Gateway(directory, sources=sources) as gateway, LineDevice(ports["good"], rate=2000) as device:
        gateway.wait_running()
        peers = {}
        with socket.create_connection(("127.0.0.1", ports["lines"])) as lines:
            peers["lines"] = lines.getsockname()[1]
            lines.sendall(b"\n" + b"1\n" + b"a" * limit + b"\n" + b"b" * (limit + 1) + b"\n" + b"2\n" + b"c" * 5000000
                          + b"\n3\n")
        for announced in (limit + 1, 2**31, 2**32 - 1):  # it ends the connection: nothing behind it can be understood
            with socket.create_connection(("127.0.0.1", ports["prefix"])) as prefix:
                peers[f"prefix {announced}"] = prefix.getsockname()[1]
                prefix.sendall(struct.pack(">I", 2) + b"ok" + struct.pack(">I", announced) + b"x" * 100)
                prefix.settimeout(10)
                with contextlib.suppress(ConnectionResetError):
                    assert prefix.recv(1) == b""
        with socket.create_connection(("127.0.0.1", ports["prefix"])) as prefix:  # lies, and never sends the rest
            prefix.sendall(struct.pack(">I", limit) + b"x" * 10)
        with socket.create_connection(("127.0.0.1", ports["gap"])) as gap:
            gap.sendall(b"g" * (2 * limit + 7))
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            peers["udp"] = udp.getsockname()[1]
            for size in (limit, limit + 1, 60000, 1):
                udp.sendto(b"u" * size, ("127.0.0.1", ports["udp"]))
        wait_for(lambda: gateway.metric("acquisition", "holdfast_source_oversize_total") == 7, 20,
                 lambda: f"{gateway.metric('acquisition', 'holdfast_source_oversize_total')} of 7", interval=0.05)
        wait_for(lambda: gateway.metric("acquisition", "holdfast_source_records_total", source="udp") == 2, 20,
                 "datagrams")
        wait_for(lambda: gateway.metric("acquisition", "holdfast_source_records_total", source="gap") == 3, 20,
                 "idle gap")
        device.finish()
        gateway.wait_delivered()
        archive = gateway.dump().verify(gaps=True)
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert archive.streams["lines"].values == [b"", b"1", b"a" * limit, None, b"2", None, b"3"]
        assert archive.streams["lines"].gaps == {"oversize": 2}
        assert archive.streams["prefix"].values == [b"ok", None] * 3
        assert archive.streams["prefix"].gaps == {"oversize": 3}
        assert [v and len(v) for v in archive.streams["udp"].values] == [limit, None, None, 1]
        assert [len(v) for v in archive.streams["gap"].values] == [limit, limit, 7]
        log = gateway.log()
        for what, peer in peers.items():
            assert re.search(rf"warning .*frame dropped .*peer=127\.0\.0\.1:{peer} ", log), what


# -- a gateway that lies -----------------------------------------------------------------------------------------------


def hello(name=b"liar", epoch=77, protocol=1):
    message = wire_pb2.WireMessage()
    message.hello.protocol, message.hello.epoch, message.hello.link = protocol, epoch, "x"
    message.hello.gateway = name
    return wire.frame(message)


def data(first, count, payload=b"", crc=None, record_class="telemetry", gap=0):
    message = wire_pb2.WireMessage()
    message.data.record_class, message.data.first_seq, message.data.record_count = record_class, first, count
    message.data.crc32c = crc32c(payload) if crc is None else crc
    message.data.gap_reason = gap
    return wire.frame(message, payload)


def test_lying_gateway(directory, report):
    """Well-formed frames with absurd content to the collector: the liar is refused or set apart, an honest gateway's
    lines arrive once meanwhile."""
    ping = wire_pb2.WireMessage()
    ping.ping.id = 1
    empty = wire.frame(wire_pb2.WireMessage())
    stories = {
        "data before hello": [data(1, 1, b"x")], "ping before hello": [wire.frame(ping)],
        "protocol": [hello(protocol=9)],
        "no name": [hello(name=b"")], "no epoch": [hello(epoch=0)],
        "long name": [hello(name=b"n" * 600), data(1, 1, b"x")],
        "empty frame": [hello(), empty], "checksum": [hello(), data(1, 1, b"x", crc=1)],
        "no class": [hello(), data(1, 1, b"x", record_class="")],
        "long class": [hello(), data(1, 1, b"x", record_class="c" * 65)], "no records": [hello(), data(1, 0, b"x")],
        "seq 0": [hello(), data(0, 1, b"x")], "seq overflow": [hello(), data(2**64 - 1, 10, b"x")],
        "gap with payload": [hello(), data(5, 1, b"x", gap=1)], "data without payload": [hello(), data(5, 1)],
        "overlap": [hello(epoch=78), data(10, 10, b"x"), data(15, 10, b"y")],
        "header is noise": [hello(), b"HFW1" + struct.pack(">II", 20, 0) + b"\xff" * 20],
    }
    accepted = {"seq overflow"}  # its own numbers, nobody else's
    port = free_port()
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, LineDevice(port, rate=3000) as device:
        gateway.wait_running()
        before = pids(gateway, "collector")
        sessions = gateway.metric("uplink-main", "holdfast_link_sessions_total")
        outcome = {}
        for what, frames in stories.items():
            with socket.create_connection(("127.0.0.1", gateway.collector_port), timeout=5) as liar:
                liar.sendall(b"".join(frames))
                rest, refusal = b"", None
                with contextlib.suppress(OSError):
                    liar.settimeout(0.5 if what in accepted else 5)
                    while found := wire.read_frame(liar, rest):
                        message, rest = found
                        if message.WhichOneof("message") == "refusal":
                            refusal = message.refusal.reason
                        elif message.WhichOneof("message") == "rejected":  # that batch alone; the session goes on
                            refusal = message.rejected.detail
                            break
                outcome[what] = refusal
        unheard = [what for what, refusal in outcome.items() if refusal is None and what not in accepted]
        report("refused", **{what.replace(" ", "_"): repr(refusal) for what, refusal in outcome.items()})
        before_more = device.confirmed
        wait_for(lambda: device.confirmed > before_more + 2000, 20, "load")
        device.finish()
        wait_for(lambda: gateway.unsent() == 0, 30, "everything through", interval=0.1)
        archive = gateway.dump(stream="good")
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert pids(gateway, "collector") == before
        assert gateway.metric("uplink-main",
                              "holdfast_link_sessions_total") == sessions, "the honest session never broke"
        assert len(re.findall(r"warning collector session refused peer=127\.0\.0\.1:\d+ ",
                              gateway.collector_log())) >= 14
        assert not unheard, f"not told why: {unheard}"
