"""Links that half work, links that come back, and links that do so again and again."""
import time

import pytest

from harness import wait_for
from lab import FIBRE, MOBILE, SATELLITE, Trial, expectations

pytestmark = pytest.mark.usefixtures("laboratory")


def stays(trial, link, seconds):
    """Whether this link alone carries for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        carrying = trial.carrying(0.2)
        assert carrying == [link], f"{carrying} carry: {trial.watch.said[-6:]}"


def test_accepts_and_stalls(directory, report):
    """L35: 5G carries, and fibre lets itself be connected and then says nothing, again and again. 5G stays in use."""
    with Trial(directory, FIBRE, MOBILE) as trial:
        at = trial.network.stall(FIBRE.name)
        reaction, gap, text = trial.moved(FIBRE.name, at)
        trial.wait_carrying(MOBILE.name)
        begin = time.time_ns()
        for _ in range(5):
            stays(trial, MOBILE.name, 1)
            trial.network.set(FIBRE.name, cut="none")  # a moment of life is no reason to return
            time.sleep(0.1)
            trial.network.stall(FIBRE.name)
        stays(trial, MOBILE.name, 2)
        longest = trial.watch.longest_gap(begin, time.time_ns()) / 1e6
        trial.network.heal(FIBRE.name)
        trial.wait_carrying(FIBRE.name)
    report(text, reaction_ms=reaction * 1e3, gap_ms=gap * 1e3, gap_on_5g_ms=longest, **trial.verify())
    assert longest <= expectations.UNDISTURBED_MS


def test_failback(directory, report):
    """L38: fibre works again for its hold time: traffic returns, once, and nobody notices."""
    with Trial(directory, FIBRE, MOBILE, hold="3s") as trial:
        at = trial.network.cut(FIBRE.name)
        trial.moved(FIBRE.name, at)
        trial.wait_carrying(MOBILE.name)
        healed = trial.network.heal(FIBRE.name)
        wait_for(lambda: trial.carrying() == [FIBRE.name], 30, "traffic does not return")
        took = (time.time_ns() - healed) / 1e9
        stays(trial, FIBRE.name, 5)  # once
        longest = trial.watch.longest_gap(healed, time.time_ns()) / 1e6
        switches = [text for when, link, text, _ in trial.watch.said if when > healed and link == FIBRE.name
                    and text.startswith("switched telemetry")]
    report("; ".join(switches), hold_s=3, returned_after_s=took, longest_gap_ms=longest, **trial.verify())
    assert took >= 3, "before its hold time"
    assert longest <= expectations.UNDISTURBED_MS
    assert len(switches) <= 1


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_acknowledgements_cut(directory, report, how):
    """L39: records arrive over fibre, their acknowledgements do not (cut: nor do the kernel's). They go again over 5G,
    and the centre keeps one of each."""
    with Trial(directory, FIBRE, MOBILE) as trial:
        known = trial.gateway.metric("collector", "holdfast_collector_duplicates_total") or 0
        at = getattr(trial.network, how)(FIBRE.name, "down")
        reaction, gap, text = trial.moved(FIBRE.name, at)
        trial.wait_carrying(MOBILE.name)
        again = trial.gateway.metric("collector", "holdfast_collector_duplicates_total") - known
        trial.network.heal(FIBRE.name)
    report(text, reaction_ms=reaction * 1e3, gap_ms=gap * 1e3, came_twice=again, **trial.verify())
    assert again > 0, "nothing came twice: the data path was cut too"


@pytest.mark.parametrize("active, standby", [(FIBRE, MOBILE), (MOBILE, SATELLITE)], ids=lambda kind: kind.name)
@pytest.mark.parametrize("how", ["loss", "delay"])
def test_brownout(directory, report, active, standby, how):
    """5 % of the packets are lost, or the round trip takes three times as long: the link works, and is left."""
    worse = {"loss": {"loss": 0.05}, "delay": {"delay": 1.5 * active.round_trip}}[how]
    with Trial(directory, active, standby, complete=True) as trial:
        wait_for(lambda: trial.device.confirmed > 5 * trial.rate, 30, "time to learn what is usual", interval=0.1)
        at = trial.network.set(active.name, **worse)
        reaction, gap, text = trial.moved(active.name, at, timeout=60)
        trial.wait_carrying(standby.name)
        took = (time.time_ns() - at) / 1e9
    report(text, reaction_s=reaction, moved_s=took, target_s=expectations.BROWNOUT[active], longest_gap_ms=gap * 1e3,
           **trial.verify())
    assert took <= 3 * expectations.BROWNOUT[active]


def test_flapping(directory, report):
    """Fibre works for 4 s and is gone for 1 s, for 40 s: after a few times traffic stays on 5G."""
    with Trial(directory, FIBRE, MOBILE, complete=True) as trial:
        began = time.time_ns()
        for _ in range(8):
            trial.network.cut(FIBRE.name)
            time.sleep(1)  # the flapping is the test's subject
            trial.network.heal(FIBRE.name)
            time.sleep(4)
        stays(trial, MOBILE.name, 1)
        switches = [text for when, link, text, _ in trial.watch.said
                    if when > began and link == FIBRE.name and text.startswith("switched telemetry")]
    report("; ".join(switches), switches=len(switches), target=expectations.FLAPS, **trial.verify())
    assert 0 < len(switches) <= expectations.FLAPS
