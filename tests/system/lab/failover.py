"""Failovers, measured at the centre under a steady load. Tests and benchmark share it."""
import contextlib
import itertools
import random
import time

from devices import LineDevice, check_lines
from harness import free_port, line_source, quantile, wait_for
from lab import expectations
from lab.network import Network
from lab.site import LabGateway
from lab.watch import Watch

RATE = 1000  # records/s


class Trial:
    """A gateway under load with these links, watched; the first link carries, or `carriers` do. At the end everything
    must have arrived once and in order.

        with Trial(directory, FIBRE, MOBILE) as trial:
            cut_at = trial.network.cut("fibre")
            trial.moved(cut_at)
        trial.verify()
    """

    def __init__(self, directory, *kinds, rate=RATE, seed=1, classes=(), record_class="telemetry", carriers=(),
                 **settings):
        self.rate, port = rate, free_port()
        self.carriers = carriers or [kinds[0].name]
        self.network = Network(*kinds, seed=seed)
        self._site = {"directory": directory, "sources": [line_source(port, **{"class": record_class})],
                      "overrides": {"classes": list(classes)} if classes else None} | settings
        self.device = LineDevice(port, rate=rate)

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.network)
            self.gateway = undo.enter_context(LabGateway(network=self.network, **self._site))
            self.watch = undo.enter_context(Watch(self.gateway))
            self.gateway.wait_running(30)
            with self.network.gateway.entered():
                undo.enter_context(self.device)
            self.wait_carrying(*self.carriers)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self._finish()
        finally:
            self._undo.close()

    def _finish(self):
        for name in self.network.kinds:
            self.network.heal(name)
        self.device.finish()
        self.gateway.wait_delivered(self.device.made)
        self.known = self.gateway.metric("collector", "holdfast_collector_duplicates_total")

    def verify(self):
        """0 lost, 0 doubled, order exact; after the end. Returns figures."""
        assert not self.gateway.leftovers()
        archive = self.gateway.dump().verify()
        problems = self.device.errors + check_lines(archive.streams["lines"], self.device.made)
        problems += self.gateway.check_books(archive)
        assert not problems, "; ".join(problems)
        return {"records": self.device.made, "lost": 0, "doubled": 0, "known_before": int(self.known or 0)}

    # .. what carries: by the packets, not by what the gateway says

    def carrying(self, period=0.06):
        """The links over which records go to the centre now, the busiest first."""
        before = self.network.stats()
        time.sleep(period)  # the measurement itself
        after = self.network.stats()
        sent = {name: after[f"{name} up"]["bytes"] - before[f"{name} up"]["bytes"] for name in self.network.kinds}
        least = 0.5 * self.rate * 100 * period
        return sorted((name for name in sent if sent[name] > least), key=sent.get, reverse=True)

    def wait_carrying(self, *links, timeout=60):
        """Until the records go over these links and no others, and arrive."""
        wait_for(lambda: set(self.carrying()) == set(links), timeout,
                 lambda: f"{self.carrying()} carry, not {links}: {self.watch.said[-6:]}")
        self.watch.wait_flow()

    # .. after a fault

    def moved(self, link, at, timeout=30):
        """Waits until the gateway has reacted to what happened to `link` at `at`, and a record that is newer than that
        has arrived. Returns seconds: the reaction, the service gap, and what was said."""
        told, text = wait_for(lambda: self.watch.told(link, at), timeout, f"nothing is said about {link}")
        end = wait_for(lambda: self.watch.made_after(told), timeout, lambda: f"no record after: {text}")
        return (told - at) / 1e9, self.watch.longest_gap(at, end) / 1e9, text

    def dead(self, link, at, timeout=30):
        """Until the store calls it down: a cut that ends before that is a short disturbance, and another subject."""
        wait_for(lambda: any(name == link and when > at and " to down" in text for when, name, text, _ in
                             list(self.watch.said)), timeout, lambda: f"{link} is not down: {self.watch.said[-6:]}")


def black_holes(directory, active, standby, phases, seed=1):
    """Cuts the active link at random moments, in both directions, one, the other, in turn. Returns the figures, and
    what a row of the table has."""
    dice = random.Random(seed)
    ways = itertools.cycle(("both", "up", "down"))
    rows = []
    with Trial(directory, active, standby, seed=seed) as trial:
        for way in itertools.islice(ways, phases):
            trial.wait_carrying(active.name)
            time.sleep(dice.random())  # the phase
            at = trial.network.cut(active.name, way)
            reaction, gap, _ = trial.moved(active.name, at)
            trial.dead(active.name, at)
            trial.wait_carrying(standby.name)
            rows.append((way, reaction, gap))
            trial.network.heal(active.name)
        late = trial.network.stats()["late_micros"]
    return summary(active, standby, rows) | {"relay_late_ms": late / 1e3, "seed": seed,
                                             "congestion_control": trial.network.gateway.congestion_control
                                             } | trial.verify()


def told_faults(directory, active, standby, seed=1):
    """The carrier goes, the device is taken down, connections are reset and new ones refused: milliseconds of each."""
    out = {"links": f"{active.title} to {standby.title}"}
    with Trial(directory, active, standby, seed=seed) as trial:
        for fault in ("unplug", "disable", "reject"):
            trial.wait_carrying(active.name)
            at = getattr(trial.network, fault)(active.name)
            reaction, gap, text = trial.moved(active.name, at)
            out |= {f"{fault}_reaction_ms": milliseconds(reaction), f"{fault}_gap_ms": milliseconds(gap),
                    f"{fault}_said": text}
            trial.wait_carrying(standby.name)
            trial.network.heal(active.name)
    return out | trial.verify()


def milliseconds(seconds):
    return round(seconds * 1e3, 1)


def summary(active, standby, rows):
    out = {"links": f"{active.title} to {standby.title}", "phases": len(rows)}
    for name, place in (("detection", 1), ("gap", 2)):
        values = [milliseconds(row[place]) for row in rows]
        out |= {f"{name}_p50_ms": quantile(values, 0.5), f"{name}_p99_ms": quantile(values, 0.99),
                f"{name}_max_ms": max(values)}
        for way in ("both", "up", "down"):
            out[f"{name}_max_{way}_ms"] = max((milliseconds(row[place]) for row in rows if row[0] == way),
                                                default=None)
    detection, gap = expectations.TARGETS[active, standby]
    return out | {"detection_limit_ms": expectations.FAILOVER[active] * 1e3, "detection_target_ms": detection * 1e3,
                  "gap_target_ms": gap * 1e3}
