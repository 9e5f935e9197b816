"""Files that a disk has changed. Whatever it is: the store starts within 10 s, sets aside what is bad, deletes nothing,
goes on with what can be read and names what cannot, does not end again and again, and nobody else in the gateway
notices. The archive of the centre the same, but for what was read: it begins empty. HOLDFAST_LONG=1: more."""
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

import pytest

from devices import LineDevice, lines
from harness import BIN, Gateway, free_port, line_source, wait_for
from peers.looks import pids, wait_component

LONG = os.environ.get("HOLDFAST_LONG") == "1"
SEED = int(os.environ.get("HOLDFAST_SEED", random.SystemRandom().randrange(1 << 32)))
PAGE = 4096
LINK = {"reconnect": {"first": "50ms", "cap": "200ms"}, "tuning": {"breaker": {"open": "1s"}}}
START = 10  # seconds


# -- many, opened only ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what, count", [("store", 3000 if LONG else 300), ("archive", 1500 if LONG else 150)])
def test_many_damages(directory, report, what, count):
    """Each damage opened by the service's own code in lives of its own, as the watchdog starts them: bits, pages,
    sectors, lengths. Every record that is then held is what was stored under its number."""
    place = pathlib.Path("/dev/shm") / directory.name if pathlib.Path("/dev/shm").is_dir() else directory
    command = [BIN / "holdfast-damage-check", "--count", str(count), "--seed", str(SEED % (1 << 32)), "--work", place]
    signals = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_sigbus=0"  # LMDB's, over damage: counted
    done = subprocess.run(command + ["--archive"] * (what == "archive"), capture_output=True, text=True, timeout=3600,
                          env=os.environ | {"ASAN_OPTIONS": signals})
    report(done.stdout.strip().splitlines()[-1] if done.stdout else "nothing said")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    shutil.rmtree(place, ignore_errors=True)


# -- some, with everything around them --------------------------------------------------------------------------------


def pages_changed(data, dice, count, change):
    bad = bytearray(data)
    for page in dice.sample(range(2, len(data) // PAGE), min(count, len(data) // PAGE - 2)):
        bad[page * PAGE:(page + 1) * PAGE] = change(bytes(bad[page * PAGE:(page + 1) * PAGE]))
    return bytes(bad)


def bits_flipped(data, dice, count, first=0, end=None):
    bad = bytearray(data)
    for _ in range(count):
        bad[dice.randrange(first, end or len(bad))] ^= 1 << dice.randrange(8)
    return bytes(bad)


def damages(good, dice, rounds):
    """(what, bytes)"""
    pages = len(good) // PAGE
    yield "0 bytes", b""
    yield "1 byte", good[:1]
    yield "cut in the first page", good[:100]
    yield "cut behind the meta pages", good[:2 * PAGE]
    yield "cut in the middle of a page", good[:pages // 2 * PAGE + 1234]
    yield "cut by one page", good[:-PAGE]
    yield "cut by 20 pages", good[:-20 * PAGE]
    yield "grown by zeros", good + bytes(1 << 20)
    yield "grown by rubbish", good + dice.randbytes(100001)
    yield "all zeros", bytes(len(good))
    yield "zeros behind the meta pages", good[:2 * PAGE] + bytes(len(good) - 2 * PAGE)
    yield "first meta page zero", bytes(PAGE) + good[PAGE:]
    yield "second meta page zero", good[:PAGE] + bytes(PAGE) + good[2 * PAGE:]
    yield "a database of SQLite", b"SQLite format 3\0" + dice.randbytes(100000)
    yield "text", b"this was somebody's diary\n" * 1000
    for number in range(rounds):
        yield f"a bit of a meta page, {number}", bits_flipped(good, dice, 1, 0, 2 * PAGE)
        yield f"one bit, {number}", bits_flipped(good, dice, 1)
        yield f"300 bits, {number}", bits_flipped(good, dice, 300)
        yield f"a page zero, {number}", pages_changed(good, dice, 1, lambda page: bytes(PAGE))
        yield f"pages zero, {number}", pages_changed(good, dice, pages >> 2 + number % 3, lambda page: bytes(PAGE))
        yield f"pages of rubbish, {number}", pages_changed(good, dice, 5, lambda page: dice.randbytes(PAGE))
        yield f"page headers, {number}", pages_changed(good, dice, pages >> 1 + number % 4,
                                                       lambda page: dice.randbytes(16) + page[16:])


def exchange(path, content):
    """Another file in its place: who has the old one open keeps it, until it ends."""
    other = path.with_suffix(".new")
    other.write_bytes(content)
    other.rename(path)


def aside(directory):
    return sorted(directory.glob("data.mdb.damaged-*"))


def sparse(path, kept):
    """Whole is what was put there, whatever stands behind it now (a bit of growth)."""
    return any(file.read_bytes()[:len(kept)] == kept for file in path)


def test_damaged_stores(directory, report):
    """A backlog of 20,000 lines whose file is damaged in dozens of ways, below a gateway that goes on: all that is
    delivered is what was sent, once, and nothing of the others ends."""
    old, new, dice = free_port(), free_port(), random.Random(SEED)
    report(f"HOLDFAST_SEED={SEED}")
    sources = [line_source(old, "old"), line_source(new, "new", batch={"linger": "5ms"})]
    gateway = Gateway(directory, sources, [LINK])
    data = gateway.store_directory / "data.mdb"
    figures = {"damages": 0, "set_aside": 0, "slowest": 0.0}
    with gateway:
        gateway.wait_running()
        gateway.stop_collector()
        with LineDevice(old, total=20000, line_bytes=200) as device:
            device.wait()
        gateway.stop_gateway()
        good = data.read_bytes()
        gateway.start_collector()
        gateway.start_gateway()
        gateway.wait_running()
        others = pids(gateway, "collector")
        del others["store"]
        sent = 0
        for what, bad in damages(good, dice, 6 if LONG else 2):
            before = aside(gateway.store_directory)
            exchange(data, bad)
            began = time.monotonic()
            gateway.ctl("restart", "store")
            with LineDevice(new, total=300) as more:
                more.wait(START + 5)
            took = time.monotonic() - began
            sent += 300
            more_aside = [file for file in aside(gateway.store_directory) if file not in before]
            wait_for(lambda: arrived(gateway, "new") >= sent, 20,
                     lambda: f"{what}: {arrived(gateway, 'new')} of {sent}", interval=0.1)
            assert len(more_aside) <= 1, f"{what}: {more_aside}"
            assert bad or more_aside, f"{what}: begins anew and says nothing"
            report(what, seconds=took, **said(gateway, more_aside))
            figures = {"damages": figures["damages"] + 1, "set_aside": figures["set_aside"] + len(more_aside),
                       "slowest": max(figures["slowest"], took)}
            for file in more_aside:
                file.unlink()  # the test's disk is not large
        assert {name: pid for name, pid in pids(gateway, "collector").items() if name != "store"} == others, \
            f"a process ended: {gateway.init.lives}"
    archive = gateway.dump()
    numbers = [value for value in archive.streams["old"].values if value is not None]
    assert len(set(numbers)) == len(numbers) == 20000, f"{len(numbers)} lines, {len(set(numbers))} different"
    assert set(numbers) == set(bytes(lines(1, 20000, 200)).splitlines())
    fresh = [value for value in archive.streams["new"].values if value is not None]
    assert len(fresh) == sent, f"{len(fresh)} new lines of {sent}"
    report(**figures, lines=len(numbers) + len(fresh))


def arrived(gateway, stream):
    found = gateway.dump(stream=stream, keep=False).streams.get(stream)
    return found.count if found else 0


def said(gateway, files):
    """What the log tells of the file that was set aside last."""
    if not files:
        return {}
    found = re.findall(rf"salvaged file={re.escape(str(files[-1]))} (.*)", gateway.log())
    assert found, f"not told what became of {files[-1]}"
    assert f"set aside {files[-1]}" in gateway.log()  # alarm store_damaged
    return {"told": found[-1]}


def test_damaged_archives(directory, report):
    """The centre's file is damaged: it goes on with an empty one, says so, and what gateways deliver later arrives."""
    port, dice = free_port(), random.Random(SEED)
    gateway = Gateway(directory, [line_source(port, batch={"linger": "5ms"})], [LINK])
    data = gateway.collector_directory / "data.mdb"
    slowest, number = 0.0, 0
    with gateway:
        gateway.wait_running()
        with LineDevice(port, total=5000) as device:
            device.wait()
        gateway.wait_delivered(5000)
        gateway.stop_collector()
        good = data.read_bytes()
        gateway.start_collector()
        gateway.wait_running()
        for what, bad in damages(good, dice, 2 if LONG else 0):
            others = pids(gateway)
            before = aside(gateway.collector_directory)
            exchange(data, bad)
            began = time.monotonic()
            gateway.ctl("restart", "collector", centre=True)
            number += 1
            with LineDevice(port, total=100) as more:
                more.wait()
            wait_for(lambda: arrived(gateway, "lines") >= 100 and gateway.unsent() == 0, START + 5,
                     lambda: f"{what}: {arrived(gateway, 'lines')} arrived, {gateway.unsent()} unsent", interval=0.05)
            slowest = max(slowest, time.monotonic() - began)
            assert pids(gateway) == others, f"{what}: a process ended"
            files = [file for file in aside(gateway.collector_directory) if file not in before]
            assert bad or files, f"{what}: begins anew and says nothing"
            if files:
                assert "alarm name=archive_damaged raised" in gateway.collector_log()
                assert sparse(files, bad), f"{what}: what is set aside is not what was there"
    report(damages=number, set_aside=len(aside(gateway.collector_directory)), slowest=slowest)


# -- what an operator does --------------------------------------------------------------------------------------------


def test_salvage(directory, report):
    """The file that was set aside by hand is read by holdfastctl, which does not change it, into a store of its own; a
    second gateway of the same name delivers that one. Each line arrives once."""
    port = free_port()
    gateway = Gateway(directory, [line_source(port)], [LINK])
    with gateway:
        gateway.wait_running()
        gateway.stop_collector()
        with LineDevice(port, total=10000) as device:
            device.wait()
        gateway.stop_gateway()
        data, bad = gateway.store_directory / "data.mdb", directory / "set-aside.mdb"
        content = pages_changed(data.read_bytes(), random.Random(SEED), 3, lambda page: bytes(PAGE))
        bad.write_bytes(content)
        data.unlink()
        gateway.start_collector()
        gateway.start_gateway()
        gateway.wait_running()
        looked = gateway.ctl("store", "salvage", bad, check=False)
        done = gateway.ctl("store", "salvage", bad, "--into", directory / "salvaged", check=False)
        assert looked.returncode == done.returncode == 1, f"{done.stdout}{done.stderr}"
        report(looked.stdout.strip().splitlines()[-1])
        assert bad.read_bytes() == content
        records = int(re.search(r"class telemetry: (\d+) records held", done.stdout).group(1))
        lost = int(re.search(r"(\d+) lost: seq", done.stdout).group(1))
        assert records + lost == 10000
        (directory / "other").mkdir()
        other = Gateway(directory / "other", [], [LINK | {"connect": f"127.0.0.1:{gateway.collector_port}"}],
                        {"store": {"directory": str(directory / "salvaged")},
                         "watchdog": {"services": ["store", "uplink-main", "health"]}}, collector=False)
        with other:
            wait_for(lambda: arrived(gateway, "lines") == records, 30,
                     lambda: f"{arrived(gateway, 'lines')} of {records}", interval=0.1)
            wait_for(lambda: other.metric("store", "holdfast_store_backlog_records") == 0, 20, "not all is confirmed")
    archive = gateway.dump()
    values = archive.streams["lines"].values
    assert len(set(values)) == len(values) == records
    assert archive.gaps == {"damaged": lost}
    report(records=records, lost=lost)


# -- directories ------------------------------------------------------------------------------------------------------


def test_store_of_another_owner(directory, report):
    """Not readable, not writable, a foreign file: the store says so and waits for an operator, the others run, the
    device waits; when it is put right, everything goes on without help."""
    port = free_port()
    with Gateway(directory, [line_source(port)], [LINK]) as gateway:
        gateway.wait_running()
        with LineDevice(port, rate=2000, most_unconfirmed=20000) as device:
            wait_for(lambda: device.confirmed > 1000, 20, device.counts)
            for what in ("read-only directory", "foreign file"):
                put_right = spoil(gateway.store_directory, what)
                if put_right is None:
                    report(f"{what}: not possible here")
                    continue
                others = {name: pid for name, pid in pids(gateway, "collector").items() if name != "store"}
                before = {file.name: file.read_bytes() for file in gateway.store_directory.glob("data*")}
                seen = gateway.log().count("failed to open store") + gateway.log().count("failed to open")
                gateway.kill("store")
                wait_for(lambda seen=seen: gateway.log().count("failed to open") > seen, 15, f"{what}: nothing is said")
                assert gateway.state("store") != "running"
                assert before == {file.name: file.read_bytes() for file in gateway.store_directory.glob("data*")}
                put_right()
                stuck = device.confirmed
                wait_for(lambda stuck=stuck: device.confirmed > stuck + 1000, 60, lambda: f"goes on: {device.counts()}")
                now = {name: pid for name, pid in pids(gateway, "collector").items() if name != "store"}
                assert now == others, f"{what}: a process ended"
            device.finish()
            gateway.wait_delivered(device.confirmed)
        gateway.dump().verify()
        assert not aside(gateway.store_directory)
        report(lines=device.confirmed)


def spoil(path, what):
    """Returns what puts it right; None where it cannot be done here."""
    data = path / "data.mdb"
    if what == "foreign file":
        own, foreign = path / "own.mdb", path / "foreign"
        subprocess.run(["mdb_load", "-s", "customers", "-n", str(foreign)], check=True, capture_output=True,
                       input=b"VERSION=3\nformat=print\ntype=btree\nmapsize=1048576\ndb_pagesize=4096\nHEADER=END\n"
                             b" customer\n important\nDATA=END\n")
        data.rename(own)
        foreign.rename(data)
        return lambda: own.rename(data)
    if subprocess.run(["chattr", "+i", data], capture_output=True).returncode == 0:
        return lambda: subprocess.run(["chattr", "-i", data], check=True)
    return None
