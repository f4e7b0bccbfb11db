/* The pair table against a simple model, and its price at 100,000 pairs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/relay/table.h"

static const uint8_t key[16] = {1, 2, 3};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *state >> 33;
}

/* Random adds and removals over few keys, so that probe chains and freed slots are used again and again. */
static void test_against_model(void **state)
{
	enum { KEYS = 100, MAX = 40 };
	struct pair_table table;
	bool in[KEYS] = {0};
	uint32_t count = 0;
	uint64_t random = 1;

	(void)state;
	pair_table_init(&table, MAX, key);
	for (unsigned step = 0; step < 200000; step++) {
		uint64_t path_id = next_random(&random) % KEYS;
		struct pair *pair = pair_table_find(&table, path_id);

		assert_int_equal(pair != NULL, in[path_id]);
		if (pair && next_random(&random) % 2) {
			assert_int_equal(pair->flow.path_id, path_id);
			pair_table_remove(&table, pair);
			in[path_id] = false;
			count--;
		} else if (!pair) {
			pair = pair_table_add(&table, path_id, (struct time_us){step});
			assert_int_equal(pair != NULL, count < MAX);
			in[path_id] = pair != NULL;
			count += pair != NULL;
		} else {
			pair_table_move(&table, pair, PAIR_BOUND, (struct time_us){step});
		}
		assert_int_equal(table.count, count);
	}
	pair_table_finish(&table);
}

static void test_lists_keep_order(void **state)
{
	struct pair_table table;
	struct pair *pairs[5];

	(void)state;
	pair_table_init(&table, 8, key);
	for (unsigned i = 0; i < 5; i++)
		pairs[i] = pair_table_add(&table, i, (struct time_us){i});
	assert_ptr_equal(pair_table_first(&table, PAIR_UNBOUND), pairs[0]);
	assert_null(pair_table_first(&table, PAIR_BOUND));
	pair_table_move(&table, pairs[0], PAIR_BOUND, (struct time_us){10});
	pair_table_move(&table, pairs[2], PAIR_BOUND, (struct time_us){11});
	assert_ptr_equal(pair_table_first(&table, PAIR_UNBOUND), pairs[1]);
	pair_table_remove(&table, pairs[1]);
	assert_ptr_equal(pair_table_first(&table, PAIR_UNBOUND), pairs[3]);
	pair_table_move(&table, pairs[0], PAIR_BOUND, (struct time_us){12});
	assert_ptr_equal(pair_table_first(&table, PAIR_BOUND), pairs[2]);
	pair_table_remove(&table, pairs[2]);
	assert_ptr_equal(pair_table_first(&table, PAIR_BOUND), pairs[0]);
	pair_table_finish(&table);
}

/* The goal is 512 B a pair, its share of the index included. */
static void test_memory_of_100k_pairs(void **state)
{
	enum { COUNT = 100000 };
	struct pair_table table;
	size_t bytes;

	(void)state;
	pair_table_init(&table, COUNT, key);
	for (uint64_t i = 0; i < COUNT; i++)
		assert_non_null(pair_table_add(&table, i * UINT64_C(0x9e3779b97f4a7c15), (struct time_us){0}));
	assert_null(pair_table_add(&table, UINT64_MAX, (struct time_us){0}));
	bytes = COUNT * sizeof *table.pairs + ((size_t)table.index_mask + 1) * sizeof *table.index;
	print_message("%zu bytes a pair, %zu MB for %d\n", bytes / COUNT, bytes >> 20, COUNT);
	assert_true(bytes / COUNT <= 512);
	for (uint64_t i = 0; i < COUNT; i++)
		assert_non_null(pair_table_find(&table, i * UINT64_C(0x9e3779b97f4a7c15)));
	pair_table_finish(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_lists_keep_order),
		cmocka_unit_test(test_memory_of_100k_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
