"""Datagrams sent no faster than the gateway takes them."""
import socket

from harness import wait_for


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
