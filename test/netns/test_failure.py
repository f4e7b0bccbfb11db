"""Servers and daemons that die: what goes on without them, and what they still know when they are back."""
import os
import signal

from lab import demand, wait_for
from test_join import refused, restart_account_server, start_roles_apart, two_joined
from test_mobility import Traffic
from talk import Talks, both_families


def identity(node):
    status = node.status()["node"]
    return tuple(status[key] for key in ("name", "fqdn", "id", "v4", "v6"))


def test_failure_coordinator_dies(new_lab):
    """The server, relay and all, is killed while bytes flow: nobody notices, not even at a move. Back again it has forgotten nothing."""
    with new_lab(nats={"B": "full-cone"}) as lab:  # else nobody could tell B's NAT to let a's new address in
        two_joined(lab)
        traffic = Traffic(lab)
        code = lab.s.invite("--name", "c")
        lab.s.daemon.kill()
        traffic.download.wait_more(6 << 20)
        traffic.moved(lambda: lab.a.move("cell"))
        had = identity(lab.a), identity(lab.b)
        lab.s.serve()
        for node in (lab.a, lab.b):
            wait_for(f"{node.name} to find the server", lambda n=node: n.status()["coordinator"]["state"] == "ok", 60, 0.15)
        demand((identity(lab.a), identity(lab.b)) == had, "a name or an address changed")
        known = lab.s.ntm("nodes", "--json", check=True).stdout
        demand(all(node.fqdn.rstrip(".") in known for node in (lab.a, lab.b)), f"the restarted server knows only {known}")
        traffic.finish()
        lab.a.daemon.stop()
        lab.a.state = lab.path("third-state")
        lab.a.ntm("up", code, "--dns", "stub", "--wait", "20s", check=True)
        demand(lab.a.status()["node"]["v4"] not in (had[0][3], had[1][3]), "the restarted server leased an address twice")


def test_failure_server_restarts(new_lab):
    """The server, relay and all, is restarted twice under an idle pair that has no other way: the first packet after it arrives."""
    with new_lab(nats={"A": "symmetric", "B": "symmetric"}) as lab:
        two_joined(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        for _ in range(2):
            lab.a.wait_path(lab.b, "relay", 10)
            lab.s.daemon.stop()
            lab.s.serve()
            lab.a.run("ping", "-c", "1", "-W", "5", lab.b.v4, check=True)


def test_failure_coordinator_alone_dies(new_lab):
    """The coordinator is killed, the relay lives: moves go on by the warm relay, whatever the NATs are."""
    with new_lab(servers=("s", "s2", "s3")) as lab:
        start_roles_apart(lab)
        lab.a.join(lab.s.invite("--name", "a"))
        lab.b.join(lab.s.invite("--name", "b"))
        traffic = Traffic(lab)
        lab.s2.daemon.kill()
        traffic.moved(lambda: lab.a.move("cell"))
        traffic.moved(lambda: lab.b.move("cell"))
        traffic.finish()


def certificate(node):
    return node.status()["node"]["certificate"]


def test_failure_certificates(new_lab):
    """Certificates of ten seconds are renewed under conversations that feel nothing of it; while the account server is dead status says what is
    wrong, and when it is back it is mended by itself."""
    with new_lab(servers=("s", "s2", "s3")) as lab:
        start_roles_apart(lab, "--certificate-time", "10s")
        lab.a.join(lab.s.invite("--name", "a"))
        lab.b.join(lab.s.invite("--name", "b"))
        had = {node: (certificate(node)["not_after"], identity(node)) for node in (lab.a, lab.b)}
        watch = lab.a.watch()
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            lab.a.wait_path(lab.b, "direct", 10)
            mark = watch.mark()
            for node in had:
                wait_for(f"{node.name} to be renewed", lambda n=node: certificate(n)["not_after"] > had[n][0], 20, 0.15)
                demand(identity(node) == had[node][1], "a name or an address changed")
            lab.s.daemon.kill()
            wait_for("a to say that it is not renewed", lambda: certificate(lab.a)["state"] != "ok" and certificate(lab.a)["error"], 20, 0.15)
            told = lab.a.ntm("status").stdout
            demand("certificate" in told and ("not renewed" in told or "expired" in told), f"status does not say it: {told}")
            held = certificate(lab.a)["not_after"]
            restart_account_server(lab, "--certificate-time", "10s")
            wait_for("a to be renewed after all", lambda: certificate(lab.a)["not_after"] > held and certificate(lab.a)["state"] == "ok", 60, 0.15)
            talks.wait_on(talks.mark())
            felt = [event for kind in ("peer-down", "handover") for event in watch.all(kind, mark)]
            demand(not felt and talks.lost() == 0, f"the tunnel was not left alone: {talks.lost()} lost, {felt}")
            talks.finish()


def test_failure_account_server_dies(new_lab):
    """A dead account server hurts nobody who is logged in: contact, moves and restarts of nodes work."""
    with new_lab(servers=("s", "s2", "s3")) as lab:
        start_roles_apart(lab)
        lab.a.join(lab.s.invite("--name", "a"))
        lab.b.join(lab.s.invite("--name", "b"))
        lab.s.daemon.kill()
        traffic = Traffic(lab)
        traffic.moved(lambda: lab.b.move("cell"))
        traffic.finish()
        lab.a.daemon.stop()
        lab.a.start_daemon()
        lab.a.wait_up()
        lab.a.ntm("ping", "b", "-c", "1", check=True)


def test_failure_node_dies(new_lab):
    """A node daemon is killed and comes up again with the same name and addresses; the first packet to it arrives."""
    with new_lab() as lab:
        two_joined(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        had = identity(lab.b)
        for _ in range(2):
            lab.b.daemon.kill()
            done = lab.b.ntm("up", "--wait", "20s", "--dns", "stub")
            demand(done.returncode == 0, f"up after kill -9: exit {done.returncode}: {done.stderr.strip()}")
            demand(identity(lab.b) == had, f"{identity(lab.b)} is not {had}")
            lab.a.run("ping", "-c", "1", "-W", "5", lab.b.v4, check=True)  # though a still has the tunnel that b has forgotten
            lab.b.ntm("down", check=True)
            lab.b.start_daemon()
            lab.b.wait_up()


def test_failure_revoked(new_lab):
    """A revoked node is out: its tunnels end, it cannot come back, not with its old state and not with a used code."""
    with new_lab(nodes=("a", "b", "c")) as lab:
        lab.s.serve()
        lab.a.join(lab.s.invite("--name", "a"))
        code = lab.s.invite("--name", "b")
        lab.b.join(code)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        lab.s.ntm("revoke", "b", check=True)
        wait_for("a to refuse b", lambda: lab.a.ntm("ping", "b", "-c", "1", timeout=60).returncode != 0, 60, 0.15)
        lab.b.daemon.stop()
        refused(lab.b, code, "3s")
        demand(lab.b.ntm("up", "--wait", "3s", "--dns", "stub").returncode != 0, "a revoked node came up again")
        lab.b.ntm("down")
        demand(lab.s.ntm("revoke", "nobody").returncode == 5, "revoking an unknown node is not exit 5")
        lab.c.join(lab.s.invite("--name", "c"))
        lab.a.ntm("ping", "c", "-c", "1", check=True)


def test_failure_network_vanishes(new_lab):
    """The node has no network for a while: it says so, and is back by itself when there is one."""
    with new_lab() as lab:
        two_joined(lab)
        traffic = Traffic(lab)
        lab.a.detach("home")
        held = traffic.download.bytes()
        wait_for("the coordinator to be missed", lambda: lab.a.status()["coordinator"]["state"] != "ok", 60, 0.15)
        lab.a.attach("cell")
        traffic.download.wait_bytes(held + (4 << 20), 60)
        traffic.finish()


def test_failure_daemon_of_ntm_up(new_lab):
    """`ntm up` starts the daemon itself, `ntm down` ends it; SIGHUP does not."""
    with new_lab(nodes=("a",)) as lab:
        lab.s.serve()
        lab.a.ntm("up", lab.s.invite("--name", "a"), "--dns", "stub", "--wait", "20s", check=True)
        pids = lab.a.daemons()
        demand(len(pids) == 1, f"{len(pids)} daemons after up")
        os.kill(pids[0], signal.SIGHUP)
        demand(lab.a.status()["node"]["state"] == "up", "SIGHUP ended it")
        lab.a.ntm("down", check=True)
        wait_for("the daemon to end", lambda: not lab.a.daemons(), 10, 0.1)
