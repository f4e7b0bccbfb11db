"""The emulated wires: does each do to packets what it is told, and does it know when it was late? No overlay program is involved."""
import contextlib
import os
import re
import signal
import struct

from lab import NETWORKS, LabError, demand, wait_for
from lab.places import PROFILES, spread

COUNT = 1000
AT_A_TIME = 50


class Stream:
    """Numbered datagrams from a to s, past the NAT, and which of them came, in order."""

    def __init__(self, lab, stack):
        self.lab, self.link = lab, lab.link("A")
        self.server = stack.enter_context(contextlib.closing(lab.s.udp(lab.s.v4, 7001)))
        self.inside = stack.enter_context(contextlib.closing(lab.a.udp()))
        # Neighbours know each other: a kernel that still asks reorders.
        lab.a.run("ping", "-n", "-c2", "-i0.01", lab.s.v4, check=True)
        # Nothing else on this wire: routers talk to each other over IPv6.
        lab.nats["A"].sysctl(net__ipv6__conf__out__disable_ipv6=1)
        lab.inet.sysctl(**{f"net__ipv6__conf__{lab.nats['A'].port}__disable_ipv6": 1})

    def send(self, count=COUNT, size=100, way="up"):
        """What came. A few at a time, so that no socket's buffer overflows."""
        came = []
        source, target, address = self.ends(way)
        for first in range(0, count, AT_A_TIME):
            before, numbers = self.link.stats()[way], range(first, min(first + AT_A_TIME, count))
            for number in numbers:
                source.sendto(struct.pack("!I", number).ljust(size, b"."), address)
            came += self.arrived(target, self.passed(way, before, len(numbers)))
        return came

    def ends(self, way):
        if way == "up":
            return self.inside, self.server, (self.lab.s.v4, 7001)
        return self.server, self.inside, (self.lab.nats["A"].public, self.inside.getsockname()[1])

    def passed(self, way, before, count):
        """How many of those went out at the other end, when the wire has decided on all and nothing is on its way any more."""
        def grown(key):
            return self.link.stats()[way][key] - before[key]
        wait_for("the wire to take them", lambda: grown("received") - grown("neighbours") >= count, every=0.001)
        wait_for("what is on its way", lambda: grown("sent") == grown("passed") + grown("doubled") + grown("neighbours"), every=0.001)
        return grown("passed") + grown("doubled")

    @staticmethod
    def arrived(target, count):
        target.settimeout(2)
        return [struct.unpack("!I", target.recvfrom(2048)[0][:4])[0] for _ in range(count)]


def check_share(what, count, share):
    demand(0.6 * share * COUNT < count < 1.4 * share * COUNT, f"{what}: {count} of {COUNT}, not about {share:.0%}")


def check_loss(stream):
    stream.link.set(loss=20)
    lost = []
    for _ in range(2):
        stream.lab.emulator.ask("seed 5")
        lost.append(sorted(set(range(COUNT)) - set(stream.send())))
        check_share("lost", len(lost[-1]), 0.2)
    demand(lost[0] == lost[1], "the same seed did not lose the same packets")
    stream.lab.emulator.ask("seed 9")
    stream.link.set(clear=True, burst=(5, 25, 100))
    missing = set(range(COUNT)) - set(stream.send())
    check_share("lost in bursts", len(missing), 5 / 30)
    after_lost = sum(number + 1 in missing for number in missing)
    demand(after_lost > len(missing) / 2, f"only {after_lost} of {len(missing)} lost ones have a lost one behind them")


def check_order(stream):
    stream.link.set(clear=True, delay_ms=5, jitter_ms=4)
    demand(stream.send() == list(range(COUNT)), "jitter lost or reordered")
    stream.link.set(clear=True, duplicate=10)
    came = stream.send()
    demand(sorted(set(came)) == list(range(COUNT)), "a duplicating wire lost something")
    check_share("doubled", len(came) - COUNT, 0.1)
    stream.link.set(clear=True, reorder=(10, 3))
    came = stream.send()
    demand(sorted(came) == list(range(COUNT)), "a reordering wire lost or doubled something")
    check_share("overtaken", sum(number < max(came[:at + 1]) for at, number in enumerate(came)), 0.1)


def check_rate(stream):
    """At 1 Mbit/s hardly more than the queue holds passes of what comes at once."""
    before = stream.link.stats()["up"]["queue_full"]
    stream.link.set(clear=True, rate_mbit=1, queue_bytes=10 * 1042)
    came = stream.send(AT_A_TIME, 1000)
    demand(10 <= len(came) < AT_A_TIME, f"{len(came)} of {AT_A_TIME} passed a queue of 10")
    demand(stream.link.stats()["up"]["queue_full"] - before == AT_A_TIME - len(came), "the queue's drops are not counted")


def check_cuts(stream):
    stream.link.set(clear=True)
    for way, passes in (("up", (False, True)), ("down", (True, False)), ("both", (False, False))):
        stream.link.cut(way)
        seen = tuple(len(stream.send(10, way=one)) == 10 for one in ("up", "down"))
        demand(seen == passes, f"cut {way}: up and down pass {seen}")
        stream.link.heal(way)
    demand(len(stream.send(10)) == 10 and len(stream.send(10, way="down")) == 10, "healed, and it does not pass")


def test_link_impairs(new_lab):
    """Loss, bursts, jitter, doubling, reordering, rate, cuts: as told, and for the same seed the same."""
    with new_lab(nodes=("a",)) as lab, contextlib.ExitStack() as stack:
        stream = Stream(lab, stack)
        demand(stream.send() == list(range(COUNT)), "a wire without settings changes something")
        check_loss(stream)
        check_order(stream)
        check_rate(stream)
        check_cuts(stream)


def big_ping(host, address):
    """A packet of 1400 bytes that must not be fragmented: what ping says."""
    return host.run("ping", "-n", "-c1", "-W0.4", "-M", "do", "-s", "1372" if "." in address else "1352", address)


def test_link_mtu(new_lab):
    """Too big packets vanish, or are answered so that the sender's kernel knows; both families; small ones pass."""
    with new_lab(nodes=("a",), networks="F") as lab:
        link = lab.link("F")
        for address in (lab.s.v4, lab.s.v6):
            link.set(clear=True)
            demand(big_ping(lab.a, address).returncode == 0, f"{address}: 1400 bytes do not pass at first")
            link.set("up", mtu=1399, answers=False)
            done = big_ping(lab.a, address)
            demand(done.returncode == 1 and "mtu" not in done.stdout, f"{address}: no black hole: {done.stdout}")
            link.set("up", answers=True)
            demand(re.search(r"mtu\D+1399", big_ping(lab.a, address).stdout), f"{address}: nobody says that it is too big")
            demand(lab.a.run("ping", "-n", "-c1", "-W1", address).returncode == 0, f"{address}: small ones do not pass")


def test_link_classes(new_lab):
    """Settings by pairs of prefixes: each pair has its own, in both families; the ends of a cable find each other whatever is set."""
    with new_lab(nodes=("a",), servers=("s", "s2"), networks="F") as lab:
        link = lab.link("F")

        def reached():
            return [lab.a.run("ping", "-n", "-c1", "-W0.4", address).returncode == 0
                    for server in (lab.s, lab.s2) for address in (server.v4, server.v6)]

        demand(reached() == [True] * 4, "not everything is reached at first")
        link.cut("up", target=lab.s.v4)
        link.set("down", source=lab.s2.v6, target="2001:db8:f0::/48", loss=100)
        demand(reached() == [False, True, True, False], f"classes: {reached()}")
        link.cut()
        router = lab.nats["F"]
        router.run("ip", "neigh", "flush", "dev", "out", check=True)
        demand(reached()[1:3] == [False, False], "the class of all others is not cut")
        for neighbour in ("203.0.113.1", f"{router.link6}:1"):
            demand("lladdr" in router.run("ip", "neigh", "show", neighbour).stdout, f"{neighbour} is not found over a cut wire")
        link.heal()
        demand(reached() == [False, True, True, False], f"classes after a cut: {reached()}")


def test_link_tells_when_late(new_lab):
    """A run in which the emulator could not keep up is void, and says so; a wrong command changes nothing and is refused."""
    with new_lab(nodes=("a",), delays={"A": 1}) as lab, contextlib.ExitStack() as stack:
        stream = Stream(lab, stack)
        lab.emulator.reset()
        demand(len(stream.send(50)) == 50, "a packet is missing")
        demand(lab.emulator.stats()["late_us"]["frames"] >= 50, "lateness is not counted")
        os.kill(lab.emulator.process.pid, signal.SIGSTOP)
        for number in range(50):
            stream.inside.sendto(struct.pack("!I", number), (lab.s.v4, 7001))
        demand(lab.a.run("ping", "-n", "-c1", "-W0.2", lab.s.v4).returncode == 1, "a stopped emulator forwards")
        os.kill(lab.emulator.process.pid, signal.SIGCONT)
        wait_for("what waited", lambda: lab.emulator.stats()["late_us"]["frames"] >= 100)
        demand("too late" in (lab.emulator.void() or ""), f"late, and not void: {lab.emulator.stats()}")
        lab.emulator.reset()
        demand(lab.emulator.void() is None, "void after a reset")
        try:
            stream.link.emulator.ask("set A up delay 5ms")
            raise AssertionError("a wrong word was taken")
        except LabError as error:
            demand("up" in str(error), f"it says {error}")


def round_trip_ms(host, address):
    """The shortest of three, so that what else the machine does counts little."""
    done = host.run("ping", "-n", "-c3", "-i0.01", "-W2", address, check=True)
    return float(re.search(r"= ([\d.]+)/", done.stdout)[1])


def check_trips(lab, profile):
    """No pair is faster than the papers', and their order is the papers' too, so that none has another's delay."""
    trips = [(host, address, PROFILES[profile][pair]) for host, address, pair in (
        (lab.a, lab.s.v4, "mn-dc1"), (lab.a, lab.s3.v4, "mn-rs"), (lab.b, lab.s2.v4, "cn-dc2"), (lab.s, lab.s2.v6, "dc1-dc2"),
        (lab.a, lab.s2.v4, "mn-dc2"), (lab.b, lab.s.v4, "cn-dc1"), (lab.b, lab.s3.v4, "cn-rs"), (lab.a, lab.g.v4, "mn-cn"))]
    seen = [(expected, round_trip_ms(host, address)) for host, address, expected in trips]
    demand(all(trip >= expected for expected, trip in seen), f"{profile}: faster than it should be: {seen}")
    far_apart = [(one, other) for one in seen for other in seen if other[0] > one[0] + 15]
    demand(all(one[1] < other[1] for one, other in far_apart), f"{profile}: in another order: {seen}")


def test_link_papers(new_lab):
    """The papers' round trips between any two places, both variants, in both families, and after a move."""
    with new_lab(networks="ABDF", servers=("s", "s2", "s3"), generals=("g",), profile="papers") as lab:
        check_trips(lab, "papers")
        lab.move_together((lab.a, "six"), (lab.b, "dualopen"))
        there = (f"{NETWORKS['F']['inside6']}:20", PROFILES["papers"]["mn-cn"]), (lab.s.v6, PROFILES["papers"]["mn-dc1"])
        for address, expected in there:
            demand(round_trip_ms(lab.a, address) >= expected, f"{address} is nearer than {expected} ms over IPv6")
        lab.move_together((lab.a, "home"), (lab.b, "home"))
        spread(lab, "edge")
        check_trips(lab, "edge")
