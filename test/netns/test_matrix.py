"""The framework paper's matrix: each end over IPv4, over IPv4 behind a NAT, or over IPv6, and every move between the three.

Inside run IPv4 and IPv6, TCP and UDP, both ways. Direct wherever the paper is and wherever both ends have a family in common; by relay only
between an end that has IPv4 alone and one that has IPv6 alone.
"""
from lab import demand
from talk import Talks, both_families
from test_join import two_joined
from test_patterns import go, wait_route

NETWORKS = "ABCDEFGHKW"
PLACES = {"v4": "open", "nat": "home", "v6": "six"}
OTHERS = {"v4": "open2", "nat": "home", "v6": "six2", "dual": "dual"}
# Each of the six moves between three places once, ending where it began.
ROUND = ("v4", "nat", "v6", "v4", "v6", "nat", "v4")


def route(here, there):
    """What the matrix demands for two kinds of access."""
    apart = {here, there} in ({"v4", "v6"}, {"nat", "v6"})
    return "relay" if apart else "direct"


def walk_round(new_lab, there):
    """One end stays; the other makes every move."""
    with new_lab(networks=NETWORKS, at={"a": PLACES[ROUND[0]], "b": OTHERS[there]}) as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            for before, after in zip(ROUND, ROUND[1:]):
                go(talks, lab.a, lab.b, f"{before}>{after} with the other end on {there}", PLACES[after], route(after, there))
            talks.finish()


def test_matrix_to_ipv4(new_lab):
    """Every move between IPv4, NAT and IPv6, towards an end with public IPv4."""
    walk_round(new_lab, "v4")


def test_matrix_to_nat(new_lab):
    """The same towards an end behind a NAT."""
    walk_round(new_lab, "nat")


def test_matrix_to_ipv6(new_lab):
    """The same towards an end with IPv6 alone."""
    walk_round(new_lab, "v6")


def test_matrix_to_dual_stack(new_lab):
    """The same towards an end with both: direct always."""
    walk_round(new_lab, "dual")


def go_both(lab, talks, a_to, b_to, kind):
    talks.moved(f"both: {a_to} and {b_to}", lambda: lab.move_together((lab.a, a_to), (lab.b, b_to)))
    wait_route(lab.a, lab.b, kind)


def test_matrix_both_move(new_lab):
    """Both ends change their family at the same instant: from no family in common to one, to another, and to none again."""
    steps = (("six", "home", "relay"), ("open", "six2", "relay"), ("six", "open2", "relay"), ("home", "home", "direct"),
             ("six", "six2", "direct"), ("open", "open2", "direct"))
    with new_lab(networks=NETWORKS, at={"a": "open", "b": "six"}) as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            for a_to, b_to, kind in steps:
                demand(lab.a.at != a_to and lab.b.at != b_to, "the test's own table does not move both")
                go_both(lab, talks, a_to, b_to, kind)
            talks.finish(timeouts_allowed=None)  # what is replayed before the other end's new leg is up may be lost
