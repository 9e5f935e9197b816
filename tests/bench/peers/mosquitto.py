#!/usr/bin/python3
"""Comparison peer: MQTT QoS 1 -> mosquitto -> bridge, QoS 1 -> mosquitto -> subscriber's file."""

import os
import select
import socket
import sys
import time

sys.dont_write_bytecode = True  # no __pycache__ in the source tree
import common  # noqa: E402

# mosquitto keeps its messages in memory and writes the whole of them to one file (with an fsync
# and a rename) now and then; a PUBACK never waits for that.
#
# autosave, on_changes  1, true: written once per turn of the main loop in which a message came
#                       or went, the closest to durable it has.  It costs an fsync and a copy of
#                       all that is queued per turn, so inflight and window are kept small.
#                       1, false: every second; kill -9 or a power cut loses what came since.
# inflight   max_inflight_messages of both brokers, 0 = no limit but that of MQTT, 65535.
# window     messages the publishers have under way without PUBACK, over all connections.
# shards     topics; each with its own publisher, bridge and subscriber connection.  A turn of the
#            main loop reads one packet per connection, so with autosave on changes the number of
#            connections is the size of the group one write covers.
# pause_ms   pause of the load generator between two turns, so that it handles packets in bulk
#            and leaves the cores to the brokers.
#
# Nothing may be dropped: max_queued_messages and max_queued_bytes are 0, without limit.
VARIANTS = {
    "strict": {"autosave": 1, "on_changes": "true", "inflight": 20, "window": 640, "shards": 64,
               "pause_ms": 1.0},
    "fast": {"autosave": 1, "on_changes": "false", "inflight": 0, "window": 60000, "shards": 1,
             "pause_ms": 2.0},
}
DURABILITY = {
    "strict": "both brokers write and fsync all their messages once per turn of the main loop; "
              "the PUBACK is sent before that write, so the last turn can be lost; the "
              "subscriber fdatasyncs its file before its PUBACK",
    "fast": "both brokers hold the messages in memory and write them once a second: kill -9 or "
            "a power cut loses up to a second of acknowledged messages; the subscriber "
            "writes its file before its PUBACK, without sync",
}
BROKER = """\
listener {port} 127.0.0.1
user root
allow_anonymous true
set_tcp_nodelay true
sys_interval 0
log_dest stderr
log_type error
persistence true
persistence_location {directory}/
autosave_interval {autosave}
autosave_on_changes {on_changes}
max_inflight_messages {inflight}
max_queued_messages 0
max_queued_bytes 0
"""
BRIDGE = """\
connection up{n}
address 127.0.0.1:{centre}
topic {topic} out 1
cleansession false
bridge_protocol_version mqttv311
try_private false
notifications false
restart_timeout 1
"""
PUBLISH_QOS_1 = b"\x32"
RECEIVE_BYTES = 1 << 20


# -- MQTT 3.1.1, as little as it takes ---------------------------------------------


def topic_of(n):
    """Returns the topic of a shard; all have the same length."""
    return b"d/%03d" % n


def mqtt_string(text):
    """Returns `text` with the length in front."""
    return len(text).to_bytes(2, "big") + text


def mqtt_exchange(connection, packet, answer):
    """Sends a short packet and takes the answer, which is known to the byte."""
    connection.sendall(packet)
    got = connection.recv(len(answer), socket.MSG_WAITALL)
    if got != answer:
        raise common.PeerError(f"failed to talk to the broker: got {got!r} for {packet!r}")


def mqtt_connect(port, name):
    """Returns a socket on which a clean session is open."""
    connection = socket.create_connection(("127.0.0.1", port), 10.0)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = mqtt_string(b"MQTT") + b"\x04\x02\x00\x00" + mqtt_string(name)
    mqtt_exchange(connection, bytes([0x10, len(body)]) + body, b"\x20\x02\x00\x00")
    return connection


class Layout:
    """Where things are in a PUBLISH; all packets of a run have the same length."""

    def __init__(self, size):
        rest = 2 + len(topic_of(0)) + 2 + size
        if not 128 <= rest < 16384:
            raise common.PeerError(f"failed to lay out a packet: size {size} is out of range")
        self.head = bytes([rest & 127 | 128, rest >> 7])
        self.identifier = 3 + 2 + len(topic_of(0))
        self.payload = self.identifier + 2
        self.stride = self.payload + size


# -- load generator ----------------------------------------------------------------


class Publisher:
    """One connection that sends packets encoded beforehand, a window at a time."""

    def __init__(self, port, n, first, count, size):
        self.layout_ = Layout(size)
        self.packets_ = memoryview(self._encode(n, first, count, size))
        self.sent_ = 0  # bytes
        self.acknowledged_ = 0  # bytes of PUBACK packets, 4 each
        self.connection = mqtt_connect(port, b"publisher-%03d" % n)
        self.connection.setblocking(False)

    def _encode(self, n, first, count, size):
        head = PUBLISH_QOS_1 + self.layout_.head + mqtt_string(topic_of(n)) + b"\0\0"
        lines = common.make_block(first, count, size)
        packets = bytearray(b"".join(head + lines[at:at + size]
                                     for at in range(0, len(lines), size)))
        numbers = [k % 65535 + 1 for k in range(count)]
        at, stride = self.layout_.identifier, self.layout_.stride
        packets[at::stride] = bytes(number >> 8 for number in numbers)
        packets[at + 1::stride] = bytes(number & 255 for number in numbers)
        return packets

    def turn(self, window):
        """Takes the PUBACKs there are and sends as much as the window allows."""
        try:
            got = self.connection.recv(RECEIVE_BYTES)
            if not got:
                raise common.PeerError("failed to publish: the broker closed the connection")
            self.acknowledged_ += len(got)
        except BlockingIOError:
            pass
        end = min(len(self.packets_), (self.acknowledged_ // 4 + window) * self.layout_.stride)
        try:
            while self.sent_ < end:
                self.sent_ += self.connection.send(self.packets_[self.sent_:end])
        except BlockingIOError:
            pass


class Subscriber:
    """One connection that appends payloads to a file, then acknowledges them."""

    def __init__(self, port, n, size, out):
        self.layout_ = Layout(size)
        self.out_ = out
        self.pending_ = bytearray()
        self.acknowledgements_ = b""
        self.connection = mqtt_connect(port, b"subscriber-%03d" % n)
        body = b"\0\1" + mqtt_string(topic_of(n)) + b"\1"
        mqtt_exchange(self.connection, bytes([0x82, len(body)]) + body, b"\x90\x03\x00\x01\x01")

    def receive(self):
        """Writes the payloads that have come; returns how many."""
        got = self.connection.recv(RECEIVE_BYTES)
        if not got:
            raise common.PeerError("failed to receive: the broker closed the connection")
        self.pending_ += got
        layout = self.layout_
        count = len(self.pending_) // layout.stride
        if count == 0:
            return 0
        packets = bytes(self.pending_[:count * layout.stride])
        del self.pending_[:len(packets)]
        self.out_.write(b"".join([packets[at + layout.payload:at + layout.stride]
                                  for at in range(0, len(packets), layout.stride)]))
        answer = bytearray(b"\x40\x02\0\0" * count)
        answer[2::4] = packets[layout.identifier::layout.stride]
        answer[3::4] = packets[layout.identifier + 1::layout.stride]
        self.acknowledgements_ += answer
        return count

    def acknowledge(self):
        """Sends the PUBACKs for what receive() has written."""
        if self.acknowledgements_:
            self.connection.sendall(self.acknowledgements_)
            self.acknowledgements_ = b""


class Load:
    """All publishers and subscribers of a run, in one thread."""

    def __init__(self, ports, settings, options, out, sync):
        edge, centre = ports
        shards = settings["shards"]
        self.out_, self.sync_ = out, sync
        self.pause_ = settings["pause_ms"] / 1000.0
        self.window_ = max(1, settings["window"] // shards)
        bounds = [options.records * n // shards for n in range(shards + 1)]
        self.subscribers_ = {}
        for n in range(shards):
            subscriber = Subscriber(centre, n, options.size, out)
            self.subscribers_[subscriber.connection.fileno()] = subscriber
        self.publishers_ = [Publisher(edge, n, bounds[n], bounds[n + 1] - bounds[n], options.size)
                            for n in range(shards)]

    def run(self, records, deadline, children):
        """Moves all records; returns when the last was written, or when it gave up."""
        poll = select.poll()
        for number in self.subscribers_:
            poll.register(number, select.POLLIN)
        arrived, last = 0, time.monotonic()
        while arrived < records and time.monotonic() < deadline:
            children.check()
            for publisher in self.publishers_:
                publisher.turn(self.window_)
            ready = [self.subscribers_[number] for number, _ in poll.poll(10)]
            fresh = sum(subscriber.receive() for subscriber in ready)
            if fresh:
                self._make_durable()
                arrived, last = arrived + fresh, time.monotonic()
                for subscriber in ready:
                    subscriber.acknowledge()
            time.sleep(self.pause_)
        return last if arrived >= records else time.monotonic()

    def drain(self, seconds):
        """Receives for a while longer: a duplicate would come now."""
        end = time.monotonic() + seconds
        poll = select.poll()
        for number in self.subscribers_:
            poll.register(number, select.POLLIN)
        while time.monotonic() < end:
            for number, _ in poll.poll(50):
                self.subscribers_[number].receive()
        self._make_durable()

    def _make_durable(self):
        self.out_.flush()
        if self.sync_:
            os.fdatasync(self.out_.fileno())


# -- the run -----------------------------------------------------------------------


def start_brokers(directory, settings, children):
    """Starts the centre, then the edge with its bridges; returns (edge, centre) ports."""
    edge, centre = common.free_ports(2)
    bridges = "".join(BRIDGE.format(n=n, centre=centre, topic=topic_of(n).decode())
                      for n in range(settings["shards"]))
    for name, port, tail in (("centre", centre, ""), ("edge", edge, bridges)):
        place = os.path.join(directory, name)
        os.makedirs(place)
        with open(place + ".conf", "w", encoding="utf-8") as out:
            out.write(BROKER.format(port=port, directory=place, **settings) + tail)
        children.start(name, [common.find_program("mosquitto"), "-c", place + ".conf"])
        common.wait_for_listeners([port], children)

    def bridged():
        return settings["shards"] == sum(remote == centre and state == common.TCP_ESTABLISHED
                                         for _, remote, state in common.tcp_table())
    common.wait_for(bridged, "the bridge", children)
    return edge, centre


def run_variant(variant, directory, options):
    """Runs one variant in `directory`; returns its result."""
    settings = common.settings_of(VARIANTS, variant, options)
    path = os.path.join(directory, "arrived.log")
    about = {
        "durability": DURABILITY[variant],
        "versions": {"mosquitto": common.first_line([common.find_program("mosquitto"), "-h"])},
        "settings": settings,
        "sync_cost_ms": common.sync_cost_ms(directory),
    }
    children = common.Children(directory)
    try:
        ports = start_brokers(directory, settings, children)
        with open(path, "ab") as out:
            load = Load(ports, settings, options, out, variant == "strict")
            before = common.CpuClock(children)
            begin = time.monotonic()
            end = load.run(options.records, begin + options.limit, children)
            about.update(before.spent())
            load.drain(common.LATE_DUPLICATES_S)
    finally:
        children.stop()
    counts = common.count_files([path], options.records, options.size)
    return common.make_result("mosquitto", variant, options, end - begin, counts, about)


if __name__ == "__main__":
    OPTIONS = common.parse_arguments(__doc__, VARIANTS)
    sys.exit(common.run_all(OPTIONS, VARIANTS, run_variant))
