/* The look-up table against a plain array: what was put is found, what was removed is not, whatever collides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"

enum { KEYS = 64, STEPS = 20000 };

static void test_against_array(void **state)
{
	uint32_t random = 12345;
	char *model[KEYS] = {0};
	char values[KEYS];
	struct map map;

	(void)state;
	map_init(&map, KEYS, 7);
	for (int step = 0; step < STEPS; step++) {
		uint64_t key;

		random = random * 1664525 + 1013904223;
		key = random >> 8 & (KEYS - 1);
		if (random >> 31) {
			model[key] = &values[random >> 16 & (KEYS - 1)];
			assert_int_equal(map_put(&map, key << 32, model[key]), OK);
		} else {
			model[key] = NULL;
			map_remove(&map, key << 32);
		}
		for (uint64_t i = 0; i < KEYS; i++)
			assert_ptr_equal(map_get(&map, i << 32), model[i]);
	}
	map_finish(&map);
}

static void test_grows_with_what_is_in_it(void **state)
{
	struct map map;
	char values[KEYS];

	(void)state;
	map_init(&map, 0, 7);
	for (uint64_t key = 0; key < KEYS; key++) {
		map_insert(&map, key, &values[0]);
		map_insert(&map, key, &values[key]); /* replaces */
		assert_int_equal(map.count, key + 1);
		for (uint64_t i = 0; i < KEYS; i++)
			assert_ptr_equal(map_get(&map, i), i <= key ? &values[i] : NULL);
	}
	map_finish(&map);
}

static void test_full(void **state)
{
	struct map map;
	char value;

	(void)state;
	map_init(&map, 3, 0);
	for (uint64_t key = 0; key < 3; key++)
		assert_int_equal(map_put(&map, key, &value), OK);
	assert_int_equal(map_put(&map, 3, &value), ERR_FULL);
	assert_int_equal(map_put(&map, 2, &map), OK); /* replacing needs no room */
	assert_ptr_equal(map_get(&map, 2), &map);
	assert_null(map_get(&map, 3));
	map_remove(&map, 0);
	map_remove(&map, 0);
	assert_int_equal(map_put(&map, 3, &value), OK);
	map_finish(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_array),
					   cmocka_unit_test(test_grows_with_what_is_in_it),
					   cmocka_unit_test(test_full)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
