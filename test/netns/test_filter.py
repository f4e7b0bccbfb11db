"""Virtual addresses are spoken to in the tunnel and nowhere else, whatever a neighbour in the same LAN tries (T3)."""
import contextlib
import signal
import socket

from lab import demand, wait_for

TABLE = ("nft", "list", "table", "inet", "ntm_ntm0")


def answers(neighbour, address):
    return neighbour.run("ping", "-n", "-c1", "-W0.5", address).returncode == 0


def leads_to(neighbour, address, router):
    """The neighbour sends there what is for the virtual address, as one who looks for it does."""
    neighbour.ip(f"route replace {address}/32 via {router}")


def hears_from(node, neighbour, source, port):
    """Does a program on the node that listens everywhere hear the neighbour, who says that it is `source`?"""
    with contextlib.closing(node.udp("0.0.0.0", port)) as listener, contextlib.closing(neighbour.udp(source)) as speaker:
        try:
            speaker.sendto(b"trust me", ("192.168.1.10", port))
            return listener.recvfrom(100)[1][0] == source
        except socket.timeout:
            return False


def test_filter_neighbour(new_lab):
    """A neighbour neither finds the virtual address nor speaks in a peer's name; without the filter it does both. Nothing is left behind."""
    with new_lab(generals=("g", "h"), networks="AB") as lab:
        lab.s.serve()
        lab.a.join(lab.s.invite("--name", "a"))
        lab.b.join(lab.s.invite("--name", "b"))
        lab.a.run("ping", "-c1", "-W5", lab.b.v4, check=True)
        demand(lab.a.status()["node"]["filter"], "the filter is not there")
        leads_to(lab.h, lab.a.v4, "192.168.1.10")
        lab.h.ip(f"addr add {lab.b.v4}/32 dev lo")
        demand(not answers(lab.h, lab.a.v4), "a neighbour finds the virtual address")
        demand(hears_from(lab.a, lab.h, lab.h.v4, 7002), "an honest neighbour is not heard")
        demand(not hears_from(lab.a, lab.h, lab.b.v4, 7003), "a neighbour speaks in the name of a peer")
        lab.a.run("ping", "-c1", "-W5", lab.b.v4, check=True)
        lab.a.run("ping", "-c1", "-W5", lab.a.v4, check=True)
        lab.a.daemon.signal(signal.SIGKILL)
        lab.a.daemon.wait(5)
        lab.a.join(None)
        demand(not answers(lab.h, lab.a.v4), "after a restart a neighbour finds the virtual address")
        lab.a.ntm("down", check=True)
        wait_for("the end of the table", lambda: lab.a.run(*TABLE).returncode != 0)
        lab.a.run("nft", "add", "table", "inet", "ntm_ntm0", check=True)  # as of one that was killed
        lab.a.join(None, "--filter", "off")
        demand(not lab.a.status()["node"]["filter"] and lab.a.run(*TABLE).returncode != 0, "a filter that nobody wants")
        wait_for("an answer without the filter", lambda: answers(lab.h, lab.a.v4))
        demand(hears_from(lab.a, lab.h, lab.b.v4, 7003), "without the filter the neighbour is not heard either")
