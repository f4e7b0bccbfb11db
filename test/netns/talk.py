"""A conversation: TCP and UDP both ways between two hosts at once, each byte and each number checked as it comes."""
import contextlib
import random
import select
import socket
import struct
import threading
import time

from lab import LabError, demand, wait_for

TICK_SECONDS = 0.01
TCP_BYTES_A_TICK = 4000      # 3 Mbit/s in each direction
VOICE_TICKS = 2              # a datagram every 20 ms
VOICE_BYTES = 160
TALK_PORT = 7100
PATTERN = random.Random(4).randbytes(65521) * 2  # of prime length, so that no block that is lost, doubled or swapped can look right


def pattern(offset, size):
    """What stands at that place of every stream; size is less than the pattern's length."""
    start = offset % (len(PATTERN) // 2)
    return PATTERN[start:start + size]


def kernel_counter(host, table, key):
    """A counter of the kernel in the host's namespace, as /proc/net/netstat and snmp have it."""
    with host.inside(), open(f"/proc/thread-self/net/{'netstat' if table.endswith('Ext') else 'snmp'}", encoding="utf-8") as file:
        rows = [line.split() for line in file if line.startswith(table + ":")]
    return int(rows[1][rows[0].index(key)])


class Stream:
    """One direction of a TCP connection: what was sent, what came."""

    def __init__(self, source, target):
        self.source, self.target, self.sent, self.received, self.last, self.stall_s = source, target, 0, 0, None, 0.0

    def send(self):
        with contextlib.suppress(BlockingIOError):
            self.sent += self.source.send(pattern(self.sent, TCP_BYTES_A_TICK))

    def receive(self, now):
        data = self.target.recv(32768)
        demand(data, f"TCP ended after {self.received} bytes")
        demand(data == pattern(self.received, len(data)), f"TCP brought other bytes than were sent, after {self.received}")
        self.received += len(data)
        if self.last is not None:
            self.stall_s = max(self.stall_s, now - self.last)
        self.last = now


class Voice:
    """One direction of UDP: a number every 20 ms, and which of them came."""

    def __init__(self, source, target, to=None):
        self.source, self.target, self.to, self.sent, self.seen, self.doubled, self.wait_ticks = source, target, to, 0, set(), 0, 0

    def send(self):
        self.wait_ticks -= 1
        if self.to is None or self.wait_ticks > 0:
            return
        self.wait_ticks = VOICE_TICKS
        with contextlib.suppress(OSError):
            self.source.sendto(struct.pack("!Q", self.sent).ljust(VOICE_BYTES, b"."), self.to)
        self.sent += 1

    def receive(self):
        """Returns where it came from."""
        data, whence = self.target.recvfrom(2000)
        demand(len(data) == VOICE_BYTES, f"a datagram of {len(data)} bytes came, {VOICE_BYTES} were sent")
        number = struct.unpack("!Q", data[:8])[0]
        self.doubled += number in self.seen
        self.seen.add(number)
        return whence

    def lost(self, since=0):
        """Of those that were sent before the last that came."""
        last = max(self.seen, default=-1)
        return sum(number not in self.seen for number in range(since, last))


class Talk:
    """A client and a server at an address of the server's, which may be a general host: it answers datagrams to whence they come."""

    def __init__(self, client, server, address, local=None, port=TALK_PORT, quiet=False):
        self.name = f"{client.name}-{server.name}/{'v6' if ':' in address else 'v4'}"
        self.hosts, self.failure, self.ended = (client, server), None, threading.Event()
        wild = "::" if ":" in address else "0.0.0.0"
        ours, theirs = self.connect(client, server, (address, port), (local or wild, 0))
        udp_ours, udp_theirs = client.udp(local or wild), server.udp(address, port)
        self.sockets = [ours, theirs, udp_ours, udp_theirs]
        for made in self.sockets:
            made.setblocking(False)
        self.up, self.down = Stream(ours, theirs), Stream(theirs, ours)
        self.voice_up, self.voice_down = Voice(udp_ours, udp_theirs, (address, port)), Voice(udp_theirs, udp_ours)
        self.quiet = quiet
        self.timeouts_before = self.timeouts()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def connect(self, client, server, there, local):
        """A TCP connection; the inner one is made like any other, so that a first contact may be part of it."""
        family = socket.AF_INET6 if ":" in there[0] else socket.AF_INET
        with server.inside():
            listener = socket.create_server(there, family=family)
        with client.inside():
            ours = socket.socket(family, socket.SOCK_STREAM)
        with contextlib.closing(listener):
            ours.bind(local)
            ours.settimeout(20)
            listener.settimeout(20)
            try:
                ours.connect(there)
                return ours, listener.accept()[0]
            except OSError as error:
                raise LabError(f"{self.name}: no connection to {there[0]}: {error}") from None

    def timeouts(self):
        return sum(kernel_counter(host, "TcpExt", "TCPTimeouts") for host in self.hosts)

    def run(self):
        readers = {flow.target: flow for flow in (self.up, self.down, self.voice_up, self.voice_down)}
        due = time.monotonic()
        try:
            while not self.ended.is_set():
                ready, _, _ = select.select(list(readers), [], [], max(due - time.monotonic(), 0))
                now = time.monotonic()
                for one in ready:
                    self.receive(readers[one], now)
                if now >= due:
                    due = max(due + TICK_SECONDS, now)
                    self.send()
        except (OSError, LabError) as error:
            self.failure = f"{self.name}: {error}"

    def receive(self, flow, now):
        if isinstance(flow, Stream):
            flow.receive(now)
        else:
            whence = flow.receive()
            if flow is self.voice_up:
                self.voice_down.to = whence

    def send(self):
        for flow in (self.down, self.voice_down) if self.quiet else (self.up, self.down, self.voice_up, self.voice_down):
            flow.send()
        if self.quiet and not self.voice_up.sent:
            self.voice_up.send()  # the server must know whereto

    # --- what is asked of it ---

    def mark(self):
        return (self.up.received, self.down.received, len(self.voice_up.seen), len(self.voice_down.seen))

    def sound(self):
        """Nothing was reset, altered or doubled so far."""
        demand(self.failure is None, self.failure)
        demand(not self.voice_up.doubled and not self.voice_down.doubled, f"{self.name}: datagrams were doubled")

    def wait_on(self, mark, kilobytes=60, voices=5, seconds=20):
        """So much more has come than was there at the mark, each way."""
        wanted = [mark[0] + kilobytes * 1000, mark[1] + kilobytes * 1000, mark[2] + voices, mark[3] + voices]
        if self.quiet:
            wanted[0], wanted[2] = mark[0], mark[2]

        def there():
            self.sound()
            return all(have >= want for have, want in zip(self.mark(), wanted))
        try:
            wait_for("it", there, seconds)
        except LabError as error:
            raise LabError(f"{self.name}: {error}: TCP there, back, UDP there, back: {self.mark()} of {tuple(wanted)}") from None

    def wait_voices(self, count):
        """The clock of a test that moves often: so many datagrams more have been sent, one every 20 ms."""
        target = self.voice_down.sent + count
        wait_for(f"{count} datagrams to be sent", lambda: self.voice_down.sent >= target or self.failure, 30 + count / 25, 0.005)

    def finish(self, timeouts_allowed=0):
        """Everything that was sent comes; no retransmission timer ran out (None: may have). Returns how many datagrams were lost."""
        self.wait_on(self.mark())
        self.stop()
        self.drain()
        self.sound()
        timeouts = self.timeouts() - self.timeouts_before
        demand(timeouts_allowed is None or timeouts <= timeouts_allowed, f"{self.name}: {timeouts} TCP retransmission timeouts")
        return self.voice_up.lost() + self.voice_down.lost()

    def drain(self, seconds=20):
        """The rest of both streams, to the last byte."""
        def there():
            for stream in (self.up, self.down):
                with contextlib.suppress(BlockingIOError):
                    stream.receive(time.monotonic())
            return all(stream.received == stream.sent for stream in (self.up, self.down))
        wait_for(f"{self.name}: the last bytes of both streams", there, seconds, 0.005)

    def stop(self):
        self.ended.set()
        self.thread.join(10)

    def close(self):
        self.stop()
        for made in self.sockets:
            made.close()


class Talks:
    """Several conversations at once, as one; a context manager. Their figures go to the lab's folder."""

    def __init__(self, lab, *wanted, quiet=False):
        self.lab, self.quiet, self.all = lab, quiet, []
        self.wanted = wanted

    def __enter__(self):
        for node in {host.name: host for client, server, *_ in self.wanted for host in (client, server)}.values():
            if getattr(node, "daemon", None) and not node.events:
                node.watch()
        try:
            for number, (client, server, *addresses) in enumerate(self.wanted):
                self.all.append(Talk(client, server, *addresses, port=TALK_PORT + number, quiet=self.quiet))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for talk in self.all:
            talk.close()

    def mark(self):
        return [talk.mark() for talk in self.all]

    def wait_on(self, marks, **wanted):
        for talk, mark in zip(self.all, marks):
            talk.wait_on(mark, **wanted)

    def moved(self, what, move, **wanted):
        """Does it, and every conversation goes on."""
        lost, timeouts = self.lost(), self.timeouts()
        try:
            move()
            self.wait_on(self.mark(), **wanted)
        except LabError as error:
            raise LabError(f"{what}: {error}") from None
        self.note(f"{what}: {self.lost() - lost} datagrams lost, {self.timeouts() - timeouts} timeouts")

    def lost(self):
        return sum(talk.voice_up.lost() + talk.voice_down.lost() for talk in self.all)

    def timeouts(self):
        """Of the busiest host: conversations share their hosts."""
        return max(talk.timeouts() - talk.timeouts_before for talk in self.all)

    def note(self, text):
        with open(self.lab.path("talk.log"), "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def finish(self, timeouts_allowed=0):
        """All of them end well, and the wires showed nothing."""
        for talk in self.all:
            lost = talk.finish(timeouts_allowed)
            self.note(f"{talk.name}: {talk.up.received} bytes there, {talk.down.received} back, {lost} datagrams lost, "
                      f"longest stall of TCP {max(talk.up.stall_s, talk.down.stall_s) * 1000:.0f} ms")
        demand(self.lab.everywhere("clear") == 0, "a virtual address was seen in clear")
        demand(self.lab.everywhere("fragments") == 0, "an outer packet was in fragments")


def both_families(one, other):
    """Conversations between two nodes, over IPv4 and over IPv6 inside."""
    return (one, other, other.v4, one.v4), (one, other, other.v6, one.v6)
