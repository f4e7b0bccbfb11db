"""The 17 movement patterns of the first NTMobile paper: from where to where a node moves while the other is in the world or behind a NAT.

G is the world, P(A) to P(C) are private networks behind NATs. In each, TCP and UDP run both ways, over IPv4 and over IPv6 inside; each must
end on the route that the paper names or on a better one, with not a byte lost, nothing reset and no retransmission timer run out.
"""
from lab import LabError, demand, wait_for
from talk import Talks, both_families
from test_exit import world
from test_join import two_joined

NETWORKS = "ABCFGH"
# Pattern, where the other end is, from, to, and the route in the end: "lan" is direct between private addresses, "any" is every one.
# Where the paper needs its relay (13, 16, 17: two NATs) a hole is punched here.
WITH_NODE_IN_THE_WORLD = (
    (1, "G>G", "open", "open2", "direct"),
    (3, "G>P", "open2", "home", "direct"),
    (7, "P(A)>P(A)", "home", "home", "direct"),
    (9, "P(A)>P(B)", "home", "visit", "direct"),
    (5, "P>G", "visit", "open", "direct"),
)
WITH_NODE_BEHIND_A = (
    (11, "G>G", "open", "open2", "direct"),
    (13, "G>P(B)", "open2", "visit", "direct"),
    (17, "P(B)>P(C)", "visit", "cell", "direct"),
    (16, "P(A)>P(B)", "home", "visit", "direct"),
    (15, "P(B)>P(A)", "visit", "home", "lan"),
    (14, "P(B)>G", "visit", "open", "direct"),
    (12, "G>P(A)", "open", "home", "lan"),
)


# With a general host as the other end, which knows nothing of all this: the route is that of the paper, by the relay's host, the exit.
WITH_GENERAL_HOST = ((2, "G>G", "open", "open2"), (4, "G>P", "open2", "home"), (8, "P(A)>P(A)", "home", "home"),
                     (10, "P(A)>P(B)", "home", "visit"), (6, "P>G", "visit", "open"))


def active_path(node, other):
    """The path that data takes now, or None."""
    peer = node.peer(other)
    active = [path for path in peer["paths"] if path.get("active")] if peer else []
    return active[0] if active else None


def on_route(node, other, route):
    path = active_path(node, other)
    if not path:
        return False
    inside = path["kind"] == "direct" and path["remote"].startswith("192.168.")
    if route in ("lan", "not lan"):
        return inside == (route == "lan")
    return route == "any" or path["kind"] == route


def wait_route(one, other, route, seconds=20):
    """Both ends send that way."""
    for here, there in ((one, other), (other, one)):
        try:
            wait_for(f"{here.name} to reach {there.name} by {route}", lambda h=here, t=there: on_route(h, t, route), seconds, 0.1)
        except LabError as error:
            raise LabError(f"{error}; it has {active_path(here, there)}") from None


def move_within(node):
    """Another address in the same network: another lease, say."""
    label = node.at
    lines = node.lines_down(label)
    node.number += 1
    node.ip(*lines, *node.lines_up(label))


def go(talks, node, other, what, label, route):
    """One move with everything that must hold after it."""
    talks.moved(what, lambda: move_within(node) if node.at == label else node.move(label))
    try:
        wait_route(node, other, route)
    except LabError as error:
        raise LabError(f"{what}: {error}") from None


def walk(lab, talks, rows):
    """A node goes through the rows; where a row begins elsewhere it moves there first, which must hold as well."""
    for number, what, start, end, route in rows:
        name = f"pattern {number}, {what}"
        if lab.a.at != start:
            go(talks, lab.a, lab.b, f"on the way to {name}", start, "any")
        go(talks, lab.a, lab.b, name, end, route)


def pattern_lab(new_lab, place, **options):
    """a begins in the world, b in its place."""
    return new_lab(networks=NETWORKS, at={"a": "open", "b": place}, **options)


def test_pattern_node_in_the_world(new_lab):
    """Patterns 1, 3, 5, 7, 9: the other end is a node in the world."""
    with pattern_lab(new_lab, "dualopen") as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            walk(lab, talks, WITH_NODE_IN_THE_WORLD)
            talks.finish()


def test_pattern_node_behind_nat(new_lab):
    """Patterns 11 to 17: the other end is a node behind NAT A."""
    with pattern_lab(new_lab, "visit") as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            walk(lab, talks, WITH_NODE_BEHIND_A)
            talks.finish()


def test_pattern_isolated_hosts(new_lab):
    """Pattern 15 where the access point forbids its hosts to talk to each other, also after they have talked in another network."""
    with pattern_lab(new_lab, "visit") as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            walk(lab, talks, ((15, "P(B)>P(A)", "visit", "home", "lan"),))
            lab.nats["A"].isolate()
            walk(lab, talks, ((15, "P(B)>P(A), isolated hosts", "visit", "home", "not lan"),))
            talks.finish()


def test_pattern_general_host(new_lab):
    """Patterns 2, 4, 6, 8, 10: the other end is a general host in the world, over IPv4 and IPv6."""
    with new_lab(nodes=("a",), networks=NETWORKS, generals=("g",), at={"a": "open"}) as lab:
        world(lab)
        with Talks(lab, (lab.a, lab.g, lab.g.v4), (lab.a, lab.g, lab.g.v6)) as talks:
            for number, what, start, end in WITH_GENERAL_HOST:
                demand(lab.a.at == start, "the table's rows do not follow each other")
                talks.moved(f"pattern {number}, {what}", lambda at=end: move_within(lab.a) if lab.a.at == at else lab.a.move(at))
            seen = [talk.down.source.getpeername()[0] for talk in talks.all]
            demand(seen == [lab.s.v4, lab.s.v6], f"the general host sees {seen}, not the exit")
            talks.finish()
