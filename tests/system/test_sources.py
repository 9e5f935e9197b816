"""Every kind of source delivers what its device sent: byte for byte, once, in order."""
import random
import socket
import struct
import subprocess
import sys
import threading

from harness import PEERS, Gateway, free_port, wait_for
from modbus_plant import POINTS, check_modbus
from peers.datagrams import send_datagrams
from peers.looks import wait_component
from peers.pty_pair import PtyPair

LIMIT = 1024  # bytes of a frame

# -- transparent sources -----------------------------------------------------------------------------------------------

FRAMINGS = {
    "line": ({"type": "line", "max_length": LIMIT}, lambda frame: frame + b"\n"),
    "prefix1": ({"type": "length-prefix", "prefix_bytes": 1, "max_length": LIMIT},
                lambda frame: struct.pack("B", len(frame)) + frame),
    "prefix2": ({"type": "length-prefix", "prefix_bytes": 2, "max_length": LIMIT},
                lambda frame: struct.pack(">H", len(frame)) + frame),
    "prefix4": ({"type": "length-prefix", "prefix_bytes": 4, "prefix_order": "little", "prefix_counts_itself": True,
                 "max_length": LIMIT}, lambda frame: struct.pack("<I", len(frame) + 4) + frame),
    "fixed": ({"type": "fixed", "length": 32}, lambda frame: frame),
    "idle-gap": ({"type": "idle-gap", "gap": "1s", "max_length": LIMIT}, lambda frame: frame),
}
LENGTHS = {"prefix1": 255, "prefix2": LIMIT, "prefix4": LIMIT, "line": LIMIT}


def frames_for(framing, dice, count):
    if framing == "idle-gap":
        return [dice.randbytes(dice.randint(2, 300)) for _ in range(6)]
    if framing == "fixed":
        return [dice.randbytes(32) for _ in range(count)]
    longest = LENGTHS[framing]
    lengths = [0, 1, longest, longest - 1] + [dice.randint(0, 120) for _ in range(count - 4)]
    frames = [dice.randbytes(length) for length in lengths]
    return [frame.replace(b"\n", b"\r") for frame in frames] if framing == "line" else frames


class TcpServerPort:
    def __init__(self, directory, name):
        self.port = free_port()
        self.settings = {"type": "tcp-server", "listen": f"127.0.0.1:{self.port}"}

    def open(self):
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def write(self, data):
        self.connection.sendall(data)

    def close(self):
        self.connection.close()


class TcpClientPort(TcpServerPort):
    """The gateway calls the device."""

    def __init__(self, directory, name):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.settings = {"type": "tcp-client", "connect": f"127.0.0.1:{self.listener.getsockname()[1]}"}

    def open(self):
        self.listener.settimeout(30)
        self.connection, _ = self.listener.accept()

    def close(self):
        super().close()
        self.listener.close()


class SerialPort:
    def __init__(self, directory, name):
        self.pair = PtyPair(directory, name)
        self.settings = {"type": "serial", "device": self.pair.gateway, "baud": 115200}

    def open(self):
        pass

    def write(self, data):
        self.pair.write(data)

    def close(self):
        self.pair.close()


PORTS = {"tcp-server": TcpServerPort, "tcp-client": TcpClientPort, "serial": SerialPort}


class Feed:
    """One source with its device."""

    def __init__(self, directory, port, framing, count):
        self.name, self.framing = f"{port}-{framing}", framing
        self.dice = random.Random(self.name)
        self.port = PORTS[port](directory, self.name)
        self.frames = frames_for(framing, self.dice, count)
        self.source = {"name": self.name, "framing": FRAMINGS[framing][0]} | self.port.settings
        self.failure = None

    def run(self, gateway):
        try:
            self.port.open()
            wait_component(gateway, "acquisition", f"source:{self.name}", "listening", "connected", "open")
            self._pauses(gateway) if self.framing == "idle-gap" else self._chunks()
        except Exception as error:
            self.failure = error

    def _chunks(self):
        """Cut anywhere but where frames end."""
        encode = FRAMINGS[self.framing][1]
        data = b"".join(encode(frame) for frame in self.frames)
        while data:
            size = self.dice.choice((1, 7, 100, 5000))
            self.port.write(data[:size])
            data = data[size:]

    def _pauses(self, gateway):
        """The pause is waited for by what it brings about."""
        for number, frame in enumerate(self.frames, 1):
            self.port.write(frame[:1])
            self.port.write(frame[1:])
            wait_for(lambda: gateway.metric("acquisition", "holdfast_source_records_total", source=self.name) >= number,
                     20, f"frame {number} of {self.name}", interval=0.02)


def test_every_transparent_source(directory, report):
    feeds = [Feed(directory, port, framing,
                  200 if port == "serial" else 1000) for port in PORTS for framing in FRAMINGS]
    udp = free_port()
    datagrams = [random.Random(1).randbytes(size) for size in [0, 1, LIMIT, LIMIT - 1] + [200] * 1500]
    sources = [feed.source for feed in feeds] + [
        {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{udp}", "max_datagram": LIMIT}]
    with Gateway(directory, sources=sources) as gateway:
        wait_component(gateway, "acquisition", "source:udp", "listening")
        threads = [threading.Thread(target=feed.run, args=(gateway,)) for feed in feeds]
        for thread in threads:
            thread.start()
        send_datagrams(gateway, udp, datagrams, "udp")
        for thread in threads:
            thread.join(60)
        assert not [feed.failure for feed in feeds if feed.failure]
        gateway.wait_delivered(sum(len(feed.frames) for feed in feeds) + len(datagrams))
        archive = gateway.dump().verify()
        for feed in feeds:
            assert archive.streams[feed.name].values == feed.frames, feed.name
            feed.port.close()
        assert archive.streams["udp"].values == datagrams
        report(sources=len(sources), records=archive.records)


def test_modbus_rtu(directory, report):
    units = 3
    with PtyPair(directory, "bus") as bus:
        plant = subprocess.Popen([sys.executable, PEERS / "modbus_server.py", "--rtu", bus.device, "--units",
                                  f"1-{units}"],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert plant.stdout.readline().strip() == b"READY"
            source = {"name": "bus", "type": "modbus-rtu", "device": bus.gateway, "baud": 115200, "devices": [
                {"name": f"unit-{unit}", "unit": unit, "period": "50ms", "points": POINTS}
                for unit in range(1, units + 1)]}
            with Gateway(directory, sources=[source]) as gateway:
                wait_for(lambda: gateway.archived() >= 40 * units * len(POINTS), 30,
                         lambda: f"{gateway.archived()} records", interval=0.05)
                gateway.stop_gateway()
                archive = gateway.dump().verify()
                assert not check_modbus(archive, units)
                report(records=archive.records)
        finally:
            plant.terminate()
            plant.wait()
            plant.stdout.close()
