"""Ordinary programs that people run over the overlay: a web server, a download, a shell on another machine. None knows of the overlay."""
import atexit
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import time

from lab import Detached, demand, wait_for

BLOCK_BYTES = 1 << 20


def make_file(path, size_bytes):
    """A file that no one can compress or guess. Returns its SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(size_bytes // BLOCK_BYTES):
            block = os.urandom(BLOCK_BYTES)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class Web:
    """nginx on a host, serving a directory, with a rate limit for each connection."""

    def __init__(self, host, directory, rate_bytes=0):
        here = host.lab.path(f"{host.name}-nginx")
        os.makedirs(here, exist_ok=True)
        config = os.path.join(here, "nginx.conf")
        temporary = "\n".join(f"  {kind}_temp_path {here}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"""daemon off;
user root;
worker_processes 1;
pid {here}/pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log {here}/access.log;
{temporary}
  sendfile on;
  sendfile_max_chunk 64k;
  server {{
    listen [::]:80 ipv6only=off;
    root {directory};
    limit_rate {rate_bytes};
  }}
}}
""")
        with open(os.path.join(directory, "hello"), "w", encoding="utf-8") as file:
            file.write(f"I am {host.name}\n")
        self.process = host.start("nginx", "nginx", "-c", config, "-p", here, kind=Detached)
        wait_for(f"nginx on {host.name}", lambda: host.run("curl", "-sf", "http://127.0.0.1/hello").returncode == 0)


class Download:
    """curl on a host, with its progress as it comes."""

    def __init__(self, host, url, size_bytes, name="download"):
        self.host, self.size_bytes = host, size_bytes
        self.path = host.lab.path(f"{host.name}-{name}")
        if os.path.exists(self.path):
            os.remove(self.path)
        self.process = host.start("curl" if name == "download" else f"curl-{name}", "curl", "-sS", "--fail", "--connect-timeout", "10", "-o", self.path, url)
        self.started = time.monotonic()

    def bytes(self):
        with contextlib.suppress(FileNotFoundError):
            return os.path.getsize(self.path)
        return 0

    def wait_bytes(self, count, seconds=60):
        def reached():
            demand(self.process.running() or self.bytes() >= count,
                   f"{self.process.name} ended ({self.process.child.poll()}): {self.process.output()[-300:]}")
            return self.bytes() >= count
        wait_for(f"{count} bytes at {self.host.name}, {self.bytes()} are there", reached, seconds)

    def wait_more(self, count=2 * BLOCK_BYTES, seconds=20):
        """So many bytes more than there are now."""
        self.wait_bytes(min(self.bytes() + count, self.size_bytes), seconds)

    def finish(self, digest, seconds=120):
        """Ended well, and every byte is what it was."""
        code = self.process.wait(seconds)
        demand(code == 0, f"{self.process.name} ended with {code}: {self.process.output()[-300:]}")
        demand(self.bytes() == self.size_bytes, f"{self.size_bytes - self.bytes()} bytes are missing")
        demand(sha256_of(self.path) == digest, "the SHA-256 differs")


class Shell:
    """ssh from one host to another by name, with a command that goes on and counts; every number must come, in order."""

    def __init__(self, client, server):
        here = client.lab.path("ssh")
        os.makedirs(here, exist_ok=True)
        if not os.path.exists("/run/sshd"):  # sshd insists on it
            os.mkdir("/run/sshd", 0o755)
            atexit.register(lambda: shutil.rmtree("/run/sshd", ignore_errors=True))
        for name in ("host", "user"):
            if not os.path.exists(f"{here}/{name}"):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{here}/{name}"], check=True)
        with open(f"{here}/sshd_config", "w", encoding="utf-8") as file:
            file.write(f"HostKey {here}/host\nAuthorizedKeysFile {here}/user.pub\nPidFile none\nStrictModes no\nUsePAM no\n"
                       "PasswordAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nSubsystem sftp internal-sftp\n")
        self.server = server.start("sshd", "/usr/sbin/sshd", "-D", "-e", "-f", f"{here}/sshd_config")
        self.server.wait_line("listening on")
        self.client = client
        settings = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ServerAliveInterval=5")
        self.options = ["-i", f"{here}/user", *[word for setting in settings for word in ("-o", setting)]]
        self.process = client.start("ssh", "ssh", *self.options, f"root@{server.fqdn.rstrip('.')}", "ping -n -i 0.2 127.0.0.1")
        self.process.wait_line("icmp_seq=2", 20)

    def numbers(self):
        return [int(number) for number in re.findall(r"icmp_seq=(\d+)", self.process.output())]

    def check(self, seconds=15):
        """Still counting, and nothing is missing."""
        seen = len(self.numbers())
        wait_for("ssh to go on counting", lambda: len(self.numbers()) > seen + 2, seconds)
        numbers = self.numbers()
        demand(numbers == list(range(1, len(numbers) + 1)), "ssh lost output")
        demand(self.process.running(), "ssh ended")


class Ftp:
    """vsftpd on a host, giving a directory to everybody, a connection at so many bytes a second."""

    def __init__(self, host, directory, rate_bytes):
        config = host.lab.path(f"{host.name}-vsftpd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("\n".join((
                "background=NO", "listen=NO", "listen_ipv6=YES", "anonymous_enable=YES", "no_anon_password=YES", f"anon_root={directory}",
                "run_as_launching_user=YES", "seccomp_sandbox=NO", f"anon_max_rate={rate_bytes}", "connect_from_port_20=YES",
                "pasv_enable=YES", "port_enable=YES", "xferlog_enable=YES",
                f"xferlog_file={host.lab.path(host.name + '-vsftpd-transfers.log')}",
            )) + "\n")
        self.process = host.start("vsftpd", "/usr/sbin/vsftpd", config, kind=Detached)
        wait_for(f"vsftpd on {host.name}", lambda: host.run("curl", "-sf", "ftp://127.0.0.1/").returncode == 0)


class FtpDownload(Download):
    """The BSD ftp client on a host: in active mode the server connects back to it, in passive mode it makes both connections."""

    def __init__(self, host, url, size_bytes, active):
        self.host, self.size_bytes = host, size_bytes
        self.path = host.lab.path(f"{host.name}-ftp-{'active' if active else 'passive'}")
        self.process = host.start("ftp", "ftp", "-v", "-n", "-A" if active else "-p", "-o", self.path, url)
        self.started = time.monotonic()


class Copy(Download):
    """scp from a host, with the keys of a shell."""

    def __init__(self, shell, source, remote_path, size_bytes):
        self.host, self.size_bytes = shell.client, size_bytes
        self.path = self.host.lab.path(f"{self.host.name}-scp")
        remote = f"root@{source.fqdn.rstrip('.')}:{remote_path}"
        self.process = self.host.start("scp", "scp", "-l", "50000", *shell.options, remote, self.path)
        self.started = time.monotonic()


class Speed:
    """iperf3 between two hosts at full speed, for so many seconds, and what it says in the end."""

    def __init__(self, client, server, address, *options, seconds=4):
        self.server = server.start("iperf3-server", "iperf3", "-s", "-1", "-J")
        wait_for(f"iperf3 on {server.name}", lambda: ":5201" in server.run("ss", "-Hltn").stdout, 10)
        self.client = client.start("iperf3", "iperf3", "-J", "-c", address, "-t", str(seconds), *options)

    def result(self, seconds=40):
        """Both ends have ended well. Returns what the client says in the end."""
        codes = self.client.wait(seconds), self.server.wait(seconds)
        text = self.client.output()
        demand(codes == (0, 0), f"iperf3 ended with {codes}: {text[-300:]}")
        document = json.loads(text)
        demand("error" not in document, f"iperf3: {document.get('error')}")
        return document["end"]


class DhcpServer:
    """dnsmasq on an access network's router, as many routers have it."""

    def __init__(self, nat, *options):
        inside = nat.config["inside"]
        self.process = nat.start(
            "dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0", "--interface=lan",
            "--bind-interfaces",
            f"--dhcp-range={inside}.100,{inside}.150,10m", f"--dhcp-option=option:router,{nat.gateway}", "--dhcp-option=option:dns-server",
            "--dhcp-authoritative", "--log-dhcp", f"--dhcp-leasefile={nat.lab.path(nat.name + '-leases')}",
            f"--pid-file={nat.lab.path(nat.name + '-dnsmasq.pid')}", "--log-facility=-", *options)
        self.process.wait_line("DHCP, IP range")


DHCLIENT_SCRIPT = """#!/bin/sh
# What dhclient asks for: an address, a default route, and both gone again; names are the overlay's business here.
case $reason in
BOUND | REBOOT)
	ip -4 addr replace "$new_ip_address/$new_subnet_mask" dev "$interface" && ip -4 route replace default via "$new_routers" dev "$interface"
	;;
EXPIRE | FAIL | RELEASE | STOP)
	ip -4 addr flush dev "$interface"
	;;
esac
"""


class DhcpClient:
    """dhclient on one interface of a node."""

    def __init__(self, node, label):
        self.node, self.label = node, label
        script = node.lab.path("dhclient-script")
        if not os.path.exists(script):
            with open(script, "w", encoding="utf-8") as file:
                file.write(DHCLIENT_SCRIPT)
            os.chmod(script, 0o755)
        base = node.lab.path(f"{node.name}-{label}-dhclient")
        with contextlib.suppress(FileNotFoundError):
            os.remove(base + ".leases")
        with open(base + ".conf", "w", encoding="utf-8") as file:  # in a network where it has never been: the server remembers by this
            file.write(f'send dhcp-client-identifier "{node.name}-{time.monotonic_ns()}";\n')
        self.process = node.start("dhclient", "dhclient", "-4", "-d", "-pf", base + ".pid", "-lf", base + ".leases", "-sf", script,
                                  "-cf", base + ".conf", label)

    def wait_bound(self, seconds=40):
        self.process.wait_line("bound to", seconds)

    def leave(self):
        """The network is gone: its address goes, and nobody is told."""
        self.process.kill()
        self.node.ip(f"addr flush dev {self.label}")
