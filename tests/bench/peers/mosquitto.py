#!/usr/bin/python3
"""Comparison peer: MQTT QoS 1 -> mosquitto -> bridge, QoS 1 -> mosquitto -> subscriber's file."""

import os
import select
import sys
import time

sys.dont_write_bytecode = True  # no __pycache__ in the source tree
import common  # noqa: E402
import mqtt  # noqa: E402
import runs  # noqa: E402
from children import TCP_ESTABLISHED, Children, CpuClock, tcp_table, wait_for, wait_for_listeners  # noqa: E402

# mosquitto keeps its messages in memory and writes the whole of them to one file (with an fsync
# and a rename) now and then; a PUBACK never waits for that.
#
# autosave, on_changes  1, true: written once per turn of the main loop in which a message came
#                       or went, the closest to durable it has.  It costs an fsync and a copy of
#                       all that is queued per turn, so inflight and window are kept small.
#                       1, false: every second; kill -9 or a power cut loses what came since.
# inflight   max_inflight_messages of both brokers, 0 = no limit but that of MQTT, 65535.
# window     messages the publishers have under way without PUBACK, over all connections.
# shards     topics; each with its own publisher, bridge and subscriber connection.  A turn of the
#            main loop reads one packet per connection, so with autosave on changes the number of
#            connections is the size of the group one write covers.
# pause_ms   pause of the load generator between two turns, so that it handles packets in bulk
#            and leaves the cores to the brokers.
#
# Nothing may be dropped: max_queued_messages and max_queued_bytes are 0, without limit.
VARIANTS = {
    "strict": {"autosave": 1, "on_changes": "true", "inflight": 20, "window": 640, "shards": 64,
               "pause_ms": 1.0},
    "fast": {"autosave": 1, "on_changes": "false", "inflight": 0, "window": 60000, "shards": 1,
             "pause_ms": 2.0},
}
DURABILITY = {
    "strict": "both brokers write and fsync all their messages once per turn of the main loop; "
              "the PUBACK is sent before that write, so the last turn can be lost; the "
              "subscriber fdatasyncs its file before its PUBACK",
    "fast": "both brokers hold the messages in memory and write them once a second: kill -9 or "
            "a power cut loses up to a second of acknowledged messages; the subscriber "
            "writes its file before its PUBACK, without sync",
}
BROKER = """\
listener {port} 127.0.0.1
user root
allow_anonymous true
set_tcp_nodelay true
sys_interval 0
log_dest stderr
log_type error
persistence true
persistence_location {directory}/
autosave_interval {autosave}
autosave_on_changes {on_changes}
max_inflight_messages {inflight}
max_queued_messages 0
max_queued_bytes 0
"""
BRIDGE = """\
connection up{n}
address 127.0.0.1:{centre}
topic {topic} out 1
cleansession false
bridge_protocol_version mqttv311
try_private false
notifications false
restart_timeout 1
"""


# -- load generator ----------------------------------------------------------------


class Load:
    """All publishers and subscribers of a run, in one thread."""

    def __init__(self, ports, settings, options, out, sync):
        edge, centre = ports
        shards = settings["shards"]
        self.out_, self.sync_ = out, sync
        self.pause_ = settings["pause_ms"] / 1000.0
        self.window_ = max(1, settings["window"] // shards)
        bounds = [options.records * n // shards for n in range(shards + 1)]
        self.subscribers_ = {}
        for n in range(shards):
            subscriber = mqtt.Subscriber(centre, n, options.size, out)
            self.subscribers_[subscriber.connection.fileno()] = subscriber
        self.publishers_ = [mqtt.Publisher(edge, n, bounds[n], bounds[n + 1] - bounds[n], options.size)
                            for n in range(shards)]

    def run(self, records, deadline, children):
        """Moves all records; returns when the last was written, or when it gave up."""
        poll = select.poll()
        for number in self.subscribers_:
            poll.register(number, select.POLLIN)
        arrived, last = 0, time.monotonic()
        while arrived < records and time.monotonic() < deadline:
            children.check()
            for publisher in self.publishers_:
                publisher.turn(self.window_)
            ready = [self.subscribers_[number] for number, _ in poll.poll(10)]
            fresh = sum(subscriber.receive() for subscriber in ready)
            if fresh:
                self._make_durable()
                arrived, last = arrived + fresh, time.monotonic()
                for subscriber in ready:
                    subscriber.acknowledge()
            time.sleep(self.pause_)
        return last if arrived >= records else time.monotonic()

    def drain(self, seconds):
        """Receives for a while longer: a duplicate would come now."""
        end = time.monotonic() + seconds
        poll = select.poll()
        for number in self.subscribers_:
            poll.register(number, select.POLLIN)
        while time.monotonic() < end:
            for number, _ in poll.poll(50):
                self.subscribers_[number].receive()
        self._make_durable()

    def _make_durable(self):
        self.out_.flush()
        if self.sync_:
            os.fdatasync(self.out_.fileno())


# -- the run -----------------------------------------------------------------------


def start_brokers(directory, settings, children):
    """Starts the centre, then the edge with its bridges; returns (edge, centre) ports."""
    edge, centre = common.free_ports(2)
    bridges = "".join(BRIDGE.format(n=n, centre=centre, topic=mqtt.topic_of(n).decode())
                      for n in range(settings["shards"]))
    for name, port, tail in (("centre", centre, ""), ("edge", edge, bridges)):
        place = os.path.join(directory, name)
        os.makedirs(place)
        with open(place + ".conf", "w", encoding="utf-8") as out:
            out.write(BROKER.format(port=port, directory=place, **settings) + tail)
        children.start(name, [runs.find_program("mosquitto"), "-c", place + ".conf"])
        wait_for_listeners([port], children)

    def bridged():
        return settings["shards"] == sum(remote == centre and state == TCP_ESTABLISHED
                                         for _, remote, state in tcp_table())
    wait_for(bridged, "the bridge", children)
    return edge, centre


def run_variant(variant, directory, options):
    """Runs one variant in `directory`; returns its result."""
    settings = runs.settings_of(VARIANTS, variant, options)
    path = os.path.join(directory, "arrived.log")
    about = {
        "durability": DURABILITY[variant],
        "versions": {"mosquitto": runs.first_line([runs.find_program("mosquitto"), "-h"])},
        "settings": settings,
        "sync_cost_ms": common.sync_cost_ms(directory),
    }
    children = Children(directory)
    try:
        ports = start_brokers(directory, settings, children)
        with open(path, "ab") as out:
            load = Load(ports, settings, options, out, variant == "strict")
            before = CpuClock(children)
            begin = time.monotonic()
            end = load.run(options.records, begin + options.limit, children)
            about.update(before.spent())
            load.drain(common.LATE_DUPLICATES_S)
    finally:
        children.stop()
    counts = common.count_files([path], options.records, options.size)
    return runs.make_result("mosquitto", variant, options, end - begin, counts, about)


if __name__ == "__main__":
    OPTIONS = runs.parse_arguments(__doc__, VARIANTS)
    sys.exit(runs.run_all(OPTIONS, VARIANTS, run_variant))
