/*
 * message.h: what travels inside sealed packets with SEALED_CONTROL, and as payload of handshake messages.
 * A message: u8 type, u32 transaction id, fields. All are idempotent; an answer repeats the transaction id.
 * Messages with structs of their own: registration.h, direction.h, information.h, tunnel.h.
 */
#pragma once

#include <stdint.h>

#include "base/cursor.h"
#include "wire/field.h"

enum message_type {
	/* node - coordinator */
	MESSAGE_REGISTRATION_REQUEST = 0x01,
	MESSAGE_REGISTRATION_RESPONSE = 0x02,
	MESSAGE_UPDATE_REQUEST = 0x03, /* NTM Update: location or candidates changed */
	MESSAGE_UPDATE_RESPONSE = 0x04,
	MESSAGE_KEEP_ALIVE = 0x05,
	MESSAGE_KEEP_ALIVE_ANSWER = 0x06,
	MESSAGE_DIRECTION_REQUEST = 0x07,
	MESSAGE_DIRECTION_REFUSAL = 0x08,
	MESSAGE_ROUTE_DIRECTION = 0x09,
	MESSAGE_ROUTE_UPDATE =
		0x0a, /* Route Direction, short form: a peer's new candidates; also between coordinators */
	/* coordinator - coordinator */
	MESSAGE_NODE_INFORMATION_REQUEST = 0x0b,
	MESSAGE_NODE_INFORMATION_RESPONSE = 0x0c,
	MESSAGE_LINK_REQUEST = 0x0d, /* payload of the handshake between coordinators */
	MESSAGE_LINK_RESPONSE = 0x0e,
	/* node - coordinator */
	MESSAGE_NETWORK_REQUEST = 0x0f, /* a piece of the network document */
	MESSAGE_NETWORK_RESPONSE = 0x10,
	MESSAGE_RELAY_REPORT = 0x11, /* how relays are seen; one that is silent. Also between coordinators */
	/* node - node */
	MESSAGE_TUNNEL_REQUEST = 0x20,
	MESSAGE_TUNNEL_RESPONSE = 0x21,
	MESSAGE_MOVE = 0x22, /* NTM Update between the ends of a tunnel */
	MESSAGE_PATH_CHALLENGE = 0x23,
	MESSAGE_PATH_RESPONSE = 0x24,
	MESSAGE_ECHO_REQUEST = 0x25,
	MESSAGE_ECHO_RESPONSE = 0x26,
	MESSAGE_RECEIPT = 0x27, /* what has arrived of the other end's data: sent on its own account, never answered */
	MESSAGE_PUNCH = 0x28,	/* how the sender's NAT maps, and where to knock (punch.h) */
	/* either */
	MESSAGE_ACK = 0x40, /* nothing but the transaction id */
	MESSAGE_REKEY_REQUEST = 0x41,
	MESSAGE_REKEY_RESPONSE = 0x42,
	MESSAGE_CLOSE = 0x43,
};

struct message_header {
	uint8_t type;
	uint32_t transaction;
};

void message_header_encode(uint8_t type, uint32_t transaction, struct writer *w);
/* Leaves r at the first field. Unknown types are ERR_UNKNOWN (dropped and counted by the receiver). */
must_use enum err message_header_decode(struct reader *r, struct message_header *ret);
