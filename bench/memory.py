"""What a daemon keeps and how often it wakes up while nothing happens: each contender's two daemons with one idle peer, ours with 0, 1 and
10, and our machine in the simulator with up to 200, byte by byte.

usage: scripts/bench memory [--json FILE] [--rounds N] [--seconds S] [--settle S] [--contender NAME ...]

Before the first round nobody sends anything for --settle seconds: a pair of ours rests some minutes after its last data, and by then knows
what silence its NAT bears. A round is S seconds in which nobody sends anything: all contenders lie on cables of their own, and eleven nodes of one network know one of
them. Memory is read at its end, from /proc/PID/smaps_rollup; wake-ups are the voluntary context switches of all threads (and children) of
the daemon meanwhile, told for 20 s. Then each carries a TCP stream of two seconds a round, and memory is read again. The first round is
dropped. Of the two daemons of a contender the one that is worse counts.
"""
import contextlib
import functools
import os
import sys
import threading

import cable
import lab as laboratory
from lab import Lab, demand, program, sh
from lab.topology import HOST_NUMBER
from tunnels import add_choice, run

CONTENDERS = ("copy loop R1", "wireguard-go", "boringtun, 1 thread", "boringtun", "Nebula", "Tailscale", "tinc", "OpenVPN", "ours")
MANY, WINDOW_S, STREAM_S, SETTLE_S = 10, 20, 2, 1500
KNOWN, LONELY = "hub", "lonely"    # the node that knows MANY others, of which each knows it alone, and one that knows nobody
OTHERS = tuple(f"n{number}" for number in range(1, MANY + 1))
UNITS = {"rss": "KiB", "pss": "KiB", "wake-ups": f"in {WINDOW_S} s"}
PEER_UNITS = {"heap-per-peer": "bytes", "wake-ups": f"in {WINDOW_S} s"}
SCENARIO, MACHINES = "idle-peers", {"public": (0, 1, 10, 50, 200), "nat": (0, 1, 10, 50)}
CASES = ("idle", "after-stream", *(f"daemon-{count}" for count in (0, 1, MANY)),
         *(f"machine-{access}-{count}" for access, counts in MACHINES.items() for count in counts))


# --- what a process tells ---

def family(pid):
    """A process and its children's children."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                    found += [int(word) for word in file.read().split()]
    return found


def switches(pid):
    """How often a thread of the process or of its children has gone to sleep."""
    count = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{thread}/status", encoding="ascii") as file:
                    count += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches:"))
    return count


def memory(pid):
    """Resident and proportional KiB of the process alone."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] in ("Rss:", "Pss:"):
                found[words[0][:-1].lower()] = int(words[1])
    return found


def worst(measured):
    """Of several daemons the largest of each."""
    return {metric: max(one[metric] for one in measured) for metric in measured[0]}


# --- ours with several peers ---

class Star(Lab):
    """A server and nodes that have public addresses in one network; all of the others have spoken with the hub once."""

    def __init__(self):
        names = (KNOWN, LONELY, *OTHERS)
        for place, name in enumerate(names, 2):
            laboratory.NODES[name], HOST_NUMBER[name] = {"open": "G"}, place
        super().__init__("memory", nodes=names, networks="G")

    def acquaint(self):
        self.s.serve()
        for name in self.nodes_wanted:
            self.hosts[name].join(self.s.invite("--name", name), seconds=30)
        for name in OTHERS:
            self.hosts[name].ntm("ping", KNOWN, "-c", "1", check=True)
        for name in OTHERS:
            self.hosts[name].wait_path(self.hosts[KNOWN], "direct")
        demand(len(self.hosts[KNOWN].status()["peers"]) == MANY, f"the hub does not know {MANY} peers")

    def watched(self):
        """{case: daemon}, by how many idle peers it has."""
        known = {0: LONELY, 1: OTHERS[0], MANY: KNOWN}
        return {f"daemon-{count}": self.hosts[name].daemon for count, name in known.items()}


def simulated_rows(lines):
    """Of what the simulator tells about the machine itself, by access and number of idle peers."""
    found = []
    for line in lines:
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "peers" in words:
            one = {"wake-ups": float(words["wakeups"]) * WINDOW_S / float(words["seconds"])}
            if int(words["peers"]):
                one["heap-per-peer"] = float(words["bytes"])
            found += cable.rows(f"machine-{words['access']}-{words['peers']}", {"ours": [one]}, PEER_UNITS)
    demand(found, "the simulator has told nothing")
    return found


# --- rounds ---

def idle_round(watched, seconds, pause):
    """{case: {contender: what its daemons have done and hold}} of one window."""
    before = {key: [switches(one.pid) for one in daemons] for key, daemons in watched.items()}
    pause.wait(seconds)
    found = {}
    for (case, name), daemons in watched.items():
        each = [{**memory(one.pid), "wake-ups": (switches(one.pid) - count) * WINDOW_S / seconds}
                for one, count in zip(daemons, before[case, name])]
        found.setdefault(case, {})[name] = worst(each)
    return found


def idle_rows(contenders, star, arguments):
    watched = {("idle", one.name): one.daemons for one in contenders}
    watched |= {(case, "ours"): [daemon] for case, daemon in star.watched().items()}
    results, pause = {}, threading.Event()
    pause.wait(arguments.settle)
    for number in range(arguments.rounds):
        for case, found in idle_round(watched, arguments.seconds, pause).items():
            for name, one in found.items():
                print(f"round {number}{' (dropped)' if number == 0 else ''}: {case:9} {name:20} "
                      + "  ".join(f"{metric} {cable.shown(value)}" for metric, value in one.items()), flush=True)
                if number:
                    results.setdefault(case, {}).setdefault(name, []).append(one)
    return [row for case, found in results.items() for row in cable.rows(case, found, UNITS)]


def after_stream(contender):
    """One stream, and what is held after it."""
    server = contender.cable.right.start("iperf3", "iperf3", "-s", "-1", "--forceflush", "-B", contender.address)
    server.wait_line("listening")
    done = contender.cable.left.run("iperf3", "-c", contender.address, "-t", str(STREAM_S), timeout=STREAM_S + 30)
    demand(done.returncode == 0, f"iperf3 through {contender.name}: {done.stdout[-300:]}")
    server.wait(10)
    return worst([memory(one.pid) for one in contender.daemons])


def body(contenders, arguments, kept):
    """The star stays until all else is over: the labs of one process share a folder of sockets."""
    print(f"{'after a stream':28} $ iperf3 -s -1   # right\n{'':28} $ iperf3 -c ADDRESS -t {STREAM_S}   # left", flush=True)
    made = simulated_rows(sh([program("sim"), "--scenario", SCENARIO], timeout=300).stdout.splitlines())
    star = kept.enter_context(Star())
    star.acquaint()
    made += idle_rows(contenders, star, arguments)
    results = cable.interleaved(contenders, arguments.rounds, after_stream)
    return made + cable.rows("after-stream", results, UNITS)


def main():
    parser = add_choice(cable.options("memory", rounds=4, seconds=120), CONTENDERS)
    parser.add_argument("--settle", type=float, default=SETTLE_S, help="seconds of silence before the first round")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as kept:
        return run("memory", arguments, functools.partial(body, kept=kept))


if __name__ == "__main__":
    sys.exit(main())
