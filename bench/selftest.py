"""Tests of the ruler itself: the probe over loopback, how its log is read, gaps and losses of made-up logs, quantiles, the page.

usage: python3 bench/selftest.py DIRECTORY-OF-PROBE
"""
import os
import struct
import subprocess
import sys
import tempfile
import unittest

from world import ROOT  # first: it says where the lab is
import probe
import report
import table
from lab import wait_for

PROGRAM = os.path.join(sys.argv.pop(1) if len(sys.argv) > 1 else os.path.join(ROOT, "build", "meson", "bench"), "probe")
MS = 1_000_000
# Of this process alone, so that several runs at once do not hear each other.
HERE, THERE = [f"127.{first + os.getpid() // 65536 % 100}.{os.getpid() // 256 % 256}.{os.getpid() % 256}" for first in (10, 120)]


def made_log(folder, name, sent_ns=(), arrivals=()):
    """A log as probe.c would leave it."""
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(struct.pack("=8Q", probe.MAGIC, probe.CAPACITY, 1, len(sent_ns), len(arrivals), 0, 0, 0))
        file.truncate(probe.LOG_BYTES)
        file.seek(probe.SENT_AT)
        file.write(struct.pack(f"={len(sent_ns)}Q", *sent_ns))
        file.seek(probe.ARRIVED_AT)
        for arrival in arrivals:
            file.write(struct.pack("=2Q", *arrival))
    return probe.Log(path)


class Reading(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def flow(self, sent_ms, arrivals_ms):
        """Probes by the ms when they left and [number, ms] of each arrival; a second begins the clock."""
        source = made_log(self.folder, "source", [1000 * MS + ms * MS if ms is not None else 0 for ms in sent_ms])
        target = made_log(self.folder, "target", arrivals=[(number, 1000 * MS + ms * MS) for number, ms in arrivals_ms])
        return probe.Flow(source, target)

    def test_gap(self):
        flow = self.flow(range(0, 20, 2), [(0, 30), (1, 32), (5, 95), (6, 97)])
        self.assertEqual(flow.gap_ms(1040 * MS), 63)
        self.assertIsNone(flow.gap_ms(1098 * MS), "nothing came after the move")

    def test_lost_and_doubled(self):
        flow = self.flow([0, 2, None, 6, 8], [(0, 30), (3, 36), (3, 37)])
        self.assertEqual(flow.lost(1000 * MS, 1010 * MS), (2, 1), "1 and 4 are lost, 2 was never sent, 3 came twice")
        self.assertEqual(flow.lost(1007 * MS, 1010 * MS), (1, 1))

    def test_story(self):
        flow = self.flow([0, 2, 4], [(0, 30), (2, 64)])
        self.assertEqual(flow.story(1002 * MS), [[-2.0, 30.0], [0.0, None], [2.0, 60.0]])


class Loopback(unittest.TestCase):
    def run_pair(self, first, second, *, after=""):
        """Both ends until each has a hundred of the other's; their logs."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        paths = [os.path.join(folder, name) for name in ("first", "second")]
        processes = []
        for path, words in zip(paths, (first, second)):
            processes.append(subprocess.Popen([PROGRAM, path, *words], stdout=subprocess.PIPE, text=True))
            if after and len(processes) == 1:
                self.assertIn(after, processes[0].stdout.readline())
        logs = [probe.Log(path) for path in paths]
        wait_for("a hundred probes each way", lambda: all(log.received >= 100 for log in logs), 20)
        self.states = [log.state for log in logs]  # before one ends: the other may still be sending to it
        for process in reversed(processes):
            process.terminate()
            process.wait(10)
            process.stdout.close()
        return logs

    def check(self, logs):
        for log, other in (logs, logs[::-1]):
            numbers = [number for number, _ in log.arrivals()]
            self.assertEqual(sorted(set(numbers)), sorted(numbers), "none twice")
            sent = other.sent_ns()
            self.assertTrue(all(sent[number] <= at for number, at in log.arrivals()), "none arrives before it left")

    def test_datagrams(self):
        self.check(self.run_pair(["udp", HERE, THERE, "29971"], ["udp", THERE, HERE, "29971"]))

    def test_stream(self):
        logs = self.run_pair(["tcp", "listen", HERE, "29972"], ["tcp", "connect", HERE, "29972"], after="listening")
        self.assertEqual([number for number, _ in logs[0].arrivals()], list(range(logs[0].received)))
        self.assertEqual(self.states, ["open", "open"])


class Documents(unittest.TestCase):
    def test_quantile(self):
        self.assertEqual([table.quantile([5, 1, 3, 2, 4], share) for share in (0.5, 0.99, 1)], [3, 5, 5])
        self.assertEqual(table.quantile([7, None, 8], 0.5), 8)
        self.assertIsNone(table.quantile([7, None, 8], 1), "who never came back is the longest")

    def test_markers(self):
        page = "before\n<!-- x: made by bench/report.py -->\nold\n<!-- x: end -->\nafter\n"
        self.assertEqual(report.replace(page, "x", ["new"]), page.replace("old", "new"))


if __name__ == "__main__":
    unittest.main()
