"""What a handshake costs, as a share of the X25519 that it consists of, and how long it takes on an idle cable.

usage: scripts/bench handshake [--json FILE] [--rounds N]     full form: 41 rounds, of which 40 count

rate: handshake-rate, on one core: handshakes a second of both ends together, times the X25519 in each, divided by X25519 a second.
lan:  both daemons start anew; then one packet is sent by name. From the Tunnel Request on the cable to that packet at the other's device
      (it rides in the request), and to the answer at the asker's device.
"""
import json
import os
import re
import subprocess
import sys

import cable
import lab as laboratory
import table
from lab import demand, wait_for
from tunnels.ours import Ours

WATCHED = "(udp and udp[8] = 3) or icmp[icmptype] = icmp-echo or icmp[icmptype] = icmp-echoreply"
LINE = re.compile(r"^(\d+\.\d+) (\S+) +(In|Out) +IP (\S+) > (\S+): (.*)$")
RATE = {"handshake, both ends": ("fresh", "x25519_fresh"), "handshake, both ends, peers known": ("known", "x25519_known")}


class Watch:
    """What one host's devices see of handshakes and pings, with the kernel's time."""

    def __init__(self, host):
        self.host = host
        self.process = host.start("tcpdump", "tcpdump", "-i", "any", "-lnntt", "--time-stamp-precision=nano", "--immediate-mode", WATCHED)
        self.process.wait_line("listening on", 10)
        self.since = 0

    def begin(self):
        self.since = len(self.process.lines)

    def seen(self, device, way, text):
        """When the first such line was, in microseconds, or None."""
        for line in self.process.lines[self.since:]:
            found = LINE.match(line or "")
            if found and found[2] == device and found[3] == way and text in found[6]:
                return float(found[1]) * 1e6
        return None

    def wait(self, device, way, text):
        wait_for(f"{self.host.name} to see {text} on {device}", lambda: self.seen(device, way, text), 5)
        return self.seen(device, way, text)


def anew(contender):
    """Both daemons forget each other, and are registered again."""
    left, right = contender.cable.left, contender.cable.right
    for host, options in ((right, ()), (left, ("--listen", "[::]:7368"))):
        host.daemon.stop()
        host.start_daemon(None, *options)
        host.wait_up()
    demand(left.path_kind(right) is None, "left still knows right after it started anew")


def contact(contender, watches):
    """One first packet: microseconds from the request to it, and to its answer."""
    left, right = contender.cable.left, contender.cable.right
    anew(contender)
    for watch in watches:
        watch.begin()
    done = left.run("ping", "-4", "-c1", "-W3", right.fqdn.rstrip("."))
    demand(done.returncode == 0, f"right does not answer: {done.stdout[-200:]}")
    there, back = watches[1].wait("ntm0", "In", "echo request"), watches[0].wait("ntm0", "In", "echo reply")
    asked = watches[0].seen("eth0", "Out", "UDP")
    demand(asked, "no Tunnel Request was seen")
    return {"first-data": there - asked, "answer": back - asked}


def rate():
    """CPU microseconds of each case of handshake-rate."""
    program = os.path.join(laboratory.BUILD, "meson", "bench", "handshake-rate")
    return json.loads(subprocess.run([program, "--json", "20"], check=True, capture_output=True, text=True).stdout)


def rate_rows(samples):
    """Rate and share of both kinds, the library's X25519, and what each single case costs."""
    made = [cable.row("x25519", "rate", "1/s", {"ours": [1e6 / one["X25519 (R5)"] for one in samples]})]
    for name, (case, count) in RATE.items():
        made.append(cable.row(case, "rate", "1/s", {"ours": [1e6 / one[name] for one in samples]}))
        made.append(cable.row(case, "share", "of R5", {"ours": [one[count] * one["X25519 (R5)"] / one[name] for one in samples]}))
    for name in samples[0]:
        if name not in RATE and not name.startswith(("x25519_", "X25519 (R5)")):
            made.append(cable.row(name, "cpu", "us", {"ours": [one[name] for one in samples]}))
    return made


def lan_rows(results):
    made = []
    for metric in ("first-data", "answer"):
        values = [one[metric] for one in results]
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            made.append(cable.row("lan", f"{metric}-{name}", "us", {"ours": [round(table.quantile(values, share), 1)]}))
            made[-1]["runs"] = len(values)
    return made


def body(contenders, arguments):
    contender = contenders[0]
    watches = [Watch(host) for host in (contender.cable.left, contender.cable.right)]
    results = cable.interleaved(contenders, arguments.rounds, lambda one: contact(one, watches))
    demand(results, "no contact was measured")
    samples = [rate() for _ in range(7)][1:]
    return rate_rows(samples) + lan_rows(results[contender.name])


class Anew(Ours):
    """Its daemons end and begin: what they have counted says nothing here."""

    def errors(self):
        return {}


def main():
    arguments = cable.options("handshake", rounds=41).parse_args()
    return cable.run_bench("handshake", arguments, [Anew()], lambda contenders: body(contenders, arguments))


if __name__ == "__main__":
    sys.exit(main())
