"""Links that half work, links that come back, and links that do so again and again."""
import time

import pytest

from harness import quantile, wait_for
from lab import FIBRE, MOBILE, Trial, brownout, expectations, first_of, mostly_calm

pytestmark = pytest.mark.usefixtures("laboratory")


def switches_of(trial, link, moment):
    return [text for text in trial.watch.news(link, moment) if text.startswith("switched telemetry")]


def test_accepts_and_stalls(directory, report):
    """L35: 5G carries, and fibre lets itself be connected and then says nothing, again and again. 5G stays in use."""
    with Trial(directory, FIBRE, MOBILE) as trial:
        failures = trial.gateway.metric("uplink-fibre", "holdfast_link_failures_total") or 0
        move = trial.strike(FIBRE.name, "stall")
        trial.wait_carrying(MOBILE.name)
        trial.stays(MOBILE.name, 1)
        gaps = []
        for _ in range(5):
            begin = trial.network.set(FIBRE.name, cut="none")  # a moment of life is no reason to return
            time.sleep(0.1)
            trial.network.stall(FIBRE.name)
            trial.stays(MOBILE.name, 1)
            gaps.append(trial.watch.longest_gap(begin, time.time_ns()) / 1e6)
        attempts = trial.gateway.metric("uplink-fibre", "holdfast_link_failures_total") - failures
        trial.network.heal(FIBRE.name)
        trial.wait_carrying(FIBRE.name)
    report(move.said, reaction_ms=move.reaction * 1e3, gap_ms=move.gap * 1e3, gap_on_5g_p50_ms=quantile(gaps, 0.5),
           gap_on_5g_max_ms=max(gaps), sessions_and_attempts_lost=attempts, **trial.verify())
    assert attempts > 0, "fibre was not tried"
    # A machine that stands still lengthens some of them.
    assert quantile(gaps, 0.5) <= expectations.UNDISTURBED_MS, "a moment of life is felt"


def test_failback(directory, report):
    """L38: fibre works again for its hold time: traffic returns, once, and nobody notices."""
    def fall_back():
        trial.settle(FIBRE.name)
        struck = trial.strike(FIBRE.name, "cut").at
        trial.wait_carrying(MOBILE.name)
        # A link that is only suspected is used again with its first answer.
        wait_for(lambda: first_of(trial, FIBRE.name, struck, " to down"), 30, "fibre is not down")
        healed = time.time_ns()
        trial.network.heal(FIBRE.name)
        wait_for(lambda: trial.carrying() == [FIBRE.name], 30, "traffic does not return")
        took = (time.time_ns() - healed) / 1e9
        assert took >= 3, "before its hold time"
        others = trial.seen_carrying(4) - {FIBRE.name}
        longest = trial.watch.longest_gap(healed, time.time_ns()) / 1e6
        switches = switches_of(trial, FIBRE.name, healed)
        report("; ".join(switches), hold_s=3, returned_after_s=took, longest_gap_ms=longest)
        return others, switches, longest

    def calm(figures):
        others, switches, longest = figures
        return not others and len(switches) == 1 and longest <= expectations.UNDISTURBED_MS

    with Trial(directory, FIBRE, MOBILE, route={"hold": "3s"}) as trial:
        figures = mostly_calm(fall_back, calm)
    report(**trial.verify())
    assert calm(figures), figures


def test_large_packets_vanish(directory, report):
    """A session stands, its data vanish, and so on: ever more rarely, or a metered link pays for nothing."""
    ladder = {"quick_attempts": 0, "first": "1s", "cap": "8s"}
    with Trial(directory, FIBRE, more={FIBRE.name: {"reconnect": ladder}}) as trial:
        begun = trial.gateway.metric("uplink-fibre", "holdfast_link_sessions_total")
        trial.network.narrow(FIBRE.name)
        time.sleep(20)  # what is counted is a rate
        sessions = trial.gateway.metric("uplink-fibre", "holdfast_link_sessions_total") - begun
    report("", seconds=20, sessions=sessions, **trial.verify())
    assert 2 <= sessions <= 14


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_acknowledgements_cut(directory, report, how):
    """L39: records arrive over fibre, their acknowledgements do not (cut: nor do the kernel's). They go again over 5G,
    and the centre keeps one of each."""
    with Trial(directory, FIBRE, MOBILE) as trial:
        known = trial.gateway.metric("collector", "holdfast_collector_duplicates_total") or 0
        move = trial.strike(FIBRE.name, how, "down")
        trial.wait_carrying(MOBILE.name)
        again = trial.gateway.metric("collector", "holdfast_collector_duplicates_total") - known
        trial.network.heal(FIBRE.name)
    report(move.said, reaction_ms=move.reaction * 1e3, gap_ms=move.gap * 1e3, came_twice=again, **trial.verify())
    assert again > 0, "nothing came twice: the data path was cut too"


@pytest.mark.parametrize("active, standby", expectations.BROWNOUT_PAIRS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("kind", ["loss", "delay"])
def test_brownout(directory, report, active, standby, kind):
    """The link works badly, and is left. GEO takes minutes: `tests/bench/run failover`."""
    figures = brownout(directory, active, standby, kind)
    report(**figures)
    assert figures["moved_s"] <= 3 * figures["target_s"]


def test_flapping(directory, report):
    """Fibre works for 4 s and is gone for 1 s, for 35 s: after a few times traffic stays on 5G."""
    with Trial(directory, FIBRE, MOBILE, kept=["brownouts", "damping"]) as trial:
        began = time.time_ns()
        for _ in range(7):
            trial.network.cut(FIBRE.name)
            time.sleep(1)  # the flapping is the test's subject
            trial.network.heal(FIBRE.name)
            time.sleep(4)
        trial.stays(MOBILE.name, 1)
        switches = switches_of(trial, FIBRE.name, began)
    report("; ".join(switches), switches=len(switches), target=expectations.FLAPS, **trial.verify())
    assert 0 < len(switches) <= expectations.FLAPS
