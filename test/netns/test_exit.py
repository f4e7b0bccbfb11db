"""Exits: flows of unmodified programs to hosts that know nothing of the overlay, and the rules of whoever runs the exit."""
import json
import os
import re
import signal

from lab import demand, program, wait_for
from services import Download, Web, make_file

HERE = os.path.dirname(os.path.abspath(__file__))
FILE_BYTES = 24 << 20
RATE_BYTES = 4 << 20
POOL4 = "203.0.114."


class Exit:
    """ntm-exit on a host of the lab, beside the relay."""

    def __init__(self, lab, host, code, *options):
        self.lab, self.host, self.options = lab, host, options
        self.state, self.socket_path = lab.path(f"{host.name}-exit-state"), lab.socket_name(host, "exit")
        self.start(code)

    def kill(self):
        """Without a chance to clean up."""
        for pid in self.host.run("pgrep", "-P", str(self.process.pid)).stdout.split() or [str(self.process.pid)]:
            os.kill(int(pid), signal.SIGKILL)
        self.process.child.wait(10)

    def stop(self):
        self.process.signal(signal.SIGTERM)
        self.process.child.wait(10)

    def restart(self, *options):
        self.stop()
        self.options = options
        self.start()

    def start(self, code=None):
        words = [program("ntm-exit"), "--foreground", "--state", self.state, "--socket", self.socket_path, "--portmap", "off",
                 *self.options]
        self.process = self.host.start("ntm-exit", *words, env={"NTM_JOIN": code} if code else {})
        self.process.wait_line("exit open", 15)

    def ntm(self, *words):
        return self.host.run(program("ntm"), *words, "--state", self.state, "--socket", self.socket_path, check=True)

    def counters(self):
        return json.loads(self.ntm("status", "--json").stdout)["exit"]


def second_exit(lab, *options):
    """Another one, on the host s2, which has to be in the lab."""
    return Exit(lab, lab.s2, lab.s.invite("--role", "exit"), "--name", "exit2", *options)


def world(lab, *exit_options, nodes=("a",), node_options=("--exit",)):
    """A network with an exit on the relay's host, nodes that use it, and a web server on a general host."""
    lab.s.serve()
    gate = Exit(lab, lab.s, lab.s.invite("--role", "exit"), *exit_options)
    www = lab.path("www")
    os.makedirs(www)
    Web(lab.g, www, RATE_BYTES)
    for name in nodes:
        getattr(lab, name).join(lab.s.invite(), *node_options)
    return gate, www


def switches(host):
    """What an exit turns on the machine that it runs on."""
    names = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.ip_local_reserved_ports")
    return [host.run("sysctl", "-n", name, check=True).stdout for name in names]


def fetch(node, host, *options):
    return node.run("curl", "-sS", "--max-time", "8", *options, f"http://{host}/hello")


def seen_from(lab):
    """Addresses that the web server was asked from."""
    with open(lab.path("g-nginx/access.log"), encoding="utf-8") as file:
        return {line.split()[0].removeprefix("::ffff:") for line in file}


def bracketed(host):
    return f"[{host}]" if ":" in host else host


# What is typed on the node, by the general host's address, and what has to be in its answer.
FLOWS = (
    ("curl", lambda host: ("curl", "-sS", "--max-time", "8", f"http://{bracketed(host)}/hello"), "I am g\n"),
    ("ping", lambda host: ("ping", "-c", "2", "-i", "0.2", "-W", "4", host), " 0% packet loss"),
    # Over IPv6 the first one may only find out how large fragments may be.
    ("ping in fragments", lambda host: ("ping", "-c", "3", "-i", "0.2", "-W", "4", "-s", "5000", host), "5008 bytes from"),
    ("dig", lambda host: ("dig", f"@{host}", "general.example", "A", "+short", "+tries=2", "+time=3", "+notcp"), "203.0.114.77\n"),
    ("dig +tcp", lambda host: ("dig", f"@{host}", "general.example", "A", "+short", "+tries=2", "+time=3", "+tcp"), "203.0.114.77\n"),
    ("UDP in fragments", lambda host: ("/usr/bin/python3", os.path.join(HERE, "udp_large.py"), host), "all came back\n"),
)


def test_exit_programs(new_lab):
    """curl, ping, dig and UDP larger than the tunnel reach a general host over IPv4 and IPv6, from the relay's address."""
    with new_lab(nodes=("a",), generals=("g",)) as lab:
        gate, _ = world(lab)
        lab.g.start("dns", "/usr/bin/python3", os.path.join(HERE, "dns_answerer.py")).wait_line("answering", 5)
        lab.g.start("echo", "/usr/bin/python3", os.path.join(HERE, "udp_large.py"), "--echo").wait_line("listening", 5)
        for name, words, wanted in FLOWS:
            for host in (lab.g.v4, lab.g.v6):
                answer = lab.a.run(*words(host))
                demand(wanted in answer.stdout, f"{name} {host}: {answer.stdout}{answer.stderr}")
        demand(seen_from(lab) - {"127.0.0.1"} == {lab.s.v4, lab.s.v6}, f"the web server saw {seen_from(lab)}")
        counters = gate.counters()
        demand(min(counters["tx_fragments"], counters["rx_fragments"]) > 20 and counters["dropped_fragment"] == 0,
               f"fragments did not pass as such: {counters}")
        demand(lab.everywhere("clear") == 0, "a virtual address was seen in clear")


def test_exit_moves(new_lab):
    """A download from a general host goes on while the node moves to another NAT, to IPv6 alone, and back: every byte arrives."""
    with new_lab(nodes=("a",), generals=("g",)) as lab:
        gate, www = world(lab)
        digest = make_file(os.path.join(www, "file"), FILE_BYTES)
        download = Download(lab.a, f"http://{lab.g.v4}/file", FILE_BYTES)
        for place in ("cell", "six", "home"):
            download.wait_more()
            lab.a.move(place)
        download.finish(digest)
        counters = gate.counters()
        demand(counters["reset_unknown"] == 0 and counters["flows_evicted"] == 0, f"the exit lost a flow: {counters}")
        demand(lab.everywhere("clear") == 0, "a virtual address was seen in clear")


def peer_ports(lab, *nodes):
    """Sends UDP from port 5555 of each node to a general host; the ports that it saw them from."""
    server = lab.g.udp("::", 7000)
    seen = []
    for node in nodes:
        client = node.udp(node.v4, 5555)
        client.sendto(b"who am I", (lab.g.v4, 7000))
        server.settimeout(8)
        text, address = server.recvfrom(100)
        server.sendto(text, address)
        client.settimeout(8)
        demand(client.recvfrom(100)[0] == text, "the answer was another")
        seen.append(address[:2])
        client.close()
    server.close()
    return seen


def test_exit_ports_and_rules(new_lab):
    """Two nodes with the same inner port get two ports; who may not leave, and where nobody may go, is answered at once."""
    with new_lab(nodes=("a", "b"), generals=("g", "g2")) as lab:
        gate, _ = world(lab, "--exit-deny", f"{POOL4}3/32,0.0.0.0/0@81", nodes=("a", "b"))
        one, other = peer_ports(lab, lab.a, lab.b)
        demand(one[0].endswith(lab.s.v4) and one[0] == other[0] and one[1] != other[1], f"seen from {one} and {other}")
        for host in (lab.g2.v4, f"{lab.g.v4}:81", lab.s.v4 + ":7367", "192.0.2.77", "[2001:db8:5::9]", "[2002:a00:1::1]"):
            answer = lab.a.run("curl", "-sS", "--max-time", "8", f"http://{host}/")
            demand(answer.returncode == 7, f"{host}: refused at once? {answer.returncode} {answer.stderr}")
        before = gate.counters()["refused_destination"]
        ping = lab.a.run("ping", "-c", "1", "-W", "4", "192.0.2.77")
        demand("filtered" in ping.stdout or "rohibited" in ping.stdout, f"ping says nothing of a refusal: {ping.stdout}")
        demand(gate.counters()["refused_destination"] == before + 1, "the refusal was not counted")
        gate.restart("--exit-for", "a")
        demand(fetch(lab.a, lab.g.v4).returncode == 0, "a may leave and cannot")
        demand(fetch(lab.b, lab.g.v4).returncode == 7, "b may not leave and was not refused")
        gate.restart("--exit-quota", "20k")
        demand(fetch(lab.a, lab.g.v4).returncode == 0, "the quota is not used up yet")
        lab.a.run("curl", "-s", "--max-time", "8", *[f"http://{lab.g.v4}/hello"] * 40)
        demand(gate.counters()["refused_quota"] > 0, "the quota has no end")
        kept = os.path.join(gate.state, "quota")
        used = gate.counters()["usage"][0]["bytes"]
        wait_for("the quota to be on disk", lambda: os.path.exists(kept) and f'"bytes":{used}' in open(kept, encoding="utf-8").read(), 15)
        gate.kill()
        gate.start()
        wait_for("the exit to know that the quota is used up, after a crash",
                 lambda: "quota of today is used up" in lab.a.ntm("why", lab.g.v4).stdout, 30, 0.5)
        demand(gate.counters()["nodes_exhausted"] == 1, f"{gate.counters()}")


def routing(node):
    """Everything that a node's kernel knows about routing."""
    return [node.run("ip", *words).stdout for words in (("rule",), ("-6", "rule"), ("route", "show", "table", "all"))]


def test_exit_comes_and_goes(new_lab):
    """Without --exit nothing is touched; an exit that was killed is found again and leaves no trace; `ntm down` puts routes back."""
    with new_lab(nodes=("a", "b"), generals=("g",)) as lab:
        clean = routing(lab.a)
        before = switches(lab.s)
        gate, _ = world(lab, nodes=("a",))
        lab.b.join(lab.s.invite())
        demand(fetch(lab.b, lab.g.v4).returncode == 0, "b cannot go its own way")
        demand(lab.s.v4 not in seen_from(lab), "b went through the exit and was not told to")
        demand(fetch(lab.a, lab.g.v4).returncode == 0, "a cannot leave through the exit")
        demand(lab.s.v4 in seen_from(lab), "a did not go through the exit")
        gate.kill()
        demand(not lab.s.run("nft", "list", "tables").stdout.strip(), "the table outlived its owner")
        demand(fetch(lab.a, lab.g.v4).returncode != 0, "packets leave although the exit is dead")
        gate.start()
        wait_for("the exit to be found again", lambda: fetch(lab.a, lab.g.v4).returncode == 0, 30, 0.5)
        gate.stop()
        demand(switches(lab.s) == before, "the exit's switches were left turned")
        lab.a.ntm("down", check=True)
        demand(routing(lab.a) == clean, "routes or rules were left")
        demand(fetch(lab.a, lab.g.v4).returncode == 0, "a cannot go its own way again")


def test_exit_route(new_lab):
    """With --exit-route only that prefix leaves through the exit."""
    with new_lab(nodes=("a",), generals=("g", "g2")) as lab:
        world(lab, node_options=("--exit-route", f"{POOL4}2/32"))
        demand(fetch(lab.a, lab.g.v4).returncode == 0, "the prefix cannot be reached through the exit")
        demand(lab.s.v4 in seen_from(lab), "the prefix was not reached through the exit")
        way = lab.a.run("ip", "route", "get", lab.g2.v4).stdout
        demand(re.search(r"dev home", way), f"another host goes another way: {way}")
        lab.a.ntm("up", "--exit", check=True)  # while it is up
        way = lab.a.run("ip", "route", "get", lab.g2.v4).stdout
        demand(re.search(r"dev ntm0", way), f"everything should go through the exit: {way}")
        demand(fetch(lab.a, lab.g.v4).returncode == 0, "the way through the exit is lost")
        lab.a.ntm("up", "--exit=no", check=True)
        for host in (lab.g.v4, lab.g2.v4):
            way = lab.a.run("ip", "route", "get", host).stdout
            demand(re.search(r"dev home", way), f"nothing should go through the exit: {way}")
        demand("throw" not in routing(lab.a)[2], "routes were left")


def exits_of(node):
    return {exit["prefix"]: (exit["name"].split(".")[0], exit["state"], exit["takeovers"]) for exit in node.status()["exits"]}


def test_exit_choice(new_lab):
    """Two exits: one prefix through the second; the second takes over when the first is killed and keeps it; status and why say so."""
    with new_lab(nodes=("a",), generals=("g", "g2"), servers=("s", "s2")) as lab:
        gate, _ = world(lab, node_options=("--exit", "--exit-via", "exit,exit2", "--exit-route", f"{POOL4}3/32=exit2"))
        other = second_exit(lab, "--exit-deny", f"{POOL4}9/32")
        demand(fetch(lab.a, lab.g.v4).returncode == 0, "g cannot be reached")
        demand(lab.s.v4 in seen_from(lab), "g was not reached through the first exit")
        wait_for("the second exit's tunnel", lambda: lab.a.run("ping", "-c", "1", "-W", "1", lab.g2.v4).returncode == 0, 20)
        demand(other.counters()["flows_opened"] >= 1 and gate.counters()["flows_opened"] == 1, "the prefix went another way")
        why = lab.a.ntm("why", lab.g.v4).stdout
        demand("0.0.0.0/0 goes through exit.ntm.internal, the first of 2" in why and "answered an echo" in why, why)
        demand(exits_of(lab.a)["0.0.0.0/0"] == ("exit", "up", 0), f"before: {exits_of(lab.a)}")
        gate.kill()
        wait_for("the second exit to take over", lambda: fetch(lab.a, lab.g.v4).returncode == 0, 30, 0.2)
        demand(lab.s2.v4 in seen_from(lab), "g was not reached through the second exit")
        demand(exits_of(lab.a)["0.0.0.0/0"] == ("exit2", "up", 1), f"after: {exits_of(lab.a)}")
        demand("took over" in lab.a.ntm("status").stdout, lab.a.ntm("status").stdout)
        gate.start()
        lab.a.move("cell")  # and back to the first: not by itself
        wait_for("a to be reachable", lambda: fetch(lab.a, lab.g.v4).returncode == 0, 20, 0.2)
        demand(exits_of(lab.a)["0.0.0.0/0"] == ("exit2", "up", 1), f"later: {exits_of(lab.a)}")
        refused = lab.a.ntm("why", f"{POOL4}9")
        demand(refused.returncode != 0 and "refuses this destination" in refused.stdout, f"{refused.stdout}{refused.stderr}")
