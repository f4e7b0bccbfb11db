/* test_handshake.c: both ends agree, and nothing but the very bytes of the right peer is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../crypto/hex.h"
#include "crypto/hash.h"
#include "fixture.h"

static const size_t PAYLOAD_SIZES[] = {0, 1, 16, 500, HANDSHAKE_PAYLOAD_MAX};

static void test_both_ends_agree(void **state)
{
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX];
	struct exchange x;

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(PAYLOAD_SIZES) / sizeof(PAYLOAD_SIZES[0]); i++) {
		struct blob blob = {payload, PAYLOAD_SIZES[i]};

		exchange_init(&x);
		exchange_request(&x, blob);
		assert_int_equal(x.request_size, HANDSHAKE_OVERHEAD_REQUEST + blob.size);
		exchange_accept(&x);
		assert_int_equal(x.payload_size, blob.size);
		assert_memory_equal(x.payload, payload, blob.size);
		assert_memory_equal(x.accepted.remote_static, x.initiator.keys.public, KEY_SIZE);
		exchange_answer(&x, blob);
		assert_int_equal(x.response_size, HANDSHAKE_OVERHEAD_RESPONSE + blob.size);
		exchange_finish(&x);
		assert_int_equal(x.payload_size, blob.size);
		assert_memory_equal(x.payload, payload, blob.size);
		assert_memory_equal(&x.initiator_keys, &x.responder_keys, sizeof(x.initiator_keys));
		assert_memory_not_equal(x.initiator_keys.to_initiator, x.initiator_keys.to_responder, KEY_SIZE);
		assert_memory_not_equal(x.initiator_keys.rekey_psk, x.initiator_keys.to_responder, KEY_SIZE);
	}
}

/*
 * Keys and ephemeral keys of the fixture, run once through noiseprotocol 0.3.1 (test/interop has the live comparison).
 */
static void test_transcript_of_another_implementation(void **state)
{
	static const char REQUEST[] =
		"8fcb5d6aca45e3dc1cdc7fbf43189f9232093dedc97bb1efbe7b7669f6d310579c21226ad191ca7a8945b2e370a05f8c"
		"d04f476489a9c6c19048dbca1b383d39a5d4f8cc777e1650c0b77e2364a14bc9e0ea3231dcba61c1074a997f486d1487"
		"cdd0c2fd799d7fb1816e";
	static const char RESPONSE[] =
		"c5c98f7cd74857a84acc6037507b2c8a3050ec69d3222b923c6d7caff2d7017896211436f115ba8535596e8de6bf23bf"
		"8503581ef907";
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){(const uint8_t *)"early data", 10});
	hex_expect(x.request + HEADER_SIZE, x.request_size - HEADER_SIZE - 2 * MAC_SIZE, REQUEST);
	exchange_accept(&x);
	exchange_answer(&x, (struct blob){(const uint8_t *)"answer", 6});
	hex_expect(x.response + HEADER_SIZE, x.response_size - HEADER_SIZE - 2 * MAC_SIZE, RESPONSE);
	exchange_finish(&x);
	hex_expect(x.initiator_keys.to_responder, KEY_SIZE,
		   "d7b89d2c823b4f49b47aba46617df42be78f3f32b342ec5b159f3dcb16340774");
	hex_expect(x.initiator_keys.to_initiator, KEY_SIZE,
		   "586ce1d47cd345317773b05b3bdf60c445e1a62c2c97bd29b3f7085df5678821");
}

static void test_oversized_payload_is_refused(void **state)
{
	uint8_t payload[MESSAGE_MAX] = {0}, seed[KEY_SIZE] = {4}, out[MESSAGE_MAX];
	struct handshake_setup setup = {.type = PACKET_TUNNEL_REQUEST, .ephemeral_seed = seed};
	struct exchange x;
	size_t size = 77;

	(void)state;
	exchange_init(&x);
	setup.local_static = &x.initiator.keys;
	setup.remote_static = x.responder.keys.public;
	setup.mac1_key = x.responder.mac1_key;
	assert_int_equal(
		handshake_begin(&x.begun, &setup, (struct blob){payload, HANDSHAKE_PAYLOAD_MAX + 1}, out, &size),
		ERR_SIZE);
	assert_int_equal(size, 77);
}

/* What a responder that does everything right would make of the request: its MAC first, then its contents. */
static enum err responder_judges(struct exchange *x)
{
	enum err err = handshake_mac1_check(x->request, x->request_size, x->responder.mac1_key);
	struct handshake h;

	if (err)
		return err;
	return handshake_accept(&h, &(struct handshake_setup){.local_static = &x->responder.keys, .psk = x->psk},
				x->request, x->request_size, x->payload, &x->payload_size);
}

static enum err initiator_judges(struct exchange *x)
{
	enum err err = handshake_mac1_check(x->response, x->response_size, x->initiator.mac1_key);

	if (err)
		return err;
	return handshake_finish(&x->begun, &x->initiator.keys, x->response, x->response_size, x->payload,
				&x->payload_size, &x->initiator_keys);
}

static void mac1_renew(uint8_t *datagram, size_t size, const uint8_t *key)
{
	mac(key, datagram, size - 2 * MAC_SIZE, datagram + size - 2 * MAC_SIZE);
}

static void test_every_request_byte_counts(void **state)
{
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){(const uint8_t *)"early data", 10});
	for (size_t bit = 0; bit < 8 * x.request_size; bit++) {
		x.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(responder_judges(&x), OK);
		x.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(responder_judges(&x), OK);
}

/* mac1's key is known to whoever knows the public key of a server: the tags behind it must refuse by themselves. */
static void test_every_request_byte_counts_under_a_valid_mac1(void **state)
{
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){(const uint8_t *)"early data", 10});
	for (size_t bit = 0; bit < 8 * (x.request_size - 2 * MAC_SIZE); bit++) {
		if (bit == 8 * (HEADER_SIZE + KEY_SIZE) - 1)
			continue; /* X25519 ignores the top bit, yet the transcript does not: tried below */
		x.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
		mac1_renew(x.request, x.request_size, x.responder.mac1_key);
		assert_int_not_equal(responder_judges(&x), OK);
		x.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	x.request[HEADER_SIZE + KEY_SIZE - 1] ^= 0x80;
	mac1_renew(x.request, x.request_size, x.responder.mac1_key);
	assert_int_equal(responder_judges(&x), ERR_AUTH);
}

static void test_every_response_byte_counts(void **state)
{
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	exchange_accept(&x);
	exchange_answer(&x, (struct blob){(const uint8_t *)"answer", 6});
	for (size_t bit = 0; bit < 8 * x.response_size; bit++) {
		x.response[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(initiator_judges(&x), OK);
		if (bit < 8 * (x.response_size - 2 * MAC_SIZE)) {
			mac1_renew(x.response, x.response_size, x.initiator.mac1_key);
			assert_int_not_equal(initiator_judges(&x), OK);
		}
		x.response[bit / 8] ^= (uint8_t)(1 << bit % 8);
		mac1_renew(x.response, x.response_size, x.initiator.mac1_key);
	}
	assert_int_equal(initiator_judges(&x), OK); /* after all these forgeries the handshake still finishes */
	assert_memory_equal(&x.initiator_keys, &x.responder_keys, sizeof(x.initiator_keys));
}

static void test_forged_answer_changes_nothing(void **state)
{
	struct handshake before;
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	exchange_accept(&x);
	exchange_answer(&x, (struct blob){0});
	before = x.begun;
	memset(x.payload, 0x77, sizeof(x.payload));
	x.payload_size = 99;
	x.response[HEADER_SIZE + 3] ^= 1;
	assert_int_equal(handshake_finish(&x.begun, &x.initiator.keys, x.response, x.response_size, x.payload,
					  &x.payload_size, &x.initiator_keys),
			 ERR_AUTH);
	assert_memory_equal(&before, &x.begun, sizeof(before));
	assert_int_equal(x.payload_size, 99);
	assert_int_equal(x.payload[0], 0x77);
	x.response[HEADER_SIZE + 3] ^= 1;
	exchange_finish(&x);
}

static void test_second_answer_is_refused(void **state)
{
	struct session_keys again;
	struct exchange x;

	(void)state;
	exchange_run(&x);
	assert_int_not_equal(handshake_finish(&x.begun, &x.initiator.keys, x.response, x.response_size, x.payload,
					      &x.payload_size, &again),
			     OK);
}

static void test_truncation_and_excess_are_refused(void **state)
{
	uint8_t longer[MESSAGE_MAX + 1] = {0};
	struct exchange x;
	size_t whole;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){(const uint8_t *)"payload", 7});
	whole = x.request_size;
	for (x.request_size = 0; x.request_size < whole; x.request_size++) {
		struct handshake h;

		assert_int_not_equal(responder_judges(&x), OK);
		assert_int_not_equal(
			handshake_accept(&h, &(struct handshake_setup){.local_static = &x.responder.keys, .psk = x.psk},
					 x.request, x.request_size, x.payload, &x.payload_size),
			OK);
	}
	assert_int_equal(handshake_mac1_check(longer, sizeof(longer), x.responder.mac1_key), ERR_SIZE);
	assert_int_equal(handshake_accept(&x.accepted,
					  &(struct handshake_setup){.local_static = &x.responder.keys, .psk = x.psk},
					  longer, sizeof(longer), x.payload, &x.payload_size),
			 ERR_SIZE);
}

static void test_wrong_psk_is_refused(void **state)
{
	uint8_t dead[sizeof(struct handshake)] = {0};
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	x.psk[31] ^= 1;
	assert_int_equal(handshake_accept(&x.accepted,
					  &(struct handshake_setup){.local_static = &x.responder.keys, .psk = x.psk},
					  x.request, x.request_size, x.payload, &x.payload_size),
			 ERR_AUTH);
	assert_memory_equal(&x.accepted, dead, sizeof(dead));
	assert_int_equal(handshake_accept(&x.accepted,
					  &(struct handshake_setup){.local_static = &x.responder.keys, .psk = NULL},
					  x.request, x.request_size, x.payload, &x.payload_size),
			 ERR_AUTH);
}

static void test_no_psk_is_a_psk_of_zeros(void **state)
{
	struct exchange x;

	(void)state;
	exchange_init(&x);
	memset(x.psk, 0, sizeof(x.psk));
	exchange_request(&x, (struct blob){0});
	assert_int_equal(handshake_accept(&x.accepted,
					  &(struct handshake_setup){.local_static = &x.responder.keys, .psk = NULL},
					  x.request, x.request_size, x.payload, &x.payload_size),
			 OK);
}

static void test_wrong_responder_is_refused(void **state)
{
	struct exchange x;
	struct end other;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	end_init(&other, 9);
	assert_int_equal(handshake_accept(&x.accepted,
					  &(struct handshake_setup){.local_static = &other.keys, .psk = x.psk},
					  x.request, x.request_size, x.payload, &x.payload_size),
			 ERR_AUTH);
	/* The request comes back to its sender. */
	assert_int_equal(handshake_accept(&x.accepted,
					  &(struct handshake_setup){.local_static = &x.initiator.keys, .psk = x.psk},
					  x.request, x.request_size, x.payload, &x.payload_size),
			 ERR_AUTH);
	assert_int_equal(handshake_finish(&x.begun, &x.initiator.keys, x.request, x.request_size, x.payload,
					  &x.payload_size, &x.initiator_keys),
			 ERR_STATE);
}

/*
 * Key-compromise impersonation (T11): the thief has the initiator's static secret and answers as the responder, whose
 * secret it lacks. It can follow the protocol with a static pair of its own only.
 */
static void test_thief_of_own_key_cannot_answer(void **state)
{
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	exchange_accept(&x);
	/* The thief invents the responder's secret state: right transcript (all public but es, ss), keys of its own. */
	memset(x.accepted.chaining_key, 0x11, HASH_SIZE);
	exchange_answer(&x, (struct blob){0});
	assert_int_equal(initiator_judges(&x), ERR_AUTH);
}

/*
 * The other direction: with the responder's secret stolen, a stranger cannot pose as a given initiator: ss then needs
 * that one's secret.
 */
static void test_initiator_is_who_it_says(void **state)
{
	uint8_t seed[KEY_SIZE] = {4};
	struct handshake_setup setup = {
		.type = PACKET_TUNNEL_REQUEST, .path_id = FIXTURE_PATH_ID, .ephemeral_seed = seed};
	struct dh_keys posing;
	struct exchange x;
	struct end thief;

	(void)state;
	exchange_init(&x);
	end_init(&thief, 7);
	posing = thief.keys;
	memcpy(posing.public, x.initiator.keys.public, KEY_SIZE);
	setup.local_static = &posing;
	setup.remote_static = x.responder.keys.public;
	setup.psk = x.psk;
	setup.mac1_key = x.responder.mac1_key;
	assert_int_equal(handshake_begin(&x.begun, &setup, (struct blob){0}, x.request, &x.request_size), OK);
	assert_int_equal(responder_judges(&x), ERR_AUTH);
}

/* A low-order ephemeral key would make a key that everybody knows. */
static void test_low_order_ephemeral_is_refused(void **state)
{
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	memset(x.request + HEADER_SIZE, 0, KEY_SIZE);
	assert_int_equal(handshake_accept(&x.accepted,
					  &(struct handshake_setup){.local_static = &x.responder.keys, .psk = x.psk},
					  x.request, x.request_size, x.payload, &x.payload_size),
			 ERR_AUTH);
}

static void test_answer_of_another_kind_is_refused(void **state)
{
	uint8_t seed[KEY_SIZE] = {5};
	struct handshake_setup setup = {.ephemeral_seed = seed};
	struct exchange x;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	exchange_accept(&x);
	setup.local_static = &x.responder.keys;
	setup.mac1_key = x.initiator.mac1_key;
	setup.path_id = FIXTURE_PATH_ID;
	setup.type = PACKET_REGISTRATION_RESPONSE;
	assert_int_equal(handshake_answer(&x.accepted, &setup, (struct blob){0}, x.response, &x.response_size,
					  &x.responder_keys),
			 ERR_STATE);
	setup.type = PACKET_TUNNEL_RESPONSE;
	setup.path_id++;
	assert_int_equal(handshake_answer(&x.accepted, &setup, (struct blob){0}, x.response, &x.response_size,
					  &x.responder_keys),
			 ERR_STATE);
}

/* Both ends with everything computed beforehand: byte for byte the handshake of those that compute it when it is due.
 */
static void test_prepared_ends_say_the_same(void **state)
{
	uint8_t request_seed[KEY_SIZE] = {0x48}, answer_seed[KEY_SIZE] = {0x58}; /* of the fixture */
	struct handshake_setup begin = {.type = PACKET_TUNNEL_REQUEST, .path_id = FIXTURE_PATH_ID};
	struct handshake_setup answer = {.type = PACKET_TUNNEL_RESPONSE, .path_id = FIXTURE_PATH_ID};
	struct handshake_prepared begun, answered;
	struct static_pair known[2];
	struct exchange plain, x;

	(void)state;
	exchange_run(&plain);
	exchange_init(&x);
	assert_int_equal(handshake_prepare(request_seed, x.responder.keys.public, &begun), OK);
	assert_int_equal(handshake_prepare(answer_seed, x.initiator.keys.public, &answered), OK);
	assert_int_equal(static_pair_make(&x.initiator.keys, x.responder.keys.public, &known[0]), OK);
	assert_int_equal(static_pair_make(&x.responder.keys, x.initiator.keys.public, &known[1]), OK);
	begin.local_static = &x.initiator.keys;
	begin.remote_static = x.responder.keys.public;
	begin.mac1_key = x.responder.mac1_key;
	begin.known = &known[0];
	begin.prepared = &begun;
	answer.local_static = &x.responder.keys;
	answer.mac1_key = x.initiator.mac1_key;
	answer.known = &known[1];
	answer.prepared = &answered;
	begin.psk = answer.psk = x.psk;
	assert_int_equal(handshake_begin(&x.begun, &begin, (struct blob){0}, x.request, &x.request_size), OK);
	assert_memory_equal(x.request, plain.request, plain.request_size);
	assert_int_equal(handshake_accept(&x.accepted, &answer, x.request, x.request_size, x.payload, &x.payload_size),
			 OK);
	assert_int_equal(handshake_answer(&x.accepted, &answer, (struct blob){0}, x.response, &x.response_size,
					  &x.responder_keys),
			 OK);
	assert_memory_equal(x.response, plain.response, plain.response_size);
	exchange_finish(&x);
	assert_memory_equal(&x.initiator_keys, &plain.initiator_keys, sizeof(x.initiator_keys));
	assert_memory_equal(&x.responder_keys, &plain.initiator_keys, sizeof(x.initiator_keys));
}

/* What is known of another key, as of a certificate before the present one, must not be used; what is, is. */
static void test_known_is_of_one_key(void **state)
{
	struct handshake_setup setup = {0};
	struct static_pair known;
	struct exchange x;
	struct end other;

	(void)state;
	exchange_init(&x);
	exchange_request(&x, (struct blob){0});
	end_init(&other, 9);
	setup.local_static = &x.responder.keys;
	setup.psk = x.psk;
	setup.known = &known;
	assert_int_equal(static_pair_make(&x.responder.keys, other.keys.public, &known), OK);
	assert_int_equal(handshake_accept(&x.accepted, &setup, x.request, x.request_size, x.payload, &x.payload_size),
			 OK);
	memcpy(known.remote_static, x.initiator.keys.public, KEY_SIZE); /* with the other's secret: must not fit */
	assert_int_equal(handshake_accept(&x.accepted, &setup, x.request, x.request_size, x.payload, &x.payload_size),
			 ERR_AUTH);
}

/* A key of low order would make a secret that everybody knows, also beforehand. */
static void test_low_order_is_not_prepared(void **state)
{
	uint8_t seed[KEY_SIZE] = {6}, low[KEY_SIZE] = {0};
	struct handshake_prepared prepared;
	struct static_pair pair;
	struct end end;

	(void)state;
	end_init(&end, 1);
	assert_int_equal(static_pair_make(&end.keys, low, &pair), ERR_AUTH);
	assert_int_equal(handshake_prepare(seed, low, &prepared), ERR_AUTH);
}

static void test_mac1_keys_depend_on_everything(void **state)
{
	uint8_t temp[KEY_SIZE] = {1}, nego[KEY_SIZE], a[KEY_SIZE], b[KEY_SIZE];
	struct end end;

	(void)state;
	end_init(&end, 1);
	nego_key_derive(temp, nego);
	assert_memory_not_equal(nego, temp, KEY_SIZE);
	handshake_mac1_key(end.keys.public, nego, a);
	handshake_mac1_key(end.keys.public, NULL, b);
	assert_memory_not_equal(a, b, KEY_SIZE);
	end_init(&end, 2);
	handshake_mac1_key(end.keys.public, nego, b);
	assert_memory_not_equal(a, b, KEY_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_agree),
		cmocka_unit_test(test_transcript_of_another_implementation),
		cmocka_unit_test(test_oversized_payload_is_refused),
		cmocka_unit_test(test_every_request_byte_counts),
		cmocka_unit_test(test_every_request_byte_counts_under_a_valid_mac1),
		cmocka_unit_test(test_every_response_byte_counts),
		cmocka_unit_test(test_forged_answer_changes_nothing),
		cmocka_unit_test(test_second_answer_is_refused),
		cmocka_unit_test(test_truncation_and_excess_are_refused),
		cmocka_unit_test(test_wrong_psk_is_refused),
		cmocka_unit_test(test_no_psk_is_a_psk_of_zeros),
		cmocka_unit_test(test_wrong_responder_is_refused),
		cmocka_unit_test(test_thief_of_own_key_cannot_answer),
		cmocka_unit_test(test_initiator_is_who_it_says),
		cmocka_unit_test(test_low_order_ephemeral_is_refused),
		cmocka_unit_test(test_answer_of_another_kind_is_refused),
		cmocka_unit_test(test_prepared_ends_say_the_same),
		cmocka_unit_test(test_known_is_of_one_key),
		cmocka_unit_test(test_low_order_is_not_prepared),
		cmocka_unit_test(test_mac1_keys_depend_on_everything),
	};

	if (!crypto_init())
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
