"""What kernels, devices and interfaces refuse: transfers go on without it, over wires on which each datagram is a frame of its own."""
import os

from lab import demand
from services import Download, Web, make_file
from test_join import two_joined
from test_mobility import Traffic

FILE_BYTES = 16 << 20
LINUX_6_1 = ("udp-segment-128", "tun-uso")
NOTHING = ("udp-segment", "udp-gro", "tun-header")


def start_without(node, names):
    """The daemon again, doing without these; it says so. What rests on one of them is lacking too."""
    node.ntm("down", check=True)
    node.start_daemon(None, "--without", ",".join(names))
    node.wait_up()
    lacks = node.status()["packet_path"]["lacks"]
    demand(set(names) <= set(lacks), f"{node.name} does without {lacks}, not without {names}")


def test_fallbacks(new_lab):
    """Downloads both ways between two nodes with all that the kernel has, as on Linux 6.1, and with next to nothing."""
    with new_lab() as lab:
        two_joined(lab)
        digests = {}
        for node in (lab.a, lab.b):
            www = lab.path(f"www-{node.name}")
            os.makedirs(www)
            digests[node] = make_file(os.path.join(www, "file"), FILE_BYTES)
            Web(node, www)
        for names in ((), LINUX_6_1, NOTHING):
            if names:
                start_without(lab.b, names)
            lab.a.ntm("ping", "b", "-c", "1", check=True)
            for here, there in ((lab.a, lab.b), (lab.b, lab.a)):
                Download(here, f"http://{there.fqdn.rstrip('.')}/file", FILE_BYTES).finish(digests[there])
            path = lab.b.status()["packet_path"]
            demand(path["tun_refusals"] == 0, f"the TUN device refused packets: {path}")
        demand(lab.everywhere("fragments") == 0, "an outer packet was in fragments")


def test_fallbacks_narrower_interface(new_lab):
    """The serving end moves to an interface that takes less than what is on its way: its sender is told at once."""
    with new_lab(profile="papers") as lab:
        two_joined(lab)
        lab.b.ip("link set cell mtu 1400")
        traffic = Traffic(lab, file_bytes=FILE_BYTES)
        traffic.moved(lambda: lab.b.move("cell"))
        traffic.finish()
        counters = lab.b.status()["counters"]
        demand(counters["oversized"] > 0, f"nobody was told: {counters}")
