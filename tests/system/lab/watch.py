"""What arrives at the centre, and what the gateway says of its links, each with the time at which it was published."""
import bisect
import threading
import time

import zmq
from holdfast.v1 import envelope_pb2, events_pb2, record_pb2

from harness import wait_for


class Watch:
    """arrivals: (time, records, source time of the first) of each new batch on the collector's disk. said: (time, link,
    text) of each switch of the store away from or to a link and each change of a link's state. All times are unix
    nanoseconds, `time.time_ns()`.
    """

    def __init__(self, gateway):
        self.gateway = gateway
        self.arrivals, self.said = [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)

    def _run(self):
        context = zmq.Context()
        tap = context.socket(zmq.SUB)
        tap.linger, tap.rcvhwm, tap.reconnect_ivl = 0, 1_000_000, 20
        for topic in ("record.", "link", "state."):
            tap.subscribe(topic)
        tap.connect(f"ipc://{self.gateway.collector_run}/events.collector.sock")
        for instance in ["store"] + [f"uplink-{link['name']}" for link in self.gateway.links]:
            tap.connect(f"ipc://{self.gateway.run}/events.{instance}.sock")
        while not self._stop.is_set():
            if tap.poll(50):
                topic, envelope, payload = tap.recv_multipart()
                self._take(topic.decode(), envelope_pb2.Envelope.FromString(envelope), payload)
        tap.close()
        context.term()

    def _take(self, topic, envelope, payload):
        at = envelope.unix_nanos
        if topic.startswith("record."):
            batch = record_pb2.Batch.FromString(payload)
            self.arrivals.append((at, len(batch.records), batch.base_unix_nanos))
        elif topic.startswith("link"):
            event = events_pb2.LinkSwitch.FromString(payload)
            before = getattr(event, "from")
            for link in {before, event.to} - {""}:
                self.said.append((at, link, f"{event.kind}: {event.record_class} from {before or 'nothing'} to "
                                            f"{event.to or 'nothing'}: {event.cause}"))
        else:
            change = events_pb2.StateChange.FromString(payload)
            kind, _, link = change.component.partition(":")
            if kind == "link":
                self.said.append((at, link, f"{getattr(change, 'from')} to {change.to}: {change.reason}"))

    # .. questions

    def told(self, link, moment):
        """The first thing said of this link after a moment: (time, text), or None."""
        return next(((at, text) for at, name, text in list(self.said) if name == link and at > moment), None)

    def made_after(self, moment):
        """When the first record made after this moment was there; None: not yet."""
        arrivals = self.arrivals
        first = bisect.bisect_left(arrivals, (moment,))
        return next((at for at, _, made in arrivals[first:] if made > moment), None)

    def longest_gap(self, begin, end):
        """The longest time without a new record that touches this interval, in nanoseconds."""
        stamps = [at for at, _, _ in self.arrivals]
        first, last = bisect.bisect_left(stamps, begin), bisect.bisect_right(stamps, end)
        around = stamps[max(first - 1, 0):last + 1]
        return max((b - a for a, b in zip(around, around[1:])), default=end - begin)

    def wait_flow(self, timeout=30):
        """Until records arrive that were made after this call."""
        now = time.time_ns()
        return wait_for(lambda: self.made_after(now), timeout, "no new record arrives")
