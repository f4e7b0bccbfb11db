"""Nebula on a cable: left is the lighthouse too."""
import json
import os

from cable import INNER_MTU, LEFT, Contender, device_errors
from contenders.nebula import make_authority, make_certificate, settings
from lab import wait_for
from world import peer

LEFT_INNER = "10.98.0.1"
BUFFER_BYTES = 7 << 20  # as wireguard-go, Tailscale and ours ask for


class Nebula(Contender):
    name, address, link = "Nebula", "10.98.0.2", "nebula1"
    programs = ("nebula", "nebula-cert")
    commands = ("nebula-cert ca -name lab; nebula-cert sign -name left -ip 10.98.0.1/24   # and right",
                f"nebula -config config.yml   # both; left is lighthouse, tun.mtu {INNER_MTU}, listen.read_buffer and write_buffer 7 MiB")

    def start(self, cable):
        folder = cable.path("nebula")
        make_authority(folder)
        self.daemons = []
        for host, name, inner in ((cable.left, "left", LEFT_INNER), (cable.right, "right", self.address)):
            make_certificate(folder, name, inner)
            self.write(folder, name)
            self.daemons.append(host.start("nebula", peer("nebula"), "-config", os.path.join(folder, f"{name}.yml")))
            wait_for("Nebula's link", lambda h=host, i=inner: i in h.run("ip", "addr", "show", self.link).stdout, 10)
        self.answers(30)

    @staticmethod
    def write(folder, name):
        made = settings(folder, name, name == "left", LEFT, LEFT_INNER)
        made["tun"]["mtu"] = INNER_MTU
        made["listen"] |= {"read_buffer": BUFFER_BYTES, "write_buffer": BUFFER_BYTES}
        with open(os.path.join(folder, f"{name}.yml"), "w", encoding="utf-8") as file:
            json.dump(made, file)

    def errors(self):
        return device_errors((host, self.link) for host in (self.cable.left, self.cable.right))


TUNNELS = (Nebula,)
