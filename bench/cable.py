"""Two machines on one cable, and the ruler for what is laid over it: a cable for each contender, interleaved rounds of which the first is
dropped, CPU time, drops, rows with their goals.

A bench is contenders (bench/tunnels), a function that measures one of them once and gives {metric: number}, and what follows:

    arguments = cable.options("name", rounds=7, seconds=3).parse_args()
    def body(contenders):                                      # started, each on its own cable: contender.cable.left and .right
        results = cable.interleaved(contenders, arguments.rounds, lambda contender: {"rate": ...})
        return cable.rows("case", results, {"rate": "kpps"})   # limits.py knows whether a row meets its goal
    sys.exit(cable.run_bench("name", arguments, contenders, body))
"""
import argparse
import contextlib
import datetime
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys

from world import ROOT  # noqa: F401  first: it says where the lab is
import lab as laboratory
import limits
import peers
from lab import Lab, LabError, Node, wait_for
from lab.topology import HOST_NUMBER
from limits import shown

INNER_MTU = 1420
LEFT, RIGHT = "192.0.2.1", "192.0.2.2"
WIRES = {
    "whole": "superpackets cross the veth whole",
    "segmented": "no tx-udp-segmentation: every datagram crosses alone; the receiver does not join them",
    "segmented-gro": "the same, and the receiver's GRO joins what arrives within 20 us",
}
NUMBERS = itertools.count(1)


class Cable(Lab):
    """left 192.0.2.1 ---- veth, MTU 1500 ---- 192.0.2.2 right: one contender's. The hosts' names carry a number: several cables are there
    at once."""

    def __init__(self, name="cable"):
        self.number = next(NUMBERS)
        names = (f"left{self.number}", f"right{self.number}")
        for place, host in enumerate(names, 1):
            laboratory.NODES[host], HOST_NUMBER[host] = {}, place
        super().__init__(f"{''.join(c if c.isalnum() else '-' for c in name)}-{self.number}", nodes=names)

    def build(self):
        self.nats, self.hosts, self.wire = {}, {}, "whole"
        self.left, self.right = (Node(self, name) for name in self.nodes_wanted)
        self.left.ip(f"link add eth0 type veth peer name eth0 netns {self.right.ns}", "link set eth0 up", f"addr add {LEFT}/30 dev eth0",
                     f"route add default via {RIGHT}")
        self.right.ip("link set eth0 up", f"addr add {RIGHT}/30 dev eth0", f"route add default via {LEFT}")
        for host in (self.left, self.right):
            wait_for(f"the cable of {host.name}", host.links_work)

    def set_wire(self, wire):
        """One of WIRES, both ways. Joining datagrams that a local socket sent one by one needs all three settings."""
        joins, whole = wire.endswith("gro"), "on" if wire == "whole" else "off"
        for host in (self.left, self.right):
            host.run("ethtool", "-K", "eth0", "tx-udp-segmentation", whole, "gro", "on" if joins else "off", "rx-udp-gro-forwarding",
                     "on" if joins else "off", check=True)
            for name, value in (("gro_flush_timeout", 20000), ("napi_defer_hard_irqs", 4)):
                host.run("sh", "-c", f"echo {value if joins else 0} >/sys/class/net/eth0/{name}", check=True)
        self.wire = wire


class Contender:
    """What carries packets between cable.left and cable.right. start() leaves address and daemons."""

    name = None         # in tables and documents
    programs = ()       # of bench/peers.py
    commands = ()       # what a reader types to have the same; printed
    daemons = ()        # the processes whose CPU time counts
    address = None      # of right, through it
    link = None         # its interface on both ends
    cable = None        # set before start(), one of
    cable_type = Cable

    def start(self, cable):
        raise NotImplementedError

    def settle(self):
        """Called after the wire has changed: what learns the wire does so before it is measured."""

    def errors(self):
        """What must not happen, by the name of its counter, counted since start()."""
        return {}

    def answers(self, seconds=15):
        """Waits until right answers through it."""
        wait_for(f"{self.name} to answer", lambda: self.cable.left.run("ping", "-c1", "-W1", self.address).returncode == 0, seconds)


@contextlib.contextmanager
def laid(contenders):
    """Those of them that start, each on a cable of its own. One that cannot is named and left out; ours must start."""
    with contextlib.ExitStack() as stack:
        started = []
        for contender in contenders:
            try:
                for name in contender.programs:
                    peers.obtain(name)
                contender.cable = stack.enter_context(contender.cable_type(contender.name))
                contender.start(contender.cable)
                started.append(contender)
            except (LabError, OSError, subprocess.SubprocessError) as error:
                if contender.name == "ours":
                    raise
                print(f"bench: {contender.name} is left out: {error}", file=sys.stderr, flush=True)
        yield started


# --- what it costs ---

def cpu_seconds(daemons):
    """User and system time of all threads that the daemons have now."""
    spent_ns = 0
    for daemon in daemons:
        for thread in os.listdir(f"/proc/{daemon.pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                    open(f"/proc/{daemon.pid}/task/{thread}/schedstat", encoding="ascii") as file:
                spent_ns += int(file.read().split()[0])
    return spent_ns / 1e9


def machine_seconds():
    """What all cores have worked, interrupts included, and not what others took from the machine."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = (int(field) for field in file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def link_stats(host, link):
    return json.loads(host.run("ip", "-s", "-j", "link", "show", link, check=True).stdout)[0]["stats64"]


def link_errors(host, link):
    stats = link_stats(host, link)
    return stats["rx"]["errors"] + stats["tx"]["errors"]


def device_errors(devices):
    """What Contender.errors tells of (host, link) pairs."""
    return {"errors of the device": sum(link_errors(host, link) for host, link in devices)}


def link_mtu(host, link):
    return json.loads(host.run("ip", "-j", "link", "show", link, check=True).stdout)[0]["mtu"]


def dropped(host):
    """Packets that any link or UDP socket of the host had no room for."""
    links = json.loads(host.run("ip", "-s", "-j", "link", check=True).stdout)
    count = sum(link["stats64"][way]["dropped"] for link in links for way in ("rx", "tx"))
    lines = [line.split() for line in host.run("cat", "/proc/net/snmp", check=True).stdout.splitlines() if line.startswith("Udp:")]
    udp = dict(zip(lines[0][1:], map(int, lines[1][1:])))
    return count + udp["RcvbufErrors"] + udp["SndbufErrors"]


class Meter:
    """What a stretch costs a contender: begun before, read after."""

    def __init__(self, contender):
        self.contender, self.hosts = contender, (contender.cable.left, contender.cable.right)
        self.drops = sum(dropped(host) for host in self.hosts)
        self.daemons, self.machine = cpu_seconds(contender.daemons), machine_seconds()

    def read(self, amount):
        """CPU seconds for each of amount (GB, millions of packets), of daemons and machine, and drops."""
        daemons, machine = cpu_seconds(self.contender.daemons) - self.daemons, machine_seconds() - self.machine
        return {"cpu": daemons / amount, "cpu-machine": machine / amount,
                "drops": sum(dropped(host) for host in self.hosts) - self.drops}


# --- rounds and rows ---

def print_now(line):
    print(line, flush=True)


def interleaved(contenders, rounds, measure, say=print_now):
    """{name: what measure(contender) gave, a round each}: every round visits all, beginning with another one; round 0 is dropped. What
    fails is said and missing."""
    results = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        turn = number % max(1, len(contenders))
        for contender in [*contenders[turn:], *contenders[:turn]]:
            try:
                one = measure(contender)
            except (LabError, subprocess.SubprocessError, ValueError, KeyError) as error:
                say(f"round {number}: {contender.name}: failed: {error}")
                continue
            say(f"round {number}{' (dropped)' if number == 0 else ''}: {contender.name:14} "
                + "  ".join(f"{metric} {shown(value)}" for metric, value in one.items()))
            if number:
                results[contender.name].append(one)
    return {name: result for name, result in results.items() if result}


def summary(values):
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def row(case, metric, unit, samples):
    """One row: medians beside each other, how often the others' fit into ours, least and most of each."""
    medians = {name: round(statistics.median(values), 4) for name, values in samples.items()}
    ours = medians.pop("ours", None)
    return {"case": case, "metric": metric, "unit": unit, "ours": ours, "peer": medians,
            "ratio": {name: round(ours / value, 3) for name, value in medians.items() if ours is not None and value},
            "runs": max(map(len, samples.values())),
            "spread": {name: [round(value, 4) for value in summary(values)[1:]] for name, values in samples.items()}}


def rows(case, results, units):
    """A row for each metric of units that was measured."""
    samples = {metric: {name: [one[metric] for one in result if metric in one] for name, result in results.items()} for metric in units}
    made = []
    for metric, unit in units.items():
        present = {name: values for name, values in samples[metric].items() if values}
        if present:
            made.append(row(case, metric, unit, present))
    return made


def show(made):
    """The rows as a table for a terminal, each goal beside its row."""
    for one in made:
        print(f"\n{one['case']}: {one['metric']}, {one['unit']}, {one['runs']} rounds")
        for name, (low, high) in one["spread"].items():
            value = one["ours"] if name == "ours" else one["peer"][name]
            ratio = f"  ours / it {one['ratio'][name]:.3g}" if name in one["ratio"] else ""
            print(f"  {name:28} {shown(value):>10}   ({shown(low)} to {shown(high)}){ratio}")
        for goal in one.get("goals", ()):
            print(f"  goal: {limits.words(goal)}")


def session(arguments):
    """When and on what."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"ended": now, "cores": os.cpu_count(), "processor": model, "kernel": platform.release(), "load": round(os.getloadavg()[0], 1),
            "rounds": arguments.rounds, "seconds": arguments.seconds}


def write(path, bench, made, **more):
    """The document, one row a line."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(json.dumps({"schema": "ntm.bench/1", "bench": bench})[:-1])
        for name, value in more.items():
            file.write(f",\n{json.dumps(name)}: {json.dumps(value)}")
        file.write(',\n"rows": [\n' + ",\n".join(json.dumps(one) for one in made) + "\n]}\n")
    os.replace(path + ".new", path)


# --- the frame of a bench ---

def options(name, rounds=7, seconds=3):
    """The options that every bench has. Full form: 7 rounds, of which 6 count."""
    parser = argparse.ArgumentParser(prog=f"scripts/bench {name}")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=rounds, help="the first is dropped")
    parser.add_argument("--seconds", type=float, default=seconds, help="of one measurement")
    return parser


def complaints(contenders):
    """What went wrong in the tunnels meanwhile."""
    wrong = []
    for contender in contenders:
        try:
            wrong += [f"{contender.name}: {count} counted as {name} in the tunnel" for name, count in contender.errors().items() if count]
        except (LabError, OSError, subprocess.SubprocessError, ValueError) as error:
            wrong.append(f"{contender.name}: {error}")
    return wrong


def run_bench(name, arguments, contenders, body):
    """Takes the machine, lays the contenders, lets body(contenders) measure and give rows; judges, shows and writes them. Returns the exit
    code."""
    if arguments.rounds < 2 or arguments.seconds <= 0:
        print(f"bench: {name}: at least two rounds of more than no time: the first is dropped", file=sys.stderr)
        return 2
    lock = laboratory.take_machine("bench")
    if not lock:
        return 2
    try:
        with laid(contenders) as started:
            for contender in started:
                for command in contender.commands:
                    print(f"{contender.name:28} $ {command}", flush=True)
            made = body(started)
            wrong = complaints(started)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        lock.close()
    limits.judge(name, made)
    show(made)
    print(f"\n{limits.verdict(made)}")
    for line in wrong:
        print(f"bench: {line}", file=sys.stderr)
    if arguments.json:
        commands = {contender.name: list(contender.commands) for contender in started}
        write(arguments.json, name, made, session=session(arguments), commands=commands, errors=wrong)
    return 1 if wrong else 0
