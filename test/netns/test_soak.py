"""Many moves of every kind, drawn from a seed: after each of them everything holds."""
import os
import random
import re

from lab import LabError, demand, long_form
from talk import Talks, both_families
from test_join import two_joined
from test_patterns import wait_route

LABELS = ("open", "open2", "home", "visit", "cell", "cell2", "six", "six2", "dual", "dualopen")
IPV6_ALONE = ("six", "six2")
BOTH_FAMILIES = ("dual", "dualopen")
MOVES = 200
LABS = 8  # each with NATs of its own
WARM = 5  # moves after which memory does not grow any more
SLACK_KIB = 512  # pages of buffers that had not been touched before
TIMEOUTS_ALLOWED = 4  # of TCP in a lab, for a machine that is busy with other things: a gap of a second has twice as many


def draw_nats(draw):
    """Kinds that a hole can be punched through, and one that nobody can: then the route may be the relay."""
    kinds = ("endpoint-independent", "endpoint-independent-any-port", "full-cone", "address-restricted", "symmetric")
    return {letter: draw.choice(kinds) for letter in "ABCKE"}


def resident_kib(lab):
    """VmRSS of every daemon in the lab, by name."""
    daemons = {"a": lab.a.daemon, "b": lab.b.daemon, "server": lab.s.daemon}
    found = {}
    for name, daemon in daemons.items():
        pids = lab.s.run("pgrep", "-P", str(daemon.pid)).stdout.split() or [str(daemon.pid)]
        with open(f"/proc/{pids[0]}/status", encoding="utf-8") as file:
            found[name] = int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1))
    return found


def demand_flat(early, late):
    for name, kib in late.items():
        demand(kib <= early[name] + SLACK_KIB, f"{name} grew from {early[name]} to {kib} KiB resident")


def no_family_in_common(one, other):
    places = {one.at, other.at}
    return bool(places & set(IPV6_ALONE)) and not places & set(BOTH_FAMILIES) and not places <= set(IPV6_ALONE)


def one_move(lab, draw, talks, number):
    """One end, the other, or both at once; then the route is what it can be, and both conversations go on."""
    who = draw.choice((("a",), ("a",), ("b",), ("a", "b")))
    moves = [(lab.hosts[name], draw.choice([label for label in LABELS if label != lab.hosts[name].at])) for name in who]
    what = f"{number}: " + " and ".join(f"{node.name} {node.at}>{label}" for node, label in moves)
    talks.moved(what, lambda: lab.move_together(*moves), seconds=30)
    if no_family_in_common(lab.a, lab.b):
        wait_route(lab.a, lab.b, "relay")


@long_form
def test_soak_moves(new_lab):
    """200 moves of one end or both, in eight labs with NATs of all kinds: not a byte lost, nothing reset. NTM_SEED repeats a run."""
    seed = os.environ.get("NTM_SEED") or str(random.SystemRandom().randrange(1 << 32))
    moves = int(os.environ.get("NTM_MOVES", MOVES))
    os.environ["NTM_RELAY_MEMORY"] = "256k"  # it is touched little by little, and would look like a leak
    draw = random.Random(seed)
    for _ in range(LABS):
        nats = draw_nats(draw)
        with new_lab(networks="ABCDEFGHKW", at={"a": "open", "b": "home"}, nats=nats) as lab:
            two_joined(lab)
            with Talks(lab, *both_families(lab.a, lab.b)) as talks:
                talks.note(f"NTM_SEED={seed}, NATs {nats}")
                talks.wait_on(talks.mark())
                early = resident_kib(lab)
                try:
                    for number in range(moves // LABS):
                        one_move(lab, draw, talks, number)
                        early = resident_kib(lab) if number < WARM else early
                    demand_flat(early, resident_kib(lab))
                    talks.finish(TIMEOUTS_ALLOWED)
                except LabError as error:
                    raise LabError(f"NTM_SEED={seed}, NATs {nats}: {error}") from None
