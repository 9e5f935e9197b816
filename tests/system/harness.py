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

The environment: HOLDFAST_BIN (default <tree>/build/bin), HOLDFAST_BUILD (default: the folder above it), HOLDFAST_FIGURES
(default BUILD/test-figures.jsonl), HOLDFAST_TEST_DIRECTORY (default /var/tmp: a real disk).
"""
import array
import base64
import bisect
import contextlib
import datetime
import json
import os
import pathlib
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("HOLDFAST_BIN", ROOT / "build/bin")).resolve()
BUILD = pathlib.Path(os.environ.get("HOLDFAST_BUILD", BIN.parent if (BIN.parent / "messages").exists() else ROOT / "build"))
FIGURES = pathlib.Path(os.environ.get("HOLDFAST_FIGURES", BUILD / "test-figures.jsonl"))
PLACE = os.environ.get("HOLDFAST_TEST_DIRECTORY", "/var/tmp")
PEERS = ROOT / "tests/system/peers"

sys.path.insert(0, str(BUILD / "messages"))
import zmq  # noqa: E402
from holdfast.v1 import control_pb2  # noqa: E402

resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

# -- small things -------------------------------------------------------------------------------------------------------

capture = contextlib.nullcontext  # conftest puts pytest's way around its capture here


def report(test, /, text="", **figures):
    """One line for people, one JSON line in FIGURES; both also when the test passes."""
    shown = " ".join(f"{name}={_shown(value)}" for name, value in figures.items())
    with capture():
        print(f"\n[{test}] {text}{' ' if text and shown else ''}{shown}", flush=True)
    with contextlib.suppress(OSError), open(FIGURES, "a", encoding="utf-8") as out:
        at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        out.write(json.dumps({"time": at, "test": test, "text": text, **figures}, default=str) + "\n")


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else value


def wait_for(condition, timeout, what="", interval=0.005):
    """Polls until condition() is true and returns what it gave; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        if late:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what or condition}")
        time.sleep(interval)


def free_port(_given=set()):
    """A TCP and UDP port below the range the kernel gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randint(15000, 32000)
        if port in _given:
            continue
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def new_directory(name="test"):
    """On a real disk; a short path, for the sockets below it."""
    return pathlib.Path(tempfile.mkdtemp(prefix=f"hf-{name[:12]}-", dir=PLACE))


def merged(base, more):
    """Nested dicts united; `more` wins."""
    out = dict(base)
    for key, value in (more or {}).items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def quantile(values, q):
    values = sorted(values)
    return values[min(int(q * len(values)), len(values) - 1)] if values else float("nan")


def line_source(port, name="lines", confirm="count", **more):
    return {"name": name, "type": "tcp-server", "listen": f"127.0.0.1:{port}", "confirm": confirm} | more


# -- processes ----------------------------------------------------------------------------------------------------------


def executable(pid):
    """File name of the program, "" when there is no such living process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            if stat.read().rpartition(")")[2].split()[0] in ("Z", "X"):
                return ""
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    except (OSError, IndexError):
        return ""


def processes_of(mark):
    """Pids of our programs whose command line holds this text, e.g. the path of a configuration."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if os.fsencode(str(mark)) in words and executable(entry).startswith("holdfast-"):
            found.append(int(entry))
    return found


class Init:
    """Plays systemd for one watchdog: Type=notify, WatchdogSec, KillMode=process, Restart=always.

    `lives` tells what happened: (monotonic time, what, pid) with what = started, ended, silent.
    """

    abort_grace = 0.5
    start_s = 20.0  # TimeoutStartSec: until READY=1

    def __init__(self, command, directory, name, watchdog_s=2.0, environment=None):
        self.command, self.watchdog_s = [str(word) for word in command], watchdog_s
        self.log = pathlib.Path(directory) / f"{name}.log"
        self.notify_path = str(pathlib.Path(directory) / f"{name}.notify")
        self.environment = environment or {}
        self.lives = []
        self.status = ""
        self.failed = None  # exit code of a watchdog that ended at once
        self.ready = threading.Event()
        self.process = None
        self._stopping = threading.Event()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(self.notify_path)
        self._notify.setblocking(False)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"init-{name}", daemon=True)

    @property
    def stopped(self):
        return self._stopping.is_set()

    def start(self):
        self._thread.start()
        wait_for(lambda: self.process, 5, "the watchdog was not started")

    def stop(self, timeout=15.0):
        """SIGTERM, and all its services end in order; returns the exit code, None when it had to be killed."""
        self._stopping.set()
        code = None
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                code = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._end_thread()
        return code

    def abandon(self):
        """Restarts it no more and leaves everything as it is."""
        self._stopping.set()
        self._end_thread()

    def _end_thread(self):
        if self._notify.fileno() >= 0:
            os.write(self._wake_write, b"x")
        if self._thread.is_alive():
            self._thread.join(5)
        if self._notify.fileno() < 0:
            return  # called before
        self._notify.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        with contextlib.suppress(OSError):
            os.unlink(self.notify_path)

    def _run(self):
        while not self._stopping.is_set():
            try:
                self._life()
            except Exception as error:  # a test must see it, not miss it
                print(f"init: {error!r}", file=sys.stderr, flush=True)
                return

    def _life(self):
        environment = os.environ | self.environment | {
            "NOTIFY_SOCKET": self.notify_path, "WATCHDOG_USEC": str(int(self.watchdog_s * 1e6))}
        with open(self.log, "ab") as log:
            process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                       start_new_session=True)
        self.process = process
        self.lives.append((time.monotonic(), "started", process.pid))
        self._guard(process)
        if self._stopping.is_set():
            return
        code = process.wait()
        began = self.lives[-1][0]
        self.lives.append((time.monotonic(), "ended", process.pid))
        self.ready.clear()
        if code > 0 and time.monotonic() - began < 0.5:
            self.failed = code  # not killed: it cannot work
            self._stopping.wait(0.1)  # RestartSec

    def _guard(self, process):
        """Until it ends, or until stop()."""
        pidfd = os.pidfd_open(process.pid)
        due = time.monotonic() + self.start_s  # then READY=1 is late, later WATCHDOG=1
        try:
            while True:
                wait = None if due is None else max(due - time.monotonic(), 0)
                readable, _, _ = select.select([pidfd, self._notify, self._wake_read], [], [], wait)
                if pidfd in readable or self._wake_read in readable:
                    return
                if self._notify in readable:
                    if self._take_notes():
                        due = time.monotonic() + self.watchdog_s
                elif due is not None and time.monotonic() >= due:
                    self.lives.append((time.monotonic(), "silent", process.pid))
                    self._abort(process)
                    due = None
        finally:
            os.close(pidfd)

    def _take_notes(self):
        beat = False
        while True:
            try:
                notes = self._notify.recv(4096).decode(errors="replace").split("\n")
            except BlockingIOError:
                return beat
            for note in notes:
                if note == "READY=1":
                    self.ready.set()
                beat = beat or note in ("READY=1", "WATCHDOG=1")
                if note.startswith("STATUS="):
                    self.status = note.removeprefix("STATUS=")

    def _abort(self, process):
        process.send_signal(signal.SIGABRT)
        process.send_signal(signal.SIGCONT)  # as systemd does
        try:
            process.wait(self.abort_grace)
        except subprocess.TimeoutExpired:
            process.kill()


# -- the gateway and its centre -----------------------------------------------------------------------------------------


class Gateway:
    """Writes the configurations with free ports and runs everything.

    `sources` and `links` are lists of dicts as in the YAML file; a link gets name "main", the destination and the
    collector's address where it does not say otherwise. `overrides` and `collector_overrides` are merged into the two
    files at last. `collector=False`: there is none, and links must say where they connect.
    """

    def __init__(self, directory, sources=(), links=None, overrides=None, collector_overrides=None, collector=True,
                 name="gateway-1", watchdog_s=2.0):
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
        self.init = Init([BIN / "holdfast-watchdog", "--config", self.config_path], self.directory, "gateway",
                         watchdog_s)
        self.collector_init = Init([BIN / "holdfast-watchdog", "--only", "collector", "--config",
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
            missing[:] = [f"{service}: {state or 'no answer'}" for service, state in states.items() if state != "running"]
            return not missing and all(self.link_up(link["name"]) for link in self.configuration["links"])
        wait_for(ready, timeout, lambda: f"not everything runs: {missing or 'a link is down'}", interval=0.02)
        return self

    def link_up(self, link="main"):
        return self.metric(f"uplink-{link}", "holdfast_link_up") == 1

    def unsent(self):
        """Records that were taken from the field and that the collector has not confirmed, as the services tell it (up to
        a second old); None while one of them does not answer. Bytes in flight count as one record."""
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
        """Records the store ever numbered, summed over its classes, by its file; beside a running store or without it."""
        stat = json.loads(self.ctl("store", "stat", "--json").stdout)
        last = {}
        for row in stat["delivery"]:
            last[row["class"]] = max(last.get(row["class"], 0), row["confirmed_records"])
        for row in stat["classes"]:
            last[row["class"]] = max(last.get(row["class"], 0), row["last_seq"] if row["records"] else 0)
        return sum(last.values())

    def wait_archived(self, timeout=60):
        """Until the archive has all that the store has now: sources may go on."""
        records = self.stored()
        wait_for(lambda: self.archived() >= records, timeout, lambda: f"archived {self.archived()} of {records}",
                 interval=0.1)

    def wait_delivered(self, records=None, timeout=60):
        """Until nothing is on its way any more: sources must be silent. records: the number that has to be there."""
        def through():
            if records is not None and self.archived() < records:
                return False
            return self.unsent() == 0
        wait_for(through, timeout, lambda: f"unsent {self.unsent()}, archived {self.archived()} of {records}",
                 interval=0.1)

    def check_books(self, archive):
        """For a store that rests: what it no longer has, or counts as confirmed, is in the archive. Returns the problems."""
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
        """What the collector has, checked line by line: an Archive. values=False: without the records' values; keep=False:
        without the records."""
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


# -- the oracle ---------------------------------------------------------------------------------------------------------


class Stream:
    """One stream's records, in the order of the dump."""

    def __init__(self):
        self.count = 0
        self.seqs = array.array("Q")
        self.times = array.array("q")     # source time, Unix nanoseconds
        self.places = array.array("Q")    # index in the dump, over all streams
        self.values = []                  # value, text or bytes; None for gap records
        self.gaps = {}                    # reason -> records missing, by the gap records


class Archive:
    """The oracle: per origin (gateway, epoch, class) every seq exactly once and none missing; in a dump by seq also in
    order. Gap records are summed."""

    def __init__(self, keep=True, whole=True, values=True):
        self.keep, self.whole, self.values = keep, whole, values
        self.streams = {}
        self.raw = {}         # (gateway, epoch, class) -> seqs, in the order of the dump
        self.origins = {}     # (gateway, epoch, class) -> seqs, sorted by end()
        self.disordered = 0   # steps back within an origin
        self.range_gaps = {}  # reason -> records of ranges that the store dropped as a whole
        self.records = 0
        self.problems = []
        self._second, self._second_nanos = "", 0

    def take(self, line):
        try:
            record = json.loads(line)
            origin = record["gateway"], record["epoch"], record["class"]
            seq = record["seq"]
        except (ValueError, KeyError) as error:
            return self.problems.append(f"unreadable line {line[:200]!r}: {error!r}")
        seqs = self.origins.get(origin)
        if seqs is None:
            seqs = self.origins[origin] = array.array("Q")
        gap = record.get("gap")
        if "stream" not in record:  # a range
            seqs.extend(range(seq, seq + gap["count"]))
            self.range_gaps[gap["reason"]] = self.range_gaps.get(gap["reason"], 0) + gap["count"]
            return None
        seqs.append(seq)
        stream = self.streams.get(record["stream"])
        if stream is None:
            stream = self.streams[record["stream"]] = Stream()
        stream.count += 1
        if gap:
            stream.gaps[gap["reason"]] = stream.gaps.get(gap["reason"], 0) + gap["count"]
        if self.keep:
            stream.seqs.append(seq)
            stream.times.append(self._nanos(record["time"]))
            stream.places.append(self.records)
            if self.values:
                data = record.get("data")
                stream.values.append(base64.b64decode(data) if data is not None
                                     else record.get("text", record.get("value")))
        self.records += 1
        return None

    def _nanos(self, text):
        if text[:19] != self._second:
            self._second = text[:19]
            moment = datetime.datetime.fromisoformat(self._second).replace(tzinfo=datetime.timezone.utc)
            self._second_nanos = int(moment.timestamp()) * 10**9
        return self._second_nanos + int(text[20:29])

    def end(self):
        self.raw = dict(self.origins)
        for origin, seqs in self.origins.items():
            self.disordered += sum(1 for a, b in zip(seqs, seqs[1:]) if b <= a)
            if not self.whole:
                continue
            ordered = sorted(seqs)
            if ordered != list(range(1, len(ordered) + 1)):
                self._tell_holes(origin, ordered)
            self.origins[origin] = array.array("Q", ordered)
        return self

    def _tell_holes(self, origin, ordered):
        doubled = [a for a, b in zip(ordered, ordered[1:]) if a == b]
        present = set(ordered)
        missing = [seq for seq in range(1, ordered[-1] + 1) if seq not in present]
        self.problems.append(f"origin {origin}: {len(doubled)} doubled {doubled[:5]}, {len(missing)} missing {missing[:5]}")

    def times(self):
        """Source time of each record, by its place in the dump."""
        out = array.array("q", bytes(8 * self.records))
        for stream in self.streams.values():
            for place, at in zip(stream.places, stream.times):
                out[place] = at
        return out

    @property
    def gaps(self):
        """All records that are told missing: reason -> count."""
        total = dict(self.range_gaps)
        for stream in self.streams.values():
            for reason, count in stream.gaps.items():
                total[reason] = total.get(reason, 0) + count
        return total

    def verify(self, origins=1, gaps=False, in_order=True):
        """origins: how many there must be (None: any); gaps: whether gap records may be there; in_order: of a dump by
        seq."""
        problems = list(self.problems)
        if origins is not None and len(self.origins) != origins:
            problems.append(f"{len(self.origins)} origins: {list(self.origins)}")
        if self.gaps and not gaps:
            problems.append(f"gaps: {self.gaps}")
        if in_order and self.disordered:
            problems.append(f"{self.disordered} steps back in a dump by seq")
        assert not problems, "; ".join(problems)
        return self


# -- when records reach the archive -------------------------------------------------------------------------------------


class ArrivalWatch:
    """Samples the collector's own counter, every few milliseconds, in a thread: when did how many records stand on its
    disk. Together with a dump by arrival it tells when each record arrived, in one life of the collector.

    base: records that were in the archive before that life. wait: until the collector answers.
    """

    def __init__(self, gateway, base=0, wait=True, period=0.004):
        self.gateway, self.base, self.wait, self.period = gateway, base, wait, period
        self.samples = []  # (time.time_ns() when the answer came, pid, records of this life of the collector)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)

    def __enter__(self):
        self._thread.start()
        if self.wait:
            wait_for(lambda: self.samples, 10, "the collector does not answer")
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)

    def _run(self):
        context = zmq.Context()
        request = control_pb2.ControlRequest(id=1, deadline_millis=200)
        request.status.SetInParent()
        request = request.SerializeToString()
        while not self._stop.is_set():
            with context.socket(zmq.DEALER) as dealer:
                dealer.linger = 0
                dealer.reconnect_ivl = 5
                dealer.connect(f"ipc://{self.gateway.collector_run}/control.collector.sock")
                self._ask(dealer, request)
        context.term()

    def _ask(self, dealer, request):
        """Until an answer stays away: then the next socket asks again."""
        while not self._stop.is_set():
            dealer.send(request)
            if not dealer.poll(50):
                return
            status = control_pb2.ControlReply.FromString(dealer.recv()).status
            for metric in status.metrics:
                if metric.name == "holdfast_collector_records_total":
                    self.samples.append((time.time_ns(), status.pid, int(metric.value)))
            self._stop.wait(self.period)

    def grew_after(self, moment):
        """When the archive was first seen to have got more after this moment (time.time_ns()); None: not yet. Of a new
        life of the collector each record counts."""
        before = None
        for at, pid, count in self._since(moment - 10**9):
            more = count > (before[1] if before and before[0] == pid else 0)
            if at > moment and before is not None and more:
                return at
            before = pid, count
        return None

    def longest_gap(self, begin, end):
        """Longest time without a new record between two moments, in nanoseconds."""
        last, longest, before = begin, 0, None
        for at, pid, count in self._since(begin):
            if at > end:
                break
            if before is not None and (pid, count) != before:
                longest, last = max(longest, at - last), at
            before = pid, count
        return max(longest, end - last)

    def first_life(self):
        """Samples of the collector's life that was seen first."""
        pids = [pid for _, pid, _ in self.samples]
        return [s for s in self.samples if s[1] == pids[0]] if pids else []

    def arrivals(self, times, moments):
        """For each moment: when the first record with a later source time stood on the collector's disk (None: never in
        this life). times: the source time of each record, by its place in a dump by arrival."""
        life = self.first_life()
        stamps, counts = [s[0] for s in life], [s[2] + self.base for s in life]
        out = []
        for moment in moments:
            place = counts[max(bisect.bisect_right(stamps, moment) - 1, 0)]
            while place < len(times) and times[place] <= moment:
                place += 1
            out.append(self.arrived(place, stamps, counts))
        return out

    def arrived(self, place, stamps=None, counts=None):
        """When the record with this place in a dump by arrival was seen to be there; None: never in this life."""
        if counts is None:
            life = self.first_life()
            stamps, counts = [s[0] for s in life], [s[2] + self.base for s in life]
        index = bisect.bisect_right(counts, place)
        return stamps[index] if index < len(counts) else None

    def _since(self, moment):
        return self.samples[bisect.bisect_left(self.samples, (moment,)):]
