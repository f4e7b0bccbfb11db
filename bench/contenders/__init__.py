"""Who is measured. Each module has classes with one interface, that of Contender."""
import importlib
import os

import cases
import probe
from world import peer

MODULES = ("ours", "wireguard", "nebula", "tailscale", "mptcp", "iroh")
UDP_PORT, TCP_PORT, GREET_PORT = 9000, 9001, 9002


class Contender:
    """An overlay between world.m and world.k. start() sets m_address and k_address, unless open_probes is its own."""

    name = None             # in tables and documents
    public = False          # K has a public address, else it is behind a NAT
    carries = ("udp", "tcp")
    fast = True             # comes back within a second or so: measured one at a time
    own_cases = None            # those of its kind of K that it is measured on; None: all
    programs = ()           # of build/peers
    commands = ()           # what a reader types to have the same; printed

    @classmethod
    def lacks(cls):
        """What is not there of its programs."""
        return [program for program in cls.programs if not os.access(peer(program), os.X_OK)]

    def start(self, world):
        raise NotImplementedError

    def settle(self, world, relay):
        """Waits until data takes the path that a case starts from; called before probes flow and after they do."""

    def make_case(self, name):
        """A move as this contender can make it."""
        return cases.make(name)

    def forget(self, world):
        """Both ends start anew, keys and all configuration in place: registered, ready, and strangers to each other."""
        raise NotImplementedError

    def contact(self, world):
        """From the first packet that asks to the first answer of a stranger, in ms. A name is looked up where the overlay has names."""
        return probe.greet(world, world.m, world.k, self.k_address, GREET_PORT)

    def open_probes(self, world, case):
        """The pairs of a move by kind: a UDP probe, and a stream unless M is silent."""
        pairs = {"udp": probe.datagrams(world, world.m, world.k, self.m_address, self.k_address, UDP_PORT, case.silent)}
        if "tcp" in self.carries and not case.silent:
            pairs["tcp"] = probe.stream(world, world.m, world.k, self.k_address, TCP_PORT)
        return pairs


def all_contenders():
    """Every class of every module, by name."""
    found = {}
    for module in MODULES:
        for kind in importlib.import_module(f"contenders.{module}").CONTENDERS:
            found[kind.name] = kind
    return found
