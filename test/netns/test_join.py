"""Joining, names and what a person sees: codes, servers that are not who they say, exit codes."""
import contextlib
import os
import re
import signal

from lab import Process, demand, program, wait_for
from services import Web, make_file, sha256_of


def two_joined(lab, *options):
    """A server and two nodes with codes of their own."""
    lab.s.serve(*options)
    lab.a.join(lab.s.invite("--name", "a"))
    lab.b.join(lab.s.invite("--name", "b"))


def refused(node, code, seconds="5s"):
    """`ntm up CODE` fails with an error in one line. Returns the exit code."""
    done = node.ntm("up", code, "--wait", seconds, "--dns", "stub", timeout=40)
    demand(done.returncode != 0, f"{node.name} joined with a code that must be refused")
    demand(len(done.stderr.strip().split("\n")) == 1, f"the error is not one line: {done.stderr!r}")
    node.ntm("down")
    return done.returncode


def test_join_and_names(new_lab):
    """Two nodes join with codes; ping, dig and curl by name both ways, over IPv4 and IPv6 inside."""
    with new_lab() as lab:
        two_joined(lab)
        for node in (lab.a, lab.b):
            os.makedirs(lab.path(f"www-{node.name}"))
            Web(node, lab.path(f"www-{node.name}"))
        for here, there in ((lab.a, lab.b), (lab.b, lab.a)):
            demand(here.v4 != there.v4 and here.v6 != there.v6, "both have the same address")
            name = there.fqdn.rstrip(".")
            for kind, address in (("A", there.v4), ("AAAA", there.v6)):
                answer = here.run("dig", "+short", "+timeout=3", f"@{here.v4}", name, kind, check=True).stdout.split()
                demand(answer == [address], f"dig {name} {kind} on {here.name}: {answer}, not {address}")
            for family in ("-4", "-6"):
                here.run("ping", family, "-c", "2", "-W", "5", name, check=True)
                page = here.run("curl", family, "-sS", "--max-time", "10", f"http://{name}/hello", check=True).stdout
                demand(page == f"I am {there.name}\n", f"{here.name} got {page!r}")
            page = here.run("curl", "-sS", "--max-time", "10", f"http://{there.name}/hello", check=True).stdout
            demand(page == f"I am {there.name}\n", "the short name does not work")
        lab.a.wait_path(lab.b, "direct")
        demand(lab.everywhere("clear") == 0, "a virtual address was seen in clear")


def test_join_other_cipher(new_lab):
    """A node that says chacha20 has its tunnel so, whatever the other end can do; a file comes through it whole."""
    with new_lab() as lab:
        lab.s.serve()
        lab.a.join(lab.s.invite("--name", "a"))
        lab.b.join(lab.s.invite("--name", "b"), "--cipher", "chacha20")
        folder, copy = lab.path("files"), lab.path("copy")
        os.makedirs(folder)
        digest = make_file(os.path.join(folder, "file"), 4 << 20)
        Web(lab.b, folder)
        lab.a.run("curl", "-sSf", "--max-time", "20", "-o", copy, f"http://{lab.b.fqdn.rstrip('.')}/file", check=True)
        demand(sha256_of(copy) == digest, "the file is damaged")
        for here, there in ((lab.a, lab.b), (lab.b, lab.a)):
            demand(here.peer(there)["suite"] == "ChaCha20-Poly1305", f"{here.name}: {here.peer(there)['suite']}")


def test_join_code_once(new_lab):
    """A code of one use lets one node in, also when two come at the same instant; --uses 2 lets two in."""
    with new_lab(nodes=("a", "b", "c")) as lab:
        lab.s.serve()
        code = lab.s.invite()
        nodes = (lab.a, lab.b)
        runs = [node.start("up", program("ntm"), "up", code, "--wait", "8s", "--dns", "stub", "--name", node.name, *node.common())
                for node in nodes]
        codes = sorted(run.wait(40) for run in runs)
        demand(codes[0] == 0 and codes[1] != 0, f"a code of one use: exit codes {codes}")
        refused(lab.c, code)
        loser = nodes[0] if runs[0].child.poll() else nodes[1]
        twice = lab.s.invite("--uses", "2")
        loser.ntm("down")
        for node in (loser, lab.c):
            node.ntm("up", twice, "--wait", "15s", "--dns", "stub", "--name", node.name, check=True)


def test_join_code_expired(new_lab):
    """A code past its time is refused."""
    with new_lab(nodes=("a",)) as lab:
        lab.s.serve()
        code = lab.s.invite("--expires", "1s")
        made = lab.s.ntm("nodes", check=True)
        demand(made.returncode == 0, "the server does not answer")
        clock = lab.s.start("clock", "ping", "-c", "3", "-i", "1", "127.0.0.1")
        clock.wait(10)
        code_of = refused(lab.a, code)
        demand(code_of == 5, f"exit code {code_of}, not 5 (denied)")


def test_join_code_altered(new_lab):
    """A code with any letter changed is refused: it pins the server and carries its own check."""
    with new_lab(nodes=("a",)) as lab:
        lab.s.serve()
        code = lab.s.invite()
        body = code[len("ntm1-"):]
        for at in sorted({2, len(body) // 4, len(body) // 2, 3 * len(body) // 4, len(body) - 3}):
            letter = "A" if body[at] != "A" else "B"
            refused(lab.a, "ntm1-" + body[:at] + letter + body[at + 1:], "3s")
        lab.a.ntm("up", code, "--wait", "15s", "--dns", "stub", check=True)


def test_join_fake_server(new_lab):
    """A server with other keys at the same address is refused, by a newcomer and by a node that knows the real one."""
    with new_lab() as lab:
        lab.s.serve()
        lab.b.join(lab.s.invite("--name", "b"))
        code = lab.s.invite()
        lab.s.daemon.stop()
        real, lab.s.state = lab.s.state, lab.path("fake-state")
        lab.s.serve()
        refused(lab.a, code, "4s")
        wait_for("b to miss its own server", lambda: lab.b.status()["coordinator"]["state"] != "ok", 90, 0.15)
        clock = lab.s.start("clock", "ping", "-c", "4", "-i", "1", "127.0.0.1")
        clock.wait(10)
        demand(lab.b.status()["coordinator"]["state"] != "ok", "b took the fake server for its own")
        lab.s.daemon.stop()
        lab.s.state = real
        lab.s.serve()
        wait_for("b to find its own server again", lambda: lab.b.status()["coordinator"]["state"] == "ok", 60, 0.15)
        lab.a.ntm("up", code, "--wait", "15s", "--dns", "stub", check=True)


def test_join_first_run(new_lab):
    """Two machines on one LAN, two commands, no account: `ntm up --new` there, the line that it prints here; then curl by name."""
    with new_lab() as lab:
        for node in (lab.a, lab.b):
            node.move("cell")
        first = lab.a.ntm("up", "--new", "--name", "a", "--dns", "stub", "--wait", "30s", check=True, timeout=60)
        found = re.search(r"ntm1-[A-Za-z0-9_-]+", first.stdout + first.stderr)
        demand(found, f"`ntm up --new` printed no join code: {first.stdout!r}")
        lab.b.ntm("up", found.group(), "--name", "b", "--dns", "stub", "--wait", "30s", check=True, timeout=60)
        lab.a.learn_addresses()
        lab.b.learn_addresses()
        os.makedirs(lab.path("www"))
        Web(lab.a, lab.path("www"))
        page = lab.b.run("curl", "-sS", "--max-time", "10", f"http://{lab.a.fqdn.rstrip('.')}/hello", check=True).stdout
        demand(page == "I am a\n", f"curl over the first network: {page!r}")
        for node in (lab.b, lab.a):
            node.ntm("down", check=True)


def test_join_exit_codes(new_lab):
    """Exit codes and one-line errors as the manual states them."""
    with new_lab() as lab:
        cases = [(("status",), 3), (("status", "--check"), 3), (("nosuchverb",), 2), (("status", "--nosuch"), 2), (("ping",), 2),
                 (("ping", "b", "-c", "1"), 3), (("down",), 0), (("version",), 0), (("help",), 0), (("up", "--wait", "3s"), 4),
                 (("up", "ntm1-", "--wait", "3s"), 2)]
        for words, expected in cases:
            done = lab.a.ntm(*words)
            demand(done.returncode == expected, f"ntm {' '.join(words)}: exit {done.returncode}, not {expected}: {done.stderr.strip()}")
            if expected:
                demand(len(done.stderr.strip().split("\n")) == 1, f"ntm {' '.join(words)}: not one line: {done.stderr!r}")
        done = lab.a.ntm("statsu")
        demand("status" in done.stderr, f"a typo suggests nothing: {done.stderr!r}")
        lab.s.serve()
        code = lab.s.invite()
        lab.s.daemon.stop()
        done = lab.a.ntm("up", code, "--wait", "2s", "--dns", "stub")
        demand(done.returncode == 6, f"up when the server refuses: exit {done.returncode}, not 6: {done.stderr.strip()}")
        lab.a.ntm("down")
        lab.s.serve()
        lab.a.join(lab.s.invite("--name", "a"))
        for words, expected in ((("status",), 0), (("status", "--check"), 0), (("up",), 0), (("ping", "nobody", "-c", "1"), 5),
                                (("why", "nobody"), 5)):
            done = lab.a.ntm(*words)
            demand(done.returncode == expected, f"ntm {' '.join(words)}: exit {done.returncode}, not {expected}: {done.stderr.strip()}")
        lab.b.join(lab.s.invite("--name", "b"))
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        lab.a.wait_path(lab.b, "direct")
        lab.a.ntm("ping", "b", "-c", "2", "-i", "0.2", "--direct", check=True)
        lab.b.daemon.kill()
        done = lab.a.ntm("ping", "b", "-c", "3", "-i", "0.5", timeout=60)
        demand(done.returncode == 6, f"ping of a dead node: exit {done.returncode}, not 6: {done.stderr.strip()}")


def test_join_timeout(new_lab):
    """When nothing answers `up` says so with exit 8, and `down` really gives up."""
    with new_lab(nodes=("a",)) as lab:
        lab.s.serve()
        code = lab.s.invite()
        lab.inet.run("nft", "add", "element", "inet", "watch", "dead", f"{{ {lab.s.v4} }}", check=True)
        done = lab.a.ntm("up", code, "--wait", "2s", "--dns", "stub")
        demand(done.returncode == 8, f"up when nothing answers: exit {done.returncode}, not 8: {done.stderr.strip()}")
        lab.a.ntm("down", check=True)
        wait_for("the daemon to give up after `ntm down`", lambda: not lab.a.daemons(), 5, 0.1)
        lab.inet.run("nft", "flush", "set", "inet", "watch", "dead", check=True)
        lab.a.ntm("up", code, "--wait", "15s", "--dns", "stub", check=True)


def test_join_json(new_lab):
    """Documents carry their schema and the promised keys; streams are one object a line."""
    with new_lab() as lab:
        two_joined(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        status = lab.a.status()
        demand(status["schema"] == "ntm.status/1", f"schema {status.get('schema')}")
        wanted = {"name", "fqdn", "id", "v4", "v6", "state", "since"}
        demand(wanted <= status["node"].keys(), f"node lacks {wanted - status['node'].keys()}")
        demand({"address", "state", "rtt_us"} <= status["coordinator"].keys(), "coordinator lacks keys")
        peer = lab.a.peer(lab.b)
        wanted = {"name", "fqdn", "id", "v4", "v6", "state", "paths", "handovers", "rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "key_age_s"}
        demand(wanted <= peer.keys(), f"peer lacks {wanted - peer.keys()}")
        wanted = {"kind", "local", "remote", "active", "rtt_us", "loss_permille", "mtu"}
        demand(wanted <= peer["paths"][0].keys(), f"path lacks {wanted - peer['paths'][0].keys()}")
        for words in (("nodes",), ("version",)):
            document = (lab.s if words == ("nodes",) else lab.a).ntm(*words, "--json", check=True).stdout
            demand(f'"ntm.{words[0]}/1"' in document, f"{words}: {document[:120]}")
        for line in lab.a.ntm("ping", "b", "-c", "3", "-i", "0.1", "--json", check=True).stdout.strip().split("\n"):
            demand(line.startswith("{") and line.endswith("}"), f"ping --json: {line!r}")
        lab.a.ntm("why", "b", check=True)


def test_join_roles_apart(new_lab):
    """ntm-as, ntm-dc and ntm-rs as processes of their own on three hosts do what ntm-server does; then the account server may die."""
    with new_lab(servers=("s", "s2", "s3")) as lab:
        start_roles_apart(lab)
        lab.a.join(lab.s.invite("--name", "a"))
        lab.b.join(lab.s.invite("--name", "b"))
        lab.a.ntm("ping", "b", "-c", "2", "-i", "0.2", check=True)
        lab.s.daemon.kill()
        lab.b.daemon.stop()
        lab.b.start_daemon()
        lab.b.wait_up()
        lab.a.ntm("ping", "b", "-c", "2", "-i", "0.2", check=True)


def start_role(host, name, code=None, *options):
    """One server program of its own on that host."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(host.socket_path)
    host.daemon = host.start(name, program(name), "--foreground", "--state", host.state, "--socket", host.socket_path, "--advertise",
                             f"{host.v4},[{host.v6}]", *options, env={"NTM_JOIN": code} if code else {}, kind=Process)
    wait_for(f"{name}'s control socket", lambda: os.path.exists(host.socket_path) or not host.daemon.running(), 15)
    demand(host.daemon.running(), f"{name} ended ({host.daemon.child.poll()}); see {host.daemon.log_path}")


def restart_account_server(lab, *options):
    """ntm-as alone, as it was or again."""
    start_role(lab.s, "ntm-as", None, *options)
    lab.s.wait_serving()


def start_roles_apart(lab, *options):
    """The account server first, with these options; it invites the coordinator and the relay."""
    restart_account_server(lab, *options)
    start_role(lab.s3, "ntm-rs", lab.s.invite("--role", "relay"))
    start_role(lab.s2, "ntm-dc", lab.s.invite("--role", "coordinator"), "--dns-listen", "[::]:53")


def test_join_down_up(new_lab):
    """`ntm down` leaves nothing behind and is idempotent; up again gives the same name and addresses; SIGTERM is as clean."""
    with new_lab(nodes=("a",)) as lab:
        lab.s.serve()
        before = lab.a.run("ip", "-j", "rule").stdout
        lab.a.join(lab.s.invite("--name", "a"))
        had = (lab.a.fqdn, lab.a.v4, lab.a.v6, lab.a.id)
        lab.a.ntm("down", check=True)
        lab.a.ntm("down", check=True)
        wait_for("ntmd to end", lambda: not lab.a.daemon.running(), 10)
        demand(lab.a.run("ip", "link", "show", "ntm0").returncode != 0, "the TUN device is left")
        demand(lab.a.run("ip", "-j", "rule").stdout == before, "routing rules are left")
        lab.a.start_daemon()
        lab.a.wait_up()
        demand((lab.a.fqdn, lab.a.v4, lab.a.v6, lab.a.id) == had, "name or addresses changed")
        lab.a.daemon.signal(signal.SIGTERM)
        demand(lab.a.daemon.wait(10) == 0, "SIGTERM is not a clean end")
        demand(lab.a.run("ip", "link", "show", "ntm0").returncode != 0, "the TUN device is left after SIGTERM")
        demand(lab.a.run("ip", "-j", "rule").stdout == before, "routing rules are left after SIGTERM")
