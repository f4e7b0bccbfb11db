"""How long nothing arrives when a machine changes its network: a probe every 2 ms and a stream of 4 Mbit/s in each direction, ours and
others in the same lab and run.

usage: scripts/bench handover [--json FILE] [--rounds N] [--minutes N] [--short] [--contender NAME ...] [--case NAME ...]

Full form: 30 moves of each case and contender, or as many as --minutes allows. --short: two rounds of the main cases, ours beside
wireguard-go.
"""
import argparse
import json
import os
import subprocess
import sys
import threading

import world as laboratory_world
from lab import LabError
import lab as laboratory
import cases
import move
import peers
import table
from contenders import all_contenders

ROUNDS = 30
SHORT_CASES = ("a", "a-silent", "b", "c", "d", "e", "idle")
SHORT_CONTENDERS = ("ours", "wireguard-go (hub at S)")
TURNS = os.path.join(laboratory_world.ROOT, "build", "bench-turn.lock")


def cases_of(contender, wanted):
    """In the order in which tables list them."""
    own = contender.own_cases or (cases.PUBLIC_CASES if contender.public else cases.NAT_CASES)
    return [name for name in own if not wanted or name in wanted]


def child(arguments):
    """One contender, in a process of its own: its namespaces carry that process's id."""
    laboratory.end_on_signals()
    contender = all_contenders()[arguments.child]()
    series = move.Series(contender, arguments.topology, TURNS)
    try:
        series.run(cases_of(contender, arguments.case), arguments.rounds, arguments.minutes * 60)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        series.say(event="failed", why=str(error))
        return 1
    return 0


class Runner:
    """Follows the children: prints each move, keeps it."""

    def __init__(self, arguments):
        self.arguments, self.moves, self.failures = arguments, [], []
        self.lock = threading.Lock()

    def command(self, name):
        given = self.arguments
        words = [sys.executable, os.path.abspath(__file__), "--child", name, "--rounds", str(given.rounds), "--minutes", str(given.minutes),
                 "--topology", given.topology]
        return words + (["--case", *given.case] if given.case else [])

    def follow(self, name):
        log = open(os.path.join(laboratory_world.ROOT, "build", f"bench-{name.split()[0]}.err"), "w", encoding="utf-8")
        with subprocess.Popen(self.command(name), stdout=subprocess.PIPE, stderr=log, text=True) as process:
            self.processes.append(process)
            for line in process.stdout:
                with self.lock:
                    self.take(json.loads(line))
        if process.returncode != 0 and not any(failure[0] == name for failure in self.failures):
            self.failures.append((name, f"ended with {process.returncode}; see {log.name}"))

    def take(self, said):
        if said["event"] == "move":
            self.moves.append(said)
            print(table.line(said), flush=True)
        elif said["event"] in ("void", "failed"):
            self.failures.append((said["contender"], said["why"]))
            print(f"{said['contender']:26} {said['event']}: {said['why']}", flush=True)

    def run(self, names):
        self.processes = []
        threads = [threading.Thread(target=self.follow, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.terminate()


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/bench handover")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=240, help="no new move after that time")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--contender", nargs="+", choices=sorted(all_contenders()))
    parser.add_argument("--case", nargs="+", choices=sorted(set(cases.NAT_CASES + cases.PUBLIC_CASES)))
    parser.add_argument("--topology", choices=sorted(laboratory_world.TOPOLOGIES), default="plain")
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
    lacks = laboratory.missing_capability()
    if lacks:
        print(f"bench: {lacks}", file=sys.stderr)
        return 2
    laboratory.end_on_signals()
    lock = laboratory.only_one_at_a_time()
    laboratory.clean_up_old_runs()
    names = arguments.contender or list(all_contenders())
    names = peers.those_at_hand(names)
    for name in names:
        for command in all_contenders()[name].commands:
            print(f"{name:26} $ {command}")
    runner = Runner(arguments)
    try:
        runner.run(names)
    finally:
        lock.close()
    table.show(runner.moves)
    for name, why in runner.failures:
        print(f"bench: {name}: {why}", file=sys.stderr)
    if arguments.json:
        table.write(arguments.json, "handover", arguments.topology, runner.moves)
    return 0 if runner.moves else 1


if __name__ == "__main__":
    sys.exit(main())
