"""The lab itself: does each network give what it says, and who reaches whom? No overlay program is involved."""
import contextlib
import socket

from lab import demand

EVERYWHERE = "ABCDEFGHKW"
# As whom the servers see a node that is there, by family.
SEEN_AS = {
    "home": ("203.0.113.11", None), "visit": ("203.0.113.22", None), "cell": ("203.0.113.33", None), "cell2": ("203.0.113.77", None),
    "open": ("192.0.2.10", None), "open2": ("192.0.2.74", None), "dual": ("203.0.113.55", "2001:db8:e::10"),
    "dualopen": ("192.0.2.138", "2001:db8:f0::10"), "six": (None, "2001:db8:d::10"), "six2": (None, "2001:db8:1d::10"),
}


def pings(host, address):
    return host.run("ping", "-n", "-c1", "-W0.4", address).returncode == 0


def seen_as(node, server, server_address, expected=True):
    """The address that the server sees, or None if nothing reaches it. What is expected is waited for longer."""
    wild = "::" if ":" in server_address else "0.0.0.0"
    with contextlib.closing(server.udp(server_address, 7001)) as listener, contextlib.closing(node.udp(wild)) as inside:
        listener.settimeout(3 if expected else 0.2)
        try:
            inside.sendto(b"here", (server_address, 7001))
            return listener.recvfrom(100)[1][0]
        except (socket.timeout, OSError):
            return None


def test_lab_networks(new_lab):
    """Each network gives its families and addresses; general hosts in the world and behind a NAT are reached as they should be."""
    with new_lab(nodes=("a",), servers=("s", "s4"), generals=("g", "g2", "h"), networks=EVERYWHERE) as lab:
        for label, (v4, v6) in SEEN_AS.items():
            if lab.a.at != label:
                lab.a.move(label)
            for address, expected in ((lab.s.v4, v4), (lab.s.v6, v6)):
                seen = seen_as(lab.a, lab.s, address, expected)
                demand(seen == expected, f"on {label} a is seen as {seen} at {address}, not as {expected}")
        lab.a.move("dualopen")
        for address in (lab.s4.v4, lab.s4.v6, lab.g.v4, lab.g.v6, lab.g2.v4):
            demand(pings(lab.a, address), f"a does not reach {address}")
        demand(pings(lab.g, "192.0.2.138") and pings(lab.g, "2001:db8:f0::10"), "an open network is not open")
        demand(pings(lab.h, lab.g.v4) and not pings(lab.g, lab.h.v4), "h is not behind a NAT")


def test_lab_isolation(new_lab):
    """Hosts of one network reach each other, and where the access point forbids it only the router."""
    with new_lab(generals=("g", "h"), networks="AB") as lab:
        lab.b.move("visit")
        demand(pings(lab.a, "192.168.1.20") and pings(lab.a, lab.h.v4), "neighbours do not reach each other")
        lab.nats["A"].isolate()
        demand(not pings(lab.a, "192.168.1.20") and not pings(lab.h, "192.168.1.10"), "isolated neighbours reach each other")
        demand(pings(lab.a, lab.g.v4), "an isolated host does not reach the world")
        lab.nats["A"].isolate(False)
        demand(pings(lab.a, "192.168.1.20"), "isolation does not end")


def test_lab_cuts(new_lab):
    """Cuts between networks, one way and both; a server unplugged; a router that falls silent, each way; and the end of all that."""
    with new_lab(networks="GH", generals=("g",), at={"b": "open2"}) as lab:
        there, back = lab.nats["G"], lab.nats["H"]

        def check(what, expected):
            """What passes from a to b, and from b to a?"""
            seen = (seen_as(lab.a, lab.b, "192.0.2.84", expected[0]) is not None,
                    seen_as(lab.b, lab.a, "192.0.2.10", expected[1]) is not None)
            demand(seen == expected, f"{what}: there and back pass {seen}, not {expected}")

        check("at first", (True, True))
        lab.cut(there, back)
        check("cut", (False, False))
        lab.heal()
        lab.cut(there, back, both=False)
        check("cut one way", (False, True))
        lab.unplug(lab.s)
        demand(not pings(lab.a, lab.s.v4) and pings(lab.a, lab.g.v4), "unplugged is not what it says")
        lab.heal()
        check("healed", (True, True))
        demand(pings(lab.a, lab.s.v4), "healed, and a server is still unplugged")
        for way, expected in (("in", (True, False)), ("out", (False, True)), ("both", (False, False))):
            there.silence(way)
            check(f"silent {way}", expected)
        there.speak()
        check("silence ended", (True, True))
