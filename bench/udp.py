"""UDP through a contender: a flow at a rate, and the highest rate that loses under 1 %."""
import collections
import itertools
import math
import os

import lab as laboratory
from lab import demand

LOSS_MAX = 0.01
FLOOR, STEPS = 64, 7    # the search after the first look: within 4 % between this part and the whole of what a sender can do
PORT = 7600
FREE_PORTS = itertools.cycle(range(PORT, PORT + 100))   # what comes late of one flow does not count for the next
# size: payload of a datagram; burst: datagrams in a call; trains: one call is one train (UDP_SEGMENT), else sendmmsg.
Shape = collections.namedtuple("Shape", "size burst trains")


def loop(name):
    """Where a program of bench/loops is."""
    return os.path.join(laboratory.BUILD, "meson", "bench", "loops", name)


def load_words(shape, rate, seconds):
    """How udp-load is told to send."""
    return ["send", "-s", str(shape.size), "-b", str(shape.burst), "-r", f"{rate:.0f}", "-t", f"{seconds * 1000:.0f}",
            *(["-g"] if shape.trains else [])]


def flow(source, target, address, shape, rate, seconds, *, port=None, to=None, own=None, core=None):
    """Sends at a rate (0: as fast as it goes) from one host to another: datagrams offered and received a second, bytes, the share that is
    lost. What a queue still holds when the sender has ended comes later, and so at a lower rate. to: where it is sent to when something
    forwards it to address; own: the sender's address; core: where both are to stay."""
    port = port or next(FREE_PORTS)
    program = [*(["taskset", "-c", str(core)] if core is not None else []), loop("udp-load")]
    sink = target.start("udp-sink", *program, "sink", *(["-g"] if shape.trains else []), f"{address}:{port}")
    sink.wait_line("ready")
    words = [*load_words(shape, rate, seconds), *(["-l", own] if own else []), to or f"{address}:{port}"]
    done = source.run(*program, *words, check=True, timeout=seconds + 30)
    sent, _, sent_us = map(int, done.stdout.split()[1:])
    received, size, received_us = map(int, sink.wait_line(r"received (\d+) (\d+) (\d+)", 20).groups())
    sink.wait(10)
    demand(sent > 0 and sent_us > 0, "nothing was sent")
    return {"offered": sent * 1e6 / sent_us, "received": received * 1e6 / max(sent_us, received_us), "bytes": size,
            "loss": max(0, 1 - received / sent)}


def highest(measure, steps=STEPS):
    """Of all that measure(rate) gave, the one with the highest rate at a loss under 1 %, or None: once as fast as the sender can, and where
    that loses more, between a FLOORth of it and the whole by halves of the ratio."""
    first = measure(0)
    if first["loss"] < LOSS_MAX:
        return first
    low, high, best = first["offered"] / FLOOR, first["offered"], None
    for _ in range(steps):
        rate = math.sqrt(low * high)
        one = measure(rate)
        if one["loss"] < LOSS_MAX:
            low, best = rate, one
        else:
            high = rate
    return best
