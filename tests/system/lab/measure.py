"""What tests and benchmark measure alike: black holes, faults that the kernel tells, brownouts."""
import random
import time

from harness import quantile, wait_for
from lab import expectations
from lab.trial import Trial

WAYS = ("both", "up", "down")  # that a black hole cuts
FAULTS = ("unplug", "disable", "reject")  # the carrier goes; the device is taken down; resets, and new ones refused
KINDS = ("loss", "delay")  # of brownouts
AT_ONCE = {"hold": "0s", "probation": "0s", "proofs": 0}  # traffic returns as soon as a session stands: the next one


def black_holes(directory, active, standby, phases, seed=1):
    """Cuts the active link at random moments, `phases` times in each way, in turn. Returns the conditions, and a row of
    figures per way and one of all."""
    dice = random.Random(seed)
    moves = {way: [] for way in WAYS}
    false_alarms = 0
    with Trial(directory, active, standby, seed=seed, route=AT_ONCE) as trial:
        for way in WAYS * phases:
            settled = trial.settle(active.name)
            trial.rest(standby.name)
            time.sleep(dice.random())  # the phase
            while trial.watch.told(active.name, settled):  # suspected before it was cut
                false_alarms += 1
                settled = trial.settle(active.name)
            move = trial.strike(active.name, "cut", way)
            moves[way].append(move)
            trial.dead(active.name, move.at)
            trial.network.heal(active.name)
    detection, gap = expectations.TARGETS[active, standby]
    rows = [{"way": way} | figures(some) for way, some in moves.items()]
    rows.append({"way": "all"} | figures(sum(moves.values(), [])))
    return conditions(trial, active, standby, seed) | trial.verify() | {
        "false_alarms": false_alarms, "limit_ms": expectations.FAILOVER[active] * 1e3,
        "redirected_target_ms": detection * 1e3, "gap_target_ms": gap * 1e3, "rows": rows}


def told_faults(directory, active, standby, times=1, seed=1):
    """The same with faults that the kernel tells."""
    moves = {fault: [] for fault in FAULTS}
    with Trial(directory, active, standby, seed=seed, route=AT_ONCE) as trial:
        for fault in FAULTS * times:
            trial.settle(active.name)
            trial.rest(standby.name)
            moves[fault].append(trial.strike(active.name, fault))
            trial.network.heal(active.name)
    target = expectations.TOLD
    return conditions(trial, active, standby, seed) | trial.verify() | {
        "redirected_target_ms": target * 1e3, "gap_target_ms": (target + way_of(standby)) * 1e3,
        "rows": [{"way": fault, "said": some[0].said} | figures(some) for fault, some in moves.items()]}


def brownout(directory, active, standby, kind, seed=1):
    """5 % of the packets are lost, or the round trip takes three times as long: seconds until the other link carries
    and goes on to."""
    worse = {"loss": {"loss": 0.05}, "delay": {"delay": 1.5 * active.round_trip}}[kind]
    with Trial(directory, active, standby, seed=seed, kept=["brownouts"]) as trial:
        learned = time.time_ns() + expectations.LEARNING[active] * 10**9
        wait_for(lambda: time.time_ns() > learned, 120, "the time to learn what is usual", interval=0.1)
        trial.settle(active.name)
        at = trial.network.set(active.name, **worse)
        said = wait_for(lambda: first_of(trial, active.name, at, " to degraded", " to down"), 120,
                        lambda: f"not found: {trial.watch.said[-6:]}")
        trial.wait_carrying(standby.name)
        moved = time.time_ns()
        trial.settle(standby.name)
        gap = trial.watch.longest_gap(at, moved)
        diversions = sum(text.startswith("diverted telemetry from " + standby.name)
                         for text in trial.watch.news(standby.name, at))
    return conditions(trial, active, standby, seed) | trial.verify() | {
        "kind": kind, "said": said[1], "diversions_from_the_other": diversions,
        "found_s": (said[0] - at) / 1e9, "moved_s": (moved - at) / 1e9,
        "target_s": expectations.BROWNOUT[active], "longest_gap_ms": milliseconds(gap / 1e9)}


# .. figures


def mostly_calm(measure, calm):
    """Figures of a calm round as soon as most rounds were calm; of one that was not if nine rounds do not get there. A
    machine that stands still makes packets late in the relay and at both ends: it disturbs some rounds, a defect most."""
    disturbed = []
    for rounds in range(1, 10):
        figures = measure()
        if not calm(figures):
            disturbed.append(figures)
        elif 2 * len(disturbed) < rounds:
            return figures
    return disturbed[-1]


def first_of(trial, link, moment, *words):
    return next(((at, text) for at, name, text, _ in trial.watch.since(moment)
                 if name == link and any(word in text for word in words)), None)


def way_of(kind):
    """Seconds to the centre, at worst."""
    return (kind.round_trip + kind.jitter) / 2


def conditions(trial, active, standby, seed):
    return {"links": f"{active.title} to {standby.title}", "rate": trial.rate, "seed": seed,
            "congestion_control": trial.network.gateway.congestion_control, "relay_late_ms": trial.relay_late_ms}


def milliseconds(seconds):
    return round(seconds * 1e3, 1)


def figures(moves):
    out = {"times": len(moves)}
    for name in ("reaction", "redirected", "gap"):
        values = [milliseconds(getattr(move, name)) for move in moves]
        out |= {f"{name}_p50_ms": quantile(values, 0.5), f"{name}_p99_ms": quantile(values, 0.99),
                f"{name}_max_ms": max(values)}
    return out
