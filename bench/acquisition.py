"""What a move to a network costs where an address must be asked for first: getting the address, and building the tunnel anew, apart.

usage: scripts/bench acquisition [--json FILE] [--rounds N]     full form: 10 rounds of each case

The NTMobile framework paper measures 5,789 ms and 83 ms on a LAN. Here a node leaves its network and starts dhclient on the next one, in
the same instant; dnsmasq answers. Cases: `checked`, dnsmasq pings an address for 3 s before it offers it, its default; `unchecked`, it does
not.
  acquisition   from the loss of the old address to the kernel's notice of the new one
  rebuild       from that notice to the first probe that arrives at the other end (to K) and at the node (to M); one goes every 2 ms
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "netns"))
sys.dont_write_bytecode = True
import lab as laboratory  # noqa: E402
import probe  # noqa: E402
from lab import Lab, LabError, wait_for  # noqa: E402
from services import DhcpClient, DhcpServer  # noqa: E402

ROUNDS = 10
CASES = {"checked": (), "unchecked": ("--no-ping",)}
MEASURES = ("acquisition", "rebuild-to-k", "rebuild-to-m")
PAPER = {"acquisition": 5789, "rebuild-to-k": 83, "rebuild-to-m": 83}
PROBE_PORT = 9000


class Notices:
    """When the kernel told of a new IPv4 address, on the monotonic clock."""

    def __init__(self, node):
        self.process = node.start("monitor", "ip", "-o", "-ts", "-4", "monitor", "address")
        self.offset_ns = time.time_ns() - time.monotonic_ns()

    def mark(self):
        return len(self.process.lines)

    def wait_address(self, label, mark, seconds=60):
        said = self.process.wait_line(rf"^\[(\S+)\] *\d+: {label} +inet ", seconds, mark)[1]
        return int(datetime.datetime.fromisoformat(said).timestamp() * 1e6) * 1000 - self.offset_ns


def first_after_ms(flow, at_ns):
    """From a moment to the first arrival after it."""
    return min(at for _, at in flow.target.arrivals() if at >= at_ns) / 1e6 - at_ns / 1e6


def one_round(lab, notices, client):
    """Moves the node to the other network. Returns its new client and the figures."""
    pair = probe.datagrams(lab, lab.a, lab.b, lab.a.v4, lab.b.v4, PROBE_PORT)
    try:
        start = time.monotonic_ns()
        wait_for("the probes to flow", lambda: all(flow.steady(start) for flow in (pair.to_m, pair.to_k)), 20)
        label, mark = "cell" if lab.a.at == "home" else "home", notices.mark()
        left = time.monotonic_ns()
        leave(lab.a, client)
        client = DhcpClient(lab.a, label)
        got = notices.wait_address(label, mark)
        lab.a.at = label
        wait_for("the probes to flow again", lambda: all(flow.steady(got) for flow in (pair.to_m, pair.to_k)), 30)
        figures = ((got - left) / 1e6, first_after_ms(pair.to_k, got), first_after_ms(pair.to_m, got))
    finally:
        pair.close()
    return client, dict(zip(MEASURES, figures))


def leave(node, client):
    if client:
        client.leave()
    else:
        node.detach(node.at)


def one_case(case, rounds):
    with Lab(f"acquisition-{case}") as lab:
        lab.logs_made = 0
        lab.s.serve()
        for node in (lab.a, lab.b):
            node.join(lab.s.invite("--name", node.name))
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        for letter in "AC":
            DhcpServer(lab.nats[letter], *CASES[case])
        notices, client, made = Notices(lab.a), None, []
        for number in range(rounds):
            lab.a.wait_path(lab.b, "direct", 40)
            client, figures = one_round(lab, notices, client)
            made.append(figures)
            print(f"{case} {number}: " + "   ".join(f"{key} {value:.1f} ms" for key, value in figures.items()), flush=True)
    return made


def row(case, measure, results):
    values = sorted(figures[measure] for figures in results)
    return {"case": case, "metric": measure, "unit": "ms", "ours": round(statistics.median(values), 1),
            "spread": [round(values[0], 1), round(values[-1], 1)], "peer": {"NTMobile framework paper": PAPER[measure]}, "ratio": {}, "runs": len(values)}


def arguments_of():
    parser = argparse.ArgumentParser(prog="scripts/bench acquisition")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    return parser.parse_args()


def main():
    arguments = arguments_of()
    lock = laboratory.take_machine("bench")
    if not lock:
        return 2
    try:
        rows = [row(case, measure, results) for case in CASES for results in [one_case(case, arguments.rounds)] for measure in MEASURES]
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        lock.close()
    print(f"\n{'case':12}{'measure':16}{'median, ms':>12}{'min':>10}{'max':>10}{'the paper':>12}")
    for one in rows:
        low, high = one["spread"]
        print(f"{one['case']:12}{one['metric']:16}{one['ours']:12.1f}{low:10.1f}{high:10.1f}{PAPER[one['metric']]:12}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"schema": "ntm.bench/1", "bench": "acquisition", "rows": rows}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
