"""What arrives at the centre, and what the store says of the links, each with the time at which it was published."""
import bisect
import collections
import itertools
import threading
import time

import zmq
from holdfast.v1 import envelope_pb2, events_pb2, record_pb2

from harness import wait_for

WELL = {"attached", "standby", "active"}  # states of a link that nothing ails


class Watch:
    """arrivals: (time, records, source time of the first) of each new batch on the collector's disk. said: (time, link,
    text, whether it is bad news of that link) of each switch from or to a link and each change of a link's state. All
    times are unix nanoseconds, `time.time_ns()`.
    """

    def __init__(self, gateway):
        self.gateway = gateway
        self.arrivals, self.said = [], []
        self.records = collections.Counter()  # new ones at the centre, by class
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)

    def _run(self):
        context, poller = zmq.Context(), zmq.Poller()
        # The store publishes records too, to whoever asks it for them.
        for path, topics in ((f"{self.gateway.collector_run}/events.collector.sock", ["record."]),
                             (f"{self.gateway.run}/events.store.sock", ["link", "state."])):
            tap = context.socket(zmq.SUB)
            tap.rcvhwm, tap.reconnect_ivl = 1_000_000, 20
            for topic in topics:
                tap.subscribe(topic)
            tap.connect("ipc://" + path)
            poller.register(tap, zmq.POLLIN)
        while not self._stop.is_set():
            for tap, _ in poller.poll(50):
                topic, envelope, payload = tap.recv_multipart()
                self._take(topic.decode(), envelope_pb2.Envelope.FromString(envelope), payload)
        context.destroy(linger=0)

    def _take(self, topic, envelope, payload):
        at = envelope.unix_nanos
        if topic.startswith("record."):
            batch = record_pb2.Batch.FromString(payload)
            self.arrivals.append((at, len(batch.records), batch.base_unix_nanos))
            self.records[topic.removeprefix("record.")] += len(batch.records)
        elif topic.startswith("link"):
            event = events_pb2.LinkSwitch.FromString(payload)
            before, after = getattr(event, "from"), event.to
            text = (f"{event.kind} {event.record_class} from {before or 'nothing'} to {after or 'nothing'}: "
                    f"{event.cause}")
            for link in {before, after} - {""}:
                self.said.append((at, link, text, link == before and event.kind in ("switched", "diverted")))
        else:
            change = events_pb2.StateChange.FromString(payload)
            kind, _, link = change.component.partition(":")
            if kind == "link":
                text = f"{getattr(change, 'from') or 'nothing'} to {change.to}: {change.reason}"
                self.said.append((at, link, text, change.to not in WELL))

    # .. questions

    def since(self, moment):
        """What was said after a moment, in order."""
        return list(itertools.takewhile(lambda entry: entry[0] > moment, reversed(self.said)))[::-1]

    def news(self, link, moment):
        """The texts of this link after a moment."""
        return [text for _, name, text, _ in self.since(moment) if name == link]

    def told(self, link, moment):
        """The first bad news of this link after a moment: (time, text), or None."""
        return next(((at, text) for at, name, text, bad in self.since(moment) if bad and name == link), None)

    def made_after(self, moment):
        """When the first record made after this moment was there; None: not yet."""
        arrivals = self.arrivals
        first = bisect.bisect_left(arrivals, (moment,))
        return next((at for at, _, made in arrivals[first:] if made > moment), None)

    def longest_gap(self, begin, end):
        """The longest time without a new record that touches this interval, in nanoseconds."""
        arrivals = self.arrivals
        first, last = bisect.bisect_left(arrivals, (begin,)), bisect.bisect_left(arrivals, (end + 1,))
        around = [at for at, _, _ in arrivals[max(first - 1, 0):last + 1]]
        return max((b - a for a, b in zip(around, around[1:])), default=end - begin)

    def lag(self, period):
        """How old the arrivals of the last so many seconds were when they came, the oldest of them, in seconds."""
        begin = time.time_ns() - int(period * 1e9)
        arrivals = self.arrivals
        latest = arrivals[bisect.bisect_left(arrivals, (begin,)):]
        return max(((at - made) / 1e9 for at, _, made in latest), default=float("inf"))

    def wait_flow(self, timeout=30):
        """Until records arrive that were made after this call."""
        now = time.time_ns()
        return wait_for(lambda: self.made_after(now), timeout, "no new record arrives")
