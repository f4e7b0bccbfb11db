"""The relay in the kernel beside a program there that has no table (R4), for the relay bench: frames that the kernel makes itself, on one
core, sent out of a veth whose other end drops them; and what the program alone takes for each.
"""
import os

import cable
import reference
import udp
from lab import demand
from reference import LAST_CORE, on_core

REFERENCE = "XDP swap R4"
AHEAD = ("chrt", "-f", "1")  # as the kernel's own work on frames is ahead of every program on its core
# IPv4, IPv6, with a rate to keep, and from one family to the other, whose frames are not sent: the kernel would have to make each anew.
CASES = ("v4", "v6", "limited", "crossed")
UNITS = {"rate": "kpps", "program": "ns a frame"}


class Swap(reference.Xdp):
    """R4, whose swap is the denominator of every case. The far end is the same for both: it drops."""

    name = REFERENCE
    commands = ("xdp-rate hold eth0   # right", f"taskset -c {LAST_CORE} {' '.join(AHEAD)} xdp-loops xdp_loops.bpf.o run eth0   # left")

    def start(self, cable):
        self.words = (*AHEAD, udp.loop("xdp-loops"), udp.loop("xdp_loops.bpf.o"))
        self.program = udp.loop(os.path.join("..", "xdp-rate"))
        for program in (udp.loop("xdp-loops"), self.program):
            demand(os.access(program, os.X_OK), f"{os.path.basename(program)} is not built: it needs clang, bpftool and libbpf")
        cable.right.start("xdp-rate", self.program, "hold", "eth0").wait_line("ready")
        self.measure_each()

    def measure_each(self):
        one = self.measure("swap", 0)
        return {f"{case} {metric}": one[metric] for case in CASES for metric in UNITS}


class InKernel(Swap):
    """Our program with one pair in its table."""

    name = "ours in XDP"
    commands = ("xdp-rate hold eth0   # right", f"taskset -c {LAST_CORE} {' '.join(AHEAD)} xdp-rate run eth0   # left")

    def measure_each(self):
        done = self.cable.left.run(*on_core(LAST_CORE, *AHEAD, self.program, "run", "eth0"), check=True, timeout=30)
        return read(done.stdout)


def read(text):
    """What xdp-rate says, by case and metric; a rate of 0 was not measured."""
    found = {}
    for case, rate, program in map(str.split, text.splitlines()):
        found[f"{case} program"] = float(program)
        if float(rate):
            found[f"{case} rate"] = float(rate) / 1000
    return found


def of_case(given, case):
    return {metric: given[f"{case} {metric}"] for metric in UNITS if f"{case} {metric}" in given}


def rows(results):
    """Rows of the relay bench, in which ours is ours."""
    made = []
    for case in CASES:
        one = {"ours" if name == InKernel.name else name: [of_case(given, case) for given in result] for name, result in results.items()}
        made += [row for row in cable.rows(f"xdp-{case}", one, UNITS) if row["ours"] is not None]
    return made


def measure(contenders, rounds):
    """All cases in one run of each program."""
    kernel = [one for one in contenders if isinstance(one, Swap)]
    if not kernel:
        return []
    print(f"-- {' '.join(f'xdp-{case}' for case in CASES)}", flush=True)
    return rows(cable.interleaved(kernel, rounds, lambda one: one.measure_each()))


KINDS = (Swap, InKernel)
