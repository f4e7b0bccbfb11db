"""The lab: an internet of network namespaces on one machine, with NATs that people really have, and moves between them.

                                    s 198.51.100.2   s2 .3   s3 .4         (servers; 2001:db8:5::2 ..)
                                            |          |      |
                              +-------------+----------+------+------------+
                              |                   inet                     |    routes, counts, cuts; delays where asked
                              +--+-------------+-------------+----------+--+
                     203.0.113.11|  203.0.113.22|  203.0.113.33|         |2001:db8:d::/64
                              NAT A          NAT B          NAT C     router D (public IPv6, stateful)
                         192.168.1.0/24  192.168.1.0/24  100.64.0.0/10   |
                              |               |             |            |
      interfaces   home of a -+    home of b -+             +-- cell of a, b, c
                                                            |            +-- six of a, b, c

Both homes use the same private prefix, as homes do. Every node has all of its interfaces from the start, up and without an address: a
move is one `ip -batch`, so that what is measured is the overlay and not the kernel's link watch. Namespaces are called ntm-RUN-HOST and
are removed at the end, also after a failure; what an aborted run left is removed by the next one.
"""

from .ground import BUILD, LABS, ROOT, LabError, demand, program, run_name, sh, wait_for
from .host import Host
from .internet import Lab
from .leftovers import clean_up_old_runs, end_on_signals, missing_capability, only_one_at_a_time
from .nat import NAT_KINDS, Nat
from .node import Node
from .process import Detached, Events, Process
from .server import Server
from .topology import NETWORKS, NODES, SERVERS

__all__ = [
    "BUILD", "LABS", "NAT_KINDS", "NETWORKS", "NODES", "ROOT", "SERVERS", "Detached", "Events", "Host", "Lab", "LabError", "Nat", "Node",
    "Process", "Server", "clean_up_old_runs", "demand", "end_on_signals", "missing_capability", "only_one_at_a_time", "program", "run_name",
    "sh", "wait_for",
]
