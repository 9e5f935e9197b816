"""A gateway at one end of the laboratory's links, and its centre at the other."""
from harness import Gateway
from lab import expectations


class LabGateway(Gateway):
    """Every link of the network is one of the gateway's, bound to its device and leading to the centre's address there;
    the first one is preferred. route, kept: see expectations.link(); more: {link: settings} of its own."""

    def __init__(self, directory, network, sources=(), route=None, kept=(), overrides=None, more=None):
        links = [{"name": name, "profile": kind.profile, "priority": 10 * place, "interface": name}
                 | expectations.link(kind, route, kept) | (more or {}).get(name, {})
                 for place, (name, kind) in enumerate(network.kinds.items(), 1)]
        super().__init__(directory, sources, links, overrides, inside=network.gateway.prefix,
                         collector_inside=network.centre.prefix)
        for link in self.links:
            link["connect"] = f"{network.addresses[link['name']]}:{self.collector_port}"
        self.collector_configuration["collector"]["listen"] = f"0.0.0.0:{self.collector_port}"
        self.write_configurations()
