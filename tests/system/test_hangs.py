"""SIGSTOP: a service that runs and does nothing is found and replaced, and nothing is lost."""
import signal
import time

from devices import LineDevice, check_lines
from harness import Gateway, free_port, line_source, wait_for
from modbus_plant import ModbusPlant, check_modbus

RATE = 2000
TARGET_MS = 2500  # the limit, 2 s by default, and 0.5 s
BOUND_MS = 5000
SERVICES = ["store", "acquisition", "uplink-main", "health", "collector", "watchdog"]


def hang(gateway, device, service):
    """Stops it; returns the time until another process is there and works, and until a new line is confirmed."""
    stopped = gateway.kill(service, signal.SIGSTOP)
    began = time.monotonic()
    wait_for(lambda: gateway.pid(service) not in (None, stopped), 15, f"{service} was not replaced")
    replaced = time.monotonic() - began
    wait_for(lambda: gateway.state(service) == "running", 15, f"{service} does not run again")
    wait_for(gateway.link_up, 15, f"no session after {service} hung")
    confirmed, archived = device.confirmed, gateway.archived()
    wait_for(lambda: device.confirmed > confirmed and gateway.archived() > archived, 15,
             f"no data after {service} hung",
             0.02)
    return replaced * 1000, (time.monotonic() - began) * 1000


def test_hangs(directory, report):
    port, figures = free_port(), {}
    with ModbusPlant() as plant:
        with Gateway(directory, [line_source(port), plant.source()]) as gateway:
            gateway.wait_running()
            with LineDevice(port, rate=RATE) as device:
                wait_for(lambda: device.confirmed > RATE / 2, 10, device.counts)
                for service in SERVICES:
                    figures[service] = hang(gateway, device, service)
                    time.sleep(0.5)  # a little ordinary life, and heartbeats from it
                device.finish()
                gateway.wait_archived()
        assert not gateway.leftovers()
    archive = gateway.dump().verify()
    problems = gateway.check_books(archive) + device.errors
    problems += check_lines(archive.streams["lines"], device.made) + check_modbus(archive, skips=4)
    for service, (replaced, working) in figures.items():
        report(f"SIGSTOP {service}", replaced_ms=replaced, working_ms=working, target_ms=TARGET_MS,
               within=replaced <= TARGET_MS)
    report("nothing lost, nothing doubled, in order", lines=device.made, again=device.again, records=archive.records)
    assert not problems, "; ".join(problems)
    late = {service: round(replaced) for service, (replaced, _) in figures.items() if replaced > BOUND_MS}
    assert not late, late
