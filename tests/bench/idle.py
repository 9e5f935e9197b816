"""Idle footprint of all gateway processes with three links, connected and with nothing to do."""

import time

from rig import Rig


def run(options):
    with Rig(options.directory, links=3) as rig:
        for link in rig.links:
            rig.wait(lambda: rig.metric("uplink-" + link, "holdfast_link_up") == 1, 20)
        time.sleep(2)  # the start is not what is measured
        before = rig.cpu_seconds()
        time.sleep(options.seconds)
        after = rig.cpu_seconds()
        pss = rig.pss_bytes()
    ours = [n for n in pss if n != "collector"]  # the centre's process is not the gateway's
    cpu = {n: (after[n]["user"] + after[n]["system"] - before[n]["user"] - before[n]["system"]) / options.seconds * 100
           for n in ours}
    result = {"what": f"idle for {options.seconds} s, 3 links, {len(ours)} processes",
              "pss_mib": round(sum(pss[n] for n in ours) / 2**20, 1), "cpu_percent_of_one_core": round(sum(cpu.values()), 2),
              "pss_mib_by_process": {n: round(pss[n] / 2**20, 1) for n in ours},
              "cpu_percent_by_process": {n: round(c, 2) for n, c in cpu.items()}, "target": "120 MiB, 2 %"}
    print(f"{result['what']}: PSS {result['pss_mib']} MiB, CPU {result['cpu_percent_of_one_core']} % of one core "
          f"(target {result['target']})\n  {result['pss_mib_by_process']}\n  {result['cpu_percent_by_process']}")
    return [result]
