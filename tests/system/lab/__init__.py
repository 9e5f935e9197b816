"""Links in a laboratory: a gateway and its centre in network namespaces of their own, and between them links with the
round trips of fibre, 5G and satellite that lose, slow down and break when a test says so.

    with Trial(directory, FIBRE, MOBILE) as trial:      # under 1,000 records/s
        move = trial.strike("fibre", "cut")             # a black hole
    trial.verify()                                      # each record once, in order

Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN), /dev/net/tun, iproute2, nftables and util-linux; NotPermitted says what is
missing.
"""
from lab import expectations
from lab.measure import black_holes, brownout, first_of, mostly_calm, told_faults
from lab.namespace import Namespace, NotPermitted
from lab.network import FIBRE, MOBILE, SATELLITE, WIDE_SATELLITE, Kind, Network
from lab.site import LabGateway
from lab.trial import Trial
from lab.watch import Watch

__all__ = ["FIBRE", "MOBILE", "SATELLITE", "Kind", "LabGateway", "Namespace", "Network", "NotPermitted", "Trial",
           "WIDE_SATELLITE", "Watch", "black_holes", "brownout", "expectations", "first_of", "mostly_calm",
           "told_faults"]
