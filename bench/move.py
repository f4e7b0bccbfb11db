"""One measured move of one contender, and a contender's whole series of them."""
import contextlib
import os
import random
import threading
import time

import children
import probe
from lab import LabError, wait_for
from schedule import RELAY
from world import World

RANDOM_SECONDS = 5       # when within that time a move happens is drawn: else it would lock to somebody's timer,
RANDOM_SECONDS_FAST = 2  # though who comes back at once waits for a turn besides;
PROBED_SECONDS = 0.5     # so much of it is drawn while probes flow
STREAM_SECONDS = 25      # a stream may need that much longer than the datagrams: its timer doubles each time
TURN_SECONDS = 3         # who is not back by then lets the next one have the machine
LATE_P99_US_MAX = 1000    # half of what lies between two probes, which is as exact as a gap is known
FLIGHT_NS = 300_000_000
QUIET_NS = 500_000_000   # of the time before a move: what a probe's way varies when nothing happens
STORIES = 3              # moves of a case and world whose probes are kept one by one


class Turn:
    """The right to measure now: others do at the same time, as many as the machine bears."""

    def __init__(self, name, part):
        self.name, self.part, self.held, self.lent = name, part, False, False

    def take(self):
        if not self.held and not children.ask(self.name, "turn", part=self.part):
            raise SystemExit("nobody answers")
        self.held = True

    def give(self):
        if self.held:
            children.ask(self.name, "turn is over", part=self.part)
        self.held = self.lent = False

    def lend(self):
        """Others may measure while this contender does not come back."""
        if self.held and not self.lent:
            children.ask(self.name, "turn is long", part=self.part)
            self.lent = True


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
    """Waits for the end of a move's consequences: first the datagrams, then the stream. Returns whether it came, and when each ended."""
    def let_others():
        if time.monotonic_ns() - at_ns > TURN_SECONDS * 1e9 + case.settle_seconds * 1e9:
            turn.lend()
    pause(case.settle_seconds)
    main = list(flows(pairs, case, "udp").values()) or list(flows(pairs, case, "tcp").values())
    back = wait_steady(main, at_ns + 200_000_000, case.give_up_seconds, let_others)
    ends = dict.fromkeys(pairs, time.monotonic_ns())
    if back and "udp" in pairs and "tcp" in pairs:
        streams = flows(pairs, case, "tcp").values()
        if not wait_steady(streams, at_ns + 200_000_000, TURN_SECONDS, let_others) and pairs["tcp"].processes:
            pairs["udp"].end_sending()  # all is known about it; the stream's timer may run for half a minute yet
            wait_steady(streams, at_ns + 200_000_000, STREAM_SECONDS, let_others)
        ends["tcp"] = time.monotonic_ns()
    return back, ends


def outcome(pairs, case, at_ns, ends):
    """What one move did to each direction."""
    result, end_ns = {}, ends.get("udp")
    for way, flow in flows(pairs, case, "udp").items():
        lost, doubled = flow.lost(at_ns - 200_000_000, end_ns - FLIGHT_NS)
        gap = flow.gap_ms(at_ns, end_ns)
        alive = flow.steady_end(end_ns)
        result[way] = {"gap_ms": gap if alive else None, "lost": lost, "doubled": doubled}
    end_ns = ends.get("tcp")
    for way, flow in flows(pairs, case, "tcp").items():
        stall = flow.gap_ms(at_ns, end_ns) if flow.steady_end(end_ns) else None
        result.setdefault(way, {}).update({"stall_ms": stall, "broken": int(flow.target.state == "broken")})
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


def jitter_us(pairs, case, at_ns):
    """How much a probe's way varied just before a move: what programs wait for the processor, and for each other."""
    found = [flow.jitter_us(at_ns - FLIGHT_NS - QUIET_NS, at_ns - FLIGHT_NS) for flow in flows(pairs, case, "udp").values()]
    return round(max(found, default=0))


def opened(world, contender, case):
    """The probes of a move; where one does not open none goes on, or it would be in the way of all that follow."""
    before = len(world.processes)
    try:
        return contender.open_probes(world, case)
    except LabError:
        for process in world.processes[before:]:
            process.stop()
        raise


def measure(world, contender, case, turn, story):
    """One move, from quiet to quiet. A turn lasts as long as probes flow."""
    contender.settle(world, case.relay)
    pause(random.uniform(0, RANDOM_SECONDS_FAST if contender.fast else RANDOM_SECONDS))
    turn.take()
    try:
        world.emulator.reset()
        pairs = opened(world, contender, case)
        try:
            return observed(world, contender, case, turn, pairs, story)
        finally:
            for pair in pairs.values():
                pair.close()
    finally:
        turn.give()


def observed(world, contender, case, turn, pairs, story):
    """What becomes of the probes. The result is what the document's rows are made of."""
    watched = [flow for kind in pairs for flow in flows(pairs, case, kind).values()]
    if not wait_steady(watched, time.monotonic_ns(), 45):
        raise LabError(f"{contender.name}: the probes never flowed before case {case.name}")
    contender.settle(world, case.relay)
    pause(random.uniform(0, PROBED_SECONDS))
    late_before_us = world.emulator.stats()["late_us"]["p99"]
    case.before(world)
    pause(1.0 if case.needs_spare else 0.0)
    before, before_own = namespace_counters(world), socket_counters(pairs)
    at_ns = time.monotonic_ns()
    case.do(world)
    back, ends = recovered(pairs, case, at_ns, turn)
    result = outcome(pairs, case, at_ns, ends)
    result.update(back=back, load=round(os.getloadavg()[0], 2), namespaces=difference(namespace_counters(world), before),
                  sockets=difference(socket_counters(pairs), before_own), void=world.emulator.void(LATE_P99_US_MAX),
                  late_us=world.emulator.stats()["late_us"], late_before_us=late_before_us,
                  jitter_us=jitter_us(pairs, case, at_ns))
    if story and "udp" in pairs:
        result["story"] = {way: flow.story(at_ns) for way, flow in flows(pairs, case, "udp").items()}
    case.after(world)
    return result


class Series:
    """Moves of one contender in one world, said as they happen: one JSON object a line. Which ones, the parent says."""

    def __init__(self, contender, topology, part):
        self.contender, self.topology, self.part = contender, topology, part
        self.turn, self.last, self.told = Turn(contender.name, part), "the start", {}

    def say(self, **what):
        children.say(self.contender.name, part=self.part, **what)

    def run(self):
        with World(self.contender.__module__.rsplit(".", maxsplit=1)[-1], self.contender.public, self.topology) as world:
            self.contender.start(world)
            if self.part == RELAY:
                world.cut_direct()
            self.say(event="started")
            while True:
                case = children.ask(self.contender.name, "case", part=self.part)
                if not case:
                    return
                self.one(world, case)

    def one(self, world, name):
        self.told[name] = self.told.get(name, 0) + 1
        try:
            result = measure(world, self.contender, self.contender.make_case(name), self.turn, self.told[name] <= STORIES)
        except LabError as error:
            self.say(event="void", case=name, void="not measured", why=f"{error} (before case {name}, after {self.last})")
            self.put_right(world)
            return
        self.last = name
        if result["void"]:
            self.say(event="void", case=name, why=f"{result['void']} (case {name})", **{key: result[key] for key in (
                "void", "late_us", "late_before_us", "jitter_us", "back")})
            return
        self.say(event="move", case=name, **result)

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
