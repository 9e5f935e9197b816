"""End-to-end durable throughput: 200-byte lines into a TCP source, through store and uplink, onto the collector's disk."""

import json
import pathlib
import socket
import subprocess
import sys
import time

from rig import Rig

PEERS = pathlib.Path(__file__).parent / "peers"


def make_lines(count, size):
    return b"".join(b"%012d " % i + b"x" * (size - 14) + b"\n" for i in range(count))


def once(directory, records, size):
    block = make_lines(20_000, size)
    with Rig(directory) as rig:
        before = rig.cpu_seconds()
        device = socket.create_connection(("127.0.0.1", rig.line_port))
        begin = time.monotonic()
        for _ in range(records // 20_000):
            device.sendall(block)
        rig.wait(lambda: rig.metric("collector", "holdfast_collector_records_total") >= records, 120)
        seconds = time.monotonic() - begin
        after = rig.cpu_seconds()
        device.close()
        held = rig.records_in_archive()
        commits = {i: rig.metric(i, f"holdfast_{i}_commits_total") for i in ("store", "collector")}
    cpu = {name: {k: round(after[name][k] - before[name][k], 2) for k in after[name]} for name in after}
    return {
        "name": "holdfast", "variant": "default", "records": records, "record_bytes": size, "seconds": round(seconds, 3),
        "records_per_second": round(records / seconds),
        "complete": len(held) == 1 and held[0]["records"] == records and held[0]["ranges"] == 1,
        "durability": "acknowledged after fdatasync, in the store and at the collector",
        "cpu_seconds": cpu, "commits": commits,
    }


def holdfast(directory, records, size, repeat):
    runs = [once(directory, records, size) for _ in range(repeat)]
    best = max(runs, key=lambda r: r["records_per_second"])
    best["all_records_per_second"] = [r["records_per_second"] for r in runs]
    best["complete"] = all(r["complete"] for r in runs)
    return best


def peer(script, directory, repeat, limit, out):
    subprocess.run([PEERS / script, "--directory", directory, "--json", out, "--repeat", str(repeat),
                    "--limit", str(limit)], check=False, stdout=sys.stderr)
    return json.loads(pathlib.Path(out).read_text()) if pathlib.Path(out).exists() else []


def run(options):
    results = [holdfast(options.directory, options.records, 200, options.repeat)]
    if not options.alone:
        for script in ("rsyslog.py", "mosquitto.py"):
            results += peer(script, options.directory, options.repeat, 120, f"{options.directory}/holdfast-{script}.json")
    ours = results[0]["records_per_second"]
    print(f"\n{'system':<12}{'variant':<10}{'records/s':>12}{'ratio':>8}  {'exactly once':<14}durability")
    for r in results:
        print(f"{r['name']:<12}{r['variant']:<10}{r['records_per_second']:>12,.0f}{ours / max(r['records_per_second'], 1):>8.1f}  "
              f"{'yes' if r['complete'] else 'NO':<14}{r['durability']}")
    print(f"\nholdfast, all runs: {results[0]['all_records_per_second']}; {options.records} records of 200 bytes; "
          f"commits {results[0]['commits']}")
    print("CPU seconds (user, system):", {k: (v["user"], v["system"]) for k, v in results[0]["cpu_seconds"].items()})
    print(f"target: >= 500,000 records/s: {'met' if ours >= 500_000 else 'not met'}")
    for variant in ("strict", "fast"):
        others = [r["records_per_second"] for r in results[1:] if r["variant"] == variant]
        if others:
            print(f"target: >= 10 times the better peer ({variant}): {ours / max(others):.1f} times")
    return results
