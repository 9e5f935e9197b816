"""A gateway under a steady load, and what becomes of the load when something happens to a link."""
import contextlib
import dataclasses
import time

from devices import LineDevice, check_lines
from harness import free_port, line_source, wait_for
from lab.network import Network
from lab.site import LabGateway
from lab.watch import Watch

RATE = 1000  # records/s
COMMITS = 0.1  # seconds that records take at the gateway and at the centre, beside their way, when nothing is wrong


@dataclasses.dataclass
class Move:
    """What a fault of a link brought about, in seconds after it."""

    at: int             # the fault, time.time_ns()
    reaction: float     # the gateway says something bad of the link
    redirected: float   # the first records go out over another link
    gap: float          # the longest time without a new record at the centre
    said: str


class Trial:
    """A gateway under load with these links, watched; the first link carries, or `carriers` do. At the end everything
    must have arrived once and in order.

        with Trial(directory, FIBRE, MOBILE) as trial:
            move = trial.strike("fibre", "cut")
        trial.verify()
    """

    def __init__(self, directory, *kinds, rate=RATE, seed=1, classes=(), record_class="telemetry", carriers=(),
                 **settings):
        self.rate, port = rate, free_port()
        self.carriers = carriers or [kinds[0].name]
        self.network = Network(*kinds, seed=seed)
        self._site = {"directory": directory, "sources": [line_source(port, **{"class": record_class})],
                      "overrides": {"classes": list(classes)} if classes else None} | settings
        self.device = LineDevice(port, rate=rate)

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.network)
            self.gateway = undo.enter_context(LabGateway(network=self.network, **self._site))
            self.watch = undo.enter_context(Watch(self.gateway))
            self.gateway.wait_running(30)
            with self.network.gateway.entered():
                undo.enter_context(self.device)
            self.wait_carrying(*self.carriers)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self._finish()
        finally:
            self._undo.close()

    def _finish(self):
        for name in self.network.kinds:
            self.network.heal(name)
        self.device.finish()
        self.gateway.wait_delivered(self.device.made)
        self.known = self.gateway.metric("collector", "holdfast_collector_duplicates_total")
        self.relay_late_ms = self.network.stats()["late_micros"] / 1e3

    def verify(self):
        """0 lost, 0 doubled, order exact; after the end. Returns figures."""
        assert not self.gateway.leftovers()
        archive = self.gateway.dump().verify()
        problems = self.device.errors + check_lines(archive.streams["lines"], self.device.made)
        problems += self.gateway.check_books(archive)
        assert not problems, "; ".join(problems)
        return {"records": self.device.made, "lost": 0, "doubled": 0, "known_before": int(self.known or 0)}

    # .. what carries: by the packets, not by what the gateway says

    def carrying(self, period=0.06):
        """The links over which records go to the centre now, the busiest first."""
        before = self.network.stats()
        time.sleep(period)  # the measurement itself
        after = self.network.stats()
        sent = {name: after[f"{name} up"]["bytes"] - before[f"{name} up"]["bytes"] for name in self.network.kinds}
        least = 0.5 * self.rate * 100 * period
        return sorted((name for name in sent if sent[name] > least), key=sent.get, reverse=True)

    def wait_carrying(self, *links, timeout=60):
        """Until the records go over these links and no others, and arrive."""
        wait_for(lambda: set(self.carrying()) == set(links), timeout,
                 lambda: f"{self.carrying()} carry, not {links}: {self.watch.said[-6:]}")
        self.watch.wait_flow()

    def settle(self, *links, timeout=60):
        """... and have arrived for some round trips as soon as the way allows, and nothing is left on other links:
        what was before is over. Returns time.time_ns()."""
        self.wait_carrying(*links, timeout=timeout)
        kinds = [self.network.kinds[name] for name in links]
        usual = min((kind.round_trip + kind.jitter) / 2 for kind in kinds) + COMMITS
        period = 2 * min(kind.round_trip for kind in kinds) + 0.2
        wait_for(lambda: self.watch.lag(period) < usual and not self.left_on_others(links), timeout,
                 lambda: f"records take {self.watch.lag(period):.3f} s, {self.left_on_others(links)} bytes elsewhere")
        return time.time_ns()

    def rest(self, *links):
        """Lets TCP on links without traffic forget its window (it halves it after each idle retransmission timeout):
        a standby has none, and its first round trips are a slow start."""
        time.sleep(max(5 * (self.network.kinds[name].round_trip + 0.3) for name in links))

    def left_on_others(self, links):
        """Bytes that the store counts as under way on other links."""
        reply = self.gateway.ask("store", links={"switches": 1})
        return sum(link.in_flight_bytes for link in reply.links.links if link.name not in links) if reply else -1

    def seen_carrying(self, seconds):
        """The links over which records go at some time of that. A slow start leaves pauses as long as a round trip."""
        end, seen = time.monotonic() + seconds, set()
        while time.monotonic() < end:
            seen |= set(self.carrying(0.2))
        return seen

    def stays(self, link, seconds):
        """Asserts that this link alone carries for so long."""
        seen = self.seen_carrying(seconds)
        assert seen == {link}, f"{seen} carry: {self.watch.said[-6:]}"

    # .. faults

    def strike(self, link, fault, *arguments, timeout=30, **settings):
        """Does this to the link (a method of the network), and waits until the gateway has reacted and a record that is
        newer than that has arrived. Returns a Move."""
        self.network.mark()
        at = getattr(self.network, fault)(link, *arguments, **settings)
        told, text = wait_for(lambda: self.watch.told(link, at), timeout, f"nothing bad is said about {link}")
        others = [name for name in self.network.kinds if name != link]
        over = wait_for(lambda: self.network.records_over(others), timeout, f"nothing goes over {others}: {text}")
        end = wait_for(lambda: self.watch.made_after(told), timeout, lambda: f"no record after: {text}")
        return Move(at, (told - at) / 1e9, (over - at) / 1e9, self.watch.longest_gap(at, end) / 1e9, text)

    def dead(self, link, at, timeout=30):
        """Until the store calls it down: a cut that ends before that is a short disturbance, and another subject."""
        wait_for(lambda: any(" to down" in text for text in self.watch.news(link, at)), timeout,
                 lambda: f"{link} is not down: {self.watch.said[-6:]}")
