/*
 * session.h: one authenticated link between two ends after its handshake: keys by epoch, counters and replay windows by
 * path, sealing, opening. The packet path: no lock, and no allocation but for the first packet after a rest and the
 * first of a counter space. One thread at a time.
 */
#pragma once

#include "base/time.h"
#include "crypto/aead.h"
#include "proto/session/handshake.h"
#include "wire/direction.h"
#include "wire/header.h"
#include "wire/tunnel.h"

struct session;

/* What an opened packet was. */
struct opened {
	size_t size;	     /* plaintext bytes, padding included */
	uint8_t path;	     /* counter space it came in */
	uint64_t counter;    /* its place there */
	uint8_t flags;	     /* SEALED_CONTROL, SEALED_PARTIAL */
	bool highest;	     /* its counter is the highest seen in that space: it may suggest an address (E1) */
	bool first_of_epoch; /* it is the first opened under its epoch's keys, epoch 0 included: the peer has them */
};

/* Keys are copied. Epoch 0. */
struct session *session_create(struct aead_provider *provider, enum suite suite, bool is_initiator, uint64_t path_id,
			       const struct session_keys *keys, struct time_us now);
void session_destroy(struct session *session); /* wipes; accepts NULL */

/*
 * Seals size bytes into out (size + OVERHEAD_SIZE; must not overlap in). flags: SEALED_CONTROL, SEALED_PARTIAL.
 * ERR_EXHAUSTED: the counter space or the key is used up, nothing was written.
 */
must_use enum err session_seal(struct session *session, uint8_t path, uint8_t flags, const uint8_t *in, size_t size,
			       uint8_t *out);
/*
 * Checks header, epoch and window, opens into out (at least size - OVERHEAD_SIZE bytes, not overlapping), then marks
 * the counter as seen. Nothing in the session changes unless the tag verifies. out is clobbered on ERR_AUTH.
 */
must_use enum err session_open(struct session *session, const uint8_t *datagram, size_t size, uint8_t *out,
			       struct opened *ret);

/*
 * What this end sealed, opened with its own keys as long as it has them: size - OVERHEAD_SIZE bytes into out. Changes
 * nothing; out is clobbered on ERR_AUTH.
 */
must_use enum err session_reopen(struct session *session, const uint8_t *datagram, size_t size, uint8_t *out,
				 uint8_t *ret_flags);

uint64_t session_path_id(const struct session *session);
bool session_is_initiator(const struct session *session);
enum suite session_suite(const struct session *session);
/* Counter of the next packet that is sealed in this space. */
uint64_t session_next_counter(const struct session *session, uint8_t path);
/* What of the other end's packets below `below` is missing in this space: as replay_missing. */
uint8_t session_missing(const struct session *session, uint8_t path, uint64_t below, struct span *ret, uint8_t max);
/* Age of the sending key. */
struct time_us session_key_since(const struct session *session);
/* Has the current key done its time or count, so that the initiator should rekey now? */
bool session_wants_rekey(const struct session *session, struct time_us now);
/* Keys too old to be used at all: seal and open would be refused by the caller. */
bool session_is_expired(const struct session *session, struct time_us now);
/* The keys have rested unused and are used from now on: no older than such as are to be changed at once. */
void session_wake(struct session *session, struct time_us now);
/* When session_forget_old has something to do; TIME_NEVER. */
struct time_us session_old_until(const struct session *session);
/* Wipes the previous epoch's keys once they are REJECT_AFTER_US old. To be called with every input of time. */
void session_forget_old(struct session *session, struct time_us now);

/*
 * Nothing is expected soon: gives back what is only there to be fast, most of a session's memory. The next packet makes
 * it again, in some microseconds; packets that were late by then are taken for seen.
 */
void session_rest(struct session *session);

/* The psk for the next handshake, and the epoch number (modulo 256) that it makes. */
const uint8_t *session_rekey_psk(const struct session *session);
uint8_t session_next_epoch(const struct session *session);
/*
 * Installs the keys of epoch session_next_epoch(). The initiator sends under them at once; the responder when the first
 * packet under them has arrived. The previous epoch can still be opened. Until that first packet a further install at
 * the responder replaces the keys of the same epoch (the initiator gave up and began anew), so the caller must refuse
 * requests older than the last one it answered.
 */
void session_install(struct session *session, const struct session_keys *keys, struct time_us now);
