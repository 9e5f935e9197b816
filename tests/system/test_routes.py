"""Two links to one centre: which carries, what an operator asks of them, and that no switch loses, doubles or disorders
anything; over restarts of the store too."""
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
    reply = gateway.ask("store", 10, link={"link": link, "what": what})  # it commits first
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
            pid = gateway.kill("store")  # what is answered is on disk
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
        command(gateway, "mobile", Command.WHAT_PIN)
        refused = gateway.ask("store", link={"link": "fibre", "what": Command.WHAT_UNPIN})
        assert refused.error == "failed to unpin link 'fibre': mobile is pinned"
        assert links_of(gateway)["mobile"].pinned


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


def test_acknowledgements_lost_on_one_link(directory, report):
    """L39: data arrive over one link, its acknowledgements do not. All goes over the other too, and is there once."""
    port = free_port()
    with (Relay(None, swallow_acks=10**9) as one, Relay(None) as other,
          two_links(directory, port, one, other) as gateway):
        gateway.wait_running()
        wait_for(carries(gateway, "fibre"), 10)
        with LineDevice(port, rate=2000) as device:
            wait_for(lambda: one.swallowed > 0, 10, "nothing was acknowledged over the first link")
            wait_for(carries(gateway, "mobile"), 30, lambda: str(links_of(gateway)))
            known = wait_for(lambda: gateway.metric("collector", "holdfast_collector_duplicates_total"), 10,
                             "what the first link brought does not come again")
            one.swallow_acks = None
            one.cut()
            wait_for(carries(gateway, "fibre"), 30, lambda: str(links_of(gateway)))
            finish(gateway, device)
        wait_for(lambda: gateway.metric("store", "holdfast_store_in_flight_bytes") == 0, 5, "a window is not freed")
        assert gateway.metric("store", "holdfast_store_parked_records") == 0
        report("acknowledgements lost", records=device.confirmed, swallowed=one.swallowed, came_again=known)


def test_a_budget_at_its_end(directory, report):
    """L41: alarms pass as long as anything may, telemetry waits from the reserve on, the wire keeps the budget."""
    budget, ports = 500_000, (free_port(), free_port())
    sources = [line_source(ports[0], "lines", **{"class": "telemetry"}),
               line_source(ports[1], "alarms", **{"class": "alarm"})]
    with Relay(None) as relay, Gateway(directory, sources, [
            {"name": "sat", "connect": f"127.0.0.1:{relay.port}", "budget_month": budget} | QUICK], overrides={
                "classes": [{"name": "telemetry"}, {"name": "alarm", "priority": 1, "when_spent": "use-reserve"}]},
            ) as gateway:
        relay.target = ("127.0.0.1", gateway.collector_port)
        gateway.wait_running()
        at = []

        def level(wanted):
            sat = links_of(gateway)["sat"]
            at[:] = [sat.budget, sat.used_month_bytes, relay.forwarded]
            return sat.budget == wanted

        with LineDevice(ports[0], rate=200) as lines, LineDevice(ports[1], rate=20) as alarms:
            wait_for(lambda: level("reserve"), 60, lambda: str(at))
            from_here, at_reserve = alarms.confirmed, list(at)
            wait_for(lambda: alarms.confirmed > from_here + 20, 10)
            wait_for(lambda: gateway.dump(values=False).streams["alarms"].count > from_here + 10, 10, "no alarm passes")
            wait_for(lambda: level("spent"), 60, lambda: str(at))
            wait_for(lambda: not gateway.link_up("sat"), 10, "a session without a budget")
            alarms.finish()
            lines.finish()
            assert not lines.errors and not alarms.errors
        report("a budget at its end", budget=budget, reserve_at=at_reserve[1], counted=at[1],
               relayed=relay.forwarded)
        assert at[1] <= budget and relay.forwarded <= budget
