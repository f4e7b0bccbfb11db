"""How long a round trip takes through the tunnel, idle and while a TCP stream fills it: one UDP datagram at a time, its answer, and the
next. "added" is what the bare cable does not need. Rounds are interleaved, the first is dropped.

usage: scripts/bench latency [--json FILE] [--rounds N] [--seconds S] [--case NAME ...] [--contender NAME ...]
"""
import json
import os
import statistics
import sys
import time

import cable
import lab as laboratory
from lab import demand
from tunnels import add_choice, run

BARE = "bare veth"
CONTENDERS = (BARE, "copy loop R1", "wireguard-go", "boringtun, 1 thread", "boringtun", "Nebula", "Tailscale", "tinc", "OpenVPN", "ours")
CASES = ("idle", "stream")
UNITS = {"p50": "us", "p99": "us", "added-p50": "us", "added-p99": "us", "max": "us", "lost": "datagrams", "stream": "Gbit/s"}
ADDED = ("p50", "p99")
PORT, PER_SECOND, PAYLOAD = 9101, 500, 36


def program():
    return os.path.join(laboratory.BUILD, "meson", "bench", "ping-pong")


def trips(contender, seconds):
    """Round trips of some seconds, in us."""
    left, right = contender.cable.left, contender.cable.right
    answerer = right.start("answer", program(), "answer", contender.address, str(PORT))
    try:
        answerer.wait_line("ready")
        done = left.run(program(), "ask", contender.address, str(PORT), str(int(seconds * PER_SECOND)), str(PER_SECOND), str(PAYLOAD),
                        timeout=seconds * 10 + 30)
    finally:
        answerer.stop()
    demand(done.returncode == 0, f"no answer through {contender.name}: {done.stderr.strip()}")
    answered, lost, p50, p99, largest, _ = map(int, done.stdout.split())
    demand(answered > lost, f"{contender.name} lost {lost} of {answered + lost} datagrams")
    return {"p50": p50 / 1e3, "p99": p99 / 1e3, "max": largest / 1e3, "lost": lost}


def received_bytes(host, address):
    """Of the interface that has the address."""
    links = json.loads(host.run("ip", "-s", "-j", "-4", "addr", "show", check=True).stdout)
    name = next(link["ifname"] for link in links if any(one.get("local") == address for one in link.get("addr_info", ())))
    return cable.link_stats(host, name)["rx"]["bytes"]


def trips_under_stream(contender, seconds):
    """The same while iperf3 sends as much as goes through."""
    left, right = contender.cable.left, contender.cable.right
    server = right.start("iperf3", "iperf3", "-s", "-1", "--forceflush", "-B", contender.address)
    server.wait_line("listening")
    client = left.start("iperf3", "iperf3", "-c", contender.address, "-t", str(int(seconds) * 10 + 10), "-i", "0.5", "--forceflush")
    try:
        client.wait_line(r"0\.\d+-0\.\d+ +sec", 10)
        before, since = received_bytes(right, contender.address), time.monotonic()
        found = trips(contender, seconds)
        size = received_bytes(right, contender.address) - before
        demand(client.running(), f"the stream through {contender.name} ended early")
        return {**found, "stream": size * 8 / 1e9 / (time.monotonic() - since)}
    finally:
        client.stop()
        server.stop()


def measure(contender, case, seconds):
    return trips(contender, seconds) if case == "idle" else trips_under_stream(contender, seconds)


def add_added(results):
    """Beside each round trip what is more than the bare cable's median; nothing where the bare cable was not measured."""
    bare = results.get(BARE)
    for name, rounds in results.items():
        for one in rounds if bare and name != BARE else ():
            for metric in ADDED:
                one[f"added-{metric}"] = one[metric] - statistics.median(other[metric] for other in bare)
    return results


def print_commands(seconds):
    print(f"{'each':28} $ ping-pong answer ADDRESS {PORT}   # right; bench/ping_pong.c\n"
          f"{'':28} $ ping-pong ask ADDRESS {PORT} {int(seconds * PER_SECOND)} {PER_SECOND} {PAYLOAD}   # left\n"
          f"{'under a stream':28} $ iperf3 -s -1   # right\n{'':28} $ iperf3 -c ADDRESS   # left", flush=True)


def body(contenders, arguments):
    print_commands(arguments.seconds)
    made = []
    for case in arguments.case:
        print(f"-- {case}: {PER_SECOND} round trips a second at most, inner packets of {PAYLOAD + 28} bytes", flush=True)
        results = cable.interleaved(contenders, arguments.rounds, lambda one, name=case: measure(one, name, arguments.seconds))
        made += cable.rows(case, add_added(results), UNITS)
    return made


def main():
    arguments = add_choice(cable.options("latency", seconds=2), CONTENDERS, CASES).parse_args()
    return run("latency", arguments, body)


if __name__ == "__main__":
    sys.exit(main())
