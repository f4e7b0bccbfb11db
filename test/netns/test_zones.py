"""Two zones under one account server: names, contact, moves and dead coordinators across them."""
import os

from lab import demand, wait_for
from services import Web
from test_mobility import Traffic

ZONE = "two.ntm.internal"


def two_zones(lab):
    """a in the zone of s, which is everything, b in the zone of s2, which is a coordinator alone."""
    lab.s.serve("--log-level", "debug")
    lab.s2.serve_zone(lab.s.invite("--role", "coordinator", "--name", ZONE), "--log-level", "debug")
    lab.s.daemon.wait_line("other zone linked")
    lab.s2.daemon.wait_line("other zone linked")
    lab.a.join(lab.s.invite("--name", "a"))
    lab.b.join(lab.s.invite("--name", "b", "--zone", ZONE))
    demand(lab.b.fqdn.rstrip(".") == f"b.{ZONE}", f"b is called {lab.b.fqdn}")


def test_zones_contact(new_lab):
    """By name across zones, both ways: dig, ping, curl; by address alone; the wrong name; each zone's public names."""
    with new_lab(servers=("s", "s2")) as lab:
        two_zones(lab)
        for here, there in ((lab.a, lab.b), (lab.b, lab.a)):
            name = there.fqdn.rstrip(".")
            for kind, address in (("A", there.v4), ("AAAA", there.v6)):
                answer = here.run("dig", "+short", "+timeout=5", f"@{here.v4}", name, kind, check=True).stdout.split()
                demand(answer == [address], f"dig {name} {kind} on {here.name}: {answer}, not {address}")
            os.makedirs(lab.path(f"www-{there.name}"))
            Web(there, lab.path(f"www-{there.name}"))
            for family in ("-4", "-6"):
                here.run("ping", family, "-c", "2", "-i", "0.2", "-W", "5", name, check=True)
                page = here.run("curl", family, "-sS", "--max-time", "10", f"http://{name}/hello", check=True).stdout
                demand(page == f"I am {there.name}\n", f"{here.name} got {page!r}")
        lab.a.wait_path(lab.b, "direct")
        for name in (f"nobody.{ZONE}", "b.three.ntm.internal"):
            done = lab.a.run("dig", "+timeout=5", f"@{lab.a.v4}", name)
            demand("NXDOMAIN" in done.stdout, f"{name}: {done.stdout}")
        for here, there in ((lab.b, lab.a), (lab.a, lab.b)):  # nobody knows anybody any more: by address
            here.daemon.stop()
            here.start_daemon()
            here.wait_up()
            family, address = ("-6", there.v6) if here is lab.a else ("-4", there.v4)
            here.run("ping", family, "-c", "3", "-i", "0.2", "-W", "5", address, check=True)
        for server, node in ((lab.s, lab.a), (lab.s2, lab.b)):
            answer = lab.s.run("dig", "+short", "+timeout=5", f"@{server.v4}", node.fqdn, "A", check=True).stdout.split()
            demand(answer == [node.v4], f"{server.name} tells {answer} for {node.fqdn}")
        for server, zone in ((lab.s, "ntm.internal"), (lab.s2, ZONE)):
            record = lab.a.run("dig", "+short", "+timeout=5", f"@{server.v4}", f"_ntm.{zone}", "TXT", check=True).stdout
            demand('"v=ntm1"' in record and f'"at={server.v4}:7367"' in record and f'"at=[{server.v6}]:7367"' in record, f"{zone}: {record}")
        referral = lab.a.run("dig", "+timeout=5", "+norecurse", f"@{lab.s.v4}", f"_ntm.{ZONE}", "TXT", check=True).stdout
        demand(f"ns.{ZONE}." in referral and lab.s2.v4 in referral, f"no referral to the zone inside: {referral}")
        demand(lab.everywhere("clear") == 0, "a virtual address was seen in clear")


def test_zones_late(new_lab):
    """A zone that is founded later: nodes that joined before learn of it from their coordinator, and keep that over a restart."""
    with new_lab(servers=("s", "s2", "s3")) as lab:
        lab.s.serve()
        lab.a.join(lab.s.invite("--name", "a"))
        lab.s2.serve_zone(lab.s.invite("--role", "coordinator", "--name", ZONE))
        lab.s2.daemon.wait_line("other zone linked")
        lab.b.join(lab.s.invite("--name", "b", "--zone", ZONE))
        name = lab.b.fqdn.rstrip(".")
        wait_for("a to reach a node of the new zone", lambda: lab.a.ntm("ping", name, "-c", "1").returncode == 0, 30, 0.2)
        lab.a.daemon.wait_line("network: epoch [0-9]+, 2 zones")
        lab.a.run("ping", "-4", "-c", "1", "-W", "5", lab.b.v4, check=True)
        lab.a.daemon.stop()
        lab.a.start_daemon()
        lab.a.wait_up()
        lab.a.run("ping", "-6", "-c", "3", "-i", "0.2", "-W", "5", lab.b.v6, check=True)
        demand("network: epoch" not in lab.a.daemon.output(), "a had forgotten the new zone")
        lab.s3.serve_zone(lab.s.invite("--role", "coordinator", "--name", "three.ntm.internal"))
        for server in (lab.s, lab.s2):  # the older ones ask for the document when the new one knocks
            server.daemon.wait_line("other zone linked node=three", 8)


def test_zones_moves(new_lab):
    """A download goes on while each end moves, then both at the same instant; at the end the coordinators die, one after the other."""
    with new_lab(servers=("s", "s2")) as lab:
        two_zones(lab)
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.a.move("cell"))
        traffic.moved(lambda: lab.b.move("cell"))

        def both():
            lab.a.move("home")
            lab.b.move("home")
        traffic.moved(both)
        lab.s2.daemon.kill()
        lab.s.daemon.wait_line("other zone not reachable", 60)
        traffic.moved(lambda: lab.a.move("cell"))
        lab.s2.serve_zone(None)
        lab.s.daemon.wait_line("other zone linked", 30, len(lab.s.daemon.lines) - 1)
        wait_for("b to find its coordinator", lambda: lab.b.status()["coordinator"]["state"] == "ok", 60, 0.15)
        lab.s.daemon.kill()
        traffic.download.wait_more()
        traffic.finish()
