"""What an uplink and its store say about a link: the test plays the store."""
import contextlib
import subprocess
import time

import zmq
from holdfast.v1 import dispatch_pb2, wire_pb2

from harness import BIN, Gateway, free_port, wait_for
from peers.relay import Impostor

Status = dispatch_pb2.LinkStatus
EPOCH = 4711


class PlayedStore:
    """Welcomes the uplink, and keeps what it says."""

    def __init__(self, gateway):
        gateway.run.mkdir(mode=0o700, exist_ok=True)
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(f"ipc://{gateway.run}/store.dispatch.sock")
        self.uplink, self.session, self.said = None, 0, []

    def close(self):
        self.socket.close()

    def send(self, payload=None, **message):
        m = dispatch_pb2.RouteMessage(**message)
        getattr(m, m.WhichOneof("message")).session = self.session
        self.socket.send_multipart([self.uplink, m.SerializeToString()] + ([payload] if payload else []))

    def listen(self):
        while self.socket.poll(0):
            self.uplink, frame = self.socket.recv_multipart()[:2]
            m = dispatch_pb2.LinkMessage.FromString(frame)
            if m.HasField("hello"):
                self.session = m.hello.session
                self.send(welcome=dispatch_pb2.LinkWelcome(gateway="g", epoch=EPOCH))
            self.said.append((time.monotonic(), m))

    def reports(self):
        """The new LinkStatus, with their times."""
        self.listen()
        return [(at, m) for at, m in self.said if m.HasField("status")]

    def wait(self, wanted, what, timeout=10):
        """Until one of the new messages is wanted; returns it and forgets those before it."""
        def found():
            self.listen()
            for n, (_, m) in enumerate(self.said):
                if wanted(m):
                    del self.said[:n + 1]
                    return m
            return None
        return wait_for(found, timeout, lambda: f"{what}; last: {[m for _, m in self.said[-3:]]}", 0.005)

    def health(self, health, timeout=10):
        return self.wait(lambda m: m.HasField("status") and m.status.health == health, Status.Health.Name(health),
                         timeout).status


@contextlib.contextmanager
def played(directory, link):
    """An uplink between a store that is played and a collector."""
    gateway = Gateway(directory, links=[link])
    store = PlayedStore(gateway)
    with open(directory / "uplink.log", "w", encoding="utf-8") as log:
        uplink = subprocess.Popen([BIN / "holdfast-uplink", "--config", gateway.config_path, "--link", "main"],
                                  stderr=log)
    try:
        yield gateway, store
    finally:
        uplink.terminate()
        assert uplink.wait(10) == 0
        store.close()
        gateway.stop()


def test_orders_and_status(directory):
    """A session that the store does not want ends and stays away, until it is wanted."""
    with played(directory, {"heartbeat_interval": "500ms"}) as (gateway, store):
        gateway.start_collector()
        store.wait(lambda m: m.HasField("ready"), "no session")
        status = store.health(Status.HEALTH_UP)
        reports = wait_for(lambda: (found := store.reports())[3:] and found, 10, "no status each second")
        gaps = [later[0] - earlier[0] for earlier, later in zip(reports, reports[1:])]
        assert 0.7 < sorted(gaps)[len(gaps) // 2] < 1.6, gaps
        last = reports[-1][1].status
        assert last.proofs > status.proofs and last.round_trip_micros > 0 and last.wire_bytes > status.wire_bytes
        assert last.breaker == "closed" and last.sent_sessions == 1

        failures = gateway.metric("uplink-main", "holdfast_link_failures_total")
        store.send(order=dispatch_pb2.LinkOrder(connect=True, state="standby"))
        wait_for(lambda: "standby" in detail(gateway), 5, lambda: detail(gateway))
        store.send(order=dispatch_pb2.LinkOrder(connect=False, state="drained"))
        assert "drained" in store.wait(lambda m: m.HasField("down"), "the session goes on").down.reason
        wait_for(lambda: gateway.component("uplink-main", "link:main") == "resting", 5, lambda: detail(gateway))
        assert detail(gateway) == "drained" and gateway.state("uplink-main") == "running"
        store.said.clear()
        wait_for(lambda: store.reports()[2:], 10, "no status")
        assert not any(m.HasField("ready") for _, m in store.said), "an unwanted session"
        store.send(order=dispatch_pb2.LinkOrder(connect=True, state="active"))
        store.wait(lambda m: m.HasField("ready"), "no session though it is wanted")
        assert gateway.metric("uplink-main", "holdfast_link_failures_total") == failures


def test_answers_before_rest(directory):
    """An unwanted session ends as soon as what is in flight was answered."""
    with played(directory, {}) as (gateway, store):
        gateway.start_collector()
        rest = rest_with_one_in_flight(store)
        answered = [m for _, m in store.said if m.HasField("delivered") and m.delivered.delivered]
        assert answered and rest < 1.5, rest


def test_no_answer_before_rest(directory):
    """... and without an answer after 2 s, or when the silent session is given up."""
    with Impostor(welcome_and_be_silent) as server:
        with played(directory, {"connect": "%s:%d" % server.address}) as (_, store):
            assert 1 < rest_with_one_in_flight(store) < 3.5


def rest_with_one_in_flight(store):
    """Seconds from the order to the end of the session; what was said meanwhile is kept."""
    store.wait(lambda m: m.HasField("ready"), "no session")
    began = time.monotonic()
    store.said.clear()
    store.send(dispatch=dispatch_pb2.Dispatch(record_class="telemetry", first_seq=1, record_count=5, gap_reason=1))
    store.send(order=dispatch_pb2.LinkOrder(connect=False, state="drained"))
    wait_for(lambda: (store.listen(), any(m.HasField("down") for _, m in store.said))[1], 10, "the session goes on")
    return time.monotonic() - began


def welcome_and_be_silent(connection):
    welcome = wire_pb2.WireMessage(welcome=wire_pb2.WireWelcome(protocol=1, max_frame_bytes=1 << 20)).SerializeToString()
    connection.sendall(b"HFW1" + len(welcome).to_bytes(4, "big") + bytes(4) + welcome)
    while connection.recv(65536):
        pass


def test_breaker_tells(directory):
    """Nobody listens: the breaker opens, says so, and is half open later; then a collector comes."""
    link = {"reconnect": {"quick_attempts": 0, "first": "20ms", "cap": "50ms"}, "connect": f"127.0.0.1:{free_port()}",
            "tuning": {"breaker": {"open": "1s"}}}
    with played(directory, link) as (gateway, store):
        status = store.health(Status.HEALTH_CIRCUIT_OPEN)
        assert status.breaker == "open"
        wait_for(lambda: gateway.component("uplink-main", "link:main") == "circuit open", 5, lambda: detail(gateway))
        assert gateway.metric("uplink-main", "holdfast_link_breaker", state="open") == 1
        assert gateway.metric("uplink-main", "holdfast_link_breaker_openings_total") >= 1
        assert store.wait(lambda m: m.HasField("status") and m.status.breaker == "half-open", "open for ever")


def detail(gateway):
    status = gateway.status("uplink-main")
    return next((c.detail for c in status.components if c.name == "link:main"), "") if status else ""
