"""What this machine can do at most, by loops that do nothing but move datagrams: the denominators of the other benches.

R0 the bare veth; R1 a tunnel that copies where ours seals; R1p the same packet by packet; R2 a UDP echo; R3 a UDP forwarder that knows two
addresses and no table; R4 XDP drop and swap; R5 X25519 a second of the library that handshakes use.

usage: scripts/bench reference [--json FILE] [--rounds N] [--seconds S] [--wire NAME ...] [--loop NAME ...]
"""
import os
import sys

import cable
import throughput
import udp
from cable import LEFT, RIGHT, Contender
from lab import demand
from tunnels import chosen

ECHO, FROM_PORT, TO_PORT = (RIGHT, 7700), 7701, 7702
WINDOW = 64
TUNNELS = ("bare veth", "copy loop R1", "copy loop, one thread", "copy loop R1p")
TUNNEL_CASES = ("tcp-1", "udp-1372", "udp-gso")
UNITS = {"rate": "kpps", "bits": "Gbit/s", "cpu": "ns a datagram", "program": "ns a frame", "operations": "a second"}
FIRST_CORE, LAST_CORE = 0, os.cpu_count() - 1


def on_core(core, *words):
    """A program that is to stay on one core."""
    return ("taskset", "-c", str(core), *words)


class Echo(Contender):
    """R2: what one socket and one core can answer."""

    name, loop = "UDP echo R2", "R2"
    cases = {"echo-200": 200}
    commands = (f"taskset -c {LAST_CORE} udp-echo {ECHO[0]}:{ECHO[1]}   # right",
                f"udp-load ask -s 200 -b {WINDOW} {ECHO[0]}:{ECHO[1]}   # left")

    def start(self, cable):
        self.daemons = [cable.right.start("udp-echo", *on_core(LAST_CORE, udp.loop("udp-echo"), f"{ECHO[0]}:{ECHO[1]}"))]
        self.daemons[0].wait_line("ready")

    def measure(self, size, seconds):
        meter = cable.Meter(self)
        words = ("ask", "-s", str(size), "-b", str(WINDOW), "-t", f"{seconds * 1000:.0f}", f"{ECHO[0]}:{ECHO[1]}")
        done = self.cable.left.run(*on_core(FIRST_CORE, udp.loop("udp-load"), *words), check=True, timeout=seconds + 30)
        answered, _, spent_us = map(int, done.stdout.split()[1:])
        demand(answered > 0, "nothing came back")
        return {"rate": answered * 1000 / spent_us, "cpu": meter.read(answered / 1e9)["cpu"]}


class Forward(Contender):
    """R3: trains in, the same trains out."""

    name, loop = "UDP forwarder R3", "R3"
    cases = {"forward-100": udp.Shape(100, 16, False), "forward-100-gso": udp.Shape(100, 64, True),
             "forward-1200-gso": udp.Shape(1200, 54, True)}
    commands = (f"taskset -c {LAST_CORE} udp-forward {RIGHT}:{udp.PORT} {LEFT}:{FROM_PORT} {LEFT}:{TO_PORT}   # right",
                f"udp-load sink -g {LEFT}:{TO_PORT}   # left, core {FIRST_CORE}",
                f"udp-load send -l {LEFT}:{FROM_PORT} -s SIZE -b BURST [-g] -r RATE {RIGHT}:{udp.PORT}   # left, core {FIRST_CORE}")

    def start(self, cable):
        words = (f"{RIGHT}:{udp.PORT}", f"{LEFT}:{FROM_PORT}", f"{LEFT}:{TO_PORT}")
        self.daemons = [cable.right.start("udp-forward", *on_core(LAST_CORE, udp.loop("udp-forward"), *words))]
        self.daemons[0].wait_line("ready")

    def measure(self, shape, seconds):
        left = self.cable.left

        def step(rate):
            meter = cable.Meter(self)
            one = udp.flow(left, left, LEFT, shape, rate, seconds / throughput.UDP_SHARE, port=TO_PORT, to=f"{RIGHT}:{udp.PORT}",
                           own=f"{LEFT}:{FROM_PORT}", core=FIRST_CORE)
            return {**one, "cpu": meter.read(max(one["bytes"], 1) / shape.size / 1e9)["cpu"]}
        best = udp.highest(step)
        demand(best, "loses more than 1 % at every rate that was tried")
        return {"rate": best["received"] / 1000, "bits": best["received"] * shape.size * 8 / 1e9, "cpu": best["cpu"]}


class Xdp(Contender):
    """R4: a program at the driver's hook, no table. The kernel makes the frames on the same core."""

    name, loop = "XDP R4", "R4"
    cases = {"xdp-drop": "drop", "xdp-swap": "swap"}
    commands = ("xdp-loops xdp_loops.bpf.o hold eth0   # right", "xdp-loops xdp_loops.bpf.o run eth0   # left")

    def start(self, cable):
        words = (udp.loop("xdp-loops"), udp.loop("xdp_loops.bpf.o"))
        demand(os.access(words[0], os.X_OK), "xdp-loops is not built: it needs clang and libbpf")
        self.words = words
        cable.right.start("xdp-loops", *words, "hold", "eth0").wait_line("ready")
        self.measure("drop", 1)

    def measure(self, program, _seconds):
        done = self.cable.left.run(*on_core(LAST_CORE, *self.words, "run", "eth0"), check=True)
        found = {words[0]: words[1:] for words in map(str.split, done.stdout.splitlines())}
        return {"rate": float(found[program][0]) / 1000, "program": float(found[program][1])}


class KeyAgreement(Contender):
    """R5: no cable in it; one core."""

    name, loop = "X25519 R5", "R5"
    cases = {"x25519": None}
    commands = ("dh-rate SECONDS",)

    def start(self, cable):
        """Nothing to do."""

    def measure(self, _case, seconds):
        done = self.cable.left.run(*on_core(LAST_CORE, udp.loop("dh-rate"), str(max(1, round(seconds)))), check=True, timeout=seconds + 30)
        return {"operations": float(done.stdout.split()[0])}


LOOPS = (Echo, Forward, Xdp, KeyAgreement)


def measure_tunnels(contenders, arguments):
    """R0, R1 and R1p, as the throughput bench measures them."""
    made = []
    for wire in arguments.wire:
        for contender in contenders:
            contender.cable.set_wire(wire)
        for case in TUNNEL_CASES:
            print(f"-- {case} on the {wire} wire: {cable.WIRES[wire]}", flush=True)
            results = cable.interleaved(contenders, arguments.rounds,
                                        lambda one, name=case: throughput.measure(one, name, arguments.seconds))
            made += cable.rows(f"{case}/{wire}", results, throughput.UNITS)
    return made


def measure_loop(contender, arguments):
    made = []
    for case, what in contender.cases.items():
        print(f"-- {case}", flush=True)
        results = cable.interleaved([contender], arguments.rounds, lambda one, case=what: one.measure(case, arguments.seconds))
        made += cable.rows(case, results, UNITS)
    return made


def body(contenders, arguments):
    tunnels = [contender for contender in contenders if contender.name in TUNNELS]
    made = measure_tunnels(tunnels, arguments) if tunnels else []
    for contender in contenders:
        if contender not in tunnels:
            made += measure_loop(contender, arguments)
    return made


def parse(words):
    names = ("R1", *(kind.loop for kind in LOOPS))
    parser = cable.options("reference")
    parser.add_argument("--wire", nargs="+", choices=tuple(cable.WIRES), default=list(cable.WIRES))
    parser.add_argument("--loop", nargs="+", choices=names, default=list(names), help="R1 is R0, R1 and R1p beside each other")
    return parser.parse_args(words)


def main():
    arguments = parse(sys.argv[1:])
    contenders = chosen(TUNNELS) if "R1" in arguments.loop else []
    contenders += [kind() for kind in LOOPS if kind.loop in arguments.loop]
    return cable.run_bench("reference", arguments, contenders, lambda started: body(started, arguments))


if __name__ == "__main__":
    sys.exit(main())
