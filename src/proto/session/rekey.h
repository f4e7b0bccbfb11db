/*
 * rekey.h: fresh keys inside a live session: the same handshake once more, its two Noise messages riding in
 * MESSAGE_REKEY_REQUEST and _RESPONSE, under a psk that the session before left behind. Outer header and MACs are not
 * sent: the session authenticates already. Only the session's initiator begins. Payloads are empty.
 */
#pragma once

#include "proto/session/session.h"
#include "wire/tunnel.h"

enum {
	REKEY_REQUEST_SIZE = HANDSHAKE_OVERHEAD_REQUEST - HEADER_SIZE - 2 * MAC_SIZE,
	REKEY_RESPONSE_SIZE = HANDSHAKE_OVERHEAD_RESPONSE - HEADER_SIZE - 2 * MAC_SIZE,
};

/* Initiator: *h lives until the answer; ret holds the message for struct rekey, whose epoch is session_next_epoch(). */
must_use enum err rekey_begin(struct handshake *h, const struct session *session, const struct dh_keys *local_static,
			      const uint8_t remote_static[KEY_SIZE], const uint8_t ephemeral_seed[KEY_SIZE],
			      uint8_t ret[REKEY_REQUEST_SIZE]);
/*
 * Responder: checks that the request makes the next epoch and comes from remote_static, writes the answer and installs
 * the keys. ERR_STATE for another epoch. The caller keeps the answer: a repeated request must get the same one, as the
 * keys are already in place.
 */
must_use enum err rekey_answer(struct session *session, const struct dh_keys *local_static,
			       const uint8_t remote_static[KEY_SIZE], const struct rekey *request,
			       const uint8_t ephemeral_seed[KEY_SIZE], struct time_us now,
			       uint8_t ret[REKEY_RESPONSE_SIZE]);
/* Initiator: consumes the answer and installs the keys. On error h and session are unchanged. */
must_use enum err rekey_finish(struct handshake *h, struct session *session, const struct dh_keys *local_static,
			       const struct rekey *response, struct time_us now);
