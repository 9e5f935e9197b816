"""Stores and archives that are not the ones they were: restored from an older copy, copied to a second gateway, wiped. And
a centre that takes no batch of this size. Nothing that was acknowledged may be lost for it."""
import shutil
import signal
import subprocess

import pytest
from devices import LineDevice, check_lines
from harness import BIN, Gateway, free_port, line_source, wait_for

STREAMS = ("first", "second", "third")
LINK = {"reconnect": {"first": "200ms", "cap": "500ms"}, "tuning": {"breaker": {"open": "1s"}}}


class Site:
    """A gateway with one source for each stage of a test, so that each stage's lines are known by their stream."""

    def __init__(self, directory, **settings):
        directory.mkdir(exist_ok=True)
        self.ports = {name: free_port() for name in STREAMS}
        sources = [line_source(port, name, batch={"linger": "5ms"}) for name, port in self.ports.items()]
        self.gateway = Gateway(directory, sources, [LINK | settings.pop("link", {})], **settings)
        self.lines = {}

    def feed(self, stream, count):
        """Returns when the store has them."""
        with LineDevice(self.ports[stream], total=count, rate=20000) as device:
            device.wait()
        assert not device.errors
        self.lines[stream] = count


def check_streams(archive, lines):
    return [f"{stream}: {problem}" for stream, count in lines.items()
            for problem in check_lines(archive.streams[stream], count)]


def arrived(gateway):
    return sum(stream.count for stream in gateway.dump(keep=False).streams.values())


def replace(directory, copy):
    shutil.rmtree(directory)
    shutil.copytree(copy, directory)


@pytest.mark.parametrize("meanwhile", ["nothing", "lines while the centre is away", "lines and a restart"])
def test_restored_store(directory, report, meanwhile):
    """The store's directory comes back from an older copy: its next numbers are those that the centre has already."""
    site, copy = Site(directory), directory / "copy"
    gateway = site.gateway
    with gateway:
        gateway.wait_running()
        site.feed("first", 3000)
        gateway.wait_delivered(3000)
        gateway.stop_gateway()
        shutil.copytree(gateway.store_directory, copy)
        gateway.start_gateway()
        gateway.wait_running()
        site.feed("second", 2000)
        gateway.wait_delivered(5000)
        gateway.stop_gateway()
        replace(gateway.store_directory, copy)
        if meanwhile != "nothing":
            gateway.stop_collector()
        gateway.start_gateway()
        wait_for(lambda: gateway.state("acquisition") == "running", 10)
        site.feed("third", 2500)
        if meanwhile == "lines and a restart":
            gateway.ctl("restart", "store")
            wait_for(lambda: gateway.state("store") == "running", 10)
        gateway.start_collector()
        gateway.wait_running()
        gateway.wait_delivered(7500)
        epochs = gateway.metric("store", "holdfast_store_epochs_total")
    archive = gateway.dump().verify(origins=2, gaps=True)
    assert not check_streams(archive, site.lines)
    assert epochs == 1
    assert set(archive.gaps) <= {"confirmed_before"}
    report(f"restored from an older copy, {meanwhile}", lines=sum(site.lines.values()), records=archive.records,
           told_as_confirmed_before=archive.gaps.get("confirmed_before", 0))


def test_restored_store_below_its_uplink(directory, report):
    """Only the store is replaced, its uplink goes on, and what the centre acknowledges late was sent for the old one."""
    site, copy = Site(directory), directory / "copy"
    gateway = site.gateway
    with gateway:
        gateway.wait_running()
        site.feed("first", 3000)
        gateway.wait_delivered(3000)
        gateway.stop_gateway()
        shutil.copytree(gateway.store_directory, copy)
        gateway.start_gateway()
        gateway.wait_running()
        gateway.init.abandon()  # nobody restarts what ends from here on
        gateway.kill("watchdog")
        gateway.kill("collector", signal.SIGSTOP)
        with LineDevice(site.ports["second"], total=2000) as device:
            device.wait()
        wait_for(lambda: gateway.metric("store", "holdfast_store_in_flight_bytes"), 10, "nothing is on its way")
        pid = gateway.kill("store")
        wait_for(lambda: gateway.pid("store") != pid, 10, "the store ends")
        replace(gateway.store_directory, copy)
        store = subprocess.Popen([BIN / "holdfast-store", "--config", gateway.config_path], stdin=subprocess.DEVNULL,
                                 stderr=open(directory / "store.log", "wb"))
        site.feed("third", 2500)
        gateway.kill("collector", signal.SIGCONT)
        wait_for(lambda: "third" in gateway.dump().streams and gateway.dump().streams["third"].count == 2500, 30,
                 "not all of the new lines arrive", interval=0.2)
        epochs = gateway.metric("store", "holdfast_store_epochs_total")
        store.terminate()
        store.wait(10)
    archive = gateway.dump()
    assert not check_streams(archive, site.lines)
    late = archive.streams["second"].count if "second" in archive.streams else 0
    report("restored below a living uplink", lines=sum(site.lines.values()), of_the_lost_store=late, new_epochs=epochs)


def test_copied_store(directory, report):
    """A second gateway runs a copy of the first one's store under the same name: both give the same numbers."""
    site = Site(directory / "one")
    gateway = site.gateway
    other = Site(directory / "two", link={"connect": f"127.0.0.1:{gateway.collector_port}"}, collector=False)
    with gateway:
        gateway.wait_running()
        site.feed("first", 3000)
        gateway.wait_delivered(3000)
        gateway.stop_gateway()
        shutil.copytree(gateway.store_directory, other.gateway.store_directory)
        gateway.start_gateway()
        with other.gateway:
            gateway.wait_running()
            other.gateway.wait_running()
            site.feed("second", 4000)
            other.feed("third", 3000)
            wait_for(lambda: arrived(gateway) == 10000, 30, lambda: f"{arrived(gateway)} of 10000", interval=0.3)
    archive = gateway.dump().verify(origins=2, gaps=True)
    assert not check_streams(archive, site.lines | other.lines)
    report("two gateways with one store's copies", lines=10000, records=archive.records)


def test_wiped_archive(directory, report):
    """The centre loses its archive: it is told which numbers it will not get again, and everything new arrives."""
    site = Site(directory)
    gateway = site.gateway
    with gateway:
        gateway.wait_running()
        site.feed("first", 3000)
        gateway.wait_delivered(3000)
        gateway.stop_collector()
        shutil.rmtree(gateway.collector_directory)
        site.feed("second", 2000)
        gateway.start_collector()
        gateway.wait_delivered(5000)
    archive = gateway.dump().verify(gaps=True)
    assert archive.gaps == {"confirmed_before": 3000}
    assert not check_lines(archive.streams["second"], 2000)
    report("wiped archive", told=archive.gaps["confirmed_before"], arrived=archive.records)


def test_centre_takes_no_large_batches(directory, report):
    """A batch above the centre's max_frame waits aside, the others pass; when the centre takes it, it goes."""
    small = {"collector": {"max_frame": "16KiB"}, "store": {"max_batch": "16KiB"}}
    port, trickle = free_port(), free_port()
    sources = [line_source(port, batch={"size": "256KiB", "linger": "1s"}), line_source(trickle, "trickle")]
    with Gateway(directory, sources, [LINK], collector_overrides=small) as gateway:
        gateway.wait_running()
        with LineDevice(port, total=4000) as device:
            device.wait()
        wait_for(lambda: gateway.metric("store", "holdfast_store_parked_records"), 10, "no batch waits aside")
        with LineDevice(trickle, total=500, rate=1000) as slow:
            slow.wait()
        wait_for(lambda: gateway.archived() >= 500, 10, "the others do not pass")
        parked = gateway.metric("store", "holdfast_store_parked_records")
        assert "alarm name=rejected:centre raised" in gateway.log()
        gateway.stop_collector()
        gateway.collector_configuration["collector"]["max_frame"] = "8MiB"
        gateway.write_configurations()
        gateway.start_collector()
        gateway.wait_delivered(4500)
        wait_for(lambda: "alarm name=rejected:centre cleared" in gateway.log(), 5)
    archive = gateway.dump().verify()
    assert not check_lines(archive.streams["lines"], 4000) + check_lines(archive.streams["trickle"], 500)
    report("batches above the centre's limit", parked_records=parked, records=archive.records)
