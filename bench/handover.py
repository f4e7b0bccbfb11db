"""How long nothing arrives when a machine changes its network: a probe every 2 ms and a stream of 4 Mbit/s in each direction, ours and
others in the same lab and run.

usage: scripts/bench handover [--json FILE [--more]] [--rounds N] [--minutes N] [--short] [--topology NAME] [--contender NAME ...]
                              [--case NAME ...] [--worlds N] [--side-by-side N]

Full form: 30 moves of each case and contender, or as many as --minutes allows; --more adds to what FILE has, so that several quiet times
make one table. --short: two rounds of the main cases, ours beside wireguard-go. --worlds: how many internets there are at once at most;
--side-by-side: in how many of them is measured at once at most. Fewer are when the wires turn out to be late.
"""
import argparse
import datetime
import os
import subprocess
import sys
import threading
import time

import world as laboratory_world
from lab import LabError
import lab as laboratory
import cases
import children
import move
import peers
import schedule
import table
from contenders import all_contenders

ROUNDS = 30
SHORT_CASES = ("a", "a-silent", "b", "c", "d", "e", "idle")
SHORT_CONTENDERS = ("ours", "wireguard-go (hub at S)")
# Of the edge variant of the papers only what is different there: the distances to the servers.
EDGE_CASES = ("a", "a-silent", "b", "c", "d", "e", "a-relay", "d-relay", "idle")
EDGE_CONTENDERS = ("ours", "ours (K public)", "wireguard-go (hub at S)", "wireguard-go (K public)", "iroh")
IDLE_SHARE = 3  # nothing happens in `idle`: a third of the rounds says what the machine itself does
WORLDS_PER_CORE, TURNS_PER_CORE = 6, 3
WRITE_SECONDS = 60


def cases_of(contender, wanted):
    """In the order in which tables list them."""
    own = contender.own_cases or (cases.PUBLIC_CASES if contender.public else cases.NAT_CASES)
    return [name for name in own if not wanted or name in wanted]


def rounds_of(case, rounds):
    return max(2, rounds // IDLE_SHARE) if case == "idle" else rounds


def child(arguments):
    """One world of a contender, in a process of its own: its namespaces carry that process's id."""
    laboratory.end_on_signals()
    series = move.Series(all_contenders()[arguments.child](), arguments.topology, arguments.part)
    try:
        series.run()
    except (LabError, OSError, subprocess.SubprocessError) as error:
        series.say(event="failed", why=str(error))
        return 1
    return 0


class Bench:
    """One run: its cells, its worlds, and what they have told so far."""

    def __init__(self, arguments, names):
        self.arguments, self.moves, self.void = arguments, [], 0
        self.begun, self.written = datetime.datetime.now(datetime.UTC), time.monotonic()
        self.before = table.read(arguments.json) if arguments.json and arguments.more else None
        done = table.counts(self.before) if self.before else {}
        cells = [schedule.Cell(name, case, rounds_of(case, arguments.rounds), *done.get((name, case), ()))
                 for name in names for case in cases_of(all_contenders()[name], arguments.case)]
        plan = schedule.Plan(cells, time.monotonic() + arguments.minutes * 60)
        self.desk = schedule.Desk(plan, schedule.Turns(arguments.side_by_side, os.cpu_count()), arguments.worlds)
        self.family = children.Children(self.command, self.take, self.answer)
        self.live, self.news = [], threading.Condition()

    def command(self, name, part):
        return [sys.executable, os.path.abspath(__file__), "--child", name, "--part", part, "--topology", self.arguments.topology]

    def follow(self, kind):
        """A world's thread."""
        world, good = self.family.follow(*kind)
        self.desk.gone(kind, world, not good)
        with self.news:
            self.live.remove(kind)
            self.news.notify_all()

    def answer(self, world, said):
        kind = (said["contender"], said["part"])
        if said["what"] == "turn":
            self.desk.take_turn(world)
            return "go"
        if said["what"] in ("turn is over", "turn is long"):
            self.desk.give_turn(world, schedule.Turns.part if said["what"] == "turn is long" else 0)
            return "thanks"
        return self.desk.next_case(kind, world) or ""

    def take(self, said):
        if said["event"] not in ("move", "void"):
            return
        world, name = said.pop("world"), said["contender"]
        self.desk.ended((name, said.pop("part")), world, said, all_contenders()[name].fast)
        if said["event"] == "void":
            self.void += 1
            return
        self.moves.append(said)
        print(table.line(said) + f" turns {self.desk.turns.taken / schedule.Turns.whole:.1f}/{self.desk.turns.allowed}", flush=True)
        if self.arguments.json and time.monotonic() - self.written > WRITE_SECONDS:
            self.write()

    def run(self):
        """Starts worlds as long as one is of use, and waits for them."""
        try:
            while True:
                kind = self.desk.may_start()
                with self.news:
                    if kind:
                        self.live.append(kind)
                        threading.Thread(target=self.follow, args=(kind,), daemon=True).start()
                    elif not self.live:
                        return
                    else:
                        self.news.wait(1)
        finally:
            self.family.end()

    def late_percent(self):
        """Of all frames of the moves that count, those more than 0.5 ms late; with more than one of a hundred the whole run is void."""
        frames = sum(one["late_us"]["frames"] for one in self.moves)
        return round(100 * sum(one["late_us"]["late"] for one in self.moves) / max(1, frames), 2)

    def write(self):
        """The document so far, with what FILE had before."""
        self.written = time.monotonic()
        loads = sorted(one["load"] for one in self.moves) or [0]
        late = sorted(one["late_us"]["p99"] for one in self.moves) or [0]
        session = {"begun": self.begun.strftime("%Y-%m-%dT%H:%M:%SZ"), "moves": len(self.moves), "void": self.void,
                   "minutes": round((datetime.datetime.now(datetime.UTC) - self.begun).total_seconds() / 60, 1),
                   "load_p50": loads[len(loads) // 2], "load_max": loads[-1], "late_us_p50": late[len(late) // 2], "late_us_max": late[-1],
                   "late_percent": self.late_percent(), "cores": os.cpu_count(), "side_by_side": self.desk.turns.allowed}
        table.write(self.arguments.json, "handover", self.arguments.topology, self.moves, session, self.before)


def parse(words):
    parser = argparse.ArgumentParser(prog="scripts/bench handover")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--more", action="store_true", help="add to what FILE has")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=240, help="no new move after that time")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--contender", nargs="+", choices=sorted(all_contenders()))
    parser.add_argument("--case", nargs="+", choices=sorted(set(cases.NAT_CASES + cases.PUBLIC_CASES)))
    parser.add_argument("--topology", choices=laboratory_world.TOPOLOGIES, default="plain")
    parser.add_argument("--worlds", type=int, default=WORLDS_PER_CORE * os.cpu_count())
    parser.add_argument("--side-by-side", type=int, default=TURNS_PER_CORE * os.cpu_count())
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--part", default=schedule.DIRECT, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.short:
        arguments.case = arguments.case or list(SHORT_CASES)
        arguments.contender = arguments.contender or list(SHORT_CONTENDERS)
    elif arguments.topology == "edge":
        arguments.case = arguments.case or list(EDGE_CASES)
        arguments.contender = arguments.contender or list(EDGE_CONTENDERS)
    arguments.rounds = arguments.rounds or (2 if arguments.short else ROUNDS)
    return arguments


def main():
    arguments = parse(sys.argv[1:])
    if arguments.child:
        return child(arguments)
    lock = laboratory.take_machine("bench")
    if not lock:
        return 2
    names = peers.those_at_hand(arguments.contender or list(all_contenders()))
    for name in names:
        for command in all_contenders()[name].commands:
            print(f"{name:26} $ {command}")
    bench = Bench(arguments, names)
    try:
        bench.run()
    finally:
        lock.close()
        if arguments.json and bench.moves:
            bench.write()
    table.show(bench.moves)
    print(f"{bench.late_percent()} % of all frames were more than 0.5 ms late" + (": void" if bench.late_percent() > 1 else ""))
    for name, why in bench.family.failures:
        print(f"bench: {name}: {why}", file=sys.stderr)
    return 0 if bench.moves else 1


if __name__ == "__main__":
    sys.exit(main())
