#!/usr/bin/env python3
"""Prints what the services of a gateway publish.  PYTHONPATH=build/messages python3 tap.py /run/holdfast [TOPIC]..."""
import signal
import sys

import zmq
from google.protobuf import symbol_database
from holdfast.v1 import envelope_pb2, events_pb2, record_pb2  # noqa: F401 (the symbol database learns their messages)

signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `tap.py ... | head` ends in silence
tap = zmq.Context().socket(zmq.SUB)
tap.connect(f"ipc://{sys.argv[1]}/tap.sock")
for prefix in sys.argv[2:] or ["heartbeat.", "metrics.", "state.", "alarm.", "process.", "link."]:
    tap.subscribe(prefix)
while True:
    topic, header, payload = tap.recv_multipart()
    envelope = envelope_pb2.Envelope.FromString(header)
    message = symbol_database.Default().GetSymbol(envelope.type).FromString(payload)
    print(topic.decode(), envelope.seq, str(message).replace("\n", " "), flush=True)
