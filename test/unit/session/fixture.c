#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Contract in the header. */
void end_init(struct end *end, uint8_t fill)
{
	uint8_t seed[KEY_SIZE];

	memset(seed, fill, sizeof(seed));
	dh_keys_from_seed(seed, &end->keys);
	handshake_mac1_key(end->keys.public, NULL, end->mac1_key);
}

/* Contract in the header. */
void exchange_init(struct exchange *x)
{
	memset(x, 0, sizeof(*x));
	end_init(&x->initiator, 1);
	end_init(&x->responder, 2);
	memset(x->psk, 3, sizeof(x->psk));
}

/* Contract in the header. */
void exchange_request(struct exchange *x, struct blob payload)
{
	uint8_t seed[KEY_SIZE] = {0x48};
	struct handshake_setup setup = {
		.local_static = &x->initiator.keys,
		.remote_static = x->responder.keys.public,
		.psk = x->psk,
		.mac1_key = x->responder.mac1_key,
		.type = PACKET_TUNNEL_REQUEST,
		.path_id = FIXTURE_PATH_ID,
		.ephemeral_seed = seed,
	};

	assert_int_equal(handshake_begin(&x->begun, &setup, payload, x->request, &x->request_size), OK);
}

/* Contract in the header. */
void exchange_accept(struct exchange *x)
{
	assert_int_equal(handshake_mac1_check(x->request, x->request_size, x->responder.mac1_key), OK);
	assert_int_equal(handshake_accept(&x->accepted,
					  &(struct handshake_setup){.local_static = &x->responder.keys, .psk = x->psk},
					  x->request, x->request_size, x->payload, &x->payload_size),
			 OK);
}

/* Contract in the header. */
void exchange_answer(struct exchange *x, struct blob payload)
{
	uint8_t seed[KEY_SIZE] = {0x58};
	struct handshake_setup setup = {
		.local_static = &x->responder.keys,
		.psk = x->psk,
		.mac1_key = x->initiator.mac1_key,
		.type = PACKET_TUNNEL_RESPONSE,
		.path_id = FIXTURE_PATH_ID,
		.ephemeral_seed = seed,
	};

	assert_int_equal(
		handshake_answer(&x->accepted, &setup, payload, x->response, &x->response_size, &x->responder_keys),
		OK);
}

/* Contract in the header. */
void exchange_finish(struct exchange *x)
{
	assert_int_equal(handshake_mac1_check(x->response, x->response_size, x->initiator.mac1_key), OK);
	assert_int_equal(handshake_finish(&x->begun, &x->initiator.keys, x->response, x->response_size, x->payload,
					  &x->payload_size, &x->initiator_keys),
			 OK);
}

/* Contract in the header. */
void exchange_run(struct exchange *x)
{
	exchange_init(x);
	exchange_request(x, (struct blob){0});
	exchange_accept(x);
	exchange_answer(x, (struct blob){0});
	exchange_finish(x);
}
