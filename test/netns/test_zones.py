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


# --- two networks, each with an account server of its own ---

PARTNER = {"zone": "partner.example", "pool4": "198.19.0.0/16", "pool6": "fd12:3456::/32"}
TRUST_LINE = r"other networks trust this one by: --trust (\S+)"


def resolver(lab):
    """One DNS between the two networks, to which each zone is delegated: dnsmasq on a host that knows nothing of either."""
    words = ["dnsmasq", "--keep-in-foreground", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces", "--conf-file=/dev/null",
             f"--listen-address={lab.g.v4}", f"--server=/ntm.internal/{lab.s.v4}", f"--server=/{PARTNER['zone']}/{lab.s2.v4}"]
    lab.g.start("dnsmasq", *words).wait_line("started")


def serve_partner(lab, *options):
    return lab.s2.serve("--zone", PARTNER["zone"], "--pool4", PARTNER["pool4"], "--pool6", PARTNER["pool6"], "--log-level", "debug", *options)


def two_networks(lab, trust_a=True, trust_b=True):
    """Founded first, so that each has a key to be trusted by; then started again with what its operator was told by the other one's."""
    lab.s.serve("--pool4", "198.18.0.0/16")
    serve_partner(lab)
    lines = [server.daemon.wait_line(TRUST_LINE).group(1) for server in (lab.s, lab.s2)]
    for server in (lab.s, lab.s2):
        server.daemon.stop()
    resolver(lab)
    lab.s.serve("--log-level", "debug", "--resolver", lab.g.v4, *(["--trust", lines[1]] if trust_a else []))
    serve_partner(lab, "--resolver", lab.g.v4, *(["--trust", lines[0]] if trust_b else []))
    lab.a.join(lab.s.invite("--name", "a"))
    lab.b.join(lab.s2.invite("--name", "b"))
    demand(lab.b.fqdn.rstrip(".") == "b.partner.example", f"b is called {lab.b.fqdn}")
    return lines


def test_zones_partner(new_lab):
    """Two networks that trust each other, found through a real DNS: by name both ways, and a download that goes on while each end moves."""
    with new_lab(servers=("s", "s2"), generals=("g",)) as lab:
        two_networks(lab)
        lab.a.ntm("ping", "b.partner.example", "-c", "1", check=True)
        for server, zone in ((lab.s, "partner.example"), (lab.s2, "ntm.internal")):
            server.daemon.wait_line(f"other network taken node={zone}")
        for here, there in ((lab.a, lab.b), (lab.b, lab.a)):
            name = there.fqdn.rstrip(".")
            for kind, address in (("A", there.v4), ("AAAA", there.v6)):
                answer = here.run("dig", "+short", "+timeout=5", f"@{here.v4}", name, kind, check=True).stdout.split()
                demand(answer == [address], f"dig {name} {kind} on {here.name}: {answer}, not {address}")
            for family in ("-4", "-6"):
                here.run("ping", family, "-c", "2", "-i", "0.2", "-W", "5", name, check=True)
        why = lab.a.ntm("why", "b.partner.example", check=True).stdout
        demand("trusted network's account server" in why, f"ntm why does not say whose b is: {why}")
        refused = lab.a.ntm("ping", "nobody.partner.example", "-c", "1")
        demand(refused.returncode == 5 and "no node of that name" in refused.stderr, f"nobody: {refused}")
        refused = lab.a.ntm("why", "b.nowhere.partner.example")
        demand(refused.returncode == 5 and "DNS knows no coordinator" in refused.stdout + refused.stderr, f"no such zone: {refused}")
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.a.move("cell"))
        traffic.moved(lambda: lab.b.move("cell"))
        traffic.finish()


def test_zones_not_trusted(new_lab):
    """Without trust, with another's key, or with addresses that overlap: refused, and said so."""
    with new_lab(servers=("s", "s2"), generals=("g",)) as lab:
        ours, theirs = two_networks(lab, trust_a=False)
        refused = lab.a.ntm("ping", "b.partner.example", "-c", "1")
        demand(refused.returncode == 5 and "--trust" in refused.stdout + refused.stderr, f"a to b without trust: {refused}")
        refused = lab.a.ntm("why", "b.partner.example")
        demand(refused.returncode == 5 and "--trust" in refused.stdout + refused.stderr, f"why not b: {refused}")
        wrong = theirs.replace("=", "=" + ("1" if theirs.split("=")[1][0] == "0" else "0"), 1)
        wrong = wrong[:len("partner.example=") + 64] + theirs[len("partner.example=") + 64:]
        lab.s.daemon.stop()
        lab.s.serve("--log-level", "debug", "--resolver", lab.g.v4, "--trust", wrong)
        lab.a.daemon.wait_line("network: epoch")
        refused = lab.a.ntm("why", "b.partner.example")
        demand(refused.returncode == 5 and "not of a network that this one trusts" in refused.stdout + refused.stderr, f"wrong key: {refused}")
        lab.s.daemon.stop()
        for bad, word in ((theirs.replace("fd12:3456::", "fd6e:746d::"), "overlap"), (ours, "own"), ("partner.example=77", "expected")):
            done = lab.s.ntm("serve", "--foreground", "--trust", bad)
            demand(done.returncode == 2 and word in done.stderr, f"--trust {bad}: {done}")
