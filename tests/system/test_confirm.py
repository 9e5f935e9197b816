"""Devices that keep what is not confirmed: each record arrives once, whatever breaks."""
import os
import random
import signal
import socket

import pytest

from devices import check_lines, line
from harness import Gateway, free_port, line_source
from peers.looks import wait_component

# -- confirm -----------------------------------------------------------------------------------------------------------


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
    """The first line is where we stand, each further one grows; a new connection replaces the old one; half a line does
    not count."""
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
    """A device that connects anew while its old connection still delivers: what the old one brought counts, or not, and
    never both. Every third time the gateway finds the lines and the new connection at the same moment."""
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
