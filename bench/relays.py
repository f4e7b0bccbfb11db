"""What forwards from left to right in the relay bench: coturn, a forwarder without a table (R3), our relay; each on one core of a host
between the two.

    left 192.0.2.1 ---- 192.0.2.2 middle 192.0.2.5 ---- 192.0.2.6 right      all of 10.64/10 is left too, all of 10.128/10 right
"""
import os

import lab as laboratory
import turn
import udp
from cable import LEFT, RIGHT, Cable, Contender
from lab import Node, demand, program, wait_for
from lab.topology import HOST_NUMBER

MIDDLE, FAR_MIDDLE, FAR = RIGHT, "192.0.2.5", "192.0.2.6"
MANY_LEFT, MANY_RIGHT = "10.64.0.1", "10.128.0.1"
FROM_PORT, TO_PORT, PORT = 7701, 7702, 7367
SENDER_CORE, RELAY_CORE = 0, os.cpu_count() - 1
SEALED, PATH_ID = 0x80, 1


def on_core(core, *words):
    """A program that is to stay on one core."""
    return ("taskset", "-c", str(core), *words)


class RelayCable(Cable):
    """Three hosts in a row; what comes from left comes in trains, or each datagram alone."""

    def build(self):
        super().build()
        name = f"far{self.number}"
        laboratory.NODES[name], HOST_NUMBER[name] = {}, 3
        self.middle, self.right = self.right, Node(self, name)  # the end of the cable is the middle now, and right a new host behind it
        self.middle.ip(f"link add eth1 type veth peer name eth0 netns {self.right.ns}", "link set eth1 up", f"addr add {FAR_MIDDLE}/30 dev eth1",
                       f"route add 10.64.0.0/10 via {LEFT}", f"route add 10.128.0.0/10 via {FAR}")
        self.right.ip("link set eth0 up", f"addr add {FAR}/30 dev eth0", f"route add default via {FAR_MIDDLE}",
                      "route add local 10.128.0.0/10 dev lo")
        self.left.ip("route add local 10.64.0.0/10 dev lo")
        for host in (self.middle, self.right):
            wait_for(f"the cable of {host.name}", host.links_work)

    def set_trains(self, whole):
        """Else the kernel cuts them on the cable to the middle, and nobody joins them again."""
        self.left.run("ethtool", "-K", "eth0", "tx-udp-segmentation", "on" if whole else "off", check=True)


class Relay(Contender):
    """What all of them have: to is where left sends, prefix what its datagrams begin with."""

    cable_type = RelayCable
    to, sink = f"{MIDDLE}:{PORT}", f"{FAR}:{TO_PORT}"

    def prefix(self, size):
        """Of a datagram of this size, in hexadecimal."""
        return ""

    def start_relay(self, *words, **more):
        daemon = self.cable.middle.start(os.path.basename(words[0]), *on_core(RELAY_CORE, *words), **more)
        self.daemons = [daemon]
        return daemon


class Coturn(Relay):
    """Debian's, by channel data: 4 bytes on one side, none on the other."""

    name, port = "coturn", 3478
    to = f"{MIDDLE}:{port}"
    words = ("turnserver", "-n", "--no-auth", "--realm", "bench", "--listening-ip", MIDDLE, "--relay-ip", FAR_MIDDLE, "--listening-port", str(port),
             "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout", "--simple-log")
    commands = (" ".join(("taskset -c", str(RELAY_CORE), *words)) + "   # middle",)

    def start(self, cable):
        self.start_relay(*self.words, "--pidfile", cable.path("turnserver.pid"), "--userdb", cable.path("turndb"))
        self.bind(turn.allocate)

    def bind(self, *before):
        """From the port that the load is sent from afterwards."""
        with self.cable.left.udp(LEFT, FROM_PORT) as sock:
            for step in before:
                step(sock, (MIDDLE, self.port))
            turn.bind_channel(sock, (MIDDLE, self.port), (FAR, TO_PORT))

    def settle(self):
        self.bind()

    def prefix(self, size):
        return turn.channel_data(size).hex()


class Forward(Relay):
    """R3: trains in, the same trains out."""

    name = "UDP forwarder R3"
    commands = (f"taskset -c {RELAY_CORE} udp-forward {MIDDLE}:{PORT} {LEFT}:{FROM_PORT} {FAR}:{TO_PORT}   # middle",)

    def start(self, cable):
        self.start_relay(udp.loop("udp-forward"), self.to, f"{LEFT}:{FROM_PORT}", self.sink).wait_line("ready")


class Ours(Relay):
    """ntm-rs, which joins a network that is served beside it; the legs' tickets are sealed under that one's key."""

    name, pairs = "ours", 1
    near, far = LEFT, FAR
    words = ("--xdp", "off")    # what is measured here is user space alone
    commands = ("ntm serve --xdp off --listen 192.0.2.5:7368   # middle",
                f"taskset -c {RELAY_CORE} ntm-rs --xdp off --listen {MIDDLE}:{PORT}   # middle",
                "relay-legs bind RELAY LOCAL LEG PAIRS coordinator.key relay.key   # left (0), right (1)")

    def start(self, cable):
        self.serve(cable)
        self.before = self.memory_kb()
        self.bind()
        self.pair_bytes = (self.memory_kb() - self.before) * 1024 / self.pairs

    def serve(self, cable):
        middle, socket = cable.middle, cable.socket_name(cable.middle.name, "server")
        relay_socket = cable.socket_name(middle.name, "relay")
        server = middle.start("ntm-server", program("ntm"), "serve", "--state", cable.path("server-state"), "--socket", socket,
                              "--listen", f"{FAR_MIDDLE}:7368", "--advertise", FAR_MIDDLE, *self.words)
        wait_for("the server", lambda: os.path.exists(socket) or not server.running(), 15)
        code = middle.run(program("ntm"), "invite", "--role", "relay", "--socket", socket, check=True).stdout.strip()
        relay = self.start_relay(program("ntm-rs"), "--foreground", "--state", cable.path("relay-state"), "--socket", relay_socket,
                                 "--listen", self.to, "--advertise", MIDDLE, *self.words, env={"NTM_JOIN": code})
        wait_for("the relay", lambda: os.path.exists(relay_socket) or not relay.running(), 15)
        demand(relay.running(), f"ntm-rs ended; see {relay.log_path}")

    def memory_kb(self):
        with open(f"/proc/{self.daemons[0].pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def legs(self, host, *words):
        return host.run(*on_core(SENDER_CORE, os.path.join(laboratory.BUILD, "meson", "bench", "relay-legs"), *words), check=True, timeout=120)

    def bind(self):
        keys = (self.cable.path("server-state/coordinator.key"), self.cable.path("relay-state/relay.key"))
        for leg, (host, address, port) in enumerate(self.ends()):
            self.legs(host, "bind", self.to, f"{address}:{port}", str(leg), str(self.pairs), *keys)

    def ends(self):
        return ((self.cable.left, self.near, FROM_PORT), (self.cable.right, self.far, TO_PORT))

    def settle(self):
        """The sender's legs are heard with every datagram; the receiver's are not, and would fall idle after five minutes."""
        host, address, port = self.ends()[1]
        self.legs(host, "touch", self.to, f"{address}:{port}", str(self.pairs))

    def prefix(self, size):
        return f"{SEALED:02x}00{0:012x}{PATH_ID:016x}"


class OursMany(Ours):
    """The same with as many pairs as the goal says, each at two addresses of its own."""

    name, pairs = "ours, 100,000 pairs", 100000
    near, far = MANY_LEFT, MANY_RIGHT


RELAYS = (Coturn, Forward, Ours, OursMany)
