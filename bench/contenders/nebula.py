"""Nebula: a lighthouse at S, punching both ways. Its relays stay off: with them it may not be told apart which way a packet took."""
import json
import os

from contenders import Contender
from lab import sh, wait_for
from world import peer

PORT = 4242
LIGHTHOUSE = "10.98.0.254"


def make_authority(folder):
    os.makedirs(folder)
    sh([peer("nebula-cert"), "ca", "-name", "lab", "-out-crt", f"{folder}/ca.crt", "-out-key", f"{folder}/ca.key"])


def make_certificate(folder, name, address):
    sh([peer("nebula-cert"), "sign", "-ca-crt", f"{folder}/ca.crt", "-ca-key", f"{folder}/ca.key", "-name", name, "-ip", f"{address}/24",
        "-out-crt", f"{folder}/{name}.crt", "-out-key", f"{folder}/{name}.key"])


def settings(folder, name, lighthouse, address, inner=LIGHTHOUSE):
    """A configuration file; JSON is YAML. The lighthouse is at address, and inner in the overlay."""
    own = {"am_lighthouse": True} if lighthouse else {"am_lighthouse": False, "interval": 10, "hosts": [inner]}
    anything = [{"port": "any", "proto": "any", "host": "any"}]
    return {
        "pki": {"ca": f"{folder}/ca.crt", "cert": f"{folder}/{name}.crt", "key": f"{folder}/{name}.key"},
        "static_host_map": {inner: [f"{address}:{PORT}"]},
        "lighthouse": own,
        "listen": {"host": "0.0.0.0", "port": PORT},
        "punchy": {"punch": True, "respond": True},
        "tun": {"dev": "nebula1", "mtu": 1300},
        "logging": {"level": "info"},
        "firewall": {"outbound": anything, "inbound": anything},
    }


class Nebula(Contender):
    name, fast = "Nebula", False
    programs = ("nebula", "nebula-cert")
    own_cases = ("a", "a-silent", "b", "c", "c-down", "c-up", "d", "e", "idle")
    commands = ("nebula-cert ca -name lab; nebula-cert sign -name m -ip 10.98.0.1/24   # and k, and the lighthouse",
                "nebula -config config.yml   # M, K and S; lighthouse at S, punchy.punch and punchy.respond on")
    m_address, k_address = "10.98.0.1", "10.98.0.2"

    def start(self, world):
        self.processes = {}
        self.folder = world.path("nebula")
        make_authority(self.folder)
        for host, name, address in ((world.s, "s", LIGHTHOUSE), (world.m, "m", self.m_address), (world.k, "k", self.k_address)):
            self.one(world, host, name, address)
        wait_for("Nebula to answer", lambda: world.m.run("ping", "-c1", "-W1", self.k_address).returncode == 0, 30)

    def one(self, world, host, name, address):
        make_certificate(self.folder, name, address)
        with open(f"{self.folder}/{name}.yml", "w", encoding="utf-8") as file:
            json.dump(settings(self.folder, name, name == "s", world.s.v4), file)
        self.up(host, name, address)

    def up(self, host, name, address):
        self.processes[name] = host.start("nebula", peer("nebula"), "-config", f"{self.folder}/{name}.yml")
        wait_for("Nebula's link", lambda: host.run("ip", "addr", "show", "nebula1").stdout.count(address), 10)

    def forget(self, world):
        for host, name, address in ((world.k, "k", self.k_address), (world.m, "m", self.m_address)):
            self.processes[name].stop()
            self.up(host, name, address)
            wait_for("the lighthouse", lambda h=host: h.run("ping", "-c1", "-W1", LIGHTHOUSE).returncode == 0, 30)

    def settle(self, world, relay):
        wait_for("Nebula to answer", lambda: world.m.run("ping", "-c1", "-W1", self.k_address).returncode == 0, 60)


CONTENDERS = (Nebula,)
