"""What the whole lab stands on: where things are, how a command is run, how something is waited for."""
import ctypes
import os
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("NTM_BUILD", os.path.join(ROOT, "build"))
LABS = os.path.join(ROOT, "build", "lab")
POOL4, POOL6 = "198.18.0.0/15", "fd6e:746d::/32"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something that a test waited for or demanded did not hold; the text says what."""


def run_name():
    """What tells the things of this process from those of other runs: its number, so that a leftover is known by its dead maker."""
    return str(os.getpid())


def program(name):
    """Where a built program is."""
    return os.path.join(BUILD, name)


def sh(command, check=True, text=None, timeout=60):
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=timeout)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def wait_for(what, condition, seconds=10.0, every=0.02):
    """The first true value of condition(), asked often; after the deadline says what never came. Conditions that start programs are asked
    less often: the machine has two cores, and the daemons need them."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s for {what}")
        pause.wait(every)


def demand(holds, what):
    if not holds:
        raise LabError(what)


def long_form(test):
    """Marks a test that only the long form of the test run includes."""
    test.long_form = True
    return test
