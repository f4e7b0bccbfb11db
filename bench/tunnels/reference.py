"""What tunnels are given as a share of: the bare cable, and our device, trains and sockets with a copy in place of the sealing."""
import os

import lab as laboratory
from cable import INNER_MTU, LEFT, RIGHT, Contender, device_errors


class Bare(Contender):
    name, address, link = "bare veth", RIGHT, "eth0"

    def start(self, cable):
        """Nothing to do: the cable is there."""


class CopyLoop(Contender):
    """R1: what a tunnel of this build could reach at most; a thread for each direction."""

    name, address, link, port = "copy loop R1", "10.8.0.2", "r1", 7400
    words = switches = ()
    commands = (f"copy-loop r1 {LEFT}:7400 {RIGHT}:7400   # left", f"copy-loop r1 {RIGHT}:7400 {LEFT}:7400   # right",
                f"ip link set r1 mtu {INNER_MTU} up   # both")

    def start(self, cable):
        loop, self.daemons = os.path.join(laboratory.BUILD, "meson", "bench", "loops", "copy-loop"), []
        for host, inner, own, other in ((cable.left, "10.8.0.1", LEFT, RIGHT), (cable.right, "10.8.0.2", RIGHT, LEFT)):
            daemon = host.start("copy-loop", loop, self.link, f"{own}:{self.port}", f"{other}:{self.port}", *self.words)
            daemon.wait_line("ready")
            self.daemons.append(daemon)
            host.ip(f"addr add {inner}/24 dev {self.link}", f"link set {self.link} mtu {INNER_MTU} up")
            if self.switches:
                host.run("ethtool", "-K", self.link, *self.switches, check=True)
        self.answers()

    def errors(self):
        return device_errors((host, self.link) for host in (self.cable.left, self.cable.right))


class CopyThread(CopyLoop):
    """The same with one thread for both directions."""

    name, words = "copy loop, one thread", ("one-thread",)
    commands = tuple(line.replace("7400   #", "7400 one-thread   #") for line in CopyLoop.commands)


class CopyOne(CopyLoop):
    """R1p: the same, packet by packet."""

    name, words, switches = "copy loop R1p", ("one-by-one",), ("tx", "off", "tso", "off", "gso", "off", "tx-udp-segmentation", "off")
    commands = (*(line.replace("7400   #", "7400 one-by-one   #") for line in CopyLoop.commands),
                f"ethtool -K r1 {' '.join(switches)}   # both")


TUNNELS = (Bare, CopyLoop, CopyThread, CopyOne)
