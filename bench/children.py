"""A process for each contender, because a lab's namespaces carry the id of the process that made them; what they say is read by lines."""
import json
import os
import subprocess
import threading

from world import ROOT

TURNS = os.path.join(ROOT, "build", "bench-turn.lock")
PRIORITY = -10  # of all that is measured: what else runs on the machine comes second


class Children:
    """command(name) is what to start for a contender; take(object) gets every line, one at a time."""

    def __init__(self, command, take):
        self.command, self.take = command, take
        self.processes, self.failures = [], []
        self.lock = threading.Lock()

    def follow(self, name):
        log_path = os.path.join(ROOT, "build", f"bench-{name.split()[0]}.err")
        with open(log_path, "a", encoding="utf-8") as log, subprocess.Popen(self.command(name), stdout=subprocess.PIPE, stderr=log,
                                                                           text=True) as process:
            self.processes.append(process)
            for line in process.stdout:
                with self.lock:
                    self.read(json.loads(line))
        if process.returncode not in (0, 1):
            self.failures.append((name, f"ended with {process.returncode}; see {log_path}"))

    def read(self, said):
        if said["event"] in ("void", "failed"):
            self.failures.append((said["contender"], said["why"]))
            print(f"{said['contender']:26} {said['event']}: {said['why']}", flush=True)
        self.take(said)

    def run(self, names):
        threads = [threading.Thread(target=self.follow, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.terminate()


def say(name, **what):
    """A child's line."""
    print(json.dumps({"contender": name, **what}), flush=True)
