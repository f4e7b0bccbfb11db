/* outbox.c: trains, memory, replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/node/outbox.h"
#include "wire/header.h"

static const struct route way = {.remote = {{4, {192, 0, 2, 1}}, 1000}},
			  other = {.remote = {{4, {192, 0, 2, 2}}, 1000}};
static struct outbox_owner owner;

static bool put(struct outbox *box, int64_t at_us, size_t size, uint8_t fill)
{
	uint8_t *room = outbox_reserve(box, (struct time_us){at_us}, size, &owner, 1);

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
	outbox_init(&box, 1);
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
	outbox_init(&box, 1);
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
	outbox_init(&box, 1);
	while (put(&box, 1, 1400, (uint8_t)(accepted % 251)))
		accepted++;
	assert_true(accepted * 1400 > OUTBOX_CHUNKS * (OUTBOX_CHUNK - 1400));
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
	outbox_init(&box, 1);
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
	outbox_init(&box, 1);
	for (int64_t i = 0; i < 40000; i++) {
		for (int k = 0; k < 8; k++)
			assert_true(put(&box, i, 1400, (uint8_t)i));
		while (outbox_next(&box, &out))
			continue;
	}
	replayed = replay(&box, 0, SIZE_MAX, &lost);
	assert_in_range(replayed, 20000, 24000); /* 32 MiB of them */
	assert_true(lost > 0);
	outbox_finish(&box);
}

/* Writes `size` bytes whose header has this counter. */
static void put_counted(struct outbox *box, int64_t at_us, uint64_t counter, size_t size)
{
	uint8_t *room = outbox_reserve(box, (struct time_us){at_us}, size, &owner, 1);
	struct writer w = writer_over(room, HEADER_SIZE);

	assert_non_null(room);
	header_encode(&(struct header){.type = PACKET_SEALED, .counter = counter}, &w);
	outbox_commit(box, (struct time_us){at_us}, &way, 1, &owner, 1);
}

static void what_has_arrived_is_not_replayed(void **state)
{
	struct outbox box;
	struct datagram out;
	uint32_t lost;

	(void)state;
	outbox_init(&box, 1);
	for (uint64_t i = 0; i < 10; i++) {
		put_counted(&box, 1, i, 500 + 10 * i); /* growing sizes: no trains */
		while (outbox_next(&box, &out))
			continue;
	}
	owner.arrived.spaces[0].next = 7;
	assert_int_equal(replay(&box, 0, SIZE_MAX, &lost), 3);
	assert_int_equal(lost, 0);
	assert_true(outbox_next(&box, &out));
	assert_int_equal(out.size, 570);
	owner.arrived.spaces[0].next = 0;
	outbox_finish(&box);
}

/* Two spans are missing below what has arrived: they go again, the others do not; and not when they are old. */
static void what_is_missing_is_replayed(void **state)
{
	struct outbox box;
	struct datagram out;
	uint32_t lost, late;
	size_t bytes = SIZE_MAX;

	(void)state;
	outbox_init(&box, 1);
	for (uint64_t i = 0; i < 10; i++) {
		put_counted(&box, 1, i, 500 + 10 * i);
		while (outbox_next(&box, &out))
			continue;
	}
	owner.arrived.spaces[0] = (struct receipt_space){.next = 9, .missing_count = 2, .missing = {{5, 7}, {2, 3}}};
	assert_int_equal(outbox_oldest(&box, &owner, (struct time_us){0}).us, 1);
	owner.arrived.spaces[0].next = 10;
	assert_int_equal(outbox_oldest(&box, &owner, (struct time_us){0}).us, TIME_NEVER.us); /* loss is no silence */
	assert_int_equal(replay(&box, 0, SIZE_MAX, &lost), 3);
	assert_int_equal(lost, 0);
	for (size_t size = 520; outbox_next(&box, &out); size = size == 520 ? 550 : 560)
		assert_int_equal(out.size, size);
	late = outbox_replay(&box, (struct time_us){1000000}, &owner, (struct time_us){0}, &other, &bytes, &lost);
	assert_int_equal(late, 0);
	owner.arrived = (struct receipt){0};
	outbox_finish(&box);
}

/* What is acknowledged quickly needs one chunk, however much it is; what is not is kept until memory ends. */
static void memory_grows_only_with_what_is_in_flight(void **state)
{
	struct outbox box;
	struct datagram out;
	uint32_t lost;

	(void)state;
	outbox_init(&box, 1);
	for (uint64_t i = 0; i < 20000; i++) {
		put_counted(&box, 1, i, 1400);
		while (outbox_next(&box, &out))
			continue;
		owner.arrived.spaces[0].next = i + 1 > 10 ? i + 1 - 10 : 0;
		assert_in_range(box.lanes[0].head, 0, 2 * OUTBOX_CHUNK);
	}
	assert_int_equal(replay(&box, 0, SIZE_MAX, &lost), 10);
	assert_int_equal(lost, 0);
	owner.arrived.spaces[0].next = 0;
	outbox_finish(&box);
}

static void repeats_keep_their_bytes(void **state)
{
	struct outbox box;
	struct datagram out;
	uint32_t lost;
	uint64_t next = 1000;

	(void)state;
	outbox_init(&box, 1);
	put_counted(&box, 1, 0, 1400);
	assert_true(outbox_next(&box, &out));
	assert_int_equal(replay(&box, 0, SIZE_MAX, &lost), 1);
	owner.arrived.spaces[0].next = 1;
	while (outbox_reserve(&box, (struct time_us){2}, 1400, &owner, 1)) /* all memory but what is pending */
		put_counted(&box, 2, next++, 1400);
	while (outbox_next(&box, &out) && out.route.remote.port != 0) {
		struct reader r = reader_over(out.bytes, HEADER_SIZE);
		struct header header;

		if (addr_equal(&out.route.remote, &other.remote)) {
			assert_int_equal(header_decode(&r, &header), OK);
			assert_int_equal(header.counter, 0);
		}
	}
	owner.arrived.spaces[0].next = 0;
	outbox_finish(&box);
}

static void two_routes_get_the_same_bytes(void **state)
{
	struct outbox box;
	struct datagram a, b;
	struct route routes[2] = {way, other};

	(void)state;
	outbox_init(&box, 1);
	assert_non_null(outbox_reserve(&box, (struct time_us){1}, 100, &owner, 2));
	outbox_commit(&box, (struct time_us){1}, routes, 2, &owner, 2);
	assert_true(outbox_next(&box, &a));
	assert_true(outbox_next(&box, &b));
	assert_ptr_equal(a.bytes, b.bytes);
	assert_true(addr_equal(&b.route.remote, &other.remote));
	assert_false(outbox_next(&box, &a));
	outbox_finish(&box);
}

/* Two threads: the second seals and asks while the first still sends. Whose memory it is decides who sends it again. */
static void lanes_keep_what_is_being_sent(void **state)
{
	struct outbox box;
	struct datagram a, b;
	uint32_t lost;

	(void)state;
	outbox_init(&box, 2);
	put_counted(&box, 1, 0, 1000);
	assert_int_equal(box.ready, 1);
	assert_true(outbox_next(&box, &a));
	assert_false(outbox_next(&box, &b));
	assert_int_equal(box.ready, 0);
	outbox_use(&box, 1);
	put_counted(&box, 1, 1, 1000);
	put_counted(&box, 1, 2, 1000);
	assert_true(outbox_next(&box, &b));
	assert_int_equal(b.size, 2000);
	outbox_sent(&box);
	assert_int_equal(replay(&box, 0, SIZE_MAX, &lost), 3);
	assert_int_equal(box.ready, 3);
	assert_true(outbox_next(&box, &b));
	assert_int_equal(b.size, 2000);
	assert_false(outbox_next(&box, &b));
	outbox_use(&box, 0);
	assert_true(outbox_next(&box, &b));
	assert_ptr_equal(a.bytes, b.bytes);
	outbox_finish(&box);
}

/* All memory but the first chunk is filled again and again; that stays until its thread is back. */
static void bytes_stay_until_their_thread_is_back(void **state)
{
	struct outbox box;
	struct datagram first, out;

	(void)state;
	outbox_init(&box, 2);
	assert_true(put(&box, 1, 1400, 111));
	assert_true(outbox_next(&box, &first));
	while (put(&box, 1, 1400, 1))
		continue; /* nothing of it was sent */
	assert_int_equal(first.bytes[0], 111);
	owner.arrived.spaces[0].next = UINT64_MAX;
	assert_false(put(&box, 2, 1400, 2)); /* acknowledged or not: they are being read */
	while (outbox_next(&box, &out))
		continue;
	assert_false(put(&box, 2, 1400, 2));
	outbox_use(&box, 1);
	outbox_sent(&box);
	assert_true(put(&box, 2, 1400, 2));
	outbox_use(&box, 0);
	assert_false(put(&box, 2, 1400, 2));
	outbox_sent(&box);
	assert_true(put(&box, 2, 1400, 2));
	owner.arrived = (struct receipt){0};
	outbox_finish(&box);
}

/* Counters of a train follow each other: what another lane has sealed meanwhile ends it. */
static void a_train_ends_where_another_lane_seals(void **state)
{
	struct outbox box;
	struct datagram out;

	(void)state;
	outbox_init(&box, 2);
	put_counted(&box, 1, 0, 1000);
	outbox_use(&box, 1);
	put_counted(&box, 1, 1, 1000);
	outbox_use(&box, 0);
	put_counted(&box, 1, 2, 1000);
	put_counted(&box, 1, 3, 1000);
	assert_true(outbox_next(&box, &out));
	assert_int_equal(out.size, 1000);
	assert_true(outbox_next(&box, &out));
	assert_int_equal(out.size, 2000);
	owner.arrived.spaces[0].next = 2;
	assert_int_equal(outbox_oldest(&box, &owner, (struct time_us){0}).us, 1);
	owner.arrived.spaces[0].next = 4;
	assert_int_equal(outbox_oldest(&box, &owner, (struct time_us){0}).us, TIME_NEVER.us);
	owner.arrived = (struct receipt){0};
	outbox_finish(&box);
}

/* Piece by piece over all lanes, in the order of sealing, and on from where the bytes ended. */
static void lanes_are_replayed_in_order(void **state)
{
	struct outbox box;
	struct datagram out;
	uint64_t cursor = 0;
	size_t bytes = 1100, size = 0;

	(void)state;
	outbox_init(&box, 3);
	for (unsigned i = 0; i < 9; i++) {
		outbox_use(&box, i % 3);
		put_counted(&box, 1, i, 500 + 10 * i);
		while (outbox_next(&box, &out))
			continue;
		outbox_sent(&box);
	}
	for (unsigned expected = 0; expected < 9; bytes = 1100) {
		unsigned before = expected;

		outbox_replay_on(&box, (struct time_us){2}, &owner, (struct time_us){0}, &other, &cursor, &bytes);
		while (box.ready) {
			outbox_use(&box, expected % 3);
			assert_true(outbox_next(&box, &out));
			assert_int_equal(out.size, 500 + 10 * expected);
			size += out.size;
			expected++;
			outbox_use(&box, (expected - 1) % 3);
			assert_false(outbox_next(&box, &out));
		}
		assert_true(expected > before);
	}
	assert_int_equal(size, 9 * 540);
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
		cmocka_unit_test(what_has_arrived_is_not_replayed),
		cmocka_unit_test(what_is_missing_is_replayed),
		cmocka_unit_test(memory_grows_only_with_what_is_in_flight),
		cmocka_unit_test(repeats_keep_their_bytes),
		cmocka_unit_test(two_routes_get_the_same_bytes),
		cmocka_unit_test(lanes_keep_what_is_being_sent),
		cmocka_unit_test(bytes_stay_until_their_thread_is_back),
		cmocka_unit_test(a_train_ends_where_another_lane_seals),
		cmocka_unit_test(lanes_are_replayed_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
