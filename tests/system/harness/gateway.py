"""What tests ask a gateway, and what they wait for."""
import json
import subprocess

import zmq
from holdfast.v1 import control_pb2

from harness.base import BIN, wait_for
from harness.oracle import Archive
from harness.site import Site


class Gateway(Site):
    """A Site that is asked, waited for and checked."""

    def ask(self, service, timeout=1.0, **request):
        """A ControlReply, or None without an answer in time. request: status={}, restart={"process": ...}, ..."""
        message = control_pb2.ControlRequest(id=1, deadline_millis=int(timeout * 1000))
        for field, content in (request or {"status": {}}).items():
            part = getattr(message, field)
            part.SetInParent()
            for key, value in content.items():
                setattr(part, key, value)
        with self._zmq.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.reconnect_ivl = 20
            dealer.connect(f"ipc://{self.run_of(service)}/control.{service}.sock")
            dealer.send(message.SerializeToString())
            if not dealer.poll(int(timeout * 1000)):
                return None
            return control_pb2.ControlReply.FromString(dealer.recv())

    def status(self, service, timeout=1.0):
        """Its StatusReply, None without an answer."""
        reply = self.ask(service, timeout, status={})
        return reply.status if reply is not None and reply.ok else None

    def state(self, service, timeout=0.5):
        """"running", "degraded: ...", "" without an answer."""
        status = self.status(service, timeout)
        return status.state if status else ""

    def component(self, service, name):
        """State of one component, e.g. component("uplink-main", "link:main"); "" when it has none."""
        status = self.status(service)
        return next((c.state for c in status.components if c.name == name), "") if status else ""

    def metrics(self, service, timeout=1.0):
        """{'name{label="value",...}': value}; empty without an answer."""
        status = self.status(service, timeout)
        out = {}
        for metric in status.metrics if status else ():
            labels = ",".join(f'{label.name}="{label.value}"' for label in metric.labels)
            out[f"{metric.name}{{{labels}}}" if labels else metric.name] = metric.value
        return out

    def metric(self, service, name, **labels):
        """Sum over all series of the name that have these labels; None without an answer or without such a series."""
        status = self.status(service)
        found = [metric.value for metric in (status.metrics if status else ()) if metric.name == name
                 and labels.items() <= {label.name: label.value for label in metric.labels}.items()]
        return sum(found) if found else None

    def ctl(self, *arguments, timeout=60, check=True, centre=False):
        """holdfastctl with the gateway's configuration (centre: the collector's); the finished process, as text."""
        config = self.collector_config_path if centre else self.config_path
        done = subprocess.run([BIN / "holdfastctl", "--config", config, *map(str, arguments)], capture_output=True,
                              text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"holdfastctl {arguments} gave {done.returncode}: {done.stdout}{done.stderr}")
        return done

    # .. what tests wait for

    def wait_running(self, timeout=15):
        """All services answer "running", and every link has its session."""
        missing = []

        def ready():
            for init in (self.init, self.collector_init):
                if init.failed:
                    raise AssertionError(f"the watchdog gave {init.failed}: {init.log.read_text()[-2000:]}")
            everybody = self.services + ["watchdog"] + (["collector"] if self._collector_running else [])
            states = {service: self.state(service) for service in everybody}
            missing[:] = [f"{service}: {state or 'no answer'}" for service, state in states.items()
                          if state != "running"]
            return not missing and all(self.link_up(link["name"]) for link in self.configuration["links"])
        wait_for(ready, timeout, lambda: f"not everything runs: {missing or 'a link is down'}", interval=0.02)
        return self

    def link_up(self, link="main"):
        return self.metric(f"uplink-{link}", "holdfast_link_up") == 1

    def unsent(self):
        """Records that were taken from the field and that the collector has not confirmed, as the services tell it (up
        to a second old); None while one of them does not answer. Bytes in flight count as one record."""
        store, acquisition = self.metrics("store"), self.metrics("acquisition")
        if not store or not acquisition:
            return None
        names = ("holdfast_store_backlog_records", "holdfast_store_live_records", "holdfast_store_in_flight_bytes",
                 "holdfast_source_unacknowledged_records")
        both = list(store.items()) + list(acquisition.items())
        return int(sum(min(value, 1) if "bytes" in key else value for key, value in both if key.split("{")[0] in names))

    def archived(self):
        """Records in the collector's archive, by what it says on its file."""
        done = self.ctl("collector", "dump", "--stats", centre=True, check=False)
        return sum(json.loads(line)["records"] for line in done.stdout.splitlines())

    def stored(self):
        """Records the store ever numbered, summed over its classes, by its file; beside a running store or without
        it."""
        stat = json.loads(self.ctl("store", "stat", "--json").stdout)
        last = {}
        for row in stat["delivery"]:
            last[row["class"]] = max(last.get(row["class"], 0), row["confirmed_records"])
        for row in stat["classes"]:
            held = row["records"] + row["gap_records"]
            last[row["class"]] = max(last.get(row["class"], 0), row["last_seq"] if held else 0)
        return sum(last.values())

    def wait_told(self, timeout=60):
        """Until all that the store has numbered is confirmed, gaps too: what came last must be on disk."""
        def stat():
            return json.loads(self.ctl("store", "stat", "--json").stdout)
        def told():
            now = stat()
            last = {row["class"]: row["last_seq"] for row in now["classes"]}
            return all(row["ranges"] == 1 and row["confirmed_records"] >= last[row["class"]] for row in now["delivery"])
        wait_for(told, timeout, stat, interval=0.1)

    def wait_archived(self, timeout=60):
        """Until the archive has all that the store has now: sources may go on."""
        records = self.stored()
        wait_for(lambda: self.archived() >= records, timeout, lambda: f"archived {self.archived()} of {records}",
                 interval=0.1)

    def wait_delivered(self, records=None, timeout=60):
        """Until nothing is on its way any more: sources must be silent. records: the number that has to be there."""
        def through():
            # What the services tell of themselves may be older than the last records; what the file tells is not.
            if self.archived() < (self.stored() if records is None else records):
                return False
            return self.unsent() == 0
        wait_for(through, timeout, lambda: f"unsent {self.unsent()}, archived {self.archived()} of {records}",
                 interval=0.1)

    def check_books(self, archive):
        """For a store that rests: what it no longer has, or counts as confirmed, is in the archive. Returns the
        problems."""
        stat = json.loads(self.ctl("store", "stat", "--json").stdout)
        have = {}
        for (gateway, epoch, record_class), seqs in archive.origins.items():
            if gateway == self.name and epoch == stat["epoch"]:
                have[record_class] = len(seqs)
        problems = []
        for row in stat["delivery"]:
            if row["confirmed_records"] > have.get(row["class"], 0):
                problems.append(f"class {row['class']}: {row['confirmed_records']} confirmed, archive has "
                                f"{have.get(row['class'], 0)}")
        for row in stat["classes"]:
            if row["records"] and row["first_seq"] > have.get(row["class"], 0) + 1:
                problems.append(f"class {row['class']}: archive ends at {have.get(row['class'], 0)}, store begins at "
                                f"{row['first_seq']}")
        return problems

    def dump(self, order="seq", stream=None, keep=True, values=True):
        """What the collector has, checked line by line: an Archive. values=False: without the records' values;
        keep=False: without the records."""
        command = [BIN / "holdfastctl", "collector", "dump", "--directory", self.collector_directory, "--order", order]
        command += ["--stream", stream] if stream else []
        archive = Archive(keep, stream is None, values)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            for line in process.stdout:
                archive.take(line)
            errors = process.stderr.read().decode(errors="replace")
        if process.returncode != 0:
            archive.problems.append(f"collector dump gave {process.returncode}: {errors}")
        return archive.end()
