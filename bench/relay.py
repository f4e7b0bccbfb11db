"""What one core forwards: datagrams from left through a host in the middle to right, through coturn, through a forwarder that knows no
table (R3), through our relay; then our relay with one pair and with 100,000 that take turns, and what each of those pairs takes of memory.

One by one means that each datagram comes alone: the kernel cuts the sender's trains on the cable, because a sender that makes a call for
each would be the limit. The sender sends as fast as it goes, on the core that is not the relay's; what arrives at right counts.

The relay in the kernel is measured by itself (relay_xdp.py), beside R4.

usage: scripts/bench relay [--json FILE] [--rounds N] [--seconds S] [--without NAME ...]
"""
import collections
import sys

import cable
import relay_xdp
import udp
from lab import demand
from relays import FROM_PORT, MANY_LEFT, MIDDLE, PORT, RELAYS, SENDER_CORE, TO_PORT, Ours, Relay, on_core

Load = collections.namedtuple("Load", "size burst whole")
CASES = {"gso-100": Load(100, 64, True), "gso-1200": Load(1200, 54, True), "single-100": Load(100, 64, False),
         "single-1200": Load(1200, 54, False)}
PAIR_CASES = {"pairs-gso": Load(1200, 54, True), "pairs-single": Load(100, 1, True)}
UNITS = {"rate": "kpps", "bits": "Gbit/s", "cpu": "ns a datagram"}


def arrived(contender, send, address):
    """Thousands of datagrams a second that arrive at right while send() runs, and what each costs the relay."""
    sink = contender.cable.right.start("sink", *on_core(SENDER_CORE, udp.loop("udp-load"), "sink", "-g", "-x", address))
    sink.wait_line("ready")
    meter = cable.Meter(contender)
    send()
    count, size_bytes, spent_us = map(int, sink.wait_line(r"received (\d+) (\d+) (\d+)", 20).groups())
    sink.wait(10)
    demand(count > 0 and spent_us > 0, "nothing arrived")
    return {"rate": count * 1000 / spent_us, "bits": size_bytes * 8 / spent_us / 1000, "cpu": meter.read(count / 1e9)["cpu"]}


def measure(contender, load, seconds):
    near = contender.cable.left
    contender.settle()
    contender.cable.set_trains(load.whole)
    words = (udp.loop("udp-load"), "send", "-l", f"{cable.LEFT}:{FROM_PORT}", "-s", str(load.size), "-b", str(load.burst), "-r", "0", "-g",
             "-t", f"{seconds * 1000:.0f}", "-p", contender.prefix(load.size) or "00", contender.to)
    return arrived(contender, lambda: near.run(*on_core(SENDER_CORE, *words), check=True, timeout=seconds + 30), contender.sink)


def measure_pairs(contender, load, seconds):
    """By one program for one pair and for many: a train or a datagram of each pair in turn, from and to addresses of its own."""
    contender.settle()
    contender.cable.set_trains(load.whole)
    words = ("send", f"{MIDDLE}:{PORT}", f"{contender.near}:{FROM_PORT}", str(contender.pairs), str(load.size), str(load.burst),
             f"{seconds * 1000:.0f}")
    return arrived(contender, lambda: contender.legs(contender.cable.left, *words), f"0.0.0.0:{TO_PORT}")


def memory_rows(ours):
    """Taken once: what the process grew by when the pairs were bound."""
    many = [one for one in ours if one.pairs > 1]
    return [cable.row("pairs", "memory", "B a pair", {one.name: [one.pair_bytes]}) for one in many]


def body(arguments, contenders):
    single = [one for one in contenders if isinstance(one, Relay) and getattr(one, "near", None) != MANY_LEFT]
    ours = [one for one in contenders if isinstance(one, Ours)]
    made = []
    for case, load in CASES.items():
        print(f"-- {case}", flush=True)
        results = cable.interleaved(single, arguments.rounds, lambda one, load=load: measure(one, load, arguments.seconds))
        made += cable.rows(case, results, UNITS)
    for case, load in PAIR_CASES.items():
        print(f"-- {case}", flush=True)
        results = cable.interleaved(ours, arguments.rounds, lambda one, load=load: measure_pairs(one, load, arguments.seconds))
        made += cable.rows(case, results, UNITS)
    return made + memory_rows(ours) + relay_xdp.measure(contenders, arguments.rounds)


def main():
    parser = cable.options("relay", rounds=7, seconds=2)
    parser.add_argument("--without", metavar="NAME", nargs="*", default=[], help="contenders that are left out")
    arguments = parser.parse_args()
    contenders = [kind() for kind in (*RELAYS, *relay_xdp.KINDS) if kind.name not in arguments.without]
    return cable.run_bench("relay", arguments, contenders, lambda started: body(arguments, started))


if __name__ == "__main__":
    sys.exit(main())
