"""One measured move of one contender, and a contender's whole series of them."""
import contextlib
import fcntl
import os
import random
import threading
import time

import children
import probe
from lab import LabError, wait_for
from world import World

RANDOM_SECONDS = 5       # when within that time a move happens is drawn: else it would lock to somebody's timer,
TURN_RANDOM_SECONDS = 2  # though who waits for a turn begins at a random time anyway
STREAM_SECONDS = 25      # a stream may need that much longer than the datagrams: its timer doubles each time
TURN_SECONDS = 3         # who is not back by then lets the next one have the machine
HOPELESS_MOVES = 2       # a contender that never came back from a kind of move that often is not asked again
FLIGHT_NS = 300_000_000
RARE = ("a-silent", "c-down", "c-up", "e-silent", "d-relay", "idle")  # only in every second round
STORIES = 2              # moves of a case whose probes are kept one by one


class Turn:
    """One fast contender is measured at a time, also across processes; slow ones do not care for a millisecond."""

    def __init__(self, path, wanted):
        self.file = open(path, "w", encoding="utf-8") if wanted else None

    def take(self):
        if self.file:
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def give(self):
        if self.file:
            fcntl.flock(self.file, fcntl.LOCK_UN)


def pause(seconds):
    threading.Event().wait(seconds)


def flows(pairs, case, kind):
    """The directions that are watched, by name."""
    if kind not in pairs:
        return {}
    pair = pairs[kind]
    return {"to_m": pair.to_m} if case.silent else {"to_m": pair.to_m, "to_k": pair.to_k}


def wait_steady(watched, since_ns, seconds, until=None):
    """Whether all of them flow without a break before the time is over; until() is called while waiting."""
    def steady():
        if until:
            until()
        return all(flow.steady(since_ns) for flow in watched)
    try:
        wait_for("probes to flow", steady, seconds)
    except LabError:
        return False
    return True


def recovered(pairs, case, at_ns, turn):
    """Waits for the end of a move's consequences: first the datagrams, then the stream."""
    def let_others():
        if time.monotonic_ns() - at_ns > TURN_SECONDS * 1e9 + case.settle_seconds * 1e9:
            turn.give()
    pause(case.settle_seconds)
    main = list(flows(pairs, case, "udp").values()) or list(flows(pairs, case, "tcp").values())
    back = wait_steady(main, at_ns + 200_000_000, case.give_up_seconds, let_others)
    if back and "udp" in pairs and "tcp" in pairs:
        wait_steady(flows(pairs, case, "tcp").values(), at_ns + 200_000_000, STREAM_SECONDS, let_others)
    return back


def outcome(pairs, case, at_ns, end_ns):
    """What one move did to each direction."""
    result = {}
    for way, flow in flows(pairs, case, "udp").items():
        lost, doubled = flow.lost(at_ns - 200_000_000, end_ns - FLIGHT_NS)
        gap = flow.gap_ms(at_ns, end_ns)
        alive = flow.steady_end(end_ns)
        result[way] = {"gap_ms": gap if alive else None, "lost": lost, "doubled": doubled}
    for way, flow in flows(pairs, case, "tcp").items():
        stall = flow.gap_ms(at_ns, end_ns) if flow.steady_end(end_ns) else None
        result.setdefault(way, {}).update({"stall_ms": stall, "stream": flow.target.state})
    return result


def socket_counters(pairs):
    if "tcp" not in pairs:
        return {}
    ends = (pairs["tcp"].m, pairs["tcp"].k)
    return {"timeouts": sum(end.timeouts for end in ends), "retransmits": sum(end.retransmits for end in ends)}


def namespace_counters(world):
    ends = [probe.tcp_counters(host) for host in (world.m, world.k)]
    return {name: sum(end[name] for end in ends) for name in ends[0]}


def difference(after, before):
    return {name: value - before[name] for name, value in after.items()}


def measure(world, contender, case, turn, story):
    """One move, from quiet to quiet. The result is what the document's rows are made of."""
    contender.settle(world, case.relay)
    turn.take()
    pairs = contender.open_probes(world, case)
    try:
        watched = [flow for kind in pairs for flow in flows(pairs, case, kind).values()]
        if not wait_steady(watched, time.monotonic_ns(), 45):
            raise LabError(f"{contender.name}: the probes never flowed before case {case.name}")
        contender.settle(world, case.relay)
        pause(random.uniform(0, TURN_RANDOM_SECONDS if contender.fast else RANDOM_SECONDS))
        case.before(world)
        pause(1.0 if case.needs_spare else 0.0)
        before, before_own = namespace_counters(world), socket_counters(pairs)
        world.emulator.reset()
        at_ns = time.monotonic_ns()
        case.do(world)
        back = recovered(pairs, case, at_ns, turn)
        end_ns = time.monotonic_ns()
        result = outcome(pairs, case, at_ns, end_ns)
        result.update(back=back, load=round(os.getloadavg()[0], 2), namespaces=difference(namespace_counters(world), before),
                      sockets=difference(socket_counters(pairs), before_own), void=world.emulator.void(),
                      late_us=world.emulator.stats()["late_us"])
        if story and "udp" in pairs:
            result["story"] = {way: flow.story(at_ns) for way, flow in flows(pairs, case, "udp").items()}
        case.after(world)
    finally:
        for pair in pairs.values():
            pair.close()
        turn.give()
    return result


class Series:
    """All moves of one contender in one world, said as they happen: one JSON object a line."""

    def __init__(self, contender, topology, turn_path):
        self.contender, self.topology = contender, topology
        self.turn = Turn(turn_path, contender.fast)
        self.hopeless, self.last = {}, "the start"

    def say(self, **what):
        children.say(self.contender.name, **what)

    def run(self, names, rounds, seconds):
        """Rounds of the direct cases, then of those by relay, each in an order of its own; as many as the time allows."""
        with World(self.contender.__module__.rsplit(".", maxsplit=1)[-1], self.contender.public, self.topology) as world:
            self.contender.start(world)
            self.say(event="started")
            parts = [part for part in ([n for n in names if "-relay" not in n], [n for n in names if "-relay" in n]) if part]
            for number, part in enumerate(parts):
                if "-relay" in part[0]:
                    world.cut_direct()
                share = seconds * len(part) / len(names)
                self.rounds(world, part, rounds, time.monotonic() + share)

    def rounds(self, world, names, rounds, deadline):
        for number in range(rounds):
            for name in random.sample(names, len(names)):
                if time.monotonic() > deadline:
                    return
                if self.hopeless.get(name, 0) >= HOPELESS_MOVES or (name in RARE and number % 2):
                    continue
                self.one(world, name, number)

    def one(self, world, name, number):
        case = self.contender.make_case(name)
        try:
            result = measure(world, self.contender, case, self.turn, number < STORIES)
        except LabError as error:
            self.say(event="void", case=name, round=number, why=f"{error} (before case {name}, after {self.last})")
            self.put_right(world)
            return
        if not result["back"]:
            self.hopeless[name] = self.hopeless.get(name, 0) + 1
        self.last = name
        if result["void"]:
            self.say(event="void", case=name, round=number, why=f"{result['void']} (case {name})")
            return
        self.say(event="move", case=name, round=number, **result)

    def put_right(self, world):
        """After a move that could not be measured: at home, on one link, nothing silenced."""
        for node in (world.m, world.k):
            for label in node.links:
                with contextlib.suppress(LabError):
                    node.ip(*node.lines_down(label))
            node.at = None
            node.attach(next(iter(node.links)))
        for nat in world.nats.values():
            nat.speak()
