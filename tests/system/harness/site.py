"""The configurations and the processes of a gateway and its centre."""
import contextlib
import json
import os
import pathlib
import signal

import zmq

from harness.base import BIN, free_port, merged, wait_for
from harness.processes import Init, executable, processes_of


class Site:
    """Writes the configurations with free ports and runs everything.

    `sources` and `links` are lists of dicts as in the YAML file; a link gets name "main", the destination and the
    collector's address where it does not say otherwise. `overrides` and `collector_overrides` are merged into the two
    files at last. `collector=False`: there is none, and links must say where they connect. `inside` and
    `collector_inside` stand in front of the commands, e.g. nsenter.
    """

    def __init__(self, directory, sources=(), links=None, overrides=None, collector_overrides=None, collector=True,
                 name="gateway-1", watchdog_s=2.0, inside=(), collector_inside=()):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.collector_port, self.health_port = free_port(), free_port()
        self.run = self.directory / "run"
        self.collector_run = self.directory / "crun"
        self.store_directory = self.directory / "store"
        self.collector_directory = self.directory / "collector"
        self.config_path = self.directory / "gateway.yaml"
        self.collector_config_path = self.directory / "collector.yaml"
        links = [{"name": "main"}] if links is None else links
        self.links = [{"name": "main", "destination": "centre", "connect": f"127.0.0.1:{self.collector_port}"} | link
                      for link in links]
        self.configuration = merged({
            "name": name,
            "run_directory": str(self.run),
            "sources": list(sources),
            "store": {"directory": str(self.store_directory), "quota": "4GiB"},
            "destinations": [{"name": "centre"}],
            "links": self.links,
            "health": {"listen": f"127.0.0.1:{self.health_port}", "interval": "1s"},
        }, overrides)
        self.collector_configuration = merged({
            "run_directory": str(self.collector_run),
            "collector": {"listen": f"127.0.0.1:{self.collector_port}", "directory": str(self.collector_directory),
                          "quota": "4GiB"},
        }, collector_overrides)
        self.write_configurations()
        self.init = Init([*inside, BIN / "holdfast-watchdog", "--config", self.config_path], self.directory, "gateway",
                         watchdog_s)
        self.collector_init = Init([*collector_inside, BIN / "holdfast-watchdog", "--only", "collector", "--config",
                                    self.collector_config_path], self.directory, "centre", watchdog_s)
        self._has_collector = collector
        self._running = self._collector_running = False
        self._zmq = zmq.Context()

    def write_configurations(self):
        """JSON is YAML."""
        self.config_path.write_text(json.dumps(self.configuration, indent=2) + "\n")
        self.collector_config_path.write_text(json.dumps(self.collector_configuration, indent=2) + "\n")

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    # .. life

    def start(self):
        if self._has_collector:
            self.start_collector()
        self.start_gateway()
        return self

    def start_gateway(self):
        if self._running:
            return
        if self.init.stopped:
            self.init = Init(self.init.command, self.directory, "gateway", self.init.watchdog_s)
        self.init.start()
        self._running = True

    def start_collector(self):
        if self._collector_running:
            return
        if self.collector_init.stopped:
            self.collector_init = Init(self.collector_init.command, self.directory, "centre",
                                       self.collector_init.watchdog_s)
        self.collector_init.start()
        self._collector_running = True

    def stop_gateway(self):
        """In order; returns the watchdog's exit code."""
        code = self.init.stop() if self._running else 0
        self._running = False
        return code

    def stop_collector(self):
        code = self.collector_init.stop() if self._collector_running else 0
        self._collector_running = False
        return code

    def stop(self):
        """Everything in order; what is left then is killed, by its pid. May be called twice. Returns the two exit
        codes of the watchdogs."""
        codes = self.stop_gateway(), self.stop_collector()
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return codes

    def leftovers(self):
        return processes_of(self.config_path) + processes_of(self.collector_config_path)

    def log(self):
        """What all processes of the gateway wrote so far."""
        return self.init.log.read_text(errors="replace") if self.init.log.exists() else ""

    def collector_log(self):
        return self.collector_init.log.read_text(errors="replace") if self.collector_init.log.exists() else ""

    # .. services

    @property
    def services(self):
        """Of the gateway, without its watchdog."""
        listed = self.configuration.get("watchdog", {}).get("services")
        return listed or ["store", *(f"uplink-{link['name']}" for link in self.configuration["links"]), "acquisition",
                          "health"]

    def run_of(self, service):
        return self.collector_run if service in ("collector", "watchdog-collector") else self.run

    def pid(self, service):
        """Of the living process, None when there is none."""
        try:
            pid = int((self.run_of(service) / f"{service}.lock").read_text() or 0)
        except (OSError, ValueError):
            return None
        program = "holdfast-" + service.split("-")[0]
        return pid if pid > 0 and executable(pid) == program else None

    def kill(self, service, number=signal.SIGKILL):
        """Sends the signal; returns the pid it went to."""
        pid = wait_for(lambda: self.pid(service), 10, f"{service} does not run")
        os.kill(pid, number)
        return pid
