"""The lab: an internet of network namespaces on one machine, with NATs that people really have, and moves between them.

       s 198.51.100.2   s2 .3   s3 .4   s4 .5  (2001:db8:5::2 ..)           g 203.0.114.2   g2 .3  (2a0f:ffff:6::2 ..)
                |         |       |       |   servers of the overlay             |          |   general hosts
          +-----+-- srv --+-------+-------+--------------------------------------+-- gen ---+----+
          |                                      inet                                            |    routes, counts, cuts
          +--+----------+----------+----------+----------+----------+---------+--------+---------+
        203.0.113.11    .22        .33        .77        .55        .66      .71     .72    2001:db8:f:*::/64
          NAT A       NAT B      NAT C      NAT K      NAT E     router F  router G  H      routers D, W
       192.168.1.0/24  same    100.64/10   10.7/16  192.168.5/24 192.0.2.128/26  .0  .64    public IPv6, stateful
          |             |          |          |     and public   and public IPv6  public    |        |
          |             |          |          |     IPv6         both open        IPv4      |        |
  a:    home          visit      cell       cell2     dual       dualopen     open open2   six     six2
  b:    visit         home       cell       cell2     dual       dualopen     open open2   six     six2
  c:    visit         visit2     cell       cell2     dual       dualopen     open open2   six     six2
  and   h             h2         general hosts behind NATs

Both homes use the same private prefix, as homes do. A lab has networks A to D alone unless it names others. Every node has all of its
interfaces from the start, up and without an address: a move is one `ip -batch`, so that what is measured is the overlay and not the
kernel's link watch. Namespaces are called ntm-RUN-HOST and are removed at the end, also after a failure; what an aborted run left is
removed by the next one.
"""
from .ground import BUILD, LABS, ROOT, LabError, demand, long_form, program, run_name, sh, wait_for
from .host import Host
from .internet import Lab
from .leftovers import clean_up_old_runs, end_on_signals, missing_capability, only_one_at_a_time, take_machine
from .nat import NAT_KINDS, Nat
from .node import Node
from .process import Detached, Events, Process
from .server import General, Inside, Server
from .topology import GENERALS, NETWORKS, NODES, SERVERS

__all__ = [
    "BUILD", "GENERALS", "LABS", "NAT_KINDS", "NETWORKS", "NODES", "ROOT", "SERVERS", "Detached", "Events", "General", "Host", "Inside",
    "Lab", "LabError", "Nat", "Node", "Process", "Server", "clean_up_old_runs", "demand", "end_on_signals", "long_form", "missing_capability",
    "only_one_at_a_time", "program", "run_name", "sh", "take_machine", "wait_for",
]
