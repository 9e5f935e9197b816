"""MQTT 3.1.1, as little as it takes to publish lines with QoS 1 and to write down what comes."""

import socket

import common

PUBLISH_QOS_1 = b"\x32"
RECEIVE_BYTES = 1 << 20


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
