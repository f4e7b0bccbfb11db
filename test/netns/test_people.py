"""What people are told: `ntm why`, `ntm ping` and `ntm handover` in every situation, each with the reason and what would help; metrics."""
import json
import re

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
    """Why and ping with all UDP blocked, and with no network at all; they end soon and name the step."""
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


SAMPLE = re.compile(r'([a-z_]+)((?:\{(?:[a-z_]+="[^"\\\n]*",?)+\})?) (-?[0-9.e+-]+|\+Inf|NaN)')


def family_of(name, types):
    """The metric that a sample belongs to: histograms have three kinds of them."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if types.get(base) == "histogram" else name


def check_histogram(name, samples):
    """Buckets never fall, and the last one is the count."""
    for labels in {re.sub(r',?le="[^"]*"', "", key) for key in samples if key.startswith(name + "_bucket")}:
        plain = labels[len(name) + len("_bucket"):]
        buckets = [value for key, value in samples.items() if re.sub(r',?le="[^"]*"', "", key) == labels]
        demand(buckets == sorted(buckets), f"{name}{plain}: buckets fall: {buckets}")
        demand(buckets[-1] == samples[f"{name}_count{plain}"], f"{name}{plain}: the last bucket is not the count")


def read_metrics(text):
    """Samples by name and labels, after a look at the syntax of the page (what `promtool check metrics` looks at)."""
    types, helped, samples = {}, set(), {}
    for line in text.rstrip("\n").split("\n"):
        words = line.split(" ", 3)
        if words[:2] == ["#", "HELP"]:
            demand(len(words) == 4 and words[2] not in helped, f"bad or second help: {line}")
            helped.add(words[2])
        elif words[:2] == ["#", "TYPE"]:
            demand(words[2] in helped and words[2] not in types and words[3] in ("counter", "gauge", "histogram"), f"bad type: {line}")
            demand((words[3] == "counter") == words[2].endswith("_total"), f"only counters end in _total: {line}")
            types[words[2]] = words[3]
        else:
            match = SAMPLE.fullmatch(line)
            demand(match is not None, f"no sample: {line!r}")
            demand(family_of(match[1], types) in types, f"without a type: {line}")
            demand(match[1] + match[2] not in samples, f"twice: {line}")
            samples[match[1] + match[2]] = float(match[3])
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return samples


def metrics_of(node):
    return read_metrics(node.run("curl", "-sf", "http://127.0.0.1:9100/metrics", check=True).stdout)


def sum_of(samples, name, *labels):
    return sum(value for key, value in samples.items() if re.match(name + r"\b", key) and all(label in key for label in labels))


def check_handover(lab, to, peers):
    """`ntm handover` tells every tunnel's cost; nothing is lost."""
    done = lab.a.ntm_json("handover", "--to", to)
    demand([one["peer"] for one in done["peers"]] == peers and done["unanswered"] == 0, f"handover --to {to}: {done}")
    demand(done["lost_packets"] == 0 and done["gap_us"] >= 0, f"handover --to {to}: {done}")


def test_people_handover(new_lab):
    """`ntm handover` moves, tells the cost and why; watch and status of both ends tell it too, and every decision is in the metrics."""
    with new_lab() as lab:
        lab.s.serve()
        lab.a.join(lab.s.invite("--name", "a"), "--metrics", "9100")
        lab.b.join(lab.s.invite("--name", "b"))
        ping(lab.a, "b", 0, "")
        before = metrics_of(lab.a)
        demand(sum_of(before, "ntm_node_handovers_total") == 0, "handovers before the first")
        lab.a.attach("cell")
        seen, seen_by_b = lab.a.watch(), lab.b.watch()
        demand(lab.a.ntm("handover", "--to", "nowhere").returncode == 5, "a handover to an interface that is not there")
        check_handover(lab, "cell", [lab.b.fqdn])
        check_handover(lab, "cell", [])
        event = seen.wait_event("handover", 5)
        demand(event["cause"] == "asked" and event["moved"] == "self" and event["lost_packets"] == 0, f"a saw {event}")
        event = seen_by_b.wait_event("handover", 5)
        demand(event["cause"] == "peer-moved" and event["moved"] == "peer", f"b saw {event}")
        demand("because the peer moved" in lab.b.ntm("status").stdout, f"status of b: {lab.b.ntm('status').stdout}")
        after = metrics_of(lab.a)
        demand(sum_of(after, "ntm_node_handovers_total", 'moved="self"', 'cause="asked"') == 1, f"handovers of a: {after}")
        demand(sum_of(after, "ntm_node_handover_gap_seconds_count") == 1, "no gap was measured")
        demand(sum_of(after, "ntm_node_path_changes_total") > sum_of(before, "ntm_node_path_changes_total"), "no path change is counted")
        demand(sum_of(after, "ntm_node_tunnel_seconds_total", "direct") > sum_of(before, "ntm_node_tunnel_seconds_total", "direct"),
               "no time on the direct path")
        demand(sum_of(after, "ntm_node_challenges_answered_total") > 0, "no probe was answered")
        active = [path for path in lab.a.peer(lab.b)["paths"] if path["active"]]
        demand(active[0]["cause"] in ("asked", "direct-over-relay", "better-rtt"), f"why is it in use? {active}")
        demand([path["loss_permille"] for path in active] == [0], f"loss on a wire that loses nothing: {active}")
        lab.b.daemon.kill()
        done = lab.a.ntm("handover", "--to", "home")
        demand(done.returncode == 8 and "no peer has answered" in done.stderr, f"handover without a peer: {done.returncode} {done.stderr}")
