"""Names of the centre, asked on the link they are for: each link believes what is said on its own way, and none waits
for a name server longer than it must."""
import contextlib
import time

import pytest

from harness import BIN, wait_for
from lab import FIBRE, MOBILE, Network
from lab.site import LabGateway
from peers.looks import wait_component
from peers.name_server import NameServer

pytestmark = pytest.mark.usefixtures("laboratory")
HOST, SERVER = "collector.test", "10.213.53.53"


@contextlib.contextmanager
def named_site(directory):
    """(gateway, name servers by link): one address, and behind each link another name server; the gateway's
    resolv.conf has that address."""
    with Network(FIBRE, MOBILE) as network, contextlib.ExitStack() as undo:
        network.centre.run("ip", "address", "add", f"{SERVER}/32", "dev", "lo")
        servers = {}
        for metric, (name, address) in enumerate(network.addresses.items(), 1):
            network.gateway.run("ip", "route", "add", SERVER, "dev", name, "metric", str(metric))
            servers[name] = undo.enter_context(NameServer(network.centre, SERVER, name, {HOST: address}))
        resolv = directory / "resolv.conf"
        resolv.write_text(f"nameserver {SERVER}\n")
        gateway = LabGateway(directory, network)
        for link in gateway.links:
            link["connect"] = f"{HOST}:{gateway.collector_port}"
        gateway.write_configurations()
        gateway.init.command = [*network.gateway.prefix, "unshare", "--mount", "sh", "-c",
                                'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolv),
                                str(BIN / "holdfast-watchdog"), "--config", str(gateway.config_path)]
        yield undo.enter_context(gateway), servers, network


def come_back(gateway, network):
    """New sessions of all links; seconds until they stand."""
    for name in network.kinds:
        network.reject(name)
        wait_for(lambda name=name: not gateway.link_up(name), 10, f"{name} stands")
    begin = time.monotonic()
    for name in network.kinds:
        network.heal(name)
    for name, address in network.addresses.items():
        wait_component(gateway, f"uplink-{name}", f"link:{name}", f"{address}:")
    return time.monotonic() - begin


def test_each_link_asks_on_its_own_way(directory, report):
    with named_site(directory) as (gateway, servers, network):
        gateway.wait_running()
        for name, address in network.addresses.items():
            said = wait_component(gateway, f"uplink-{name}", f"link:{name}", f"{address}:")
            report(f"{name}: {said}", questions=len(servers[name].questions))
            assert {sender for sender, asked, _ in servers[name].questions} == {network.own(name)}
        # What one link learns is no other's business, and a name that moved is followed.
        network.centre.run("ip", "address", "add", "10.213.9.2/32", "dev", "fibre")
        network.gateway.run("ip", "route", "add", "10.213.9.2/32", "dev", "fibre")
        servers["fibre"].answers[HOST] = network.addresses["fibre"] = "10.213.9.2"
        come_back(gateway, network)


def test_last_addresses_without_name_server(directory, report):
    """Dead, then hanging: the links return by the addresses they had."""
    with named_site(directory) as (gateway, servers, network):
        gateway.wait_running()
        for server in servers.values():
            server.silent = True
        silent = come_back(gateway, network)
        assert gateway.log().count("last addresses used") >= 2
        for server in servers.values():
            server.close()
        dead = come_back(gateway, network)
        report("back by the last addresses", silent_s=silent, dead_s=dead)
        assert "Could not contact DNS servers" in gateway.log()


def test_hanging_name_server_holds_nothing_up(directory, report):
    """A link that never had an address says so, and stops at once while it is waiting for one."""
    with named_site(directory) as (gateway, servers, network):
        for server in servers.values():
            server.silent = True
        for name in network.kinds:
            wait_component(gateway, f"uplink-{name}", f"link:{name}",
                           f"failed to resolve {HOST}: no answer in time")
        asked = {name: len(server.questions) for name, server in servers.items()}
        wait_for(lambda: all(len(servers[name].questions) > asked[name] for name in servers), 10, "nobody asks")
        begin = time.monotonic()
        assert gateway.stop_gateway() == 0
        seconds = time.monotonic() - begin
        report("stopped while it asked", seconds=seconds)
        assert seconds < 3, "the stop waited for the name server"
