"""Ours: one server at S, a node at each end."""
from contenders import Contender


class Ours(Contender):
    name = "ours"
    commands = ("ntm serve   # S", "ntm invite   # S, once a node", "ntm up CODE   # M and K")

    def start(self, world):
        world.s.serve()
        world.m.join(world.s.invite("--name", "m"))
        world.k.join(world.s.invite("--name", "k"))
        self.m_address, self.k_address = world.m.v4, world.k.v4
        world.m.ntm("ping", "k", "-c", "1", check=True)

    def settle(self, world, relay):
        world.m.wait_path(world.k, "relay" if relay else "direct", 40)
        world.k.wait_path(world.m, "relay" if relay else "direct", 40)


class OursPublic(Ours):
    name, public = "ours (K public)", True


CONTENDERS = (Ours, OursPublic)
