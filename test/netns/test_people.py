"""What people are told: `ntm why`, `ntm ping` and `ntm handover` in every situation, each with the reason and what would help; metrics."""
import json
import re

from lab import demand, wait_for
from test_exit import world
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


def answered(node, name, path, *options, code=0):
    """`ntm ping` names the path of its answer."""
    done = node.ntm("ping", name, "-c", "1", *options)
    demand(done.returncode == code, f"ping {name} {options}: exit {done.returncode}, not {code}: {done.stderr.strip()}")
    demand(re.search(rf"^1: {name}\S* via {path} \S+", done.stdout), f"ping {name} does not name a {path} path: {done.stdout}")
    demand(re.search(r"1 sent, 1 received, 0 % lost", done.stdout), f"ping {name} adds up to: {done.stdout}")
    return done


def handover(node, label, code, words):
    """`ntm handover` ends with this exit code and says this: on stdout what it did, on stderr in one line why not."""
    done = node.ntm("handover", "--to", label)
    demand(done.returncode == code, f"handover --to {label}: exit {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    said = done.stderr if code else done.stdout
    demand(re.search(words, said) and said.count("\n") == 1, f"handover --to {label} says: {done.stdout}{done.stderr}")


NO_INTERFACE = r"no such interface, or it has no usable address; see `ip address`"
NO_ANSWER = r"no peer has answered over that interface yet; tunnels stay where they work"
MOVED = r"^moved( from \w+)? to {}, gap [\d.]+ (us|ms), \d+ packets sent again, 0 lost$"


def test_people_told_of_direct_paths(new_lab):
    """Everything works, then the server is gone: ping and why name the direct path all the same, handover moves and tells what it cost."""
    with new_lab() as lab:
        two_joined(lab)
        answered(lab.a, "b", "direct|relay")
        lab.a.wait_path(lab.b, "direct")
        answered(lab.a, "b", "direct", "--direct")
        handover(lab.a, "cell", 5, NO_INTERFACE)
        lab.a.attach("cell")
        handover(lab.a, "cell", 0, MOVED.format("cell"))
        handover(lab.a, "home", 0, MOVED.format("home"))
        lab.s.daemon.kill()
        answered(lab.a, "b", "direct", "--direct")
        steps = why(lab.a, "b", 0, None, "")
        demand("in use" in str([one for one in steps if one["step"] == "candidate" and one["ok"]]), f"nothing is in use: {steps}")
        handover(lab.a, "home", 0, r"^moved to home; no tunnel had to move$")


def test_people_told_of_relays(new_lab):
    """Only a relay is left, and then not even that."""
    with new_lab() as lab:
        for letter in "AC":
            lab.cut(lab.nats[letter], lab.nats["B"])
        two_joined(lab)
        answered(lab.a, "b", "relay")
        lab.a.wait_path(lab.b, "relay")
        done = answered(lab.a, "b", "relay", "--direct", code=7)
        demand("only through a relay" in done.stderr and "why" in done.stderr, f"ping --direct says: {done.stderr}")
        steps = json.loads(lab.a.ntm("why", "b", "--json", check=True).stdout)["steps"]
        direct = [one for one in steps if one["step"] == "candidate"]
        demand(all("does not answer" in one["detail"] and one["fix"] for one in direct), f"a way was open: {direct}")
        demand("in use" in str([one for one in steps if one["step"] == "relay path"]), f"nothing is in use: {steps}")
        lab.a.attach("cell")
        handover(lab.a, "cell", 0, MOVED.format("cell"))
        lab.s.daemon.kill()
        ping(lab.a, "b", 6, "no answer for")  # whether the way still counts as one depends on the moment
        why(lab.a, "b", 6, "echo|directory", "answer")
        done = lab.a.ntm("handover", "--to", "home")  # a dead tunnel may have been tried there already
        demand((done.returncode, "no tunnel had to move" in done.stdout, "no peer has answered" in done.stderr) in
               ((0, True, False), (8, False, True)), f"handover without a relay: {done.returncode} {done.stdout}{done.stderr}")


def test_people_told_of_silence(new_lab):
    """The only network dies silently; another one is there; the tunnels are asked onto the dead one; no network is left."""
    with new_lab() as lab:
        two_joined(lab)
        answered(lab.a, "b", "direct|relay")
        lab.nats["A"].silence()
        ping(lab.a, "b", 6, "not reachable")
        why(lab.a, "b", 6, "echo|directory", "answer")
        handover(lab.a, "cell", 5, NO_INTERFACE)
        lab.a.attach("cell")
        wait_for("b by the other network", lambda: lab.a.ntm("ping", "b", "-c", "1").returncode == 0, 20, 0.15)
        why(lab.a, "b", 0, None, "")
        handover(lab.a, "home", 8, NO_ANSWER)
        answered(lab.a, "b", "direct|relay")
        for label in ("home", "cell"):
            lab.a.detach(label)
        for name in ("b", "nobody"):
            ping(lab.a, name, 6, "this machine has no address on any network; connect it")
            why(lab.a, name, 6, "network", "no address on any network")
        handover(lab.a, "cell", 5, NO_INTERFACE)


def test_people_told_of_exits(new_lab):
    """An exit is asked for like any peer, is moved to like any peer, and is missed; a general host is asked for by its address."""
    with new_lab(nodes=("a",), generals=("g",)) as lab:
        gate, _ = world(lab)
        lab.a.run("ping", "-c", "1", "-W", "5", lab.g.v4, check=True)
        answered(lab.a, "exit", "direct|relay")
        why(lab.a, "exit", 0, None, "")
        why(lab.a, "general.example", 5, "name", "no name of this network")
        ping(lab.a, "general.example", 5, "not a name")
        why(lab.a, lab.g.v4, 0, None, "")
        lab.a.attach("cell")
        handover(lab.a, "cell", 0, MOVED.format("cell"))
        lab.a.run("ping", "-c", "1", "-W", "5", lab.g.v4, check=True)
        gate.kill()
        ping(lab.a, "exit", 6, "no answer")
        why(lab.a, "exit", 6, "echo|direction", "answer")
        why(lab.a, lab.g.v4, 6, "echo|direction", "answer")


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
