"""The moves: what happens to whom, and how everything is put right afterwards.

  a  M's old link loses its address, the new one gets one, in the same instant
  b  the default route moves to the new link; the old one dies 2 s later
  c  silent death: M's old router drops everything, its link stays up; the other link is there
  c-down, c-up  the same, but it drops only what goes toward M, only what comes from M
  d  both ends do `a` in the same instant
  e  M's NAT forgets every mapping; the next ones have other ports
  idle  nothing happens: what the probe itself and the machine do to a quiet run

With -silent only K sends (no stream); with -relay no datagram passes directly between the two networks.
"""
import threading

OLD_LINK_DIES_SECONDS = 2.0


class Case:
    """One kind of move. do() returns a function to call before anything else is touched, or None."""

    settle_seconds, give_up_seconds, needs_spare = 0.0, 30.0, False

    def __init__(self, name):
        self.name = name
        self.base = name.split("-relay")[0].split("-silent")[0]
        self.silent, self.relay = "-silent" in name, "-relay" in name

    def before(self, world):
        """What must be there already when it happens."""

    def do(self, world):
        raise NotImplementedError

    def after(self, world):
        """Everything as it was, perhaps on another link."""


class Abrupt(Case):
    def before(self, world):
        world.arrive_as_stranger(world.m)

    def do(self, world):
        world.m.move(world.other(world.m))


class MakeBeforeBreak(Case):
    settle_seconds = OLD_LINK_DIES_SECONDS + 1

    def before(self, world):
        world.arrive_as_stranger(world.m)

    def do(self, world):
        m, old, new = world.m, world.m.at, world.other(world.m)
        up = m.lines_up(new)
        down = m.lines_down(old)
        m.ip(up[0], down[0], up[1], f"route add default via {m.links[old].gateway} dev {old} metric 100")
        self.timer = threading.Timer(OLD_LINK_DIES_SECONDS, lambda: m.ip(*down))
        self.timer.start()
        m.at = new

    def after(self, world):
        self.timer.join()


class Silence(Case):
    """The other link has an address before, as a phone's has: else there would be nowhere to go."""

    give_up_seconds, needs_spare = 20.0, True
    ways = {"c": "both", "c-down": "down", "c-up": "up"}

    def before(self, world):
        self.spare = world.other(world.m)
        world.arrive_as_stranger(world.m)
        world.m.ip(*world.m.lines_up(self.spare, metric=500))

    def do(self, world):
        world.silence(world.m, self.ways[self.base])

    def after(self, world):
        old = world.m.links[world.m.at]
        up = world.m.lines_up(self.spare)
        world.m.ip(*world.m.lines_down(world.m.at), f"route del default dev {self.spare}", up[1])
        old.speak()
        world.m.at = self.spare


class Both(Case):
    def before(self, world):
        world.arrive_as_stranger(world.m)
        world.arrive_as_stranger(world.k)

    def do(self, world):
        world.move_together((world.m, world.other(world.m)), (world.k, world.other(world.k)))


class Rebind(Case):
    def do(self, world):
        world.rebind(world.m)


class Idle(Case):
    settle_seconds = 3.0

    def do(self, world):
        """Nothing."""


KINDS = {"a": Abrupt, "b": MakeBeforeBreak, "c": Silence, "c-down": Silence, "c-up": Silence, "d": Both, "e": Rebind, "idle": Idle}
NAT_CASES = ("a", "a-silent", "b", "c", "c-down", "c-up", "d", "e", "e-silent", "a-relay", "d-relay", "idle")
PUBLIC_CASES = ("a", "a-silent", "b", "c", "c-down", "c-up", "e", "e-silent", "idle")


def make(name):
    base = name.split("-relay")[0].split("-silent")[0]
    return KINDS[base](name)
