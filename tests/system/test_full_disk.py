"""A disk that fills up under load and is given room again, and store files that are damaged before a start: nothing
that was confirmed is lost, no process ends for want of room, and nobody has to help.

What the product writes to a disk, and which test fills it there:

  data.mdb of the store: batches, producers, confirmations,   test_full_disk, test_full_disk_while_connected; at each
    budgets, journal, ages (one file, one commit)             page of a commit: unit "on a full disk the reserve ..."
  reserve                                                     the same; unit "the reserve is taken, given up ..."
  lock.mdb (written through a map)                            unit "a first start on a full disk ..."
  starts (lives of the file; may be missing)                  test_everything_on_a_full_disk
  data.mdb.salvaged, salvage/ (a damaged file's copy)         test_no_room_to_salvage
  data.mdb of the collector's archive                         test_everything_on_a_full_disk
  <instance>.lock (pid), sockets in run_directory             test_everything_on_a_full_disk
  standard error (the log; the host's file)                   test_everything_on_a_full_disk

Services write no other files: sources keep their place with the store's producers, health and watchdog keep nothing.
Room that the store promises (affordable(), reserve) is looked at before it is; LMDB writes with pwrite and says what
does not fit, and files that are mapped have their blocks first."""
import contextlib
import os
import random
import shutil
import subprocess

import pytest

from devices import LineDevice, check_lines
from harness import Gateway, free_port, line_source, wait_for
from peers.looks import pids

LINK = {"reconnect": {"first": "50ms", "cap": "200ms"}, "tuning": {"breaker": {"open": "1s"}}}


class SmallDisk:
    """A file system of its own at `path`, and another program's file on it."""

    def __init__(self, path, megabytes):
        self.path, self.other = path, path / "other"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], capture_output=True,
                              text=True)
        if done.returncode != 0:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)

    def available(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave=0):
        """All that is there now, again and again until nothing is left."""
        with open(self.other, "ab") as file:
            while (room := self.available()) > leave:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), room - leave)

    def make_room(self):
        self.other.unlink()


def full(gateway):
    return gateway.component("store", "store") == "full"


def alarms(gateway, what):
    return gateway.log().count(f"alarm name=store_full {what}")


@pytest.mark.parametrize("first", ["space", "collector", "restart"])
def test_full_disk(directory, report, first):
    """The disk fills while the centre is away. What comes back first, space or the centre, sets the store going again;
    also when it was killed meanwhile."""
    port = free_port()
    with SmallDisk(directory / "disk", 48) as disk:
        store = {"store": {"directory": str(disk.path / "store"), "quota": "1GiB"}}
        with Gateway(directory, [line_source(port)], [LINK], store) as gateway:
            gateway.wait_running()
            with LineDevice(port, rate=20000, most_unconfirmed=50000) as device:
                wait_for(lambda: device.confirmed > 20000, 20, device.counts)
                gateway.stop_collector()
                disk.fill(leave=4 << 20)
                wait_for(lambda: full(gateway), 30, lambda: f"{disk.available()} bytes, {device.counts()}")
                disk.fill()
                before = pids(gateway)
                assert alarms(gateway, "raised") >= 1
                wait_for(lambda: device.made >= device.confirmed + 50000, 30, "the device waits")
                stuck = device.confirmed
                if first == "restart":
                    gateway.kill("store")
                    wait_for(lambda: full(gateway), 20, "full again after a restart on a full disk")
                    before["store"] = gateway.pid("store")
                elif first == "collector":
                    gateway.start_collector()
                    wait_for(lambda: device.confirmed > stuck + 100000, 40, lambda: f"goes on: {device.counts()}")
                    disk.fill()
                disk.make_room()
                wait_for(lambda: device.confirmed > stuck + 50000 and not full(gateway), 30,
                         lambda: f"goes on: {device.counts()}")
                assert alarms(gateway, "cleared") >= 1
                gateway.start_collector()
                assert pids(gateway) == before, "a process ended"
                device.finish()
                gateway.wait_delivered(device.confirmed)
            archive = gateway.dump().verify()
            problems = gateway.check_books(archive) + device.errors
            problems += check_lines(archive.streams["lines"], device.confirmed)
            assert not problems, "; ".join(problems)
            report(lines=device.confirmed, raised=alarms(gateway, "raised"))


def test_full_disk_while_connected(directory, report):
    """The disk is filled by others, again and again, while records flow through."""
    port = free_port()
    with SmallDisk(directory / "disk", 48) as disk:
        store = {"store": {"directory": str(disk.path / "store"), "quota": "1GiB"}}
        with Gateway(directory, [line_source(port)], [LINK], store) as gateway:
            gateway.wait_running()
            before = pids(gateway, "collector")
            with LineDevice(port, rate=20000, most_unconfirmed=50000) as device:
                for _ in range(3):
                    disk.fill()
                    made = device.made
                    wait_for(lambda made=made: device.made > made + 20000, 30, device.counts)
                    disk.make_room()
                    made = device.made
                    wait_for(lambda made=made: device.confirmed > made + 20000, 30, device.counts)
                device.finish()
                gateway.wait_delivered(device.confirmed)
            assert pids(gateway, "collector") == before, "a process ended"
            archive = gateway.dump().verify()
            problems = device.errors + check_lines(archive.streams["lines"], device.confirmed)
            assert not problems, "; ".join(problems)
            report(lines=device.confirmed, raised=alarms(gateway, "raised"))


def test_everything_on_a_full_disk(directory, report):
    """Store, archive, locks, sockets and logs of gateway and centre share one disk, which others fill to the last byte.
    Nobody ends; whoever is killed meanwhile comes back; with room everything goes on and is delivered."""
    port = free_port()
    with SmallDisk(directory / "disk", 96) as disk:
        with Gateway(disk.path, [line_source(port)], [LINK]) as gateway:
            gateway.wait_running()
            with LineDevice(port, rate=10000, most_unconfirmed=50000) as device:
                wait_for(lambda: device.confirmed > 10000, 20, device.counts)
                before = pids(gateway, "collector")
                disk.fill()
                made = device.made
                wait_for(lambda: device.made > made + 20000 or full(gateway), 30, device.counts)
                disk.fill()
                assert pids(gateway, "collector") == before, "a process ended"
                for service in ("uplink-main", "health", "acquisition", "store", "collector"):
                    gateway.kill(service)
                    disk.fill()
                    wait_for(lambda service=service: gateway.pid(service) not in (None, before[service])
                             and gateway.status(service), 20, f"{service} does not come back on a full disk")
                disk.make_room()
                stuck = device.confirmed
                wait_for(lambda: device.confirmed > stuck + 20000, 30, lambda: f"goes on: {device.counts()}")
                device.finish()
                gateway.wait_running()
                gateway.wait_delivered(device.confirmed)
            archive = gateway.dump().verify()
            problems = check_lines(archive.streams["lines"], device.confirmed) + device.errors
            assert not problems, "; ".join(problems)
            assert not list(gateway.store_directory.glob("*.damaged-*"))
            report(lines=device.confirmed)


def test_no_room_to_salvage(directory, report):
    """A damaged file on a disk that cannot take its copy: it is set aside whole, the store begins empty, and says that
    the file can be read by hand."""
    port = free_port()
    with SmallDisk(directory / "disk", 48) as disk:
        store = {"store": {"directory": str(disk.path / "store"), "quota": "1GiB"}}
        gateway = Gateway(directory, [line_source(port)], [LINK], store)
        with gateway:
            gateway.wait_running()
            gateway.stop_collector()
            with LineDevice(port, total=100000, line_bytes=200) as device:
                device.wait()
            gateway.stop_gateway()
            data = disk.path / "store/data.mdb"
            bad = data.read_bytes()[:-40 * 4096]
            data.write_bytes(bad)
            disk.fill(leave=10 << 20)
            gateway.start_gateway()
            with LineDevice(port, total=500) as more:
                more.wait(20)
            aside = list(data.parent.glob("data.mdb.damaged-*"))
            assert [file.read_bytes() for file in aside] == [bad]
            assert "not read: " in gateway.log() and "holdfastctl store salvage" in gateway.log()
            assert not (data.parent / "salvage").exists()
            done = gateway.ctl("store", "salvage", aside[0], check=False)
            assert "records held" in done.stdout
            report(done.stdout.strip().splitlines()[-1])


def test_lowered_quota(directory, report):
    """A quota below what is stored: the store opens, is full, takes nothing until it is drained, and goes on."""
    port = free_port()
    gateway = Gateway(directory, [line_source(port)], [LINK], {"store": {"quota": "256MiB"}})
    with gateway:
        gateway.wait_running()
        gateway.stop_collector()
        with LineDevice(port, total=400000, line_bytes=250) as device:
            device.wait()
        gateway.stop_gateway()
        gateway.configuration["store"]["quota"] = "16MiB"
        gateway.write_configurations()
        gateway.start_gateway()
        wait_for(lambda: full(gateway), 10, "full at the start")
        used = gateway.metric("store", "holdfast_store_used_bytes")
        assert used > 64 << 20
        assert alarms(gateway, "raised") == 1
        gateway.start_collector()
        wait_for(lambda: gateway.component("store", "store") == "open", 30, "open when it is drained")
        with LineDevice(port, total=1000, line_bytes=250) as more:
            more.wait()
        gateway.wait_delivered(401000)
    gateway.dump(values=False).verify()
    report(used=used)


# -- damaged files ----------------------------------------------------------------------------------------------------


def flipped(data, dice, count):
    """Page headers overwritten, not those of the meta pages."""
    bad = bytearray(data)
    for page in dice.sample(range(2, len(data) // 4096), count):
        bad[page * 4096:page * 4096 + 16] = dice.randbytes(16)
    return bytes(bad)


def damages(good):
    dice = random.Random(7)
    pages = len(good) // 4096
    yield "half", good[:len(good) // 2]
    yield "three pages", good[:3 * 4096]
    yield "a hundred bytes", good[:100]
    yield "without 20 pages", good[:-20 * 4096]
    yield "zeros", bytes(len(good))
    yield "zeros behind the meta pages", good[:8192] + bytes(len(good) - 8192)
    yield "another program's", b"SQLite format 3\0" + dice.randbytes(100000)
    for number in range(4):
        yield f"flipped {number}", flipped(good, dice, pages // (2 << number))


def test_damaged_file(directory, report):
    """The gateway takes and delivers records within 10 s; the file is set aside whole, with an alarm."""
    port, new_stores = free_port(), 0
    gateway = Gateway(directory, [line_source(port)], [LINK | {"window": "256KiB"}])
    store = gateway.store_directory
    with gateway:
        gateway.wait_running()
        gateway.stop_collector()
        with LineDevice(port, total=40000, line_bytes=200) as device:
            device.wait()
        gateway.stop_gateway()
        good = (store / "data.mdb").read_bytes()
        gateway.start_collector()
        for what, bad in damages(good):
            shutil.rmtree(store)
            store.mkdir()
            (store / "data.mdb").write_bytes(bad)
            gateway.start_gateway()
            with LineDevice(port, total=500) as more:
                more.wait(10)
            gateway.wait_running()
            gateway.wait_delivered()
            gateway.wait_told()
            aside = list(store.glob("data.mdb.damaged-*"))
            if what.startswith("flipped"):  # may be met in use, or spare all but some batches
                report(what, cause=cause_of(gateway, aside[0]) if aside else "only batches")
                assert len(aside) <= 1
            else:
                new_stores += 1
                report(what, cause=cause_of(gateway, aside[0]))
                assert [file.read_bytes()[:len(bad)] for file in aside] == [bad], f"{what}: {list(store.iterdir())}"
                assert "alarm name=store_damaged raised" in gateway.log()
            gateway.stop_gateway()
    archive = gateway.dump()
    assert archive.problems == []  # what is lost of a file is told, each time, under the epoch that goes on
    lengths = [len(value) for value in archive.streams["lines"].values if value is not None]
    assert lengths.count(99) >= 500 * new_stores


def cause_of(gateway, aside):
    return next((line.split("cause=")[1] for line in gateway.log().splitlines()
                 if "file set aside" in line and aside.name in line), "not told")
