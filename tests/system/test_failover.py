"""The active link dies under 1,000 records/s: how soon the gateway reacts, and how long the centre goes without.

HOLDFAST_PHASES: cuts per pair of links (10).
"""
import os
import time

import pytest

from harness import quantile, wait_for
from lab import FIBRE, MOBILE, SATELLITE, Trial, black_holes, expectations, told_faults

pytestmark = pytest.mark.usefixtures("laboratory")
PHASES = int(os.environ.get("HOLDFAST_PHASES", 10))
PAIRS = [(FIBRE, MOBILE), (MOBILE, SATELLITE), (SATELLITE, MOBILE)]


@pytest.mark.parametrize("active, standby", PAIRS, ids=lambda kind: kind.name)
def test_black_holes(directory, report, active, standby):
    figures = black_holes(directory, active, standby, PHASES)
    report("black holes: both directions, up, down in turn", **figures)
    detection, gap = expectations.TARGETS[active, standby]
    assert figures["detection_max_ms"] <= expectations.asserted(detection) * 1e3
    assert figures["gap_max_ms"] <= expectations.asserted(gap) * 1e3


@pytest.mark.parametrize("active, standby", PAIRS, ids=lambda kind: kind.name)
def test_faults_that_are_told(directory, report, active, standby):
    figures = told_faults(directory, active, standby)
    report(**figures, target_ms=expectations.TOLD * 1e3)
    bound = expectations.asserted(expectations.TOLD) * 1e3
    way = (standby.round_trip / 2 + standby.jitter) * 1e3
    for fault in ("unplug", "disable", "reject"):
        assert figures[f"{fault}_reaction_ms"] <= bound, fault
        assert figures[f"{fault}_gap_ms"] <= bound + way, fault


def test_critical_on_two_links(directory, report):
    """Critical records go over both links: while one is cut nothing is missed for longer than one path takes more than
    the other."""
    classes = [{"name": "critical", "priority": 10, "duplicate": True}]
    gaps = {FIBRE: [], MOBILE: []}
    both = [FIBRE.name, MOBILE.name]
    with Trial(directory, FIBRE, MOBILE, classes=classes, record_class="critical", carriers=both) as trial:
        for cut in [FIBRE, MOBILE] * 5:
            trial.wait_carrying(*both)
            at = trial.network.cut(cut.name)
            trial.moved(cut.name, at)
            wait_for(lambda: time.time_ns() - at > 3 * 10**8, 5)  # the cut, and what the gateway makes of it
            gaps[cut].append(trial.watch.longest_gap(at, at + 3 * 10**8) / 1e6)
            trial.dead(cut.name, at)
            trial.network.heal(cut.name)
    difference = (MOBILE.round_trip + MOBILE.jitter - FIBRE.round_trip) / 2 * 1e3
    for cut, values in gaps.items():
        report(f"{cut.title} cut", gap_p50_ms=quantile(values, 0.5), gap_max_ms=max(values),
               path_difference_ms=difference)
    report(**trial.verify())
    assert quantile(gaps[FIBRE], 0.5) <= difference + expectations.COMMIT_MS, "as long as without a second link"
