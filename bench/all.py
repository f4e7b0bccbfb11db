"""Every bench of the packet path, one after the other, in short rounds: each goal beside what was measured, and the share of rows that meet
theirs. A bench in its full form has less spread.

usage: scripts/bench all [--json FILE] [--rounds N] [--seconds S] [--bench NAME ...]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import cable
import lab as laboratory
import limits
import pages

HERE = os.path.dirname(os.path.abspath(__file__))
# What makes one of them shorter than it is by itself, or is the least that means something.
MORE_WORDS = {"reference": ("--wire", "whole"), "small": ("--seconds", "0.5"), "memory": ("--seconds", "20")}
SECONDS_MAX = 1800  # of one bench


def present(names):
    """Those that there are."""
    return [name for name in names if os.path.exists(os.path.join(HERE, f"{name}.py"))]


def run(name, rounds, seconds, folder):
    """One bench in a process of its own: its rows, or none and a line."""
    path = os.path.join(folder, f"{name}.json")
    words = [sys.executable, os.path.join(HERE, f"{name}.py"), "--json", path, "--rounds", str(rounds), "--seconds", f"{seconds:g}",
             *MORE_WORDS.get(name, ())]
    print(f"==== {name}", flush=True)
    with subprocess.Popen(words) as child:
        try:
            code = child.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            code = f"it took more than {SECONDS_MAX} s"
        finally:
            child.terminate()   # it takes down what it has laid
    if not os.path.exists(path):
        print(f"bench: {name} gave nothing ({code})", file=sys.stderr, flush=True)
        return []
    with open(path, encoding="utf-8") as file:
        return json.load(file)["rows"]


def lines(bench, rows):
    """A line for each goal, then those that nothing was measured for."""
    for row in rows:
        for goal in row.get("goals", ()):
            ours = limits.value(row, goal["of"])
            yield f"{bench:11} {row['case']:24} {row['metric']:12} {limits.shown(ours):>9} {row['unit']:12} {limits.words(goal)}"
    for case, goal in limits.unjudged(bench, rows):
        against = f" x {goal.against}" if goal.against else ""
        yield f"{bench:11} {case:24} {goal.metric:12} {'-':>9} {'':12} at {goal.way} {goal.share:g}{against}: not measured"


def summarise(results):
    """The table of all, and one verdict."""
    print("\n==== all")
    for bench, rows in results.items():
        for line in lines(bench, rows):
            print(line)
    every = [row for rows in results.values() for row in rows]
    unmeasured = sum(len(limits.unjudged(bench, rows)) for bench, rows in results.items())
    print(f"\n{limits.verdict(every)}" + (f" {unmeasured} goals were not measured." if unmeasured else ""))


def main():
    laboratory.end_on_signals()
    names = present(pages.FAMILY)
    parser = argparse.ArgumentParser(prog="scripts/bench all")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--bench", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ntm-bench-") as folder:
        results = {name: run(name, arguments.rounds, arguments.seconds, folder) for name in arguments.bench}
    summarise(results)
    if arguments.json:
        rows = [{"bench": bench, **row} for bench, rows in results.items() for row in rows]
        cable.write(arguments.json, "all", rows, session=cable.session(arguments))
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
