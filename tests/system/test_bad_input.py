"""Wrong files, taken ports, foreign directories, and noise on every socket: said clearly, harming nobody."""
import contextlib
import hashlib
import json
import pathlib
import random
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time

import pytest
import zmq
from holdfast.v1 import control_pb2, dispatch_pb2, ingest_pb2, storage_pb2, wire_pb2

from devices import LineDevice, check_lines
from harness import BIN, ROOT, Gateway, free_port, line_source, wait_for
from peers import relay as wire
from peers.certificates import Authority
from peers.looks import peak_mib, pids, wait_component

sys.path.insert(0, str(ROOT / "tests/examples"))
from producer import crc32c  # noqa: E402

SERVICES = {"store": [], "acquisition": [], "uplink": ["--link", "main"], "health": [], "watchdog": [], "collector": []}

# -- configuration ------------------------------------------------------------------------------------------------------

# Text, and the place and a word of the complaint.
BROKEN = {
    "malformed": ("name: a\nsources: [\n", r":\d+", "malformed YAML"),
    "tab": ("name: a\nlog:\n\tlevel: info\n", ":3", "malformed YAML"),
    "control characters": ("name: a\0b\x01\n", r":\d+", ""),
    "empty": ("", ":1", "empty"),
    "a list": ("- a\n- b\n", ":1", "map"),
    "unknown key": ("name: a\nsoruces: []\n", ":2", "unknown key 'soruces'"),
    "unknown key inside": ("store:\n  directory: /tmp/x\n  qouta: 1GiB\n", ":3", "unknown key 'qouta'"),
    "key twice": ("name: a\nname: b\n", ":2", "name"),
    "type": ("store: 7\n", ":1", "expected a map"),
    "text for a list": ("sources: none\n", ":1", "expected a list"),
    "no unit": ("health:\n  interval: 5\n", ":2", "expected a duration"),
    "negative": ("store:\n  quota: -1\n", ":2", "expected a size"),
    "huge": ("sources:\n  - {name: a, type: tcp-server, listen: '127.0.0.1:70000'}\n", ":2", "listen"),
    "unknown kind": ("sources:\n  - name: a\n    type: tcp-sever\n", ":3", "tcp-sever"),
    "missing": ("sources:\n  - name: a\n    type: tcp-server\n", r":\d", "listen"),
    "two of a name": ("destinations:\n  - name: a\n  - name: a\n", ":3", "duplicate"),
    "no such destination": ("destinations:\n  - name: a\nlinks:\n  - {name: l, destination: b, connect: 'h:1'}\n", ":4",
                            "unknown destination"),
    "unset variable": ("name: ${HOLDFAST_TEST_NOT_SET}\n", ":1", "HOLDFAST_TEST_NOT_SET"),
    "key without certificate": ("destinations: [{name: a}]\nlinks:\n  - {name: l, destination: a, connect: 'h:1', tls: "
                                "{key_file: /k}}\n", ":3", "go together"),
}


def run(*words, **settings):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace", timeout=20,
                          **settings)


def test_broken_configuration(directory, report):
    """Each program says FILE:LINE and what is wrong, exits with 78, and has made nothing."""
    made = directory / "made"
    files = {}
    for number, what in enumerate(BROKEN):
        files[what] = directory / f"{number}.yaml"
        files[what].write_text(BROKEN[what][0])
    runs = 0
    for what, (_, place, words) in BROKEN.items():
        programs = {name: [BIN / f"holdfast-{name}", "--config", files[what], *more] for name, more in SERVICES.items()}
        programs |= {"check": [BIN / "holdfastctl", "check", files[what]],
                     "status": [BIN / "holdfastctl", "--config", files[what], "status"]}
        for name, command in programs.items():
            done = run(*command)
            said = done.stdout + done.stderr
            runs += 1
            assert done.returncode == 78, f"{what}: {name} gave {done.returncode}: {said}"
            assert re.search(re.escape(str(files[what])) + place, said) and words in said, f"{what}: {name}: {said}"
    for what, path in {"absent": directory / "absent.yaml", "a directory": directory}.items():
        for name, more in SERVICES.items():
            done = run(BIN / f"holdfast-{name}", "--config", path, *more)
            assert done.returncode == 78 and str(path) in done.stderr, f"{what}: {name}: {done}"
    unreadable = directory / "secret.yaml"
    unreadable.write_text("name: a\n")
    unreadable.chmod(0o600)
    directory.chmod(0o755)
    done = run(*NOBODY, BIN / "holdfast-store", "--config", unreadable)
    assert done.returncode == 78 and f"{unreadable}: cannot be read: Permission denied" in done.stderr
    assert not made.exists()
    report(files=len(BROKEN), runs=runs)


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

# -- ports in use -------------------------------------------------------------------------------------------------------


def occupied(port, kind=socket.SOCK_STREAM):
    holder = socket.socket(type=kind)
    holder.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        holder.listen()
    return holder


def test_ports_in_use(directory, report):
    """Whoever finds his port taken says so and waits for it; the others work."""
    ports = {name: free_port() for name in ("good", "tcp", "udp")}
    gateway = Gateway(directory, sources=[
        line_source(ports["good"], "good"), line_source(ports["tcp"], "tcp", "none"),
        {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{ports['udp']}"}])
    holders = {"tcp": occupied(ports["tcp"]), "udp": occupied(ports["udp"], socket.SOCK_DGRAM),
               "collector": occupied(gateway.collector_port), "health": occupied(gateway.health_port)}
    at = {"tcp": ("acquisition", "source:tcp", ports["tcp"]), "udp": ("acquisition", "source:udp", ports["udp"]),
          "collector": ("collector", "server", gateway.collector_port), "health": ("health", "web", gateway.health_port)}
    with gateway, LineDevice(ports["good"], rate=1000) as device:
        for what, (service, name, port) in at.items():
            said = wait_component(gateway, service, name, "fail")
            assert f"127.0.0.1:{port}" in said and "Address already in use" in said
            assert gateway.state(service).startswith("degraded: ")
            report(f"{what}: {said}")
        before = pids(gateway, "collector")
        wait_for(lambda: device.confirmed > 500, 20, "the good source goes on")
        for what, (service, name, _) in at.items():
            holders[what].close()
            wait_component(gateway, service, name, "listening")
        gateway.wait_running()
        assert pids(gateway, "collector") == before, "nobody was restarted"
        device.finish()
        gateway.wait_delivered(device.confirmed)
        assert not check_lines(gateway.dump().verify().streams["good"], device.confirmed)


# -- directories --------------------------------------------------------------------------------------------------------


def fingerprint(path):
    """What is in each data file."""
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(pathlib.Path(path).rglob("*")) if file.is_file() and file.name.startswith("data")}


class Place:
    """Starts a store or a collector on a directory, without anything else."""

    def __init__(self, directory):
        self.directory, self.number = directory, 0

    def start(self, service, path, prefix=()):
        self.number += 1
        section = {"directory": str(path), "quota": "64MiB"}
        if service == "collector":
            section["listen"] = f"127.0.0.1:{free_port()}"
        run_directory = self.directory / f"run{self.number}"
        run_directory.mkdir()
        if prefix:
            shutil.chown(run_directory, 65534, 65534)
        config = self.directory / f"{self.number}.yaml"
        config.write_text(json.dumps({"run_directory": str(run_directory), service: section}))
        return subprocess.Popen([*prefix, BIN / f"holdfast-{service}", "--config", config], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")

    def refused(self, service, path, *words, prefix=()):
        """It ends by itself, soon, with a code that is not 0, and says why and where."""
        process = self.start(service, path, prefix)
        try:
            said = process.communicate(timeout=15)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{service} runs on {path}: {process.communicate()[1]}") from None
        assert process.returncode == 71, f"{service}: {process.returncode}: {said}"
        assert str(path) in said, f"{service} does not name {path}: {said}"
        assert any(word in said for word in words), said
        return next(text for text in said.splitlines() if str(path) in text).split(" error ")[-1]

    def works(self, service, path):
        """It opens; returns what it said until it was stopped."""
        process = self.start(service, path)
        said = ""
        try:
            for text in process.stderr:
                said += text
                if f"component={'archive' if service == 'collector' else 'store'} " in text and "to=open" in text:
                    break
            else:
                raise AssertionError(f"{service} on {path}: {said}")
        finally:
            process.terminate()
            said += process.communicate(timeout=15)[1]
        assert process.returncode == 0, said
        return said


def mdb_load(path, text, *words):
    path.mkdir(exist_ok=True)
    subprocess.run(["mdb_load", *words, str(path)], input=text, check=True, capture_output=True)


FOREIGN = b"VERSION=3\nformat=print\ntype=btree\nmapsize=1048576\nmaxreaders=126\ndb_pagesize=4096\nHEADER=END\n" \
          b" customer\n important\nDATA=END\n"


def make_newer(path):
    """A file that only a later release may read."""
    dump = subprocess.run(["mdb_dump", "-s", "meta", path], check=True, capture_output=True).stdout.decode()
    identity = storage_pb2.StoreIdentity()
    rows = [text.strip() for text in dump.splitlines() if text.startswith(" ")]
    identity.ParseFromString(bytes.fromhex(rows[rows.index(b"store".hex()) + 1]))
    identity.schema, identity.oldest_reader = 99, 99
    mdb_load(path, re.sub(r"\n [0-9a-f]+\nDATA=END", f"\n {identity.SerializeToString().hex()}\nDATA=END", dump).encode(),
             "-s", "meta")


@pytest.mark.parametrize("service", ["store", "collector"])
def test_directory_of_others(directory, report, service):
    """Foreign, newer, unreadable, read-only, not a directory: a clear error with the path, and not a byte changed."""
    place = Place(directory)
    directory.chmod(0o755)
    other = "collector" if service == "store" else "store"

    def unchanged(what, path, *words, prefix=()):
        before, mode = fingerprint(path), path.stat().st_mode
        report(f"{what}: {place.refused(service, path, *words, prefix=prefix)}")
        assert fingerprint(path) == before, f"{what}: changed"
        return mode == path.stat().st_mode

    foreign = directory / "foreign"
    mdb_load(foreign, FOREIGN)
    unchanged("LMDB of another program", foreign, "another program")
    named = directory / "named"
    mdb_load(named, FOREIGN, "-s", "customers")
    unchanged("with named databases", named, "another program")
    swapped = directory / "swapped"
    place.works(other, swapped)
    unchanged(f"of the {other}", swapped, f"it is a holdfast-{other}")
    newer = directory / "newer"
    place.works(service, newer)
    make_newer(newer)
    unchanged("newer", newer, "written by a newer version")

    own = directory / "own"
    place.works(service, own)
    for file in own.iterdir():
        file.chmod(0o600)
    unchanged("unreadable", own, "Permission denied", prefix=NOBODY)
    file = directory / "a-file"
    file.write_text("not a directory")
    for path in (file, file / "below"):
        said = place.refused(service, path, "Not a directory", "File exists", "not a directory")
        report(f"below a file: {said}")
    assert file.read_text() == "not a directory"

    locked = directory / "locked"
    locked.mkdir()
    place.works(service, locked)
    if subprocess.run(["mount", "--bind", "-o", "ro", own, locked], capture_output=True).returncode == 0:
        try:
            unchanged("read-only mount", locked, "Read-only file system")
        finally:
            subprocess.run(["umount", locked], check=True)
    elif subprocess.run(["chattr", "+i", locked, locked / "data.mdb"], capture_output=True).returncode == 0:
        try:
            unchanged("immutable", locked, "Operation not permitted", "Permission denied")
        finally:
            subprocess.run(["chattr", "-i", locked, locked / "data.mdb"], check=True)
    else:
        report("read-only: neither mount nor chattr is possible here")
    place.works(service, own)  # and it still works for its owner


def test_damaged_store_file(directory, report):
    """What is no LMDB file any more is set aside whole, and the store begins anew; nothing is deleted."""
    place = Place(directory)
    for what, content in {"text": b"this was somebody's diary\n" * 1000, "zeros": bytes(65536),
                          "noise": random.Random(1).randbytes(65536), "one byte": b"x"}.items():
        path = directory / what.replace(" ", "-")
        path.mkdir()
        (path / "data.mdb").write_bytes(content)
        said = place.works("store", path)
        aside = [file for file in path.iterdir() if file.name.startswith("data.mdb.")]
        assert [file.read_bytes() for file in aside] == [content], f"{what}: {list(path.iterdir())}: {said}"
        assert str(aside[0]) in said
        report(f"{what}: {aside[0].name}")


# -- too long -----------------------------------------------------------------------------------------------------------


def test_too_long(directory):
    """Lines, frames and datagrams above the limit: each becomes one gap record, the log names the peer, others go on."""
    ports = {name: free_port() for name in ("good", "lines", "prefix", "udp", "gap")}
    limit = 1024
    sources = [line_source(ports["good"], "good"),
               line_source(ports["lines"], "lines", "none", framing={"type": "line", "max_length": limit}),
               line_source(ports["prefix"], "prefix", "none", framing={"type": "length-prefix", "prefix_bytes": 4,
                                                                       "max_length": limit}),
               line_source(ports["gap"], "gap", "none", framing={"type": "idle-gap", "max_length": limit, "gap": "100ms"}),
               {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{ports['udp']}", "max_datagram": limit}]
    with Gateway(directory, sources=sources) as gateway, LineDevice(ports["good"], rate=2000) as device:
        gateway.wait_running()
        peers = {}
        with socket.create_connection(("127.0.0.1", ports["lines"])) as lines:
            peers["lines"] = lines.getsockname()[1]
            lines.sendall(b"\n" + b"1\n" + b"a" * limit + b"\n" + b"b" * (limit + 1) + b"\n" + b"2\n" + b"c" * 5000000 + b"\n3\n")
        for announced in (limit + 1, 2**31, 2**32 - 1):  # it ends the connection: nothing behind it can be understood
            with socket.create_connection(("127.0.0.1", ports["prefix"])) as prefix:
                peers[f"prefix {announced}"] = prefix.getsockname()[1]
                prefix.sendall(struct.pack(">I", 2) + b"ok" + struct.pack(">I", announced) + b"x" * 100)
                prefix.settimeout(10)
                with contextlib.suppress(ConnectionResetError):
                    assert prefix.recv(1) == b""
        with socket.create_connection(("127.0.0.1", ports["prefix"])) as prefix:  # lies, and never sends the rest
            prefix.sendall(struct.pack(">I", limit) + b"x" * 10)
        with socket.create_connection(("127.0.0.1", ports["gap"])) as gap:
            gap.sendall(b"g" * (2 * limit + 7))
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            peers["udp"] = udp.getsockname()[1]
            for size in (limit, limit + 1, 60000, 1):
                udp.sendto(b"u" * size, ("127.0.0.1", ports["udp"]))
        wait_for(lambda: gateway.metric("acquisition", "holdfast_source_oversize_total") == 7, 20,
                 lambda: f"{gateway.metric('acquisition', 'holdfast_source_oversize_total')} of 7", interval=0.05)
        wait_for(lambda: gateway.metric("acquisition", "holdfast_source_records_total", source="udp") == 2, 20, "datagrams")
        wait_for(lambda: gateway.metric("acquisition", "holdfast_source_records_total", source="gap") == 3, 20, "idle gap")
        device.finish()
        gateway.wait_delivered()
        archive = gateway.dump().verify(gaps=True)
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert archive.streams["lines"].values == [b"", b"1", b"a" * limit, None, b"2", None, b"3"]
        assert archive.streams["lines"].gaps == {"oversize": 2}
        assert archive.streams["prefix"].values == [b"ok", None] * 3
        assert archive.streams["prefix"].gaps == {"oversize": 3}
        assert [v and len(v) for v in archive.streams["udp"].values] == [limit, None, None, 1]
        assert [len(v) for v in archive.streams["gap"].values] == [limit, limit, 7]
        log = gateway.log()
        for what, peer in peers.items():
            assert re.search(rf"warning .*frame dropped .*peer=127\.0\.0\.1:{peer} ", log), what


# -- noise on every socket ----------------------------------------------------------------------------------------------

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + b"\0" * 157
NOISE = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", TLS_HELLO, b"HFW1" + b"\xff" * 8, b"HFW1" + bytes(8), b"\xff" * 64,
         b"\xff\0\0\0\0\0\0\0\1\x7f", b"SSH-2.0-x\r\n", b"\0" * 5000, b"PUT / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
         b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"\n" * 1000]


def connect(address):
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=3)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(3)
    connection.connect(str(address))
    return connection


def make_noise(address, dice):
    """All of NOISE, random bytes, half-open connections, byte by byte; whatever the other end does about it is right."""
    half_open = []
    for data in [*NOISE, *(dice.randbytes(dice.randint(1, 20000)) for _ in range(15))]:
        with contextlib.suppress(OSError):
            connection = connect(address)
            connection.sendall(data)
            if dice.random() < 0.3:
                half_open.append(connection)
                continue
            if dice.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.02)
            with contextlib.suppress(OSError):
                connection.recv(65536)
            wire.reset(connection) if dice.random() < 0.5 else connection.close()
    with contextlib.suppress(OSError):
        slow = connect(address)
        for byte in b"HFW1\0\0\0\x10GET / HTTP":
            slow.sendall(bytes([byte]))
        half_open.append(slow)
    return half_open


def crowd(address, size=1100):
    """So many connections at a time, more than the usual limit of descriptors; returns how many came to stand."""
    stand, deadline = [], time.monotonic() + 5
    while len(stand) < size and time.monotonic() < deadline:
        try:
            stand.append(connect(address))
        except BlockingIOError:  # a Unix socket whose queue of connections is full
            time.sleep(0.001)
        except OSError:
            break
    for connection in stand:
        connection.close()
    return len(stand)


@pytest.fixture
def usual_limit():
    """1024 descriptors, as a service gets them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard)), lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_noise_on_every_socket(directory, report, usual_limit, tls):
    """Random bytes, HTTP, TLS, half-open and slow connections, a thousand at a time, on every listening socket: the same
    processes live on, and a device's lines arrive once."""
    dice, port, noisy, udp = random.Random(5), free_port(), free_port(), free_port()
    sources = [line_source(port, "good"), line_source(noisy, "noisy", "none"),
               {"name": "udp", "type": "udp-server", "listen": f"127.0.0.1:{udp}"}]
    secure, link = {}, {"reconnect": {"first": "50ms", "cap": "500ms"}}
    if tls:
        ours = Authority(directory, "ours")
        certificate, key = ours.issue("collector", "IP:127.0.0.1")
        secure = {"collector": {"tls": {"certificate_file": str(certificate), "key_file": str(key)}}}
        link["tls"] = {"ca_file": str(ours.certificate)}
    gateway = Gateway(directory, sources=sources, links=[link], collector_overrides=secure)
    lower, restore = usual_limit
    lower()  # the services are started with it
    with gateway:
        restore()
        gateway.wait_running()
        before = pids(gateway, "collector", "watchdog-collector")
        addresses = [("127.0.0.1", gateway.collector_port)]
        if not tls:
            addresses += [("127.0.0.1", noisy), ("127.0.0.1", gateway.health_port)]
            addresses += sorted(gateway.run.glob("*.sock")) + sorted(gateway.collector_run.glob("*.sock"))
        with LineDevice(port, rate=2000) as device:
            kept = []
            for address in addresses:
                kept += make_noise(address, dice)
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                for _ in range(300 if not tls else 0):
                    sender.sendto(dice.randbytes(dice.randint(0, 2000)), ("127.0.0.1", udp))
            crowds = [crowd(address) for address in addresses]
            for connection in kept:
                connection.close()
            assert pids(gateway, "collector", "watchdog-collector") == before
            wait_for(lambda: gateway.link_up(), 20, "the link")
            wait_for(lambda: device.confirmed > 1000, 20, "load")
            device.finish()
            assert not device.errors
        gateway.wait_running()
        gateway.wait_delivered()
        archive = gateway.dump()
        archive.verify(gaps=True)
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert pids(gateway, "collector", "watchdog-collector") == before, "the same processes"
        peaks = {name.replace("-", "_"): round(peak_mib(pid)) for name, pid in before.items()}
        report(sockets=len(addresses), lines=device.confirmed, smallest_crowd=min(crowds), **peaks)
        assert max(peaks.values()) < 400, f"MiB: {peaks}"
        said = gateway.collector_log()
        assert re.search(r"warning collector .*peer=127\.0\.0\.1:\d+ ", said) or tls and "handshake: " in said
        if not tls:
            refused = {text.split("endpoint=")[1].split(" ")[0] for text in gateway.log().splitlines()
                       if "bus peer refused endpoint=" in text}
            for endpoint in ("store.ingest", "store.dispatch", "tap", "control.store", "events.store"):
                assert endpoint in refused, f"{endpoint} not in {refused}"


# -- valid ZeroMQ, nonsense inside --------------------------------------------------------------------------------------


def nonsense(dice):
    """Multipart messages that nobody sends: wrong numbers of parts, no protobuf, absurd protobuf."""
    offer = ingest_pb2.ProducerMessage()
    offer.offer.producer, offer.offer.session, offer.offer.producer_seq, offer.offer.record_count = "x", 1, 2**64 - 1, 2**32 - 1
    hello = ingest_pb2.ProducerMessage()
    hello.hello.producer, hello.hello.session, hello.hello.record_class = "p" * 10000, 7, "telemetry"
    strange = ingest_pb2.ProducerMessage()
    strange.hello.producer, strange.hello.session, strange.hello.record_class = "a\0b\nc", 9, "no such class"
    links = []
    for fill in (lambda m: m.hello, lambda m: m.ready, lambda m: m.delivered, lambda m: m.down):
        message = dispatch_pb2.LinkMessage()
        part = fill(message)
        part.link, part.session = "l" * 5000, 5
        links.append([message.SerializeToString()])
    lie = dispatch_pb2.LinkMessage()
    lie.delivered.link, lie.delivered.session = "main", 12345
    lie.delivered.delivered.add(record_class="telemetry").ranges.add(first=1, last=2**64 - 1)
    control = control_pb2.ControlRequest(id=1)
    control.log_level.level = "x" * 1000
    return [[b""], [b"", b""], [b"\xff" * 20], [b"x"] * 50, [hello.SerializeToString()], [strange.SerializeToString()],
            [offer.SerializeToString()], [offer.SerializeToString(), b""], [offer.SerializeToString(), dice.randbytes(1000)],
            [offer.SerializeToString(), b"a", b"b", b"c"], *links, [lie.SerializeToString()], [control.SerializeToString()],
            [control.SerializeToString(), b"more"],
            *[[dice.randbytes(dice.randint(0, 300)) for _ in range(dice.randint(1, 4))] for _ in range(60)]]


def test_nonsense_on_the_bus(directory, report):
    """Well-formed ZeroMQ with malformed content, names that would forge log lines, and huge parts, to every bus socket."""
    dice, port = random.Random(11), free_port()
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway:
        gateway.wait_running()
        before = pids(gateway, "collector", "watchdog-collector")
        sockets = sorted(gateway.run.glob("*.sock")) + sorted(gateway.collector_run.glob("*.sock"))
        with LineDevice(port, rate=2000) as device, zmq.Context() as context:
            rogues = []
            for path in sockets:
                for kind, name in ((zmq.DEALER, b"rogue\nforged line"), (zmq.DEALER, b""), (zmq.SUB, b""), (zmq.XSUB, b"")):
                    rogue = context.socket(kind)
                    rogue.linger, rogue.sndtimeo, rogue.immediate = 0, 100, True
                    if name:
                        rogue.routing_id = name
                    rogue.connect(f"ipc://{path}")
                    rogues.append((path, kind, rogue))
            for path, kind, rogue in rogues:
                if kind == zmq.SUB:
                    for number in range(200):
                        rogue.subscribe(b"topic%d" % number)
                    continue
                # a DEALER finds no peer at an XPUB, an XSUB none at a ROUTER
                fits = (kind == zmq.XSUB) == (path.name == "tap.sock" or path.name.startswith("events."))
                for parts in nonsense(dice) if fits else ():
                    with contextlib.suppress(zmq.ZMQError):
                        rogue.send_multipart(parts)
                for size in (70 << 10, 16 << 20) if fits else ():
                    with contextlib.suppress(zmq.ZMQError):
                        rogue.send_multipart([b"x" * size])
            wait_for(lambda: (gateway.metric("store", "holdfast_store_malformed_total") or 0) > 20, 20, "malformed, counted")
            after = device.confirmed
            wait_for(lambda: device.confirmed > after + 2000, 20, "load")
            device.finish()
            assert not device.errors
            for _, _, rogue in rogues:
                rogue.close(0)
        gateway.wait_running()
        gateway.wait_delivered(device.confirmed)
        assert not check_lines(gateway.dump().verify().streams["good"], device.confirmed)
        assert pids(gateway, "collector", "watchdog-collector") == before
        log = gateway.log()
        assert "malformed message endpoint=store.ingest peer=" in log
        assert "malformed message endpoint=store.dispatch" in log
        assert "malformed control request" in log
        peaks = {name.replace("-", "_"): round(peak_mib(pid)) for name, pid in before.items()}
        report(sockets=len(sockets), malformed=gateway.metric("store", "holdfast_store_malformed_total"), **peaks)
        forged = [text for text in log.splitlines() if text.startswith("forged line")]
        assert not forged, "a peer's name begins a line of our log"
        assert "\0" not in log, "binary names in our log"


# -- a gateway that lies ------------------------------------------------------------------------------------------------


def hello(name=b"liar", epoch=77, protocol=1):
    message = wire_pb2.WireMessage()
    message.hello.protocol, message.hello.epoch, message.hello.link = protocol, epoch, "x"
    message.hello.gateway = name
    return wire.frame(message)


def data(first, count, payload=b"", crc=None, record_class="telemetry", gap=0):
    message = wire_pb2.WireMessage()
    message.data.record_class, message.data.first_seq, message.data.record_count = record_class, first, count
    message.data.crc32c = crc32c(payload) if crc is None else crc
    message.data.gap_reason = gap
    return wire.frame(message, payload)


def test_lying_gateway(directory, report):
    """Well-formed frames with absurd content to the collector: the liar is refused or set apart, an honest gateway's lines
    arrive once meanwhile."""
    ping = wire_pb2.WireMessage()
    ping.ping.id = 1
    empty = wire.frame(wire_pb2.WireMessage())
    stories = {
        "data before hello": [data(1, 1, b"x")], "ping before hello": [wire.frame(ping)], "protocol": [hello(protocol=9)],
        "no name": [hello(name=b"")], "no epoch": [hello(epoch=0)], "long name": [hello(name=b"n" * 600), data(1, 1, b"x")],
        "empty frame": [hello(), empty], "checksum": [hello(), data(1, 1, b"x", crc=1)],
        "no class": [hello(), data(1, 1, b"x", record_class="")],
        "long class": [hello(), data(1, 1, b"x", record_class="c" * 65)], "no records": [hello(), data(1, 0, b"x")],
        "seq 0": [hello(), data(0, 1, b"x")], "seq overflow": [hello(), data(2**64 - 1, 10, b"x")],
        "gap with payload": [hello(), data(5, 1, b"x", gap=1)], "data without payload": [hello(), data(5, 1)],
        "overlap": [hello(epoch=78), data(10, 10, b"x"), data(15, 10, b"y")],
        "header is noise": [hello(), b"HFW1" + struct.pack(">II", 20, 0) + b"\xff" * 20],
    }
    accepted = {"seq overflow"}  # its own numbers, nobody else's
    port = free_port()
    with Gateway(directory, sources=[line_source(port, "good")]) as gateway, LineDevice(port, rate=3000) as device:
        gateway.wait_running()
        before = pids(gateway, "collector")
        sessions = gateway.metric("uplink-main", "holdfast_link_sessions_total")
        outcome = {}
        for what, frames in stories.items():
            with socket.create_connection(("127.0.0.1", gateway.collector_port), timeout=5) as liar:
                liar.sendall(b"".join(frames))
                rest, refusal = b"", None
                with contextlib.suppress(OSError):
                    liar.settimeout(0.5 if what in accepted else 5)
                    while found := wire.read_frame(liar, rest):
                        message, rest = found
                        if message.WhichOneof("message") == "refusal":
                            refusal = message.refusal.reason
                outcome[what] = refusal
        unheard = [what for what, refusal in outcome.items() if refusal is None and what not in accepted]
        report("refused", **{what.replace(" ", "_"): repr(refusal) for what, refusal in outcome.items()})
        before_more = device.confirmed
        wait_for(lambda: device.confirmed > before_more + 2000, 20, "load")
        device.finish()
        wait_for(lambda: gateway.unsent() == 0, 30, "everything through", interval=0.1)
        archive = gateway.dump(stream="good")
        assert not check_lines(archive.streams["good"], device.confirmed)
        assert pids(gateway, "collector") == before
        assert gateway.metric("uplink-main", "holdfast_link_sessions_total") == sessions, "the honest session never broke"
        assert len(re.findall(r"warning collector session refused peer=127\.0\.0\.1:\d+ ", gateway.collector_log())) >= 14
        assert not unheard, f"not told why: {unheard}"
