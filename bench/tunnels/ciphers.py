"""Ours with other ciphers: with ChaCha20-Poly1305, and built without intel-ipsec-mb, as it is where that library does not exist."""
import contextlib
import os
import subprocess

import lab as laboratory
from lab import demand, ground

from tunnels.ours import Ours

OPENSSL_BUILD = os.environ.get("NTM_BUILD_OPENSSL", os.path.join(laboratory.ROOT, "build-openssl"))


@contextlib.contextmanager
def programs_of(build):
    """The lab starts another build's programs."""
    usual, ground.BUILD = ground.BUILD, build
    try:
        yield
    finally:
        ground.BUILD = usual


class Cipher(Ours):
    """suite and aead are what it must run with: what was not measured must not be said."""

    suite = aead = None
    cases = ("tcp-1",)  # of the throughput bench: what has a goal

    def start(self, cable):
        super().start(cable)
        status = cable.left.status()
        found = (cable.left.peer(cable.right)["suite"], status["node"]["aead"])
        demand(found == (self.suite, self.aead), f"{self.name} runs with {found}")


class ChaCha(Cipher):
    name, options = "ours (ChaCha20-Poly1305)", ("--cipher", "chacha20")
    suite, aead = "ChaCha20-Poly1305", "ipsec-mb"
    commands = (*Ours.commands[:1], *(f"{line.split('   #')[0]} --cipher chacha20   #{line.split('   #')[1]}" for line in Ours.commands[1:]))


class OpenSSL(Cipher):
    name, suite, aead = "ours (OpenSSL)", "AES-256-GCM", "openssl"
    commands = ("scripts/build build-openssl/meson -Dipsec_mb=disabled   # and its programs", *Ours.commands)

    def start(self, cable):
        if "NTM_BUILD_OPENSSL" not in os.environ:
            subprocess.run([os.path.join(laboratory.ROOT, "scripts", "build"), "build-openssl/meson", "-Dipsec_mb=disabled"], check=True)
        with programs_of(OPENSSL_BUILD):
            super().start(cable)


TUNNELS = (ChaCha, OpenSSL)
