"""A link that carries, but slowly: an answer waits behind data, and that is no reason to give a session up."""
import sys
import time

from harness import ROOT, Gateway, wait_for
from peers.slow_net import bring_up, in_own_network, slow_down

sys.path.insert(0, str(ROOT / "tests/examples"))
from producer import Producer, numbered_batch  # noqa: E402

BATCHES = 13
RECORDS = 16000  # of a batch: about 102 KiB, 3.2 s at 256 kbit/s, longer than heartbeat_timeout
LINK = {"window": "1MiB", "heartbeat_interval": "1s", "heartbeat_timeout": "3s"}


def test_slow_link(directory, report):
    in_own_network(lambda: fill_a_slow_link(directory, report))


def fill_a_slow_link(directory, report):
    """Live records fill the whole window; what brings them needs no network."""
    bring_up()
    with Gateway(directory, links=[LINK]) as gateway:
        gateway.wait_running()
        tried = gateway.metric("uplink-main", "holdfast_link_failures_total")
        slow_down("256kbit", 16 << 10)
        begin = time.monotonic()
        producer = Producer(gateway.run, "numbers", "telemetry")
        for batch in range(BATCHES):
            producer.send(numbered_batch("numbers", batch * RECORDS, RECORDS), RECORDS)
        producer.flush()
        producer.close()
        wait_for(lambda: (gateway.metric("store", "holdfast_store_in_flight_bytes") or 0) > 900_000, 60,
                 "a full window")
        wait_for(lambda: gateway.unsent() == 0, 180, lambda: f"unsent {gateway.unsent()}\n{gateway.log()[-2000:]}",
                 interval=0.2)
        seconds = time.monotonic() - begin
        report(seconds=seconds, sessions=gateway.metric("uplink-main", "holdfast_link_sessions_total"),
               round_trip=gateway.metric("uplink-main", "holdfast_link_round_trip_seconds"))
        assert seconds > 28, "the link is not slow"
        assert gateway.metric("uplink-main", "holdfast_link_sessions_total") == 1
        assert gateway.metric("uplink-main", "holdfast_link_failures_total") == tried
        numbers = gateway.dump().verify().streams["numbers"]
        assert numbers.values == list(range(BATCHES * RECORDS))
