"""iroh: QUIC over several paths; its relay at S also tells each end how it is seen. The probe is a program on the library."""
import os

import cases
import probe
from contenders import Contender
from lab import demand, sh, wait_for
from world import peer


def certificates(folder, address):
    """A root and a server's certificate for an address. Returns the root's file."""
    os.makedirs(folder)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    root_key, root = f"{folder}/root.key", f"{folder}/root.crt"
    sh(["openssl", "req", "-x509", *key, "-subj", "/CN=lab", "-days", "30", "-keyout", root_key, "-out", root])
    sh(["openssl", "req", *key, "-subj", "/CN=relay", "-keyout", f"{folder}/default.key", "-out", f"{folder}/relay.csr"])
    with open(f"{folder}/names", "w", encoding="utf-8") as file:
        file.write(f"subjectAltName=IP:{address}\nbasicConstraints=CA:FALSE\n")
    sh(["openssl", "x509", "-req", "-in", f"{folder}/relay.csr", "-CA", root, "-CAkey", root_key, "-CAcreateserial", "-days", "30",
        "-extfile", f"{folder}/names", "-out", f"{folder}/default.crt"])
    sh(["openssl", "x509", "-in", root, "-outform", "DER", "-out", f"{folder}/root.der"])
    return f"{folder}/root.der"


class Iroh(Contender):
    """Each move has a connection of its own: the log of a probe is of one run."""

    name, fast = "iroh", False
    programs = ("iroh-relay", "iroh-probe")
    own_cases = ("a", "a-silent", "b", "c", "c-down", "c-up", "d", "e", "a-relay", "d-relay", "idle")
    commands = ("iroh-relay --config-path relay.toml   # S; https on 443, QUIC address discovery on 7842",
                "iroh-probe listen ...; iroh-probe connect ...   # K and M; bench/contenders/iroh-probe")

    def start(self, world):
        folder = world.path("iroh")
        self.root, self.url = certificates(folder, world.s.v4), f"https://{world.s.v4}/"
        with open(f"{folder}/relay.toml", "w", encoding="utf-8") as file:
            file.write(f'enable_quic_addr_discovery = true\nenable_metrics = false\n[tls]\ncert_mode = "Manual"\ncert_dir = "{folder}"\n')
        relay = world.s.start("iroh-relay", peer("iroh-relay"), "--config-path", f"{folder}/relay.toml")
        wait_for("iroh-relay", lambda: world.s.run("bash", "-c", f"exec 3<>/dev/tcp/{world.s.v4}/443").returncode == 0, 15)
        demand(relay.running(), f"iroh-relay ended; see {relay.log_path}")

    def forget(self, world):
        """Every connection is of new processes."""

    def contact(self, world):
        """The first answer is K's first datagram, which it sends when it has read M's first byte."""
        pairs = self.open_probes(world, cases.Idle("idle"))
        started = int(pairs["udp"].processes[0].wait_line(r"^started (\d+)", 5)[1])
        wait_for("K's first datagram", lambda: pairs["udp"].m.received, 5)
        answered = pairs["udp"].m.arrivals()[0][1]
        for pair in pairs.values():
            pair.close()
        return {"answer": (answered - started) / 1e6}

    def open_probes(self, world, case):
        logs = {host: [probe.log_path(world, host, kind) for kind in ("udp", "tcp")] for host in (world.m, world.k)}
        common = [self.url, self.root]
        listener = world.k.start("iroh-probe", peer("iroh-probe"), "listen", *logs[world.k], *common)
        identity = listener.wait_line(r"^id (\w+)", 20)[1]
        connector = world.m.start("iroh-probe", peer("iroh-probe"), "connect", *logs[world.m], *common, identity,
                                  *(["silent"] if case.silent else []))
        connector.wait_line("^path " + ("relay" if case.relay else "direct"), 40)
        listener.wait_line("^path " + ("relay" if case.relay else "direct"), 40)
        ends = [[probe.Log(path) for path in logs[host]] for host in (world.m, world.k)]
        pairs = {"udp": probe.Pair([connector, listener], ends[0][0], ends[1][0])}
        if not case.silent:
            pairs["tcp"] = probe.Pair([], ends[0][1], ends[1][1])
        return pairs


CONTENDERS = (Iroh,)
