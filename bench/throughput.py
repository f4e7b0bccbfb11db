"""How much goes through, and what it costs: TCP streams and UDP over a bare cable, a loop that only copies, wireguard-go and ours, on each
wire. Rounds are interleaved, the first is dropped.

usage: scripts/bench throughput [--json FILE] [--rounds N] [--seconds S] [--wire NAME ...] [--case NAME ...] [--contender NAME ...]
       scripts/bench cpu [...]     the same, TCP only, and of it what it costs
"""
import json
import sys

import cable
import udp
from lab import demand
from tunnels import add_choice, run

CONTENDERS = ("bare veth", "copy loop R1", "wireguard-go", "ours", "ours (OpenSSL)",
              "ours (ChaCha20-Poly1305)")
# What iperf3 is told beside the address, by case; the JSON's sums of each direction.
TCP_CASES = {"tcp-1": (), "tcp-4": ("-P", "4"), "tcp-both": ("--bidir",)}
SUMS = ("", "_bidir_reverse")
# An inner packet of 1400 bytes each. A train is what a QUIC sender hands to the kernel at once.
UDP_CASES = {"udp-1372": udp.Shape(1372, 16, False), "udp-gso": udp.Shape(1372, 45, True)}
UDP_SHARE = 4   # a step of the search takes this part of a measurement's time
CASES = (*TCP_CASES, *UDP_CASES)
UNITS = {"rate": "Gbit/s", "packets": "kpps", "cpu": "s/GB", "cpu-machine": "s/GB", "retransmits": "segments", "drops": "packets"}
CPU_UNITS = {metric: unit for metric, unit in UNITS.items() if metric.startswith("cpu")}


def sums(document):
    """(bit/s, bytes, retransmits) of all directions of an iperf3 run."""
    end = document["end"]
    received = [end["sum_received" + way] for way in SUMS if "sum_received" + way in end]
    sent = [end["sum_sent" + way] for way in SUMS if "sum_sent" + way in end]
    return (sum(one["bits_per_second"] for one in received), sum(one["bytes"] for one in received),
            sum(one.get("retransmits", 0) for one in sent))


def tcp(contender, words, seconds):
    """One iperf3 run."""
    left, right = contender.cable.left, contender.cable.right
    server = right.start("iperf3", "iperf3", "-s", "-1", "--forceflush", "-B", contender.address)
    server.wait_line("listening")
    meter = cable.Meter(contender)
    done = left.run("iperf3", "-c", contender.address, "-t", str(max(1, round(seconds))), "-J", *words, timeout=seconds + 30)
    demand(done.returncode == 0, f"iperf3 through {contender.name}: {done.stdout[-300:]}")
    rate, size, retransmits = sums(json.loads(done.stdout))
    demand(size > 0, f"nothing came through {contender.name}")
    costs = meter.read(size / 1e9)
    server.wait(10)
    return {"rate": rate / 1e9, **costs, "retransmits": retransmits}


def datagrams(contender, shape, seconds):
    """The highest rate at a loss under 1 %, and what it costs."""
    hosts, address = (contender.cable.left, contender.cable.right), contender.address

    def step(rate):
        meter = cable.Meter(contender)
        one = udp.flow(*hosts, address, shape, rate, seconds / UDP_SHARE)
        return {**one, **meter.read(max(one["bytes"], 1) / 1e9)}
    best = udp.highest(step)
    demand(best, f"{contender.name} loses more than 1 % at every rate that was tried")
    return {"rate": best["received"] * shape.size * 8 / 1e9, "packets": best["received"] / 1000,
            **{metric: best[metric] for metric in ("cpu", "cpu-machine", "drops")}}


def measure(contender, case, seconds):
    if case in TCP_CASES:
        return tcp(contender, TCP_CASES[case], seconds)
    return datagrams(contender, UDP_CASES[case], seconds)


def commands(case, seconds):
    """What a reader types for one case, beside the contenders'."""
    if case in TCP_CASES:
        words = " ".join(("", *TCP_CASES[case]))
        return ["iperf3 -s -1   # right", f"iperf3 -c ADDRESS -t {max(1, round(seconds))} -J{words}   # left"]
    shape = UDP_CASES[case]
    words = " ".join(udp.load_words(shape, 0, seconds / UDP_SHARE)).replace("-r 0", "-r RATE")
    return [f"udp-load sink{' -g' if shape.trains else ''} ADDRESS:{udp.PORT}   # right", f"udp-load {words} ADDRESS:{udp.PORT}   # left"]


def print_commands(cases, seconds):
    for case in cases:
        for line in commands(case, seconds):
            print(f"{case:28} $ {line}")


def body(contenders, arguments):
    print_commands(arguments.case, arguments.seconds)
    print("MTU: " + ", ".join(f"{one.name} {cable.link_mtu(one.cable.left, one.link)}" for one in contenders), flush=True)
    made = []
    for wire in arguments.wire:
        for contender in contenders:
            contender.cable.set_wire(wire)
            contender.settle()
        for case in arguments.case:
            print(f"-- {case} on the {wire} wire: {cable.WIRES[wire]}", flush=True)
            measured = [one for one in contenders if case in getattr(one, "cases", CASES)]
            results = cable.interleaved(measured, arguments.rounds, lambda one, name=case: measure(one, name, arguments.seconds))
            made += cable.rows(f"{case}/{wire}", results, CPU_UNITS if arguments.cpu else UNITS)
    return made


def parse():
    parser = add_choice(cable.options("throughput"), CONTENDERS)
    parser.add_argument("--wire", nargs="+", choices=tuple(cable.WIRES), default=list(cable.WIRES))
    parser.add_argument("--case", nargs="+", choices=CASES, default=None)
    parser.add_argument("--cpu", action="store_true", help="only what it costs, and TCP unless cases are named")
    arguments = parser.parse_args()
    arguments.case = arguments.case or list(TCP_CASES if arguments.cpu else CASES)
    return arguments


def main():
    return run("throughput", parse(), body)


if __name__ == "__main__":
    sys.exit(main())
