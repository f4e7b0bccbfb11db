"""One machine of the lab."""
import contextlib
import json
import os
import socket
import subprocess

from .ground import CLONE_NEWNET, LIBC, LabError, demand, sh
from .process import Process


class Host:
    """One machine of the lab: a namespace, its processes, its logs."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.ns = f"ntm-{lab.run}-{name}"
        lab.made_namespace(self.ns)
        sh(["ip", "netns", "add", self.ns])
        self.ip("link set lo up")
        # No duplicate address detection: a link is good for IPv6 at once, also its link-local address.
        self.sysctl(**{f"net__ipv6__conf__{which}__{key}": 0 for which in ("all", "default") for key in ("accept_dad", "dad_transmits")})

    def ip(self, *lines):
        """One `ip -batch`: all of it within a fraction of a millisecond."""
        sh(["ip", "-n", self.ns, "-batch", "-"], text="\n".join(lines) + "\n")

    def links_work(self):
        """Has the kernel's link watch seen that every link with a carrier has one? It may take seconds, and until then they drop."""
        links = json.loads(sh(["ip", "-n", self.ns, "-j", "link", "show", "up"]).stdout)
        return all(link["operstate"] in ("UP", "UNKNOWN") for link in links if "LOWER_UP" in link["flags"])

    def command(self, words):
        return ["ip", "netns", "exec", self.ns, *words]

    def run(self, *words, check=False, text=None, timeout=60, env=None):
        """Runs to the end; the result has returncode, stdout, stderr."""
        try:
            done = subprocess.run(self.command(words), input=text, capture_output=True, text=True, check=False, timeout=timeout,
                                  stdin=None if text is not None else subprocess.DEVNULL, env={**os.environ, **(env or {})})
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name}: {' '.join(words)} did not end within {timeout} s") from None
        with open(self.lab.path(f"{self.name}-commands.log"), "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}[exit {done.returncode}]\n")
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(words)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-800:]}")
        return done

    def start(self, name, *words, env=None, kind=Process, stdin=None):
        """Starts a program that goes on; the lab ends it."""
        process = kind(f"{self.name}/{name}", self.command([*self.lab.start_with, *words]), self.lab.path(f"{self.name}-{name}.log"), env, stdin)
        self.lab.processes.append(process)
        return process

    def sysctl(self, **settings):
        self.run("sysctl", "-qw", *[f"{key.replace('__', '.')}={value}" for key, value in settings.items()], check=True)

    def nft(self, rules):
        done = sh(["ip", "netns", "exec", self.ns, "nft", "-f", "-"], text=rules, check=False)
        demand(done.returncode == 0, f"{self.name}: nft: {done.stderr.strip()}")

    def counter(self, name):
        done = self.run("nft", "-j", "list", "counter", "inet", "watch", name, check=True)
        return [row["counter"]["packets"] for row in json.loads(done.stdout)["nftables"] if "counter" in row][0]

    @contextlib.contextmanager
    def inside(self):
        """This thread works in the host's network namespace; what it opens there stays there."""
        with open("/proc/thread-self/ns/net", "rb") as here, open(f"/run/netns/{self.ns}", "rb") as there:
            demand(LIBC.setns(there.fileno(), CLONE_NEWNET) == 0, f"setns to {self.ns}")
            try:
                yield
            finally:
                demand(LIBC.setns(here.fileno(), CLONE_NEWNET) == 0, "setns back")

    def udp(self, address="0.0.0.0", port=0):
        """A UDP socket in the host."""
        with self.inside():
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            made.settimeout(0.5)
        return made
