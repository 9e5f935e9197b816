"""Backlog: the centre was away while millions of records were stored; how fast they drain once it is back, and what
live records wait meanwhile."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import zmq

from latency import send_steadily
from rig import Rig, free_port, percentile
from throughput import make_lines

LIVE = 1000  # records/s
IDLE_S = 15
PERIOD = 0.25  # of the samples
MEGABYTE = 1_000_000


class AwayRig(Rig):
    """A second source for live records; the collector is no service of the watchdog, and can go away. bandwidth: of the
    link, in MiB/s; 0: as fast as both ends are."""

    def __init__(self, directory, bandwidth=0):
        self.live_port, self.bandwidth = free_port(), bandwidth
        super().__init__(directory)
        self.collector = None

    def _yaml(self, confirm):
        source = f'  - {{name: live, type: tcp-server, listen: "127.0.0.1:{self.live_port}"}}\n'
        soon = (f"destination: centre, bandwidth: {self.bandwidth}MiB, reconnect: {{cap: 1s}}, "
                "tuning: {breaker: {open: 1s}}, ")
        text = super()._yaml(confirm).replace("services: [collector, ", "services: [")
        return text.replace("destination: centre, ", soon).replace("store: {", source + "store: {", 1)

    def __enter__(self):
        self.log = open(self.home / "log", "wb")
        self.start_collector()
        return super().__enter__()

    def __exit__(self, *_):
        self.stop_collector()
        super().__exit__()

    def start_collector(self):
        self.collector = subprocess.Popen([self.bin / "holdfast-collector", "--config", self.config],
                                          stdout=self.log, stderr=self.log)

    def stop_collector(self):
        if self.collector:
            self.collector.send_signal(signal.SIGTERM)
            self.collector.wait(20)
            self.collector = None


class Memory:
    """Resident memory of all processes, sampled in a thread: what is theirs, and pages of files the kernel may drop."""

    def __init__(self, rig):
        self.rig, self.samples = rig, []  # (time, {instance: (own bytes, bytes of files)})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(PERIOD):
            sizes = {}
            for name in self.rig.instances():
                with contextlib.suppress(OSError, ValueError, KeyError):  # one that is away
                    sizes[name] = resident(int((self.rig.run / f"{name}.lock").read_text()))
            self.samples.append((time.monotonic(), sizes))

    def peak(self, since=0.0, place=0):
        """{instance: highest bytes}"""
        out = {}
        for at, sizes in self.samples:
            for name, size in sizes.items():
                out[name] = max(out.get(name, 0), size[place]) if at >= since else out.get(name, 0)
        return out


def resident(pid):
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = {name: int(fields[name].split()[0]) for name in ("RssAnon", "RssFile", "RssShmem")}
    return (kib["RssAnon"] + kib["RssShmem"]) * 1024, kib["RssFile"] * 1024


def listen(run, seconds, ready, out):
    """Latency, in ms, of each live record: from its line's writing to its publication after the collector's commit. In
    a process of its own; ends `seconds` after the last one."""
    from holdfast.v1 import envelope_pb2, record_pb2
    context = zmq.Context()
    tap = context.socket(zmq.SUB)
    tap.rcvhwm, tap.reconnect_ivl = 1_000_000, 20
    tap.subscribe("record.")
    tap.connect(f"ipc://{run}/events.collector.sock")
    ready.set()
    late, last = [], time.monotonic()
    while time.monotonic() - last < seconds:
        if not tap.poll(200):
            continue
        _, envelope, payload = tap.recv_multipart()
        if b"\n\x04live" not in payload[:200]:  # Batch.streams: the backlog's is another
            continue
        at = envelope_pb2.Envelope.FromString(envelope).unix_nanos
        made = [int(record.data[:19]) for record in record_pb2.Batch.FromString(payload).records]
        late += [(at, (at - nanos) / 1e6) for nanos in made]
        last = time.monotonic()
    context.destroy(0)
    out.put(late)


class Live:
    """Live records for so many seconds, and what they waited."""

    def __init__(self, rig, seconds):
        self.ready, self.out = multiprocessing.Event(), multiprocessing.Queue()
        self.tap = multiprocessing.Process(target=listen, args=(rig.run, 8, self.ready, self.out))
        self.sender = multiprocessing.Process(target=send_steadily, args=(rig.live_port, LIVE, seconds))
        self.tap.start()
        self.ready.wait()
        time.sleep(0.5)  # for the subscription to reach the publisher: nothing on this socket tells
        self.sender.start()

    def end(self):
        """[(publication's time, ms)]"""
        late = self.out.get()
        self.tap.join()
        self.sender.join()
        return late


def store_backlog(rig, records, size):
    """With the collector away. Returns seconds until all is in the store."""
    block = make_lines(20_000, size)
    rig.stop_collector()
    rig.wait(lambda: rig.metric("uplink-" + rig.links[0], "holdfast_link_up") == 0, 20)
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", rig.line_port)) as device:
        for _ in range(records // 20_000):
            device.sendall(block)
        rig.wait(lambda: rig.metric("store", "holdfast_store_backlog_records") >= records, 300)
    return time.monotonic() - begin


def drain(rig, records):
    """The collector comes back. Samples (time, records it has taken, forecast) until it has so many."""
    rig.start_collector()
    samples = []
    while not samples or samples[-1][1] < records:
        with contextlib.suppress(KeyError):
            now = time.monotonic()
            done = rig.metric("collector", "holdfast_collector_records_total")
            samples.append((now, done, rig.metric("store", "holdfast_store_drain_seconds")))
        time.sleep(0.1)  # the samples' period
        if len(samples) > 6000:
            raise TimeoutError(f"no end after {samples[-1]}")
    return samples


def rate_of(samples, records):
    """Records per second between the first tenth and the last one: without the way up and the tail."""
    inside = [s for s in samples if 0.1 * records <= s[1] <= 0.9 * records]
    return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def forecast_errors(samples, records):
    """The first forecasts given after a quarter, half and three quarters, against what was then left: shares."""
    end = next(at for at, done, _ in samples if done >= 0.999 * records)
    given = [(at, done, said) for (_, _, before), (at, done, said) in zip(samples, samples[1:]) if said != before]
    out = {}
    for share in (0.25, 0.5, 0.75):
        at, _, said = next((g for g in given if g[1] >= share * records), samples[-1])
        if end - at > 0.5:  # it is given twice a second
            out[f"{share:.0%}"] = round((said - (end - at)) / (end - at), 2)
    return out


def quantiles(values):
    values = sorted(values)
    return {"samples": len(values), "p50_ms": round(percentile(values, 0.5), 2),
            "p99_ms": round(percentile(values, 0.99), 2), "max_ms": round(values[-1], 2)}


def run(options):
    records, size = max(options.backlog, 20_000), 200
    with AwayRig(options.directory, options.bandwidth) as rig, Memory(rig) as memory:
        idle = quantiles([ms for _, ms in Live(rig, IDLE_S).end()])
        base = memory.peak()
        stored = [store_backlog(rig, records, size)]
        alone = rate_of(drain(rig, records), records)
        stored.append(store_backlog(rig, records, size))
        live = Live(rig, max(IDLE_S, int(1.5 * records / alone) + 5))
        begin_wall, begin = time.time_ns(), time.monotonic()
        samples = drain(rig, records)
        end_wall = time.time_ns()
        late = live.end()
        wrong = forecast_errors(samples, records)
        first = begin_wall + 1e9 * (next(s[0] for s in samples if s[1] > 0) - begin)
        # Those made before the link stood are backlog themselves.
        meanwhile = quantiles([ms for at, ms in late if first <= at - ms * 1e6 and at <= end_wall])
        own, files = memory.peak(), memory.peak(place=1)
        held = rig.records_in_archive()
    result = {
        "what": "a backlog drains while live records arrive", "backlog_records": records, "record_bytes": size,
        "live_records_per_second": LIVE, "link_mebibytes_per_second": options.bandwidth, "cores": os.cpu_count(),
        "durability": "acknowledged after fdatasync, in the store and at the collector",
        "stored_seconds": [round(s, 1) for s in stored],
        "drain_alone_records_per_second": round(alone),
        "drain_records_per_second": round(rate_of(samples, records)),
        "drain_megabytes_per_second": round(rate_of(samples, records) * size / MEGABYTE, 1),
        "idle": idle, "meanwhile": meanwhile, "forecast_errors": wrong,
        "own_bytes_idle": base, "own_bytes_peak": own, "file_bytes_peak": files,
        "archived": sum(row["records"] for row in held), "ranges": sum(row["ranges"] for row in held),
        "live_records": len(late),
    }
    show(result)
    return [result]


def show(r):
    def verdict(good):
        return "met" if good else "NOT MET"
    print(f"\n{r['backlog_records']:,} records of {r['record_bytes']} bytes stored in {r['stored_seconds']} s; "
          f"{r['live_records_per_second']}/s live; {r['cores']} cores, both ends on them; {r['durability']}")
    share = r["drain_records_per_second"] / r["drain_alone_records_per_second"]
    print(f"drain {r['drain_records_per_second']:,} records/s ({r['drain_megabytes_per_second']} MB/s), without live "
          f"records {r['drain_alone_records_per_second']:,}: {share:.0%} (target >= 80 %: {verdict(share >= 0.8)})")
    if r["link_mebibytes_per_second"]:
        of_link = r["drain_megabytes_per_second"] / (r["link_mebibytes_per_second"] * 1.048576)
        print(f"link of {r['link_mebibytes_per_second']} MiB/s: {of_link:.0%} of it are records of the backlog")
    grown = r["meanwhile"]["p99_ms"] / r["idle"]["p99_ms"]
    for name, row in (("idle", r["idle"]), ("while it drains", r["meanwhile"])):
        print(f"live latency, {name}: p50 {row['p50_ms']} ms, p99 {row['p99_ms']} ms, max {row['max_ms']} ms "
              f"({row['samples']} records)")
    print(f"p99 grows {grown:.1f} times (target <= 2: {verdict(grown <= 2)})")
    worst = max((abs(e) for e in r["forecast_errors"].values()), default=0)
    print(f"drain forecast: off by {r['forecast_errors']} (target <= 20 %: {verdict(worst <= 0.2)})")
    peak = max(r["own_bytes_peak"].values()) / MEGABYTE
    print("own memory, idle and peak, MB: " + ", ".join(
        f"{name} {r['own_bytes_idle'].get(name, 0) / MEGABYTE:.0f}/{size / MEGABYTE:.0f}"
        for name, size in r["own_bytes_peak"].items()) + f" (target <= 200: {verdict(peak <= 200)})")
    print("mapped pages of files, peak, MB: " + ", ".join(
        f"{name} {size / MEGABYTE:.0f}" for name, size in r["file_bytes_peak"].items()))
    print(f"archive: {r['archived']:,} records in {r['ranges']} range(s)")
