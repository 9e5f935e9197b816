"""Centres, devices and senders that are slow, broken or mean; what test_links, test_bad_input and test_noise do not
have."""
import contextlib
import itertools
import socket
import struct
import threading
import time

from holdfast.v1 import wire_pb2

from devices import LineDevice, check_lines
from harness import Gateway, free_port, line_source, wait_for
from modbus_plant import ModbusPlant, check_modbus
from peers import relay as r
from peers.looks import peak_mib, pids
from test_links import QUICK, delivered_once, silence, welcome_then

# -- the centre --------------------------------------------------------------------------------------------------------


def drip(connection):
    """A welcome, a byte each 100 ms."""
    message = wire_pb2.WireMessage()
    message.welcome.protocol, message.welcome.collector, message.welcome.max_frame_bytes = 1, "x" * 200, 8 << 20
    for byte in r.frame(message):
        connection.sendall(bytes([byte]))
        time.sleep(0.1)
    silence(connection)


def read_nothing(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    threading.Event().wait(30)


def answer(of_data):
    """Reads batches, and answers each with what of_data(WireData) gives."""
    def act(connection):
        rest = b""
        while found := r.read_frame(connection, rest):
            message, rest = found
            if message.WhichOneof("message") == "data":
                connection.sendall(of_data(message.data))
    return welcome_then(act)


def ack(record_class, *ranges):
    message = wire_pb2.WireMessage()
    stored = message.ack.stored.add(record_class=record_class)
    for first, last in ranges:
        stored.ranges.add(first=first, last=last)
    return r.frame(message)


def all_but_the_first(data):
    last = data.first_seq + data.record_count - 1
    return ack(data.record_class, (data.first_seq + 1, last)) if data.record_count > 1 else b""


def backwards(data):
    return ack(data.record_class, (data.first_seq + data.record_count, data.first_seq), (0, 0))


def of_another_class(data):
    return ack("critical", (data.first_seq, data.first_seq + data.record_count - 1)) + ack("c" * 5000, (1, 10**9))


def test_hostile_centres(directory, report):
    """Welcomes by the byte, reads nothing, acknowledges parts of batches, ranges that run backwards, other classes, says
    hello itself: nothing is forgotten, and the real centre gets each record once."""
    port = free_port()
    hello = wire_pb2.WireMessage()
    hello.hello.protocol, hello.hello.gateway = 1, b"i am you"
    centres = {"welcomes by the byte": drip, "reads nothing": welcome_then(read_nothing),
               "acknowledges all but the first": answer(all_but_the_first), "backwards": answer(backwards),
               "of another class": answer(of_another_class),
               "says hello": lambda c: (c.sendall(r.frame(hello) * 1000), silence(c)),
               "welcomes for ever": welcome_then(lambda c: [welcome_then(silence)(c) for _ in range(3)])}
    with r.Relay(None) as switch, Gateway(directory, sources=[line_source(port)], links=[
            {"connect": f"127.0.0.1:{switch.port}", "window": "64KiB"} | QUICK]) as gateway, \
            LineDevice(port, rate=1000) as device:
        wait_for(lambda: device.confirmed > 100, 20, "records on disk")
        pid, attempts = gateway.pid("uplink-main"), {}
        for what, behave in centres.items():
            with r.Impostor(behave) as server:
                switch.target = server.address
                switch.cut()
                more = device.confirmed + 1000
                wait_for(lambda: server.accepted >= 2 and device.confirmed >= more, 40,
                         lambda: f"{what}: {server.accepted} attempts, {device.counts()}")
                attempts[what.replace(" ", "_")] = server.accepted
        assert gateway.archived() == 0
        switch.target = ("127.0.0.1", gateway.collector_port)
        switch.cut()
        delivered_once(gateway, device)
        report(records=device.confirmed, peak_mib=peak_mib(pid), **attempts)
        assert gateway.pid("uplink-main") == pid, "the uplink was restarted"


def test_reset_at_each_byte(directory, report):
    """Each session ends one byte later than the one before, through the whole handshake and the first batches."""
    port, last = free_port(), 120
    lengths = itertools.chain(range(1, last), itertools.repeat(None))
    gateway = Gateway(directory, sources=[line_source(port)])
    with r.Relay(("127.0.0.1", gateway.collector_port), cut_after=lambda: next(lengths)) as relay:
        gateway.configuration["links"][0].update({"connect": f"127.0.0.1:{relay.port}"} | QUICK | {
            "reconnect": {"quick": "10ms", "first": "10ms", "cap": "20ms", "unavailable_after": 10000},
            "tuning": {"breaker": {"window": 10000, "minimum": 10000}}})
        gateway.write_configurations()
        with gateway, LineDevice(port, rate=500) as device:
            wait_for(lambda: relay.cuts >= last - 1, 90, lambda: f"{relay.cuts} cuts")
            delivered_once(gateway, device)
            report(cuts=relay.cuts, records=device.confirmed)


# -- devices -----------------------------------------------------------------------------------------------------------

WRONG = 666  # in every register of an answer that must not be believed


def registers(count, value=WRONG):
    return struct.pack(">BB", 3, 2 * count) + struct.pack(">H", value) * count


def modbus(number, unit, body, length=None, protocol=0):
    return struct.pack(">HHHB", number & 0xffff, protocol, 1 + len(body) if length is None else length, unit) + body


# What a device answers to request `number` of `count` registers.
DEVICES = {
    "garbage": lambda number, unit, count: b"\xa5" * 300,
    "other transaction": lambda number, unit, count: modbus(number + 1, unit, registers(count)),
    "other protocol": lambda number, unit, count: modbus(number, unit, registers(count), protocol=7),
    "other unit": lambda number, unit, count: modbus(number, unit + 1, registers(count)),
    "other function": lambda number, unit, count: modbus(number, unit, b"\4" + registers(count)[1:]),
    "too few": lambda number, unit, count: modbus(number, unit, registers(count - 1)),
    "too many": lambda number, unit, count: modbus(number, unit, registers(125)),
    "count lies": lambda number, unit, count: modbus(number, unit, b"\3\xfe" + b"\2\x9a" * count),
    "length lies": lambda number, unit, count: modbus(number, unit, registers(count), length=0xffff),
    "length zero": lambda number, unit, count: modbus(number, unit, registers(count), length=0),
    "half an answer": lambda number, unit, count: modbus(number, unit, registers(count))[:11],
    "one before": lambda number, unit, count: modbus(number - 1, unit, registers(count)),
    "nothing": lambda number, unit, count: b"",
    "hangs up": None,
}


def serve_modbus(give):
    def behave(connection):
        while request := connection.recv(260):
            if give is None or len(request) < 12:
                return connection.close()
            number, _, _, unit, _, _, count = struct.unpack(">HHHBBHH", request[:12])
            connection.sendall(give(number, unit, count))
        return connection.close()
    return behave


def test_hostile_modbus_devices(directory, report):
    """Answers that are no Modbus, of another request, unit, function or length: no value of theirs becomes a record's, and
    a good plant beside them is polled as ever."""
    port = free_port()
    point = [{"name": "level", "address": 0, "type": "uint16"}, {"name": "flow", "address": 1, "type": "uint16"}]
    with contextlib.ExitStack() as stack:
        plant = stack.enter_context(ModbusPlant(units=4))
        sources, peers = [line_source(port, "good"), plant.source()], {}
        for what, give in DEVICES.items():
            name = what.replace(" ", "-")
            peers[name] = stack.enter_context(r.Impostor(serve_modbus(give)))
            sources.append({"name": name, "type": "modbus-tcp", "connect": "{}:{}".format(*peers[name].address),
                            "devices": [{"name": name, "unit": 1, "period": "100ms", "points": point}]})
        gateway = stack.enter_context(Gateway(directory, sources=sources))
        device = stack.enter_context(LineDevice(port, rate=1000))
        # Not wait_running(): acquisition is "degraded" as soon as the first of these devices is offline.
        wait_for(lambda: device.confirmed and all(pids(gateway).values()), 20, "records on disk, and every service")
        before, begin = pids(gateway), time.monotonic()
        wait_for(lambda: device.confirmed >= 8000, 90, lambda: device.counts())
        took = time.monotonic() - begin
        device.finish()
        assert pids(gateway) == before
        peak = peak_mib(before["acquisition"])
        wait_for(lambda: all(peer.accepted for peer in peers.values()), 20, "every device was asked")
        gateway.stop_gateway()  # in order: what acquisition has reaches the store
        gateway.start_gateway()
        gateway.wait_archived()
        archive = gateway.dump()
        archive.verify(origins=None, gaps=True)
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert not check_modbus(archive, units=4, skips=3)
        believed = {name: values for name in sorted(peers) for point_name in ("level", "flow")
                    if (values := [value for value in archive.streams[f"{name}/{point_name}"].values
                                   if value is not None])}
        polls = archive.streams["unit-1/counter"].count
        report(devices=len(peers), seconds=took, polls_of_a_good_unit=polls, acquisition_peak_mib=peak,
               connections=sum(peer.accepted for peer in peers.values()))
        assert not believed, f"values that nobody measured: {believed}"
        assert polls >= took * 10 / 2, "the good plant was polled less than half as often as asked"


def test_slow_senders(directory, report):
    """Hundreds of senders that give a byte now and then: each line comes whole, and a good device's lines go on."""
    ports, size = (free_port(), free_port()), 300
    text = b"slow-%06d"
    sources = [line_source(ports[0], "good"), line_source(ports[1], "slow", "none", max_connections=size)]
    with Gateway(directory, sources=sources) as gateway, LineDevice(ports[0], rate=1000) as device:
        gateway.wait_running()
        before = pids(gateway)
        senders = [socket.create_connection(("127.0.0.1", ports[1]), timeout=5) for _ in range(size)]
        for place in range(len(text % 0)):
            for number, sender in enumerate(senders):
                sender.sendall((text % number)[place:place + 1])
            goal = device.confirmed + 200
            wait_for(lambda: device.confirmed >= goal, 30, lambda: device.counts())
        for sender in senders:
            sender.sendall(b"\n")
        wait_for(lambda: gateway.metric("acquisition", "holdfast_source_records_total", source="slow") == size, 20,
                 "a line of each")
        for sender in senders:
            sender.close()
        device.finish()
        gateway.wait_delivered()
        archive = gateway.dump().verify()
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert sorted(archive.streams["slow"].values) == [text % number for number in range(size)]
        assert pids(gateway) == before
        report(senders=size, records=device.confirmed, acquisition_peak_mib=peak_mib(before["acquisition"]))
