"""Field devices that send numbered lines.

A line is its number in ten digits, a space and padding: b"0000000042 ......". Numbers begin at 1.
"""
import random
import select
import socket
import threading
import time

CHUNK = 500  # lines made at a time
SLICE = 128 << 10  # bytes given to the kernel at a time


def line(number, line_bytes=100):
    return b"%010d " % number + b"." * (line_bytes - 12) + b"\n"


def lines(first, count, line_bytes=100):
    tail = b" " + b"." * (line_bytes - 12) + b"\n"
    return tail.join([b"%010d" % number for number in range(first, first + count)] + [b""])


def check_lines(stream, last, first=1):
    """Each line from first to last, exactly once, in order, whole. Returns the problems."""
    numbers = [int(value[:10]) if value is not None else -1 for value in stream.values]
    if numbers == list(range(first, last + 1)):
        lengths = {len(value) for value in stream.values}
        return [] if len(lengths) == 1 else [f"damaged lines: lengths {lengths}"]
    present = set(numbers)
    missing = [number for number in range(first, last + 1) if number not in present]
    back = [(a, b) for a, b in zip(numbers, numbers[1:]) if b <= a]
    alien = [number for number in present if not first <= number <= last]
    return [f"{len(numbers)} lines of {last - first + 1}: {len(missing)} missing {missing[:5]}, "
            f"{len(numbers) - len(present)} doubled, {len(back)} steps back {back[:5]}, "
            f"{len(alien)} unknown {alien[:5]}"]


class LineDevice:
    """Sends lines to a tcp-server source, in a thread.

    confirm=True: speaks the confirm protocol. The first line from the gateway after connecting is the number of records
    of this source it has on disk, each further one the new number. The device keeps what is not covered (at most
    `most_unconfirmed`; then it waits), and after a reconnect drops what is covered and sends the rest again.
    confirm=False: sends and forgets; what it wrote counts as `written`, arrived or not.
    rate: lines per second, None: as fast as they are taken. total: ends after so many lines, None: when finish() is
    called.
    """

    def __init__(self, port, rate=None, total=None, line_bytes=100, confirm=True, most_unconfirmed=200000,
                 host="127.0.0.1", seed=None):
        self.address = host, port
        self.rate, self.total, self.line_bytes, self.confirm = rate, total, line_bytes, confirm
        self.most_unconfirmed = most_unconfirmed
        self.made = 0          # the last number that exists
        self.written = 0       # the last number that was ever given to the kernel, all of it
        self.again = 0         # lines given to the kernel a second time
        self.confirmed = 0     # the last number the gateway has on disk
        self.connections = 0
        self.errors = []       # what the gateway must never do
        self.began = self.ended = None
        self._random = random.Random(seed)
        self._base = None      # number before our first line
        self._next = 1         # written next
        self._out = memoryview(b"")
        self._out_last = 0     # last number in _out
        self._ready = False    # of this connection: we know where we stand
        self._in = b""
        self._stop = threading.Event()
        self._finish = threading.Event()
        self._whole = memoryview(lines(1, total, line_bytes)) if total and rate is None else None
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self):
        self.began = time.monotonic()
        self._pace_from, self._paced = self.began, 0
        self._thread.start()
        return self

    def finish(self, timeout=60):
        """Makes no more; waits until all are confirmed (confirm=False: written)."""
        self._finish.set()
        return self.wait(timeout)

    def wait(self, timeout=60):
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise AssertionError(f"device: {self.counts()} after {timeout} s")
        return self

    def stop(self):
        """At once."""
        self._stop.set()
        self._thread.join(5)

    def counts(self):
        return (f"made {self.made} written {self.written} again {self.again} confirmed {self.confirmed} "
                f"connections {self.connections} errors {self.errors[:3]}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # .. its thread

    def _run(self):
        while not self._stop.is_set() and not self._done():
            try:
                with socket.create_connection(self.address, timeout=1) as connection:
                    self.connections += 1
                    self._talk(connection)
            except OSError:
                pass
            self._out, self._in, self._ready = memoryview(b""), b"", False
            if not self._done():
                self._stop.wait(self._random.uniform(0.010, 0.020))
        self.ended = time.monotonic()

    def _done(self):
        enough = self._finish.is_set() or (self.total is not None and self.made - (self._base or 0) >= self.total)
        if not enough or (self.confirm and self._base is None and not self._finish.is_set()):
            return False
        return self.confirmed >= self.made if self.confirm else self._next > self.made and not self._out

    def _talk(self, connection):
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ready = not self.confirm
        if not self.confirm:
            self._base = self._base or 0
            self._pace_from, self._paced = time.monotonic(), 0
            self._next = self.made + 1  # what the broken connection held is gone
        while not self._stop.is_set() and not self._done():
            self._make()
            self._load()
            readable, writable, _ = select.select([connection], [connection] if self._out else [], [], 0.002)
            if readable and not self._read(connection):
                return
            if writable:
                self._write(connection)

    def _make(self):
        """What could not be made in its time, because nobody took it, is not made up for."""
        if self._base is None or self._finish.is_set():
            return
        room = self.most_unconfirmed - (self.made - self.confirmed) if self.confirm else CHUNK
        due = CHUNK if self.rate is None else int((time.monotonic() - self._pace_from) * self.rate) - self._paced
        if room <= 0:
            self._pace_from, self._paced = time.monotonic(), 0
            return
        due = min(due, room)
        if self.rate is None and self._next + 2 * CHUNK <= self.made:
            return
        if self.total is not None:
            due = min(due, self._base + self.total - self.made)
        if due > 0:
            self.made += due
            self._paced += due

    def _load(self):
        if self._out or not self._ready or self._next > self.made:
            return
        count = min(self.made - self._next + 1, max(CHUNK, SLICE // self.line_bytes))
        if self._whole is not None and self._next + count - 1 <= self.total:
            begin = (self._next - 1) * self.line_bytes
            self._out = self._whole[begin:begin + count * self.line_bytes]
        else:
            self._out = memoryview(lines(self._next, count, self.line_bytes))
        self._next += count
        self._out_last = self._next - 1

    def _write(self, connection):
        try:
            sent = connection.send(self._out)
        except BlockingIOError:
            return
        before = self._out_last - -(-len(self._out) // self.line_bytes)
        self._out = self._out[sent:]
        whole = self._out_last - -(-len(self._out) // self.line_bytes)
        self.again += max(min(whole, self.written) - before, 0)
        self.written = max(self.written, whole)

    def _read(self, connection):
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._in += data
        *complete, self._in = self._in.split(b"\n")
        for text in complete if self.confirm else ():
            self._counted(int(text))
        return True

    def _counted(self, total):
        if self._base is None:
            self._base = self.made = self.confirmed = self.written = total
            self._pace_from, self._paced = time.monotonic(), 0
        if total < self.confirmed:
            self.errors.append(f"confirmed {self.confirmed}, and then {total}")
        if total > self.written:
            # A line may have arrived whole although its last byte was told to be unsent only to us.
            if total > self._out_last:
                self.errors.append(f"wrote {self.written}, confirmed is {total}")
        self.confirmed = max(self.confirmed, total)
        if not self._ready:
            self._ready = True
            self._next = total + 1
            self._out = memoryview(b"")


def LineSender(port, **settings):
    """A device without confirm: writes and forgets."""
    return LineDevice(port, confirm=False, **settings)


def arrived_once(gateway, device, stream="lines"):
    """Ends the device, or waits for its end: each of its lines is at the centre, once."""
    device.wait() if device.total else device.finish()
    assert not device.errors
    gateway.wait_delivered(device.confirmed)
    assert not check_lines(gateway.dump().verify().streams[stream], device.confirmed)
