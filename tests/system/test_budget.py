"""L41: only the satellite works, and its byte budget is nearly spent. Alarms pass, telemetry waits, and no more bytes
than the budget go over the wire, counted by the laboratory at the link's device."""
import contextlib
import time

import pytest

from devices import LineDevice, check_lines
from harness import free_port, line_source, wait_for
from lab import FIBRE, SATELLITE, LabGateway, Network, Watch

pytestmark = pytest.mark.usefixtures("laboratory")
BUDGET = 2_000_000   # the last 5 % are the reserve of the alarms
NEARLY = 16_500      # records of 100 bytes, sent at once: all of them are under way when most of the budget is used
CLASSES = [{"name": "critical", "priority": 10, "when_spent": "use-reserve"}, {"name": "telemetry"}]


def on_wire(network):
    """Bytes of packets over the satellite's device so far, both ways."""
    stats = network.stats()
    return stats["satellite up"]["bytes"] + stats["satellite down"]["bytes"]


def satellite(gateway):
    reply = gateway.ask("store", links={"switches": 1})
    return next((link for link in reply.links.links if link.name == "satellite"), None) if reply else None


def test_alarms_on_the_last_bytes(directory, report):
    ports = {name: free_port() for name in ("filling", "lines", "alarms")}
    sources = [line_source(port, name, **{"class": "critical" if name == "alarms" else "telemetry"})
               for name, port in ports.items()]
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network(FIBRE, SATELLITE))
        gateway = stack.enter_context(LabGateway(directory, network, sources, overrides={"classes": CLASSES},
                                                 more={"satellite": {"budget_day": f"{BUDGET}"}}))
        watch = stack.enter_context(Watch(gateway))
        gateway.wait_running(30)
        network.unplug("fibre")
        filling, lines, alarms = (LineDevice(ports["filling"], total=NEARLY), LineDevice(ports["lines"], rate=200),
                                  LineDevice(ports["alarms"], rate=10))
        with network.gateway.entered():
            stack.enter_context(filling)
            wait_for(lambda: watch.records["telemetry"] >= NEARLY, 60, lambda: str(watch.records))
            before = on_wire(network)
            stack.enter_context(lines)
            stack.enter_context(alarms)
        wait_for(lambda: (link := satellite(gateway)) and link.budget == "reserve", 60, lambda: str(satellite(gateway)))
        at_reserve = on_wire(network)
        wait_for(lambda: stands_still(watch, "telemetry", 2), 20, lambda: str(watch.records))
        waiting, passed, began = watch.records["telemetry"], watch.records["critical"], time.time_ns()
        wait_for(lambda: watch.records["critical"] >= passed + 40, 20, lambda: f"alarms: {watch.records}")
        gap = watch.longest_gap(began, time.time_ns()) / 1e9
        link, wire = satellite(gateway), on_wire(network)
        assert watch.records["telemetry"] == waiting, "telemetry goes on"
        held = lines.made - (waiting - NEARLY)
        network.heal("fibre")
        for device in (lines, alarms):
            device.finish()
        gateway.wait_delivered(NEARLY + lines.made + alarms.made)
    archive = gateway.dump().verify(origins=2)
    problems = sum((check_lines(archive.streams[name], device.made) for name, device in
                    (("filling", filling), ("lines", lines), ("alarms", alarms))), gateway.check_books(archive))
    report(budget=BUDGET, on_wire_before=before, on_wire_at_reserve=at_reserve, on_wire=wire,
           counted_by_the_gateway=link.used_day_bytes, telemetry_waiting=held, alarms_meanwhile=40,
           longest_gap_of_alarms_s=gap, records=archive.records, lost=0, doubled=0)
    assert not problems, "; ".join(problems)
    assert held > 100, "no telemetry waited"
    assert wire <= BUDGET
    assert abs(link.used_day_bytes - wire) < 0.05 * wire, "the gateway counts something else"


def stands_still(watch, record_class, seconds):
    before = watch.records[record_class]
    time.sleep(seconds)  # the time without news is what is asked for
    return watch.records[record_class] == before
