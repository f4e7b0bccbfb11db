"""Multipath TCP of the kernel: a stream only, K public, both of M's networks up beforehand with a subflow over each."""
import cases
import probe
from contenders import TCP_PORT, Contender

TABLES = {"home": 101, "cell": 102}
ENDPOINTS = {"home": 1, "cell": 2}


def address(world, label):
    nat = world.m.links[label]
    return world.m.lines_up(label)[0].split()[2].split("/")[0], nat


def up(world, label):
    """A network of M with an address, a table and an endpoint of its own; `home` is preferred."""
    own, nat = address(world, label)
    metric = 50 if label == "home" else 100
    route = f"route replace default via {nat.gateway} dev {label}"
    world.m.ip(f"addr replace {own}/{nat.config['bits']} dev {label}", f"{route} metric {metric}", f"{route} table {TABLES[label]}")
    for words in (("rule", "del"), ("rule", "add")):
        world.m.run("ip", *words, "from", own, "lookup", str(TABLES[label]))
    world.m.run("ip", "mptcp", "endpoint", "delete", "id", str(ENDPOINTS[label]))
    world.m.run("ip", "mptcp", "endpoint", "add", own, "id", str(ENDPOINTS[label]), "dev", label, "subflow")


class LinkDies(cases.Case):
    """The network that the connection was opened over goes away; the other has been there all the time."""

    def do(self, world):
        """Whoever manages the machine's networks takes the endpoint away too: the kernel does not do it by itself."""
        own, nat = address(world, "home")
        world.m.ip(f"addr del {own}/{nat.config['bits']} dev home", f"mptcp endpoint delete id {ENDPOINTS['home']}")

    def after(self, world):
        up(world, "home")


class Silence(cases.Silence):
    def before(self, world):
        """The other network is there already."""

    def after(self, world):
        world.nat_of(world.m).speak()


KINDS = {"a": LinkDies, "c": Silence, "c-down": Silence, "c-up": Silence, "idle": cases.Idle}


class Mptcp(Contender):
    """Its moves are not an overlay's: the new network must have been there before."""

    name, public = "MPTCP (K public)", True
    carries = ("tcp",)
    own_cases = tuple(KINDS)
    commands = ("ip mptcp limits set subflow 4 add_addr_accepted 4   # M and K",
                "ip mptcp endpoint add ADDRESS dev LINK subflow   # M, each network",
                "probe LOG mptcp listen|connect ...   # bench/probe.c")
    k_address = "192.0.2.40"

    def start(self, world):
        for host in (world.m, world.k):
            host.ip("mptcp limits set subflow 4 add_addr_accepted 4")
        world.m.run("ip", "route", "del", "default", "dev", "home")
        for label in world.m.links:
            up(world, label)

    def make_case(self, name):
        return KINDS[name](name)

    def open_probes(self, world, case):
        return {"tcp": probe.stream(world, world.m, world.k, self.k_address, TCP_PORT, "mptcp")}


CONTENDERS = (Mptcp,)
