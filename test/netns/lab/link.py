"""Wires of the lab that delay, lose, double, reorder and cut: our own emulator, because this kernel may have none."""
import contextlib
import json
import os
import socket

from .ground import LabError, demand, program, wait_for

ANSWER_SECONDS = 5
LATE_P99_US_MAX = 500   # a run whose frames leave later than that has measured the emulator
OFFLOADS = ("tx", "off", "tso", "off", "gso", "off", "gro", "off")
WAYS = {"up": "forward", "down": "reverse", "both": "both"}


class Emulator:
    """One ntm-link in the internet's namespace for all wires of a lab. Frames that it was too slow for are told by `void`."""

    def __init__(self, lab, seed=1):
        self.path = lab.socket_name("inet", "link")
        self.process = lab.inet.start("link", program("ntm-link"), self.path, str(seed))
        self.process.wait_line("^ready", 5)

    def ask(self, line):
        """The answer to one command (test/link/command.h)."""
        own = f"{self.path}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(own)
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as asker:
            asker.bind(own)
            asker.settimeout(ANSWER_SECONDS)
            asker.sendto(line.encode(), self.path)
            answer = asker.recv(65536).decode()
        os.unlink(own)
        if answer.startswith("error"):
            raise LabError(f"ntm-link: {line}: {answer}")
        return answer

    def stats(self):
        """Of all wires: lateness in microseconds, and frames lost by none of the plans."""
        return json.loads(self.ask("stats"))

    def reset(self):
        """Counts and lateness begin anew: what is measured begins."""
        self.ask("reset")

    def void(self, limit_us=LATE_P99_US_MAX):
        """Why what was measured since the last reset does not count, or None."""
        stats = self.stats()
        if stats["late_us"]["p99"] > limit_us:
            return f"1 of 100 frames left {stats['late_us']['p99']} us too late or more, the limit is {limit_us}"
        if stats["broken"]:
            return f"the emulator lost {stats['broken']} frames for want of room"
        return None


class Link:
    """The cable between the internet and a network or a host. "up" is what comes from there, "down" what goes there."""

    def __init__(self, lab, name, host, inner, lines):
        """inner: the cable's end at the host; lines: what the internet's end had."""
        self.emulator, self.name = lab.emulator, name
        port = host.port
        far, near = port + "x", port + "y"
        mac = json.loads(lab.inet.run("ip", "-j", "link", "show", port, check=True).stdout)[0]["address"]
        lab.inet.ip(f"link set {port} down nomaster", f"link set {port} name {near}", f"addr flush dev {near}",
                    f"link set {near} address {spare_mac(mac)}", f"link add {port} address {mac} type veth peer name {far}")
        # Bare ends: inet itself must not answer on them.
        lab.inet.sysctl(**{f"net__ipv6__conf__{end}__disable_ipv6": 1 for end in (near, far)})
        lab.inet.ip(f"link set {near} arp off up", f"link set {far} arp off up", f"link set {port} up", *lines)
        for owner, link in ((lab.inet, port), (host, inner)):
            owner.run("ethtool", "-K", link, *OFFLOADS, check=True)
        self.emulator.ask(f"wire {name} {near} {far}")
        wait_for(f"the cable of {name}", lambda: lab.inet.links_work() and host.links_work())

    def set(self, way="both", source=None, target=None, **settings):
        """Alters what is named and nothing else: delay_ms, jitter_ms, rate_mbit, queue_bytes, loss and duplicate in percent, burst as
        percents (good to bad, bad to good, lost while bad), reorder as (percent, held back by ms), mtu, answers ("too big" is told),
        clear=True (everything, first of all). With source or target, prefixes, only for packets between them, which then have settings of
        their own."""
        self.emulator.ask(f"set {self.name} {WAYS[way]}{class_words(source, target)} {setting_words(settings)}")

    def cut(self, way="both", source=None, target=None):
        self.emulator.ask(f"cut {self.name} {WAYS[way]}{class_words(source, target)}")

    def heal(self, way="both", source=None, target=None):
        self.emulator.ask(f"heal {self.name} {WAYS[way]}{class_words(source, target)}")

    def stats(self):
        """Counts and lateness of both ways: {"up": {..}, "down": {..}}."""
        stats = json.loads(self.emulator.ask(f"stats {self.name}"))
        return {way: stats[WAYS[way]] for way in ("up", "down")}


def spare_mac(mac):
    """Another one: a bare end with the address of its host's port would take that port's packets past the wire."""
    return ("02" if mac.startswith("06") else "06") + mac[2:]


def class_words(source, target):
    return (f" from {source}" if source else "") + (f" to {target}" if target else "")


def setting_words(settings):
    words = ["clear"] if settings.pop("clear", False) else []
    for name, value in settings.items():
        words += WORDS[name](value)
    demand(words, "nothing to set")
    return " ".join(words)


def word(key, unit=""):
    return lambda value: [key, f"{value:.6f}{unit}" if unit else str(value)]


WORDS = {
    "delay_ms": word("delay", "ms"), "jitter_ms": word("jitter", "ms"), "rate_mbit": word("rate", "mbit"), "queue_bytes": word("queue"),
    "loss": word("loss", "%"), "duplicate": word("duplicate", "%"), "mtu": word("mtu"),
    "answers": lambda on: ["answers", "on" if on else "off"],
    "burst": lambda burst: [word for key, share in zip(("begin", "end", "loss"), burst) for word in (f"burst-{key}", f"{share}%")],
    "reorder": lambda reorder: ["reorder", f"{reorder[0]}%", "hold", f"{reorder[1]}ms"],
}
