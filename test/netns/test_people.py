"""What people are told: `ntm why`, `ntm ping` and `ntm handover` in every situation, each with the reason and what would help; metrics."""
import json

from lab import demand, wait_for
from test_join import two_joined

BLOCKED = "table inet blocked { chain pass { type filter hook forward priority 0;\n meta l4proto udp drop\n }\n}\n"


def why(node, name, code, step, words):
    """`ntm why` ends with this exit code, and the first step that failed is this one and says this."""
    done = node.ntm("why", name, "--json")
    demand(done.returncode == code, f"why {name}: exit {done.returncode}, not {code}: {done.stderr.strip()}")
    steps = json.loads(done.stdout)["steps"]
    failed = [one for one in steps if not one["ok"] and one["fix"]]
    if step is None:
        demand(not failed, f"why {name}: {failed} failed")
        return steps
    demand(bool(failed), f"why {name}: no step failed: {steps}")
    demand(failed[0]["step"] in step.split("|"), f"why {name}: {failed[0]} failed first, not {step}")
    demand(words in failed[0]["detail"], f"why {name}: {failed[0]['detail']!r} does not say {words!r}")
    error = done.stderr.strip()
    demand(failed[0]["detail"] in error and failed[0]["fix"] in error, f"why {name} says: {error}")
    return steps


def ping(node, name, code, words):
    """`ntm ping` ends with this exit code and one line with the reason."""
    done = node.ntm("ping", name, "-c", "1")
    demand(done.returncode == code, f"ping {name}: exit {done.returncode}, not {code}: {done.stderr.strip()}")
    demand(words in done.stderr and done.stderr.count("\n") == (1 if words else 0), f"ping {name} says: {done.stderr}")


def test_people_why_names(new_lab):
    """Why and ping with names that nobody has, of a node that is down, and of one that was revoked."""
    with new_lab(nodes=("a", "b", "c")) as lab:
        two_joined(lab)
        lab.c.join(lab.s.invite("--name", "c"))
        why(lab.a, "nobody", 5, "direction", "no node of that name")
        ping(lab.a, "nobody", 5, "no node of that name")
        why(lab.a, "b.example.net", 5, "name", "no name of this network")
        ping(lab.a, "b.example.net", 5, "not a name")
        why(lab.a, "a", 5, "name", "this node itself")
        steps = why(lab.a, "b", 0, None, "")
        demand([one["step"] for one in steps][:4] == ["this node", "network", "name", "directory"], f"steps are {steps}")
        demand(any(one["step"] == "candidate" and one["ok"] for one in steps), f"no candidate worked: {steps}")
        ping(lab.a, "b", 0, "")
        lab.c.ntm("down", check=True)
        why(lab.a, "c", 6, "direction", "not connected")
        ping(lab.a, "c", 6, "not connected")
        lab.s.ntm("revoke", "c", check=True)
        why(lab.a, "c", 5, "direction", "revoked")
        ping(lab.a, "c", 5, "revoked")


def test_people_why_networks(new_lab):
    """Why and ping with a dead server, with all UDP blocked, and with no network at all; they end soon and name the step."""
    with new_lab(nodes=("a", "b")) as lab:
        two_joined(lab)
        ping(lab.a, "b", 0, "")
        lab.nats["A"].nft(BLOCKED)
        lab.nats["A"].forget()
        why(lab.a, "b", 6, "directory|paths|echo", "answer")
        ping(lab.a, "b", 6, "not reachable")
        lab.nats["A"].nft("delete table inet blocked\n")
        wait_for("a to reach b again", lambda: lab.a.ntm("ping", "b", "-c", "1").returncode == 0, 30, 0.15)
        lab.a.detach("home")
        why(lab.a, "b", 6, "network", "no address")
        ping(lab.a, "b", 6, "no address")


def test_people_why_no_server(new_lab):
    """The server is dead: a peer that is known is reached all the same, and for one that is not `why` names the step."""
    with new_lab(nodes=("a", "b", "c")) as lab:
        two_joined(lab)
        lab.c.join(lab.s.invite("--name", "c"))
        ping(lab.a, "b", 0, "")
        lab.s.daemon.kill()
        ping(lab.a, "b", 0, "")
        why(lab.a, "c", 6, "directory|direction", "coordinator")
        ping(lab.a, "c", 6, "coordinator")
