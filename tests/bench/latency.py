"""Latency: end to end at a steady rate, and of one durable acknowledgement at low load."""

import multiprocessing
import socket
import time

import zmq

from rig import Rig, percentile


def send_steadily(port, rate, seconds):
    """Lines that carry the time they were written, a tick of them each millisecond."""
    device = socket.create_connection(("127.0.0.1", port))
    device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    per_tick = rate // 1000
    begin = time.monotonic()
    pad = b"x" * 180
    for tick in range(seconds * 1000):
        wait = begin + tick / 1000 - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        device.sendall(b"".join(b"%019d" % time.time_ns() + pad + b"\n" for _ in range(per_tick)))
    device.close()


def end_to_end(directory, rate, seconds):
    """From the write of a line to its publication by the collector after its commit."""
    from holdfast.v1 import record_pb2
    with Rig(directory) as rig:
        tap = rig.context.socket(zmq.SUB)
        tap.rcvhwm = 1_000_000
        tap.subscribe("record.")
        tap.connect(f"ipc://{rig.run}/events.collector.sock")
        time.sleep(0.5)  # for the subscription to reach the publisher: nothing on this socket tells
        sender = multiprocessing.Process(target=send_steadily, args=(rig.line_port, rate, seconds))
        sender.start()
        arrivals = []
        total = 0
        while total < rate * seconds and tap.poll(3000):
            payload = tap.recv_multipart()[2]
            arrivals.append((time.time_ns(), payload))
            total += payload.count(b"x" * 180)
        sender.join()
    delays = []
    for at, payload in arrivals:
        for r in record_pb2.Batch.FromString(payload).records:
            delays.append((at - int(r.data[:19])) / 1e6)
    delays.sort()
    return {"what": f"line written to committed at the collector, {rate} records/s for {seconds} s", "samples": len(delays),
            "expected": rate * seconds, "p50_ms": round(percentile(delays, 0.5), 2),
            "p99_ms": round(percentile(delays, 0.99), 2), "max_ms": round(delays[-1], 2), "target": "p50 3 ms, p99 10 ms"}


def acknowledgement(directory, count):
    """One line, then the wait for the source's confirmation that it is on disk."""
    with Rig(directory, confirm=True) as rig:
        device = socket.create_connection(("127.0.0.1", rig.line_port))
        device.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = device.makefile("rb")
        answers.readline()
        line = b"x" * 199 + b"\n"
        delays = []
        for _ in range(count):
            begin = time.perf_counter()
            device.sendall(line)
            answers.readline()
            delays.append((time.perf_counter() - begin) * 1e3)
        device.close()
    delays.sort()
    return {"what": "one durable acknowledgement, device to disk and back", "samples": count,
            "p50_ms": round(percentile(delays, 0.5), 2), "p99_ms": round(percentile(delays, 0.99), 2),
            "max_ms": round(delays[-1], 2), "target": "p99 5 ms"}


def run(options):
    results = [end_to_end(options.directory, 10_000, options.seconds), acknowledgement(options.directory, 2_000)]
    for r in results:
        print(f"{r['what']}: p50 {r['p50_ms']} ms, p99 {r['p99_ms']} ms, max {r['max_ms']} ms "
              f"({r['samples']} samples; target {r['target']})")
    return results
