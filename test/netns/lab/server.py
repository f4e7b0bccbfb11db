"""Hosts with public addresses."""
import contextlib
import os
import re

from .ground import demand, program, wait_for
from .host import Host
from .process import Detached, Process
from .topology import SERVER_NUMBER


class Server(Host):
    """A host with a public address in each family."""

    def __init__(self, lab, name, inet):
        super().__init__(lab, name)
        number = SERVER_NUMBER[name]
        self.v4, self.v6 = f"198.51.100.{number}", f"2001:db8:5::{number}"
        port = f"p-{name}"
        self.ip(f"link add eth0 type veth peer name {port} netns {inet.ns}")
        inet.ip(f"link set {port} master srv", f"link set {port} up")
        self.ip("link set eth0 up", f"addr add {self.v4}/24 dev eth0", f"addr add {self.v6}/64 dev eth0 nodad",
                "route add default via 198.51.100.1", "route add ::/0 via 2001:db8:5::1")
        self.state, self.socket_path = lab.path(f"{name}-state"), lab.socket_name(name, "server")
        self.daemon = None

    def serve(self, *options, dns=True):
        """ntm serve: all roles in one process."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.socket_path)
        words = [program("ntm"), "serve", "--state", self.state, "--socket", self.socket_path,
                 "--advertise", f"{self.v4},[{self.v6}]"]
        if dns:
            words += ["--dns-listen", "[::]:53"]
        self.daemon = self.start("ntm-server", *words, *options, kind=Detached if self.lab.keep else Process)
        self.wait_serving()
        return self.daemon

    def wait_serving(self, seconds=15):
        wait_for(f"{self.name}'s control socket", lambda: self.answers() or not self.daemon.running(), seconds, 0.1)
        demand(self.daemon.running(), f"{self.name}: the server ended ({self.daemon.child.poll()}); see {self.daemon.log_path}")

    def answers(self):
        return os.path.exists(self.socket_path) and self.ntm("nodes").returncode == 0

    def ntm(self, *words, check=False, timeout=60):
        return self.run(program("ntm"), *words, "--state", self.state, "--socket", self.socket_path, check=check, timeout=timeout)

    def invite(self, *options):
        code = self.ntm("invite", *options, check=True).stdout.strip()
        demand(re.fullmatch(r"ntm1-[A-Za-z0-9_-]+", code), f"invite did not print a code alone: {code!r}")
        return code
