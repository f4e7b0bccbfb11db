#!/usr/bin/python3
"""Handshakes and packets between noise_peer and an implementation of Noise from elsewhere, in both roles.

Nothing here shares code with the project: Noise is noiseprotocol (PyPI), MACs are CPython's hmac and hashlib, AEADs are pyca/cryptography.
usage: noise_interop.py BUILD_DIRECTORY NOISE_PEER
The first run makes a virtual environment in BUILD_DIRECTORY from requirements.txt (pinned, with hashes).
"""
import filecmp
import hashlib
import hmac
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = b"Noise_IKpsk1_25519_ChaChaPoly_BLAKE2s"
PROLOGUE = b"NTMobile v1"
HEADER, MACS, TAG = 16, 32, 16
PATH_ID = 0x0A0B0C0D
PAYLOADS = (0, 1, 15, 16, 17, 500, 1000, 1088)  # the last is HANDSHAKE_PAYLOAD_MAX
PACKETS = (0, 1, 16, 1420, 2000)
RESPONDER = 0x40


def fail(text):
    print("interop: " + text, file=sys.stderr)
    sys.exit(1)


def environment_enter(build):
    """Runs this script again inside the virtual environment, which is made if it is missing or of other requirements."""
    venv = os.path.join(os.path.abspath(build), "venv-noise")
    if sys.prefix == venv:
        return
    python = os.path.join(venv, "bin", "python")
    requirements = os.path.join(HERE, "requirements.txt")
    installed = os.path.join(venv, "installed.txt")
    steps = (
        ["/usr/bin/python3", "-m", "venv", "--clear", "--system-site-packages", venv],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
         "-r", requirements],
    )
    if not os.path.exists(installed) or not filecmp.cmp(installed, requirements, shallow=False):
        for step in steps:
            result = subprocess.run(step, capture_output=True, text=True, check=False)
            if result.returncode != 0:
                fail("cannot install noiseprotocol: %s failed (is PyPI within reach, python3-venv installed?): %s"
                     % (" ".join(step), (result.stderr or result.stdout).strip()[-400:]))
        shutil.copyfile(requirements, installed)
    os.execv(python, [python] + sys.argv)


class Peer:
    """The project's end, by its own command language."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, name, *words):
        line = " ".join([name] + [word.hex() or "-" for word in words])
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def call(self, name, *words):
        answer = self.ask(name, *words)
        if answer.startswith("error") or not answer:
            fail("%s: %s" % (name, answer or "noise_peer died"))
        return [b"" if word == "-" else bytes.fromhex(word) for word in answer.split()] if answer != "ok" else []

    def refuses(self, name, *words):
        answer = self.ask(name, *words)
        if not answer.startswith("error"):
            fail("%s was accepted, and should not be: %s" % (name, answer))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def hash_mac(key, data):
    return hmac.new(key, data, hashlib.blake2s).digest()


def macs(static, datagram):
    key = hash_mac(bytes(32), b"ntm mac1\0" + static)
    return hash_mac(key, datagram)[:16] + bytes(16)


def header(kind, path=0, counter=0):
    return bytes([kind, path]) + counter.to_bytes(6, "big") + PATH_ID.to_bytes(8, "big")


def public_of(secret):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def noise_start(is_initiator, secret, remote, psk, first_header):
    from noise.connection import Keypair, NoiseConnection
    noise = NoiseConnection.from_name(NAME)
    noise.set_psks(psk or bytes(32))
    noise.set_prologue(PROLOGUE + first_header)
    noise.set_keypair_from_private_bytes(Keypair.STATIC, secret)
    if is_initiator:
        noise.set_as_initiator()
        noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, remote)
    else:
        noise.set_as_responder()
    noise.start_handshake()
    return noise


def equal(what, ours, theirs):
    if ours != theirs:
        fail("%s differs: noise_peer %s, noiseprotocol %s" % (what, ours.hex(), theirs.hex()))


def keys_compare(noise, is_initiator, words):
    """words: what noise_peer printed. is_initiator: is noiseprotocol's end the initiator? Returns its two keys."""
    protocol = noise.noise_protocol
    sending, receiving = protocol.cipher_state_encrypt.k, protocol.cipher_state_decrypt.k
    to_responder, to_initiator = (sending, receiving) if is_initiator else (receiving, sending)
    equal("key to the responder", words[0], to_responder)
    equal("key to the initiator", words[1], to_initiator)
    return to_responder, to_initiator


def packets_compare(peer, to_peer, from_peer, peer_is_initiator):
    """Sealed packets in both directions under both suites."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
    from cryptography.exceptions import InvalidTag
    for suite, aead in ((1, AESGCM), (2, ChaCha20Poly1305)):
        peer.call("session", bytes([suite]))
        for counter, size in enumerate(PACKETS):
            plain = os.urandom(size)
            path = counter % 4
            packet = peer.call("seal", bytes([path]), plain)[0]
            kind = 0x80 | (0 if peer_is_initiator else RESPONDER)
            equal("header", packet[:HEADER], header(kind, path, counter // 4))
            nonce = path.to_bytes(4, "big") + (counter // 4).to_bytes(8, "big")
            try:
                opened = aead(from_peer).decrypt(nonce, packet[HEADER:], packet[:HEADER])
            except InvalidTag:
                fail("a packet of %d bytes under suite %d does not open" % (size, suite))
            equal("plaintext", plain, opened)
            aad = header(0x80 | (RESPONDER if peer_is_initiator else 0), 1, 1000 + counter)
            nonce = (1).to_bytes(4, "big") + (1000 + counter).to_bytes(8, "big")
            sealed = aad + aead(to_peer).encrypt(nonce, plain, aad)
            equal("plaintext", peer.call("open", sealed)[0], plain)
            peer.refuses("open", sealed)


def project_begins(peer, psk, size):
    """noise_peer is the initiator."""
    secret, own = os.urandom(32), os.urandom(32)
    early, late = os.urandom(size), os.urandom(size)
    datagram = peer.call("begin", secret, public_of(own), psk, os.urandom(32), early)[0]
    equal("header", datagram[:HEADER], header(0x03))
    equal("macs", datagram[-MACS:], macs(public_of(own), datagram[:-MACS]))
    noise = noise_start(False, own, None, psk, datagram[:HEADER])
    equal("payload", early, bytes(noise.read_message(datagram[HEADER:-MACS])))
    answer = header(0x04) + bytes(noise.write_message(late))
    answer += macs(public_of(secret), answer)
    forged = bytearray(answer)
    forged[20] ^= 1
    peer.refuses("finish", bytes(forged[:-MACS]) + macs(public_of(secret), bytes(forged[:-MACS])))
    words = peer.call("finish", answer)
    equal("payload", words[0], late)
    to_responder, to_initiator = keys_compare(noise, False, words[1:])
    packets_compare(peer, to_initiator, to_responder, True)


def project_answers(peer, psk, size):
    """noise_peer is the responder."""
    secret, own = os.urandom(32), os.urandom(32)
    early, late = os.urandom(size), os.urandom(size)
    first = header(0x03)
    noise = noise_start(True, own, public_of(secret), psk, first)
    request = first + bytes(noise.write_message(early))
    request += macs(public_of(secret), request)
    peer.refuses("accept", secret, os.urandom(32), request)
    words = peer.call("accept", secret, psk, request)
    equal("payload", words[0], early)
    equal("static key", words[1], public_of(own))
    words = peer.call("answer", os.urandom(32), late)
    equal("header", words[0][:HEADER], header(0x04))
    equal("macs", words[0][-MACS:], macs(public_of(own), words[0][:-MACS]))
    equal("payload", late, bytes(noise.read_message(words[0][HEADER:-MACS])))
    to_responder, to_initiator = keys_compare(noise, True, words[1:])
    packets_compare(peer, to_responder, to_initiator, False)


def main():
    if len(sys.argv) != 3:
        fail("usage: noise_interop.py BUILD_DIRECTORY NOISE_PEER")
    environment_enter(sys.argv[1])
    peer = Peer(sys.argv[2])
    for size in PAYLOADS:
        for psk in (b"", os.urandom(32)):
            project_begins(peer, psk, size)
            project_answers(peer, psk, size)
    peer.close()
    print("interop: %d handshakes in each role, every payload, key and packet equal" % (2 * len(PAYLOADS)))


main()
