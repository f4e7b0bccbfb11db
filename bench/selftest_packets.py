"""Tests of what asks for round trips, over loopback, and of what is made of small packets, of round trips and of idle daemons.

usage: python3 bench/selftest_packets.py DIRECTORY-OF-PROGRAMS
"""
import os
import subprocess
import sys
import threading
import unittest

from world import ROOT  # first: it says where the lab is
import latency
import limits
import memory
import small
import tunnels

PROGRAMS = sys.argv.pop(1) if len(sys.argv) > 1 else os.path.join(ROOT, "build", "meson", "bench")
# Of this process alone, so that several runs at once do not hear each other.
HERE = f"127.{30 + os.getpid() // 65536 % 100}.{os.getpid() // 256 % 256}.{os.getpid() % 256}"
PORT = "9100"


def program(name):
    return os.path.join(PROGRAMS, name)


def run(name, *words):
    return subprocess.run([program(name), *words], capture_output=True, text=True, timeout=60, check=False)


class Programs(unittest.TestCase):
    def start(self, name, *words):
        """One that says "ready" when it listens."""
        process = subprocess.Popen([program(name), *words], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_round_trips(self):
        self.start("ping-pong", "answer", HERE, PORT)
        answered, lost, p50, p99, largest, mean = map(int, run("ping-pong", "ask", HERE, PORT, "50", "1000", "36").stdout.split())
        self.assertEqual((answered, lost), (50, 0))
        self.assertTrue(0 < p50 <= p99 <= largest and 0 < mean <= largest)

    def test_nobody_answers(self):
        done = run("ping-pong", "ask", HERE, PORT, "50", "1000", "36")
        self.assertEqual((done.returncode, done.stdout), (1, ""), "refused five times in a row")

    def test_usage(self):
        for words in ((), ("answer", HERE), ("ask", HERE, PORT)):
            self.assertEqual(run("ping-pong", *words).returncode, 2)
        self.assertEqual(run("ping-pong", "ask", HERE, PORT, "100001", "1000", "36").returncode, 1, "too many")


class Rows(unittest.TestCase):
    def test_both_directions(self):
        """The sum is the rate, the worse loss the loss, and a packet's cost is of all packets."""
        class Meter:
            def read(self, amount):
                return {"cpu": 2 / amount}
        each = [{"offered": 100, "received": 100, "bytes": 36 * 500_000, "loss": 0.001},
                {"offered": 80, "received": 70, "bytes": 36 * 500_000, "loss": 0.1}]
        self.assertEqual(small.together(each, Meter()), {"offered": 180, "received": 170, "loss": 0.1, "cpu": 2.0})
        self.assertEqual(small.SHAPE.size + 20 + 8, 64, "the inner packet: IPv4, UDP, payload")

    def test_added(self):
        results = {"bare veth": [{"p50": 10, "p99": 20}, {"p50": 14, "p99": 30}], "ours": [{"p50": 60, "p99": 100}]}
        self.assertEqual(latency.add_added(results)["ours"], [{"p50": 60, "p99": 100, "added-p50": 48, "added-p99": 75}])
        self.assertNotIn("added-p50", results["bare veth"][0])
        self.assertEqual(latency.add_added({"ours": [{"p50": 60, "p99": 100}]})["ours"], [{"p50": 60, "p99": 100}])

    def test_goals_name_what_there_is(self):
        known = set(tunnels.all_tunnels()) | {None}
        benches = {"small": (small.CASES, small.UNITS), "latency": (latency.CASES, latency.UNITS),
                   "memory": (memory.CASES, {**memory.UNITS, **memory.PEER_UNITS})}
        seen = set()
        for goal in limits.GOALS:
            if goal.bench in benches:
                seen.add(goal.bench)
                cases, units = benches[goal.bench]
                self.assertLessEqual(set(goal.cases), set(cases))
                self.assertIn(goal.metric, units)
                self.assertIn(goal.against, known)
        self.assertEqual(seen, set(benches))

    def test_commands(self):
        for name, kind in tunnels.all_tunnels().items():
            self.assertTrue(kind.commands or name == "bare veth", name)


class Processes(unittest.TestCase):
    def test_memory(self):
        found = memory.memory(os.getpid())
        self.assertTrue(found["rss"] >= found["pss"] > 1000)

    def test_wake_ups_of_threads_and_children(self):
        """A thread that waits wakes this process up; so does a child."""
        before = memory.switches(os.getpid())
        thread = threading.Thread(target=lambda: [threading.Event().wait(0.001) for _ in range(20)])
        thread.start()
        thread.join()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        try:
            self.assertIn(child.pid, memory.family(os.getpid()))
            self.assertGreater(memory.switches(os.getpid()), before)
        finally:
            child.stdin.close()
            child.wait()

    def test_simulated(self):
        made = memory.simulated_rows(["SEED=1", "access=public peers=10 machine=500000 bytes=1500 wakeups=60 seconds=1200"])
        self.assertEqual([(row["case"], row["metric"], row["ours"]) for row in made],
                         [("machine-public-10", "heap-per-peer", 1500.0), ("machine-public-10", "wake-ups", 1.0)])

    def test_worst(self):
        self.assertEqual(memory.worst([{"rss": 1, "pss": 4}, {"rss": 2, "pss": 3}]), {"rss": 2, "pss": 4})


if __name__ == "__main__":
    unittest.main()
