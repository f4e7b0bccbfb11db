"""What a run needs of the machine, and what an aborted one left on it."""
import contextlib
import fcntl
import os
import re
import shutil
import signal
import sys

from .ground import LABS, sh

LABS_KEPT = 60


def remove_namespace(ns):
    """Also ends what is still running in it: everything in a namespace of ours was started by the lab."""
    pids = sh(["ip", "netns", "pids", ns], check=False).stdout.split()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    sh(["ip", "netns", "del", ns], check=False)
    shutil.rmtree(f"/etc/netns/{ns}", ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir("/etc/netns")


def is_left_over(name):
    """A thing of a lab whose maker is no more, or of a kept one."""
    match = re.match(r"ntm-(?:lab-)?(\d+)(-\w+)?$", name)
    return bool(match) and not os.path.exists(f"/proc/{match[1]}")


def clean_up_old_runs():
    """What an aborted or kept run left, known by its name."""
    found = [line.split()[0] for line in sh(["ip", "netns", "list"], check=False).stdout.split("\n") if line]
    if os.path.isdir("/etc/netns"):
        found += os.listdir("/etc/netns")
    for ns in sorted(name for name in set(found) if is_left_over(name)):
        remove_namespace(ns)
    for name in os.listdir("/run"):
        if is_left_over(name):
            shutil.rmtree(f"/run/{name}", ignore_errors=True)
    if os.path.isdir(LABS):
        kept = sorted((os.path.join(LABS, name) for name in os.listdir(LABS)), key=os.path.getmtime)
        for path in kept[:-LABS_KEPT]:
            shutil.rmtree(path, ignore_errors=True)


def only_one_at_a_time():
    """Two labs at once would disturb each other's measurements; the second waits, unless NTM_LAB_TOGETHER says that nothing is measured.
    The lock dies with the process."""
    lock = open("/run/ntm-lab.lock", "w", encoding="utf-8")
    if os.environ.get("NTM_LAB_TOGETHER"):
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another run of the lab to end", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def missing_capability():
    """One line about what this machine lacks, or None."""
    if os.geteuid() != 0:
        return "not root: the lab makes network namespaces"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun: this kernel has no TUN device"
    for tool in ("ip", "nft", "ethtool"):
        if not shutil.which(tool):
            return f"no {tool} here: run scripts/install"
    probe = sh(["unshare", "-n", "-m", "ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"], check=False)
    if probe.returncode != 0:
        return "network namespaces or veth are not allowed here (a container without CAP_SYS_ADMIN?)"
    return None


def take_machine(who):
    """The lock of a run that measures or shows something, with nothing of older runs left; None, and one line, where a lab cannot be."""
    lacks = missing_capability()
    if lacks:
        print(f"{who}: {lacks}", file=sys.stderr)
        return None
    end_on_signals()
    lock = only_one_at_a_time()
    clean_up_old_runs()
    return lock


def end_on_signals():
    """A terminated run cleans up like an ended one."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
