"""A device with several interfaces."""
import contextlib
import json
import os
import time

from .ground import demand, program, sh, wait_for
from .host import Host
from .process import Events
from .topology import HOST_NUMBER, MORE_LINKS, NODES, inside_address


class Node(Host):
    """A device with several interfaces, and ntmd on it."""

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.sysctl(net__ipv6__conf__all__accept_ra=0, net__ipv6__conf__default__accept_ra=0, net__ipv4__ip_forward=0)
        # Its interfaces are in different networks: none of them may answer there for an address that another one has.
        self.sysctl(net__ipv4__conf__all__arp_ignore=1, net__ipv4__conf__all__arp_announce=2)
        self.links = {}
        for label, letter in self.labels().items():
            if letter in lab.nats:
                self.links[label] = lab.nats[letter]
                lab.nats[letter].add_port(self, label)
                self.know_router(label)
        self.at, self.number = None, HOST_NUMBER[name]
        self.daemon = self.events = None
        self.state, self.socket_path = lab.path(f"{name}-state"), lab.socket_name(name)

    def know_router(self, label):
        """It and its router know each other's IPv6 neighbour entry: an address that was just added is answered for, but not yet answered to
        (the kernel puts its local route in place a little later), and a lost answer is asked for again after 1 s."""
        nat, mac = self.links[label], f"02:00:5e:00:{HOST_NUMBER[self.name]:02d}:{ord(self.links[label].letter):02x}"
        if nat.has6:
            self.ip(f"link set {label} address {mac}", f"neigh add {nat.gateway6} lladdr {nat.mac} dev {label} nud permanent")
            nat.ip(f"neigh add {nat.config['inside6']}:{HOST_NUMBER[self.name]} lladdr {mac} dev lan nud permanent")

    def labels(self):
        """Which of its interfaces leads to which network."""
        return {**NODES[self.name], **(MORE_LINKS.get(self.name, {}) if self.lab.networks else {})}

    def addresses(self, label):
        """(address with prefix length, gateway, default route) of each family that the network has."""
        nat, number = self.links[label], self.number
        if nat.has4:
            yield f"{inside_address(nat.config, number)}/{nat.config['bits']}", nat.gateway, "default"
        if nat.has6:
            yield f"{nat.config['inside6']}:{number}/64", nat.gateway6, "::/0"

    def lines_up(self, label, metric=0):
        lines, metric = [], f" metric {metric}" if metric else ""
        for address, gateway, route in self.addresses(label):
            lines += [f"addr add {address} dev {label}{' nodad' if ':' in address else ''}",
                      f"route add {route} via {gateway} dev {label}{metric}"]
        return lines

    def lines_down(self, label):
        lines = []
        for address, _, route in self.addresses(label):
            lines += [f"route del {route} dev {label}", f"addr del {address} dev {label}"]
        return lines

    def attach(self, label):
        """First network, or one more."""
        self.ip(*self.lines_up(label, metric=50 if self.at else 0))
        self.at = self.at or label

    def detach(self, label):
        self.ip(*self.lines_down(label))
        if self.at == label:
            self.at = None

    def move_lines(self, label):
        return self.lines_down(self.at) + self.lines_up(label)

    def move(self, label):
        """Leaves its network and is in another: one batch. Returns the instant."""
        lines = self.move_lines(label)
        at = time.time()
        self.ip(*lines)
        self.at = label
        return at

    # --- what people type on it ---

    def common(self):
        return ["--state", self.state, "--socket", self.socket_path]

    def ntm(self, *words, check=False, timeout=60, env=None):
        return self.run(program("ntm"), *words, *self.common(), check=check, timeout=timeout, env=env)

    def ntm_json(self, *words, timeout=60):
        return json.loads(self.ntm(*words, "--json", check=True, timeout=timeout).stdout)

    def start_daemon(self, code=None, *options):
        """ntmd in the lab's care, so that its log and its process id are known."""
        env = {"NTM_JOIN": code} if code else {}
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.socket_path)  # of one that was killed: its presence says that the new one is ready
        words = [program("ntmd"), "--foreground", *self.common(), "--tun", "ntm0", "--dns", "stub", "--name", self.name, *options]
        self.daemon = self.start("ntmd", *words, env=env)
        return self.daemon

    def join(self, code, *options, seconds=20):
        """Up, addressed, and its resolver pointed at its own stub."""
        self.start_daemon(code, *options)
        self.wait_up(seconds)

    def wait_up(self, seconds=20):
        wait_for(f"{self.name}'s control socket", lambda: os.path.exists(self.socket_path) or not self.daemon.running(), seconds)
        demand(self.daemon.running(), f"{self.name}: ntmd ended ({self.daemon.child.poll()}); see {self.daemon.log_path}")
        self.ntm("up", "--wait", f"{seconds}s", check=True, timeout=seconds + 10)
        self.learn_addresses()

    def learn_addresses(self):
        node = self.status()["node"]
        self.v4, self.v6, self.fqdn, self.id = node["v4"], node["v6"], node["fqdn"], node["id"]
        self.set_resolver(self.v4)

    def set_resolver(self, address):
        """What resolv.conf says on this node alone; written in place, so that running programs see it."""
        zone = self.fqdn.split(".", 1)[1].rstrip(".")
        with open(f"/etc/netns/{self.ns}/resolv.conf", "w", encoding="utf-8") as file:
            file.write(f"nameserver {address}\nsearch {zone}\noptions timeout:2 attempts:3\n")

    def daemons(self):
        """Process ids of every ntmd on this node, also of those that `ntm up` started."""
        pids = sh(["ip", "netns", "pids", self.ns]).stdout.split()
        own = os.path.realpath(program("ntmd"))
        found = []
        for pid in pids:
            with contextlib.suppress(OSError):
                if os.path.realpath(f"/proc/{pid}/exe") == own:
                    found.append(int(pid))
        return found

    def status(self):
        return self.ntm_json("status")

    def peer(self, other):
        """This node's view of another, or None."""
        for peer in self.status()["peers"]:
            if peer["name"] == other.name or peer["id"] == other.id:
                return peer
        return None

    def path_kind(self, other):
        """direct, relay or None: what data takes now."""
        peer = self.peer(other)
        active = [path["kind"] for path in peer["paths"] if path.get("active")] if peer else []
        return active[0] if active else None

    def wait_path(self, other, kind, seconds=20):
        wait_for(f"{self.name} to reach {other.name} by a {kind} path", lambda: self.path_kind(other) == kind, seconds, 0.15)

    def watch(self):
        self.events = self.start("watch", program("ntm"), "watch", "--json", *self.common(), kind=Events)
        self.events.wait_event("watching")  # nothing that happens from now on is missed
        return self.events
