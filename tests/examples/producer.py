#!/usr/bin/env python3
"""A producer of your own: numbered records into the store, each exactly once, whatever is killed on the way.

    PYTHONPATH=build/messages python3 producer.py --run-directory /run/holdfast --producer counter --count 10000

Produces the records 0 to COUNT-1, once and for all: started again under the same name it goes on where the store says
it stopped.  The rules, on the endpoint store.ingest (messages/holdfast/v1/ingest.proto):
  - Say hello with a random session.  The welcome tells the last batch on disk and the position given with it:
    a cursor of your own, committed with the batch.
  - Number batches 1, 2, 3, ... and keep each until a BatchAck covers its number: only then it is on disk.
  - Never have more bytes unacknowledged than the window allows.  Window 0 means wait.
  - After silence or a refusal say hello again, and send again what follows the welcome's last_seq.  The store drops
    what it has already, so sending again is always safe.
  - One name, one writer.  The store hears the session that said hello last; it may have been restarted, or somebody
    else may have taken our name.  To know which, each position here begins with the session that wrote it: whoever
    finds another's mark on a batch that should be its own was replaced, and stops.
"""
import argparse
import collections
import secrets
import sys
import time

import zmq
from holdfast.v1 import ingest_pb2, record_pb2

SILENCE_S = 0.5
Refusal = ingest_pb2.ProducerRefusal


def _crc_table():
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


CRC_TABLE = tuple(_crc_table())


def crc32c(data):
    """CRC-32C (Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class ProducerError(Exception):
    """The store will never take this: the text says why."""


class Producer:
    """One stream of batches.  Not for several threads."""

    def __init__(self, run_directory, name, record_class, timeout=30.0):
        self.name, self.record_class = name, record_class
        self.session = secrets.randbits(63) + 1
        self.mark = self.session.to_bytes(8, "big")  # begins every position
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.immediate = True  # nothing waits in a socket for a store that is not there
        self.socket.reconnect_ivl = 20
        self.socket.connect(f"ipc://{run_directory}/store.ingest.sock")
        self.kept = collections.OrderedDict()  # producer_seq -> (offer, payload), until acknowledged
        self.begin = self.acknowledged = None  # highest producer_seq on disk: when we came, and now
        self.last = 0  # highest producer_seq given to a batch
        self.next = 1  # to be sent next
        self.window = self.max_batch = 0
        self.position = b""
        self.welcome = False
        self.heard = 0.0
        self._wait(lambda: self.welcome, timeout)

    def send(self, payload, record_count, position=b"", timeout=30.0):
        """Takes an encoded Batch; waits while the window is full.  It is on disk when flush() has returned."""
        if len(payload) > self.max_batch:
            raise ProducerError(f"a batch of {len(payload)} bytes; the store takes {self.max_batch}")
        self._wait(lambda: not self.kept or self._unacknowledged() + len(payload) <= self.window, timeout)
        self.last += 1
        message = ingest_pb2.ProducerMessage()
        message.offer.producer, message.offer.session = self.name, self.session
        message.offer.producer_seq, message.offer.record_count = self.last, record_count
        message.offer.crc32c, message.offer.position = crc32c(payload), self.mark + position
        self.kept[self.last] = (message.SerializeToString(), payload)
        self._turn(0)

    def flush(self, timeout=30.0):
        """Waits until everything is on disk."""
        self._wait(lambda: not self.kept, timeout)

    def close(self):
        self.socket.close()

    def _unacknowledged(self):
        return sum(len(payload) for _, payload in self.kept.values())

    def _wait(self, done, timeout):
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the store did not answer {self.name} within {timeout} s")
            self._turn(20)

    def _turn(self, wait_ms):
        if self.welcome:
            self._send_offers()
        while self.socket.poll(wait_ms):
            self._take(ingest_pb2.StoreMessage.FromString(self.socket.recv_multipart()[0]))
            wait_ms = 0
        if (self.kept or not self.welcome) and time.monotonic() - self.heard > SILENCE_S:
            self._hello()

    def _hello(self):
        self.welcome = False  # and so nothing else is sent or gone back to before the answer
        self.heard = time.monotonic()
        message = ingest_pb2.ProducerMessage()
        message.hello.producer, message.hello.session = self.name, self.session
        message.hello.record_class = self.record_class
        self._send(message.SerializeToString())

    def _send_offers(self):
        while self.next <= self.last and self.window > 0 and self._send(*self.kept[self.next]):
            self.next += 1

    def _send(self, *frames):
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT)
            return True
        except zmq.Again:
            return False  # the store is not there; silence will bring the next hello

    def _take(self, message):
        kind = message.WhichOneof("message")
        if kind is None:
            return  # of a later release
        content = getattr(message, kind)
        if content.session not in (0, self.session):
            return
        self.heard = time.monotonic()
        {"welcome": self._welcomed, "ack": self._acknowledge, "refusal": self._refused}[kind](content)

    def _welcomed(self, welcome):
        if self.begin is None:
            self.begin = self.last = welcome.last_seq
            self.position = welcome.position[len(self.mark):]
        elif (not self.acknowledged <= welcome.last_seq <= self.last
              or welcome.last_seq > self.begin and not welcome.position.startswith(self.mark)):
            raise ProducerError(f"{self.name} was replaced by another session, or the store is a new one")
        self.max_batch = welcome.max_batch_bytes
        self.welcome = True
        self._acknowledge(welcome)
        self.next = welcome.last_seq + 1

    def _acknowledge(self, message):
        self.acknowledged = message.last_seq  # cumulative
        self.window = message.window_bytes
        while self.kept and next(iter(self.kept)) <= message.last_seq:
            self.kept.popitem(last=False)
        self.next = max(self.next, message.last_seq + 1)

    def _refused(self, refusal):
        if refusal.reason in (Refusal.REASON_UNKNOWN_SESSION, Refusal.REASON_OUT_OF_ORDER, Refusal.REASON_DAMAGED):
            if self.welcome:  # answers to what was sent before the last hello say nothing new
                self._hello()
            return
        raise ProducerError(f"{self.name}: {Refusal.Reason.Name(refusal.reason)}: {refusal.detail}")


def numbered_batch(stream, first, count):
    """An encoded Batch of the integers first, first + 1, ..."""
    batch = record_pb2.Batch(streams=[stream], base_unix_nanos=time.time_ns(),
                             base_monotonic_nanos=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
                             clock_quality=record_pb2.CLOCK_QUALITY_UNSYNCHRONISED)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot_id:
        batch.boot_id = boot_id.read().strip()
    for number in range(first, first + count):
        batch.records.add(integer=number)
    return batch.SerializeToString()


def produce(run_directory, name, record_class, count, per_batch=500, timeout=30.0):
    """Brings the records 0 to count-1 into the store; returns how many were missing."""
    producer = Producer(run_directory, name, record_class, timeout)
    try:
        start = first = int(producer.position or b"0")
        while first < count:
            size = min(per_batch, count - first)
            producer.send(numbered_batch(name, first, size), size, position=b"%d" % (first + size), timeout=timeout)
            first += size
        producer.flush(timeout)
        return first - start
    finally:
        producer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-directory", default="/run/holdfast")
    parser.add_argument("--producer", default="example/counter", help="stable name; also the stream's")
    parser.add_argument("--class", dest="record_class", default="telemetry")
    parser.add_argument("--count", type=int, default=1000, help="produce up to this many records, ever")
    parser.add_argument("--timeout", type=float, default=30.0, help="longest wait for the store, in seconds")
    arguments = parser.parse_args()
    try:
        made = produce(arguments.run_directory, arguments.producer, arguments.record_class, arguments.count,
                       timeout=arguments.timeout)
    except (ProducerError, TimeoutError) as error:
        sys.exit(f"producer: {error}")
    print(f"{made} records stored, {arguments.count} in all")


if __name__ == "__main__":
    main()
