/* What events add up to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/node_tally.h"

static void tell_gap(struct tally *tally, int64_t gap_us, bool by_peer)
{
	struct node_event event = {.type = NODE_EVENT_HANDOVER,
				   .handover = {.gap_us = gap_us,
						.by_peer = by_peer,
						.to_kind = PATH_RELAY,
						.cause = CAUSE_SILENT,
						.lost_packets = 2}};

	tally_event(tally, &event);
}

static void a_gap_is_in_the_first_bucket_that_holds_it(void **state)
{
	struct tally tally = {0};

	(void)state;
	tell_gap(&tally, 0, false);
	tell_gap(&tally, 1000, false); /* a bound belongs to its own bucket */
	tell_gap(&tally, 1001, false);
	tell_gap(&tally, 10000000, false);
	tell_gap(&tally, 10000001, false);
	tell_gap(&tally, 7, true);
	assert_int_equal(tally.gaps[0][0], 2);
	assert_int_equal(tally.gaps[0][1], 1);
	assert_int_equal(tally.gaps[0][TALLY_GAPS - 1], 1);
	assert_int_equal(tally.gaps[0][TALLY_GAPS], 1);
	assert_int_equal(tally.gaps[1][0], 1);
	assert_int_equal(tally.gap_sum_us[0], 20002002);
	assert_int_equal(tally.handovers[0][PATH_RELAY][CAUSE_SILENT], 5);
	assert_int_equal(tally.handovers[1][PATH_RELAY][CAUSE_SILENT], 1);
	assert_int_equal(tally.lost_packets, 12);
}

static void only_what_concerns_ways_makes_their_count_stale(void **state)
{
	struct tally tally = {0};
	struct node_event event = {.type = NODE_EVENT_REKEY};

	(void)state;
	tally_event(&tally, &event);
	assert_false(tally.is_stale);
	event = (struct node_event){.type = NODE_EVENT_PATH_SELECTED, .kind = PATH_DIRECT, .cause = CAUSE_RTT};
	tally_event(&tally, &event);
	assert_true(tally.is_stale);
	assert_int_equal(tally.path_changes[PATH_DIRECT][CAUSE_RTT], 1);
	assert_int_equal(tally.rekeys, 1);
}

static void every_cause_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < PATH_CAUSES; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(tally_cause_name((enum path_cause)i),
						tally_cause_name((enum path_cause)k));
	for (int i = 1; i < TALLY_GAPS; i++)
		assert_true(tally_gap_bounds_us[i] > tally_gap_bounds_us[i - 1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gap_is_in_the_first_bucket_that_holds_it),
		cmocka_unit_test(only_what_concerns_ways_makes_their_count_stale),
		cmocka_unit_test(every_cause_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
