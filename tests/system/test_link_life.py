"""Links that half work, and links that come back."""
import time

import pytest

from harness import wait_for
from lab import FIBRE, MOBILE, Trial, expectations

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
                    and text.startswith("switched")]
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
