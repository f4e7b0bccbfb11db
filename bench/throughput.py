"""One TCP stream between two machines on one cable: bare, through a loop that only copies, through wireguard-go, through ours. Rounds are interleaved, the first is dropped.

usage: scripts/bench throughput [--json FILE] [--rounds N] [--seconds S]     full form: 7 rounds of 5 s, of which 6 count
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

from world import peer
import lab as laboratory
import peers
from contenders.wireguard import configure, key_pair
from lab import Lab, LabError, Node, demand, program, wait_for
from lab.topology import HOST_NUMBER

WIREGUARD_PORT = 51820
INNER_MTU = 1420
ERROR_COUNTERS = ("dropped_malformed", "dropped_auth", "dropped_inner_source", "dropped_too_big", "dropped_no_path")
laboratory.NODES.update({"left": {}, "right": {}})
HOST_NUMBER.update({"left": 1, "right": 2})


class Cable(Lab):
    """left 192.0.2.1 ---- veth, MTU 1500 ---- 192.0.2.2 right; left also serves the overlay's network."""

    def __init__(self):
        super().__init__("throughput", nodes=("left", "right"))

    def build(self):
        self.nats, self.hosts = {}, {}
        self.left, self.right = Node(self, "left"), Node(self, "right")
        self.left.ip(f"link add eth0 type veth peer name eth0 netns {self.right.ns}", "link set eth0 up", "addr add 192.0.2.1/30 dev eth0",
                     "route add default via 192.0.2.2")
        self.right.ip("link set eth0 up", "addr add 192.0.2.2/30 dev eth0", "route add default via 192.0.2.1")


class Bare:
    name, daemons, commands = "bare-veth", (), ()
    address = "192.0.2.2"

    def start(self, lab):
        """Nothing to do: the cable is there."""

    def errors(self, lab):
        return 0


class Wireguard:
    """Two wireguard-go, configured over their own socket protocol, so that no other tool is needed."""

    name, address = "wireguard-go", "10.9.0.2"
    commands = ("wireguard -f wgl   # left", "wireguard -f wgr   # right",
                f"ip link set wgl mtu {INNER_MTU} up; ip link set wgr mtu {INNER_MTU} up")

    def start(self, lab):
        keys = {"l": key_pair(), "r": key_pair()}
        self.daemons = []
        self.ends = (("l", lab.left, "10.9.0.1", "r", "10.9.0.2", "192.0.2.2"), ("r", lab.right, "10.9.0.2", "l", "10.9.0.1", "192.0.2.1"))
        for own, host, _, _, _, _ in self.ends:
            self.daemons.append(host.start("wireguard-go", peer("wireguard"), "-f", f"wg{own}", env={"LOG_LEVEL": "error"}))
            wait_for("wireguard-go's socket", lambda o=own: os.path.exists(f"/var/run/wireguard/wg{o}.sock"), 10)
        for own, host, address, other, other_address, endpoint in self.ends:
            configure(f"wg{own}", f"private_key={keys[own][0]}\nlisten_port={WIREGUARD_PORT}\npublic_key={keys[other][1]}\n"
                             f"endpoint={endpoint}:{WIREGUARD_PORT}\nreplace_allowed_ips=true\nallowed_ip={other_address}/32\n")
            host.ip(f"addr add {address}/24 dev wg{own}", f"link set wg{own} mtu {INNER_MTU} up")
        wait_for("wireguard-go to answer", lambda: lab.left.run("ping", "-c1", "-W1", self.address).returncode == 0, 10)

    def errors(self, lab):
        return sum(link_errors(host, f"wg{own}") for own, host, *_ in self.ends)


class CopyLoop:
    """R1: our device, trains and sockets with a copy in place of the sealing: what a tunnel of this build could reach at most."""

    name, address, port = "copy loop R1", "10.8.0.2", 7400
    commands = ("copy-loop r1l 192.0.2.1:7400 192.0.2.2:7400   # left", "copy-loop r1r 192.0.2.2:7400 192.0.2.1:7400   # right")

    def start(self, lab):
        loop = os.path.join(laboratory.BUILD, "meson", "bench", "loops", "copy-loop")
        self.daemons, self.ends = [], ((lab.left, "r1l", "10.8.0.1", "192.0.2.1", "192.0.2.2"),
                                       (lab.right, "r1r", "10.8.0.2", "192.0.2.2", "192.0.2.1"))
        for host, link, inner, own, other in self.ends:
            daemon = host.start(link, loop, link, f"{own}:{self.port}", f"{other}:{self.port}")
            daemon.wait_line("ready")
            self.daemons.append(daemon)
            host.ip(f"addr add {inner}/24 dev {link}", f"link set {link} mtu {INNER_MTU} up")
        wait_for("the copy loop to answer", lambda: lab.left.run("ping", "-c1", "-W1", self.address).returncode == 0, 10)

    def errors(self, lab):
        return sum(link_errors(host, link) for host, link, *_ in self.ends)


class Ours:
    name = "ours"
    commands = ("ntm serve --listen 192.0.2.1:7367   # left", "ntm up CODE --listen [::]:7368   # left", "ntm up CODE   # right")

    def start(self, lab):
        left, right = lab.left, lab.right
        server_state, server_socket = lab.path("server-state"), lab.socket_name("left", "server")
        server = left.start("ntm-server", program("ntm"), "serve", "--state", server_state, "--socket", server_socket,
                            "--listen", "192.0.2.1:7367", "--advertise", "192.0.2.1")
        wait_for("the server", lambda: os.path.exists(server_socket) or not server.running(), 15)

        def invite():
            return left.run(program("ntm"), "invite", "--socket", server_socket, check=True).stdout.strip()
        left.join(invite(), "--listen", "[::]:7368")
        right.join(invite())
        self.address, self.daemons = right.v4, [left.daemon, right.daemon]
        left.ntm("ping", "right", "-c", "1", check=True)
        left.wait_path(right, "direct")
        self.hosts = (left, right)
        self.before = self.count()

    def count(self):
        counters = [host.status().get("counters", {}) for host in self.hosts]
        return sum(c.get(name, 0) for c in counters for name in ERROR_COUNTERS) + sum(link_errors(host, "ntm0") for host in self.hosts)

    def errors(self, lab):
        demand(lab.left.path_kind(lab.right) == "direct", "the path is not direct any more")
        return self.count() - self.before


def link_errors(host, link):
    stats = json.loads(host.run("ip", "-s", "-j", "link", "show", link, check=True).stdout)[0]["stats64"]
    return stats["rx"]["errors"] + stats["tx"]["errors"]


def link_mtu(host, link):
    return json.loads(host.run("ip", "-j", "link", "show", link, check=True).stdout)[0]["mtu"]


def cpu_seconds(daemons):
    """User and system time that the daemons have used."""
    ticks = 0
    for daemon in daemons:
        with open(f"/proc/{daemon.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(lab, case, seconds):
    """One iperf3 run from left to right: Gbit/s, retransmits, CPU seconds a GB."""
    server = lab.right.start("iperf3", "iperf3", "-s", "-1", "--forceflush", "-B", case.address)
    server.wait_line("listening")
    before = cpu_seconds(case.daemons)
    done = lab.left.run("iperf3", "-c", case.address, "-t", str(seconds), "-J", timeout=seconds + 30)
    used = cpu_seconds(case.daemons) - before
    demand(done.returncode == 0, f"iperf3 through {case.name}: {done.stdout[-300:]}")
    server.wait(10)
    end = json.loads(done.stdout)["end"]
    received = end["sum_received"]
    return {"throughput": received["bits_per_second"] / 1e9, "retransmits": end["sum_sent"]["retransmits"],
            "cpu": used / (received["bytes"] / 1e9)}


def summary(values):
    return statistics.median(values), min(values), max(values)


def rows(results, runs):
    """Rows of the document: ours, the others, and how often ours fits into theirs."""
    made = []
    for metric, unit in (("throughput", "Gbit/s"), ("cpu", "s/GB"), ("retransmits", "segments")):
        medians = {name: summary([run[metric] for run in result])[0] for name, result in results.items()}
        ours = medians.pop("ours")
        made.append({"case": "tcp-1-stream", "metric": metric, "unit": unit, "ours": round(ours, 3),
                     "peer": {name: round(value, 3) for name, value in medians.items()},
                     "ratio": {name: round(ours / value, 3) for name, value in medians.items() if value}, "runs": runs,
                     "spread": {name: [round(v, 3) for v in summary([run[metric] for run in result])[1:]]
                                for name, result in results.items()}})
    return made


def print_table(results):
    print(f"\n{'1 TCP stream':14} {'Gbit/s':>8} {'min':>7} {'max':>7} {'retrans':>8} {'CPU s/GB':>9}")
    for name, result in results.items():
        middle, low, high = summary([run["throughput"] for run in result])
        print(f"{name:14} {middle:8.2f} {low:7.2f} {high:7.2f} {summary([run['retransmits'] for run in result])[0]:8.0f} "
              f"{summary([run['cpu'] for run in result])[0]:9.2f}")
    ours = summary([run["throughput"] for run in results["ours"]])[0]
    for name in results:
        if name != "ours":
            print(f"ours / {name}: {ours / summary([run['throughput'] for run in results[name]])[0]:.2f}")


def run(lab, cases, rounds, seconds):
    for case in cases:
        case.start(lab)
        for command in case.commands:
            print(f"{case.name:14} $ {command}")
    print(f"{'each':14} $ iperf3 -s -1   # right\n{'each':14} $ iperf3 -c ADDRESS -t {seconds} -J   # left")
    mtus = [f"{name} {link_mtu(lab.left, link)}" for name, link in (("veth", "eth0"), ("wireguard-go", "wgl"), ("ours", "ntm0"))]
    print(f"MTU: {', '.join(mtus)}", flush=True)
    results = {case.name: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            result = measure(lab, case, seconds)
            print(f"round {number}{' (dropped)' if number == 0 else ''}: {case.name:14} {result['throughput']:7.2f} Gbit/s  "
                  f"{result['retransmits']:6} retransmits  {result['cpu']:6.2f} s/GB", flush=True)
            if number:
                results[case.name].append(result)
    for case in cases:
        errors = case.errors(lab)
        demand(errors == 0, f"{case.name}: {errors} errors counted in the tunnel")
    return results


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench throughput")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.rounds < 2 or arguments.seconds < 1:
        parser.error("at least two rounds of a second: the first is dropped")
    lock = laboratory.take_machine("bench")
    if not lock:
        return 2
    try:
        peers.obtain("wireguard")
        with Cable() as lab:
            results = run(lab, (Bare(), CopyLoop(), Wireguard(), Ours()), arguments.rounds, arguments.seconds)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        lock.close()
    print_table(results)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"schema": "ntm.bench/1", "bench": "throughput", "rows": rows(results, arguments.rounds - 1)}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
