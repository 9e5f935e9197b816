"""Datagrams that the kernel itself had to drop are told too."""
import signal
import socket

from harness import Gateway, free_port, wait_for


def test_kernel_drops_are_gaps(directory, report):
    """Acquisition stands still, the socket's buffer overflows, and no datagram comes after that: sent = arrived + gaps,
    exactly."""
    port, sent = free_port(), 40000
    source = {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{port}"}
    with Gateway(directory, [source], overrides={"watchdog": {"limit": "60s"}}) as gateway:
        gateway.wait_running()
        pid = gateway.kill("acquisition", signal.SIGSTOP)
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", port))
            for number in range(1, sent + 1):
                sender.send(b"%08d" % number + b"." * 400)
            assert gateway.kill("acquisition", signal.SIGCONT) == pid

            told = 0, 0

            def all_told():
                nonlocal told
                stream = gateway.dump(stream="udp").streams.get("udp")
                told = (sum(value is not None for value in stream.values), sum(stream.gaps.values())) if stream else (0, 0)
                return sum(told) >= sent
            wait_for(all_told, 20, lambda: f"{told} of {sent} datagrams are told", interval=0.3)
            gateway.wait_delivered()
    stream = gateway.dump(stream="udp").streams["udp"]
    arrived = [int(value[:8]) for value in stream.values if value is not None]
    gaps = sum(stream.gaps.values())
    assert arrived == sorted(set(arrived))
    assert gaps > 0 and len(arrived) + gaps == sent
    report("datagrams", sent=sent, arrived=len(arrived), gaps=gaps)
