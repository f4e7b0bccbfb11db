"""What the emulated wires of these measurements can do themselves: frames a millisecond through one wire, and how late each leaves.

usage: scripts/bench wire [--json FILE] [--rounds N] [--delay MS]

A router sends datagrams of 100 bytes at a steady rate through a wire with a delay; behind it they are dropped. Each row tells the median of
its rounds, the latest frame of all, and how many rounds were void: p99 of the lateness above 0.5 ms, as in a measurement, or a frame lost.
"""
import argparse
import json
import os
import statistics
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "netns"))
sys.dont_write_bytecode = True
import lab as laboratory  # noqa: E402
from lab import Lab, LabError, wait_for  # noqa: E402

PER_MILLISECOND = (1, 50, 100, 150, 200)
SECONDS, BYTES = 1, 100
GOAL = 150
SINK = "table ip sink {\n chain drops { type filter hook prerouting priority -500;\n  udp dport 9 drop\n }\n}\n"


def load_program():
    return os.path.join(laboratory.BUILD, "meson", "test", "link", "ntm-link-load")


def measure(lab, rate):
    """One run: the rate sent, lateness, frames lost, whether it is void."""
    router, link = lab.nats["G"], lab.link("G")
    lab.emulator.reset()
    done = router.run(load_program(), "203.0.113.1", "9", str(rate * 1000), str(SECONDS), str(BYTES), check=True).stdout.split()
    sent, seconds = int(done[0]), float(done[1])
    wait_for("all to arrive", lambda: link.stats()["up"]["sent"] >= sent, 10)
    stats = link.stats()["up"]
    return {"rate": sent / seconds / 1000, **stats["late_us"], "void": bool(lab.emulator.void()) or stats["passed"] < sent}


def measure_row(lab, rate, rounds):
    runs = [measure(lab, rate) for _ in range(rounds)]
    middle = {key: statistics.median(run[key] for run in runs) for key in ("rate", "p50", "p99")}
    return {"asked": rate, **middle, "max": max(run["max"] for run in runs), "void": sum(run["void"] for run in runs)}


def rows(results, rounds):
    return [{"case": f"{one['asked']} a millisecond", "metric": metric, "unit": unit, "ours": round(one[key], 1), "peer": {}, "ratio": {},
             "runs": rounds}
            for one in results for metric, unit, key in (
                ("rate", "frames/ms", "rate"), ("late-p50", "us", "p50"), ("late-p99", "us", "p99"), ("void", "runs", "void"))]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench wire")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=10)
    arguments = parser.parse_args()
    lock = laboratory.take_machine("bench")
    if not lock:
        return 2
    try:
        with Lab("wire", nodes=(), networks="G", servers=(), delays={"G": arguments.delay}) as lab:
            lab.inet.nft(SINK)
            results = [measure_row(lab, rate, arguments.rounds) for rate in PER_MILLISECOND]
    except (LabError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        lock.close()
    print(f"{'asked, frames/ms':>17}{'sent':>8}{'late p50, us':>14}{'p99':>8}{'max':>8}{'void':>6} of {arguments.rounds}")
    for one in results:
        print(f"{one['asked']:17}{one['rate']:8.1f}{one['p50']:14.0f}{one['p99']:8.0f}{one['max']:8}{one['void']:6}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"schema": "ntm.bench/1", "bench": "wire", "rows": rows(results, arguments.rounds)}, file, indent=1)
            file.write("\n")
    return 0 if all(2 * one["void"] < arguments.rounds for one in results if one["asked"] <= GOAL) else 1


if __name__ == "__main__":
    sys.exit(main())
