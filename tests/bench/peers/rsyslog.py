#!/usr/bin/python3
"""Comparison peer: lines over TCP -> rsyslog, disk queue -> RELP -> rsyslog -> file."""

import os
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True  # no __pycache__ in the source tree
import common  # noqa: E402
import runs  # noqa: E402
from children import Children, CpuClock, wait_for_listeners  # noqa: E402

# sync        fsync of the sender's queue files and of the receiver's output.  The queue is
#             written record by record, so "on" costs one fsync a record at both ends.
# checkpoint  records between two writes of the queue's .qi file.  Anything above 1 loses up to
#             that many records on kill -9, although they are in the queue files; 1 costs a
#             small file write a record, about 15 % of the rate without sync (single runs).
# batch       records taken from the disk queue at once.
# window      RELP frames under way without acknowledgement.  It has to be well above batch:
#             with batch 1024, window 128 (the default) gave 680 records/s here and window 1024
#             25,000, both with idle cores; window 10,000 gave 105,000.  We take it that the
#             sender waits in mid-batch for acknowledgements that a TCP timer holds back.
# shards      independent chains (input port, disk queue, RELP session, output file) in the same
#             two processes; a disk queue has one worker only, so this is how it uses two cores.
# threads     of imptcp.
VARIANTS = {
    "strict": {"sync": "on", "checkpoint": 1, "batch": 256, "window": 4096, "shards": 4,
               "threads": 2},
    "fast": {"sync": "off", "checkpoint": 1, "batch": 256, "window": 4096, "shards": 2,
             "threads": 2},
}
# Seen once per setting, by hand: receiver stopped, 20,000 records sent, sender killed with -9 and
# started again, receiver continued; 3,494 records had not come after 16 s, the same with sync on.
# That fits a sender that drops records from the queue when they are sent, not when they are
# acknowledged (at most a window of them); its source was not read for it.
DURABILITY = {
    "strict": "every record is fsynced into the sender's disk queue, and into the receiver's file "
              "before the RELP acknowledgement; not covered: the TCP input has no "
              "acknowledgement, and the death of the sender loses up to a window of records "
              "sent and not yet acknowledged",
    "fast": "every record is written to the sender's disk queue with its bookkeeping, and to the "
            "receiver's file before the RELP acknowledgement; nothing is fsynced, so a power "
            "cut loses records, and the death of the sender loses up to a window of them",
}
BLOCK_RECORDS = 1000

SENDER = """\
global(workDirectory="{directory}")
module(load="imptcp" threads="{threads}")
module(load="omrelp")
template(name="asSent" type="string" string="%rawmsg%")
"""
# The ruleset's own queue is the disk queue, so nothing waits in a queue in memory before it.
SENDER_SHARD = """\
ruleset(name="out{n}" queue.type="Disk" queue.filename="out{n}" queue.spoolDirectory="{directory}"
    queue.syncqueuefiles="{sync}" queue.checkpointInterval="{checkpoint}" queue.size="100000000"
    queue.maxFileSize="64m" queue.dequeueBatchSize="{batch}" queue.timeoutEnqueue="600000"
    queue.saveOnShutdown="on") {{
  action(type="omrelp" target="127.0.0.1" port="{relp_port}" windowSize="{window}"
    template="asSent" action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="Direct")
}}
input(type="imptcp" address="127.0.0.1" port="{in_port}" ruleset="out{n}")
"""
RECEIVER = """\
global(workDirectory="{directory}")
module(load="imrelp")
template(name="asReceived" type="string" string="%rawmsg%\\n")
"""
# queue.type="Direct": imrelp acknowledges when the record has been handed to the queue, and with
# a direct queue that is after omfile has written it.  A queue in memory would acknowledge
# records that kill -9 destroys (and is not faster here); a disk queue costs a second copy.
RECEIVER_SHARD = """\
ruleset(name="in{n}" queue.type="Direct") {{
  action(type="omfile" file="{output}" template="asReceived" sync="{sync}" flushOnTXEnd="on"
    ioBufferSize="256k")
}}
input(type="imrelp" address="127.0.0.1" port="{relp_port}" ruleset="in{n}" maxDataSize="16k")
"""


class Chain:
    """The two daemons of one run, their ports and their output files."""

    def __init__(self, directory, settings):
        self.directory_ = directory
        self.settings_ = settings
        shards = settings["shards"]
        ports = common.free_ports(2 * shards)
        self.in_ports = ports[:shards]
        self.relp_ports = ports[shards:]
        self.outputs = [os.path.join(directory, f"arrived-{n}.log") for n in range(shards)]
        self.children = Children(directory)

    def start(self):
        """Starts the receiver, then the sender; returns when both listen."""
        self._start("receiver", RECEIVER, RECEIVER_SHARD)
        wait_for_listeners(self.relp_ports, self.children)
        self._start("sender", SENDER, SENDER_SHARD)
        wait_for_listeners(self.in_ports, self.children)

    def _start(self, name, head, shard):
        place = os.path.join(self.directory_, name)
        os.makedirs(place, exist_ok=True)
        config = place + ".conf"
        with open(config, "w", encoding="utf-8") as out:
            out.write(head.format(directory=place, **self.settings_))
            for n, output in enumerate(self.outputs):
                out.write(shard.format(n=n, directory=place, in_port=self.in_ports[n],
                                       relp_port=self.relp_ports[n], output=output,
                                       **self.settings_))
        self.children.start(name, [runs.find_program("rsyslogd"), "-n", "-f", config,
                                   "-i", place + ".pid"])


def feed(connection, blocks):
    """Sends the blocks; ends early when the run is over and the peer has gone."""
    try:
        for block in blocks:
            connection.sendall(block)
    except OSError:
        pass


def measure(chain, options):
    """Sends all records and waits for them; returns (seconds, CPU fields)."""
    blocks = [common.make_block(first, min(BLOCK_RECORDS, options.records - first), options.size)
              for first in range(0, options.records, BLOCK_RECORDS)]
    connections = [socket.create_connection(("127.0.0.1", port)) for port in chain.in_ports]
    feeders = [threading.Thread(target=feed, args=(connection, blocks[n::len(connections)]),
                                daemon=True) for n, connection in enumerate(connections)]
    before = CpuClock(chain.children)
    begin = time.monotonic()
    for feeder in feeders:
        feeder.start()
    try:
        end = common.wait_for_files(chain.outputs, options, begin + options.limit, chain.children)
        cpu = before.spent()
        time.sleep(common.LATE_DUPLICATES_S)
    finally:
        for connection in connections:
            connection.close()
    return end - begin, cpu


def run_variant(variant, directory, options):
    """Runs one variant in `directory`; returns its result."""
    settings = runs.settings_of(VARIANTS, variant, options)
    about = {
        "durability": DURABILITY[variant],
        "versions": {"rsyslogd": runs.first_line([runs.find_program("rsyslogd"), "-v"])},
        "settings": settings,
        "sync_cost_ms": common.sync_cost_ms(directory),
    }
    chain = Chain(directory, settings)
    try:
        chain.start()
        seconds, cpu = measure(chain, options)
        about.update(cpu)
    finally:
        chain.children.stop()
    counts = common.count_files(chain.outputs, options.records, options.size)
    return runs.make_result("rsyslog", variant, options, seconds, counts, about)


if __name__ == "__main__":
    OPTIONS = runs.parse_arguments(__doc__, VARIANTS)
    sys.exit(runs.run_all(OPTIONS, VARIANTS, run_variant))
