"""A small name server: one per way, each with answers of its own."""
import contextlib
import select
import socket
import struct
import threading

A, AAAA = 1, 28


class NameServer:
    """UDP, in a network namespace (lab.Namespace), bound to one device there, so that it hears only what comes in by
    it. `answers`: {name: IPv4 address}; of other names it says that they do not exist. questions: (sender, name, type).
    silent: hears and says nothing. close(): dead, the sender is told so."""

    def __init__(self, space, address, device, answers):
        self.answers, self.silent, self.questions = answers, False, []
        with space.entered():
            self._socket = socket.socket(type=socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            self._socket.bind((address, 53))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"names-{device}", daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._stop.set()
        self._thread.join(5)
        self._socket.close()

    def _run(self):
        while not self._stop.is_set():
            if select.select([self._socket], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):  # an answer that found nobody
                    data, sender = self._socket.recvfrom(2000)
                    self._answer(data, sender)

    def _answer(self, data, sender):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode("ascii"))
            at += 1 + data[at]
        name, kind = ".".join(labels), struct.unpack(">H", data[at + 1:at + 3])[0]
        self.questions.append((sender[0], name, kind))
        if self.silent:
            return
        address = self.answers.get(name)
        records = b""
        if address and kind == A:
            records = struct.pack(">HHHIH", 0xc00c, A, 1, 60, 4) + socket.inet_aton(address)
        flags = 0x8180 if address else 0x8183
        head = data[:2] + struct.pack(">HHHHH", flags, 1, bool(records), 0, 0)
        self._socket.sendto(head + data[12:at + 5] + records, sender)
