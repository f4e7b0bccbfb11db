/*
 * cookie.h: how a responder under load has first messages prove where they come from before they cost it a key exchange
 * (security 2.6). Nothing is remembered of who was asked: a cookie is a MAC over the source under a secret that changes
 * every COOKIE_SECRET_US, and it goes sealed to who sent the message's mac1, in a datagram smaller than any first
 * message. mac2 of the message's repetition is a MAC under the cookie. Pure functions.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "base/time.h"
#include "wire/header.h"

/* header (type PACKET_COOKIE, the message's PathID), nonce, sealed cookie. */
enum { COOKIE_NONCE_SIZE = 12, COOKIE_REPLY_SIZE = HEADER_SIZE + COOKIE_NONCE_SIZE + MAC_SIZE + TAG_SIZE };

/* Responder. Does the message's mac2 prove its source? request has a valid mac1. */
bool cookie_is_proof(const uint8_t secret[KEY_SIZE], struct time_us now, const struct addr *source,
		     const uint8_t *request, size_t size);
/* Responder: the reply to a message that proves nothing. static_key is the responder's public one. */
void cookie_reply_make(const uint8_t secret[KEY_SIZE], const uint8_t static_key[KEY_SIZE], struct time_us now,
		       const struct addr *source, const uint8_t *request, size_t size,
		       const uint8_t nonce[COOKIE_NONCE_SIZE], uint8_t ret[COOKIE_REPLY_SIZE]);

/* What an initiator has been given; all zero: nothing. */
struct cookie {
	bool is_set;
	struct time_us at;
	uint8_t bytes[MAC_SIZE];
};

/* Initiator: ERR_AUTH for a reply that is not to this message of ours; then *cookie is untouched. */
must_use enum err cookie_take(struct cookie *cookie, const uint8_t static_key[KEY_SIZE], struct time_us now,
			      const uint8_t *request, size_t size, const uint8_t *reply, size_t reply_size);
/* Initiator: mac2 of a message about to be sent: proof as long as the cookie may be good, otherwise zeros. */
void cookie_apply(const struct cookie *cookie, struct time_us now, uint8_t *request, size_t size);
