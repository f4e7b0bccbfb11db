"""How long it takes from the question for a name to the first answer of a stranger; from a known peer; and to register.

usage: scripts/bench contact [--json FILE] [--rounds N] [--contender NAME ...]     full form: 30 rounds

Before each round both daemons start anew, keys and configuration in place. A datagram goes every 5 ms from the moment the address is known,
also into overlays that have no names; only ours looks a name up. `known`: the same again, to the address, when the path is direct.
"""
import argparse
import fcntl
import os
import random
import subprocess
import sys

import world as laboratory_world
import children
import lab as laboratory
import peers
import probe
import table
from contenders import GREET_PORT, all_contenders
from lab import LabError, demand
from move import pause

ROUNDS = 30
NAMES = ("ours", "ours (K public)", "wireguard-go (K public)", "Nebula", "Tailscale", "iroh")
TURNS = os.path.join(laboratory_world.ROOT, "build", "bench-turn.lock")
MEASURES = ("dns", "first_byte", "answer")


class Turn:
    """One contender is measured at a time, also across processes."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")

    def take(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def give(self):
        fcntl.flock(self.file, fcntl.LOCK_UN)


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


def child(name, rounds, topology):
    """All rounds of one contender in one world; the others have their turns in between. A failed round is said and made again, as often as
    there are rounds at most."""
    laboratory.end_on_signals()
    contender, turn = all_contenders()[name](), Turn(TURNS)
    try:
        with laboratory_world.World(contender.__module__.rsplit(".", maxsplit=1)[-1], contender.public, topology) as world:
            contender.start(world)
            done = 0
            for _ in range(2 * rounds):
                done += done < rounds and child_round(contender, world, turn, done)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        children.say(name, event="failed", why=str(error))
        return 1
    return 0


def child_round(contender, world, turn, number):
    """Whether it counts."""
    turn.take()
    try:
        world.emulator.reset()
        made = one_round(contender, world)
        late = world.emulator.void()
        demand(not late, late)
        children.say(contender.name, event="round", round=number, made=made)
        return True
    except LabError as error:
        children.say(contender.name, event="void", why=str(error))
        return False
    finally:
        turn.give()


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
    parser.add_argument("--topology", choices=laboratory_world.TOPOLOGIES, default="plain")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments.child, arguments.rounds, arguments.topology)
    lock = laboratory.take_machine("bench")
    if not lock:
        return 2
    results = []

    def take(said):
        if said["event"] == "round":
            results.extend([said["contender"], *one] for one in said["made"])
            told = "  ".join(f"{case} {measure} {value:.1f}" for case, measure, value in said["made"])
            print(f"{said['contender']:26} {said['round']:3} {told}", flush=True)
    own = [sys.executable, os.path.abspath(__file__), "--rounds", str(arguments.rounds), "--topology", arguments.topology, "--child"]
    try:
        children.Children(lambda name: [*own, name], take).run(peers.those_at_hand(arguments.contender))
    finally:
        lock.close()
    made = rows(results)
    show(made)
    if arguments.json:
        table.write_rows(arguments.json, "contact", arguments.topology, made)
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
