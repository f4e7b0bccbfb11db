"""Probes between two hosts: bench/probe.c at both ends, and what its logs say about a move.

A Flow is one direction: when each probe (or block of a stream) was sent, and when it arrived. Its files grow while they are read.
"""
import mmap
import os
import struct
import time

import lab as laboratory
from lab import demand, wait_for

PACE_SECONDS = 0.002
MAGIC = 0x31676f6c6d746e
CAPACITY = 1 << 16
HEADER_BYTES = 64
SENT_AT, ARRIVED_AT = HEADER_BYTES, HEADER_BYTES + 8 * CAPACITY
LOG_BYTES = ARRIVED_AT + 16 * CAPACITY
STATES = ("waiting", "open", "ended", "broken")
STEADY_SECONDS = 0.5     # arrivals for that long mean that it goes on
REALTIME = ("chrt", "-f", "40")  # the ruler must not wait for what it measures


class Log:
    """One end's file; the layout is in probe.c."""

    def __init__(self, path):
        self.path = path
        wait_for(f"the log {path}", self.whole, 10)
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), LOG_BYTES, prot=mmap.PROT_READ)

    def whole(self):
        if not os.path.exists(self.path) or os.path.getsize(self.path) != LOG_BYTES:
            return False
        with open(self.path, "rb") as file:
            return struct.unpack("=Q", file.read(8))[0] == MAGIC

    def field(self, number):
        return struct.unpack_from("=Q", self.map, 8 * number)[0]

    @property
    def state(self):
        return STATES[self.field(2)]

    @property
    def sent(self):
        return self.field(3)

    @property
    def received(self):
        return self.field(4)

    @property
    def retransmits(self):
        return self.field(5)

    @property
    def timeouts(self):
        return self.field(6)

    def sent_ns(self):
        """By number; 0 where sending failed."""
        return struct.unpack_from(f"={min(self.sent, CAPACITY)}Q", self.map, SENT_AT)

    def arrivals(self, first=0):
        """(number, nanoseconds) in the order of arrival."""
        count = self.received - first
        words = struct.unpack_from(f"={2 * count}Q", self.map, ARRIVED_AT + 16 * first) if count > 0 else ()
        return list(zip(words[::2], words[1::2]))

    def close(self):
        self.map.close()


class Flow:
    """From one end's log to the other's."""

    def __init__(self, source, target):
        self.source, self.target = source, target

    def steady(self, since_ns):
        """Have they come without a break for a while, the last of them just now?"""
        now = time.monotonic_ns()
        wanted = int(STEADY_SECONDS / PACE_SECONDS)
        if now - since_ns < STEADY_SECONDS * 1e9 or self.target.received < wanted:
            return False
        recent = [at for _, at in self.target.arrivals(self.target.received - wanted)]
        if recent[0] < since_ns or recent[-1] < now - 50_000_000:
            return False
        return max(later - earlier for earlier, later in zip(recent, recent[1:])) < 60_000_000

    def steady_end(self, end_ns):
        """Did something still arrive at the end?"""
        return self.target.received > 0 and self.target.arrivals(self.target.received - 1)[0][1] > end_ns - 500_000_000

    def gap_ms(self, since_ns, until_ns=None):
        """The longest silence from just before the move on; None where nothing came afterwards."""
        until_ns = until_ns or float("inf")
        times = [at for _, at in self.target.arrivals() if since_ns - 100_000_000 < at <= until_ns]
        if not times or times[-1] < since_ns:
            return None
        return max((later - earlier for earlier, later in zip(times, times[1:])), default=0) / 1e6

    def jitter_us(self, since_ns, until_ns):
        """How much longer the slowest of a hundred probes of that time took than the middle one."""
        sent = self.source.sent_ns()
        took = sorted(at - sent[number] for number, at in self.target.arrivals()
                      if number < len(sent) and sent[number] and since_ns <= sent[number] <= until_ns)
        return (took[(len(took) - 1) * 99 // 100] - took[len(took) // 2]) / 1000 if took else 0

    def lost(self, since_ns, until_ns):
        """Of those that were sent in that time, how many never came; and how many came more than once."""
        arrivals = [number for number, _ in self.target.arrivals()]
        arrived = set(arrivals)
        sent = [number for number, at in enumerate(self.source.sent_ns()) if since_ns <= at <= until_ns]
        return sum(1 for number in sent if number not in arrived), len(arrivals) - len(arrived)

    def story(self, since_ns, before_ms=100, after_ms=600):
        """[ms after the move when sent, ms it took or None] of each probe around a move: what the time line is drawn from."""
        arrived = {}
        for number, at in self.target.arrivals():
            arrived.setdefault(number, at)
        made = []
        for number, at in enumerate(self.source.sent_ns()):
            when = (at - since_ns) / 1e6
            if at and -before_ms <= when <= after_ms:
                took = (arrived[number] - at) / 1e6 if number in arrived else None
                made.append([round(when, 2), None if took is None else round(took, 2)])
        return made


class Pair:
    """Two ends of one kind of probe between hosts M and K, and their flows; `processes` are ended by stop()."""

    def __init__(self, processes, m_log, k_log):
        self.processes, self.m, self.k = processes, m_log, k_log
        self.to_m, self.to_k = Flow(k_log, m_log), Flow(m_log, k_log)

    def end_sending(self):
        for process in self.processes:
            process.stop()

    def close(self):
        self.end_sending()
        self.m.close()
        self.k.close()


def probe_program():
    return os.path.join(laboratory.BUILD, "meson", "bench", "probe")


def log_path(world, host, kind):
    """A new one each time: a mapped file must not be cut while it is read."""
    world.logs_made += 1
    return world.path(f"probe-{world.logs_made}-{kind}-{host.name}")


def start(host, kind, *words):
    return host.start(f"probe-{kind}", *REALTIME, probe_program(), *[str(word) for word in words])


def datagrams(world, m, k, m_address, k_address, port, silent_m=False):
    """A probe each 2 ms both ways, or only toward M."""
    logs = [log_path(world, host, "udp") for host in (m, k)]
    processes = [start(m, "udp", logs[0], "udp", m_address, k_address, port, *(["silent"] if silent_m else [])),
                 start(k, "udp", logs[1], "udp", k_address, m_address, port)]
    return Pair(processes, Log(logs[0]), Log(logs[1]))


def stream(world, m, k, k_address, port, kind="tcp"):
    """4 Mbit/s each way over one TCP (or MPTCP) connection that M opens."""
    logs = [log_path(world, host, kind) for host in (m, k)]
    listener = start(k, kind, logs[1], kind, "listen", k_address, port)
    listener.wait_line("listening", 5)
    connector = start(m, kind, logs[0], kind, "connect", k_address, port)
    pair = Pair([connector, listener], Log(logs[0]), Log(logs[1]))
    wait_for("the stream to be open", lambda: pair.m.state == "open" and pair.k.state == "open", 15)
    return pair


def greet(world, m, k, name, port, resolver=None):
    """From the first packet that asks to K's first byte and M's first answer, in ms."""
    program = os.path.join(laboratory.BUILD, "meson", "bench", "greet")
    listener = k.start("greet", *REALTIME, program, "answer", str(port))
    listener.wait_line("listening", 5)
    try:
        done = m.run(*REALTIME, program, "ask", name, str(port), *([resolver] if resolver else []), timeout=40)
    finally:
        listener.stop()
    demand(done.returncode == 0, f"no contact: {done.stderr.strip()}")
    words = done.stdout.split()
    said = {key: int(value) for key, value in zip(words[::2], words[1::2])}
    return {"dns": said["dns_us"] / 1000, "first_byte": said["first_byte_us"] / 1000, "answer": said["answer_us"] / 1000}


def tcp_counters(host):
    """The namespace's count of retransmission timeouts and of segments sent again."""
    done = host.run("cat", "/proc/net/netstat", "/proc/net/snmp", check=True).stdout.splitlines()
    found = {}
    for names, values in zip(done, done[1:]):
        kind, _, rest = names.partition(":")
        if values.startswith(kind + ":") and kind in ("TcpExt", "Tcp") and not rest.split()[0].lstrip("-").isdigit():
            found.update({kind + name: int(value) for name, value in zip(rest.split(), values.partition(":")[2].split())})
    demand("TcpExtTCPTimeouts" in found and "TcpRetransSegs" in found, f"{host.name}: no TCP counters in /proc")
    return {"timeouts": found["TcpExtTCPTimeouts"], "retransmits": found["TcpRetransSegs"]}
