"""Who moves next, and how many moves are measured side by side.

A contender has one world or several, each a process. A world asks for its next case, and for a turn when it is about to measure: cells
that are full get no more moves, and as many worlds measure at once as the emulated wires bear without being late.
"""
import random
import threading
import time

HOPELESS_MOVES = 2        # a contender that never came back from a kind of move that often is not asked again
FAILURES_MAX = 3          # worlds of one kind that could not be started
SPOILT_PER_ROUND = 2      # moves of a cell that were void, for each that is wanted
LATE_US_MAX, LATE_US_GOOD = 300, 200  # p99 of the wires before a move; a move is void at 1000 all in all (move.py)
SPARE_MIN, SPARE_GOOD = 0.1, 0.3  # of the processors' time: with less there are too many turns; with more whatever is late is not our doing
JITTER_US_MAX = 1500      # p99 - p50 of a fast contender's probe before a move: what its daemons wait for the processor
GUESS_SECONDS = {"Nebula": 40, "Tailscale": 12, "iroh": 8}  # of a move, until one was measured
USUAL_SECONDS = 4
WEIGHTS = {"ours": 2, "ours (K public)": 2}  # who gets more than its share of worlds while time is short
MOVES_WORTH = 2           # for each world that there is; with fewer missing nobody starts another one
DIRECT, RELAY = "direct", "relay"


def part_of(case):
    """A world has direct ways between the two ends, or none."""
    return RELAY if "-relay" in case else DIRECT


class Cell:
    """The moves of one contender in one case."""

    def __init__(self, contender, case, rounds, done=0, never=0):
        self.contender, self.case, self.rounds = contender, case, rounds
        self.done, self.never, self.under_way, self.spoilt = done, never, 0, 0
        self.seconds = GUESS_SECONDS.get(contender, USUAL_SECONDS)

    def missing(self):
        if self.never >= HOPELESS_MOVES or self.spoilt >= SPOILT_PER_ROUND * self.rounds + HOPELESS_MOVES:
            return 0
        wanted = HOPELESS_MOVES if self.never and self.never == self.done else self.rounds
        return max(0, wanted - self.done - self.under_way)


class Plan:
    """All cells. Not for several threads at once: Desk sees to that."""

    def __init__(self, cells, deadline, clock=time.monotonic):
        self.cells, self.deadline, self.clock = cells, deadline, clock
        self.failures = {}

    def open_cells(self, contender, part):
        return [cell for cell in self.cells if cell.contender == contender and part_of(cell.case) == part and cell.missing()]

    def next_case(self, contender, part):
        """One of the emptiest cells, or None when there is nothing more to do."""
        found = self.open_cells(contender, part) if self.clock() < self.deadline else []
        if not found:
            return None
        least = min(cell.done + cell.under_way for cell in found)
        cell = random.choice([cell for cell in found if cell.done + cell.under_way == least])
        cell.under_way += 1
        return cell.case

    def ended(self, contender, case, seconds, back):
        """A move is over: back says whether the contender came back; None that the move does not count."""
        cell = next(cell for cell in self.cells if (cell.contender, cell.case) == (contender, case))
        cell.under_way -= 1
        cell.seconds = (cell.seconds * 3 + seconds) / 4 if cell.done else seconds
        if back is None:
            cell.spoilt += 1
        else:
            cell.done += 1
            cell.never += not back

    def left_seconds(self, contender, part):
        return sum(cell.missing() * cell.seconds for cell in self.open_cells(contender, part))

    def neediest(self, worlds):
        """(contender, part) that a further world helps most; worlds: how many each has. None where no world is of use."""
        if self.clock() >= self.deadline:
            return None
        need = {}
        for kind in sorted({(cell.contender, part_of(cell.case)) for cell in self.cells}):
            there, missing = worlds.get(kind, 0), sum(cell.missing() for cell in self.open_cells(*kind))
            if missing > MOVES_WORTH * there and self.failures.get(kind, 0) < FAILURES_MAX:
                need[kind] = WEIGHTS.get(kind[0], 1) * self.left_seconds(*kind) / (there + 0.01)
        return max(need, key=need.get, default=None)


class Processors:
    """Which share of their time was left since that was last asked."""

    def __init__(self, path="/proc/stat"):
        self.path, self.last = path, (0, 0)

    def spare(self):
        with open(self.path, encoding="ascii") as file:
            times = [int(word) for word in file.readline().split()[1:9]]
        idle, every = times[3] + times[4], sum(times)
        before, self.last = self.last, (idle, every)
        return (idle - before[0]) / max(1, every - before[1])


class Turns:
    """How many measure at once, a few at least: one more after a row of good moves, one less after a bad one. A world that has waited long for its
    contender to come back holds only a part of its turn: little passes there."""

    whole, part = 3, 1

    def __init__(self, most, least):
        self.most, self.least, self.allowed, self.taken, self.good = most, min(least, most), min(least, most), 0, 0
        self.news = threading.Condition()

    def take(self):
        with self.news:
            self.news.wait_for(lambda: self.taken + self.whole <= self.allowed * self.whole)
            self.taken += self.whole

    def give(self, share):
        with self.news:
            self.taken -= share
            self.news.notify_all()

    def judge(self, late_us, jitter_us, spare):
        """One move's lateness, and what the processors had left since the one before, decide about the next ones."""
        late = late_us > LATE_US_MAX or jitter_us > JITTER_US_MAX
        bad = spare < SPARE_MIN or late and spare < SPARE_GOOD
        with self.news:
            self.good = 0 if bad else self.good + (late_us <= LATE_US_GOOD or spare >= SPARE_GOOD)
            if bad:
                self.allowed = max(self.least, self.allowed - 1)
            elif self.good >= 3 * self.allowed and self.allowed < self.most:
                self.allowed, self.good = self.allowed + 1, 0
            self.news.notify_all()


class Desk:
    """Answers what worlds ask: one thread a world comes here."""

    def __init__(self, plan, turns, most_worlds):
        self.plan, self.turns, self.most_worlds = plan, turns, most_worlds
        self.lock = threading.Lock()
        self.worlds = {}   # (contender, part): how many there are
        self.began = {}    # world: (case, when)
        self.processors = Processors()
        self.holders = {}  # world: how much of a turn it has

    def may_start(self):
        """The kind of the next world, which counts as there from now on; None where there are enough."""
        with self.lock:
            if sum(self.worlds.values()) >= self.most_worlds:
                return None
            kind = self.plan.neediest(self.worlds)
            if kind:
                self.worlds[kind] = self.worlds.get(kind, 0) + 1
            return kind

    def take_turn(self, world):
        self.turns.take()
        with self.lock:
            self.holders[world] = self.turns.whole

    def give_turn(self, world, left=0):
        """All of it, or all but a part."""
        with self.lock:
            held = self.holders.pop(world, 0)
            if held and left:
                self.holders[world] = left
        if held > left:
            self.turns.give(held - left)

    def gone(self, kind, world, failed):
        """A world has ended, perhaps in the middle of something."""
        self.give_turn(world)
        with self.lock:
            self.worlds[kind] -= 1
            if failed:
                self.plan.failures[kind] = self.plan.failures.get(kind, 0) + 1
            if world in self.began:
                case, when = self.began.pop(world)
                self.plan.ended(kind[0], case, time.monotonic() - when, None)

    def next_case(self, kind, world):
        with self.lock:
            case = self.plan.next_case(*kind)
            if case:
                self.began[world] = (case, time.monotonic())
            return case

    def ended(self, kind, world, move, fast):
        """A move, or one that does not count (move["void"] says why)."""
        with self.lock:
            case, when = self.began.pop(world)
            self.plan.ended(kind[0], case, time.monotonic() - when, None if move.get("void") else move["back"])
        if "late_us" in move:
            self.turns.judge(move["late_before_us"], move["jitter_us"] if fast else 0, self.processors.spare())
