"""The active link dies under 1,000 records/s: how soon records go over another one, and how long the centre goes
without.

HOLDFAST_PHASES: cuts per pair of links and direction (1); `tests/bench/run failover` makes 50.
"""
import os
import random
import time

import pytest

from harness import quantile
from lab import FIBRE, MOBILE, SATELLITE, Trial, black_holes, expectations, told_faults
from lab.measure import AT_ONCE

pytestmark = pytest.mark.usefixtures("laboratory")
PHASES = int(os.environ.get("HOLDFAST_PHASES", 1))
SEED = int(os.environ.get("HOLDFAST_SEED", 1))
JUST_AFTER_NS = 300_000_000  # a cut: what goes over that link alone is missed by then
PAIRS = [(FIBRE, MOBILE), (MOBILE, SATELLITE), (SATELLITE, MOBILE)]


def tell(report, figures):
    rows = figures.pop("rows")
    for row in rows:
        report(**row)
    report(**figures)
    return rows


@pytest.mark.parametrize("active, standby", PAIRS, ids=lambda kind: kind.name)
def test_black_holes(directory, report, active, standby):
    rows = tell(report, black_holes(directory, active, standby, PHASES, SEED))
    redirected, gap = expectations.TARGETS[active, standby]
    for row in rows:
        assert row["redirected_max_ms"] <= expectations.asserted(redirected) * 1e3, row["way"]
        assert row["gap_max_ms"] <= expectations.asserted(gap) * 1e3, row["way"]


@pytest.mark.parametrize("active, standby", PAIRS, ids=lambda kind: kind.name)
def test_faults_that_are_told(directory, report, active, standby):
    figures = told_faults(directory, active, standby, seed=SEED)
    rows = tell(report, figures)
    for row in rows:
        assert row["redirected_max_ms"] <= expectations.asserted(expectations.TOLD) * 1e3, row["way"]
        assert row["gap_max_ms"] <= expectations.asserted(figures["gap_target_ms"] / 1e3) * 1e3, row["way"]


def test_critical_on_two_links(directory, report):
    """Critical records go over both links: while one is cut nothing is missed for longer than one path takes more than
    the other."""
    classes = [{"name": "critical", "priority": 10, "duplicate": True}]
    both = [FIBRE.name, MOBILE.name]
    usual, gaps, longest = [], {FIBRE: [], MOBILE: []}, 0
    dice = random.Random(SEED)
    with Trial(directory, FIBRE, MOBILE, classes=classes, record_class="critical", carriers=both,
               route=AT_ONCE) as trial:
        for cut in [FIBRE, MOBILE] * 4:
            settled = trial.settle(*both)
            time.sleep(0.5 + dice.random())  # undisturbed, and the phase
            at = trial.network.cut(cut.name)
            usual.append(trial.watch.longest_gap(settled, at) / 1e6)
            trial.dead(cut.name, at)
            gaps[cut].append(trial.watch.longest_gap(at, at + JUST_AFTER_NS) / 1e6)
            trial.network.heal(cut.name)
            trial.wait_carrying(*both)
            longest = max(longest, trial.watch.longest_gap(at, time.time_ns()) / 1e6)
    difference = (MOBILE.round_trip + MOBILE.jitter - FIBRE.round_trip) / 2 * 1e3
    for cut, values in gaps.items():
        report(f"{cut.title} cut", gap_p50_ms=quantile(values, 0.5), gap_max_ms=max(values),
               path_difference_ms=difference, undisturbed_p50_ms=quantile(usual, 0.5), undisturbed_max_ms=max(usual))
    report(seed=SEED, gap_until_healed_max_ms=longest, **trial.verify())
    for values in gaps.values():
        # A machine that stands still lengthens some of them.
        assert quantile(values, 0.5) <= difference + expectations.COMMIT_MS, "as long as without a second link"
    assert longest <= expectations.asserted(expectations.TARGETS[FIBRE, MOBILE][1]) * 1e3
