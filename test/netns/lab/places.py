"""The world as the papers measured it: places, and the round trip between each two.

MN's coordinator is s, CN's is s2, the relay is s3. What the papers do not give is the way along what they give: MN to CN and to each other's
coordinator along the coordinators (which is shorter than by the relay), the relay beside MN's coordinator.
"""
import itertools

MEMBERS = {
    "mn": ("A", "C", "D", "G"),
    "cn": ("B", "E", "F", "H", "K", "W", "g", "g2"),
    "dc1": ("s", "s4"),
    "dc2": ("s2",),
    "rs": ("s3",),
}
# Round trips in milliseconds.
PAPERS = {
    "mn-dc1": 21, "dc1-dc2": 101, "cn-dc2": 41, "mn-rs": 22, "cn-rs": 162,
    "mn-cn": 163, "mn-dc2": 122, "cn-dc1": 142, "dc1-rs": 20, "dc2-rs": 121,
}
EDGE = {
    "mn-dc1": 15, "dc1-dc2": 101, "cn-dc2": 15, "mn-rs": 15, "cn-rs": 116,
    "mn-cn": 131, "mn-dc2": 116, "cn-dc1": 116, "dc1-rs": 10, "dc2-rs": 101,
}
SAME_PLACE_MS = 10
PROFILES = {"papers": PAPERS, "edge": EDGE}


def round_trip(profile, one, other):
    """Between two places, in milliseconds."""
    trips = PROFILES[profile]
    return SAME_PLACE_MS if one == other else trips.get(f"{one}-{other}") or trips[f"{other}-{one}"]


def spread(lab, profile, members=None, **more):
    """Gives every cable of the lab that belongs to a place the delays of the profile: each packet has its whole way's on the first cable.
    more: what else each way has (Link.set)."""
    present = {name: place for place, names in (members or MEMBERS).items() for name in names if name in lab.nats or name in lab.hosts}
    for name in present:
        lab.link(name)
    for (one, here), (other, there) in itertools.permutations(present.items(), 2):
        for prefix in lab.cable_end(other).prefixes():
            lab.link(one).set("up", target=prefix, delay_ms=round_trip(profile, here, there) / 2, **more)
