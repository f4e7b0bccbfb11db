/*
 * test_cookie.c: a cookie proves one address and port for a while, and reaches nobody but who sent the message that it
 * answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "proto/session/cookie.h"

static const struct time_us T0 = {1000000};
static const uint8_t SECRET[KEY_SIZE] = {7}, NONCE[COOKIE_NONCE_SIZE] = {8};

/* A first message, from where it came, and the reply to it. */
struct asked {
	struct exchange x;
	struct addr source;
	struct cookie cookie;
	uint8_t reply[COOKIE_REPLY_SIZE];
};

static void ask(struct asked *a)
{
	memset(a, 0, sizeof(*a));
	exchange_init(&a->x);
	exchange_request(&a->x, (struct blob){0});
	a->source = (struct addr){.ip = ip_v4(192, 0, 2, 1), .port = 7367};
	cookie_reply_make(SECRET, a->x.responder.keys.public, T0, &a->source, a->x.request, a->x.request_size, NONCE,
			  a->reply);
}

static enum err take(struct asked *a, struct time_us now)
{
	return cookie_take(&a->cookie, a->x.responder.keys.public, now, a->x.request, a->x.request_size, a->reply,
			   sizeof(a->reply));
}

static bool proves(const struct asked *a, struct time_us now, const struct addr *source)
{
	return cookie_is_proof(SECRET, now, source, a->x.request, a->x.request_size);
}

static void test_the_way_and_back(void **state)
{
	struct asked a;

	(void)state;
	ask(&a);
	assert_false(proves(&a, T0, &a.source));
	assert_int_equal(a.reply[0], PACKET_COOKIE);
	assert_memory_equal(a.reply + 8, a.x.request + 8, 8); /* PathID */
	assert_int_equal(take(&a, T0), OK);
	cookie_apply(&a.cookie, T0, a.x.request, a.x.request_size);
	assert_true(proves(&a, T0, &a.source));
	/* mac1 still holds; who gives no cookies takes none. */
	assert_int_equal(handshake_mac1_holds(a.x.request, a.x.request_size, a.x.responder.mac1_key), OK);
	assert_int_equal(handshake_mac1_check(a.x.request, a.x.request_size, a.x.responder.mac1_key), ERR_MALFORMED);
}

static void test_it_is_of_one_place(void **state)
{
	uint8_t other_secret[KEY_SIZE] = {9};
	struct addr elsewhere;
	struct asked a;

	(void)state;
	ask(&a);
	assert_int_equal(take(&a, T0), OK);
	cookie_apply(&a.cookie, T0, a.x.request, a.x.request_size);
	elsewhere = a.source;
	elsewhere.port++;
	assert_false(proves(&a, T0, &elsewhere));
	elsewhere = a.source;
	elsewhere.ip.bytes[3]++;
	assert_false(proves(&a, T0, &elsewhere));
	elsewhere = a.source;
	elsewhere.ip.family = 6;
	assert_false(proves(&a, T0, &elsewhere));
	assert_false(cookie_is_proof(other_secret, T0, &a.source, a.x.request, a.x.request_size));
	for (size_t bit = 0; bit < 8 * a.x.request_size; bit++) { /* and of one message */
		a.x.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(proves(&a, T0, &a.source));
		a.x.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(proves(&a, T0, &a.source));
}

static void test_it_grows_old(void **state)
{
	struct time_us later = time_add(T0, COOKIE_SECRET_US), late = time_add(T0, 2 * COOKIE_SECRET_US);
	static const uint8_t none[MAC_SIZE];
	struct asked a;

	(void)state;
	ask(&a);
	assert_int_equal(take(&a, T0), OK);
	cookie_apply(&a.cookie, T0, a.x.request, a.x.request_size);
	assert_true(proves(&a, later, &a.source));
	assert_false(proves(&a, late, &a.source));
	cookie_apply(&a.cookie, time_add(later, -1), a.x.request, a.x.request_size);
	assert_true(proves(&a, later, &a.source));
	cookie_apply(&a.cookie, later, a.x.request, a.x.request_size);
	assert_memory_equal(a.x.request + a.x.request_size - MAC_SIZE, none, MAC_SIZE);
}

static void test_damaged_replies_change_nothing(void **state)
{
	struct cookie before;
	struct asked a;

	(void)state;
	ask(&a);
	assert_int_equal(take(&a, T0), OK);
	before = a.cookie;
	for (size_t bit = 8 * HEADER_SIZE; bit < 8 * sizeof(a.reply); bit++) {
		a.reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(take(&a, time_add(T0, 1)), ERR_AUTH);
		assert_memory_equal(&a.cookie, &before, sizeof(before));
		a.reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(cookie_take(&a.cookie, a.x.responder.keys.public, T0, a.x.request, a.x.request_size, a.reply,
				     sizeof(a.reply) - 1),
			 ERR_MALFORMED);
	assert_int_equal(cookie_take(&a.cookie, a.x.initiator.keys.public, T0, a.x.request, a.x.request_size, a.reply,
				     sizeof(a.reply)),
			 ERR_AUTH);
	a.x.request[a.x.request_size - 2 * MAC_SIZE] ^= 1; /* mac1: another message's */
	assert_int_equal(take(&a, T0), ERR_AUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_way_and_back),
		cmocka_unit_test(test_it_is_of_one_place),
		cmocka_unit_test(test_it_grows_old),
		cmocka_unit_test(test_damaged_replies_change_nothing),
	};

	if (!crypto_init())
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
