"""Ours: one server at S, a node at each end."""
import probe
from contenders import GREET_PORT, Contender
from lab import demand, wait_for

ZONE = "two.ntm.internal"


class Ours(Contender):
    name = "ours"
    commands = ("ntm serve   # S", "ntm invite   # S, once a node", "ntm up CODE   # M and K")

    def start(self, world):
        world.s.serve()
        zone = ()
        if world.topology != "plain":
            world.s2.serve_zone(world.s.invite("--role", "coordinator", "--name", ZONE))
            world.s.daemon.wait_line("other zone linked")
            zone = ("--zone", ZONE)
        world.m.join(world.s.invite("--name", "m"))
        world.k.join(world.s.invite("--name", "k", *zone))
        self.m_address, self.k_address = world.m.v4, world.k.v4
        wait_for("K to answer", lambda: world.m.ntm("ping", world.k.fqdn.rstrip("."), "-c", "1").returncode == 0, 20, 0.2)

    def forget(self, world):
        for node in (world.k, world.m):
            node.daemon.stop()
            node.start_daemon()
            node.wait_up()
        demand(not world.m.status()["peers"] or world.m.path_kind(world.k) is None, "M still knows K after it started anew")

    def contact(self, world):
        return probe.greet(world, world.m, world.k, world.k.fqdn.rstrip("."), GREET_PORT, world.m.v4)

    def registration(self, world):
        """On the wire of M: its first datagram to the server, and the first that comes back after it. M starts anew."""
        world.m.daemon.stop()
        sniffer = world.m.start("tcpdump", "tcpdump", "-i", "home", "-lnntt", "--immediate-mode", "udp", "and", "host", world.s.v4)
        sniffer.wait_line("listening on", 10)
        world.m.start_daemon()
        world.m.wait_up()
        lines = [line.split() for line in sniffer.output().splitlines() if " IP " in line]
        sniffer.stop()
        asked = [float(words[0]) for words in lines if words[4].startswith(world.s.v4)]
        answered = [float(words[0]) for words in lines if words[2].startswith(world.s.v4) and asked and float(words[0]) > asked[0]]
        demand(asked and answered, "no registration was seen")
        return (answered[0] - asked[0]) * 1000

    def settle(self, world, relay):
        world.m.wait_path(world.k, "relay" if relay else "direct", 40)
        world.k.wait_path(world.m, "relay" if relay else "direct", 40)


class OursPublic(Ours):
    name, public = "ours (K public)", True


CONTENDERS = (Ours, OursPublic)
