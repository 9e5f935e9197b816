"""The link between uplink and collector: certificates, servers that are no collectors, connections that are cut, and
acknowledgements that get lost. Whatever happens, each line of a device arrives once, and a dead link says why."""
import pathlib
import random
import shutil
import threading
import time

import pytest

from devices import LineDevice, check_lines
from harness import Gateway, free_port, line_source, wait_for
from peers import relay as r
from peers.certificates import Authority
from peers.looks import wait_component
from peers.relay import Impostor, Relay

# Quick enough for a test: a real link waits longer between attempts.
QUICK = {"connect_timeout": "1s", "heartbeat_interval": "200ms", "heartbeat_timeout": "1s",
         "reconnect": {"quick": "20ms", "first": "50ms", "cap": "200ms", "unavailable_after": 1000},
         "tuning": {"breaker": {"open": "1s"}}}


def delivered_once(gateway, device, origins=1):
    device.wait() if device.total else device.finish()
    assert not device.errors
    gateway.wait_delivered(device.confirmed)
    archive = gateway.dump().verify(origins=origins)
    assert not check_lines(archive.streams["lines"], device.confirmed)
    return archive


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    where = tmp_path_factory.mktemp("certificates")
    ours, theirs = Authority(where, "ours"), Authority(where, "theirs")
    names = "DNS:collector.test,IP:127.0.0.1"
    return {
        "ca": ours.certificate, "wrong ca": theirs.certificate,
        "collector": ours.issue("collector", names),
        "gateway": ours.issue("gateway"),
        "stranger": theirs.issue("collector", names),
        "other name": ours.issue("other", "DNS:other.test"),
        "expired": ours.issue("expired", names, days=0),
        "foreign gateway": theirs.issue("gateway"),
    }


def met(gateway, server, words):
    """What the link says about this server: from the second attempt on it cannot be about another one any more."""
    if server is not None:
        wait_for(lambda: server.accepted >= 2, 15, "the link's second attempt")
    return wait_component(gateway, "uplink-main", "link:main", *words)


def silence(connection):
    while connection.recv(65536):
        pass


def test_tls(directory, report, papers):
    """One link meets every kind of wrong server in turn, then the real one; two more links lack the right client
    certificate all the time."""
    certificate, key = papers["collector"]
    own, own_key = papers["gateway"]
    foreign, foreign_key = papers["foreign gateway"]
    trust = {"ca_file": str(papers["ca"]), "server_name": "collector.test"}
    switch, port = Relay(None), free_port()
    wrong = {
        "wrong CA": (Impostor(silence, *papers["stranger"]), "unable to get local issuer certificate"),
        "wrong host name": (Impostor(silence, *papers["other name"]), "hostname mismatch"),
        "expired": (Impostor(silence, *papers["expired"]), "certificate has expired"),
        "TLS 1.1 only": (Impostor(silence, certificate, key, only_tls_1_1=True), "protocol"),
        "plain TCP, silent": (Impostor(silence), "no connection in time"),
        "plain TCP, talks": (Impostor(lambda c: c.sendall(b"220 mail.example.net ESMTP\r\n")), "wrong version number"),
        "TLS, silent": (Impostor(silence, certificate, key), "no welcome"),
        "nobody there": (None, ("closed by the other end", "reset by peer", "stream truncated", "unexpected eof")),
    }
    links = [{"tls": trust | {"certificate_file": str(own), "key_file": str(own_key)},
              "connect": f"127.0.0.1:{switch.port}"} | QUICK,
             {"name": "naked", "tls": trust} | QUICK,
             {"name": "foreign",
              "tls": trust | {"certificate_file": str(foreign), "key_file": str(foreign_key)}} | QUICK]
    gateway = Gateway(directory, sources=[line_source(port)], links=links, collector_overrides={"collector": {
        "tls": {"certificate_file": str(certificate), "key_file": str(key), "ca_file": str(papers["ca"])}}})
    with switch, gateway, LineDevice(port, rate=500) as device:
        for what, (server, words) in wrong.items():
            switch.target = server.address if server else None
            switch.cut()
            words = (words,) if isinstance(words, str) else words
            report(f"{what}: {met(gateway, server, words)}")
            assert not gateway.link_up()
        for link in ("naked", "foreign"):
            said = wait_component(gateway, f"uplink-{link}", f"link:{link}", "certificate required", "unknown ca",
                                  "bad certificate")
            report(f"link {link}: {said}")
            assert not gateway.link_up(link)
        assert "handshake: " in gateway.collector_log()
        assert gateway.archived() == 0
        assert device.confirmed > 0, "the store takes while all links are down"
        switch.target = ("127.0.0.1", gateway.collector_port)
        switch.cut()
        begin = time.monotonic()
        wait_for(gateway.link_up, 10, "the mended link")
        report("healed", seconds=time.monotonic() - begin)
        delivered_once(gateway, device)
    for server, _ in wrong.values():
        if server:
            server.__exit__()


def test_one_sided_tls(directory, papers):
    """The server alone has a certificate, and the link checks the address."""
    certificate, key = papers["collector"]
    port = free_port()
    with Gateway(directory, sources=[line_source(port)], links=[{"tls": {"ca_file": str(papers["ca"])}} | QUICK],
                 collector_overrides={"collector": {"tls": {"certificate_file": str(certificate),
                                                            "key_file": str(key)}}}) as gateway:
        gateway.wait_running()
        with LineDevice(port, total=20000) as device:
            delivered_once(gateway, device)


# -- servers that are no collectors ------------------------------------------------------------------------------------


def welcome_then(act):
    def behave(connection):
        r.read_frame(connection)
        message = r.wire_pb2.WireMessage()
        message.welcome.protocol, message.welcome.collector, message.welcome.max_frame_bytes = 1, "false", 8 << 20
        connection.sendall(r.frame(message))
        act(connection)
    return behave


def refuse(connection):
    r.read_frame(connection)
    message = r.wire_pb2.WireMessage()
    message.refusal.reason, message.refusal.permanent = "not today", True
    connection.sendall(r.frame(message))
    silence(connection)


def test_no_collector_at_the_other_end(directory, report):
    """Accepts and never answers, answers nonsense, hangs up, refuses, welcomes and falls silent: the link says what is
    wrong, nothing is lost, and it heals."""
    port = free_port()
    wrong = {
        "never answers": (silence, "no welcome from"),
        "talks HTTP": (lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
                       "malformed frame"),
        "random bytes": (lambda c: c.sendall(b"HFW1\0\0\0\x10\0\0\0\0" + bytes(range(200, 216))), "malformed frame"),
        "huge frame": (lambda c: c.sendall(b"HFW1" + b"\xff" * 8), "above the limit"),
        "hangs up": (lambda c: c.close(), "closed by the other end", "reset by peer"),
        "refuses": (refuse, "not today"),
        "welcomes, then silence": (welcome_then(silence), "no answer from"),
    }
    with Relay(None) as switch, Gateway(directory, sources=[line_source(port)], links=[
            {"connect": f"127.0.0.1:{switch.port}"} | QUICK]) as gateway, LineDevice(port, rate=500) as device:
        for what, (behave, *words) in wrong.items():
            with Impostor(behave) as server:
                switch.target = server.address
                switch.cut()
                report(f"{what}: {met(gateway, server, words)}")
        assert gateway.archived() == 0
        pid = gateway.pid("uplink-main")
        switch.target = ("127.0.0.1", gateway.collector_port)
        switch.cut()
        delivered_once(gateway, device)
        assert gateway.pid("uplink-main") == pid, "the uplink was restarted"


def test_acknowledgement_of_what_was_never_sent(directory):
    """A destination that confirms numbers nobody has given it: what is stored later must still be delivered."""
    port = free_port()
    told = threading.Event()

    def lie(connection):
        message = r.wire_pb2.WireMessage()
        stored = message.ack.stored.add(record_class="telemetry")
        stored.ranges.add(first=1, last=10**9)
        stored.ranges.add(first=2**64 - 2, last=2**64 - 1)
        connection.sendall(r.frame(message))
        told.set()
        silence(connection)
    with Impostor(welcome_then(lie)) as liar, Relay(liar.address) as switch, Gateway(
            directory, sources=[line_source(port)], links=[{"connect": f"127.0.0.1:{switch.port}"} | QUICK]) as gateway:
        assert told.wait(10)
        wait_component(gateway, "uplink-main", "link:main", "no answer from")  # so the lie has been read
        switch.target = None
        with LineDevice(port, total=5000) as device:
            device.wait()
            pid = gateway.kill("store")  # what it knows now is what it wrote down
            wait_for(lambda: gateway.pid("store") not in (None, pid), 10, "the store's next life")
            switch.target = ("127.0.0.1", gateway.collector_port)
            delivered_once(gateway, device)


# -- connections that are cut ------------------------------------------------------------------------------------------


def test_cut_at_random_bytes(directory, report):
    """A relay cuts the connection 30 times in the middle of whatever is on the wire."""
    port, dice = free_port(), random.Random(7)
    gateway = Gateway(directory, sources=[line_source(port)])
    with Relay(("127.0.0.1", gateway.collector_port), cut_after=lambda: dice.randint(1, 400000)) as relay:
        gateway.configuration["links"][0].update({"connect": f"127.0.0.1:{relay.port}"} | QUICK)
        gateway.write_configurations()
        with gateway, LineDevice(port, rate=20000) as device:
            wait_for(lambda: relay.cuts >= 30, 60, lambda: f"{relay.cuts} cuts, {device.counts()}")
            relay.cut_after = None
            relay.cut()
            delivered_once(gateway, device)
            report(cuts=relay.cuts, records=device.confirmed, batches_refused_as_known=duplicates(gateway))


def duplicates(gateway):
    return gateway.metric("collector", "holdfast_collector_duplicates_total")


def test_lost_acknowledgements(directory, report):
    """The collector has committed, the gateway never hears of it: the next session's welcome tells, and its first
    acknowledgement confirms that what is there is the same."""
    port = free_port()
    gateway = Gateway(directory, sources=[line_source(port)])
    with Relay(("127.0.0.1", gateway.collector_port), swallow_acks=1) as relay:
        gateway.configuration["links"][0].update({"connect": f"127.0.0.1:{relay.port}"} | QUICK)
        gateway.write_configurations()
        with gateway, LineDevice(port, rate=10000) as device:
            for round_ in range(1, 16):
                wait_for(lambda: relay.cuts >= round_, 20, lambda: f"{relay.cuts} cuts, {device.counts()}")
                relay.pass_acks, relay.swallow_acks = 1 + round_ % 3, 1 + round_ % 4
            relay.swallow_acks = None
            relay.cut()
            delivered_once(gateway, device)
            report(swallowed=relay.swallowed, records=device.confirmed, duplicates=duplicates(gateway))
            assert relay.swallowed >= 15


def test_collector_restarts(directory, report):
    port = free_port()
    with Gateway(directory, sources=[line_source(port)], links=[QUICK]) as gateway:
        gateway.wait_running()
        with LineDevice(port, rate=20000) as device:
            for round_ in range(6):
                before, pid = device.confirmed, gateway.pid("collector")
                wait_for(lambda: device.confirmed > before + 2000, 20, "load")
                if round_ % 2:
                    gateway.ask("watchdog-collector", restart={"process": "collector"})
                else:
                    gateway.kill("collector")
                wait_for(lambda: gateway.pid("collector") not in (None, pid), 20, "the collector's next life")
                wait_for(gateway.link_up, 20, "the link's next session")
            delivered_once(gateway, device)
            report(restarts=6, records=device.confirmed)


# -- who is who --------------------------------------------------------------------------------------------------------


def test_two_gateways(directory):
    """Both count from 1; the collector keeps them apart."""
    ports = free_port(), free_port()
    with Gateway(directory, sources=[line_source(ports[0])], links=[QUICK]) as first:
        (pathlib.Path(directory) / "two").mkdir()
        with Gateway(directory / "two", sources=[line_source(ports[1])], collector=False, name="gateway-2", links=[
                {"connect": f"127.0.0.1:{first.collector_port}"} | QUICK]) as second:
            wait_for(lambda: first.link_up() and second.link_up(), 15, "both links")
            with LineDevice(ports[0], total=30000) as one, LineDevice(ports[1], total=20000) as two:
                one.wait()
                two.wait()
            wait_for(lambda: first.archived() == 50000, 30, lambda: f"archived {first.archived()}", interval=0.1)
            archive = first.dump().verify(origins=2)
            counts = {origin[0]: len(seqs) for origin, seqs in archive.origins.items()}
            assert counts == {"gateway-1": 30000, "gateway-2": 20000}


def test_two_epochs(directory):
    """A wiped store counts from 1 again; its numbers and the old ones do not meet."""
    port = free_port()
    with Gateway(directory, sources=[line_source(port)], links=[QUICK]) as gateway:
        with LineDevice(port, total=3000) as device:
            device.wait()
        gateway.wait_delivered(3000)
        gateway.stop_gateway()
        shutil.rmtree(gateway.store_directory)
        gateway.start_gateway()
        with LineDevice(port, total=2000) as device:
            device.wait()
        gateway.wait_delivered(5000)
        archive = gateway.dump().verify(origins=2)
        assert sorted(len(seqs) for seqs in archive.origins.values()) == [2000, 3000]
        assert len({epoch for _, epoch, _ in archive.origins}) == 2
