/* keys.h: a node's side of rekeying, towards peers and coordinator alike: what is under way, and what was answered
 * last. */
#pragma once

#include "proto/session/rekey.h"

struct node;

struct rekeying {
	bool active; /* our request is out */
	struct handshake handshake;
	bool answered; /* a request of the other end was answered: the same one gets the same bytes */
	uint32_t answered_transaction;
	uint8_t answered_epoch;
	uint8_t answer[REKEY_RESPONSE_SIZE];
};

/* Begins when the session wants it and we are its initiator: writes a whole message with a new transaction id. False
 * when there is nothing to do. */
bool keys_begin(struct node *node, struct rekeying *rekeying, const struct session *session,
		const uint8_t remote_static[KEY_SIZE], struct time_us now, uint8_t *ret, size_t *ret_size);
/* Responder: takes MESSAGE_REKEY_REQUEST and writes the whole answer. */
must_use enum err keys_answer(struct node *node, struct rekeying *rekeying, struct session *session,
			      const uint8_t remote_static[KEY_SIZE], struct time_us now, uint32_t transaction,
			      const struct rekey *request, uint8_t *ret, size_t *ret_size);
/* Initiator: takes MESSAGE_REKEY_RESPONSE. ERR_STATE when nothing was asked. */
must_use enum err keys_finish(struct node *node, struct rekeying *rekeying, struct session *session,
			      const struct rekey *response, struct time_us now);
