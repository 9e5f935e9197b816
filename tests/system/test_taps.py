"""What passes on the bus can be looked at: by who stands still, or would publish, too; nobody else notices."""
import json
import signal
import subprocess
import time

import zmq

from devices import LineDevice, arrived_once, check_lines
from harness import BIN, Gateway, free_port, line_source, wait_for
from peers.looks import pids


def test_tap(directory):
    port = free_port()
    with Gateway(directory, sources=[line_source(port)]) as gateway:
        gateway.wait_running()
        events = [json.loads(text) for text in gateway.ctl("tap", "--json", "--count", 30).stdout.splitlines()]
        assert len(events) >= 30
        assert {event.get("topic", "").split(".")[0] for event in events} >= {"heartbeat"}
        with LineDevice(port, rate=500):
            records = [json.loads(text) for text in gateway.ctl("tap", "--records", "--json", "--count",
                                                                20).stdout.splitlines()]
        seqs = [record["seq"] for record in records if "seq" in record]
        assert len(seqs) >= 20 and seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert all(record["stream"] == "lines" for record in records if "seq" in record)


def test_stopped_tap(directory, report):
    """It slows nothing, and later tells what it lost."""
    port = free_port()
    small_batches = {"batch": {"records": 10}}
    with Gateway(directory, sources=[line_source(port) | small_batches],
                 overrides={"health": {"tap_queue": 100}}) as gateway:
        gateway.wait_running()
        with open(directory / "tap.jsonl", "wb") as out:
            tap = subprocess.Popen([BIN / "holdfastctl", "--config", gateway.config_path, "tap", "--records", "--json"],
                                   stdout=out, stderr=subprocess.DEVNULL)
        shown = directory / "tap.jsonl"
        try:
            rates = {}
            total = 0
            for what in ("nobody taps yet", "tap reads", "tap stands still"):
                if what == "tap reads":
                    with LineDevice(port, rate=200):  # until the subscription is there
                        wait_for(lambda: shown.stat().st_size > 0, 20, "the tap's first record")
                if what == "tap stands still":
                    tap.send_signal(signal.SIGSTOP)
                begin = time.monotonic()
                with LineDevice(port, total=60000) as device:
                    device.wait()
                    total = device.confirmed
                    assert not device.errors
                rates[what] = round(60000 / (time.monotonic() - begin))
            size = shown.stat().st_size
            tap.send_signal(signal.SIGCONT)
            with LineDevice(port, rate=200):  # the gap shows with the next record
                wait_for(lambda: b'"gap"' in shown.read_bytes()[size:], 20, "the tap's gap")
            lost = sum(json.loads(text)["gap"]["lost"] for text in shown.read_text().splitlines()
                       if text.startswith('{"gap":{"topic"'))
            gateway.wait_delivered(total)
            archive = gateway.dump().verify()
            assert not check_lines(archive.streams["lines"], archive.streams["lines"].count)
            assert lost > 0
            report("records/s while", **{what.replace(" ", "_"): rate for what, rate in rates.items()},
                   batches_lost=lost)
        finally:
            tap.kill()
            tap.wait()


def test_tap_cannot_publish(directory):
    """Whatever comes up the tap, an honest tap and the services never see it."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port)]) as gateway:
        gateway.wait_running()
        before = pids(gateway, "collector")
        address = f"ipc://{gateway.run}/tap.sock"
        with zmq.Context() as context:
            honest = context.socket(zmq.SUB)
            honest.connect(address)
            honest.subscribe("")
            sockets = {kind: context.socket(kind) for kind in (zmq.PUB, zmq.XPUB, zmq.XSUB, zmq.DEALER, zmq.PUSH)}
            for rogue in sockets.values():
                rogue.linger, rogue.sndtimeo = 0, 0
                rogue.connect(address)
            wait_for(lambda: honest.poll(100), 10, "the honest tap's first message")
            with LineDevice(port, rate=1000) as device:
                for number in range(50):
                    for rogue in sockets.values():
                        for parts in ([b"heartbeat.store", b"forged", b"forged"], [b"alarm.forged"], [b""],
                                      [b"\x02topic"], [b"\x01" + b"x" * 900], [b"\x00forged"],
                                      [b"\x01" + b"y" * 100000]):
                            try:
                                rogue.send_multipart(parts)
                            except zmq.ZMQError:
                                pass
                wait_for(lambda: device.confirmed > 2000, 20, "load")
                arrived_once(gateway, device)
            refused = gateway.metric("health", "holdfast_tap_refused_total")
            assert refused > 0, "counted"
            seen = 0
            while honest.poll(0):
                parts = honest.recv_multipart()
                seen += 1
                assert len(parts) == 3 and b"forged" not in b"".join(parts[:2])
            assert seen > 0
            for one in (honest, *sockets.values()):
                one.close(0)
        assert pids(gateway, "collector") == before
        assert "forged" not in json.dumps(gateway.ctl("status", "--json").stdout)
