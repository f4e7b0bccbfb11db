"""Exits: flows of unmodified programs to hosts that know nothing of the overlay, and the rules of whoever runs the exit."""
import json
import os
import re

from lab import demand, program, wait_for
from services import Download, Web, make_file

FILE_BYTES = 24 << 20
RATE_BYTES = 4 << 20
POOL4 = "203.0.114."


class Exit:
    """ntm-exit on a host of the lab, beside the relay."""

    def __init__(self, lab, host, code, *options):
        self.lab, self.host, self.options = lab, host, options
        self.state, self.socket_path = lab.path(f"{host.name}-exit-state"), lab.socket_name(host, "exit")
        self.start(code)

    def start(self, code=None):
        words = [program("ntm-exit"), "--foreground", "--state", self.state, "--socket", self.socket_path, "--portmap", "off", *self.options]
        self.process = self.host.start("ntm-exit", *words, env={"NTM_JOIN": code} if code else {})
        self.process.wait_line("exit open", 15)

    def ntm(self, *words):
        return self.host.run(program("ntm"), *words, "--state", self.state, "--socket", self.socket_path, check=True)

    def counters(self):
        return json.loads(self.ntm("status", "--json").stdout)["exit"]


def world(lab, *exit_options, nodes=("a",), node_options=("--exit",)):
    """A network with an exit on the relay's host, nodes that use it, and a web server on a general host."""
    lab.s.serve()
    gate = Exit(lab, lab.s, lab.s.invite("--role", "exit"), *exit_options)
    www = lab.path("www")
    os.makedirs(www)
    Web(lab.g, www, RATE_BYTES)
    for name in nodes:
        getattr(lab, name).join(lab.s.invite(), *node_options)
    return gate, www


def fetch(node, host, *options):
    return node.run("curl", "-sS", "--max-time", "8", *options, f"http://{host}/hello")


def seen_from(lab):
    """Addresses that the web server was asked from."""
    with open(lab.path("g-nginx/access.log"), encoding="utf-8") as file:
        return {line.split()[0].removeprefix("::ffff:") for line in file}


def test_exit_programs(new_lab):
    """curl, ping and dig reach a general host over IPv4 and IPv6, from the relay's address."""
    with new_lab(nodes=("a",), generals=("g",)) as lab:
        world(lab)
        for host in (lab.g.v4, f"[{lab.g.v6}]"):
            answer = fetch(lab.a, host)
            demand(answer.stdout == "I am g\n", f"curl {host}: {answer.stdout}{answer.stderr}")
        demand(seen_from(lab) - {"127.0.0.1"} == {lab.s.v4, lab.s.v6}, f"the web server saw {seen_from(lab)}")
        for host in (lab.g.v4, lab.g.v6):
            answer = lab.a.run("ping", "-c", "2", "-i", "0.2", "-W", "4", host)
            demand(answer.returncode == 0, f"ping {host}: {answer.stdout}{answer.stderr}")
