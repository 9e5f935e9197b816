"""The system's clock steps under the running gateway (L58 to L60): by hours, to 1970, to 2040, and while everything
stands still, as after a suspend. Nothing is lost, doubled, expired early, given twice or restarted."""
import os
import pathlib
import signal
import time

import pytest

from devices import LineDevice, check_lines
from harness import ArrivalWatch, Gateway, free_port, line_source, wait_for
from peers.looks import pids

LIBRARY = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (Debian package faketime)")

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
GAP_MS = 3000


class Clock:
    """What CLOCK_REALTIME of the gateway's processes is ahead of ours. Their monotonic clocks run on, as the kernel's do."""

    def __init__(self, directory):
        self.path = pathlib.Path(directory) / "clock"
        self.step(0)
        self.environment = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.path),
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
        if options := os.environ.get("ASAN_OPTIONS"):  # its library wants to be the first, and need not be
            self.environment["ASAN_OPTIONS"] = f"{options}:verify_asan_link_order=0"

    def step(self, seconds):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        os.replace(fresh, self.path)


def settings():
    return {"classes": [{"name": "critical", "priority": 0}, {"name": "telemetry", "ttl": "1h"}],
            "watchdog": {"limit": "10s"}}


def failures(gateway):
    names = ("holdfast_link_failures_total", "holdfast_link_sessions_total")
    return [gateway.metric("uplink-main", name) or 0 for name in names]


def used(gateway):
    reply = gateway.ask("store", links={"switches": 1})
    return next(link.used_month_bytes for link in reply.links.links if link.name == "main") if reply else None


def test_clock_steps(directory, report):
    port, now = free_port(), int(time.time())
    clock = Clock(directory)
    gateway = Gateway(directory, sources=[line_source(port)], links=[{"budget_month": "1GiB"}], overrides=settings())
    gateway.init.environment = clock.environment
    steps = {"an hour ahead": HOUR, "an hour back": -HOUR, "1970": -now + 100, "2040": 2208988800 - now,
             "beyond 2106": 4_300_000_000 - now, "a month back": -30 * DAY, "right again": 0}
    with gateway, LineDevice(port, rate=1000) as device, ArrivalWatch(gateway) as arrivals:
        gateway.wait_running(30)
        before, links = pids(gateway), failures(gateway)
        more(device, 1000)
        gaps, years = {}, {}
        for what, seconds in steps.items():
            begin = time.time_ns()
            clock.step(seconds)
            more(device, 2000)
            gaps[what] = arrivals.longest_gap(begin, time.time_ns()) / 1e6
            years[what] = time.gmtime(now + seconds).tm_year
            assert gateway.metric("store", "holdfast_store_oldest_unsent_seconds") >= 0
        assert pids(gateway) == before, "the same processes"
        assert failures(gateway) == links, "sessions that ended, sessions that began"
        device.finish()
        gateway.wait_delivered(device.confirmed)
        archive = gateway.dump().verify()
        assert not check_lines(archive.streams["lines"], device.confirmed)
        seen = {time.gmtime(at // 10**9).tm_year for at in archive.streams["lines"].times}
        report("longest gap in ms: " + ", ".join(f"{what} {gap:.0f}" for what, gap in gaps.items()))
        report(records=device.confirmed, years=sorted(seen))
        assert set(years.values()) <= seen, "the library does not fake"
        assert max(gaps.values()) <= GAP_MS


def test_ttl_and_budget_over_steps(directory, report):
    """L59, L60: a backlog with a ttl of an hour, and steps of days and months while nobody takes it: all of it arrives.
    The month's budget is not given twice by a step back."""
    port, clock = free_port(), Clock(directory)
    gateway = Gateway(directory, sources=[line_source(port)], links=[{"budget_month": "1GiB"}], overrides=settings())
    gateway.init.environment = clock.environment
    with gateway:
        gateway.wait_running(30)
        with LineDevice(port, total=5000) as device:
            device.wait()
        gateway.wait_delivered(5000)
        spent = wait_for(lambda: used(gateway), 20, "the budget's count")
        gateway.stop_collector()
        with LineDevice(port, rate=2000) as device:
            for seconds in (-HOUR, -DAY, -40 * DAY, -20 * YEAR):
                clock.step(seconds)
                more(device, 1000)
            assert used(gateway) >= spent, "given twice"
            for seconds in (0, DAY, 40 * DAY, 0):
                clock.step(seconds)
                more(device, 1000)
            device.finish()
        pid = gateway.kill("store")  # and over its restart
        wait_for(lambda: gateway.pid("store") not in (None, pid), 10, "the store's next life")
        gateway.start_collector()
        gateway.wait_delivered(device.confirmed, 60)
        archive = gateway.dump().verify()
        assert not check_lines(archive.streams["lines"], device.confirmed)
        report(records=device.confirmed, month_bytes_before=spent, expired=archive.gaps)


def test_suspended_and_woken(directory, report):
    """Everything stands still for a while, and wakes a day later: as it was."""
    port, clock = free_port(), Clock(directory)
    gateway = Gateway(directory, sources=[line_source(port)], overrides=settings(), watchdog_s=30)
    gateway.init.environment = clock.environment
    with gateway, LineDevice(port, rate=1000) as device:
        gateway.wait_running(30)
        before = pids(gateway, "collector", "watchdog-collector")
        more(device, 1000)
        for round_ in range(3):
            for pid in before.values():
                os.kill(pid, signal.SIGSTOP)
            stopped = device.made
            wait_for(lambda: device.made >= stopped + 2500, 20, "2.5 s")
            clock.step((round_ + 1) * DAY)
            for pid in before.values():
                os.kill(pid, signal.SIGCONT)
            more(device, 2000)
        device.finish()
        gateway.wait_delivered(device.confirmed)
        assert pids(gateway, "collector", "watchdog-collector") == before, "the same processes"
        assert not check_lines(gateway.dump().verify().streams["lines"], device.confirmed)
        report(records=device.confirmed, times_stopped=3)


def more(device, records):
    before = device.confirmed
    wait_for(lambda: device.confirmed >= before + records, 60, lambda: device.counts())
