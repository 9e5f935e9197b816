"""Failover under a steady load: how soon records go over another link, and how long the centre goes without, after
black holes, faults that the kernel tells, and brownouts. Tables are Markdown, for the README."""

import pathlib
import shutil
import sys
import tempfile

from rig import ROOT

sys.path.insert(0, str(ROOT / "tests/system"))
from lab import FIBRE, MOBILE, SATELLITE, WIDE_SATELLITE, NotPermitted, black_holes, brownout, told_faults  # noqa: E402
from lab.measure import KINDS  # noqa: E402
from lab.trial import RATE  # noqa: E402

PAIRS = [(FIBRE, MOBILE), (MOBILE, SATELLITE), (SATELLITE, MOBILE)]
CUT_PAIRS = [*PAIRS[:2], (MOBILE, WIDE_SATELLITE), PAIRS[2]]  # by a black hole
WORDS = {"both": "both directions", "up": "to the centre", "down": "from the centre", "all": "all",
         "unplug": "carrier lost", "disable": "device taken down", "reject": "reset, then refused",
         "loss": "5 % of packets lost", "delay": "round trip three times as long"}


def measured(options, measure, active, standby, *more):
    """In a directory of its own, which stays when something went wrong; that is told, and the others go on."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="hf-failover-", dir=options.directory))
    what = {"what": measure.__name__, "links": f"{active.title} to {standby.title}"}
    try:
        figures = measure(home, active, standby, *more, seed=options.seed)
    except AssertionError as error:
        print(f"{what['links']}: failed: {error}; logs and files are in {home}", flush=True)
        return what | {"failed": str(error)}
    shutil.rmtree(home)
    return what | figures


def table(title, *headings):
    print(f"\n{title}\n\n| {' | '.join(headings)} |\n|{'---|' * len(headings)}", flush=True)


def line(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def three(row, name):
    """p50 / p99 / max"""
    return " / ".join(f"{row[f'{name}_{q}_ms']:.0f}" for q in ("p50", "p99", "max"))


def lines(figures):
    for row in figures.get("rows", ()):
        line(figures["links"], WORDS[row["way"]], str(row["times"]), three(row, "reaction"), three(row, "redirected"),
             f"{figures['redirected_target_ms']:.0f}", three(row, "gap"), f"{figures['gap_target_ms']:.0f}")


def run(options):
    headings = ["links", "fault", "times", "gateway says so", "first record on the other link", "target",
                "service gap at the centre", "target"]
    out = []
    try:
        table("Black holes at random moments; ms, p50 / p99 / max", *headings)
        for pair in CUT_PAIRS:
            out.append(measured(options, black_holes, *pair, options.phases))
            lines(out[-1])
        table("What the kernel tells; ms, p50 / p99 / max", *headings)
        for pair in PAIRS:
            out.append(measured(options, told_faults, *pair, max(options.phases // 5, 1)))
            lines(out[-1])
        table("Brownouts; s", "links", "fault", "found", "left", "target", "longest gap meanwhile, ms", "cause")
        for pair in PAIRS:
            for kind in KINDS * options.brownouts:
                out.append(b := measured(options, brownout, *pair, kind))
                if "failed" not in b:
                    line(b["links"], WORDS[kind], f"{b['found_s']:.1f}", f"{b['moved_s']:.1f}", f"{b['target_s']:.0f}",
                         f"{b['longest_gap_ms']:.0f}", b["said"])
    except NotPermitted as error:
        print(f"failover: not measured here: {error}")
        return out
    tell(options, out)
    return out


def tell(options, results):
    """The conditions, and what became of the records."""
    def total(name):
        return sum(row.get(name, 0) for row in results)
    results = [row for row in results if "failed" not in row]
    if not results:
        return
    kinds = ", ".join(f"{k.title} {k.round_trip * 1e3:g} ± {k.jitter * 1e3:g} ms" for k in (FIBRE, MOBILE, SATELLITE))
    print(f"\n{RATE} records/s of 100 bytes; round trips: {kinds}; TCP {results[0]['congestion_control']}; "
          f"{options.phases} black holes per pair of links and direction, seed {options.seed}.\n"
          f"{total('records')} records: {total('lost')} lost, {total('doubled')} doubled, order exact; "
          f"{total('known_before')} batches came twice and were taken once; "
          f"{total('false_alarms')} suspicions of a link that nothing ailed.\n"
          f"The laboratory's own worst delay: {max(row['relay_late_ms'] for row in results):.1f} ms.")
