/* outbox.c: trains, memory, replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/node/outbox.h"

static const struct route way = {.remote = {{4, {192, 0, 2, 1}}, 1000}},
			  other = {.remote = {{4, {192, 0, 2, 2}}, 1000}};
static const char owner;

static bool put(struct outbox *box, int64_t at_us, size_t size, uint8_t fill)
{
	uint8_t *room = outbox_reserve(box, size, &owner, 1);

	if (!room)
		return false;
	memset(room, fill, size);
	outbox_commit(box, (struct time_us){at_us}, &way, 1, &owner, 1);
	return true;
}

static void equal_sizes_make_a_train(void **state)
{
	struct outbox box;
	struct datagram out;

	(void)state;
	outbox_init(&box);
	for (uint8_t i = 0; i < 10; i++)
		assert_true(put(&box, 1, 1000, i));
	assert_true(put(&box, 1, 400, 10)); /* shorter: the last of its train */
	assert_true(put(&box, 1, 400, 11));
	assert_true(outbox_next(&box, &out));
	assert_int_equal(out.size, 10400);
	assert_int_equal(out.segment_size, 1000);
	assert_int_equal(out.bytes[9999], 9);
	assert_true(outbox_next(&box, &out));
	assert_int_equal(out.size, 400);
	assert_int_equal(out.bytes[0], 11);
	assert_false(outbox_next(&box, &out));
	outbox_finish(&box);
}

static void trains_have_limits(void **state)
{
	struct outbox box;
	struct datagram out;

	(void)state;
	outbox_init(&box);
	for (int i = 0; i < 200; i++)
		assert_true(put(&box, 1, 1452, 1));
	while (outbox_next(&box, &out))
		assert_true(out.size <= OUTBOX_TRAIN_MAX && out.size / out.segment_size <= 64);
	for (int i = 0; i < 200; i++)
		assert_true(put(&box, 1, 64, 1));
	while (outbox_next(&box, &out))
		assert_true(out.size / out.segment_size <= 64);
	outbox_finish(&box);
}

static void pending_bytes_are_never_overwritten(void **state)
{
	struct outbox box;
	struct datagram out;
	size_t accepted = 0, seen = 0;

	(void)state;
	outbox_init(&box);
	while (put(&box, 1, 1400, (uint8_t)(accepted % 251)))
		accepted++;
	assert_true(accepted * 1400 > OUTBOX_ARENA - 70000);
	while (outbox_next(&box, &out))
		for (size_t at = 0; at < out.size; at += out.segment_size)
			assert_int_equal(out.bytes[at], seen++ % 251);
	assert_int_equal(seen, accepted);
	assert_true(put(&box, 1, 1400, 0));
	outbox_finish(&box);
}

static uint32_t replay(struct outbox *box, int64_t since_us, size_t budget, uint32_t *ret_lost)
{
	return outbox_replay(box, (struct time_us){1000}, &owner, (struct time_us){since_us}, &other, &budget,
			     ret_lost);
}

static void the_recent_past_is_replayed_once(void **state)
{
	struct outbox box;
	struct datagram out;
	uint32_t lost;
	uint8_t expected = 5;

	(void)state;
	outbox_init(&box);
	for (int64_t i = 0; i < 10; i++) {
		assert_true(put(&box, 100 * i, 500 + 10 * (size_t)i, (uint8_t)i)); /* growing sizes: no trains */
		while (outbox_next(&box, &out))
			continue;
	}
	assert_int_equal(replay(&box, 500, SIZE_MAX, &lost), 5);
	assert_int_equal(lost, 0);
	while (outbox_next(&box, &out)) {
		assert_true(addr_equal(&out.route.remote, &other.remote));
		assert_int_equal(out.bytes[0], expected++);
	}
	assert_int_equal(expected, 10);
	assert_int_equal(replay(&box, 900, SIZE_MAX, &lost), 1); /* repeats are not repeated */
	while (outbox_next(&box, &out))
		continue;
	assert_int_equal(replay(&box, 0, 1000, &lost), 1); /* within the budget */
	assert_int_equal(lost, 9);
	outbox_forget(&box, &owner);
	assert_int_equal(replay(&box, 0, SIZE_MAX, &lost), 0);
	outbox_finish(&box);
}

static void what_was_overwritten_is_reported(void **state)
{
	struct outbox box;
	struct datagram out;
	uint32_t lost, replayed;

	(void)state;
	outbox_init(&box);
	for (int64_t i = 0; i < 8000; i++) {
		assert_true(put(&box, i, 1400, (uint8_t)i));
		while (outbox_next(&box, &out))
			continue;
	}
	replayed = replay(&box, 0, SIZE_MAX, &lost);
	assert_in_range(replayed, 2000, 3100);
	assert_true(lost > 0);
	outbox_finish(&box);
}

static void two_routes_get_the_same_bytes(void **state)
{
	struct outbox box;
	struct datagram a, b;
	struct route routes[2] = {way, other};

	(void)state;
	outbox_init(&box);
	assert_non_null(outbox_reserve(&box, 100, &owner, 2));
	outbox_commit(&box, (struct time_us){1}, routes, 2, &owner, 2);
	assert_true(outbox_next(&box, &a));
	assert_true(outbox_next(&box, &b));
	assert_ptr_equal(a.bytes, b.bytes);
	assert_true(addr_equal(&b.route.remote, &other.remote));
	assert_false(outbox_next(&box, &a));
	outbox_finish(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_sizes_make_a_train),
		cmocka_unit_test(trains_have_limits),
		cmocka_unit_test(pending_bytes_are_never_overwritten),
		cmocka_unit_test(the_recent_past_is_replayed_once),
		cmocka_unit_test(what_was_overwritten_is_reported),
		cmocka_unit_test(two_routes_get_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
