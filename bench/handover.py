"""How long nothing arrives when a machine changes its network: a probe every 2 ms in each direction, inside the overlay.

usage: scripts/bench handover [--json FILE] [--rounds N] [--case LETTER ...]     full form: 5 rounds of each case

M (behind NAT A or C) and K (behind NAT B); one way M-S 10, K-S 20, M-K 30 ms. Cases:
  a  M's old link loses its address, the new one gets one, in the same instant      d  both ends do that in the same instant
  b  the default route moves to the new link, the old one dies 2 s later            e  M's NAT forgets every mapping
  c  M's old router drops everything and says nothing; the other link is there
"""
import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "netns"))
sys.dont_write_bytecode = True
import lab as laboratory  # noqa: E402
from lab import Lab, LabError, demand, wait_for  # noqa: E402

PROBE_SECONDS = 0.002
PROBE_PORT = 9000
DELAYS_MS = {"A": 10, "B": 20, "C": 10}
STEADY_SECONDS = 0.5     # arrivals for that long mean that it goes on
GIVE_UP_SECONDS = 30
RANDOM_SECONDS = 4       # when within that time a move happens is drawn: else it would lock to somebody's timer


class Probe:
    """Datagrams from one node to another over the overlay, and when each arrived."""

    def __init__(self, source, target):
        self.name = f"{source.name}>{target.name}"
        self.sender, self.receiver = source.udp(source.v4), target.udp(target.v4, PROBE_PORT)
        self.to = (target.v4, PROBE_PORT)
        self.arrivals, self.sequences, self.sent = [], set(), 0
        self.sending_ended, self.ended = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        due = time.monotonic()
        while not self.sending_ended.is_set():
            with contextlib.suppress(OSError):
                self.sender.sendto(struct.pack("!Q", self.sent), self.to)
                self.sent += 1
            due += PROBE_SECONDS
            self.sending_ended.wait(max(due - time.monotonic(), 0))

    def receive(self):
        while not self.ended.is_set():
            try:
                bytes_, _ = self.receiver.recvfrom(64)
            except (socket.timeout, OSError):
                continue
            self.arrivals.append(time.monotonic())
            self.sequences.add(struct.unpack("!Q", bytes_)[0])

    def steady(self, since):
        """Have they come without a break for a while, the last of them just now?"""
        now = time.monotonic()
        recent = [at for at in self.arrivals[-2000:] if at > max(since, now - STEADY_SECONDS)]
        return now - since > STEADY_SECONDS and len(recent) > 0.5 * STEADY_SECONDS / PROBE_SECONDS and recent[0] < now - 0.8 * STEADY_SECONDS

    def gap_ms(self, since):
        """The longest silence from a moment before the move on."""
        times = [at for at in self.arrivals if at > since - 0.1]
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=float("inf")) * 1000

    def stop(self):
        """What is on its way still arrives."""
        self.sending_ended.set()
        self.ended.wait(STEADY_SECONDS)
        self.ended.set()
        for thread in self.threads:
            thread.join(2)
        self.sender.close()
        self.receiver.close()


def other(node):
    return "cell" if node.at == "home" else "home"


def case_a(lab):
    lab.a.move(other(lab.a))


def case_b(lab):
    """Make before break; what dies later must not be felt either."""
    old, new = lab.a.at, other(lab.a)
    lab.a.ip(*lab.a.lines_up(new, metric=10))
    timer = threading.Timer(2.0, lambda: lab.a.ip(*lab.a.lines_down(old)))
    timer.start()
    lab.a.at = new
    return timer


def case_c(lab):
    """The link is up and silent."""
    lab.nats[lab.a.links[lab.a.at].letter].nft("table ip silence {\n chain silent { type filter hook prerouting priority -500;\n  drop\n }\n}\n")


def case_d(lab):
    lab.move_together((lab.a, other(lab.a)), (lab.b, other(lab.b)))


def case_e(lab):
    lab.a.links[lab.a.at].forget()


CASES = {"a": case_a, "b": case_b, "c": case_c, "d": case_d, "e": case_e}


def before(lab, letter):
    if letter == "c":
        lab.a.ip(*lab.a.lines_up(other(lab.a), metric=500))


def after(lab, letter, waited_for):
    """Everything as it was, on other links perhaps."""
    if letter == "b" and waited_for:
        waited_for.join()
    if letter == "c":
        old, new = lab.a.at, other(lab.a)
        lab.a.ip(*lab.a.lines_down(old))
        lab.a.links[old].nft("table ip silence\ndelete table ip silence\n")
        lab.a.at = new


def one_round(lab, letter):
    """Gap in each direction, and what was lost of all that was sent."""
    probes = [Probe(lab.a, lab.b), Probe(lab.b, lab.a)]
    try:
        start = time.monotonic()
        wait_for("the probes to flow", lambda: all(probe.steady(start) for probe in probes), 20)
        threading.Event().wait(random.uniform(0, RANDOM_SECONDS))
        before(lab, letter)
        at = time.monotonic()
        pending = CASES[letter](lab)
        settle = 3.0 if letter == "b" else 0.0
        try:
            wait_for("the probes to flow again", lambda: time.monotonic() > at + settle and all(p.steady(at + 0.2) for p in probes), GIVE_UP_SECONDS)
            gaps = [probe.gap_ms(at) for probe in probes]
        except LabError:
            gaps = [float("inf")] * 2
        after(lab, letter, pending)
    finally:
        for probe in probes:
            probe.stop()
    lost = sum(probe.sent - len(probe.sequences) for probe in probes)
    return {"to_m": gaps[1], "to_k": gaps[0], "lost": lost}


def run(lab, letters, rounds):
    lab.s.serve()
    lab.a.join(lab.s.invite("--name", "a"))
    lab.b.join(lab.s.invite("--name", "b"))
    lab.a.ntm("ping", "b", "-c", "1", check=True)
    results = {letter: [] for letter in letters}
    for number in range(rounds):
        for letter in letters:
            lab.a.wait_path(lab.b, "direct", 40)
            result = one_round(lab, letter)
            results[letter].append(result)
            print(f"round {number}  case {letter}: gap K to M {result['to_m']:8.1f} ms   M to K {result['to_k']:8.1f} ms   "
                  f"lost {result['lost']}", flush=True)
    return results


def rows(results, rounds):
    made = []
    for letter, result in results.items():
        for key, metric in (("to_m", "gap-k-to-m"), ("to_k", "gap-m-to-k")):
            values = [run_[key] for run_ in result]
            finite = [value for value in values if value != float("inf")]
            made.append({"case": letter, "metric": metric, "unit": "ms", "ours": round(statistics.median(values), 1) if len(finite) == len(values) else None,
                         "peer": {}, "ratio": {}, "runs": rounds, "spread": [round(v, 1) for v in (min(finite), max(finite))] if finite else [],
                         "never": len(values) - len(finite)})
        made.append({"case": letter, "metric": "lost", "unit": "datagrams", "ours": statistics.median([r["lost"] for r in result]), "peer": {},
                     "ratio": {}, "runs": rounds})
    return made


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench handover")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", nargs="+", choices=sorted(CASES), default=sorted(CASES))
    arguments = parser.parse_args()
    lacks = laboratory.missing_capability()
    if lacks:
        print(f"bench: {lacks}", file=sys.stderr)
        return 2
    laboratory.end_on_signals()
    lock = laboratory.only_one_at_a_time()
    laboratory.clean_up_old_runs()
    try:
        with Lab("handover", delays=DELAYS_MS) as lab:
            results = run(lab, arguments.case, arguments.rounds)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        lock.close()
    print(f"\n{'case':6}{'gap K to M, ms':>24}{'gap M to K, ms':>24}{'lost':>8}")
    for letter, result in results.items():
        middle = {key: statistics.median([one[key] for one in result]) for key in ("to_m", "to_k", "lost")}
        print(f"{letter:6}{middle['to_m']:24.1f}{middle['to_k']:24.1f}{middle['lost']:8.0f}")
    demand(all(results.values()), "no rounds")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"schema": "ntm.bench/1", "bench": "handover", "rows": rows(results, arguments.rounds)}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
