"""All at once and nothing goes wrong: lines at full speed beside twenty polled units."""
import time

from devices import LineDevice, check_lines
from harness import ArrivalWatch, Gateway, free_port, line_source, quantile, wait_for
from modbus_plant import ModbusPlant, check_modbus

LINES = 200_000
UNITS, PERIOD_MS, POLLED_S = 20, 100, 6


def cold_start(gateway, report):
    """From nothing to the first record that is acknowledged; the centre is there before."""
    gateway.start_collector()
    with ArrivalWatch(gateway) as watch:
        began = time.time_ns()
        gateway.start_gateway()
        first = wait_for(lambda: watch.grew_after(began), 15, "nothing is acknowledged")
        gateway.wait_running()
    report("cold start to the first acknowledged record", ms=(first - began) / 1e6, target_ms=1000)


def test_load(directory, report):
    port = free_port()
    with ModbusPlant(UNITS) as plant:
        gateway = Gateway(directory, [line_source(port), plant.source(period=f"{PERIOD_MS}ms")])

        def requests():
            return gateway.metric("acquisition", "holdfast_modbus_requests_total") or 0
        try:
            cold_start(gateway, report)
            wait_for(lambda: requests() >= UNITS * 10, 10, "the units are not polled")
            with ArrivalWatch(gateway) as watch, LineDevice(port, total=LINES) as device:
                device.wait()
                wait_for(lambda: requests() >= UNITS * POLLED_S * 1000 / PERIOD_MS, 30, "polling is too slow", 0.05)
                gateway.wait_archived()
            polled = requests()
            missed = gateway.metric("acquisition", "holdfast_modbus_missed_periods_total")
            failures = gateway.metric("acquisition", "holdfast_modbus_failures_total")
        finally:
            codes = gateway.stop()
        assert codes == (0, 0) and not gateway.leftovers()
    archive = gateway.dump().verify()
    problems = gateway.check_books(archive) + check_lines(archive.streams["lines"], LINES)
    problems += check_modbus(archive, UNITS) + device.errors
    took = device.ended - device.began
    by_arrival = gateway.dump("arrival", values=False).verify(in_order=False)
    begin = by_arrival.streams["lines"].times[0]
    archived = (watch.arrived(by_arrival.streams["lines"].places[-1]) - begin) / 1e9
    times = [archive.streams[f"unit-{unit}/counter"].times for unit in range(1, UNITS + 1)]
    pauses = [(b - a) / 1e6 for series in times for a, b in zip(series, series[1:])]
    report("exactly once, in order", lines=LINES, records=archive.records, lines_per_s_confirmed=LINES / took,
           lines_per_s_archived=LINES / archived)
    report(f"{UNITS} units each {PERIOD_MS} ms", polls=int(polled), missed_periods=int(missed), failures=int(failures),
           pause_ms_median=quantile(pauses, 0.5), pause_ms_p99=quantile(pauses, 0.99), pause_ms_max=max(pauses))
    assert not problems, "; ".join(problems)
    assert failures == 0
    assert quantile(pauses, 0.5) < 1.1 * PERIOD_MS and missed <= 0.25 * polled, "it cannot keep up"
    assert quantile(pauses, 0.99) < 5 * PERIOD_MS, "it stands still"
