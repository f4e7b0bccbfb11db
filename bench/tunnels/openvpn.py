"""OpenVPN on a cable: point to point over UDP, certificates of their own known by their fingerprints, the AEAD that both agree on."""
import os
import shutil

from cable import INNER_MTU, LEFT, RIGHT, Contender, device_errors
from lab import LabError, sh

LEFT_INNER = "10.7.0.1"
BUFFER_BYTES = 7 << 20


def certificate(folder, name):
    """A key and a certificate signed by itself. Returns its fingerprint."""
    key, file = os.path.join(folder, f"{name}.key"), os.path.join(folder, f"{name}.crt")
    sh(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-days",
        "30", "-keyout", key, "-out", file])
    return sh(["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"]).stdout.strip().split("=", 1)[1]


class Openvpn(Contender):
    name, address, link = "OpenVPN", "10.7.0.2", "ovpn0"
    commands = (
        f"openvpn --dev ovpn0 --dev-type tun --proto udp4 --remote {RIGHT} --ifconfig 10.7.0.1 10.7.0.2 --tls-server --dh none "
        f"--cert left.crt --key left.key --peer-fingerprint FINGERPRINT-OF-RIGHT --tun-mtu {INNER_MTU} --mssfix 0 --sndbuf {BUFFER_BYTES} "
        f"--rcvbuf {BUFFER_BYTES}   # left",
        f"openvpn ... --remote {LEFT} --ifconfig 10.7.0.2 10.7.0.1 --tls-client ...   # right, the rest as left")

    def start(self, cable):
        if not shutil.which("openvpn"):
            raise LabError("there is no openvpn; scripts/install bench")
        folder = cable.path("openvpn")
        os.makedirs(folder)
        fingerprints = {name: certificate(folder, name) for name in ("left", "right")}
        self.daemons = []
        for host, name, other, inner, far, remote, role in (
                (cable.left, "left", "right", LEFT_INNER, self.address, RIGHT, ("--tls-server", "--dh", "none")),
                (cable.right, "right", "left", self.address, LEFT_INNER, LEFT, ("--tls-client",))):
            words = ["--dev", self.link, "--dev-type", "tun", "--proto", "udp4", "--remote", remote, "--ifconfig", inner, far, *role,
                     "--cert", f"{folder}/{name}.crt", "--key", f"{folder}/{name}.key", "--peer-fingerprint", fingerprints[other],
                     "--tun-mtu", str(INNER_MTU), "--mssfix", "0", "--sndbuf", str(BUFFER_BYTES), "--rcvbuf", str(BUFFER_BYTES)]
            self.daemons.append(host.start("openvpn", "openvpn", *words))
        for daemon in self.daemons:
            daemon.wait_line("Initialization Sequence Completed", 30)
        self.answers()

    def errors(self):
        return device_errors((host, self.link) for host in (self.cable.left, self.cable.right))


TUNNELS = (Openvpn,)
