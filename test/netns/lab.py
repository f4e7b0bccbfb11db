"""The lab: an internet of network namespaces on one machine, with NATs that people really have, and moves between them.

                                    s 198.51.100.2   s2 .3   s3 .4         (servers; 2001:db8:5::2 ..)
                                            |          |      |
                              +-------------+----------+------+------------+
                              |                   inet                     |    routes, counts, cuts; delays where asked
                              +--+-------------+-------------+----------+--+
                     203.0.113.11|  203.0.113.22|  203.0.113.33|         |2001:db8:d::/64
                              NAT A          NAT B          NAT C     router D (public IPv6, stateful)
                         192.168.1.0/24  192.168.1.0/24  100.64.0.0/10   |
                              |               |             |            |
      interfaces   home of a -+    home of b -+             +-- cell of a, b, c
                                                            |            +-- six of a, b, c

Both homes use the same private prefix, as homes do. Every node has all of its interfaces from the start, up and without an address: a
move is one `ip -batch`, so that what is measured is the overlay and not the kernel's link watch. Namespaces are called ntm-RUN-HOST and
are removed at the end, also after a failure; what an aborted run left is removed by the next one.
"""
import atexit
import contextlib
import ctypes
import fcntl
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("NTM_BUILD", os.path.join(ROOT, "build"))
LABS = os.path.join(ROOT, "build", "lab")
LABS_KEPT = 60
POOL4, POOL6 = "198.18.0.0/15", "fd6e:746d::/32"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

# --- what an access network is -------------------------------------------------------------------------------------------------------

NETWORKS = {
    "A": {"inside": "192.168.1", "bits": 24, "public": "203.0.113.11"},
    "B": {"inside": "192.168.1", "bits": 24, "public": "203.0.113.22"},
    "C": {"inside": "100.64.0", "bits": 10, "public": "203.0.113.33"},
    "D": {"inside6": "2001:db8:d:"},
}
NODES = {
    "a": {"home": "A", "cell": "C", "six": "D"},
    "b": {"home": "B", "cell": "C", "six": "D"},
    "c": {"cell": "C", "six": "D"},
}
SERVERS = ("s", "s2", "s3")
HOST_NUMBER = {"a": 10, "b": 20, "c": 30}
SERVER_NUMBER = {"s": 2, "s2": 3, "s3": 4}


def nat_rules(kind, public, inside):
    """nft rules of one NAT by its RFC 4787 name. All drop strange UDP at the box itself: else it would take the port that a peer punches."""
    box = 'chain input { type filter hook input priority 0;\n iifname "out" meta l4proto { tcp, udp } drop\n }'
    post = "chain post { type nat hook postrouting priority 100;\n %s\n }"
    simple = {
        "endpoint-independent": 'oifname "out" masquerade',
        "endpoint-independent-any-port": 'oifname "out" meta l4proto udp masquerade to :20000-29999\n oifname "out" masquerade',
        "symmetric": 'oifname "out" masquerade fully-random',
        "address-dependent": 'oifname "out" ip daddr 198.51.100.0/31 meta l4proto udp masquerade to :20000-29999\n'
                             ' oifname "out" ip daddr 198.51.100.2 meta l4proto udp masquerade to :30000-39999\n'
                             ' oifname "out" meta l4proto udp masquerade to :40000-49999\n oifname "out" masquerade',
    }
    if kind in simple:
        return f"table ip nat {{\n {post % simple[kind]}\n {box}\n}}\n"
    keys = {
        "full-cone": ("inet_service", "udp dport", "udp sport"),
        "address-restricted": ("ipv4_addr . inet_service", "ip saddr . udp dport", "ip daddr . udp sport"),
    }[kind]
    cone = 'oifname "out" masquerade\n oifname "lan" ct status dnat ip saddr %s snat to %s' % (inside, public)
    return f"""table ip nat {{
 map cone {{ type {keys[0]} : ipv4_addr . inet_service; flags dynamic,timeout; size 65535; timeout 120s; }}
 chain pre {{ type nat hook prerouting priority -100;
  ip daddr {public} meta l4proto udp dnat ip to {keys[1]} map @cone
 }}
 {post % cone}
 chain learn {{ type filter hook postrouting priority 300;
  oifname "out" meta l4proto udp ct direction original update @cone {{ {keys[2]} : ct original ip saddr . ct original proto-src }}
 }}
 {box}
}}
"""


NAT_KINDS = ("endpoint-independent", "endpoint-independent-any-port", "symmetric", "address-dependent", "full-cone", "address-restricted")

# Counts, before anything is put together again, what must never be on an outer link. Also cuts pairs of public addresses.
WATCH_RULES = f"""table inet watch {{
 counter fragments {{ }}
 counter clear {{ }}
 set cut {{ type ipv4_addr . ipv4_addr; }}
 set dead {{ type ipv4_addr; }}
 chain early {{ type filter hook prerouting priority -450;
  ip frag-off & 0x3fff != 0 counter name fragments
  exthdr frag exists counter name fragments
  ip saddr {POOL4} counter name clear
  ip daddr {POOL4} counter name clear
  ip6 saddr {POOL6} counter name clear
  ip6 daddr {POOL6} counter name clear
  ip saddr . ip daddr @cut drop
  ip saddr @dead drop
  ip daddr @dead drop
 }}
}}
"""


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


class Process:
    """A program in a host: its lines as they come, its log on disk, its end."""

    def __init__(self, name, command, log_path, env=None, stdin=None):
        self.name, self.command, self.log_path = name, command, log_path
        self.lines, self.stamps = [], []
        self.news = threading.Condition()
        self.log = open(log_path, "a", encoding="utf-8")
        self.log.write(f"$ {' '.join(command)}\n")
        self.log.flush()
        self.child = subprocess.Popen(command, stdin=stdin if stdin is not None else subprocess.DEVNULL, stdout=self.output_to(),
                                      stderr=subprocess.STDOUT, text=True, errors="replace",
                                      env={**os.environ, **(env or {})}, start_new_session=True)
        self.pid = self.child.pid
        self.follow()

    def output_to(self):
        return subprocess.PIPE

    def follow(self):
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            self.log.write(line)
            self.log.flush()
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.stamps.append(time.time())
                self.news.notify_all()
        with self.news:
            self.lines.append(None)
            self.stamps.append(time.time())
            self.news.notify_all()

    def wait_line(self, pattern, seconds=10.0, since=0):
        """The match of the first line from number `since` on that fits."""
        deadline = time.monotonic() + seconds
        with self.news:
            while True:
                for number in range(since, len(self.lines)):
                    if self.lines[number] is None:
                        raise LabError(f"{self.name} ended ({self.child.poll()}) before it said /{pattern}/; see {self.log_path}")
                    found = re.search(pattern, self.lines[number])
                    if found:
                        return found
                since = len(self.lines)
                if not self.news.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    raise LabError(f"waited {seconds:g} s for {self.name} to say /{pattern}/; see {self.log_path}")

    def running(self):
        return self.child.poll() is None

    def wait(self, seconds=30.0):
        """Its exit code."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end within {seconds:g} s; see {self.log_path}") from None
        self.reader.join(5)
        return code

    def output(self):
        with self.news:
            return "\n".join(line for line in self.lines if line is not None)

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def stop(self, seconds=10.0):
        """Asks, waits, and in the end insists."""
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.child.wait(5)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.child.wait(5)


class Detached(Process):
    """A program that may outlive the lab's own process: it writes its log itself."""

    def output_to(self):
        return self.log

    def follow(self):
        self.reader = threading.Thread(target=self.child.wait, daemon=True)
        self.reader.start()


class Events(Process):
    """`ntm watch --json` of a node: a list that grows, and a way to wait for the next one of a kind."""

    def wait_event(self, kind, seconds=15.0, since=0, **fields):
        deadline = time.monotonic() + seconds
        number = since
        with self.news:
            while True:
                while number < len(self.lines):
                    line = self.lines[number]
                    number += 1
                    if line is None:
                        raise LabError(f"{self.name} ended before a {kind} event; see {self.log_path}")
                    event = self.parse(line)
                    if event and event.get("event") == kind and all(event.get(k) == v for k, v in fields.items()):
                        return event
                if not self.news.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    raise LabError(f"waited {seconds:g} s for a {kind} event of {self.name}; see {self.log_path}")

    @staticmethod
    def parse(line):
        try:
            return json.loads(line)
        except ValueError:
            return None

    def mark(self):
        """Everything from here on is later than now."""
        with self.news:
            return len(self.lines)

    def all(self, kind, since=0):
        with self.news:
            lines = [line for line in self.lines[since:] if line]
        events = [self.parse(line) for line in lines]
        return [event for event in events if event and event.get("event") == kind]


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
        process = kind(f"{self.name}/{name}", self.command(words), self.lab.path(f"{self.name}-{name}.log"), env, stdin)
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


class Nat(Host):
    """An access network: its bridge `lan`, its uplink `out`, its rules."""

    def __init__(self, lab, name, inet, kind):
        super().__init__(lab, "nat" + name.lower())
        self.letter, self.config = name, NETWORKS[name]
        self.port = "up" + name.lower()
        self.ip(f"link add out type veth peer name {self.port} netns {inet.ns}", "link add lan type bridge forward_delay 0",
                "link set lan up", "link set out up")
        inet.ip(f"link set {self.port} up")
        self.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.nft(WATCH_RULES)
        if "public" in self.config:
            self.build4(inet, kind)
        else:
            self.build6(inet)

    def build4(self, inet, kind):
        public, inside = self.config["public"], f"{self.config['inside']}.0/{self.config['bits']}"
        self.public, self.gateway = public, f"{self.config['inside']}.1"
        self.ip(f"addr add {self.gateway}/{self.config['bits']} dev lan", f"addr add {public}/32 dev out",
                f"route add 203.0.113.1/32 dev out src {public}", f"route add default via 203.0.113.1 dev out src {public}")
        inet.ip(f"addr add 203.0.113.1/32 dev {self.port}", f"route add {public}/32 dev {self.port}")
        self.inside_prefix = inside
        self.nft(nat_rules(kind, public, inside))

    def build6(self, inet):
        prefix = self.config["inside6"]
        self.gateway6 = f"{prefix}:1"
        self.ip(f"addr add {self.gateway6}/64 dev lan nodad", "addr add 2001:db8:f:d::2/64 dev out nodad",
                "route add ::/0 via 2001:db8:f:d::1 dev out")
        inet.ip(f"addr add 2001:db8:f:d::1/64 dev {self.port} nodad", f"route add {prefix}:/64 via 2001:db8:f:d::2 dev {self.port}")
        self.nft("""table ip6 wall {
 chain pass { type filter hook forward priority 0;
  iifname "out" ct state established,related accept
  iifname "out" meta l4proto ipv6-icmp accept
  iifname "out" drop
 }
}
""")

    def set_kind(self, kind):
        """Another kind of NAT from now on; every mapping is forgotten."""
        self.nft("table ip nat\ndelete table ip nat\n" + nat_rules(kind, self.public, self.inside_prefix))
        self.run("conntrack", "-F", check=True)

    def forget(self):
        """The NAT restarts: every mapping is gone, the next packet gets a new one."""
        self.run("conntrack", "-F", check=True)

    def set_mtu(self, inet, mtu):
        """The uplink carries no more than that."""
        self.ip(f"link set out mtu {mtu}")
        inet.ip(f"link set {self.port} mtu {mtu}")


class Node(Host):
    """A device with several interfaces, and ntmd on it."""

    def __init__(self, lab, name):
        super().__init__(lab, name)
        self.sysctl(net__ipv6__conf__all__accept_ra=0, net__ipv6__conf__default__accept_ra=0, net__ipv4__ip_forward=0)
        self.links = {}
        for label, letter in NODES[name].items():
            nat = lab.nats.get(letter)
            if nat:
                self.add_link(label, nat)
        self.at = None
        self.daemon = self.events = None
        self.state, self.socket_path = lab.path(f"{name}-state"), lab.socket_name(name)

    def add_link(self, label, nat):
        port = f"p-{self.name}"
        self.ip(f"link add {label} type veth peer name {port} netns {nat.ns}")
        nat.ip(f"link set {port} master lan", f"link set {port} up")
        self.ip(f"link set {label} up")
        self.links[label] = nat

    def lines_up(self, label, metric=0):
        nat, number = self.links[label], HOST_NUMBER[self.name]
        metric = f" metric {metric}" if metric else ""
        if "public" in nat.config:
            return [f"addr add {nat.config['inside']}.{number}/{nat.config['bits']} dev {label}",
                    f"route add default via {nat.gateway} dev {label}{metric}"]
        return [f"addr add {nat.config['inside6']}:{number}/64 dev {label} nodad",
                f"route add ::/0 via {nat.gateway6} dev {label}{metric}"]

    def lines_down(self, label):
        nat, number = self.links[label], HOST_NUMBER[self.name]
        if "public" in nat.config:
            return [f"route del default dev {label}", f"addr del {nat.config['inside']}.{number}/{nat.config['bits']} dev {label}"]
        return [f"route del ::/0 dev {label}", f"addr del {nat.config['inside6']}:{number}/64 dev {label}"]

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
        return self.events


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


class Lab:
    """The topology, as a context manager. nats: kind by network letter; delays: one-way milliseconds on an uplink by letter."""

    def __init__(self, name="lab", nodes=("a", "b"), nats=None, delays=None, servers=("s",), keep=False):
        self.run = run_name()
        self.name, self.keep = name, keep
        self.directory = os.path.join(LABS, f"{self.run}-{name}")
        self.processes, self.namespaces = [], []
        self.nodes_wanted, self.servers_wanted = nodes, servers
        self.nat_kinds, self.delays = nats or {}, delays or {}
        self.hosts = {}

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
        self.inet = Host(self, "inet")
        self.inet.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.inet.ip("link add srv type bridge forward_delay 0", "link set srv up", "addr add 198.51.100.1/24 dev srv",
                     "addr add 2001:db8:5::1/64 dev srv nodad")
        self.inet.nft(WATCH_RULES)
        self.hosts = {name: Server(self, name, self.inet) for name in self.servers_wanted}
        letters = sorted({letter for node in self.nodes_wanted for letter in NODES[node].values()} | set(self.nat_kinds))
        self.nats = {}
        for letter in letters:
            self.nats[letter] = Nat(self, letter, self.inet, self.nat_kinds.get(letter, "endpoint-independent"))
            if letter in self.delays:
                self.delay(self.nats[letter], self.delays[letter])
        for name in self.nodes_wanted:
            self.hosts[name] = Node(self, name)
            self.hosts[name].attach(next(iter(NODES[name])))
        for name, host in self.hosts.items():
            setattr(self, name, host)

    def delay(self, nat, milliseconds):
        """Puts a wire of that length between a NAT and the internet: our forwarder, because this kernel may have no netem."""
        port, far = nat.port, nat.port + "x"
        inner = nat.port + "y"
        down = [f"link set {port} down", f"link set {port} name {inner}", f"link add {port} type veth peer name {far}"]
        self.inet.ip(*down)
        for end in (inner, far):  # bare wire ends: the host itself must not answer on them
            self.inet.sysctl(**{f"net__ipv6__conf__{end}__disable_ipv6": 1})
            self.inet.ip(f"addr flush dev {end}", f"link set {end} arp off")
        self.inet.ip(f"link set {port} up", f"link set {far} up", f"link set {inner} up")
        if "public" in nat.config:
            self.inet.ip(f"addr add 203.0.113.1/32 dev {port}", f"route add {nat.public}/32 dev {port}")
        else:
            prefix = nat.config["inside6"]
            self.inet.ip(f"addr add 2001:db8:f:d::1/64 dev {port} nodad",
                         f"route add {prefix}:/64 via 2001:db8:f:d::2 dev {port}")
        for host, link in ((self.inet, port), (nat, "out")):
            host.run("ethtool", "-K", link, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        forwarder = self.inet.start(f"delay-{nat.letter}", os.path.join(BUILD, "meson", "bench", "delay"), inner, far,
                                    str(int(milliseconds * 1000)))
        forwarder.wait_line("forwarding", 5)

    # --- what is asked of the whole ---

    def cut(self, one, other):
        """Nothing passes directly between the public addresses of two networks."""
        self.inet.run("nft", "add", "element", "inet", "watch", "cut",
                      f"{{ {one.public} . {other.public}, {other.public} . {one.public} }}", check=True)

    def heal(self):
        self.inet.run("nft", "flush", "set", "inet", "watch", "cut", check=True)

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


def end_on_signals():
    """A terminated run cleans up like an ended one."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
