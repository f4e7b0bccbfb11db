"""What is on the wire: no fragments, nothing in clear, the zone as a DNS server serves it."""
import json

from lab import demand, wait_for
from test_join import two_joined
from test_mobility import Traffic

BULK = ("-t", "3", "-J")


def iperf(lab, server, client, address, *options):
    """One short run; the JSON's end part."""
    process = server.start("iperf3", "iperf3", "-s", "-1", "--forceflush", "-B", address)
    process.wait_line("listening")
    done = client.run("iperf3", "-c", address, *BULK, *options, timeout=40)
    demand(done.returncode == 0, f"iperf3: {done.stdout[-300:]}{done.stderr[-300:]}")
    return json.loads(done.stdout)["end"]


def check_bulk(lab):
    """TCP both ways and big pings over both inner families, then the counters."""
    lab.a.ntm("ping", "b", "-c", "1", check=True)
    for address in (lab.b.v4, lab.b.v6):
        for options in ((), ("-R",)):
            end = iperf(lab, lab.b, lab.a, address, *options)
            demand(end["sum_received"]["bytes"] > 1 << 20, f"hardly anything arrived: {end['sum_received']}")
        # Over IPv6 the first one only tells this end that the path is narrower, and its answer the other end (RFC 8201).
        lab.a.run("ping", "-c", "4", "-i", "0.2", "-W", "5", "-s", "1600", address, check=True)
        lab.a.run("ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", "1200", "-M", "do", address, check=True)
    demand(lab.everywhere("fragments") == 0, "an outer packet was in fragments")
    demand(lab.everywhere("clear") == 0, "a virtual address was seen in clear")


def test_wire_no_fragments_ipv4(new_lab):
    """Bulk traffic over IPv4 outside: not one fragment, nothing in clear."""
    with new_lab() as lab:
        two_joined(lab)
        check_bulk(lab)


def test_wire_no_fragments_narrow(new_lab):
    """The same where an uplink carries only 1400 bytes."""
    with new_lab() as lab:
        lab.nats["B"].set_mtu(lab.inet, 1400)
        two_joined(lab)
        check_bulk(lab)


def test_wire_path_narrows(new_lab):
    """The path carries less from one moment to the next, while a download runs: it goes on, without fragments."""
    with new_lab() as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        lab.nats["B"].set_mtu(lab.inet, 1400)
        traffic.download.wait_more(8 << 20)
        traffic.finish()


def test_wire_no_fragments_ipv6(new_lab):
    """The same over IPv6 outside."""
    with new_lab() as lab:
        for node in (lab.a, lab.b):
            node.move("six")
        two_joined(lab)
        check_bulk(lab)


def test_wire_no_fragments_relay(new_lab):
    """The same through the relay."""
    with new_lab() as lab:
        lab.cut(lab.nats["A"], lab.nats["B"])
        two_joined(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        demand(lab.a.path_kind(lab.b) == "relay", "not relayed")
        check_bulk(lab)


def test_wire_zone(new_lab):
    """The zone as a DNS server serves it: dig and kdig, UDP and TCP; A, AAAA, SOA, NS, names and zones that it does not have."""
    with new_lab() as lab:
        two_joined(lab, "--zone", "lab.test")
        demand(lab.a.fqdn.rstrip(".") == "a.lab.test", f"a is called {lab.a.fqdn}")
        server = lab.s.v4

        def ask(tool, *words):
            done = lab.b.run(tool, *words, f"@{server}", timeout=20)
            demand(done.returncode == 0, f"{tool} {' '.join(words)}: exit {done.returncode}: {done.stdout[-200:]}")
            return done.stdout

        for tool, tcp in (("dig", "+tcp"), ("dig", "+notcp"), ("kdig", "+tcp"), ("kdig", "+notcp")):
            common = (tool, tcp, "+timeout=3")
            demand(ask(*common, "+short", "a.lab.test", "A").split() == [lab.a.v4], f"{common}: A")
            demand(ask(*common, "+short", "A.LAB.test", "AAAA").split() == [lab.a.v6], f"{common}: AAAA of another spelling")
            demand("NXDOMAIN" in ask(*common, "nobody.lab.test", "A"), f"{common}: a name that does not exist")
            demand("SOA" in ask(*common, "lab.test", "SOA"), f"{common}: SOA")
            demand("REFUSED" in ask(*common, "example.org", "A"), f"{common}: a zone of others")
            text = ask(*common, "a.lab.test", "A")
            demand(" aa" in text.lower(), f"{common}: not authoritative")
            empty = ask(*common, "a.lab.test", "TXT")
            demand("NOERROR" in empty, f"{common}: a type that it does not have: {empty[:200]}")


def test_wire_stub_passes_ordinary_names(new_lab):
    """The stub answers for the overlay and refuses or fails for what it cannot ask, without hanging."""
    with new_lab() as lab:
        two_joined(lab)
        done = lab.a.run("dig", "+timeout=5", "+tries=1", f"@{lab.a.v4}", "nobody." + lab.a.fqdn.split(".", 1)[1].rstrip("."), "A")
        demand(done.returncode == 0 and "NXDOMAIN" in done.stdout, f"a name that the zone does not have: {done.stdout[-300:]}")
        for kind in ("A", "AAAA", "TXT"):
            done = lab.a.run("dig", "+timeout=5", "+tries=1", f"@{lab.a.v4}", lab.b.fqdn.rstrip("."), kind)
            demand("NOERROR" in done.stdout, f"{kind}: {done.stdout[-300:]}")


def test_wire_strangers(new_lab):
    """Datagrams of strangers get no answer and no log line each, at the server and at a node; the tunnel goes on."""
    with new_lab(servers=("s", "s2")) as lab:
        two_joined(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        stranger = lab.s2.udp(lab.s2.v4, 5000)
        log = len(lab.s.daemon.lines)
        for size in (0, 1, 3, 15, 16, 31, 32, 64, 148, 512, 1200, 1452):
            for first in range(0, 256, 3):
                stranger.sendto(bytes([first]) * size, (lab.s.v4, 7367))
        stranger.setblocking(False)
        lab.a.ntm("ping", "b", "-c", "3", "-i", "0.2", check=True)
        answers = 0
        try:
            while True:
                stranger.recv(2048)
                answers += 1
        except BlockingIOError:
            pass
        stranger.close()
        demand(answers == 0, f"{answers} answers to a stranger")
        demand(len(lab.s.daemon.lines) - log < 10, f"{len(lab.s.daemon.lines) - log} log lines because of a stranger")
        wait_for("the server to be there", lab.s.answers, 5)
