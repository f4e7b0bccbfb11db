"""boringtun on a cable: WireGuard in Rust, configured as wireguard-go is."""
from cable import INNER_MTU, LEFT, RIGHT, Contender, device_errors
from contenders.wireguard import End
from world import peer


class BoringEnd(End):
    def words(self):
        return [peer("boringtun-cli"), "-f", "--disable-drop-privileges", "-t", str(self.threads), self.link]


class Boringtun(Contender):
    """As it comes: four threads."""

    name, address, threads = "boringtun", "10.5.0.2", 4
    programs = ("boringtun-cli",)
    commands = ("boringtun-cli -f --disable-drop-privileges wg0   # both; keys and peers over its socket, listen_port 51820",
                f"ip link set wg0 mtu {INNER_MTU} up   # both")

    def start(self, cable):
        self.ends = left, right = BoringEnd(cable, cable.left, "10.5.0.1"), BoringEnd(cable, cable.right, self.address)
        for end in self.ends:
            end.threads = self.threads
            end.start()
        left.knows(right, f"{self.address}/32", RIGHT, keepalive=0)
        right.knows(left, "10.5.0.1/32", LEFT, keepalive=0)
        self.daemons, self.link = [end.process for end in self.ends], left.link
        self.answers()

    def errors(self):
        return device_errors((end.host, end.link) for end in self.ends)


class BoringtunOne(Boringtun):
    name, threads = "boringtun, 1 thread", 1
    commands = tuple(line.replace("wg0   # both; keys", "-t 1 wg0   # both; keys") for line in Boringtun.commands)


TUNNELS = (Boringtun, BoringtunOne)
