/*
 * header.h: the 16 bytes that start every datagram (design 5). The same for every type, so that a relay finds PathID
 * at one offset.
 *
 *   0        1        2 .. 7            8 .. 15
 *   type     path     counter (48 bit)  PathID (64 bit)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "wire/limits.h"

enum packet_type {
	/* Handshake messages: counter is zero. */
	PACKET_REGISTRATION_REQUEST = 0x01, /* node to coordinator: Noise first message */
	PACKET_REGISTRATION_RESPONSE = 0x02,
	PACKET_TUNNEL_REQUEST = 0x03, /* node to node */
	PACKET_TUNNEL_RESPONSE = 0x04,
	PACKET_COOKIE = 0x05,	     /* of a server under load, in place of a response */
	PACKET_HOLE_PUNCHING = 0x06, /* node to node: opens NATs, authenticated by NegoKey */
	/* Node to relay and back; never forwarded. */
	PACKET_RELAY_BIND = 0x10,
	PACKET_RELAY_CHALLENGE = 0x11,
	PACKET_RELAY_ANSWER = 0x12,
	PACKET_RELAY_BOUND = 0x13,
	/* Any of these to a relay and back: how far is it, how busy? */
	PACKET_RELAY_PROBE = 0x14,
	PACKET_RELAY_PROBED = 0x15,
	PACKET_RELAY_ANNOUNCE = 0x16, /* relay to coordinator: here I am */
	/* Sealed packets: 0x80 | flags below | key epoch modulo 4. */
	PACKET_SEALED = 0x80,
};

enum sealed_flags {
	SEALED_RESPONDER = 0x40, /* sent by the end that answered the handshake */
	SEALED_CONTROL = 0x20,	 /* a message of wire/, not an inner IP packet */
	SEALED_PARTIAL = 0x10,	 /* the inner transport checksum is the pseudo header's only: the tag covers it all */
	SEALED_EPOCH = 0x03,
	SEALED_RESERVED = 0x0c, /* zero */
};

struct header {
	uint8_t type;
	uint8_t path;
	uint64_t counter; /* 48 bits */
	uint64_t path_id;
};

/* w gets exactly HEADER_SIZE bytes. */
void header_encode(const struct header *header, struct writer *w);
/*
 * Shape only, r is left behind the header. ERR_MALFORMED for unknown types, reserved bits, path >= PATHS_MAX of a
 * sealed packet and path > 0 of another.
 */
must_use enum err header_decode(struct reader *r, struct header *ret);

/* Types that a relay carries between two bound legs. */
bool packet_is_end_to_end(uint8_t type);
