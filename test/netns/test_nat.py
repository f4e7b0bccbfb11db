"""The lab itself: are its NATs what they are called, does it cut, count and delay as it says? No overlay program is involved."""
import contextlib
import os
import socket
import struct
import time

from lab import NAT_KINDS, demand, wait_for

PORTS = (7001, 7002)


def observe_mapping(a, nat_public, targets):
    """The external ports with which one socket of a is seen by each of the targets."""
    inside = a.udp(port=40000)
    seen = []
    for target, address in targets:
        inside.sendto(b"hello", address)
        seen.append(target.recvfrom(100)[1])
    demand(all(host == nat_public for host, _ in seen), f"seen from {seen}, not from {nat_public}")
    return inside, [port for _, port in seen]


def gets_through(source, inside, address):
    """Does a datagram from a source to the external address arrive inside?"""
    source.sendto(b"knock", address)
    try:
        return inside.recvfrom(100)[0] == b"knock"
    except socket.timeout:
        return False


EXPECTED = {  # mapping per destination; does a stranger's datagram, and one from a known host's other port, get in?
    "endpoint-independent": ("same, kept", False, False),
    "endpoint-independent-any-port": ("same", False, False),
    "symmetric": ("differs", False, False),
    "address-dependent": ("per address", False, False),
    "full-cone": ("same, kept", True, True),
    "address-restricted": ("same, kept", False, True),
}


def check_kind(lab, kind):
    lab.natA.set_kind(kind)
    with contextlib.ExitStack() as stack:
        def opened(made):
            return stack.enter_context(contextlib.closing(made))
        targets = [(opened(host.udp(host.v4, port)), (host.v4, port)) for host in (lab.s, lab.s2) for port in PORTS]
        inside, ports = observe_mapping(lab.a, lab.natA.public, targets)
        opened(inside)
        mapping, stranger_passes, port_passes = EXPECTED[kind]
        per_address = [ports[0] == ports[1], ports[2] == ports[3], ports[0] != ports[2]]
        holds = {"same, kept": set(ports) == {40000}, "same": len(set(ports)) == 1, "differs": len(set(ports)) > 2,
                 "per address": all(per_address)}[mapping]
        demand(holds, f"{kind}: mapping should be '{mapping}', external ports are {ports}")
        external = (lab.natA.public, ports[0])
        stranger = opened(lab.s3.udp(lab.s3.v4, 7001))
        other_port = opened(lab.s.udp(lab.s.v4, 7009))
        demand(gets_through(targets[0][0], inside, external), f"{kind}: the answer does not get in")
        demand(gets_through(stranger, inside, external) == stranger_passes, f"{kind}: filtering of strangers is wrong")
        demand(gets_through(other_port, inside, external) == port_passes, f"{kind}: filtering of other ports is wrong")


def test_lab_nat_kinds(new_lab):
    """Each NAT maps and filters as its RFC 4787 name says."""
    with new_lab(nodes=("a",), servers=("s", "s2", "s3")) as lab:
        lab.natA = lab.nats["A"]
        for kind in NAT_KINDS:
            check_kind(lab, kind)


def test_lab_hole_punching(new_lab):
    """Two sockets behind two endpoint-independent NATs reach each other by knocking first, also when one knocks too early."""
    with new_lab() as lab:
        one, other = lab.a.udp(port=41000), lab.b.udp(port=42000)
        with contextlib.closing(one), contextlib.closing(other):
            to_one, to_other = (lab.nats["A"].public, 41000), (lab.nats["B"].public, 42000)
            one.sendto(b"early", to_other)      # must not take b's port away at NAT B
            demand(not gets_through(other, other, ("127.0.0.1", 9)), "nonsense arrived")
            other.sendto(b"knock", to_one)
            demand(one.recvfrom(100) == (b"knock", to_other), "b's knock did not reach a")
            demand(gets_through(one, other, to_other), "a's answer did not reach b")


def test_lab_moves(new_lab):
    """A move changes the public address within one batch; cuts cut; counters count."""
    with new_lab(nodes=("a", "b", "c")) as lab:
        server = lab.s.udp(lab.s.v4, 7001)
        with contextlib.closing(server):
            for label, public in (("home", "203.0.113.11"), ("cell", "203.0.113.33"), ("home", "203.0.113.11")):
                if lab.a.at != label:
                    lab.a.move(label)
                with contextlib.closing(lab.a.udp()) as inside:
                    inside.sendto(b"here", (lab.s.v4, 7001))
                    demand(server.recvfrom(100)[1][0] == public, f"on {label} a is not seen as {public}")
            lab.move_together((lab.a, "cell"), (lab.b, "cell"))
            for node in (lab.a, lab.b):
                with contextlib.closing(node.udp()) as inside:
                    inside.sendto(b"here", (lab.s.v4, 7001))
                    demand(server.recvfrom(100)[1][0] == "203.0.113.33", f"{node.name} did not move")
            lab.a.move("six")
            demand(lab.a.run("ping", "-6", "-c1", "-W2", lab.s.v6).returncode == 0, "no IPv6 from network D")
            check_counters(lab)


def check_counters(lab):
    demand(lab.everywhere("fragments") == 0, "fragments before any was sent")
    lab.b.run("ping", "-c1", "-W1", "-s", "3000", lab.s.v4, check=True)
    demand(lab.everywhere("fragments") > 0, "fragments are not counted")
    demand(lab.everywhere("clear") == 0, "virtual addresses before any was sent")
    lab.b.run("ping", "-c1", "-W1", "198.18.0.9")
    demand(lab.everywhere("clear") > 0, "virtual addresses in clear are not counted")


def test_lab_delay(new_lab):
    """The delaying wire adds its delay to each way, and loses nothing."""
    with new_lab(nodes=("a",), delays={"A": 20}) as lab:
        with contextlib.closing(lab.s.udp(lab.s.v4, 7001)) as server, contextlib.closing(lab.a.udp()) as inside:
            one_way = []
            for number in range(50):
                sent = time.monotonic()
                inside.sendto(struct.pack("!I", number), (lab.s.v4, 7001))
                demand(server.recvfrom(100)[0] == struct.pack("!I", number), "a frame is missing or out of order")
                one_way.append(time.monotonic() - sent)
        demand(sorted(one_way)[0] >= 0.0200, f"faster than the wire: {sorted(one_way)[0] * 1e3:.2f} ms")


def test_lab_cleans_up(new_lab):
    """Nothing of a lab is left when it ends: namespaces, files below /etc/netns, processes."""
    with new_lab(nodes=("a",)) as lab:
        process = lab.a.start("forever", "tail", "-f", "/dev/null")
        namespaces, sockets = list(lab.namespaces), os.path.dirname(os.path.dirname(lab.socket_name("a")))
    wait_for("the process to be gone", lambda: not process.running(), 2)
    for ns in namespaces:
        demand(not os.path.exists(f"/run/netns/{ns}") and not os.path.exists(f"/etc/netns/{ns}"), f"{ns} is left")
    demand(not os.path.exists(sockets), f"{sockets} is left")
