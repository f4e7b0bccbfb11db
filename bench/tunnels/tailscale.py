"""Tailscale on a cable: its coordination and its relay run on left, and are not counted as its daemons."""
from types import SimpleNamespace

from cable import INNER_MTU, LEFT, Contender, device_errors
from contenders import tailscale


class Setup(tailscale.Tailscale):
    environment = {"TS_DEBUG_MTU": str(INNER_MTU)}


class Tailscale(Contender):
    name, link = "Tailscale", "tailscale0"
    programs = Setup.programs
    commands = tuple(line.replace("   # S", "   # left").replace("//S:", f"//{LEFT}:").replace("M and K", "both")
                     .replace("tailscaled --tun", f"TS_DEBUG_MTU={INNER_MTU} tailscaled --tun") for line in Setup.commands)

    def start(self, cable):
        server = SimpleNamespace(v4=LEFT, start=cable.left.start, run=cable.left.run)
        setup = Setup()
        setup.start(SimpleNamespace(m=cable.left, k=cable.right, s=server, path=cable.path))
        self.address, self.daemons = setup.k_address, [setup.daemons[host] for host in (cable.left, cable.right)]
        self.answers(30)

    def errors(self):
        return device_errors((host, self.link) for host in (self.cable.left, self.cable.right))


TUNNELS = (Tailscale,)
