"""A gateway and its centre as real processes, for the system tests.

    with Gateway(directory, sources=[line_source(port)]) as gateway:     # collector and gateway, each below a watchdog
        gateway.wait_running()
        ...
        gateway.kill("store")
        wait_for(lambda: gateway.pid("store"), 5)
        gateway.wait_delivered()
    archive = gateway.dump()                                             # checks what the collector has
    archive.verify()

Service names: store, acquisition, uplink-LINK, health, watchdog, collector, watchdog-collector.

The environment: HOLDFAST_BIN (default <tree>/build/bin), HOLDFAST_BUILD (default: the folder above it),
HOLDFAST_FIGURES (default BUILD/test-figures.jsonl), HOLDFAST_TEST_DIRECTORY (default /var/tmp: a real disk),
HOLDFAST_SANITIZER_LOG (where sanitized services write findings: bounds of memory and of some times are not theirs).
"""
from harness.base import (BIN, BUILD, FIGURES, PEERS, PLACE, ROOT, SANITIZED, free_port, line_source, merged,
                          new_directory, quantile, report, wait_for)
from harness.arrivals import ArrivalWatch
from harness.commits import Commits
from harness.gateway import Gateway
from harness.oracle import Archive, Stream
from harness.processes import Init, executable, processes_of

__all__ = ["ArrivalWatch", "Archive", "BIN", "BUILD", "Commits", "FIGURES", "Gateway", "Init", "PEERS", "PLACE", "ROOT",
           "SANITIZED", "Stream", "executable", "free_port", "line_source", "merged", "new_directory", "processes_of",
           "quantile", "report", "wait_for"]
