"""holdfastctl links and link: what they ask the store, and by which exit code they tell its answer."""
import contextlib
import json
import subprocess
import threading

import pytest
import zmq
from holdfast.v1 import control_pb2

from harness import BIN


@contextlib.contextmanager
def store(directory, answer):
    """Answers at control.store as `answer(request, reply)` says; gives the requests that came."""
    requests = []
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router, context.socket(zmq.PAIR) as end, \
            context.socket(zmq.PAIR) as ending:
        router.bind(f"ipc://{directory}/control.store.sock")
        end.bind("inproc://end")
        ending.connect("inproc://end")

        def serve():
            poller = zmq.Poller()
            poller.register(router, zmq.POLLIN)
            poller.register(end, zmq.POLLIN)
            while True:
                ready = dict(poller.poll())
                if end in ready:
                    return
                peer, content = router.recv_multipart()
                requests.append(control_pb2.ControlRequest.FromString(content))
                reply = control_pb2.ControlReply(id=requests[-1].id)
                answer(requests[-1], reply)
                router.send_multipart([peer, reply.SerializeToString()])
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield requests
        finally:
            ending.send(b"")
            thread.join()


def ctl(directory, *arguments):
    return subprocess.run([BIN / "holdfastctl", "--run-directory", directory, *map(str, arguments)],
                          capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("carries, code", [(["critical"], 0), ([], 1)])
def test_links(directory, carries, code):
    def answer(_, reply):
        reply.ok = True
        reply.links.links.add(name="fibre", destination="centre", state="active", carries=carries)
        reply.links.switches.add(destination="centre", record_class="critical", to="fibre", kind="switched",
                                 gap_micros=181000)
    with store(directory, answer) as requests:
        table = ctl(directory, "links", "--switches", 3)
        assert table.returncode == code and not table.stderr
        assert "fibre  centre       active" in table.stdout and "nothing -> fibre  181ms" in table.stdout
        assert [request.links.switches for request in requests] == [3]
        shown = ctl(directory, "links", "--json")
        assert shown.returncode == code and json.loads(shown.stdout)["links"][0]["carries"] == carries


def test_a_destination_that_the_store_does_not_tell_of(directory):
    """Of the configuration: an empty answer is no good one."""
    file = directory / "gateway.yaml"
    file.write_text("destinations: [{name: centre}]\nlinks: [{name: fibre, destination: centre, connect: 'h:1'}]\n")

    def answer(_, reply):
        reply.ok = True
        reply.links.SetInParent()
    with store(directory, answer):
        for options, said in ([], "nothing carries to: centre"), (["--json"], '"well":false'):
            done = ctl(directory, "--config", file, "links", *options)
            assert done.returncode == 1 and said in done.stdout, done


def test_a_store_that_starts(directory):
    def answer(_, reply):
        reply.error = "failed to tell of the links: the store is starting"
    with store(directory, answer):
        done = ctl(directory, "links")
        assert done.returncode == 1 and not done.stdout and "the store is starting" in done.stderr


@pytest.mark.parametrize("verb", ["drain", "undrain", "pin", "unpin"])
def test_orders(directory, verb):
    def answer(request, reply):
        reply.ok = request.link.link == "fibre"
        reply.error = "" if reply.ok else f"failed to {verb} {request.link.link}: there is no such link"
    with store(directory, answer) as requests:
        assert ctl(directory, "link", verb, "fibre").returncode == 0
        assert requests[0].link == control_pb2.LinkCommand(link="fibre", what=f"WHAT_{verb.upper()}")
        unknown = ctl(directory, "link", verb, "fiber")
        assert unknown.returncode == 1 and not unknown.stdout
        assert unknown.stderr == f"holdfastctl: failed to {verb} fiber: there is no such link\n"


def test_no_store(directory):
    for command in (["links"], ["link", "drain", "fibre"]):
        done = ctl(directory, *command)
        assert done.returncode == 2 and "store: not running" in done.stderr and not done.stdout


def test_wrong_words(directory):
    for words in (["link"], ["link", "drain"], ["link", "park", "fibre"], ["links", "--switches", "-1"]):
        assert ctl(directory, *words).returncode == 64
