"""Several destinations at once, each with its own state: one that accepts and never answers costs the others
nothing."""
import contextlib
import statistics
import time

import pytest

from devices import LineDevice, check_lines
from harness import Gateway, free_port, line_source, quantile, wait_for
from lab.watch import Watch
from peers.relay import Relay

RATE = 1000
WINDOW_S, WINDOWS, CYCLES = 2.0, 4, 3  # of each state, in turn: what else the machine does is in both
WITHIN = 1.05
# So short that a session without answers ends and begins anew within each measured state, too.
SHORT = {"heartbeat_interval": "200ms", "heartbeat_timeout": "500ms", "connect_timeout": "1s", "window": "1MiB",
         "reconnect": {"quick": "20ms", "first": "50ms", "cap": "200ms", "unavailable_after": 1000},
         "tuning": {"breaker": {"open": "1s", "minimum": 1000}}}


class Mute:
    """The third centre, behind a relay: while it is stalled its acknowledgements get lost, its hello and its answers to
    pings do not."""

    def __init__(self, centre):
        self.relay = Relay(("127.0.0.1", centre.collector_port))
        self.port, self.close = self.relay.port, self.relay.close

    def stall(self):
        self.relay.swallow_acks = 10**9
        self.relay.cut()

    def go_on(self):
        self.relay.swallow_acks = None
        self.relay.cut()


class Black:
    """A third centre that accepts, and neither reads nor answers: the connection's window fills."""

    def __init__(self, centre):
        self.relay = Relay(("127.0.0.1", centre.collector_port))
        self.port, self.close = self.relay.port, self.relay.close
        self.stalled = False
        forward = self.relay._forward

        def held(near, far):
            if not self.stalled:
                return forward(near, far)
            while self.stalled:
                time.sleep(0.05)  # holds the connection and reads nothing
            return None
        self.relay._forward = held

    def stall(self):
        self.stalled = True
        self.relay.cut()

    def go_on(self):
        self.stalled = False
        self.relay.cut()


def window(watch, begin, end):
    """(records per second, median of the latencies in ms, their p99) of what arrived between two moments."""
    came = [a for a in list(watch.arrivals) if begin <= a[0] < end]
    late = [(at - made) / 1e6 for at, _, made in came]
    return sum(n for _, n, _ in came) / ((end - begin) / 1e9), quantile(late, 0.5), quantile(late, 0.99)


def measure(watches, seconds=WINDOW_S):
    begin = time.time_ns()
    time.sleep(seconds)  # the measurement itself
    end = time.time_ns()
    return {name: window(watch, begin, end) for name, watch in watches.items()}


def medians(windows, name):
    return [statistics.median(w[name][i] for w in windows) for i in range(3)]


@pytest.mark.parametrize("kind", [Mute, Black], ids=["no acknowledgement", "nothing is read"])
def test_stalled_destination(directory, report, kind):
    port, names = free_port(), ("first", "second", "third")
    with contextlib.ExitStack() as undo:
        centres = {}
        for name in names[1:]:
            (directory / name).mkdir()
            centres[name] = Gateway(directory / name)  # of which only the collector runs
            undo.callback(centres[name].stop)
        third = kind(centres["third"])
        undo.callback(third.close)
        gateway = Gateway(directory, [line_source(port)], [
            {"name": name, "destination": name} | SHORT | ({"connect": f"127.0.0.1:{place}"} if place else {})
            for name, place in zip(names, (None, centres["second"].collector_port, third.port))
        ], {"destinations": [{"name": name} for name in names]})
        centres["first"] = gateway
        for name in names[1:]:
            centres[name].start_collector()
        undo.enter_context(gateway)
        gateway.wait_running()
        watches = {name: undo.enter_context(Watch(centres[name])) for name in names[:2]}
        device = undo.enter_context(LineDevice(port, rate=RATE))
        before, during, sessions = judge(gateway, third, watches)
        device.finish()
        gateway.wait_delivered(device.made)  # the first has all, and no other lacks any
        problems = verify(centres, device)
    problems += compare(report, names[:2], before, during)
    report("stalled", windows=len(during), of_s=WINDOW_S, sessions_meanwhile=sessions, records=device.made)
    assert sessions >= CYCLES, "its sessions never ended"
    assert not problems, "; ".join(problems)


def judge(gateway, third, watches):
    """Both states in turn: (windows while all answer, windows while the third does not, sessions of the third)."""
    before, during = [], []
    for _ in range(CYCLES):
        wait_for(lambda: gateway.metric("store", "holdfast_store_backlog_records", destination="third") == 0, 30,
                 "the third does not catch up", interval=0.05)
        before += [measure(watches) for _ in range(WINDOWS)]
        third.stall()
        wait_for(lambda: (gateway.metric("store", "holdfast_store_backlog_records", destination="third") or 0) > 0
                 or (gateway.metric("store", "holdfast_store_in_flight_bytes", destination="third") or 0) > 0, 10,
                 "it is not stalled", interval=0.05)
        during += [measure(watches) for _ in range(WINDOWS)]
        third.go_on()
    return before, during, gateway.metric("uplink-third", "holdfast_link_sessions_total")


def verify(centres, device):
    problems = list(device.errors)
    for name, centre in centres.items():
        archive = centre.dump().verify()
        problems += [f"{name}: {problem}" for problem in check_lines(archive.streams["lines"], device.made)]
    return problems


def compare(report, names, before, during):
    problems = []
    for name in names:
        rate, middle, tail = medians(before, name)
        rate_then, middle_then, tail_then = medians(during, name)
        report(f"{name}: while the third does not answer / before", rate=rate_then / rate, p50=middle_then / middle,
               p99=tail_then / tail, p50_ms=middle_then, p99_ms=tail_then, records_per_s=rate_then)
        if rate_then * WITHIN < rate:
            problems.append(f"{name}: {rate_then:.0f} records/s of {rate:.0f}")
        if middle_then > 2 * middle + 2:  # a disk that others use is no steadier; waiting for the third would be seconds
            problems.append(f"{name}: latency {middle_then:.2f} ms of {middle:.2f}")
    return problems
