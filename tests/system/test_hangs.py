"""SIGSTOP: a service that runs and does nothing is found and replaced, and nothing is lost."""
import contextlib
import signal
import subprocess
import threading
import time

from devices import LineDevice, check_lines
from harness import BIN, Gateway, free_port, line_source, wait_for
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


@contextlib.contextmanager
def restarted_all_the_time(gateway, service, every=0.05):
    """An order to restart it every 50 ms, more often than the watchdog looks at everything by itself."""
    order = [BIN / "holdfastctl", "--config", gateway.config_path, "restart", service]
    ended, orders = threading.Event(), []

    def run():
        while not ended.wait(every):
            orders.append(subprocess.Popen(order, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield orders
    finally:
        ended.set()
        thread.join()
        for process in orders:
            process.kill()  # many wait for a process that the next order ended
            process.wait()


def test_hang_beside_restarts(directory, report):
    """However busy the watchdog is with one service: it finds the hang of another, and is not taken for dead itself."""
    with Gateway(directory, [line_source(free_port())]) as gateway:
        gateway.wait_running()
        watchdog = gateway.pid("watchdog")
        with restarted_all_the_time(gateway, "health") as orders:
            wait_for(lambda: len(orders) > 10, 10, "orders")
            stopped = gateway.kill("uplink-main", signal.SIGSTOP)
            began = time.monotonic()
            wait_for(lambda: gateway.pid("uplink-main") not in (None, stopped), 15, "uplink-main was not replaced")
            replaced = (time.monotonic() - began) * 1000
            enough = len(orders) + 80  # twice as long as WatchdogSec and the limit
            wait_for(lambda: len(orders) > enough, 60, "orders")
        report(replaced_ms=replaced, target_ms=TARGET_MS, within=replaced <= TARGET_MS, orders=len(orders))
        assert gateway.pid("watchdog") == watchdog, gateway.init.lives
        assert replaced <= BOUND_MS
        wait_for(lambda: gateway.state("health") == "running", 20, "health does not run again")
