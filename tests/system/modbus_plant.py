"""A Modbus plant, and what must have arrived of it."""
import contextlib
import signal
import subprocess
import sys

import harness

POINTS = [
    {"name": "counter", "address": 0, "type": "uint16"},
    {"name": "unit", "address": 1, "type": "uint16"},
    {"name": "level", "address": 2, "type": "int16"},
    {"name": "total", "address": 10, "type": "int32"},
    {"name": "flow", "address": 20, "type": "float32"},
]  # all in one request


class ModbusPlant:
    """tests/system/peers/modbus_server.py as a process of its own."""

    def __init__(self, units=20, arguments=()):
        self.units, self.arguments, self.port = units, list(arguments), harness.free_port()
        self.process = None

    def start(self):
        command = [sys.executable, harness.PEERS / "modbus_server.py", "--tcp", self.port, "--units", f"1-{self.units}"]
        self.process = subprocess.Popen([str(word) for word in command + self.arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        if self.process.stdout.readline().strip() != b"READY":
            raise AssertionError("the Modbus peer did not start")
        return self

    def stop(self):
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def source(self, name="plant", period="100ms", points=None, **more):
        """The source that polls all units: streams unit-1/counter, ..."""
        return {"name": name, "type": "modbus-tcp", "connect": f"127.0.0.1:{self.port}", "devices": [
            {"name": f"unit-{unit}", "unit": unit, "period": period, "timeout": "3s", "points": points or POINTS}
            for unit in range(1, self.units + 1)]} | more


def check_modbus(archive, units=20, skips=0):
    """Values of POINTS as the peer documents them; the counter, which each read moves by one, without a hole but
    `skips` per unit, and never back. Returns the problems."""
    problems = []
    for unit in range(1, units + 1):
        streams = {point["name"]: archive.streams.get(f"unit-{unit}/{point['name']}") for point in POINTS}
        absent = [name for name, stream in streams.items() if stream is None]
        if absent:
            problems.append(f"unit {unit}: no stream {absent}")
            continue
        lengths = {stream.count for stream in streams.values()}
        if len(lengths) != 1:
            problems.append(f"unit {unit}: points of one read, and not the same count: {lengths}")
        for name, wanted in (("unit", unit), ("level", -1000 - unit), ("total", -100000 - unit),
                             ("flow", unit + 0.5)):
            strange = {value for value in streams[name].values} - {wanted}
            if strange:
                problems.append(f"unit {unit}: {name} is {list(strange)[:5]}, not {wanted}")
        problems += _check_counter(unit, streams["counter"].values, skips)
    return problems


def _check_counter(unit, values, skips):
    if any(value is None for value in values):
        return [f"unit {unit}: counter without a value"]
    steps = [(int(b) - int(a)) % 65536 for a, b in zip(values, values[1:])]
    back = sum(1 for step in steps if step == 0 or step > 32768)
    holes = sum(1 for step in steps if 1 < step <= 32768)
    if back or holes > skips:
        return [f"unit {unit}: counter steps back {back} times, has {holes} holes"]
    return []
