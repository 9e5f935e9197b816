"""Configuration for tests that strike far more often than a site ever sees.

A life or session of 100 ms counts as stable, so that each fault is the first one; the refused attempts of many restarts
of the collector do not open the breaker; traffic returns to a link at once, so that the faults of both are felt.
"""

WATCHDOG = {"watchdog": {"stable": "100ms", "intensity": 1000}}
NEVER = {"window": 1000, "minimum": 1000}  # so many attempts are not made
LINK = {"reconnect": {"stable": "100ms", "quick": "20ms", "first": "50ms", "cap": "200ms", "unavailable_after": 10000},
        "tuning": {"route": {"hold": 0, "probation": "1s"}, "damping": {"flap": 0}, "breaker": NEVER}}
CLASSES = {"classes": [{"name": "critical", "priority": 10, "links": ["second"]}, {"name": "telemetry"}]}
GATEWAY = WATCHDOG | CLASSES  # links main and second: both carry something


def links(**more):
    """main and second; more: settings by name."""
    return [LINK | {"name": name, "priority": number} | more.get(name, {})
            for number, name in enumerate(("main", "second"), 1)]
