"""The internet that moves are measured on: the lab's, with networks of its own, one world a contender.

    M (a): home behind NAT A, cell behind NAT C, 10 ms from the middle      K, one of two:  b: home behind NAT B, away behind NAT E, 20 ms
    S (s): in the middle, public: coordination, relay, hub                                  p: public behind a plain router, 20 ms

So one way is M-S 10, K-S 20, M-K 30 ms; or it is the papers' distances, where K has a coordinator of its own, S2. The NATs masquerade:
endpoint-independent mapping, address- and port-dependent filtering.
"""
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "netns"))
sys.dont_write_bytecode = True
import lab as laboratory  # noqa: E402
from lab import Lab, sh  # noqa: E402
from lab.places import MEMBERS, PROFILES, spread  # noqa: E402
from lab.topology import HOST_NUMBER  # noqa: E402

PEERS = os.environ.get("NTM_PEERS", os.path.join(ROOT, "build", "peers"))
# Not the lab's own carrier-grade block for C: Tailscale has its addresses there.
laboratory.NETWORKS.update({
    "C": {"inside": "172.20.3", "bits": 24, "public": "203.0.113.33"},
    "E": {"inside": "172.20.5", "bits": 24, "public": "203.0.113.55"},
    "P": {"inside": "192.0.2", "bits": 24, "public": "203.0.113.66", "open": True},
})
laboratory.NODES.update({"a": {"home": "A", "cell": "C"}, "b": {"home": "B", "away": "E"}, "p": {"home": "P"}})
HOST_NUMBER["p"] = 40
PLAIN_MS = {"A": 10, "C": 10, "B": 20, "E": 20, "P": 20}  # one way, by network
# Of the papers' distances (lab/places.py): M is at home with its coordinator S, K with its own, S2; the rest stands at S.
PLACES = {**MEMBERS, "cn": (*MEMBERS["cn"], "P")}
# Each way of an access network's cable. Without a rate a round trip of data that is sent again would have to leave in one instant.
RATE_MBIT = 150
TRIPS = {"m-k": "mn-cn", "m-s": "mn-dc1", "k-s": "cn-dc1", "s-s2": "dc1-dc2", "k-s2": "cn-dc2"}
ROUND_TRIPS_MS = {"plain": {"m-k": 60, "m-s": 20, "k-s": 40},
                  **{name: {key: trips[pair] for key, pair in TRIPS.items()} for name, trips in PROFILES.items()}}
TOPOLOGIES = tuple(ROUND_TRIPS_MS)
PORTS = ("20000-29999", "30000-39999")


def peer(name):
    """Where a competitor's program is."""
    return os.path.join(PEERS, name)


class World(Lab):
    """One contender's internet. m and k are the two ends; public says which kind of K. What is measured goes before what else runs on the
    machine, the tools that set up and look included."""

    start_with = ("nice", "-n", "-10")

    def __init__(self, name, public=False, topology="plain"):
        self.public, self.topology = public, topology
        letters = ("A", "C", "P") if public else ("A", "C", "B", "E")
        delays = {letter: PLAIN_MS[letter] for letter in letters} if topology == "plain" else None
        super().__init__(f"bench-{name}{'-public' if public else ''}", nodes=("a", "p" if public else "b"), delays=delays,
                         servers=("s",) if topology == "plain" else ("s", "s2"))
        self.logs_made = 0
        self.ports_turn = {}

    def build(self):
        super().build()
        if self.topology == "plain":
            for letter in self.delays:
                self.link(letter).set(rate_mbit=RATE_MBIT)
        else:
            spread(self, self.topology, PLACES, rate_mbit=RATE_MBIT)
        self.m, self.k = self.a, self.p if self.public else self.b
        for process in self.processes:  # the wires: they must not wait for what is sent over them
            sh(["chrt", "-f", "-p", "40", str(process.pid)])
        for nat in self.nats.values():
            self.know_neighbours(nat)

    def know_neighbours(self, nat):
        """The two ends of a long wire know each other's link address: asking would cost a move a round trip that no real one has."""
        ends = ((nat, "out", "203.0.113.1"), (self.inet, nat.port, nat.public))
        shown = [host.run("ip", "-j", "link", "show", "dev", link, check=True).stdout for host, link, _ in ends]
        addresses = [json.loads(text)[0]["address"] for text in shown]
        for (host, link, other), address in zip(ends, reversed(addresses)):
            host.ip(f"neigh replace {other} lladdr {address} dev {link} nud permanent")

    def other(self, node):
        """The network where it is not."""
        return next(label for label in node.links if label != node.at)

    def nat_of(self, node):
        return node.links[node.at]

    def rebind(self, node):
        """The NAT forgets its mappings and makes the next ones on ports it has not used."""
        nat = self.nat_of(node)
        turn = self.ports_turn.get(nat.letter, 0)
        self.ports_turn[nat.letter] = turn + 1
        nat.nft(f"""table ip nat
delete table ip nat
table ip nat {{
 chain post {{ type nat hook postrouting priority 100;
  oifname "out" meta l4proto udp masquerade to :{PORTS[turn % len(PORTS)]}
  oifname "out" masquerade
 }}
 chain input {{ type filter hook input priority 0;
  iifname "out" meta l4proto {{ tcp, udp }} drop
 }}
}}
""")
        nat.forget()

    def arrive_as_stranger(self, node):
        """What an earlier stay in the network where it goes left in NATs is gone, as after minutes: else a move back finds open holes."""
        new = node.links[self.other(node)]
        new.forget()
        for nat in self.nats.values():
            nat.run("conntrack", "-D", "-d", new.public)

    def silence(self, node, which):
        """The router goes on to answer on its link, and drops: everything, what comes toward the node, or what comes from it."""
        self.nat_of(node).silence({"both": "both", "down": "in", "up": "out"}[which])

    def cut_direct(self):
        """No datagram passes between the networks of M and K; what goes by S does."""
        ends = [[self.nats[nat.letter] for nat in node.links.values()] for node in (self.m, self.k)]
        for one in ends[0]:
            for other in ends[1]:
                self.cut(one, other)
