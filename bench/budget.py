"""Where the time goes: one case of the throughput bench while the whole machine is sampled, as CPU seconds a GB by program and by function.
What a copy loop spends beside ours in the same function is what moving bytes costs; the rest is the tunnel's.

usage: scripts/bench budget [--json FILE] [--rounds N] [--seconds S] [--case NAME] [--wire NAME] [--contender NAME ...] [--top N]
"""
import collections
import os
import signal
import subprocess
import sys

import cable
import throughput
from lab import demand
from tunnels import add_choice, run

SAMPLES_PER_SECOND = 1997   # not in step with anything that happens a thousand times a second
CONTENDERS = ("copy loop R1", "ours")
IDLE = ("idle", "halt", "cpu_startup_entry", "do_idle")
FIELDS = "sample,pid,comm,dso,sym"


def parse_report(text):
    """(samples, thread, program, kernel or not, function) of each line of a perf report; idle ones are left out."""
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 5 or not parts[0].isdigit():
            continue
        samples, thread, program, place, function = parts
        name = function.removeprefix("[k] ").removeprefix("[.] ")
        number = int(thread.split(":")[0])
        if number == 0 and any(word in name for word in IDLE):
            continue
        yield int(samples), number, program, place.startswith("[k") or function.startswith("[k]"), name


def threads_of(daemons):
    """What perf calls their processes: all threads."""
    return {int(thread) for daemon in daemons for thread in os.listdir(f"/proc/{daemon.pid}/task")}


def whose(thread, program, daemons):
    """Which part of the work a sample is of: the daemons, the program that sends and receives, what the kernel does on nobody's account."""
    if thread in daemons:
        return "daemons"
    if program == "iperf3":
        return program
    return "kernel threads" if thread == 0 or program.startswith(("kworker", "ksoftirqd", "napi")) else "others"


def sampled(contender, arguments):
    """One run of the case under perf: its result, and what perf says of it."""
    path = contender.cable.path("perf.data")
    words = ["perf", "record", "-q", "-a", "-F", str(SAMPLES_PER_SECOND), "-e", "cpu-clock", "-o", path]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as perf:
        try:
            result = throughput.measure(contender, arguments.case, arguments.seconds)
        finally:
            perf.send_signal(signal.SIGINT)
    words = ["perf", "report", "-i", path, "--stdio", "--no-children", "-g", "none", "-F", FIELDS, "--field-separator=|", "-q"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    os.remove(path)
    demand(done.returncode == 0, f"perf report: {done.stderr[-300:]}")
    return result, done.stdout


def account(report, daemons, gigabytes):
    """CPU seconds a GB: {(part, "user" or "kernel"): s}, and {(part, function): s}."""
    parts, functions = collections.Counter(), collections.Counter()
    for samples, thread, program, kernel, name in parse_report(report):
        spent = samples / SAMPLES_PER_SECOND / gigabytes
        part = whose(thread, program, daemons)
        parts[part, "kernel" if kernel else "user"] += spent
        functions[part, name] += spent
    return parts, functions


class Budget:
    """Of all rounds of all contenders: what each spent in which function."""

    def __init__(self, arguments):
        self.arguments, self.functions = arguments, {}

    def measure(self, contender):
        result, report = sampled(contender, self.arguments)
        gigabytes = result["rate"] / 8 * max(1, round(self.arguments.seconds))
        parts, functions = account(report, threads_of(contender.daemons), gigabytes)
        self.functions.setdefault(contender.name, []).append(functions)
        return {"rate": result["rate"], **{f"{part} {mode}": spent for (part, mode), spent in sorted(parts.items())}}

    def show(self):
        """The functions that cost most in any contender, beside each other; mean of the rounds that count. Other
        programs are left out."""
        names = list(self.functions)
        means = {}
        for name, rounds in self.functions.items():
            counted = rounds[1:] or rounds
            means[name] = {key: sum(one[key] for one in counted) / len(counted) for key in set().union(*counted)}
        keys = sorted((key for key in set().union(*means.values()) if key[0] != "others"), key=lambda key: -max(mean.get(key, 0) for mean in means.values()))
        print(f"\n{'CPU s/GB':16} {'function':40} " + " ".join(f"{name:>14}" for name in names))
        for key in keys[:self.arguments.top]:
            print(f"{key[0]:16} {key[1][:40]:40} " + " ".join(f"{means[name].get(key, 0):14.4f}" for name in names))


def body(contenders, arguments):
    budget = Budget(arguments)
    for contender in contenders:
        contender.cable.set_wire(arguments.wire)
        contender.settle()
    results = cable.interleaved(contenders, arguments.rounds, budget.measure)
    budget.show()
    metrics = sorted({metric for result in results.values() for one in result for metric in one})
    return cable.rows(f"{arguments.case}/{arguments.wire}", results,
                      {metric: "Gbit/s" if metric == "rate" else "s/GB" for metric in metrics})


def parse():
    parser = add_choice(cable.options("budget", rounds=3), CONTENDERS)
    parser.add_argument("--case", choices=tuple(throughput.TCP_CASES), default="tcp-1")
    parser.add_argument("--wire", choices=tuple(cable.WIRES), default="whole")
    parser.add_argument("--top", type=int, default=40, help="so many functions are shown")
    return parser.parse_args()


def main():
    return run("budget", parse(), body)


if __name__ == "__main__":
    sys.exit(main())
