"""A whole gateway with its collector under one watchdog, for the benchmarks: started, measured, stopped."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("HOLDFAST_BIN", ROOT / "build" / "bin"))
MESSAGES = BIN.parent / "messages"
TICKS = os.sysconf("SC_CLK_TCK")

sys.path.insert(0, str(MESSAGES))
import zmq  # noqa: E402
from holdfast.v1 import control_pb2  # noqa: E402


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rig:
    """One gateway `bench` with a TCP line source, `links` links and a collector. Everything lives below `directory`."""

    def __init__(self, directory, links=1, confirm=False, compiled=BIN):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=directory))
        self.run = self.home / "run"
        self.bin = compiled
        self.line_port, self.collector_port, self.health_port = free_port(), free_port(), free_port()
        self.links = ["link%d" % i for i in range(links)]
        self.config = self.home / "holdfast.yaml"
        self.config.write_text(self._yaml(confirm))
        self.watchdog = None
        self.context = zmq.Context()

    def _yaml(self, confirm):
        links = "".join(
            f"  - {{name: {n}, destination: centre, connect: '127.0.0.1:{self.collector_port}'}}\n" for n in self.links)
        services = ", ".join(["collector", "store", *("uplink-" + n for n in self.links), "acquisition", "health"])
        return f"""name: bench
run_directory: {self.run}
log: {{level: warn}}
sources:
  - {{name: lines, type: tcp-server, listen: "127.0.0.1:{self.line_port}", confirm: {"count" if confirm else "none"}}}
store: {{directory: {self.home}/store, quota: 20GiB}}
destinations: [{{name: centre}}]
links:
{links}health: {{listen: "127.0.0.1:{self.health_port}"}}
watchdog: {{services: [{services}]}}
collector: {{listen: "127.0.0.1:{self.collector_port}", directory: {self.home}/collector, quota: 50GiB}}
"""

    def __enter__(self):
        self.log = open(self.home / "log", "wb")
        self.watchdog = subprocess.Popen([self.bin / "holdfast-watchdog", "--config", self.config],
                                         stdout=self.log, stderr=self.log)
        self.wait(lambda: self.metric("uplink-" + self.links[0], "holdfast_link_up") == 1, 20)
        return self

    def __exit__(self, *_):
        self.watchdog.send_signal(signal.SIGTERM)
        self.watchdog.wait(20)
        self.context.destroy(0)
        subprocess.run(["rm", "-rf", self.home], check=True)

    def instances(self):
        return ["store", "acquisition", "health", "collector", "watchdog", *("uplink-" + n for n in self.links)]

    def wait(self, condition, limit):
        end = time.monotonic() + limit
        while True:
            try:
                if condition():
                    return
            except (OSError, KeyError, zmq.ZMQError):
                pass
            if time.monotonic() > end:
                sys.stderr.write((self.home / "log").read_text()[-3000:])
                raise TimeoutError(f"nothing after {limit} s")
            time.sleep(0.002)  # between two looks

    def status(self, instance):
        s = self.context.socket(zmq.DEALER)
        s.linger = 0
        s.connect(f"ipc://{self.run}/control.{instance}.sock")
        request = control_pb2.ControlRequest(id=1)
        request.status.SetInParent()
        s.send(request.SerializeToString())
        if not s.poll(2000):
            s.close()
            raise KeyError(instance)
        reply = control_pb2.ControlReply.FromString(s.recv())
        s.close()
        return reply.status

    def metric(self, instance, name):
        return sum(m.value for m in self.status(instance).metrics if m.name == name)

    def pids(self):
        return {i: int((self.run / (i + ".lock")).read_text()) for i in self.instances()}

    def cpu_seconds(self):
        out = {}
        for name, pid in self.pids().items():
            f = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            out[name] = {"user": int(f[11]) / TICKS, "system": int(f[12]) / TICKS}
        return out

    def pss_bytes(self):
        out = {}
        for name, pid in self.pids().items():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    out[name] = int(line.split()[1]) * 1024
        return out

    def records_in_archive(self):
        """What the collector's own dump says it holds: records and ranges per class."""
        text = subprocess.run([self.bin / "holdfastctl", "collector", "dump", "--dir", self.home / "collector", "--stats"],
                              check=True, capture_output=True, text=True).stdout
        return [json.loads(line) for line in text.splitlines()]


def machine():
    cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    return {"cores": os.cpu_count(), "cpu": cpu, "kernel": os.uname().release}


def percentile(sorted_values, p):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * p))]
