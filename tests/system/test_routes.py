"""Two links to one centre: which carries, what an operator asks of them, and that no switch loses, doubles or disorders
anything; over restarts of the store too."""
import time

from devices import LineDevice, check_lines
from harness import Gateway, free_port, line_source, wait_for
from holdfast.v1 import control_pb2
from peers.relay import Relay

# A site waits longer before it trusts a link again, above all one that flaps.
QUICK = {"reconnect": {"quick": "20ms", "first": "50ms", "cap": "200ms", "unavailable_after": 1000},
         "tuning": {"route": {"hold": "1s", "probation": "1s", "trial": "2s"}, "damping": {"flap": 0},
                    "breaker": {"open": "1s"}}}
Command = control_pb2.LinkCommand


def links_of(gateway):
    reply = gateway.ask("store", links={"switches": 0})
    return {link.name: link for link in reply.links.links} if reply else {}


def carries(gateway, link):
    return lambda: link in (links := links_of(gateway)) and list(links[link].carries)


def command(gateway, link, what):
    reply = gateway.ask("store", link={"link": link, "what": what})
    assert reply.ok, reply.error


def finish(gateway, device):
    device.finish()
    assert not device.errors
    gateway.wait_delivered(device.confirmed)
    archive = gateway.dump().verify()
    assert not check_lines(archive.streams["lines"], device.confirmed)


def two_links(directory, port, one, other, **more):
    gateway = Gateway(directory, [line_source(port)], [
        {"name": "fibre", "priority": 1, "connect": f"127.0.0.1:{one.port}"} | QUICK,
        {"name": "mobile", "priority": 2, "connect": f"127.0.0.1:{other.port}"} | QUICK], **more)
    one.target = other.target = ("127.0.0.1", gateway.collector_port)
    return gateway


def test_cuts_move_traffic_and_it_returns(directory, report):
    port = free_port()
    with Relay(None) as one, Relay(None) as other, two_links(directory, port, one, other) as gateway:
        gateway.wait_running()
        wait_for(carries(gateway, "fibre"), 10, lambda: str(links_of(gateway)))
        with LineDevice(port, rate=2000) as device:
            for _ in range(5):
                one.target, target = None, one.target
                one.cut()
                wait_for(carries(gateway, "mobile"), 10, lambda: str(links_of(gateway)))
                before = gateway.archived()
                wait_for(lambda: gateway.archived() > before, 10, "nothing comes over the other link")
                one.target = target
                wait_for(carries(gateway, "fibre"), 15, lambda: str(links_of(gateway)))
            finish(gateway, device)
        switches = gateway.ask("store", links={"switches": 0}).links.switches
        of_class = [s for s in switches if s.record_class == "telemetry" and s.kind == "switched"]
        there = [s for s in of_class if (getattr(s, "from"), s.to) == ("fibre", "mobile")]
        assert len(there) == 5 and all(s.HasField("gap_micros") for s in there), switches
        report("cut links", records=device.confirmed, gaps_ms=[s.gap_micros / 1000 for s in there])
        assert sum(s.to == "fibre" for s in of_class) >= 5
        assert list(gateway.ask("store", links={"switches": 2}).links.switches) == list(switches)[-2:]
        assert gateway.metric("store", "holdfast_store_in_flight_bytes") == 0


def test_drain_lasts_over_a_restart(directory):
    port = free_port()
    with Relay(None) as one, Relay(None) as other, two_links(directory, port, one, other) as gateway:
        gateway.wait_running()
        wait_for(carries(gateway, "fibre"), 10)
        with LineDevice(port, rate=2000) as device:
            wait_for(lambda: gateway.archived() > 500, 10)
            command(gateway, "fibre", Command.WHAT_DRAIN)
            wait_for(carries(gateway, "mobile"), 5)
            time.sleep(0.2)  # the flag is on disk with the next commit
            pid = gateway.kill("store")
            wait_for(lambda: gateway.pid("store") not in (None, pid), 10, "the store's next life")
            wait_for(carries(gateway, "mobile"), 10, lambda: str(links_of(gateway)))
            links = links_of(gateway)
            assert links["fibre"].state == "drained" and links["fibre"].drained and not links["fibre"].carries
            assert len(gateway.ask("store", links={"switches": 0}).links.switches) > 3  # the last life's too
            command(gateway, "fibre", Command.WHAT_UNDRAIN)
            wait_for(carries(gateway, "fibre"), 15, lambda: str(links_of(gateway)))
            finish(gateway, device)
        refused = gateway.ask("store", link={"link": "copper", "what": Command.WHAT_DRAIN})
        assert refused.error == "failed to command link 'copper': there is fibre, mobile"


def test_records_arrive_in_order_over_planned_switches(directory, report):
    """Make-before-break: nothing is ever historical, so the centre's input itself is in order."""
    port = free_port()
    with Relay(None) as one, Relay(None) as other, two_links(directory, port, one, other) as gateway:
        gateway.wait_running()
        wait_for(carries(gateway, "fibre"), 10)
        with LineDevice(port, rate=10000) as device:
            for link in ("mobile", "fibre") * 4:
                before = gateway.archived()
                wait_for(lambda: gateway.archived() > before + 1000, 10)
                command(gateway, link, Command.WHAT_PIN)
                wait_for(carries(gateway, link), 10, lambda: str(links_of(gateway)))
            finish(gateway, device)
        (seqs,) = gateway.dump("arrival", values=False).verify(in_order=False).raw.values()
        jumps = [(a, b) for a, b in zip(seqs, seqs[1:]) if b != a + 1]
        assert not jumps, jumps[:5]
        report("planned switches", records=len(seqs),
               sent_twice=gateway.metric("collector", "holdfast_collector_duplicates_total"))


def test_duplicate_class_goes_over_both(directory, report):
    port = free_port()
    with Relay(None) as one, Relay(None) as other, two_links(directory, port, one, other, overrides={
            "classes": [{"name": "telemetry", "duplicate": True}]}) as gateway:
        gateway.wait_running()
        wait_for(lambda: all(carries(gateway, link)() for link in ("fibre", "mobile")), 10)
        with LineDevice(port, rate=2000) as device:
            for _ in range(4):
                before = gateway.archived()
                wait_for(lambda: gateway.archived() > before + 500, 10)
                one.cut()
                wait_for(lambda: gateway.archived() > before + 1000, 10)
                other.cut()
                wait_for(lambda: all(carries(gateway, link)() for link in ("fibre", "mobile")), 15,
                         lambda: str(links_of(gateway)))
            finish(gateway, device)
        report("over two links", records=device.confirmed,
               duplicates=gateway.metric("collector", "holdfast_collector_duplicates_total"))
        wait_for(lambda: gateway.metric("store", "holdfast_store_in_flight_bytes") == 0, 5, "a window is not freed")
