"""Failover: from a black hole on the active link to the gateway's reaction, and the service gap seen at the centre."""

import pathlib
import shutil
import sys
import tempfile

from rig import ROOT

sys.path.insert(0, str(ROOT / "tests/system"))
from lab import FIBRE, MOBILE, SATELLITE, NotPermitted, black_holes, told_faults  # noqa: E402
from lab.failover import RATE  # noqa: E402

PAIRS = [(FIBRE, MOBILE), (MOBILE, SATELLITE), (SATELLITE, MOBILE)]


def measured(measure, options, *arguments):
    """In a directory of its own, which stays when something went wrong."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="hf-failover-", dir=options.directory))
    figures = measure(home, *arguments, seed=options.seed)
    shutil.rmtree(home)
    return figures


def show(title, rows, columns):
    print(f"\n{title}\n{'':<14}" + "".join(f"{name:>11}" for name, _ in columns))
    for row in rows:
        print(f"{row['links']:<14}" + "".join(f"{cell(row[key]):>11}" for _, key in columns))


def cell(value):
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def quantiles(name):
    """Columns: the heading and the figure."""
    columns = [(q, f"{name}_{q}_ms") for q in ("p50", "p99", "max")]
    columns += [(f"max {way}", f"{name}_max_{way}_ms") for way in ("both", "up", "down")]
    return columns + [("target", f"{name}_target_ms")]


def run(options):
    try:
        holes = [measured(black_holes, options, *pair, options.phases) for pair in PAIRS]
        faults = [measured(told_faults, options, *pair) for pair in PAIRS]
    except NotPermitted as error:
        print(f"failover: not measured here: {error}")
        return []
    print(f"{RATE} records/s of 100 bytes; round trips: "
          + ", ".join(f"{k.title} {k.round_trip * 1e3:g} ± {k.jitter * 1e3:g} ms" for k in (FIBRE, MOBILE, SATELLITE))
          + f"; TCP {holes[0]['congestion_control']}; {options.phases} cuts per row at random moments: "
          "both directions, up, down in turn; ms")
    show("from a black hole to the gateway's reaction", holes,
         quantiles("detection") + [("limit", "detection_limit_ms")])
    show("service gap at the centre", holes, quantiles("gap"))
    show("carrier lost, device down, reset: service gap (target 50 and half the new link's round trip)",
         faults, [(what, f"{what}_gap_ms") for what in ("unplug", "disable", "reject")])
    records = sum(row["records"] for row in holes + faults)
    print(f"\n{records} records: {sum(row['lost'] for row in holes + faults)} lost, "
          f"{sum(row['doubled'] for row in holes + faults)} doubled, order exact; "
          f"{sum(row['known_before'] for row in holes + faults)} batches came twice and were taken once; "
          f"the laboratory's own worst delay {max(row['relay_late_ms'] for row in holes):.1f} ms")
    return holes + faults
