"""The whole: builds the topology, cuts, moves together, cleans up."""
import atexit
import os
import queue
import shutil
import signal
import subprocess
import threading
import time

from .ground import LABS, LabError, run_name, wait_for
from .host import Host
from .leftovers import remove_namespace
from .link import Emulator, Link
from .nat import WATCH_RULES, Nat
from .node import Node
from .places import spread
from .server import General, Inside, Server
from .topology import BRIDGES, GENERALS, NODES


class Lab:
    """The topology, as a context manager. nats: kind by network letter; delays: one-way milliseconds on a cable by letter or host;
    networks: those that there are, if it is not only those where the nodes' first interfaces lead; at: where a node begins, by its interface; profile:
    the papers' round trips (places.py)."""

    start_with = ()  # words before those of a program that goes on: how it is to run

    def __init__(self, name="lab", nodes=("a", "b"), nats=None, delays=None, servers=("s",), generals=(), networks=None, at=None,
                 profile=None, keep=False):
        self.run = run_name()
        self.name, self.keep = name, keep
        self.directory = os.path.join(LABS, f"{self.run}-{name}")
        self.processes, self.namespaces = [], []
        self.nodes_wanted, self.servers_wanted, self.generals_wanted = nodes, servers, generals
        self.networks, self.at, self.profile = networks, at or {}, profile
        self.nat_kinds, self.delays = nats or {}, delays or {}
        self.hosts, self.links, self.emulator = {}, {}, None

    def path(self, name):
        return os.path.join(self.directory, name)

    def socket_name(self, host, role="ntm"):
        """A folder a host, as each machine has its own; short, because a socket's path has 107 bytes at most."""
        folder = f"/run/ntm-lab-{self.run}/{host}"
        os.makedirs(folder, mode=0o755, exist_ok=True)
        return f"{folder}/{role}.sock"

    def made_namespace(self, ns):
        self.namespaces.append(ns)
        os.makedirs(f"/etc/netns/{ns}", exist_ok=True)
        with open(f"/etc/netns/{ns}/resolv.conf", "w", encoding="utf-8") as file:
            file.write("# nothing is known yet\n")

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        os.makedirs(f"/run/ntm-lab-{self.run}", mode=0o755, exist_ok=True)
        atexit.register(self.close)
        try:
            self.build()
        except BaseException:
            self.close()
            raise
        return self

    def build(self):
        self.build_inet()
        self.hosts = {name: Server(self, name, self.inet) for name in self.servers_wanted}
        self.nats = {}
        for letter in self.letters():
            self.nats[letter] = Nat(self, letter, self.inet, self.nat_kinds.get(letter, "endpoint-independent"))
        for name in self.generals_wanted:
            behind = GENERALS[name]
            self.hosts[name] = Inside(self, name, self.nats[behind]) if behind else General(self, name, self.inet)
        for name in self.nodes_wanted:
            self.hosts[name] = Node(self, name)
            self.hosts[name].attach(self.at.get(name) or next(iter(self.hosts[name].links)))
        for name, milliseconds in self.delays.items():
            if name in self.nats or name in self.hosts:
                self.link(name).set(delay_ms=milliseconds)
        if self.profile:
            spread(self, self.profile)
        for host in [self.inet, *self.nats.values(), *self.hosts.values()]:
            wait_for(f"the links of {host.name} to work", host.links_work)
        for name, host in self.hosts.items():
            setattr(self, name, host)

    def build_inet(self):
        self.inet = Host(self, "inet")
        self.inet.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        for bridge, (v4, v6) in BRIDGES.items():
            self.inet.ip(f"link add {bridge} type bridge forward_delay 0", f"link set {bridge} up", f"addr add {v4}/24 dev {bridge}",
                         f"addr add {v6}/64 dev {bridge} nodad")
        self.inet.nft(WATCH_RULES)

    def letters(self):
        """Which networks there are."""
        first = self.networks or {letter for node in self.nodes_wanted for letter in NODES[node].values()}
        return sorted({*first, *self.nat_kinds, *(GENERALS[name] for name in self.generals_wanted if GENERALS[name])})

    def link(self, name):
        """The cable of a network, by letter, or of a public host, by name. The first time an emulated wire is put in, for which it is
        unplugged a moment."""
        if name not in self.links:
            self.emulator = self.emulator or Emulator(self)
            if name in self.nats:
                self.links[name] = Link(self, name, self.nats[name], "out", self.nats[name].uplink())
            else:
                host = self.hosts[name]
                self.links[name] = Link(self, name, host, "eth0", [f"link set {host.port} master {host.bridge}"])
        return self.links[name]

    def cable_end(self, name):
        """The network's router, or the host, that a cable leads to."""
        return self.nats[name] if name in self.nats else self.hosts[name]

    # --- what is asked of the whole ---

    def cut(self, one, other, both=True):
        """Nothing passes directly between two networks any more, in either family; or only nothing from one to the other."""
        pairs = [f"{one.port} . {other.port}"] + ([f"{other.port} . {one.port}"] if both else [])
        self.inet.run("nft", "add", "element", "inet", "watch", "cut", f"{{ {', '.join(pairs)} }}", check=True)

    def unplug(self, host):
        """Nothing passes to or from a server any more."""
        for table, address in (("dead", host.v4), ("dead6", host.v6)):
            self.inet.run("nft", "add", "element", "inet", "watch", table, f"{{ {address} }}", check=True)

    def heal(self):
        """Ends all cuts."""
        for table in ("cut", "dead", "dead6"):
            self.inet.run("nft", "flush", "set", "inet", "watch", table, check=True)

    def everywhere(self, counter):
        """A counter of inet and of every NAT, added up."""
        return sum(host.counter(counter) for host in [self.inet, *self.nats.values()])

    def move_together(self, *moves):
        """Several nodes at the same instant: one thread each, released together."""
        gate = threading.Barrier(len(moves))
        failures = queue.Queue()
        at = [0.0] * len(moves)

        def go(number, node, label):
            lines = node.move_lines(label)
            gate.wait()
            at[number] = time.time()
            try:
                node.ip(*lines)
                node.at = label
            except LabError as error:
                failures.put(error)

        threads = [threading.Thread(target=go, args=(number, *move)) for number, move in enumerate(moves)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not failures.empty():
            raise failures.get()
        return max(at)

    def close(self):
        """Ends what was started, by process id, and removes what was made."""
        atexit.unregister(self.close)
        if self.keep:
            return
        for process in reversed(self.processes):
            process.signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.child.wait(3)
            except subprocess.TimeoutExpired:
                process.signal(signal.SIGKILL)
        for ns in self.namespaces:
            remove_namespace(ns)
        shutil.rmtree(f"/run/ntm-lab-{self.run}", ignore_errors=True)
        self.namespaces, self.processes = [], []

    def __exit__(self, *_):
        self.close()
