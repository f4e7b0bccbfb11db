"""Port mapping with a real router daemon (miniupnpd): PCP, NAT-PMP and UPnP open a way where no hole can be punched."""
import contextlib
import re
import subprocess

from lab import demand, Events, program, sh, wait_for

# Nothing leaves the namespaces. miniupnpd takes no documentation address for one that is public.
OUTSIDE = "203.0.114.11"
NONCE = "00112233445566778899aabb"


class Router:
    """miniupnpd on a NAT of the lab, in a table of its own."""

    def __init__(self, lab, nat, lifetime_s=None):
        self.lab, self.nat = lab, nat
        nat.nft("""table inet upnp {
 chain miniupnpd { }
 chain prerouting_miniupnpd { }
 chain postrouting_miniupnpd { }
 chain forward { type filter hook forward priority 0;
  jump miniupnpd
 }
 chain prerouting { type nat hook prerouting priority -100;
  jump prerouting_miniupnpd
 }
 chain postrouting { type nat hook postrouting priority 90;
  jump postrouting_miniupnpd
 }
}
""")
        lab.inet.ip(f"route add {OUTSIDE}/32 via {nat.public} dev {nat.port}")
        self.config = lab.path(f"{nat.name}-miniupnpd.conf")
        lifetime = f"min_lifetime={lifetime_s - 1}\nmax_lifetime={lifetime_s}\n" if lifetime_s else ""
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""ext_ifname=out
ext_ip={OUTSIDE}
listening_ip=lan
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
ipv6_disable=yes
{lifetime}upnp_table_name=upnp
upnp_nat_table_name=upnp
lease_file=
uuid=bb1e42ea-1bd9-4f06-9bff-d1df2602d9ac
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
""")

    def start(self):
        process = self.nat.start("miniupnpd", "miniupnpd", "-d", "-f", self.config, "-P", self.lab.path(f"{self.nat.name}-miniupnpd.pid"))
        process.wait_line("Listening for NAT-PMP/PCP traffic")
        return process

    def opened(self):
        """What is open now: lines of the form `dnat ip to INSIDE:PORT`."""
        rules = self.nat.run("nft", "list", "chain", "inet", "upnp", "prerouting_miniupnpd", check=True).stdout
        return re.findall(r"dnat ip to (\S+)", rules)


class Asker(Events):
    """ntm-portmap by itself, with the test in the place of ntmd."""

    def ask(self, *addresses):
        self.child.stdin.write(f"locals {NONCE} 7367 {' '.join(addresses)}\n")
        self.child.stdin.flush()

    def leave(self):
        self.child.stdin.close()
        demand(self.wait(10) == 0, "ntm-portmap did not end well")


def start_asker(node):
    return node.start("portmap", program("ntm-portmap"), kind=Asker, stdin=subprocess.PIPE)


# What the router is kept from answering, so that the method after it has its turn.
HINDRANCES = {
    "nat-pmp": "udp dport 5351 @th,64,8 2 drop",
    "upnp": "udp dport 5351 reject",
}


def check_method(lab, router, asker, method):
    asker.ask("192.168.1.10%home")
    asker.wait_line(rf"^mapped 192\.168\.1\.10 {re.escape(OUTSIDE)}:\d+ \d+ {method}$", 15)
    demand(router.opened() == ["192.168.1.10:7367"], f"{method}: open are {router.opened()}")
    check_has_nothing_to_lose(asker)
    asker.leave()
    demand(router.opened() == [], f"{method}: {router.opened()} is still open after the end")
    lab.natA.nft("table inet hinder\ndelete table inet hinder\n")


def check_has_nothing_to_lose(asker):
    """What parses a gateway's words is not root, has no capability, and may not exec."""
    with open(f"/proc/{asker.pid}/status", encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    demand(status["Uid"].split()[1] != "0" and int(status["CapPrm"], 16) == 0 and int(status["CapBnd"], 16) == 0, f"privileges: {status}")
    demand(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", "no seccomp filter")


def test_portmap_methods(new_lab):
    """ntm-portmap opens our port by each of the three methods, and closes it when it ends; where nobody answers it says so and goes on."""
    with new_lab(nodes=("a",)) as lab:
        lab.natA = lab.nats["A"]
        asker = start_asker(lab.a)
        asker.ask("192.168.1.10%home")
        asker.wait_line(r"^unmapped 192\.168\.1\.10$", 15)
        router = Router(lab, lab.natA)
        router.start()
        check_method(lab, router, asker, "pcp")
        for method, rule in HINDRANCES.items():
            lab.natA.nft("table inet hinder { chain in { type filter hook input priority 0;\n%s\n }\n}" % rule)
            check_method(lab, router, start_asker(lab.a), method)


def test_portmap_renews(new_lab):
    """A mapping is renewed before its lifetime ends, and is the same when its owner was killed and asks again."""
    with new_lab(nodes=("a",)) as lab:
        router = Router(lab, lab.nats["A"], lifetime_s=3)
        router.start()
        asker = start_asker(lab.a)
        asker.ask("192.168.1.10%home")
        first = asker.wait_line(r"^mapped \S+ (\S+) 3 pcp$")[1]
        for _ in range(2):
            demand(asker.wait_line(r"^mapped \S+ (\S+) 3 pcp$", since=asker.mark())[1] == first, "renewed elsewhere")
        asker.kill()
        demand(router.opened() == ["192.168.1.10:7367"], "it is closed already")
        asker = start_asker(lab.a)
        asker.ask("192.168.1.10%home")
        demand(asker.wait_line(r"^mapped \S+ (\S+) 3 pcp$")[1] == first, "the one before is in the way")
        asker.leave()


def askers(node):
    """Process ids of ntm-portmap on a node."""
    found = []
    for pid in sh(["ip", "netns", "pids", node.ns]).stdout.split():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            found += [pid] if file.read().strip() == "ntm-portmap" else []
    return found


def is_outside(path):
    return path["remote"].startswith(OUTSIDE) and path["valid"]


def test_portmap_makes_direct(new_lab):
    """Two symmetric NATs: the relay carries. One of them opens a port when asked: the pair is direct by it. `ntm down` closes it."""
    with new_lab(nats={"A": "symmetric", "B": "symmetric"}) as lab:
        lab.s.serve()
        lab.a.join(lab.s.invite("--name", "a"))
        lab.b.join(lab.s.invite("--name", "b"), "--portmap", "off")
        demand(len(askers(lab.a)) == 1 and not askers(lab.b), "who asks, and who must not")
        lab.b.ntm("ping", "a", "-c", "1", check=True)
        lab.b.wait_path(lab.a, "relay")
        router = Router(lab, lab.nats["A"])
        router.start()
        seen = lab.a.watch()
        lab.a.detach("home")
        lab.a.attach("home")  # every change of network asks again
        wait_for("b to reach a at the mapped address", lambda: any(map(is_outside, lab.b.peer(lab.a)["paths"])), 20, 0.15)
        seen.wait_event("port-mapped", 5, method="pcp")
        lab.b.wait_path(lab.a, "direct")
        lab.b.ntm("ping", "a", "-c", "1", "--direct", check=True)
        demand(lab.a.status()["node"]["mapped"][0]["external"].startswith(OUTSIDE), "a's status does not tell of it")
        lab.a.ntm("down", check=True)
        wait_for("the port to be closed", lambda: not router.opened(), 10, 0.1)
        wait_for("ntm-portmap to end", lambda: not askers(lab.a), 10, 0.1)
