"""Who is where: networks, hosts, numbers."""

# inside, bits, base: the IPv4 prefix behind the router; public: the router's own address, which a NAT gives to all behind it; open: what is
# inside has addresses of the world and nobody filters; inside6: a prefix of the world, behind a wall that knows connections unless open.
NETWORKS = {
    "A": {"inside": "192.168.1", "bits": 24, "public": "203.0.113.11"},
    "B": {"inside": "192.168.1", "bits": 24, "public": "203.0.113.22"},
    "C": {"inside": "100.64.0", "bits": 10, "public": "203.0.113.33"},
    "D": {"inside6": "2001:db8:d:"},
    "E": {"inside": "192.168.5", "bits": 24, "public": "203.0.113.55", "inside6": "2001:db8:e:"},
    "F": {"inside": "192.0.2", "base": 128, "bits": 26, "public": "203.0.113.66", "inside6": "2001:db8:f0:", "open": True},
    "G": {"inside": "192.0.2", "base": 0, "bits": 26, "public": "203.0.113.71", "open": True},
    "H": {"inside": "192.0.2", "base": 64, "bits": 26, "public": "203.0.113.72", "open": True},
    "K": {"inside": "10.7.0", "bits": 16, "public": "203.0.113.77"},
    "W": {"inside6": "2001:db8:1d:"},
}
# The interfaces of each node that every lab has,
NODES = {
    "a": {"home": "A", "cell": "C", "six": "D"},
    "b": {"home": "B", "cell": "C", "six": "D"},
    "c": {"cell": "C", "six": "D"},
}
# and those that it has only where the lab names its networks.
_ANYWHERE = {"cell2": "K", "open": "G", "open2": "H", "dual": "E", "dualopen": "F", "six2": "W"}
MORE_LINKS = {
    "a": {"visit": "B", **_ANYWHERE},
    "b": {"visit": "A", **_ANYWHERE},
    "c": {"visit": "A", "visit2": "B", **_ANYWHERE},
}
# Bridges of the internet with hosts on them, and its own addresses there.
BRIDGES = {"srv": ("198.51.100.1", "2001:db8:5::1"), "gen": ("203.0.114.1", "2a0f:ffff:6::1")}
SERVERS = ("s", "s2", "s3", "s4")
HOST_NUMBER = {"a": 10, "b": 20, "c": 30, "h": 40, "h2": 40}
SERVER_NUMBER = {"s": 2, "s2": 3, "s3": 4, "s4": 5}
# General hosts, which know nothing of the overlay: in the world, or behind which router.
GENERALS = {"g": None, "g2": None, "h": "A", "h2": "B"}
GENERAL_NUMBER = {"g": 2, "g2": 3}


def gateway_of(config):
    """The router's IPv4 address inside."""
    return inside_address(config, 1)


def inside_address(config, number):
    """The IPv4 address of a host behind the router."""
    return f"{config['inside']}.{config.get('base', 0) + number}"


def inside_prefix(config):
    """The IPv4 prefix behind the router."""
    return f"{inside_address(config, 0)}/{config['bits']}"
