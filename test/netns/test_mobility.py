"""Moves: downloads and shells that go on while one end, the other, or both at once change their network."""
import os

from lab import demand, wait_for
from services import Download, Shell, Web, make_file
from test_join import two_joined

FILE_BYTES = 48 << 20
RATE_BYTES = 6 << 20  # about eight seconds: room for the moves


class Traffic:
    """A web server at b, a download and a shell from a, and both nodes' events."""

    def __init__(self, lab, relay=False, file_bytes=FILE_BYTES, rate_bytes=RATE_BYTES):
        self.lab = lab
        www = lab.path("www")
        os.makedirs(www)
        self.digest = make_file(os.path.join(www, "file"), file_bytes)
        self.watches = {node: node.watch() for node in (lab.a, lab.b)}
        Web(lab.b, www, rate_bytes)
        lab.a.ntm("ping", lab.b.fqdn.rstrip("."), "-c", "1", check=True)
        lab.a.wait_path(lab.b, "relay" if relay else "direct")
        self.shell = Shell(lab.a, lab.b)
        self.download = Download(lab.a, f"http://{lab.b.fqdn.rstrip('.')}/file", file_bytes)
        self.download.wait_bytes(4 << 20)

    def moved(self, move, seconds=20):
        """Does the move and waits until both ends have said how long it took, and bytes flow again. Returns both events."""
        marks = {node: watch.mark() for node, watch in self.watches.items()}
        move()
        events = [watch.wait_event("handover", seconds, marks[node]) for node, watch in self.watches.items()]
        self.download.wait_more()
        for event in events:
            demand(event["lost_packets"] == 0, f"packets were lost: {event}")
            demand(event["gap_us"] < 3_000_000, f"a gap of {event['gap_us'] / 1000:.0f} ms: {event}")
        return events

    def finish(self):
        self.download.finish(self.digest)
        self.shell.check()
        demand(self.lab.everywhere("clear") == 0, "a virtual address was seen in clear")
        demand(self.lab.everywhere("fragments") == 0, "an outer packet was in fragments")


def test_move_a(new_lab):
    """The downloading end moves to another NAT and back."""
    with new_lab() as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.a.move("cell"))
        traffic.moved(lambda: lab.a.move("home"))
        traffic.finish()


def test_move_b(new_lab):
    """The serving end moves to another NAT and back."""
    with new_lab() as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.b.move("cell"))
        traffic.moved(lambda: lab.b.move("home"))
        traffic.finish()


def test_move_both_at_once(new_lab):
    """Both ends move at the same instant, and both back."""
    with new_lab() as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.move_together((lab.a, "cell"), (lab.b, "cell")))
        traffic.moved(lambda: lab.move_together((lab.a, "home"), (lab.b, "home")))
        traffic.finish()


def test_move_with_delays(new_lab):
    """One end, then both, over wires of the papers' lengths."""
    with new_lab(delays={"A": 10, "B": 20, "C": 15}) as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.a.move("cell"))
        traffic.moved(lambda: lab.move_together((lab.a, "home"), (lab.b, "cell")))
        traffic.finish()


def test_move_to_ipv6(new_lab):
    """From behind an IPv4 NAT to an IPv6-only network and back; both ends over IPv6 in between."""
    with new_lab() as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.move_together((lab.a, "six"), (lab.b, "six")))
        traffic.moved(lambda: lab.a.move("home"), 30)
        traffic.finish()


def test_move_make_before_break(new_lab):
    """A second network comes up, all tunnels are told to move, the first goes away."""
    with new_lab() as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        lab.a.attach("cell")
        lab.a.watch()
        traffic.moved(lambda: lab.a.ntm("handover", "--to", "cell", check=True))
        lab.a.detach("home")
        lab.a.at = "cell"
        traffic.download.wait_more()
        traffic.finish()


def test_move_nat_restarts(new_lab):
    """A's NAT forgets every mapping while bytes flow: the next ones come from another port."""
    with new_lab(nats={"A": "endpoint-independent-any-port"}) as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        lab.nats["A"].forget()
        traffic.download.wait_more(8 << 20)
        traffic.finish()


def test_move_through_relay(new_lab):
    """With direct UDP cut between all NATs everything goes by relay, also across moves, at which it sends again what went to where a is not
    any more; when the cut heals it goes direct."""
    with new_lab() as lab:
        nats = lab.nats
        for one, other in ((nats["A"], nats["B"]), (nats["A"], nats["C"]), (nats["B"], nats["C"])):
            lab.cut(one, other)
        two_joined(lab)
        traffic = Traffic(lab, relay=True)
        done = lab.a.ntm("ping", "b", "-c", "1", "--direct")
        demand(done.returncode == 7, f"ping --direct over a relay: exit {done.returncode}, not 7")
        for net in ("cell", "home"):
            before = lab.s.relay()["replayed_bytes"]
            traffic.moved(lambda where=net: lab.a.move(where))
            demand(lab.s.relay()["replayed_bytes"] > before, f"the relay remembered nothing at a's move to {net}")
        lab.heal()
        lab.a.wait_path(lab.b, "direct", 60)
        traffic.finish()


def test_move_symmetric_nats(new_lab):
    """Two symmetric NATs with random ports: the relay carries it, moves included."""
    with new_lab(nats={"A": "symmetric", "B": "symmetric"}) as lab:
        two_joined(lab)
        traffic = Traffic(lab, relay=True)
        traffic.moved(lambda: lab.a.move("cell"))
        traffic.moved(lambda: lab.a.move("home"))
        traffic.finish()


def test_move_behind_every_nat(new_lab):
    """Direct wherever a hole can be punched: each kind of NAT at A, endpoint-independent at B."""
    for kind in ("endpoint-independent-any-port", "address-dependent", "full-cone", "address-restricted"):
        with new_lab(nats={"A": kind}) as lab:
            two_joined(lab)
            lab.a.ntm("ping", "b", "-c", "1", check=True)
            if kind != "address-dependent":
                lab.a.wait_path(lab.b, "direct")
            wait_for(f"b to see a behind {kind}", lambda: lab.b.path_kind(lab.a), 10, 0.15)
