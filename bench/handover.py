"""How long nothing arrives when a machine changes its network: a probe every 2 ms and a stream of 4 Mbit/s in each direction, ours and
others in the same lab and run.

usage: scripts/bench handover [--json FILE] [--rounds N] [--minutes N] [--short] [--contender NAME ...] [--case NAME ...]

Full form: 30 moves of each case and contender, or as many as --minutes allows. --short: two rounds of the main cases, ours beside
wireguard-go.
"""
import argparse
import os
import subprocess
import sys

import world as laboratory_world
from lab import LabError
import lab as laboratory
import cases
import children
import move
import peers
import table
from contenders import all_contenders

ROUNDS = 30
SHORT_CASES = ("a", "a-silent", "b", "c", "d", "e", "idle")
SHORT_CONTENDERS = ("ours", "wireguard-go (hub at S)")


def cases_of(contender, wanted):
    """In the order in which tables list them."""
    own = contender.own_cases or (cases.PUBLIC_CASES if contender.public else cases.NAT_CASES)
    return [name for name in own if not wanted or name in wanted]


def child(arguments):
    """One contender, in a process of its own: its namespaces carry that process's id."""
    laboratory.end_on_signals()
    os.nice(children.PRIORITY)
    contender = all_contenders()[arguments.child]()
    series = move.Series(contender, arguments.topology, children.TURNS)
    try:
        series.run(cases_of(contender, arguments.case), arguments.rounds, arguments.minutes * 60)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        series.say(event="failed", why=str(error))
        return 1
    return 0


def command_of(arguments, name):
    words = [sys.executable, os.path.abspath(__file__), "--child", name, "--rounds", str(arguments.rounds),
             "--minutes", str(arguments.minutes), "--topology", arguments.topology]
    return words + (["--case", *arguments.case] if arguments.case else [])


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/bench handover")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=240, help="no new move after that time")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--contender", nargs="+", choices=sorted(all_contenders()))
    parser.add_argument("--case", nargs="+", choices=sorted(set(cases.NAT_CASES + cases.PUBLIC_CASES)))
    parser.add_argument("--topology", choices=laboratory_world.TOPOLOGIES, default="plain")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.short:
        arguments.case = arguments.case or list(SHORT_CASES)
        arguments.contender = arguments.contender or list(SHORT_CONTENDERS)
    arguments.rounds = arguments.rounds or (2 if arguments.short else ROUNDS)
    return arguments


def main():
    arguments = parse(sys.argv[1:])
    if arguments.child:
        return child(arguments)
    lock = laboratory.take_machine("bench")
    if not lock:
        return 2
    names = arguments.contender or list(all_contenders())
    names = peers.those_at_hand(names)
    for name in names:
        for command in all_contenders()[name].commands:
            print(f"{name:26} $ {command}")
    moves = []

    def take(said):
        if said["event"] == "move":
            moves.append(said)
            print(table.line(said), flush=True)
    family = children.Children(lambda name: command_of(arguments, name), take)
    try:
        family.run(names)
    finally:
        lock.close()
    table.show(moves)
    for name, why in family.failures:
        print(f"bench: {name}: {why}", file=sys.stderr)
    if arguments.json:
        table.write(arguments.json, "handover", arguments.topology, moves)
    return 0 if moves else 1


if __name__ == "__main__":
    sys.exit(main())
