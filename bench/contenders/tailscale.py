"""Tailscale: coordination at S by its own in-tree test server, its relay (derper) at S."""
import json
import os

from contenders import Contender
from lab import demand, wait_for
from world import peer

CONTROL_PORT, DERP_PORT, STUN_PORT = 8080, 443, 3478


class Tailscale(Contender):
    name, fast = "Tailscale", False
    programs = ("tailscaled", "tailscale", "derper", "tailscale-control")
    environment = None  # of tailscaled
    own_cases = ("a", "a-silent", "b", "c", "c-down", "c-up", "d", "e", "a-relay", "d-relay", "idle")
    commands = ("tailscale-control S 8080 443 3478   # S; bench/contenders/tailscale-control",
                "derper --hostname=S --certmode=manual --certdir=DIR --a=:443 --http-port=-1   # S",
                "tailscaled --tun=tailscale0; tailscale up --login-server=http://S:8080 --accept-dns=false   # M and K")

    def start(self, world):
        self.servers(world)
        self.sockets, self.daemons = {}, {}
        for host in (world.m, world.k):
            self.node(world, host)
        self.m_address, self.k_address = [self.ask(host, "ip", "-4").strip() for host in (world.m, world.k)]
        self.settle(world, False)

    def servers(self, world):
        address, folder = world.s.v4, world.path("derp")
        os.makedirs(folder)
        derper = world.s.start("derper", peer("derper"), f"--hostname={address}", "--certmode=manual", f"--certdir={folder}",
                               f"--a=:{DERP_PORT}", "--http-port=-1", f"--stun-port={STUN_PORT}", f"-c={folder}/derper.json")
        control = world.s.start("control", peer("tailscale-control"), address, str(CONTROL_PORT), str(DERP_PORT), str(STUN_PORT))
        control.wait_line("listening", 10)
        wait_for("derper", lambda: world.s.run("bash", "-c", f"exec 3<>/dev/tcp/{address}/{DERP_PORT}").returncode == 0, 15)
        demand(derper.running(), f"derper ended; see {derper.log_path}")

    def node(self, world, host):
        self.daemon(world, host)
        self.ask(host, "up", f"--login-server=http://{world.s.v4}:{CONTROL_PORT}", "--accept-dns=false", "--netfilter-mode=off",
                 f"--hostname={host.name}", "--timeout=30s")

    def daemon(self, world, host):
        state = world.path(f"tailscale-{host.name}")
        os.makedirs(state, exist_ok=True)
        self.sockets[host] = f"{state}/sock"
        words = [f"--statedir={state}", f"--socket={self.sockets[host]}", "--tun=tailscale0", "--no-logs-no-support"]
        self.daemons[host] = host.start("tailscaled", peer("tailscaled"), *words, env=self.environment)
        wait_for("tailscaled's socket", lambda: os.path.exists(self.sockets[host]), 15)

    def forget(self, world):
        for host in (world.k, world.m):
            self.daemons[host].stop()
            self.daemon(world, host)
        for host in (world.k, world.m):
            wait_for("Tailscale to be running", lambda h=host: self.running(h), 40, 0.2)

    def running(self, host):
        """Its coordination server is heard, its relay reached, and the other end is in its map."""
        status = json.loads(self.ask(host, "status", "--json"))
        return status["BackendState"] == "Running" and status["Self"].get("Relay") and status.get("Peer") and not status.get("Health")

    def ask(self, host, *words):
        return host.run(peer("tailscale"), f"--socket={self.sockets[host]}", *words, check=True, timeout=40).stdout

    def direct(self, host):
        """An address in use means that the path does not go by the relay."""
        peers = json.loads(self.ask(host, "status", "--json")).get("Peer") or {}
        return any(one.get("CurAddr") for one in peers.values())

    def settle(self, world, relay):
        def there():
            world.m.run("ping", "-c1", "-W1", self.k_address)
            return self.direct(world.m) != relay and self.direct(world.k) != relay
        wait_for(f"Tailscale's {'relayed' if relay else 'direct'} path", there, 60, 0.2)


CONTENDERS = (Tailscale,)
