/*
 * test_session.c: sealing, opening, replay, limits and epochs, each for both suites and, where it matters, both roles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fixture.h"
#include "proto/session/rekey.h"
#include "proto/session/session_state.h"

enum { PLAIN_SIZE = 64, SEALED_SIZE = PLAIN_SIZE + OVERHEAD_SIZE };

static const struct time_us T0 = {1000000};

struct pair {
	struct exchange x;
	struct aead_provider *provider;
	struct session *a, *b; /* initiator, responder */
	uint8_t plain[PLAIN_SIZE], sealed[SEALED_SIZE], out[PLAIN_SIZE];
	struct opened opened;
};

static struct pair *pair_create(enum suite suite)
{
	struct pair *p = mem_alloc(1, sizeof(*p));

	exchange_run(&p->x);
	memset(p->plain, 0x61, sizeof(p->plain));
	p->provider = aead_provider_create(AEAD_BACKEND_AUTO);
	p->a = session_create(p->provider, suite, true, FIXTURE_PATH_ID, &p->x.initiator_keys, T0);
	p->b = session_create(p->provider, suite, false, FIXTURE_PATH_ID, &p->x.responder_keys, T0);
	return p;
}

static void pair_destroy(struct pair *p)
{
	session_destroy(p->a);
	session_destroy(p->b);
	aead_provider_destroy(p->provider);
	mem_free(p);
}

static enum err seal(struct pair *p, struct session *from, uint8_t path)
{
	return session_seal(from, path, 0, p->plain, PLAIN_SIZE, p->sealed);
}

static enum err open(struct pair *p, struct session *to)
{
	memset(p->out, 0, sizeof(p->out));
	return session_open(to, p->sealed, SEALED_SIZE, p->out, &p->opened);
}

/* One packet arrives. */
static void pass(struct pair *p, struct session *from, struct session *to)
{
	assert_int_equal(seal(p, from, 0), OK);
	assert_int_equal(open(p, to), OK);
	assert_memory_equal(p->out, p->plain, PLAIN_SIZE);
}

static void test_packets_pass_both_ways(void **state)
{
	static const enum suite SUITES[] = {SUITE_AES256_GCM, SUITE_CHACHA20_POLY1305};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pair *p = pair_create(SUITES[i]);

		assert_int_equal(session_seal(p->a, 2, SEALED_CONTROL, p->plain, PLAIN_SIZE, p->sealed), OK);
		assert_int_equal(p->sealed[0], PACKET_SEALED | SEALED_CONTROL);
		assert_int_equal(open(p, p->b), OK);
		assert_memory_equal(p->out, p->plain, PLAIN_SIZE);
		assert_int_equal(p->opened.size, PLAIN_SIZE);
		assert_int_equal(p->opened.path, 2);
		assert_int_equal(p->opened.flags, SEALED_CONTROL);
		assert_true(p->opened.highest);
		assert_true(p->opened.first_of_epoch);
		assert_int_equal(session_seal(p->b, 0, SEALED_PARTIAL, p->plain, PLAIN_SIZE, p->sealed), OK);
		assert_int_equal(p->sealed[0], PACKET_SEALED | SEALED_RESPONDER | SEALED_PARTIAL);
		assert_int_equal(open(p, p->a), OK);
		assert_int_equal(p->opened.flags, SEALED_PARTIAL);
		pass(p, p->a, p->b);
		assert_false(p->opened.first_of_epoch);
		assert_int_equal(session_suite(p->a), SUITES[i]);
		assert_true(session_path_id(p->b) == FIXTURE_PATH_ID);
		pair_destroy(p);
	}
}

/* The nonce and the header as the protocol's description has them, against the AEAD itself. */
static void test_bytes_on_the_wire(void **state)
{
	static const uint8_t HEADER[HEADER_SIZE] = {0x80, 3, 0xa1, 0xa2, 0xa3, 0xa4, 1,	   2,
						    0,	  0, 0,	   0x11, 0x22, 0x33, 0x44, 0x55};
	static const uint8_t NONCE[AEAD_NONCE_SIZE] = {0, 0, 0, 3, 0, 0, 0xa1, 0xa2, 0xa3, 0xa4, 1, 2};
	struct pair *p = pair_create(SUITE_CHACHA20_POLY1305);
	uint8_t expected[PLAIN_SIZE + TAG_SIZE];

	(void)state;
	p->a->counters[3] = UINT64_C(0xa1a2a3a40102);
	assert_int_equal(seal(p, p->a, 3), OK);
	assert_memory_equal(p->sealed, HEADER, HEADER_SIZE);
	chacha_seal(p->x.initiator_keys.to_responder, NONCE, HEADER, HEADER_SIZE, p->plain, PLAIN_SIZE, expected);
	assert_memory_equal(p->sealed + HEADER_SIZE, expected, sizeof(expected));
	pair_destroy(p);
}

static void test_replay_is_refused(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	pass(p, p->a, p->b);
	assert_int_equal(open(p, p->b), ERR_REPLAY);
	pass(p, p->a, p->b);
	assert_int_equal(open(p, p->b), ERR_REPLAY);
	pair_destroy(p);
}

static void test_late_packets_pass_once(void **state)
{
	uint8_t first[SEALED_SIZE], second[SEALED_SIZE];
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	assert_int_equal(seal(p, p->a, 0), OK);
	memcpy(first, p->sealed, SEALED_SIZE); /* counter 0 */
	assert_int_equal(seal(p, p->a, 0), OK);
	memcpy(second, p->sealed, SEALED_SIZE); /* counter 1 */
	p->a->counters[0] = REPLAY_WINDOW;
	pass(p, p->a, p->b); /* 8192: counter 0 is now too old, counter 1 is 8191 late */
	memcpy(p->sealed, first, SEALED_SIZE);
	assert_int_equal(open(p, p->b), ERR_REPLAY);
	memcpy(p->sealed, second, SEALED_SIZE);
	assert_int_equal(open(p, p->b), OK);
	assert_false(p->opened.highest);
	assert_int_equal(open(p, p->b), ERR_REPLAY);
	pair_destroy(p);
}

/* Each path has its own counters and window: the same counter on two paths is two packets. */
static void test_paths_are_apart(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	for (uint8_t path = 0; path < PATHS_MAX; path++) {
		assert_int_equal(seal(p, p->a, path), OK);
		assert_int_equal(p->sealed[7], 0);
		assert_int_equal(open(p, p->b), OK);
		assert_true(p->opened.highest);
		p->sealed[1] = (uint8_t)((path + 1) % PATHS_MAX); /* moved to another path: the tag covers the number */
		assert_int_not_equal(open(p, p->b), OK);
	}
	pair_destroy(p);
}

static void test_every_flipped_bit_changes_nothing(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	struct session before;

	(void)state;
	pass(p, p->a, p->b);
	assert_int_equal(seal(p, p->a, 0), OK);
	before = *p->b;
	memset(&p->opened, 0x33, sizeof(p->opened));
	for (size_t bit = 0; bit < 8 * SEALED_SIZE; bit++) {
		p->sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(open(p, p->b), OK);
		p->sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_memory_equal(&before, p->b, sizeof(before));
	assert_int_equal(p->opened.path, 0x33);
	assert_int_equal(open(p, p->b), OK);
	pair_destroy(p);
}

/* A forged counter far ahead must not move the window. */
static void test_forged_counter_does_not_move_the_window(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	uint8_t kept[SEALED_SIZE];

	(void)state;
	assert_int_equal(seal(p, p->a, 0), OK);
	memcpy(kept, p->sealed, SEALED_SIZE);
	p->sealed[3] = 0x7f;
	assert_int_equal(open(p, p->b), ERR_AUTH);
	memcpy(p->sealed, kept, SEALED_SIZE);
	assert_int_equal(open(p, p->b), OK);
	pair_destroy(p);
}

static void test_own_packets_are_refused(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	assert_int_equal(seal(p, p->a, 0), OK);
	assert_int_equal(open(p, p->a), ERR_AUTH);
	p->sealed[0] ^= SEALED_RESPONDER;
	assert_int_equal(open(p, p->a), ERR_AUTH);
	assert_int_equal(seal(p, p->b, 0), OK);
	assert_int_equal(open(p, p->b), ERR_AUTH);
	p->sealed[0] ^= SEALED_RESPONDER;
	assert_int_equal(open(p, p->b), ERR_AUTH);
	pair_destroy(p);
}

static void test_malformed_packets_are_refused(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	assert_int_equal(seal(p, p->a, 0), OK);
	for (size_t size = 0; size < OVERHEAD_SIZE; size++)
		assert_int_equal(session_open(p->b, p->sealed, size, p->out, &p->opened), ERR_TRUNCATED);
	assert_int_equal(session_open(p->b, p->sealed, OVERHEAD_SIZE, p->out, &p->opened), ERR_AUTH);
	p->sealed[0] &= 0x7f;
	assert_int_equal(open(p, p->b), ERR_MALFORMED);
	p->sealed[0] = PACKET_SEALED | 0x04;
	assert_int_equal(open(p, p->b), ERR_MALFORMED);
	p->sealed[0] = PACKET_SEALED;
	p->sealed[1] = PATHS_MAX;
	assert_int_equal(open(p, p->b), ERR_MALFORMED);
	p->sealed[1] = 0;
	p->sealed[15] ^= 1;
	assert_int_equal(open(p, p->b), ERR_UNKNOWN);
	pair_destroy(p);
}

/* T25: started just below its limit, a counter stops there, for this path only, and nothing is written. */
static void test_counter_limit(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	p->a->counters[1] = COUNTER_LIMIT - 2;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(seal(p, p->a, 1), OK);
		assert_int_equal(open(p, p->b), OK);
	}
	memset(p->sealed, 0x44, sizeof(p->sealed));
	assert_int_equal(seal(p, p->a, 1), ERR_EXHAUSTED);
	assert_int_equal(seal(p, p->a, 1), ERR_EXHAUSTED);
	assert_int_equal(p->sealed[0], 0x44);
	pass(p, p->a, p->b); /* path 0 */
	pair_destroy(p);
}

static void test_counter_beyond_the_limit_is_refused(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	assert_int_equal(seal(p, p->a, 0), OK);
	memset(p->sealed + 2, 0xff, 6);
	assert_int_equal(open(p, p->b), ERR_MALFORMED);
	pair_destroy(p);
}

static void test_key_ages(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);

	(void)state;
	assert_int_equal(session_key_since(p->a).us, T0.us);
	assert_false(session_wants_rekey(p->a, time_add(T0, REKEY_AFTER_US - 1)));
	assert_true(session_wants_rekey(p->a, time_add(T0, REKEY_AFTER_US)));
	assert_false(session_is_expired(p->a, time_add(T0, REJECT_AFTER_US - 1)));
	assert_true(session_is_expired(p->a, time_add(T0, REJECT_AFTER_US)));
	p->a->newest.sealed = COUNTER_REKEY - 1;
	assert_false(session_wants_rekey(p->a, T0));
	assert_int_equal(seal(p, p->a, 0), OK);
	assert_true(session_wants_rekey(p->a, T0));
	p->a->newest.sealed = COUNTER_LIMIT;
	assert_int_equal(seal(p, p->a, 0), ERR_EXHAUSTED);
	pair_destroy(p);
}

/* Keys that a handshake under psk could have left, without running one. */
static struct session_keys keys_of(uint8_t fill)
{
	struct session_keys keys;

	memset(keys.to_responder, fill, KEY_SIZE);
	memset(keys.to_initiator, fill + 1, KEY_SIZE);
	memset(keys.rekey_psk, fill + 2, KEY_SIZE);
	return keys;
}

static void test_responder_switches_after_first_packet(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	struct session_keys keys = keys_of(0x10);
	struct time_us later = time_add(T0, 5);

	(void)state;
	pass(p, p->a, p->b);
	session_install(p->b, &keys, later);
	assert_int_equal(session_key_since(p->b).us, T0.us);
	assert_int_equal(seal(p, p->b, 0), OK);
	assert_int_equal(p->sealed[0] & SEALED_EPOCH, 0); /* the initiator may not have its answer yet */
	assert_int_equal(open(p, p->a), OK);
	pass(p, p->a, p->b); /* still epoch 0 */
	assert_int_equal(session_next_epoch(p->b), 1);
	session_install(p->a, &keys, later);
	assert_int_equal(seal(p, p->b, 0), OK);
	assert_int_equal(open(p, p->a), OK); /* previous epoch still opens at the initiator */
	assert_false(p->opened.first_of_epoch);
	assert_int_equal(seal(p, p->a, 0), OK);
	assert_int_equal(p->sealed[0] & SEALED_EPOCH, 1);
	assert_int_equal(open(p, p->b), OK);
	assert_true(p->opened.first_of_epoch);
	assert_int_equal(session_key_since(p->b).us, later.us);
	assert_int_equal(session_next_epoch(p->b), 2);
	assert_int_equal(seal(p, p->b, 0), OK);
	assert_int_equal(p->sealed[0] & SEALED_EPOCH, 1);
	assert_int_equal(open(p, p->a), OK);
	assert_true(p->opened.first_of_epoch);
	pair_destroy(p);
}

/* A forged packet that names the new epoch must not make the responder switch. */
static void test_forgery_does_not_switch(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	struct session_keys keys = keys_of(0x10);

	(void)state;
	session_install(p->b, &keys, T0);
	assert_int_equal(seal(p, p->a, 0), OK);
	p->sealed[0] |= 1;
	assert_int_equal(open(p, p->b), ERR_AUTH);
	assert_int_equal(seal(p, p->b, 0), OK);
	assert_int_equal(p->sealed[0] & SEALED_EPOCH, 0);
	pair_destroy(p);
}

static void test_old_epochs_close(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	struct session_keys first = keys_of(0x10), second = keys_of(0x20);
	uint8_t zero[SEALED_SIZE], also_zero[SEALED_SIZE];

	(void)state;
	assert_int_equal(seal(p, p->a, 0), OK);
	memcpy(zero, p->sealed, SEALED_SIZE);
	assert_int_equal(seal(p, p->a, 0), OK);
	memcpy(also_zero, p->sealed, SEALED_SIZE);
	session_install(p->b, &first, T0);
	session_install(p->a, &first, T0);
	pass(p, p->a, p->b);
	memcpy(p->sealed, zero, SEALED_SIZE);
	assert_int_equal(open(p, p->b), OK); /* late, under the previous epoch */
	session_install(p->b, &second, T0);
	session_install(p->a, &second, T0);
	memcpy(p->sealed, also_zero, SEALED_SIZE);
	assert_int_equal(open(p, p->b), ERR_UNKNOWN);
	pass(p, p->a, p->b);
	memcpy(p->sealed, also_zero, SEALED_SIZE);
	assert_int_equal(open(p, p->b), ERR_UNKNOWN);
	pair_destroy(p);
}

/* One window for all epochs: a counter is spent for good, and no nonce of a path ever repeats. */
static void test_counters_outlive_epochs(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	struct session_keys keys = keys_of(0x10);

	(void)state;
	pass(p, p->a, p->b);
	session_install(p->b, &keys, T0);
	session_install(p->a, &keys, T0);
	assert_int_equal(seal(p, p->a, 0), OK);
	assert_int_equal(p->sealed[7], 1);
	assert_int_equal(open(p, p->b), OK);
	p->a->counters[0] = 0; /* what a sender that restarted its counters would do */
	assert_int_equal(seal(p, p->a, 0), OK);
	assert_int_equal(open(p, p->b), ERR_REPLAY);
	pair_destroy(p);
}

/* Epoch numbers go round modulo 4 on the wire and modulo 256 inside. */
static void test_three_hundred_epochs(void **state)
{
	struct pair *p = pair_create(SUITE_CHACHA20_POLY1305);

	(void)state;
	for (int i = 1; i <= 300; i++) {
		struct session_keys keys = keys_of((uint8_t)i);

		assert_int_equal(session_next_epoch(p->a), (uint8_t)i);
		assert_int_equal(session_next_epoch(p->b), (uint8_t)i);
		session_install(p->b, &keys, T0);
		pass(p, p->b, p->a);
		session_install(p->a, &keys, T0);
		pass(p, p->a, p->b);
		pass(p, p->b, p->a);
		assert_int_equal(p->sealed[0] & SEALED_EPOCH, i & 3);
		assert_memory_equal(session_rekey_psk(p->a), session_rekey_psk(p->b), KEY_SIZE);
	}
	pair_destroy(p);
}

/*
 * The answer was lost and the initiator began anew: the responder replaces what it had made, and both meet in the same
 * epoch.
 */
/* Both ends rest, in the middle of a change of keys: everything goes on, and what came before comes no second time. */
static void test_rest_is_not_noticed(void **state)
{
	static const enum suite SUITES[] = {SUITE_AES256_GCM, SUITE_CHACHA20_POLY1305};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pair *p = pair_create(SUITES[i]);
		uint8_t before[SEALED_SIZE], flags;

		pass(p, p->a, p->b);
		memcpy(before, p->sealed, SEALED_SIZE);
		session_install(p->a, &p->x.initiator_keys, T0);
		session_install(p->b, &p->x.responder_keys, T0);
		pass(p, p->b, p->a); /* under the keys before: b has not heard the new ones */
		session_rest(p->a);
		session_rest(p->b);
		assert_null(p->a->newest.seal);
		assert_null(p->b->windows[0].words);
		assert_int_equal(session_reopen(p->a, before, SEALED_SIZE, p->out, &flags), OK);
		assert_memory_equal(p->out, p->plain, PLAIN_SIZE);
		session_rest(p->a);
		pass(p, p->b, p->a);
		pass(p, p->a, p->b);
		memcpy(p->sealed, before, SEALED_SIZE);
		assert_int_equal(open(p, p->b), ERR_REPLAY);
		session_rest(p->b);
		assert_int_equal(open(p, p->b), ERR_REPLAY);
		pair_destroy(p);
	}
}

static void test_lost_answer_is_survived(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	struct session_keys lost = keys_of(0x10), kept = keys_of(0x20);
	uint8_t psk[KEY_SIZE];

	(void)state;
	memcpy(psk, session_rekey_psk(p->a), KEY_SIZE);
	session_install(p->b, &lost, T0);
	assert_int_equal(session_next_epoch(p->b), session_next_epoch(p->a));
	assert_memory_equal(session_rekey_psk(p->b), psk, KEY_SIZE);
	session_install(p->b, &kept, T0);
	session_install(p->a, &kept, T0);
	pass(p, p->a, p->b);
	pass(p, p->b, p->a);
	assert_memory_equal(session_rekey_psk(p->b), session_rekey_psk(p->a), KEY_SIZE);
	assert_memory_not_equal(session_rekey_psk(p->b), psk, KEY_SIZE);
	pair_destroy(p);
}

static void test_old_keys_are_forgotten(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	struct session_keys keys = keys_of(0x10);
	uint8_t late[SEALED_SIZE];

	(void)state;
	assert_int_equal(seal(p, p->a, 0), OK);
	memcpy(late, p->sealed, SEALED_SIZE);
	session_install(p->b, &keys, time_add(T0, REKEY_AFTER_US));
	session_install(p->a, &keys, time_add(T0, REKEY_AFTER_US));
	session_forget_old(
		p->b, time_add(T0, REJECT_AFTER_US)); /* its answer may still be under way: seals under the old key */
	assert_int_equal(seal(p, p->b, 0), OK);
	assert_int_equal(open(p, p->a), OK);
	pass(p, p->a, p->b);
	session_forget_old(p->b, time_add(T0, REJECT_AFTER_US - 1));
	assert_non_null(p->b->previous);
	session_forget_old(p->b, time_add(T0, REJECT_AFTER_US));
	assert_null(p->b->previous);
	memcpy(p->sealed, late, SEALED_SIZE);
	assert_int_equal(open(p, p->b), ERR_UNKNOWN);
	pass(p, p->b, p->a);
	pair_destroy(p);
}

/*
 * The real thing: rekey messages inside the session, an answer lost, a second attempt, and packets under what it made.
 */
static void test_rekey_end_to_end(void **state)
{
	struct pair *p = pair_create(SUITE_AES256_GCM);
	const uint8_t *initiator = p->x.initiator.keys.public, *responder = p->x.responder.keys.public;
	uint8_t request[REKEY_REQUEST_SIZE], response[REKEY_RESPONSE_SIZE], seed[KEY_SIZE] = {0x71};
	struct rekey message = {.epoch = 1, .handshake = {request, sizeof(request)}};
	struct rekey answer = {.epoch = 1, .handshake = {response, sizeof(response)}};
	struct handshake h;

	(void)state;
	for (int attempt = 0; attempt < 2; attempt++) {
		seed[1] = (uint8_t)attempt;
		assert_int_equal(rekey_begin(&h, p->a, &p->x.initiator.keys, responder, seed, request), OK);
		assert_int_equal(rekey_answer(p->b, &p->x.responder.keys, responder, &message, seed, T0, response),
				 ERR_AUTH);
		assert_int_equal(rekey_answer(p->b, &p->x.responder.keys, initiator, &message, seed, T0, response), OK);
		pass(p, p->b, p->a);
	}
	response[5] ^= 1;
	assert_int_not_equal(rekey_finish(&h, p->a, &p->x.initiator.keys, &answer, T0), OK);
	response[5] ^= 1;
	assert_int_equal(rekey_finish(&h, p->a, &p->x.initiator.keys, &answer, T0), OK);
	pass(p, p->a, p->b);
	assert_true(p->opened.first_of_epoch);
	pass(p, p->b, p->a);
	assert_int_equal(p->sealed[0] & SEALED_EPOCH, 1);
	assert_int_equal(rekey_answer(p->b, &p->x.responder.keys, initiator, &message, seed, T0, response), ERR_STATE);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_pass_both_ways),
		cmocka_unit_test(test_bytes_on_the_wire),
		cmocka_unit_test(test_replay_is_refused),
		cmocka_unit_test(test_late_packets_pass_once),
		cmocka_unit_test(test_paths_are_apart),
		cmocka_unit_test(test_every_flipped_bit_changes_nothing),
		cmocka_unit_test(test_forged_counter_does_not_move_the_window),
		cmocka_unit_test(test_own_packets_are_refused),
		cmocka_unit_test(test_malformed_packets_are_refused),
		cmocka_unit_test(test_counter_limit),
		cmocka_unit_test(test_counter_beyond_the_limit_is_refused),
		cmocka_unit_test(test_key_ages),
		cmocka_unit_test(test_responder_switches_after_first_packet),
		cmocka_unit_test(test_forgery_does_not_switch),
		cmocka_unit_test(test_old_epochs_close),
		cmocka_unit_test(test_counters_outlive_epochs),
		cmocka_unit_test(test_three_hundred_epochs),
		cmocka_unit_test(test_rest_is_not_noticed),
		cmocka_unit_test(test_lost_answer_is_survived),
		cmocka_unit_test(test_old_keys_are_forgotten),
		cmocka_unit_test(test_rekey_end_to_end),
	};

	if (!crypto_init())
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
