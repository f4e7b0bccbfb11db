"""wireguard-go on a cable, configured over its own socket protocol, so that no other tool is needed."""
from cable import INNER_MTU, LEFT, RIGHT, Contender, device_errors
from contenders.wireguard import End


class Wireguard(Contender):
    name, address = "wireguard-go", "10.9.0.2"
    programs = ("wireguard",)
    commands = ("wireguard -f wg0   # both; keys and peers over its socket, listen_port 51820",
                f"ip link set wg0 mtu {INNER_MTU} up   # both")

    def start(self, cable):
        self.ends = left, right = End(cable, cable.left, "10.9.0.1"), End(cable, cable.right, self.address)
        for end in self.ends:
            end.start()
        left.knows(right, f"{self.address}/32", RIGHT, keepalive=0)
        right.knows(left, "10.9.0.1/32", LEFT, keepalive=0)
        self.daemons, self.link = [end.process for end in self.ends], left.link
        self.answers()

    def errors(self):
        return device_errors((end.host, end.link) for end in self.ends)


TUNNELS = (Wireguard,)
