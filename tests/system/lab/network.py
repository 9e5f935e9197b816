"""Links between a gateway and its centre: each delays, loses, limits and cuts as it is told."""
import contextlib
import dataclasses
import json
import subprocess
import time

from harness import BIN
from lab.namespace import Armed, Namespace, NotPermitted

RELAY = BIN / "holdfast-lab-relay"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of link. Names sort by preference."""

    name: str        # of link and device
    title: str
    profile: str     # in the configuration
    round_trip: float  # seconds, as the next two
    jitter: float    # of the round trip, to both sides
    worst: float     # J of targets.md: p99.9 of the jitter
    first_window: int = 0  # initcwnd of its route: segments that TCP sends at once after a rest; 0: as it is (10)

    @property
    def each_way(self):
        """Settings of the relay for one direction."""
        return {"delay": self.round_trip / 2, "jitter": self.jitter / 2}


FIBRE = Kind("fibre", "fibre", "fibre", 0.005, 0.0005, 0.005)
MOBILE = Kind("mobile", "5G", "5g", 0.040, 0.030, 0.150)
SATELLITE = Kind("satellite", "GEO", "satellite", 0.600, 0.020, 0.200)
WIDE_SATELLITE = dataclasses.replace(SATELLITE, title="GEO, initcwnd 64", first_window=64)


class Network:
    """Two namespaces, gateway and centre, and a TUN device per link in both of them, joined by the relay. `addresses`:
    of the centre, by link; the gateway's end is own(link).

        with Network(FIBRE, MOBILE) as network:
            cut_at = network.cut("fibre")
            network.heal("fibre")
    """

    def __init__(self, *kinds, seed=1):
        self.kinds = {kind.name: kind for kind in kinds}
        self.addresses = {name: f"10.213.{i}.2" for i, name in enumerate(self.kinds, 1)}
        self.seed, self._relay = seed, None
        self._armed = {}  # (link, tool) -> Armed
        self._changed = 0.0  # when a device last did

    def __enter__(self):
        if not RELAY.exists():
            raise NotPermitted(f"no {RELAY}: build the target holdfast-lab-relay")
        with contextlib.ExitStack() as undo:
            self.gateway, self.centre = Namespace(), Namespace()
            undo.callback(self.gateway.close)
            undo.callback(self.centre.close)
            self._start_relay()
            undo.callback(self._stop_relay)
            undo.callback(self._disarm)
            for name in self.kinds:
                for space, address in ((self.gateway, self.own(name)), (self.centre, self.addresses[name])):
                    space.run("ip", "address", "add", f"{address}/30", "dev", name)
                    space.run("ip", "link", "set", name, "mtu", "1500", "up")
                self.heal(name)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        self._undo.close()

    def own(self, link):
        return self.addresses[link].removesuffix("2") + "1"

    # .. the relay

    def _start_relay(self):
        spaces = self.gateway.fd, self.centre.fd
        self._relay = subprocess.Popen([RELAY, *map(str, spaces), str(self.seed), *self.kinds], text=True, bufsize=1,
                                       pass_fds=spaces, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer = self._relay.stdout.readline().strip()
        if answer != "ready":
            self._stop_relay()
            raise NotPermitted(f"no TUN device: {answer}")

    def _stop_relay(self):
        self._relay.stdin.close()
        self._relay.stdout.close()
        self._relay.wait(10)

    def _arm(self, link):
        for tool, option in (("ip", "-batch"), ("nft", "-f")):
            if (link, tool) not in self._armed:
                self._armed[link, tool] = Armed(self.gateway, tool, option, "-")

    def _disarm(self):
        for armed in self._armed.values():
            armed.close()

    def tell(self, command):
        self._relay.stdin.write(command + "\n")
        answer = self._relay.stdout.readline().strip()
        assert answer and not answer.startswith("error"), f"{command}: {answer or 'the relay ended'}"
        return answer

    def set(self, link, way="both", **settings):
        """way: up (to the centre), down, both. delay, jitter: seconds; loss: share; rate: bytes/s; queue: bytes;
        cut: none, all (a black hole), data (TCP packets with a payload); reorder: 0 or 1. Returns time.time_ns() of
        the change."""
        at = time.time_ns()
        words = " ".join(f"{key}={value * 1e6 if key in ('delay', 'jitter') else value}"
                         for key, value in settings.items())
        for one in ("up", "down") if way == "both" else (way,):
            self.tell(f"{link} {one} {words}")
        return at

    def stats(self):
        """{"fibre up": {"packets": ...}, ..., "late_micros": the relay's own worst delay}"""
        return json.loads(self.tell("stats"))

    def mark(self):
        """From now on records_over() looks for records."""
        for link in self.kinds:
            self.tell(f"{link} mark")

    def records_over(self, links):
        """time.time_ns() of the first packet with records that went to the centre over one of these links after the
        mark; 0: none yet."""
        stats = self.stats()
        return min(filter(None, (stats[f"{link} up"]["records_at"] for link in links)), default=0)

    # .. what happens to links; all return time.time_ns() of it

    def cut(self, link, way="both"):
        """A black hole: packets vanish. Those under way arrive."""
        return self.set(link, way, cut="all")

    def stall(self, link, way="both"):
        """Connections are made, and nothing passes over them."""
        return self.set(link, way, cut="data")

    def unplug(self, link):
        """The gateway's device loses its carrier, and says so at once: of changes within a second of each other
        the kernel tells later, and its own of bringing up our devices take two."""
        time.sleep(max(self._changed + 2.2 - time.monotonic(), 0))
        at = time.time_ns()
        self.tell(f"{link} carrier off")
        self.cut(link)
        return at

    def disable(self, link):
        """ip link set down, as an operator or a modem's driver does."""
        return self._armed.pop((link, "ip")).go(f"link set {link} down\n")

    def reject(self, link):
        """What the gateway sends there is answered with a reset: connections break, new ones are refused."""
        return self._armed.pop((link, "nft")).go(
            f"table inet {link} {{ chain out {{ type filter hook output priority 0; "
            f"oifname {link} meta l4proto tcp reject with tcp reset; }}; }}\n")

    def narrow(self, link):
        """What the gateway sends there in large packets vanishes, and nobody says so: a tunnel on the way is narrower
        than its ends know."""
        self.centre.run("nft", f"add table inet {link}; add chain inet {link} in {{ type filter hook input priority 0; }}; "
                               f"add rule inet {link} in iifname {link} meta length > 400 drop")
        return time.time_ns()

    def heal(self, link):
        """As its kind is, whatever happened to it."""
        self.set(link, loss=0, rate=0, cut="none", reorder=0, **self.kinds[link].each_way)
        self.tell(f"{link} carrier on")
        for space in (self.gateway, self.centre):
            space.run("nft", f"add table inet {link}; delete table inet {link}")
        self.gateway.run("ip", "link", "set", link, "up")
        if segments := self.kinds[link].first_window:
            self.gateway.run("ip", "route", "replace", f"{self.own(link).removesuffix('1')}0/30", "dev", link,
                             "src", self.own(link), "initcwnd", str(segments))
        self._arm(link)
        self._changed = time.monotonic()
        return time.time_ns()
