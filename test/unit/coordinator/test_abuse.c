/* test_abuse.c: strangers: silence, no growth, no amplification, a share of the key exchanges; members: only what is
 * theirs. */
#include "world.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void test_garbage_leaves_nothing(void **state)
{
	enum { COUNT = 100000 };
	struct world world;
	struct fake_node *a;
	uint64_t random = 88172645463325252ULL;
	uint8_t bytes[MESSAGE_MAX + 64];
	size_t before, sent;
	struct coordinator_counters counters;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	fake_begin(&world, a, 700); /* a template that comes close */
	before = mallinfo2().uordblks;
	sent = world.sent_bytes;
	for (int i = 0; i < COUNT; i++) {
		size_t size = next_random(&random) % sizeof bytes;
		struct route route = {
			.remote = {ip_v4(10, (uint8_t)random, (uint8_t)(random >> 8), (uint8_t)(random >> 16)), 1}};

		for (size_t j = 0; j < size; j += 8) {
			uint64_t word = next_random(&random);

			memcpy(bytes + j, &word, size - j < 8 ? size - j : 8);
		}
		if (i % 2 && size >= a->first_size) {
			size = a->first_size;
			memcpy(bytes, a->first, size);
			/* Not in mac2, which says nothing while nobody has asked for it. */
			bytes[next_random(&random) % (size - MAC_SIZE)] ^= (uint8_t)(1 + random % 255);
		}
		assert_int_not_equal(world_deliver(&world, &route, bytes, size), OK);
		if (i % 1000 == 0)
			world_pass(&world, USEC_PER_MSEC);
	}
	assert_int_equal(world.sent_bytes, sent); /* silence */
	assert_true(mallinfo2().uordblks <= before + 4096);
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.nodes, 1);
	assert_int_equal(counters.pending, 0);
	world_finish(&world);
}

/* A whole first message by somebody without a certificate. */
static void test_first_messages_are_rationed(void **state)
{
	struct world world;
	struct fake_node *flood, *a, *other;
	struct coordinator_counters counters;
	uint64_t handshakes;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	other = world_node(&world, "other");
	flood = world_node(&world, "flood");
	fake_register(&world, a);
	flood->encoded[10] ^= 1;
	coordinator_get_counters(world.c, &counters);
	handshakes = counters.handshakes;
	for (int i = 0; i < 1000; i++) {
		fake_begin(&world, flood, 700);
		flood->route.remote.port = (uint16_t)(1000 + i); /* ports do not help */
		fake_send_first(&world, flood);
	}
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.handshakes - handshakes, 400);
	assert_int_equal(counters.limited_handshakes, 600);
	fake_register(&world, other); /* from elsewhere nothing is felt */
	/* Forged sources use up what the unknown ones share; who was here before still gets in. */
	for (int i = 0; i < 4000; i++) {
		fake_begin(&world, flood, 700);
		flood->route.remote.ip = ip_v4(100, 100, (uint8_t)(i >> 8), (uint8_t)i);
		fake_send_first(&world, flood);
	}
	fake_register(&world, a);
	fake_begin(&world, flood, 700);
	assert_int_equal(fake_send_first(&world, flood), ERR_FULL);
	world_pass(&world, 3 * USEC_PER_SEC);
	fake_register(&world, world_node(&world, "new"));
	world_finish(&world);
}

/* Forged sources use up what there is for the unknown, also in somebody's name. */
static void flood_from(struct world *world, struct fake_node *flood, const struct ip *source)
{
	for (int i = 0; i < 4000; i++) {
		fake_begin(world, flood, 700);
		flood->route.remote.ip = source && i % 2 ? *source : ip_v4(100, 101, (uint8_t)(i >> 8), (uint8_t)i);
		flood->route.remote.port = (uint16_t)(20000 + i);
		(void)fake_send_first(world, flood);
	}
}

/* Who hears the answer can prove where it is, and gets in at once, whatever is sent in its name (T5). */
static void test_cookie_lets_the_real_ones_in(void **state)
{
	struct world world;
	struct fake_node *flood, *real, *thief;
	struct coordinator_counters counters;
	size_t sent;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	flood = world_node(&world, "flood");
	real = world_node(&world, "real");
	thief = world_node(&world, "thief");
	flood->encoded[10] ^= 1;
	flood_from(&world, flood, &real->route.remote.ip);
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.cookies, counters.limited_handshakes);
	assert_true(world.sent_bytes < world.received_bytes); /* T6 */
	fake_begin(&world, real, 700);
	assert_int_equal(fake_send_first(&world, real), ERR_FULL);
	assert_int_equal(real->cookies, 1);
	fake_begin(&world, thief, 700);
	thief->cookie = real->cookie;
	fake_prove_source(&world, thief);
	sent = world.sent_bytes;
	assert_int_equal(fake_send_first(&world, thief), ERR_FULL);
	assert_int_equal(world.sent_bytes - sent, COOKIE_REPLY_SIZE);
	fake_prove_source(&world, real);
	assert_int_equal(fake_send_first(&world, real), OK);
	assert_int_equal(real->answers, 1);
	assert_int_equal(real->refused, REASON_NONE);
	world_finish(&world);
}

/* A cookie is no free pass: one address has its share of key exchanges, however often it proves itself. */
static void test_proved_sources_are_rationed(void **state)
{
	struct world world;
	struct fake_node *flood, *greedy;
	struct coordinator_counters before, after;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	flood = world_node(&world, "flood");
	greedy = world_node(&world, "greedy");
	flood->encoded[10] ^= 1;
	greedy->encoded[10] ^= 1;
	flood_from(&world, flood, NULL);
	fake_begin(&world, greedy, 700);
	assert_int_equal(fake_send_first(&world, greedy), ERR_FULL);
	coordinator_get_counters(world.c, &before);
	for (int i = 0; i < 1000; i++) {
		fake_begin(&world, greedy, 700);
		fake_prove_source(&world, greedy);
		(void)fake_send_first(&world, greedy);
	}
	coordinator_get_counters(world.c, &after);
	assert_int_equal(after.handshakes - before.handshakes, 400);
	assert_int_equal(after.cookies, before.cookies); /* it has one */
	world_finish(&world);
}

/* One prefix uses up its own share, whatever its port; with time more pass. */
static void test_names_are_rationed_by_prefix(void **state)
{
	struct world world;
	struct coordinator_counters counters;
	struct ip victim = ip_v4(192, 0, 2, 1), other = ip_v4(192, 0, 2, 2), near, far;
	unsigned admitted = 0;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	for (int i = 0; i < 5000; i++)
		admitted += coordinator_admits_dns(world.c, world.now, &victim);
	assert_int_equal(admitted, 1000);
	assert_true(coordinator_admits_dns(world.c, world.now, &other));
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.dns_limited, 4000);
	world_pass(&world, 50 * USEC_PER_MSEC);
	for (int i = 0; i < 100; i++)
		admitted += coordinator_admits_dns(world.c, world.now, &victim);
	assert_int_equal(admitted, 1010);
	assert_int_equal(ip_parse("2001:db8::1", &victim), OK);
	assert_int_equal(ip_parse("2001:db8::2:3:4", &near), OK);
	assert_int_equal(ip_parse("2001:db8:0:1::1", &far), OK);
	for (int i = 0; i < 1000; i++)
		(void)coordinator_admits_dns(world.c, world.now, &victim);
	assert_false(coordinator_admits_dns(world.c, world.now, &near));
	assert_true(coordinator_admits_dns(world.c, world.now, &far));
	world_finish(&world);
}

static void test_no_amplification(void **state)
{
	struct world world;
	struct fake_node *a;
	struct coordinator_counters counters;
	uint64_t sent, received;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	a->candidates.count = 0;
	/* Not padded and short: no answer rather than a larger one. */
	for (size_t padded = 0; padded < 900; padded += 50) {
		fake_begin(&world, a, padded);
		sent = world.sent_bytes;
		received = world.received_bytes;
		fake_send_first(&world, a);
		assert_true(world.sent_bytes - sent <= world.received_bytes - received);
	}
	/* Refusals neither. */
	a->encoded[20] ^= 1;
	for (size_t padded = 0; padded < 900; padded += 50) {
		fake_begin(&world, a, padded);
		sent = world.sent_bytes;
		received = world.received_bytes;
		fake_send_first(&world, a);
		assert_true(world.sent_bytes - sent <= world.received_bytes - received);
	}
	coordinator_get_counters(world.c, &counters);
	assert_true(counters.pending <= 2);
	world_finish(&world);
}

static void test_pending_is_bounded(void **state)
{
	struct world world;
	struct fake_node *a;
	struct coordinator_counters counters;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	for (int i = 0; i < 50; i++) {
		fake_begin(&world, a, 700);
		assert_int_equal(fake_send_first(&world, a), OK);
		coordinator_get_counters(world.c, &counters);
		assert_in_range(counters.pending, 1, 2);
	}
	fake_keep_alive(&world, a);
	world_pass(&world, 11 * USEC_PER_SEC);
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.pending, 0);
	fake_keep_alive(&world, a);
	world_finish(&world);
}

static void test_messages_that_are_not_a_nodes_to_send(void **state)
{
	struct world world;
	struct fake_node *a;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	a->inbox_count = 0;
	for (int type = 0; type < 256; type++) {
		bool is_ours = type == MESSAGE_KEEP_ALIVE || type == MESSAGE_ACK || type == MESSAGE_CLOSE;

		/* Bodies are empty, so those that need one fail too. Update needs none. */
		if (!is_ours && type != MESSAGE_UPDATE_REQUEST)
			assert_int_not_equal(fake_send(&world, a, (uint8_t)type, 1, NULL), OK);
	}
	assert_int_equal(a->inbox_count, 0);
	world_finish(&world);
}

static void test_trains_are_cut(void **state)
{
	struct world world;
	struct fake_node *a;
	uint8_t train[3 * 64], plaintext[16];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	size_t step;
	struct datagram datagram;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	message_header_encode(MESSAGE_KEEP_ALIVE, 1, &w);
	step = w.at + OVERHEAD_SIZE;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(session_seal(a->session, 0, SEALED_CONTROL, plaintext, w.at, train + i * step), OK);
	datagram =
		(struct datagram){.route = a->route, .bytes = train, .size = 3 * step, .segment_size = (uint16_t)step};
	assert_int_equal(coordinator_input_datagram(world.c, world.now, &datagram), OK);
	world_pump(&world);
	assert_int_equal(a->inbox_count, 3);
	world_finish(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_garbage_leaves_nothing),
		cmocka_unit_test(test_first_messages_are_rationed),
		cmocka_unit_test(test_cookie_lets_the_real_ones_in),
		cmocka_unit_test(test_proved_sources_are_rationed),
		cmocka_unit_test(test_names_are_rationed_by_prefix),
		cmocka_unit_test(test_no_amplification),
		cmocka_unit_test(test_pending_is_bounded),
		cmocka_unit_test(test_messages_that_are_not_a_nodes_to_send),
		cmocka_unit_test(test_trains_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
