"""Programs that run in a host of the lab."""
import json
import os
import re
import signal
import subprocess
import threading
import time

from .ground import LabError


class Process:
    """A program in a host: its lines as they come, its log on disk, its end."""

    def __init__(self, name, command, log_path, env=None, stdin=None):
        self.name, self.command, self.log_path = name, command, log_path
        self.lines, self.stamps = [], []
        self.news = threading.Condition()
        self.log = open(log_path, "a", encoding="utf-8")
        self.log.write(f"$ {' '.join(command)}\n")
        self.log.flush()
        self.child = subprocess.Popen(command, stdin=stdin if stdin is not None else subprocess.DEVNULL, stdout=self.output_to(),
                                      stderr=subprocess.STDOUT, text=True, errors="replace",
                                      env={**os.environ, **(env or {})}, start_new_session=True)
        self.pid = self.child.pid
        self.follow()

    def output_to(self):
        return subprocess.PIPE

    def follow(self):
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.log.write(line)
            self.log.flush()
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.stamps.append(time.time())
                self.news.notify_all()
        with self.news:
            self.lines.append(None)
            self.stamps.append(time.time())
            self.news.notify_all()

    def wait_line(self, pattern, seconds=10.0, since=0):
        """The match of the first line from number `since` on that fits."""
        deadline = time.monotonic() + seconds
        with self.news:
            while True:
                for number in range(since, len(self.lines)):
                    if self.lines[number] is None:
                        raise LabError(f"{self.name} ended ({self.child.poll()}) before it said /{pattern}/; see {self.log_path}")
                    found = re.search(pattern, self.lines[number])
                    if found:
                        return found
                since = len(self.lines)
                if not self.news.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    raise LabError(f"waited {seconds:g} s for {self.name} to say /{pattern}/; see {self.log_path}")

    def running(self):
        return self.child.poll() is None

    def wait(self, seconds=30.0):
        """Its exit code."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end within {seconds:g} s; see {self.log_path}") from None
        self.reader.join(5)
        return code

    def output(self):
        with self.news:
            return "\n".join(line for line in self.lines if line is not None)

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def stop(self, seconds=10.0):
        """Asks, waits, and in the end insists."""
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.child.wait(5)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.child.wait(5)


class Detached(Process):
    """A program that may outlive the lab's own process: it writes its log itself."""

    def output_to(self):
        return self.log

    def follow(self):
        self.reader = threading.Thread(target=self.child.wait, daemon=True)
        self.reader.start()


class Events(Process):
    """`ntm watch --json` of a node: a list that grows, and a way to wait for the next one of a kind."""

    def wait_event(self, kind, seconds=15.0, since=0, **fields):
        deadline = time.monotonic() + seconds
        number = since
        with self.news:
            while True:
                while number < len(self.lines):
                    line = self.lines[number]
                    number += 1
                    if line is None:
                        raise LabError(f"{self.name} ended before a {kind} event; see {self.log_path}")
                    event = self.parse(line)
                    if event and event.get("event") == kind and all(event.get(k) == v for k, v in fields.items()):
                        return event
                if not self.news.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    raise LabError(f"waited {seconds:g} s for a {kind} event of {self.name}; see {self.log_path}")

    @staticmethod
    def parse(line):
        try:
            return json.loads(line)
        except ValueError:
            return None

    def mark(self):
        """Everything from here on is later than now."""
        with self.news:
            return len(self.lines)

    def all(self, kind, since=0):
        with self.news:
            lines = [line for line in self.lines[since:] if line]
        events = [self.parse(line) for line in lines]
        return [event for event in events if event and event.get("event") == kind]
