"""holdfastctl over files that a disk has changed, beside test_damage.py. HOLDFAST_LONG=1: 1,000 of them; HOLDFAST_SEED
sets the seed."""
import os
import random
import shutil
import subprocess
import time

from devices import LineDevice
from harness import BIN, Gateway, free_port, line_source

LONG = os.environ.get("HOLDFAST_LONG") == "1"
SEED = int(os.environ.get("HOLDFAST_SEED", random.SystemRandom().randrange(1 << 32)))
PAGE = 4096
LINK = {"reconnect": {"first": "50ms", "cap": "200ms"}, "tuning": {"breaker": {"open": "1s"}}}


def leads_elsewhere(data, dice):
    """Pages that lead to others: moved, or with a bit flipped in header, list of nodes or the nodes of a branch."""
    bad = bytearray(data)
    pages = len(data) // PAGE
    for _ in range(dice.choice((1, 3, 30))):
        page = dice.randrange(2, pages) * PAGE
        branches = [n * PAGE for n in range(2, pages) if bad[n * PAGE + 10] & 1]
        kind = dice.randrange(4)
        if kind == 0:
            other = dice.randrange(2, pages) * PAGE
            bad[page + 8:page + PAGE] = bad[other + 8:other + PAGE]
        elif kind == 1 and branches:  # nodes are at the end of the page
            bad[dice.choice(branches) + PAGE - 1 - dice.randrange(200)] ^= 1 << dice.randrange(8)
        elif kind == 2 and branches:
            bad[dice.choice(branches) + 16 + dice.randrange(16)] ^= 1 << dice.randrange(8)
        else:
            bad[page + 8 + dice.randrange(60)] ^= 1 << dice.randrange(8)
    return bytes(bad)


def test_readers_of_damaged_files(directory, report):
    """What holdfastctl reads of a damaged file ends, whatever leads where in it, and says something."""
    port, dice = free_port(), random.Random(SEED)
    report(f"HOLDFAST_SEED={SEED}")
    gateway = Gateway(directory, [line_source(port, batch={"records": 5})], [LINK])
    with gateway:
        gateway.wait_running()
        with LineDevice(port, total=5000) as device:
            device.wait()
        gateway.wait_delivered(5000)
        gateway.stop_collector()
        with LineDevice(port, total=5000, line_bytes=100) as device:
            device.wait()
        gateway.stop_gateway()
    goods = [gateway.collector_directory / "data.mdb", gateway.store_directory / "data.mdb"]
    goods = [file.read_bytes() for file in goods]
    place = directory / "bad"
    place.mkdir()
    readers = [[("collector", "dump", "--dir", place), ("collector", "dump", "--order", "arrival", "--dir", place)],
               [("store", "stat", "--dir", place), ("store", "verify", "--dir", place),
                ("store", "salvage", place / "data.mdb")]]
    codes, slowest = {}, 0.0
    for number in range(1000 if LONG else 40):
        which = number % 2
        (place / "data.mdb").write_bytes(leads_elsewhere(goods[which], dice))
        for reader in readers[which]:
            began = time.monotonic()
            done = subprocess.run([BIN / "holdfastctl", *reader], capture_output=True, timeout=20)
            slowest = max(slowest, time.monotonic() - began)
            key = f"{reader[1]} {done.returncode}"
            codes[key] = codes.get(key, 0) + 1
            if done.returncode not in (0, 1, 2):
                shutil.copy(place / "data.mdb", directory / f"ended-{reader[1]}-{number}.mdb")
            assert done.stdout or done.stderr
    report(slowest=slowest, **{key.replace(" ", "_"): count for key, count in sorted(codes.items())})
    assert all(int(key.split()[1]) in (0, 1, 2) for key in codes), codes
