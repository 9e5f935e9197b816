"""Every kind of source delivers what its device sent: byte for byte, once, in order. What cannot wait and finds no room is
counted to the record."""
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import devices
from devices import LineDevice, LineSender, check_lines, check_modbus, line
from harness import BIN, BUILD, PEERS, ROOT, Gateway, free_port, line_source, wait_for
from peers.looks import peak_mib, wait_component
from peers.pty_pair import PtyPair

sys.path.insert(0, str(ROOT / "tests/examples"))
import producer  # noqa: E402

LIMIT = 1024  # bytes of a frame

# -- transparent sources ------------------------------------------------------------------------------------------------

FRAMINGS = {
    "line": ({"type": "line", "max_length": LIMIT}, lambda frame: frame + b"\n"),
    "prefix1": ({"type": "length-prefix", "prefix_bytes": 1, "max_length": LIMIT},
                lambda frame: struct.pack("B", len(frame)) + frame),
    "prefix2": ({"type": "length-prefix", "prefix_bytes": 2, "max_length": LIMIT},
                lambda frame: struct.pack(">H", len(frame)) + frame),
    "prefix4": ({"type": "length-prefix", "prefix_bytes": 4, "prefix_order": "little", "prefix_counts_itself": True,
                 "max_length": LIMIT}, lambda frame: struct.pack("<I", len(frame) + 4) + frame),
    "fixed": ({"type": "fixed", "length": 32}, lambda frame: frame),
    "idle-gap": ({"type": "idle-gap", "gap": "200ms", "max_length": LIMIT}, lambda frame: frame),
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
    feeds = [Feed(directory, port, framing, 200 if port == "serial" else 1000) for port in PORTS for framing in FRAMINGS]
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


def send_datagrams(gateway, port, datagrams, source):
    """Never more on their way than the kernel keeps: each hundred is waited for, taken or dropped."""
    def seen():
        names = ("holdfast_source_records_total", "holdfast_source_dropped_total")
        return sum(gateway.metric("acquisition", name, source=source) or 0 for name in names)
    before = seen()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        for number, datagram in enumerate(datagrams, 1):
            sender.send(datagram)
            if number % 100 == 0:
                wait_for(lambda: seen() - before >= number, 20, lambda: f"{seen() - before} of {number} datagrams",
                         interval=0.01)


def kernel_drops(port):
    """What the kernel itself dropped at a UDP port."""
    with open("/proc/net/udp", encoding="ascii") as table:
        rows = [row.split() for row in table.readlines()[1:]]
    return sum(int(row[-1]) for row in rows if int(row[1].split(":")[1], 16) == port)


def test_modbus_rtu(directory, report):
    units = 3
    with PtyPair(directory, "bus") as bus:
        plant = subprocess.Popen([sys.executable, PEERS / "modbus_server.py", "--rtu", bus.device, "--units", f"1-{units}"],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert plant.stdout.readline().strip() == b"READY"
            source = {"name": "bus", "type": "modbus-rtu", "device": bus.gateway, "baud": 115200, "devices": [
                {"name": f"unit-{unit}", "unit": unit, "period": "50ms", "points": devices.POINTS}
                for unit in range(1, units + 1)]}
            with Gateway(directory, sources=[source]) as gateway:
                wait_for(lambda: gateway.archived() >= 40 * units * len(devices.POINTS), 30,
                         lambda: f"{gateway.archived()} records", interval=0.05)
                gateway.stop_gateway()
                archive = gateway.dump().verify()
                assert not check_modbus(archive, units)
                report(records=archive.records)
        finally:
            plant.terminate()
            plant.wait()
            plant.stdout.close()


# -- confirm ------------------------------------------------------------------------------------------------------------


class Counted:
    """A connection to a source with confirm: count; reads the counts."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.rest = b""

    def count(self):
        while b"\n" not in self.rest:
            data = self.socket.recv(4096)
            if not data:
                raise EOFError
            self.rest += data
        text, self.rest = self.rest.split(b"\n", 1)
        return int(text)

    def wait_count(self, wanted):
        while (count := self.count()) < wanted:
            pass
        assert count == wanted
        return count

    def send(self, first, last):
        self.socket.sendall(b"".join(line(number) for number in range(first, last + 1)))


def test_confirm(directory):
    """The first line is where we stand, each further one grows; a new connection replaces the old one; half a line does not
    count."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port)]) as gateway:
        gateway.wait_running()
        one = Counted(port)
        assert one.count() == 0
        one.send(1, 10)
        one.wait_count(10)
        one.send(11, 11)
        one.wait_count(11)
        one.socket.sendall(b"half a li")
        two = Counted(port)
        assert two.count() == 11
        with pytest.raises((EOFError, ConnectionError)):
            one.count()
        two.send(12, 20)
        two.wait_count(20)
        two.socket.close()
        three = Counted(port)
        assert three.count() == 20, "asks again, and is told the same"
        gateway.kill("acquisition")
        wait_component(gateway, "acquisition", "source:lines", "listening")
        four = Counted(port)
        assert four.count() == 20, "the count outlives the process"
        four.send(21, 30)
        four.wait_count(30)
        gateway.wait_delivered(30)
        assert not check_lines(gateway.dump().verify().streams["lines"], 30)


def test_replaced_in_the_middle(directory, report):
    """A device that connects anew while its old connection still delivers: what the old one brought counts, or not, and never
    both. Every third time the gateway finds the lines and the new connection at the same moment."""
    port, dice, rounds = free_port(), random.Random(3), 300
    kept = []
    with Gateway(directory, sources=[line_source(port)]) as gateway:
        gateway.wait_running()
        pid = gateway.pid("acquisition")
        device = Counted(port)
        for round_ in range(rounds):
            kept.append(device.socket)
            count = device.count()
            last = count + dice.randint(1, 300)
            together = round_ % 3 == 0
            if together:
                os.kill(pid, signal.SIGSTOP)
            device.send(count + 1, last)
            device = Counted(port)
            if together:
                os.kill(pid, signal.SIGCONT)
            del kept[:-2]
        count = device.count()
        device.send(count + 1, count + 100)
        total = device.wait_count(count + 100)
        gateway.wait_delivered(total)
        assert not check_lines(gateway.dump().verify().streams["lines"], total)
        report(connections=rounds + 1, records=total)


def test_confirm_by_a_device_that_is_called(directory):
    """tcp-client with confirm: the gateway connects, tells where it stands, and comes back after it was killed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        source = {"name": "lines", "type": "tcp-client", "connect": "127.0.0.1:%d" % listener.getsockname()[1],
                  "confirm": "count"}
        with Gateway(directory, sources=[source]) as gateway:
            sent = 0
            for round_ in range(4):
                connection = Counted.__new__(Counted)
                connection.socket, connection.rest = listener.accept()[0], b""
                connection.socket.settimeout(20)
                assert connection.count() == sent
                connection.send(sent + 1, sent + 500)
                sent = connection.wait_count(sent + 500)
                if round_ < 3:
                    gateway.kill("acquisition") if round_ % 2 else connection.socket.close()
            gateway.wait_delivered(sent)
            assert not check_lines(gateway.dump().verify().streams["lines"], sent)


# -- no room ------------------------------------------------------------------------------------------------------------


def still(value, for_s=0.7):
    """True once value() has not moved for so long."""
    last = [value(), time.monotonic()]

    def settled():
        now = value()
        if now != last[0]:
            last[:] = [now, time.monotonic()]
        return time.monotonic() - last[1] >= for_s
    return settled


def test_back_pressure(directory, report):
    """No store, then a store that stands still, then a collector that does: a TCP device is held back, and UDP datagrams
    that find no room are gap records. Sent = delivered + gaps."""
    tcp, udp, total = free_port(), free_port(), 200000
    small = {"window": "256KiB", "batch": {"size": "64KiB"}}
    sources = [line_source(tcp, confirm="none") | small,
               {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{udp}"} | small]
    patience = {"watchdog": {"limit": "60s"}}
    with Gateway(directory, sources=sources, overrides={"watchdog": {"services": ["uplink-main", "acquisition", "health"]}},
                 collector_overrides=patience) as gateway:
        wait_component(gateway, "acquisition", "source:udp", "listening")
        wait_component(gateway, "acquisition", "source:lines", "listening")
        device = LineSender(tcp, total=total).start()
        wait_for(still(lambda: device.written), 30, "the device is never held back")
        held = device.written
        kept = gateway.metric("acquisition", "holdfast_source_unacknowledged_bytes", source="lines")
        assert 0 < held < total
        assert 256 << 10 <= kept <= 1 << 20, "one read above the window"
        datagrams = [b"%08d" % number + b"." * 200 for number in range(1, 6001)]
        send_datagrams(gateway, udp, datagrams[:4000], "udp")
        dropped = gateway.metric("acquisition", "holdfast_source_dropped_total", source="udp")
        assert dropped > 0 and kernel_drops(udp) == 0
        report(device_held_after_lines=held, kept_bytes=kept, datagrams_dropped=dropped)

        store = subprocess.Popen([BIN / "holdfast-store", "--config", gateway.config_path], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=open(directory / "store.log", "wb"))
        try:
            wait_for(lambda: device.written > held, 20, "the device goes on")
            # The last datagram was dropped, no other follows: its gap record comes all the same.
            wait_for(lambda: told(gateway, "udp") == 4000, 20, lambda: f"{told(gateway, 'udp')} of 4000 told", interval=0.2)
            store.send_signal(signal.SIGSTOP)
            send_datagrams(gateway, udp, datagrams[4000:], "udp")
            store.send_signal(signal.SIGCONT)
            pid = gateway.kill("collector", signal.SIGSTOP)
            device.wait(60)  # the store alone takes everything
            assert gateway.pid("collector") == pid
            os.kill(pid, signal.SIGCONT)
            wait_for(lambda: told(gateway, "udp") == len(datagrams), 30, interval=0.2,
                     what=lambda: f"{told(gateway, 'udp')} of {len(datagrams)} told")
            gateway.wait_delivered()
            archive = gateway.dump().verify(gaps=True)
            assert kernel_drops(udp) == 0
            assert not check_lines(archive.streams["lines"], total)
            stream = archive.streams["udp"]
            arrived = [int(value[:8]) for value in stream.values if value is not None]
            assert arrived == sorted(set(arrived))
            assert len(arrived) + stream.gaps["overflow"] == len(datagrams)
            report(datagrams=len(datagrams), arrived=len(arrived), gaps=stream.gaps["overflow"],
                   acquisition_peak_mib=peak_mib(gateway.pid("acquisition")), store_peak_mib=peak_mib(store.pid))
        finally:
            store.send_signal(signal.SIGCONT)
            store.terminate()
            store.wait(20)


def told(gateway, stream):
    """Records of the stream that the collector has, those that gap records tell included."""
    found = gateway.dump(stream=stream).streams.get(stream)
    return sum(found.gaps.values()) + sum(1 for value in found.values if value is not None) if found else 0


# -- programs of our users ----------------------------------------------------------------------------------------------


def test_producer_example(directory, report):
    """Exactly once, whatever is killed on the way; started again it goes on where it was."""
    total = 60000
    with Gateway(directory) as gateway:
        gateway.wait_running()
        done = []
        thread = threading.Thread(target=lambda: done.append(
            producer.produce(str(gateway.run), "counter", "telemetry", total, per_batch=10, timeout=60)))
        thread.start()
        kills = 0
        while thread.is_alive() and kills < 6:
            before = gateway.metric("store", "holdfast_store_records_total") or 0
            wait_for(lambda: not thread.is_alive()
                     or (gateway.metric("store", "holdfast_store_records_total") or 0) > before + 2000, 20, "progress")
            if thread.is_alive():
                gateway.kill("store")
                kills += 1
        thread.join(60)
        assert done == [total]
        assert kills >= 3
        command = [sys.executable, ROOT / "tests/examples/producer.py", "--run-directory", gateway.run, "--producer",
                   "counter", "--count", str(total + 1000)]
        said = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(BUILD / "messages")}, capture_output=True,
                              text=True, timeout=60)
        assert said.stdout == f"1000 records stored, {total + 1000} in all\n", said
        gateway.wait_delivered(total + 1000)
        values = gateway.dump().verify().streams["counter"].values
        assert values == list(range(total + 1000))
        report(records=len(values), kills_of_the_store=kills)


def test_tap_example(directory, report):
    """Ten lines of Python show what the services publish, records too."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port)]) as gateway:
        gateway.wait_running()
        command = [sys.executable, ROOT / "tests/examples/tap.py", gateway.run, "heartbeat.", "metrics.", "record."]
        tap = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(BUILD / "messages")}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        try:
            with LineDevice(port, rate=200):
                heard = set()
                for text in tap.stdout:
                    assert re.match(r"^(heartbeat|metrics|record)\.[\w-]+ \d+ \w+", text), text
                    heard.add(text.split(" ")[0])
                    if {"record.telemetry", "metrics.store", "heartbeat.uplink-main"} <= heard:
                        break
            assert "record.telemetry" in heard, tap.stderr.read()
            report(topics=sorted(heard))
        finally:
            tap.kill()
            tap.wait()
            tap.stdout.close()
            tap.stderr.close()
