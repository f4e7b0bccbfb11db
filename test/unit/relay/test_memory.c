/* What is remembered: copies, in order, for as long as promised and never longer than it is there. */
#include <string.h>

#include "fixture.h"

#include "proto/relay/memory.h"

enum { SLICE_US = 1 << MEMORY_SLICE_BITS, CHUNK = 4096, SIZE = 100, ENTRY = sizeof(struct memory_entry) + SIZE + 4 };

static uint64_t keep(struct memory *memory, int64_t us, uint64_t newest, uint8_t mark, size_t size)
{
	uint8_t bytes[CHUNK];
	struct datagram datagram = {.bytes = bytes, .size = size, .segment_size = 50};

	memset(bytes, mark, size);
	return memory_keep(memory, (struct time_us){us}, newest, &datagram, 1, mark);
}

static void test_a_copy_with_all_that_belongs_to_it(void **state)
{
	struct memory memory;
	uint64_t first, second;
	const struct memory_entry *entry;

	(void)state;
	memory_init(&memory, MEMORY_SLICES * CHUNK);
	first = keep(&memory, 5 * SLICE_US, 0, 1, SIZE);
	second = keep(&memory, 6 * SLICE_US, first, 2, SIZE + 7);
	entry = memory_at(&memory, second);
	assert_non_null(entry);
	assert_int_equal(entry->older, first);
	assert_int_equal(entry->kept_us, 6 * SLICE_US);
	assert_int_equal(entry->size, SIZE + 7);
	assert_int_equal(entry->segment_size, 50);
	assert_int_equal(entry->leg, 1);
	assert_int_equal(entry->place, 2);
	assert_int_equal(entry->again, 0);
	for (size_t i = 0; i < entry->size; i++)
		assert_int_equal(memory_bytes(entry)[i], 2);
	entry = memory_at(&memory, first);
	assert_int_equal(memory_bytes(entry)[SIZE - 1], 1);
	assert_int_equal(entry->older, 0);
	assert_null(memory_at(&memory, 0));
	memory_finish(&memory);
}

/* Whatever is sent meanwhile: younger than MEMORY_AGE_MAX_US is there; what is overwritten is known to be. */
static void test_kept_as_long_as_promised(void **state)
{
	struct memory memory;
	uint64_t first, filler = 0;

	(void)state;
	memory_init(&memory, MEMORY_SLICES * CHUNK);
	first = keep(&memory, 100 * SLICE_US - 1, 0, 7, SIZE);
	for (int64_t us = 100 * SLICE_US; us <= 100 * SLICE_US - 1 + MEMORY_AGE_MAX_US; us += 100) {
		filler = keep(&memory, us, filler, 8, SIZE);
		assert_non_null(memory_at(&memory, first));
		assert_int_equal(memory_bytes(memory_at(&memory, first))[0], 7);
	}
	filler = keep(&memory, 115 * SLICE_US, filler, 8, SIZE);
	assert_null(memory_at(&memory, first));
	assert_non_null(memory_at(&memory, filler));
	memory_finish(&memory);
}

/* One leg has half of a slice, all of them the whole. */
static void test_shares(void **state)
{
	struct memory memory;
	uint64_t newest[8] = {0};
	unsigned kept[8] = {0}, total = 0;

	(void)state;
	memory_init(&memory, MEMORY_SLICES * CHUNK);
	for (unsigned round = 0; round < 100; round++)
		for (unsigned leg = 0; leg < (round < 50 ? 1 : 8); leg++) {
			uint64_t now = keep(&memory, SLICE_US, newest[leg], 1, SIZE);

			kept[leg] += now != newest[leg];
			total += now != newest[leg];
			newest[leg] = now;
		}
	assert_int_equal(kept[0], CHUNK / MEMORY_SHARE / ENTRY);
	assert_int_equal(total, CHUNK / ENTRY);
	assert_int_not_equal(keep(&memory, 2 * SLICE_US, 0, 1, SIZE), 0);
	assert_int_equal(keep(&memory, 2 * SLICE_US, 0, 1, CHUNK - ENTRY), 0);
	/* Those that found it full wait. */
	for (int64_t slice = 2; slice <= 1 + MEMORY_PAUSE; slice++)
		assert_int_equal(keep(&memory, slice * SLICE_US, newest[1], 1, SIZE), newest[1]);
	assert_int_not_equal(keep(&memory, (2 + MEMORY_PAUSE) * SLICE_US, newest[1], 1, SIZE), newest[1]);
	memory_finish(&memory);
}

/* One that wanted more than its share is not remembered for a while, and then again. */
static void test_a_fast_leg_costs_nothing(void **state)
{
	unsigned kept[40] = {0};
	struct memory memory;
	uint64_t newest = 0;

	(void)state;
	memory_init(&memory, MEMORY_SLICES * CHUNK);
	for (int64_t slice = 1; slice < 40; slice++)
		for (unsigned i = 0; i < CHUNK / ENTRY; i++) {
			uint64_t now = keep(&memory, slice * SLICE_US + i, newest, 1, SIZE);

			kept[slice] += now != newest;
			newest = now;
		}
	for (unsigned slice = 1; slice < 40; slice++)
		assert_int_equal(kept[slice], slice % (MEMORY_PAUSE + 1) == 1 ? CHUNK / MEMORY_SHARE / ENTRY : 0);
	memory_finish(&memory);
}

static void test_none(void **state)
{
	struct memory memory;

	(void)state;
	memory_init(&memory, 0);
	assert_int_equal(keep(&memory, SLICE_US, 0, 1, SIZE), 0);
	memory_finish(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_copy_with_all_that_belongs_to_it),
		cmocka_unit_test(test_kept_as_long_as_promised),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_a_fast_leg_costs_nothing),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
