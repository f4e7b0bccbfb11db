/* test_place.c: rules E1 to E6 of the coordinator: who may say where a member is. The forwarder sees copies of all that
 * it sends and is always faster. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 40 };

struct scene {
	struct world world;
	struct fake_node *a, *b;
	struct route forwarder;
};

static void scene_init(struct scene *s, bool is_registered)
{
	world_init(&s->world, "198.18.0.0/15");
	s->a = world_node(&s->world, "a");
	s->b = world_node(&s->world, "b");
	fake_register(&s->world, s->b);
	if (is_registered)
		fake_register(&s->world, s->a);
	assert_int_equal(addr_parse("203.0.113.66:6666", 7367, &s->forwarder.remote), OK);
	s->world.watched = s->forwarder.remote;
}

static void assert_is_at(const struct scene *s, const struct addr *addr)
{
	struct coordinator_node_info info;

	for (uint32_t i = 0; coordinator_node_at(s->world.c, i, &info); i++)
		if (memcmp(&info.id, &s->a->certificate.id, sizeof info.id) == 0) {
			assert_true(addr_equal(&info.observed, addr));
			return;
		}
	fail();
}

/* The forwarders' copies, each from another port, and the original when half of them have come; of one copy: behind it.
 */
static void send_copied(struct scene *s, unsigned copies, uint8_t type, const struct writer *body)
{
	uint8_t plaintext[CONTROL_MAX], datagram[MESSAGE_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct route from = s->forwarder;

	message_header_encode(type, ++s->a->transaction, &w);
	write_bytes(&w, body->data, body->at);
	assert_int_equal(session_seal(s->a->session, 0, SEALED_CONTROL, plaintext, w.at, datagram), OK);
	for (unsigned i = 0; i < copies; i++, from.remote.port++) {
		(void)world_deliver(&s->world, &from, datagram, w.at + OVERHEAD_SIZE);
		if (i == copies / 2)
			(void)world_deliver(&s->world, &s->a->route, datagram, w.at + OVERHEAD_SIZE);
	}
}

static void keep_alive_copied(struct scene *s, unsigned copies)
{
	uint8_t bytes[PAD_REQUEST_TO];
	struct writer w = fake_padding(bytes, sizeof bytes);

	send_copied(s, copies, MESSAGE_KEEP_ALIVE, &w);
}

static void answer_copied(struct scene *s, unsigned copies)
{
	for (struct letter letter; (letter = fake_take(s->a, MESSAGE_PATH_CHALLENGE)).type;) {
		uint8_t bytes[64];
		struct writer w = fake_answer(&letter, bytes, sizeof bytes);

		send_copied(s, copies, MESSAGE_PATH_RESPONSE, &w);
	}
}

static void register_copied(struct scene *s, unsigned copies)
{
	struct route from = s->forwarder;

	fake_begin(&s->world, s->a, 700);
	for (unsigned i = 0; i < copies; i++, from.remote.port++)
		(void)world_deliver(&s->world, &from, s->a->first, s->a->first_size);
	assert_int_equal(fake_send_first(&s->world, s->a), OK);
	assert_non_null(s->a->session);
	keep_alive_copied(s, copies);
}

static void assert_is_directed(struct scene *s)
{
	fake_ask(&s->world, s->b, 7, "a.ntm.internal");
	assert_int_equal(fake_take(s->a, MESSAGE_ROUTE_DIRECTION).type, MESSAGE_ROUTE_DIRECTION);
}

static void e3_a_copy_from_the_start_is_not_followed(void **state)
{
	struct scene s;
	uint64_t heard;

	(void)state;
	scene_init(&s, false);
	heard = s.world.received_bytes;
	register_copied(&s, 1);
	answer_copied(&s, 1);
	assert_is_at(&s, &s.a->route.remote);
	assert_is_directed(&s);
	assert_true(s.world.watched_bytes <= s.world.received_bytes - heard);
	world_finish(&s.world);
}

/* However many: none of them can push the member out of what is remembered. */
static void e3_many_copies_are_not_followed(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, false);
	register_copied(&s, MANY);
	answer_copied(&s, MANY);
	assert_is_at(&s, &s.a->route.remote);
	assert_is_directed(&s);
	world_finish(&s.world);
}

static void e3_a_live_place_wins(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, true);
	for (int i = 0; i < 100; i++) {
		keep_alive_copied(&s, 1);
		assert_is_at(&s, &s.a->route.remote);
		assert_int_equal(fake_take(s.a, MESSAGE_KEEP_ALIVE_ANSWER).type, MESSAGE_KEEP_ALIVE_ANSWER);
		world_pass(&s.world, 20 * USEC_PER_MSEC);
		answer_copied(&s, 1);
		assert_is_at(&s, &s.a->route.remote);
		world_pass(&s.world, 200 * USEC_PER_MSEC);
	}
	assert_int_equal(s.world.events[COORDINATOR_NODE_MOVED], 2); /* when each of the two came */
	assert_true(s.world.watched_bytes <= (uint64_t)100 * (PAD_REQUEST_TO + OVERHEAD_SIZE));
	world_finish(&s.world);
}

/* It cannot answer, so the silence of the real one, a second long, makes nothing of it. */
static void e3_who_does_not_answer_gets_nothing(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, true);
	for (int i = 0; i < 5; i++) {
		keep_alive_copied(&s, 1);
		world_pass(&s.world, 200 * USEC_PER_MSEC);
	}
	assert_is_at(&s, &s.a->route.remote);
	world_finish(&s.world);
}

/* Its NAT gave it another port, and it does not know. Until that is clear both places are spoken to. */
static void e3_a_silent_place_is_left(void **state)
{
	struct scene s;
	struct addr before;

	(void)state;
	scene_init(&s, true);
	before = s.a->route.remote;
	fake_move_to(s.a, "192.0.2.1:4242");
	fake_keep_alive(&s.world, s.a);
	assert_int_equal(fake_take(s.a, MESSAGE_KEEP_ALIVE_ANSWER).type, MESSAGE_KEEP_ALIVE_ANSWER);
	assert_true(fake_prove(&s.world, s.a));
	assert_is_at(&s, &before);
	assert_is_directed(&s);
	world_pass(&s.world, OLD_PATH_SILENCE_MIN_US - USEC_PER_MSEC);
	assert_is_at(&s, &before);
	world_pass(&s.world, USEC_PER_MSEC);
	assert_is_at(&s, &s.a->route.remote);
	world_finish(&s.world);
}

/* A node tries its coordinator's addresses of both families: one who copies from the other one passes for it at first.
 */
static void e3_the_other_family_proves_for_a_moment_only(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, false);
	assert_int_equal(addr_parse("[2001:db8::66]:6666", 7367, &s.forwarder.remote), OK);
	register_copied(&s, 1);
	assert_is_at(&s, &s.forwarder.remote);
	answer_copied(&s, 1);
	world_pass(&s.world, OLD_PATH_SILENCE_MIN_US);
	assert_is_at(&s, &s.a->route.remote);
	assert_is_directed(&s);
	world_finish(&s.world);
}

/* It speaks from two places and receives at both: the first one stays, and answers raise no questions. */
static void e3_two_live_places_ask_nothing_for_ever(void **state)
{
	struct scene s;
	struct addr before;
	uint64_t sent;

	(void)state;
	scene_init(&s, true);
	s.a->also = before = s.a->route.remote;
	fake_move_to(s.a, "198.51.100.9:7367");
	fake_keep_alive(&s.world, s.a);
	for (int i = 0; i < 10; i++) {
		world_pass(&s.world, 50 * USEC_PER_MSEC);
		(void)fake_prove(&s.world, s.a);
	}
	assert_is_at(&s, &before);
	sent = s.world.sent_bytes;
	for (int i = 0; i < 20; i++) {
		world_pass(&s.world, 100 * USEC_PER_MSEC);
		assert_false(fake_prove(&s.world, s.a));
	}
	assert_int_equal(s.world.sent_bytes, sent);
	world_finish(&s.world);
}

/* Its own word moves it at once, and the copy that came first only until it has answered. */
static void e4_its_word_of_a_move_is_followed(void **state)
{
	struct scene s;
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);

	(void)state;
	scene_init(&s, true);
	fake_move_to(s.a, "198.51.100.9:7367");
	update_request_encode(&(struct update_request){.move_epoch = 1}, &w);
	assert_int_equal(fake_send(&s.world, s.a, MESSAGE_UPDATE_REQUEST, 5, &w), OK);
	assert_is_at(&s, &s.a->route.remote);
	assert_is_directed(&s);
	assert_true(fake_prove(&s.world, s.a));
	fake_move_to(s.a, "198.51.100.10:7367");
	w = fake_padding(bytes, sizeof bytes);
	update_request_encode(&(struct update_request){.move_epoch = 2}, &w);
	send_copied(&s, 1, MESSAGE_UPDATE_REQUEST, &w);
	answer_copied(&s, 1);
	assert_is_at(&s, &s.a->route.remote);
	world_finish(&s.world);
}

/* An old word of a move is none. */
static void e4_an_old_epoch_moves_nothing(void **state)
{
	struct scene s;
	struct addr before;
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);

	(void)state;
	scene_init(&s, true);
	before = s.a->route.remote;
	update_request_encode(&(struct update_request){.move_epoch = 0}, &w);
	fake_move_to(s.a, "198.51.100.9:7367");
	assert_int_equal(fake_send(&s.world, s.a, MESSAGE_UPDATE_REQUEST, 5, &w), OK);
	assert_is_at(&s, &before);
	world_finish(&s.world);
}

/* From one address at most one question in 100 ms, and no more bytes to it than came. */
static void e6_a_rival_is_asked_seldom(void **state)
{
	struct scene s;
	struct route home;
	unsigned asked = 0;

	(void)state;
	scene_init(&s, true);
	s.a->also = s.a->route.remote;
	home = s.a->route;
	fake_move_to(s.a, "198.51.100.9:7367");
	for (int i = 0; i < 100; i++) {
		fake_keep_alive(&s.world, s.a);
		while (fake_take(s.a, MESSAGE_PATH_CHALLENGE).type)
			asked++;
		s.a->inbox_count = 0;
		world_pass(&s.world, 10 * USEC_PER_MSEC);
	}
	assert_in_range(asked, 2, 2 * 11);
	assert_is_at(&s, &home.remote);
	world_finish(&s.world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e3_a_copy_from_the_start_is_not_followed),
		cmocka_unit_test(e3_many_copies_are_not_followed),
		cmocka_unit_test(e3_a_live_place_wins),
		cmocka_unit_test(e3_who_does_not_answer_gets_nothing),
		cmocka_unit_test(e3_a_silent_place_is_left),
		cmocka_unit_test(e3_the_other_family_proves_for_a_moment_only),
		cmocka_unit_test(e3_two_live_places_ask_nothing_for_ever),
		cmocka_unit_test(e4_its_word_of_a_move_is_followed),
		cmocka_unit_test(e4_an_old_epoch_moves_nothing),
		cmocka_unit_test(e6_a_rival_is_asked_seldom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
