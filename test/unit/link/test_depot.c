/* The depot: what is due first comes first, equals in the order in which they came, every slot once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "depot.h"
#include "dice.h"

enum { SLOTS = 1000, ROUNDS = 20000 };

static void test_slots(void **state)
{
	struct depot *depot = depot_create(SLOTS);
	static bool seen[SLOTS];
	uint32_t slot;

	(void)state;
	assert_non_null(depot);
	for (unsigned i = 0; i < SLOTS; i++) {
		assert_int_equal(depot_take(depot, &slot), OK);
		assert_in_range(slot, 0, SLOTS - 1);
		assert_false(seen[slot]);
		seen[slot] = true;
	}
	slot = 4711;
	assert_int_equal(depot_take(depot, &slot), ERR_FULL);
	assert_int_equal(slot, 4711);
	depot_give(depot, 5);
	assert_int_equal(depot_take(depot, &slot), OK);
	assert_int_equal(slot, 5);
	depot_destroy(depot);
}

static void put(struct depot *depot, uint64_t due_ns, uint16_t mark)
{
	struct depot_item item = {.due_ns = due_ns, .size_bytes = mark};

	assert_int_equal(depot_take(depot, &item.slot), OK);
	depot_put(depot, &item);
}

static uint16_t take_first(struct depot *depot)
{
	struct depot_item item = *depot_first(depot);

	depot_remove_first(depot);
	depot_give(depot, item.slot);
	return item.size_bytes;
}

static void test_equals_keep_their_order(void **state)
{
	struct depot *depot = depot_create(SLOTS);

	(void)state;
	assert_null(depot_first(depot));
	for (uint16_t i = 0; i < SLOTS; i++)
		put(depot, i % 3, i);
	for (uint16_t i = 0; i < SLOTS; i++) {
		unsigned third = i < 334 ? 0 : i < 667 ? 1 : 2, first = third == 0 ? 0 : third == 1 ? 334 : 667;

		assert_int_equal(take_first(depot), (i - first) * 3 + third);
	}
	assert_null(depot_first(depot));
	depot_destroy(depot);
}

/* Puts and removals mixed by chance: what comes out never goes back in time while nothing earlier is put in. */
static void test_mixed(void **state)
{
	struct depot *depot = depot_create(SLOTS);
	uint64_t now_ns = 0;
	unsigned waiting = 0;

	(void)state;
	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint64_t thrown = dice_throw(1, DICE_LOSS, i);

		if (waiting < SLOTS && dice_hit(thrown, 505000)) {
			put(depot, now_ns + dice_scale(thrown * 3, 1000), 1);
			waiting++;
		} else if (waiting > 0) {
			assert_true(depot_first(depot)->due_ns >= now_ns);
			now_ns = depot_first(depot)->due_ns;
			take_first(depot);
			waiting--;
		}
	}
	assert_true(now_ns > 10000);
	depot_destroy(depot);
	depot_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_equals_keep_their_order),
		cmocka_unit_test(test_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
