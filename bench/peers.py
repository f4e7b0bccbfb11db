"""The competitors' programs: built once from their registries into build/peers, at pinned versions."""
import os
import shutil
import subprocess
import sys

from contenders import all_contenders
from world import PEERS, ROOT, peer

GO_MODULES = {
    "wireguard": "golang.zx2c4.com/wireguard@latest",
    "nebula": "github.com/slackhq/nebula/cmd/nebula@v1.10.3",
    "nebula-cert": "github.com/slackhq/nebula/cmd/nebula-cert@v1.10.3",
    "tailscaled": "tailscale.com/cmd/tailscaled@v1.102.5",
    "tailscale": "tailscale.com/cmd/tailscale@v1.102.5",
    "derper": "tailscale.com/cmd/derper@v1.102.5",
}
IROH_RELAY = ("iroh-relay", "1.4.1")
BORINGTUN = ("boringtun-cli", "0.7.1")


def tool(name, elsewhere):
    return shutil.which(name) or elsewhere


def say_and_run(words, **more):
    print(" ".join(words), flush=True)
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, **more)


def go_environment():
    return {**os.environ, "GOBIN": PEERS, "GOFLAGS": "-mod=mod"}


def copied_source(name):
    """A small program of ours that uses a competitor's library is built from a copy: what the tools write stays out of the tree."""
    target = os.path.join(PEERS, "src", name)
    shutil.copytree(os.path.join(ROOT, "bench", "contenders", name), target, dirs_exist_ok=True)
    return target


def build_go(name):
    subprocess_env = {**os.environ, "GOBIN": PEERS}
    say_and_run([tool("go", "/usr/local/go/bin/go"), "install", GO_MODULES[name]], env=subprocess_env)


def build_control():
    source, go = copied_source("tailscale-control"), tool("go", "/usr/local/go/bin/go")
    say_and_run([go, "mod", "tidy"], cwd=source, env=go_environment())
    say_and_run([go, "build", "-o", peer("tailscale-control"), "."], cwd=source, env=go_environment())


def build_iroh_probe():
    source, cargo = copied_source("iroh-probe"), tool("cargo", os.path.expanduser("~/.cargo/bin/cargo"))
    say_and_run([cargo, "build", "--release", "--target-dir", os.path.join(PEERS, "target")], cwd=source)
    shutil.copy(os.path.join(PEERS, "target", "release", "iroh-probe"), peer("iroh-probe"))


def install_crate(crate, *features):
    """A crate that is a program."""
    cargo, root = tool("cargo", os.path.expanduser("~/.cargo/bin/cargo")), os.path.join(PEERS, "cargo")
    say_and_run([cargo, "install", "@".join(crate), *features, "--root", root, "--target-dir", os.path.join(PEERS, "target")])
    shutil.copy(os.path.join(root, "bin", crate[0]), peer(crate[0]))


def build_iroh_relay():
    install_crate(IROH_RELAY, "--features", "server")


def build_boringtun():
    install_crate(BORINGTUN, "--locked")


BUILDERS = {"tailscale-control": build_control, "iroh-probe": build_iroh_probe, "iroh-relay": build_iroh_relay,
            "boringtun-cli": build_boringtun}


def obtain(program):
    if os.access(peer(program), os.X_OK):
        return
    os.makedirs(PEERS, exist_ok=True)
    if program in BUILDERS:
        BUILDERS[program]()
    else:
        build_go(program)


def those_at_hand(names):
    """Builds what is missing; a contender that cannot be had is named and left out."""
    kept = []
    for name in names:
        try:
            for program in all_contenders()[name].programs:
                obtain(program)
            kept.append(name)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"bench: {name} cannot be had: {error}", file=sys.stderr, flush=True)
    return kept
