"""wireguard-go: direct where K is public, and through a hub at S where it is not. Configured over its own socket protocol."""
import os
import socket
import subprocess

from contenders import Contender
from lab import demand, wait_for
from world import peer

PORT = 51820
INNER_MTU = 1420
MODULE = "golang.zx2c4.com/wireguard@latest"


def key_pair():
    """An X25519 pair in hexadecimal; the raw key is the last 32 bytes of either encoding."""
    private = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-outform", "DER"], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=private, capture_output=True,
                            check=True).stdout
    return private[-32:].hex(), public[-32:].hex()


def configure(link, settings):
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(f"/var/run/wireguard/{link}.sock")
        control.sendall(f"set=1\n{settings}\n\n".encode())
        answer = control.recv(4096).decode()
        demand("errno=0" in answer, f"wireguard-go refused its configuration: {answer!r}")


class End:
    """One wireguard-go: its link's name carries the process id, because its socket lies in a folder that all namespaces share."""

    def __init__(self, world, host, address):
        self.world, self.host, self.address = world, host, address
        self.private, self.public = key_pair()
        self.link = f"wg{host.name}{os.getpid() % 1000000}"

    def words(self):
        return [peer("wireguard"), "-f", self.link]

    def start(self):
        words = self.words()
        self.process = self.host.start(os.path.basename(words[0]), *words, env={"LOG_LEVEL": "error"})
        wait_for(f"the socket of {words[0]}", lambda: os.path.exists(f"/var/run/wireguard/{self.link}.sock"), 10)
        configure(self.link, f"private_key={self.private}\nlisten_port={PORT}")
        self.host.ip(f"addr add {self.address}/24 dev {self.link}", f"link set {self.link} mtu {INNER_MTU} up")

    def stop(self):
        self.process.stop()
        wait_for("wireguard-go's socket to go", lambda: not os.path.exists(f"/var/run/wireguard/{self.link}.sock"), 10)

    def knows(self, other, allowed, endpoint=None, keepalive=25):
        lines = [f"public_key={other.public}", "replace_allowed_ips=true", f"allowed_ip={allowed}"]
        if endpoint:
            lines += [f"endpoint={endpoint}:{PORT}", f"persistent_keepalive_interval={keepalive}"]
        configure(self.link, "\n".join(lines))


class Wireguard(Contender):
    """M knows where K is; K learns where M is from its packets. There is no rendezvous."""

    name, public = "wireguard-go (K public)", True
    programs = ("wireguard",)
    own_cases = ("a", "a-silent", "b", "c", "c-down", "c-up", "e", "e-silent", "idle")
    commands = ("wireguard -f wg0   # M and K", "wg set wg0 peer K endpoint K:51820 persistent-keepalive 25 allowed-ips 10.9.0.2/32   # M",
                "wg set wg0 peer M allowed-ips 10.9.0.1/32   # K")
    m_address, k_address = "10.9.0.1", "10.9.0.2"

    def start(self, world):
        self.ends = (End(world, world.m, self.m_address), End(world, world.k, self.k_address))
        self.introduce()
        self.answers(world)

    def introduce(self):
        m, k = self.ends
        for end in self.ends:
            end.start()
        k.knows(m, f"{self.m_address}/32")
        m.knows(k, f"{self.k_address}/32", "192.0.2.40", keepalive=0)

    def forget(self, world):
        for end in self.ends:
            end.stop()
        self.introduce()

    def answers(self, world):
        wait_for("wireguard-go to answer", lambda: world.m.run("ping", "-c1", "-W1", self.k_address).returncode == 0, 15)


class WireguardHub(Wireguard):
    """Both ends keep a tunnel to S, which forwards."""

    name, public = "wireguard-go (hub at S)", False
    own_cases = ("a", "a-silent", "b", "c", "c-down", "c-up", "d", "e", "e-silent", "idle")
    commands = ("wireguard -f wg0   # M, K and S",
                "wg set wg0 peer S endpoint S:51820 persistent-keepalive 25 allowed-ips 10.9.0.0/24   # M and K",
                "wg set wg0 peer M allowed-ips 10.9.0.1/32 peer K allowed-ips 10.9.0.2/32   # S", "sysctl net.ipv4.ip_forward=1   # S")
    hub_address = "10.9.0.254"

    def start(self, world):
        ends = ((world.m, self.m_address), (world.k, self.k_address), (world.s, self.hub_address))
        m, k, hub = [End(world, host, address) for host, address in ends]
        for end in (m, k, hub):
            end.start()
        world.s.sysctl(net__ipv4__ip_forward=1)
        hub.knows(m, f"{self.m_address}/32")
        hub.knows(k, f"{self.k_address}/32")
        for end in (m, k):
            end.knows(hub, "10.9.0.0/24", world.s.v4)
        for host in (world.k, world.m):
            wait_for("the hub to answer", lambda h=host: h.run("ping", "-c1", "-W1", self.hub_address).returncode == 0, 15)
        self.answers(world)


CONTENDERS = (Wireguard, WireguardHub)
