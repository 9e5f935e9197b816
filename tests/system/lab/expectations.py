"""What the laboratory's tests expect, all of it: the settings of links, the targets, and what is asserted.

Targets are p99, in seconds; a machine with other work misses them now and then, so tests print them and assert
`asserted()` only.
"""
from lab.network import FIBRE, MOBILE, SATELLITE, WIDE_SATELLITE

# (active, standby) -> (from the cut to redirected traffic, service gap at the receiver): table A of the targets.
TARGETS = {(FIBRE, MOBILE): (0.1, 0.2), (MOBILE, SATELLITE): (0.5, 1.0), (MOBILE, WIDE_SATELLITE): (0.5, 1.0),
           (SATELLITE, MOBILE): (2.0, 2.5)}
FAILOVER = {FIBRE: 0.2, MOBILE: 0.5, SATELLITE: 1.0}  # the time each kind of link is given, from the cut to the switch
TOLD = 0.05  # reset, refused, carrier lost: to the first record on the standby, without the way there
BROWNOUT = {FIBRE: 3.0, MOBILE: 8.0, SATELLITE: 45.0}  # 5 % loss, or the round trip three times as long
BROWNOUT_PAIRS = [(FIBRE, MOBILE), (MOBILE, SATELLITE)]  # of the tests; the benchmark adds satellite to 5G
LEARNING = {FIBRE: 5, MOBILE: 8, SATELLITE: 35}  # seconds before that: what is usual is the p95 of some windows
FLAPS = 4  # switches until a flapping link is left alone
COMMIT_MS = 30  # of the centre's disk: what a gap is longer than its cause
UNDISTURBED_MS = 300  # the longest gap of a link that nothing happens to, beside 5G's own
# Interval and timeout of the session's heartbeat. A cut one is over soon: otherwise TCP goes on with it after a pause
# of its own, what it sent again counts as lost, and an idle link works that off at the pace of its probes, for minutes.
HEARTBEAT = {FIBRE.name: ("200ms", "1s"), MOBILE.name: ("200ms", "1s"), SATELLITE.name: ("1s", "4s")}


# What keeps a link out of use after a disturbance, and how it is put out of the way.
OFF = {"damping": {"damping": {"flap": 0, "suspicion": 0}},
       "brownouts": {"delay": {"enter": 100}, "loss": {"enter": 100}}}


def link(kind, route, kept):
    """Settings of a link: its profile's, but what lets it return soon after each experiment; `route`: more of that.
    kept: names of OFF, in force all the same."""
    interval, timeout = HEARTBEAT[kind.name]
    tuning = {"route": {"hold": "1s", "probation": "1s", "proofs": 1} | (route or {}), "breaker": {"minimum": 1000}}
    for name in OFF.keys() - set(kept):
        tuning |= OFF[name]
    return {"heartbeat_interval": interval, "heartbeat_timeout": timeout, "connect_timeout": "2s",
            "reconnect": {"quick": "50ms", "first": "50ms", "cap": "200ms", "unavailable_after": 1000},
            "tuning": tuning}


def asserted(target):
    """A wide bound, in seconds, beside the target."""
    return 3 * target + 0.5
