"""No room: what can wait is held back, what cannot is counted to the record."""
import os
import signal
import subprocess
import time

from devices import LineSender, check_lines
from harness import BIN, Gateway, free_port, line_source, wait_for
from peers.datagrams import kernel_drops, send_datagrams
from peers.looks import peak_mib, wait_component

# -- no room -----------------------------------------------------------------------------------------------------------


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
    """No store, then a store that stands still, then a collector that does: a TCP device is held back, and UDP
    datagrams that find no room are gap records. Sent = delivered + gaps."""
    tcp, udp, total = free_port(), free_port(), 200000
    small = {"window": "256KiB", "batch": {"size": "64KiB"}}
    sources = [line_source(tcp, confirm="none") | small,
               {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{udp}"} | small]
    patience = {"watchdog": {"limit": "60s"}}
    with Gateway(directory, sources=sources,
                 overrides={"watchdog": {"services": ["uplink-main", "acquisition", "health"]}},
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
            wait_for(lambda: told(gateway, "udp") == 4000, 20, lambda: f"{told(gateway, 'udp')} of 4000 told",
                     interval=0.2)
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
