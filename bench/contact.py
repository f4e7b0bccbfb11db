"""How long it takes from the question for a name to the first answer of a stranger; from a known peer; and to register.

usage: scripts/bench contact [--json FILE] [--rounds N] [--contender NAME ...]     full form: 30 rounds

Before each round both daemons start anew, keys and configuration in place. A datagram goes every 5 ms from the moment the address is known,
also into overlays that have no names; only ours looks a name up. `known`: the same again, to the address, when the path is direct.
"""
import argparse
import random
import subprocess
import sys

import world as laboratory_world
import lab as laboratory
import peers
import probe
import table
from contenders import GREET_PORT, all_contenders
from lab import LabError
from move import pause

ROUNDS = 30
NAMES = ("ours", "ours (K public)", "wireguard-go (K public)", "Nebula", "Tailscale", "iroh")
MEASURES = ("dns", "first_byte", "answer")


def one_round(contender, world):
    """[case, measure, ms] of one contender's round."""
    contender.forget(world)
    pause(random.uniform(0, 1))
    made = [["stranger", measure, value] for measure, value in contender.contact(world).items()]
    if hasattr(contender, "k_address"):
        contender.settle(world, False)
        pause(random.uniform(0, 1))
        known = probe.greet(world, world.m, world.k, contender.k_address, GREET_PORT)
        made += [["known", measure, known[measure]] for measure in ("first_byte", "answer")]
    if hasattr(contender, "registration"):
        made.append(["registration", "answer", contender.registration(world)])
    return made


def series(name, rounds, results):
    """All rounds of one contender in one world; a failed one is said and left out."""
    contender = all_contenders()[name]()
    with laboratory_world.World(contender.__module__.split(".")[-1], contender.public) as world:
        contender.start(world)
        for number in range(rounds):
            try:
                made = one_round(contender, world)
            except LabError as error:
                print(f"{name:26} {number:3} void: {error}", flush=True)
                continue
            results.extend([name, *one] for one in made)
            print(f"{name:26} {number:3} " + "  ".join(f"{case} {measure} {value:.1f}" for case, measure, value in made), flush=True)


def rows(results):
    made = []
    for suffix in ("", " (K public)"):
        cells = sorted({(case, measure) for name, case, measure, _ in results}, key=lambda cell: (cell[0] != "stranger", cell))
        for case, measure in cells:
            samples = {}
            for name, its_case, its_measure, value in results:
                if (its_case, its_measure) == (case, measure) and all_contenders()[name].public == bool(suffix):
                    samples.setdefault(table.short_name(name), []).append(round(value, 2))
            if samples:
                made.append(table.row(case + suffix, measure.replace("_", "-"), "ms", samples))
    return made


def show(made):
    print(f"\n{'case':24}{'measure':14}{'contender':20}{'rounds':>7}{'p50':>9}{'p99':>9}{'max':>9}  ms")
    for row in made:
        for name, sample in row["samples"].items():
            quantiles = "".join(table.number(table.quantile(sample, share)) for share in (0.5, 0.99, 1))
            print(f"{row['case']:24}{row['metric']:14}{name:20}{len(sample):7}{quantiles}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench contact")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--contender", nargs="+", choices=NAMES, default=list(NAMES))
    arguments = parser.parse_args()
    lacks = laboratory.missing_capability()
    if lacks:
        print(f"bench: {lacks}", file=sys.stderr)
        return 2
    laboratory.end_on_signals()
    lock = laboratory.only_one_at_a_time()
    laboratory.clean_up_old_runs()
    results = []
    try:
        for name in peers.those_at_hand(arguments.contender):
            series(name, arguments.rounds, results)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
    finally:
        lock.close()
    made = rows(results)
    show(made)
    if arguments.json:
        table.write_rows(arguments.json, "contact", "plain", made)
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
