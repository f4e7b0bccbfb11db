"""Hosts with public addresses."""
import contextlib
import json
import os
import re

from .ground import demand, program, wait_for
from .host import Host
from .process import Detached, Process
from .topology import BRIDGES, GENERAL_NUMBER, HOST_NUMBER, SERVER_NUMBER, inside_address


class Public(Host):
    """A host with an address of the world in each family, on one of the internet's bridges."""

    def __init__(self, lab, name, inet, bridge, v4, v6):
        super().__init__(lab, name)
        self.port, self.bridge = f"p-{name}", bridge
        self.v4, self.v6 = v4, v6
        gateway4, gateway6 = BRIDGES[bridge]
        self.ip(f"link add eth0 type veth peer name {self.port} netns {inet.ns}")
        inet.ip(f"link set {self.port} master {bridge}", f"link set {self.port} up")
        self.ip("link set eth0 up", f"addr add {self.v4}/24 dev eth0", f"addr add {self.v6}/64 dev eth0 nodad",
                f"route add default via {gateway4}", f"route add ::/0 via {gateway6}")

    def prefixes(self):
        """Where packets go that go to this host."""
        return [f"{self.v4}/32", f"{self.v6}/128"]


class General(Public):
    """A host of the world that knows nothing of the overlay. No list of special purposes names its addresses, since exits refuse those;
    they never leave the lab's namespaces."""

    def __init__(self, lab, name, inet):
        number = GENERAL_NUMBER[name]
        super().__init__(lab, name, inet, "gen", f"203.0.114.{number}", f"2a0f:ffff:6::{number}")


class Inside(Host):
    """A host behind one of the routers that knows nothing of the overlay."""

    def __init__(self, lab, name, nat):
        super().__init__(lab, name)
        self.nat, self.v4 = nat, inside_address(nat.config, HOST_NUMBER[name])
        nat.add_port(self, "eth0")
        self.ip(f"addr add {self.v4}/{nat.config['bits']} dev eth0", f"route add default via {nat.gateway}")


class Server(Public):
    """A host on which servers of the overlay run."""

    def __init__(self, lab, name, inet):
        number = SERVER_NUMBER[name]
        super().__init__(lab, name, inet, "srv", f"198.51.100.{number}", f"2001:db8:5::{number}")
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

    def serve_zone(self, code, *options):
        """ntm-dc alone: the coordinator of the zone that the code names."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.socket_path)
        self.daemon = self.start("ntm-dc", program("ntm-dc"), "--foreground", "--state", self.state, "--socket", self.socket_path,
                                 "--advertise", f"{self.v4},[{self.v6}]", "--dns-listen", "[::]:53", *options,
                                 env={"NTM_JOIN": code} if code else {})
        wait_for(f"{self.name}'s control socket", lambda: os.path.exists(self.socket_path) or not self.daemon.running(), 15)
        demand(self.daemon.running(), f"{self.name}: ntm-dc ended ({self.daemon.child.poll()}); see {self.daemon.log_path}")

    def wait_serving(self, seconds=15):
        wait_for(f"{self.name}'s control socket", lambda: self.answers() or not self.daemon.running(), seconds, 0.1)
        demand(self.daemon.running(), f"{self.name}: the server ended ({self.daemon.child.poll()}); see {self.daemon.log_path}")

    def answers(self):
        return os.path.exists(self.socket_path) and self.ntm("nodes").returncode == 0

    def ntm(self, *words, check=False, timeout=60):
        return self.run(program("ntm"), *words, "--state", self.state, "--socket", self.socket_path, check=check, timeout=timeout)

    def relay(self):
        """What the server says about its relay."""
        return json.loads(self.ntm("status", "--json", check=True).stdout)["server"]["relay"]

    def invite(self, *options):
        code = self.ntm("invite", *options, check=True).stdout.strip()
        demand(re.fullmatch(r"ntm1-[A-Za-z0-9_-]+", code), f"invite did not print a code alone: {code!r}")
        return code
