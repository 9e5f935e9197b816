"""When records reach the archive."""
import bisect
import threading
import time

import zmq
from holdfast.v1 import control_pb2

from harness.base import wait_for


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
