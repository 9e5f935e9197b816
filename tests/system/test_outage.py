"""The centre is away for a while: everything arrives after its return, live records first.

HOLDFAST_OUTAGE_SECONDS: how long (60).
"""
import os
import time

from devices import LineDevice, check_lines
from harness import ArrivalWatch, Gateway, free_port, line_source, wait_for
from modbus_plant import ModbusPlant, check_modbus

OUTAGE_S = float(os.environ.get("HOLDFAST_OUTAGE_SECONDS", 60))
RATE = 2000
# Not to wait another half minute for the next attempt; and a backlog of more than one window, or all of it is on its
# way at once and nothing can overtake it.
LINK = {"reconnect": {"cap": "1s"}, "tuning": {"breaker": {"open": "1s"}}, "window": "1MiB"}


def test_outage(directory, report):
    port = free_port()
    with ModbusPlant() as plant:
        with Gateway(directory, [line_source(port), plant.source()], [LINK]) as gateway:
            gateway.wait_running()
            with LineDevice(port, rate=RATE) as device:
                wait_for(lambda: device.confirmed > RATE, 10, device.counts)
                gateway.stop_collector()
                before, away = gateway.archived(), time.monotonic()
                wait_for(lambda: time.monotonic() - away > OUTAGE_S, OUTAGE_S + 5, interval=0.2)
                assert device.confirmed >= device.made - RATE, f"the store no longer takes records: {device.counts()}"
                with ArrivalWatch(gateway, base=before, wait=False) as watch:
                    gateway.start_collector()
                    wait_for(lambda: gateway.link_up(), 30, "the link does not come back")
                    wait_for(lambda: gateway.archived() >= before, 10)
                    gateway.wait_archived(120)
                    time.sleep(0.5)
                device.finish()
                gateway.wait_archived()
        assert not gateway.leftovers()
    archive = gateway.dump().verify()
    problems = gateway.check_books(archive) + device.errors
    problems += check_lines(archive.streams["lines"], device.made) + check_modbus(archive)
    by_arrival = gateway.dump("arrival", values=False).verify(in_order=False)
    problems += judge_return(report, by_arrival, before, watch, archive)
    assert not problems, "; ".join(problems)


def judge_return(report, by_arrival, before, watch, archive):
    """What came after `before` records, in the order it came: backlog and live, each in order, live ahead of its
    turn."""
    (seqs,) = by_arrival.raw.values()
    came = seqs[before:]
    jumps = [i for i in range(1, len(came)) if came[i] != came[i - 1] + 1]
    if not jumps:
        report("the backlog was through before the first live record", records=len(came))
        return ["no live record came ahead of the backlog"]
    # The first step upwards is to a live record. Where claims were compared first, live ones lead, and it is downwards.
    first_live = came[jumps[0]] if came[jumps[0]] > came[jumps[0] - 1] else came[0]
    problems = []
    for name, part in (("live", [s for s in came if s >= first_live]),
                       ("backlog", [s for s in came if s < first_live])):
        if any(b <= a for a, b in zip(part, part[1:])):
            problems.append(f"{name} records did not come in order")
    last_backlog = max(i for i, seq in enumerate(came) if seq < first_live)
    backlog = sum(1 for seq in came if seq < first_live)
    overtook = sum(1 for seq in came[:last_backlog] if seq >= first_live)
    begin = next(at for at, _, count in watch.samples if count > 0)
    drained = watch.arrived(before + last_backlog)
    live = watch.arrived(before + came.index(first_live))
    seconds = max((drained - begin) / 1e9, 1e-3)
    report(f"centre away {OUTAGE_S:g} s", backlog_records=backlog, drained_s=seconds, records_per_s=backlog / seconds,
           first_live_ms=(live - begin) / 1e6, live_before_backlog_was_through=overtook, records=archive.records)
    return problems + ([] if overtook else ["no live record came ahead of the backlog"])
