"""Small packets: how many a second go through with less than 1 % lost, in one direction and in both at once, and what one costs. The inner
packet has 64 bytes: an IPv4 header of 20, a UDP header of 8, 36 of payload; 16 of them a call of sendmmsg. Rounds are interleaved, the
first is dropped.

usage: scripts/bench small [--json FILE] [--rounds N] [--seconds S] [--case NAME ...] [--contender NAME ...]

The rate is found as scripts/bench throughput finds that of large datagrams (bench/udp.py), anew in each round. In both directions at once
it is the sum, and neither may lose more than 1 %.
"""
import concurrent.futures
import json
import sys

import cable
import udp
from lab import demand
from tunnels import add_choice, run

CONTENDERS = ("bare veth", "copy loop R1p", "wireguard-go", "boringtun, 1 thread", "boringtun", "Nebula", "Tailscale", "tinc", "OpenVPN",
              "ours")
CASES = ("one-way", "both-ways")
UNITS = {"rate": "kpps", "cpu": "us/packet", "cpu-machine": "us/packet", "loss": "%", "drops": "packets"}
PACKET, HEADERS = 64, 28
SHAPE = udp.Shape(PACKET - HEADERS, 16, False)


def left_address(contender):
    """Of left, through the contender."""
    shown = json.loads(contender.cable.left.run("ip", "-j", "-4", "addr", "show", "dev", contender.link, check=True).stdout)
    return shown[0]["addr_info"][0]["local"]


def flows(contender, case, rate, seconds):
    """One attempt at a rate, all directions together, and what it cost."""
    left, right = contender.cable.left, contender.cable.right
    ways = [(left, right, contender.address)]
    if case == "both-ways":
        ways.append((right, left, left_address(contender)))
    meter = cable.Meter(contender)
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        begun = [pool.submit(udp.flow, *way, SHAPE, rate / len(ways), seconds, port=udp.PORT + number) for number, way in enumerate(ways)]
        each = [one.result() for one in begun]
    return together(each, meter)


def together(each, meter):
    """The flows of an attempt as one."""
    size = sum(one["bytes"] for one in each)
    demand(size > 0, "nothing came through")
    return {"offered": sum(one["offered"] for one in each), "received": sum(one["received"] for one in each),
            "loss": max(one["loss"] for one in each), **meter.read(size / SHAPE.size / 1e6)}


def measure(contender, case, seconds):
    best = udp.highest(lambda rate: flows(contender, case, rate, seconds))
    demand(best, f"it loses more than {udp.LOSS_MAX:.0%} at every rate that was tried")
    costs = {metric: best[metric] for metric in ("cpu", "cpu-machine", "drops")}
    return {"rate": best["received"] / 1e3, "loss": 100 * best["loss"], **costs}


def body(contenders, arguments):
    print(f"{'each':28} $ udp-load sink ADDRESS:{udp.PORT}   # the receiver; bench/loops/udp_load.c\n"
          f"{'':28} $ udp-load {' '.join(udp.load_words(SHAPE, 0, arguments.seconds))} ADDRESS:{udp.PORT}   # the sender; then other rates",
          flush=True)
    made = []
    for case in arguments.case:
        print(f"-- {case}: inner packets of {PACKET} bytes", flush=True)
        results = cable.interleaved(contenders, arguments.rounds, lambda one, name=case: measure(one, name, arguments.seconds))
        made += cable.rows(case, results, UNITS)
    return made


def main():
    arguments = add_choice(cable.options("small", seconds=0.5), CONTENDERS, CASES).parse_args()
    return run("small", arguments, body)


if __name__ == "__main__":
    sys.exit(main())
