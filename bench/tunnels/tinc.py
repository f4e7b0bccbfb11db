"""tinc 1.0 on a cable, with the cipher and digest that it has by itself."""
import os
import shutil

from cable import INNER_MTU, LEFT, RIGHT, Contender
from lab import LabError, sh, wait_for

KEY_BITS = 2048
ENDS = {"left": ("10.6.0.1", LEFT), "right": ("10.6.0.2", RIGHT)}


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Tinc(Contender):
    name, address, link = "tinc", ENDS["right"][0], "tinc0"
    commands = ("tincd -c DIR -K   # both; DIR/tinc.conf: Name, Interface = tinc0, ConnectTo; DIR/hosts: Address, Subnet, public key",
                "tincd -c DIR -D   # both", f"ip link set tinc0 mtu {INNER_MTU} up   # both")

    def start(self, cable):
        if not shutil.which("tincd"):
            raise LabError("there is no tincd; scripts/install bench")
        folders = {name: cable.path(f"tinc-{name}") for name in ENDS}
        for name, folder in folders.items():
            self.configure(name, folder)
        for name, other in (("left", "right"), ("right", "left")):
            shutil.copy(os.path.join(folders[name], "hosts", name), os.path.join(folders[other], "hosts", name))
        self.daemons = []
        for (name, folder), host in zip(folders.items(), (cable.left, cable.right)):
            self.daemons.append(host.start("tincd", "tincd", "-c", folder, "-D", f"--pidfile={folder}/pid"))
            wait_for("tinc's link", lambda h=host: h.run("ip", "link", "show", self.link).returncode == 0, 10)
            host.ip(f"addr add {ENDS[name][0]}/24 dev {self.link}", f"link set {self.link} mtu {INNER_MTU} up")
        self.answers()

    @staticmethod
    def configure(name, folder):
        inner, outer = ENDS[name]
        os.makedirs(os.path.join(folder, "hosts"))
        connect = "ConnectTo = right\n" if name == "left" else ""
        write(os.path.join(folder, "tinc.conf"), f"Name = {name}\nInterface = {Tinc.link}\nDeviceType = tun\n{connect}")
        write(os.path.join(folder, "hosts", name), f"Address = {outer}\nSubnet = {inner}/32\n")
        sh(["tincd", "-c", folder, "-K", str(KEY_BITS)], text="\n\n")


TUNNELS = (Tinc,)
