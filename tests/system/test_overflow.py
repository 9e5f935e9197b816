"""What gives way when there is no room: low-value data never stands in the way of alarms, every record ends as delivered
or in a gap, and the file keeps its bound. The oracle is the collector's output."""
import contextlib
import json
import os
import threading
import time

import pytest

from devices import LineDevice
from harness import Gateway, free_port, line_source, wait_for
from peers.looks import pids
from test_full_disk import SmallDisk

QUOTA = 48 << 20
BOUND = QUOTA + QUOTA // 8 + (64 << 20)  # services/store/README.md
LINE = 500
COMMITS = "holdfast_store_commits_total"
LINK = {"reconnect": {"first": "50ms", "cap": "200ms"}, "tuning": {"breaker": {"open": "1s"}}}


def classes(**bulk):
    return [{"name": "critical", "priority": 10}, {"name": "telemetry", "priority": 100},
            {"name": "bulk", "priority": 200, **bulk}]


def site(directory, ports, bulk, store=None, links=("main",)):
    """A gateway with one line source for each class that has a port; its stream has the class's name."""
    sources = [line_source(port, name, **{"class": name}) | {"window": "2MiB"} for name, port in ports.items()]
    small = {"quota": QUOTA, "max_batch": "1MiB", "producer_window": "2MiB"}
    return Gateway(directory, sources, [LINK | {"name": name} for name in links], {"classes": classes(**bulk), "store": small | (store or {})})


class SizeWatch:
    """The largest size of the store's directory, looked at every few milliseconds."""

    def __init__(self, directory):
        self.directory, self.largest, self.samples = directory, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)

    def _run(self):
        while not self._stop.wait(0.01):
            with contextlib.suppress(FileNotFoundError):
                size = sum(entry.stat().st_size for entry in os.scandir(self.directory))
                self.largest, self.samples = max(self.largest, size), self.samples + 1


def sums(archive, produced):
    """Each line of each class is there under its number, or in a gap: {class: (delivered, gaps)}."""
    out = {}
    for (_, _, name), seqs in archive.origins.items():
        stream = archive.streams.get(name)
        delivered = stream.count if stream else 0
        assert len(seqs) == produced[name], f"{name}: {len(seqs)} numbers, {produced[name]} produced"
        if stream:
            assert [int(value[:10]) for value in stream.values] == list(stream.seqs), f"{name}: other records"
        out[name] = delivered, len(seqs) - delivered
    assert set(out) == set(produced)
    return out


@pytest.mark.parametrize("how,kills", [("drop-oldest", 0), ("thin", 0), ("drop-oldest", 3), ("thin", 3)])
def test_flood(directory, report, how, kills):
    """The centre is away and low-value data flood the store with ten times its quota while alarms arrive. No alarm waits
    or is lost, and all of them leave first. With kills: the store dies while records give way."""
    ports = {"critical": free_port(), "bulk": free_port()}
    produced = 10 * QUOTA // LINE
    with site(directory, ports, {"overflow": how}) as gateway, SizeWatch(gateway.store_directory) as size:
        gateway.wait_running()
        gateway.stop_collector()
        before = pids(gateway)
        with LineDevice(ports["critical"], rate=200) as alarms, \
                LineDevice(ports["bulk"], total=produced, line_bytes=LINE) as bulk:
            behind = 0
            for part in range(1, kills + 1):
                wait_for(lambda part=part: bulk.confirmed > produced * part // (kills + 1), 120, bulk.counts)
                gateway.kill("store")
                before["store"] = None
                wait_for(lambda: gateway.pid("store"), 20, "the store comes back")
            while bulk.confirmed < produced:
                assert size.largest <= BOUND, f"{size.largest} of {BOUND} bytes"
                if not kills:
                    behind = max(behind, alarms.made - alarms.confirmed)
                time.sleep(0.01)
                assert bulk.ended is None or bulk.confirmed == produced, bulk.counts()
            bulk.wait(120)
            alarms.finish()
            displaced = gateway.metric("store", "holdfast_store_displaced_records_total", **{"class": "bulk"})
            assert gateway.metric("store", "holdfast_store_displaced_records_total", **{"class": "critical"}) == 0
            assert gateway.metric("store", "holdfast_store_used_bytes") <= QUOTA
            assert not alarms.errors + bulk.errors
            if not kills:
                assert "alarm name=displacing:bulk raised" in gateway.log()
                assert "alarm name=store_full raised" not in gateway.log(), "somebody waited"
            stat = json.loads(gateway.ctl("store", "stat", "--json").stdout)["classes"]
            gateway.start_collector()
            gateway.wait_delivered(alarms.confirmed + produced, timeout=120)
        now = pids(gateway)
        assert all(now[name] == pid for name, pid in before.items() if pid), "a process ended"
        arrival = gateway.dump(order="arrival", values=False)
        archive = gateway.dump().verify(origins=2, gaps=True)
        assert size.largest <= BOUND and size.samples > 20
        total = sums(archive, {"critical": alarms.confirmed, "bulk": produced})
        assert total["critical"] == (alarms.confirmed, 0)
        assert list(archive.gaps) == ["displaced"]
        assert total["bulk"][0] * LINE > QUOTA // 3, "most of the room is used"
        # Nothing was on its way: what the store has and counts is what the centre gets.
        assert {row["class"]: (row["records"], row["gap_records"]) for row in stat if row["records"]} == total
        assert kills or total["bulk"][1] == displaced
        first = list(arrival.streams["critical"].places)
        assert first == list(range(len(first))), "alarms leave first"
        kept = list(archive.streams["bulk"].seqs)
        if how == "drop-oldest":
            assert kept == list(range(produced - len(kept) + 1, produced + 1)), "the newest are kept"
        else:
            assert kept[0] < produced // 10 and kept[-1] > produced - 10000, "thinned over all the time"
        report(how=how, kills=kills, alarms=alarms.confirmed, most_unconfirmed_alarms=behind, bulk_produced=produced,
               bulk_delivered=total["bulk"][0], bulk_gaps=total["bulk"][1], largest_file_mib=size.largest / 2**20,
               bound_mib=BOUND / 2**20, samples=size.samples)


def rest(held, other):
    """What is confirmed of a device that has come to wait: no more, while another one goes on."""
    while True:
        seen, mark = held.confirmed, other.confirmed
        wait_for(lambda mark=mark: other.confirmed > mark + 2000, 30, other.counts)
        if held.confirmed == seen:
            return seen


def test_own_quota(directory, report):
    """A class at its own quota waits alone; another drops at its own. The link returns: both drain at full rate beside
    new data, without a restart, and the sums are exact."""
    ports = {"critical": free_port(), "telemetry": free_port(), "bulk": free_port()}
    quota = 6 << 20
    gateway = site(directory, ports, {"overflow": "drop-oldest", "quota": quota}, {"quota": 64 << 20})
    gateway.configuration["classes"][1]["quota"] = quota
    gateway.write_configurations()
    with gateway:
        gateway.wait_running()
        gateway.stop_collector()
        before = pids(gateway)
        with LineDevice(ports["critical"], rate=200) as alarms, \
                LineDevice(ports["telemetry"], line_bytes=LINE, rate=40000, most_unconfirmed=20000) as held, \
                LineDevice(ports["bulk"], line_bytes=LINE, rate=20000) as bulk:
            wait_for(lambda: gateway.component("store", "store") == "full", 30, held.counts)
            stuck = rest(held, bulk)
            wait_for(lambda: bulk.confirmed * LINE > 4 * quota, 60, bulk.counts)
            alarms_made = max(alarms.made, 100)
            wait_for(lambda: alarms.confirmed >= alarms_made, 10, alarms.counts)
            assert held.confirmed == stuck, "it waits"
            for name in ("telemetry", "bulk"):
                used = gateway.metric("store", "holdfast_store_class_used_bytes", **{"class": name})
                assert used <= quota + (3 << 20), f"{name}: {used}"
            begin = time.monotonic()
            gateway.start_collector()
            wait_for(lambda: held.confirmed > stuck + 50000, 60, held.counts)
            seconds = time.monotonic() - begin
            more = held.confirmed - stuck
            alarms.finish()
            held.finish()
            bulk.finish()
            confirmed = {"critical": alarms.confirmed, "telemetry": held.confirmed, "bulk": bulk.confirmed}
            gateway.wait_delivered(sum(confirmed.values()), timeout=60)
        displaced = gateway.metric("store", "holdfast_store_displaced_records_total", **{"class": "bulk"})
        assert pids(gateway) == before, "a process ended"
        archive = gateway.dump().verify(origins=3, gaps=True)
        total = sums(archive, confirmed)
        assert total["critical"][1] == total["telemetry"][1] == 0
        assert 0 < total["bulk"][1] <= displaced, "what was on its way may have arrived all the same"
        wait_for(lambda: gateway.component("store", "store") == "open", 10, "open again")
        report(waited_at=stuck, then_per_second=more / seconds, bulk_delivered=total["bulk"][0],
               bulk_gaps=total["bulk"][1], displaced=displaced)


def test_on_its_way(directory, report):
    """Records give way while they are on their way over two links, and uplinks, store and collector are killed: each is
    told as what it is, once, and nobody takes the store for another one."""
    ports = {"bulk": free_port()}
    bulk = {"overflow": "drop-oldest", "quota": "2MiB", "duplicate": True}
    with site(directory, ports, bulk, links=("a", "b")) as gateway:
        gateway.wait_running()
        produced, victims = 240000, ["uplink-a", "collector", "uplink-b", "store"]
        with LineDevice(ports["bulk"], total=produced, line_bytes=LINE) as device:
            for number in range(8):
                wait_for(lambda n=number: device.confirmed > produced * (n + 1) // 10, 120, device.counts)
                gateway.kill(victims[number % 4])
                wait_for(lambda n=number: gateway.pid(victims[n % 4]), 20, "it comes back")
            device.wait(120)
        gateway.wait_delivered(produced, timeout=120)
        assert gateway.metric("store", "holdfast_store_epochs_total") == 0
        total = sums(gateway.dump().verify(origins=1, gaps=True), {"bulk": produced})
        assert total["bulk"][0] > 0 and total["bulk"][1] > 0
        assert not device.errors
        report(delivered=total["bulk"][0], gaps=total["bulk"][1])


def test_ttl(directory, report):
    """Records that nobody took in time become a gap of exactly their number; younger ones and other classes go on."""
    ports = {"critical": free_port(), "bulk": free_port()}
    with site(directory, ports, {"ttl": "4s"}) as gateway:
        gateway.wait_running()
        gateway.stop_collector()
        with LineDevice(ports["critical"], total=500) as alarms, LineDevice(ports["bulk"], total=5000) as old:
            alarms.wait()
            old.wait()
        gateway.kill("store")  # the age goes on over a restart
        expired = "holdfast_store_expired_records_total"
        wait_for(lambda: gateway.metric("store", expired, **{"class": "bulk"}) == 5000, 20, "expired", interval=0.05)
        stat = gateway.ctl("store", "stat", "--json").stdout
        gateway.start_collector()
        gateway.wait_delivered(5500)
        with LineDevice(ports["bulk"], total=2000) as young:
            young.wait()
        gateway.wait_delivered(7500)
        archive = gateway.dump().verify(origins=2, gaps=True)
        total = sums(archive, {"critical": 500, "bulk": 7000})
        assert total == {"critical": (500, 0), "bulk": (2000, 5000)}
        assert archive.gaps == {"expired": 5000}
        assert '"gap_records":5000' in stat
        report(**{f"{name}_{what}": n for name, pair in total.items() for what, n in zip(("delivered", "gaps"), pair)})


def test_durability_window(directory, report):
    """Offers gather before their commit: far fewer commits. What is acknowledged is on disk all the same."""
    ports = {"critical": free_port(), "bulk": free_port()}
    with site(directory, ports, {"durability_window": "200ms"}) as gateway:
        gateway.wait_running()
        gateway.stop_collector()
        assert gateway.metric("store", "holdfast_store_durability_window_seconds", **{"class": "bulk"}) == 0.2
        rates = {}
        for name in ("bulk", "critical"):
            commits, begin = gateway.metric("store", COMMITS), time.monotonic()
            with LineDevice(ports[name], rate=1000, total=2000) as device:
                device.wait()
            rates[name] = (gateway.metric("store", COMMITS) - commits) / (time.monotonic() - begin)
        assert rates["bulk"] < 12 and rates["bulk"] < rates["critical"] / 2, rates
        gateway.kill("store")
        wait_for(lambda: gateway.pid("store"), 20)
        gateway.start_collector()
        gateway.wait_delivered(4000)
        total = sums(gateway.dump().verify(origins=2), {"critical": 2000, "bulk": 2000})
        assert total == {"critical": (2000, 0), "bulk": (2000, 0)}
        report(commits_per_second=rates["bulk"], without=rates["critical"])


def test_full_disk_gives_way(directory, report):
    """The disk is full before the quota is: the least urgent class gives way, where that is its policy, and nobody has
    to help."""
    ports = {"critical": free_port(), "bulk": free_port()}
    produced = 120000
    with SmallDisk(directory / "disk", 40) as disk:
        store = {"directory": str(disk.path / "store"), "quota": "1GiB"}
        with site(directory, ports, {"overflow": "drop-oldest"}, store) as gateway:
            gateway.wait_running()
            gateway.stop_collector()
            with LineDevice(ports["critical"], rate=200) as alarms, \
                    LineDevice(ports["bulk"], total=produced, line_bytes=LINE) as bulk:
                bulk.wait(90)
                alarms.finish()
            gateway.start_collector()
            gateway.wait_delivered(alarms.confirmed + produced)
        total = sums(gateway.dump().verify(gaps=True, origins=2), {"critical": alarms.confirmed, "bulk": produced})
        assert total["critical"][1] == 0 and total["bulk"][1] > 0
        report(alarms=alarms.confirmed, bulk_delivered=total["bulk"][0], bulk_gaps=total["bulk"][1])
