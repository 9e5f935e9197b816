"""The active link dies under 1,000 records/s: how soon the gateway reacts, and how long the centre goes without.

HOLDFAST_PHASES: cuts per pair of links (10).
"""
import os
import time

import pytest

from harness import wait_for
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
    gaps = []
    both = [FIBRE.name, MOBILE.name]
    with Trial(directory, FIBRE, MOBILE, classes=classes, record_class="critical", carriers=both) as trial:
        for round_ in range(6):
            trial.wait_carrying(*both)
            link = (FIBRE, MOBILE)[round_ % 2].name
            at = trial.network.cut(link)
            trial.moved(link, at)
            wait_for(lambda: time.time_ns() - at > 10**9, 5)  # the dead link's own end is part of it
            gaps.append(trial.watch.longest_gap(at, time.time_ns()) / 1e6)
            trial.network.heal(link)
    difference = (MOBILE.round_trip + MOBILE.jitter - FIBRE.round_trip) / 2 * 1e3
    report("gaps_ms " + " ".join(f"{gap:.3g}" for gap in gaps), path_difference_ms=difference, **trial.verify())
    assert max(gaps) <= difference + expectations.COMMIT_MS
