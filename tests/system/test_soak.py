"""Random faults for a long time under load: memory, descriptors and threads of each process stay as they are, and the
data arrive as always.

A leak is a rise from 15 s of a life on to its end (harness/lives.py): of the heap by 4 MiB, along a line, which says
the more the longer it lives; of descriptors or threads by one. Judged are lives of 35 s or more.

Kills come in the first half, so that each service is seen to live for the second.

HOLDFAST_SOAK_SECONDS: 90, with `tests/run --long` 600. HOLDFAST_SEED: of the faults.
"""
import collections
import contextlib
import os
import random
import signal
import time

from devices import LineDevice, check_lines
from harness import SANITIZED, Gateway, free_port, line_source, often, wait_for
from harness.lives import Life, Lives, Sample, slope
from modbus_plant import ModbusPlant, check_modbus
from peers.relay import Relay

LONG = bool(os.environ.get("HOLDFAST_LONG"))
SECONDS = float(os.environ.get("HOLDFAST_SOAK_SECONDS", 600 if LONG else 90))
SEED = int(os.environ.get("HOLDFAST_SEED", time.time_ns() % 10**6))
RATES = {"lines": 2000, "urgent": 300}
KILLS = 16  # of whom chance will have it
WARM_UP_S, LEAST_S = 15, 20
BOUNDS = {"anon_kib": 4096, "descriptors": 0, "threads": 0}


class Site:
    """A gateway with two links and two devices, each behind a relay that can be cut."""

    def __init__(self, directory):
        ports = [free_port(), free_port()]
        self.relays = {name: Relay(None) for name in ("main", "second", "lines", "urgent")}
        self.plant = ModbusPlant(units=5)
        links = often.links(**{name: {"connect": f"127.0.0.1:{self.relays[name].port}"} for name in ("main", "second")})
        sources = [line_source(ports[0]), line_source(ports[1], "urgent", **{"class": "critical"}), self.plant.source()]
        self.gateway = Gateway(directory, sources, links, often.GATEWAY, often.WATCHDOG)
        centre = ("127.0.0.1", self.gateway.collector_port)
        self.targets = {"main": centre, "second": centre, "lines": ("127.0.0.1", ports[0]),
                        "urgent": ("127.0.0.1", ports[1])}
        for name, relay in self.relays.items():
            relay.target = self.targets[name]
        self.devices = {name: LineDevice(self.relays[name].port, rate=rate, line_bytes=60)
                        for name, rate in RATES.items()}
        self.everybody = [*self.gateway.services, "watchdog", "collector", "watchdog-collector"]

    def __enter__(self):
        self.plant.start()
        self.gateway.start().wait_running()
        for device in self.devices.values():
            device.start()
        return self

    def __exit__(self, *_):
        for device in self.devices.values():
            device.stop()
        self.gateway.stop()
        self.plant.stop()
        for relay in self.relays.values():
            relay.close()

    def well(self):
        """All answer, both links have sessions (busy machines degrade them), devices are heard, no backlog is left."""
        gateway = self.gateway
        for service in self.everybody:
            wait_for(lambda service=service: gateway.status(service, 0.2), 30, f"{service} does not answer")
        for link in ("main", "second"):
            wait_for(lambda link=link: gateway.link_up(link), 30, f"no session of {link}")
        before = {name: device.confirmed for name, device in self.devices.items()}
        wait_for(lambda: all(device.confirmed > before[name] for name, device in self.devices.items()), 30,
                 lambda: [device.counts() for device in self.devices.values()])
        wait_for(lambda: gateway.metric("store", "holdfast_store_backlog_records") == 0, 30, "a backlog stays")


# .. faults: each is over when it returns


def kill(site, chance):
    service = chance.choice(site.everybody)
    pid = site.gateway.kill(service)
    wait_for(lambda: site.gateway.pid(service) not in (None, pid), 10, f"{service} does not come back")


def stop(site, chance):
    """Below the watchdog's limit: it goes on."""
    pid = site.gateway.kill(chance.choice(site.everybody), signal.SIGSTOP)
    time.sleep(chance.uniform(0.05, 1.2))
    with contextlib.suppress(ProcessLookupError):  # on a busy machine the watchdog was sooner
        os.kill(pid, signal.SIGCONT)


def cut(site, chance):
    """Connections end, and perhaps there are none for a while."""
    name = chance.choice(list(site.relays))
    relay = site.relays[name]
    if chance.random() < 0.5:
        relay.target = None
    relay.cut()
    if relay.target is None:
        time.sleep(chance.uniform(0.05, 1.5))
        relay.target = site.targets[name]


def slow_disk(site, chance):
    """Another program writes and syncs, on the same disk."""
    path = site.gateway.directory / "other"
    with open(path, "wb") as file:
        for _ in range(chance.randint(4, 16)):
            file.write(bytes(1 << 20))
            file.flush()
            os.fdatasync(file.fileno())
    path.unlink()


FAULTS = {cut: 4, stop: 3, slow_disk: 1}  # and how often


def test_soak(directory, report):
    chance, counts = random.Random(SEED), collections.Counter()
    report("", seed=SEED, seconds=SECONDS)
    with Site(directory) as site:
        lives = Lives(site.everybody)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < SECONDS:
            site.well()
            lives.take(site.gateway.pid)
            due = counts["kill"] < min(2 * passed / SECONDS, 1) * KILLS
            fault = kill if due else chance.choices(list(FAULTS), FAULTS.values())[0]
            fault(site, chance)
            counts[fault.__name__] += 1
        site.well()
        lives.take(site.gateway.pid)
        for device in site.devices.values():
            device.finish()
        site.gateway.wait_archived()
        wait_for(lambda: (kept := site.gateway.metric("store", "holdfast_store_cached_bytes")) is not None
                 and kept < 64 << 10, 10, "the store keeps what is confirmed")
    assert not site.gateway.leftovers()
    leaks = judge(report, lives)
    archive = site.gateway.dump()
    problems = archive.problems + site.gateway.check_books(archive)
    for name, device in site.devices.items():
        problems += device.errors + check_lines(archive.streams[name], device.made)
    problems += check_modbus(archive, units=5, skips=sum(counts.values()))
    report("nothing lost, nothing doubled, in order" if not problems else "BROKEN", **counts, lives=len(lives.all),
           records=archive.records, again=sum(device.again for device in site.devices.values()))
    archive.verify(origins=2)
    assert not problems, "; ".join(problems)
    assert not leaks, "; ".join(leaks)
    unseen = [service for service in lives.services if not any(leaks_of(life)[1] for life in lives.of(service))]
    assert not unseen or not LONG, f"no life of {unseen} was long enough to be judged"


def leaks_of(life, sanitized=False):
    """What rises above its bound, and all rises; nothing of a life that is too short. sanitized: its heap has what was
    freed, too."""
    samples = life.judged(WARM_UP_S, LEAST_S)
    rises = life.rises(samples) if samples else {}
    return [f"{life}: {figure} rises by {rise:.1f}" for figure, rise in rises.items()
            if rise > BOUNDS[figure] and not (sanitized and figure == "anon_kib")], rises


def judge(report, lives):
    """One line for each service, of its longest life; returns the leaks of all lives."""
    leaks = []
    for service in lives.services:
        mine = lives.of(service)
        longest = max(mine, key=lambda life: life.seconds)
        judged = [leaks_of(life, SANITIZED) for life in mine]
        leaks += [leak for found, _ in judged for leak in found]
        samples, rises = longest.judged(WARM_UP_S, LEAST_S) or longest.samples, leaks_of(longest)[1]
        last = samples[-1]
        report(service, lives=len(mine), judged=sum(bool(rises) for _, rises in judged), longest_s=longest.seconds,
               samples=len(samples), heap_kib=f"{samples[0].anon_kib}..{last.anon_kib}", rss_kib=last.rss_kib,
               heap_rises_kib=rises.get("anon_kib"), kib_per_s=slope([(s.at, s.anon_kib) for s in samples]),
               descriptors=f"{samples[0].descriptors}..{last.descriptors}",
               threads=f"{samples[0].threads}..{last.threads}")
    return leaks


def made_up(seconds, anon=lambda t: 4000, descriptors=lambda t: 31, threads=lambda t: 10, every=0.6):
    chance, life = random.Random(1), Life("store", 1)
    for number in range(int(seconds / every)):
        t = number * every
        noise = chance.uniform(-200, 200) + (3000 if chance.random() < 0.05 else 0)  # bursts that malloc gives back
        life.samples.append(Sample(t, anon(t) + noise, int(descriptors(t)), int(threads(t))))
    return life


def test_what_counts_as_a_leak():
    """What the soak calls a leak, and what it does not, with figures made up for it."""
    fine = {"flat": made_up(300), "finds its size": made_up(300, anon=lambda t: 4000 + 8000 * min(t / 20, 1)),
            "connects late": made_up(300, descriptors=lambda t: 28 if t < 2 else 31),
            "one connection at times": made_up(300, descriptors=lambda t: 31 + (int(t) % 7 == 0)),
            "too short to say": made_up(30, anon=lambda t: 4000 + 1000 * t)}
    for name, life in fine.items():
        assert not leaks_of(life)[0], name
    bad = {"anon_kib": made_up(300, anon=lambda t: 4000 + 23 * t),  # 10 bytes of each record, or 14 KiB of each fault
           "descriptors": made_up(300, descriptors=lambda t: 31 + t / 150),
           "threads": made_up(300, threads=lambda t: 10 + t / 150)}
    for figure, life in bad.items():
        assert [leak for leak in leaks_of(life)[0] if figure in leak], figure
    assert leaks_of(made_up(75, anon=lambda t: 4000 + 100 * t))[0], "45 bytes of each record, in a minute"
