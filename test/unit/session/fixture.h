/* fixture.h: two ends and the handshake between them, with keys and randomness that are the same in every run. */
#pragma once

#include "proto/session/handshake.h"
#include "proto/session/session.h"

#define FIXTURE_PATH_ID UINT64_C(0x1122334455)

struct end {
	struct dh_keys keys;
	uint8_t mac1_key[KEY_SIZE]; /* for datagrams to this end */
};

struct exchange {
	struct end initiator, responder;
	uint8_t psk[KEY_SIZE];
	struct handshake begun, accepted;
	uint8_t request[MESSAGE_MAX], response[MESSAGE_MAX];
	size_t request_size, response_size;
	uint8_t payload[MESSAGE_MAX]; /* what the other end last read */
	size_t payload_size;
	struct session_keys initiator_keys, responder_keys;
};

/* fill tells ends apart. */
void end_init(struct end *end, uint8_t fill);
/* The ends and the psk; no message yet. */
void exchange_init(struct exchange *x);
/* Each step alone, with payload; ends the test when it fails. */
void exchange_request(struct exchange *x, struct blob payload);
void exchange_accept(struct exchange *x);
void exchange_answer(struct exchange *x, struct blob payload);
void exchange_finish(struct exchange *x);
/* All of them with empty payloads. */
void exchange_run(struct exchange *x);
