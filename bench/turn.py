"""As much of TURN (RFC 8656) as a bench needs to have coturn forward: an allocation over UDP without a name, and a channel to one peer."""
import os
import struct
import time

from lab import demand

COOKIE = 0x2112A442
ALLOCATE, CHANNEL_BIND, ANSWERED = 0x0003, 0x0009, 0x0100
CHANNEL_NUMBER, LIFETIME, XOR_PEER_ADDRESS, REQUESTED_TRANSPORT = 0x000C, 0x000D, 0x0012, 0x0019
FIRST_CHANNEL, UDP, HOLDS_S = 0x4000, 17, 3600
TRIES = 5


def attribute(kind, value):
    """Padded to four bytes; the length is without."""
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind, number, *attributes):
    body = b"".join(attributes)
    return struct.pack("!HHI", kind, len(body), COOKIE) + number + body


def xor_address(address, port):
    """IPv4, as it is hidden from middleboxes that rewrite addresses."""
    packed = struct.unpack("!I", bytes(map(int, address.split("."))))[0]
    return struct.pack("!BBHI", 0, 1, port ^ COOKIE >> 16, packed ^ COOKIE)


def channel_data(size):
    """What a datagram of size bytes through the channel begins with."""
    return struct.pack("!HH", FIRST_CHANNEL, size - 4)


def ask(sock, server, kind, *attributes):
    """Repeats itself until the answer to it comes."""
    number = os.urandom(12)
    for _ in range(TRIES):
        sock.sendto(message(kind, number, *attributes), server)
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                answer = sock.recv(2048)
            except TimeoutError:
                break
            if answer[8:20] == number:
                demand(struct.unpack("!H", answer[:2])[0] == kind | ANSWERED, f"the TURN server refused {kind:#x}: {answer.hex()}")
                return
    demand(False, f"the TURN server does not answer {kind:#x}")


def allocate(sock, server):
    ask(sock, server, ALLOCATE, attribute(REQUESTED_TRANSPORT, bytes([UDP, 0, 0, 0])), attribute(LIFETIME, struct.pack("!I", HOLDS_S)))


def bind_channel(sock, server, peer):
    """Holds for ten minutes, its permission for five: to be repeated."""
    ask(sock, server, CHANNEL_BIND, attribute(CHANNEL_NUMBER, struct.pack("!HH", FIRST_CHANNEL, 0)),
        attribute(XOR_PEER_ADDRESS, xor_address(*peer)))
