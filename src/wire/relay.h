/*
 * relay.h: tickets, and how a leg is bound to an address: Bind, Challenge, Answer, Bound (security 3). Whole
 * datagrams.
 */
#pragma once

#include "wire/credential.h"
#include "wire/header.h"

/* Plaintext of a ticket; sealed by proto/session/ticket.h. */
struct ticket {
	uint64_t path_id;
	uint8_t leg_keys[2][KEY_SIZE];
	uint64_t not_before_s, not_after_s; /* since 1970 */
	uint32_t rate_kbps_max;		    /* per leg; 0: the relay's own limit */
	uint64_t bytes_max;		    /* both directions of the pair; 0: no cap */
};
enum { TICKET_SIZE = 1 + 8 + 2 * KEY_SIZE + 8 + 8 + 4 + 8 };
void ticket_encode(const struct ticket *ticket, struct writer *w);
must_use enum err ticket_decode(struct reader *r, struct ticket *ret);

/* header, u8 leg, u32 generation, u16 size + sealed ticket, zero padding up to RELAY_BIND_MIN, mac(leg key). */
enum { RELAY_BIND_MIN = 128 };
struct relay_bind {
	uint64_t path_id;
	uint8_t leg;
	uint32_t generation; /* rises with every move of this leg */
	struct blob ticket;  /* borrowed */
	uint8_t mac[MAC_SIZE];
	size_t signed_size; /* decoder: bytes of the datagram that the MAC covers */
};

/*
 * header, u8 leg, u32 generation, cookie[16], mac(leg key). The same shape for Challenge (relay), Answer (node) and
 * Bound (relay).
 */
enum { RELAY_CHALLENGE_SIZE = HEADER_SIZE + 1 + 4 + 16 + MAC_SIZE };
struct relay_challenge {
	uint8_t type; /* PACKET_RELAY_CHALLENGE, _ANSWER or _BOUND */
	uint64_t path_id;
	uint8_t leg;
	uint32_t generation;
	uint8_t cookie[16]; /* Bound: where the leg is bound to, relay_seen_*; it is no secret */
	uint8_t mac[MAC_SIZE];
};

/* Bound tells a leg of IPv4 how it is seen, as NATs may show another port to each server; others zeros. */
void relay_seen_put(const struct addr *seen, uint8_t ret[16]);
/* Unset: not told. */
struct addr relay_seen_get(const uint8_t cookie[16]);

/*
 * mac is written last and covers everything before it: the caller computes it over the bytes written so far, then
 * calls write_bytes.
 */
void relay_bind_encode_unsigned(const struct relay_bind *m, struct writer *w);
must_use enum err relay_bind_decode(struct reader *r, struct relay_bind *ret);
void relay_challenge_encode_unsigned(const struct relay_challenge *m, struct writer *w);
must_use enum err relay_challenge_decode(struct reader *r, struct relay_challenge *ret);
