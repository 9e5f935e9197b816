"""A TCP relay between an uplink and its collector that can be told to misbehave, and servers that are no collectors."""
import contextlib
import random
import select
import socket
import ssl
import struct
import threading
import time
import warnings

from holdfast.v1 import wire_pb2

PREAMBLE = 12


def reset(connection):
    """Ends a connection with RST instead of FIN."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Relay:
    """Forwards port -> target. `target` may be changed at any time (None: connections are closed at once); cut() ends
    what stands.

    cut_after: callable that gives the number of bytes, both directions together, after which a connection is cut; None
    lets it live. swallow_acks: WireAck frames from the target are dropped, but for the first pass_acks of a
    connection; it is cut after so many, or half a second after the last: the gateway may wait for one.
    """

    def __init__(self, target, cut_after=None, swallow_acks=None):
        self.target, self.cut_after, self.swallow_acks = target, cut_after, swallow_acks
        self.pass_acks = 0
        self.cuts = self.connections = self.swallowed = 0
        self.forwarded = 0  # bytes, both directions
        self._open = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self):
        with self._lock:
            ends = list(self._open)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        target = self.target
        try:
            far = socket.create_connection(target, timeout=5) if target else None
        except OSError:
            far = None
        if far is None:
            return near.close()
        self.connections += 1
        with self._lock:
            self._open |= {near, far}
        try:
            self._forward(near, far)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open -= {near, far}
            random.choice((reset, socket.socket.close))(near)
            far.close()

    def _forward(self, near, far):
        left = self.cut_after() if self.cut_after else None
        swallowed, passing = 0, self.pass_acks
        frames, last = b"", 0.0
        while True:
            ready = select.select([near, far], [], [], 0.5 if swallowed else None)[0]
            if swallowed and time.monotonic() > last + 0.5:
                self.cuts += 1
                return
            for end in ready:
                data = end.recv(65536)
                if not data:
                    return
                self.forwarded += len(data)
                if left is not None and len(data) >= left:
                    (far if end is near else near).sendall(data[:left])
                    self.cuts += 1
                    return
                left = None if left is None else left - len(data)
                if end is near:
                    far.sendall(data)
                    continue
                if self.swallow_acks is None:
                    near.sendall(data)
                    continue
                passed, frames, acks, dropped = without_acks(frames + data, passing)
                passing -= acks - dropped
                near.sendall(passed)
                swallowed += dropped
                self.swallowed += dropped
                last = time.monotonic() if dropped else last
                if swallowed >= self.swallow_acks:
                    self.cuts += 1
                    return


def without_acks(data, passing):
    """(frames that are no WireAck or are among the first `passing`, the incomplete rest, acks, how many were dropped)."""
    passed, acks, dropped = b"", 0, 0
    while len(data) >= PREAMBLE:
        header, payload = struct.unpack(">II", data[4:PREAMBLE])
        end = PREAMBLE + header + payload
        if len(data) < end:
            break
        message = wire_pb2.WireMessage.FromString(data[PREAMBLE:PREAMBLE + header])
        acks += message.WhichOneof("message") == "ack"
        if message.WhichOneof("message") == "ack" and acks > passing:
            dropped += 1
        else:
            passed += data[:end]
        data = data[end:]
    return passed, data, acks, dropped


def frame(message, payload=b""):
    header = message.SerializeToString()
    return b"HFW1" + struct.pack(">II", len(header), len(payload)) + header + payload


def read_frame(connection, buffer=b""):
    """(WireMessage, rest) of a blocking socket; None at its end."""
    while True:
        if len(buffer) >= PREAMBLE:
            header, payload = struct.unpack(">II", buffer[4:PREAMBLE])
            if len(buffer) >= PREAMBLE + header + payload:
                message = wire_pb2.WireMessage.FromString(buffer[PREAMBLE:PREAMBLE + header])
                return message, buffer[PREAMBLE + header + payload:]
        data = connection.recv(65536)
        if not data:
            return None
        buffer += data


class Impostor:
    """A server that is no collector. `behave(connection)` runs for each connection, in a thread; connections stay open
    until the end. With a certificate it speaks TLS first."""

    def __init__(self, behave=None, certificate=None, key=None, only_tls_1_1=False):
        self.accepted = 0
        self._behave, self._context, self._kept = behave, None, []
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate, key)
            if only_tls_1_1:
                self._context.set_ciphers("ALL:@SECLEVEL=0")
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    self._context.minimum_version = ssl.TLSVersion.TLSv1_1
                    self._context.maximum_version = ssl.TLSVersion.TLSv1_1
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, name="impostor", daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._kept:
            connection.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._kept.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._kept.append(connection)
            if self._behave is not None:
                self._behave(connection)
        except (OSError, ValueError):
            connection.close()
