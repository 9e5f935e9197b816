"""A process that floods a bus socket and reads no answer, until it is killed.

    rogue.py MESSAGES ADDRESS [--identity NAME] [--class NAME]

Prints READY once the other end has taken its first messages.
"""
import argparse
import itertools
import os
import pathlib
import sys

import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402,F401  the way to the messages
from holdfast.v1 import control_pb2, dispatch_pb2, ingest_pb2  # noqa: E402


def producer(fill):
    message = ingest_pb2.ProducerMessage()
    fill(message)
    return message.SerializeToString()


def hello(name, record_class="telemetry"):
    def fill(message):
        message.hello.producer, message.hello.session, message.hello.record_class = name, 7, record_class
    return producer(fill)


def offer(message):
    message.offer.producer, message.offer.session = "rogue", 1
    message.offer.producer_seq, message.offer.record_count = 1, 1


def link(fill):
    message = dispatch_pb2.LinkMessage()
    fill(message)
    return [message.SerializeToString()]


def link_hello(message):
    message.hello.link, message.hello.session, message.hello.destination = "main", 99, "nowhere"


def link_status(message):
    message.status.link, message.status.session = "main", 99


def always(parts):
    return itertools.repeat(parts)


BIG = b"x" * (1 << 20)
MESSAGES = {
    "garbage": lambda: always([b"\xff" * 20]),
    "halves": lambda: always([b""]),
    "many parts": lambda: always([b"y"] * 200),
    "producers": lambda: ([hello(f"rogue-{number}-" + "n" * 150)] for number in itertools.count()),
    "no class": lambda: always([hello("rogue", "none")]),
    "offers": lambda: always([producer(offer), BIG]),
    "small offers": lambda: always([producer(offer), b""]),
    "hellos of a link": lambda: always(link(link_hello)),
    "states of a link": lambda: always(link(link_status)),
    "questions": lambda: always([status_request()]),
    "subscriptions": lambda: ([b"\1topic-%d" % number] for number in itertools.count()),
}


def status_request():
    request = control_pb2.ControlRequest(id=1)
    request.status.SetInParent()
    return request.SerializeToString()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("messages", choices=MESSAGES)
    parser.add_argument("address")
    parser.add_argument("--identity", default="")
    arguments = parser.parse_args()
    os.nice(5)  # it shares the processors of the test
    with zmq.Context() as context, context.socket(zmq.XSUB if arguments.messages == "subscriptions"
                                                  else zmq.DEALER) as socket:
        socket.linger, socket.immediate, socket.sndhwm, socket.rcvhwm = 0, True, 100, 1
        socket.maxmsgsize = -1
        if arguments.identity:
            socket.routing_id = arguments.identity.encode()
        socket.connect(arguments.address)
        for number, parts in enumerate(MESSAGES[arguments.messages]()):
            socket.send_multipart(parts, copy=len(parts[-1]) < 1000)
            if number == 1000:
                print("READY", flush=True)


main()
