"""The relay in the kernel: what passes through it, moves under way, its end with the process, and what is said where it may not be."""
from lab import demand, wait_for
from test_join import two_joined
from test_mobility import Traffic

ENOUGH_BYTES = 1 << 20  # more than what the machine itself forwards before it hands a pair over


def open_cable(lab):
    """To s come finished checksums, as on a wire, and its cable's other end takes what XDP sends."""
    lab.inet.run("ethtool", "-K", lab.s.port, "tx", "off", "gro", "on", check=True)


def cut_direct_ways(lab):
    nats = lab.nats
    for one, other in (("A", "B"), ("A", "C"), ("B", "C")):
        lab.cut(nats[one], nats[other])


def kernel_forwards(lab, when):
    before = lab.s.relay()["xdp_forwarded_bytes"]
    wait_for(f"the kernel to forward {when}", lambda: lab.s.relay()["xdp_forwarded_bytes"] > before + ENOUGH_BYTES, 20, 0.1)


def program_is_on(host):
    return "prog/xdp" in host.run("ip", "link", "show", "eth0", check=True).stdout


def test_xdp_relay(new_lab):
    """A download and a shell through a relay in the kernel, across moves of either end, without a lost packet; then it is killed.

    It leaves no program behind, and where it may not it says so and forwards by itself."""
    with new_lab() as lab:
        open_cable(lab)
        cut_direct_ways(lab)
        two_joined(lab, "--xdp", "native", "--relay-memory", "0")
        demand(lab.s.relay()["forwarding"] == "xdp native on eth0", f"forwarding: {lab.s.relay()['forwarding']}")
        demand(program_is_on(lab.s), "there is no XDP program on eth0")
        traffic = Traffic(lab, relay=True)
        kernel_forwards(lab, "at first")
        for node, where in ((lab.a, "cell"), (lab.a, "home"), (lab.b, "cell")):
            traffic.moved(lambda one=node, net=where: one.move(net))
            kernel_forwards(lab, f"after {node.name}'s move to {where}")
        traffic.finish()
        demand("forwarding   xdp native on eth0" in lab.s.ntm("status", check=True).stdout, "status does not say how it forwards")
        lab.s.daemon.kill()
        wait_for("the XDP program to go with its process", lambda: not program_is_on(lab.s), 5)
        lab.s.serve()
        demand(lab.s.relay()["forwarding"].startswith("user space: eth0 is a veth"), f"forwarding: {lab.s.relay()['forwarding']}")
        wait_for("a to reach b again", lambda: lab.a.ntm("ping", "b", "-c", "1").returncode == 0, 40)
