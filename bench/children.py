"""A process for each world, because a lab's namespaces carry the id of the process that made them; what they say is read by lines, and
what they ask is answered by one line."""
import contextlib
import json
import os
import subprocess
import sys
import threading

from world import ROOT


class Children:
    """command(name, ...) is what to start for a contender; take(object) gets every line, one at a time; answer(process id, object) is asked
    what a world asks."""

    def __init__(self, command, take, answer=None):
        self.command, self.take, self.answer = command, take, answer
        self.processes, self.failures = [], []
        self.lock = threading.Lock()

    def follow(self, name, *more):
        """One world, until it ends. Returns its process id, and whether it did what it was for."""
        log_path = os.path.join(ROOT, "build", f"bench-{name.split()[0]}.err")
        with open(log_path, "a", encoding="utf-8") as log, subprocess.Popen(
                self.command(name, *more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            self.processes.append(process)
            for line in process.stdout:
                self.hear(process, json.loads(line))
        if process.returncode not in (0, 1):
            self.failures.append((name, f"ended with {process.returncode}; see {log_path}"))
        return process.pid, process.returncode == 0

    def hear(self, process, said):
        """Questions are answered at once or later, each world by its own thread; what is told is taken one at a time."""
        if said["event"] == "ask":
            answer = self.answer(process.pid, said)
            with contextlib.suppress(BrokenPipeError):  # it has ended meanwhile
                process.stdin.write(answer + "\n")
                process.stdin.flush()
            return
        said["world"] = process.pid
        with self.lock:
            if said["event"] in ("void", "failed"):
                self.failures.append((said["contender"], said["why"]))
                print(f"{said['contender']:26} {said['event']}: {said['why']}", flush=True)
            self.take(said)

    def run(self, names):
        """One world for each."""
        threads = [threading.Thread(target=self.follow, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            self.end()

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()


def say(name, **what):
    """A child's line."""
    print(json.dumps({"contender": name, **what}), flush=True)


def ask(name, what, **more):
    """A child's question and its answer; empty where there is none, as when the parent is gone."""
    say(name, event="ask", what=what, **more)
    return sys.stdin.readline().strip()
