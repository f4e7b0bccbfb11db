/* test_replay.c: the window against a model that remembers every counter, and its edges by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session/replay.h"

/* Takes the counter if it is fresh. */
static bool take(struct replay *replay, uint64_t counter)
{
	if (!replay_is_fresh(replay, counter))
		return false;
	replay_mark(replay, counter);
	return true;
}

/* What overtakes by REPLAY_RECENT passes once, also around a rest; what is older counts as seen. */
static void test_rest(void **state)
{
	struct replay replay = {0};
	struct span spans[4];

	(void)state;
	for (uint64_t i = 0; i < 200; i += 2)
		assert_true(take(&replay, i));
	assert_int_equal(replay_missing(&replay, 199, spans, 4), 4);
	replay_rest(&replay);
	assert_null(replay.words);
	replay_rest(&replay); /* nothing is lost by a second one */
	assert_int_equal(replay_missing(&replay, 199, spans, 4), 0);
	for (uint64_t i = 0; i < 199; i++)
		assert_int_equal(replay_is_fresh(&replay, i), i % 2 == 1 && i >= 199 - REPLAY_RECENT);
	assert_true(take(&replay, 197)); /* late, and makes the ring anew */
	assert_true(take(&replay, 202));
	replay_rest(&replay);
	assert_true(take(&replay, 203));
	for (uint64_t i = 0; i < 204; i++)
		assert_int_equal(take(&replay, i),
				 (i % 2 == 1 && i != 197 && i != 203 && i >= 203 - REPLAY_RECENT) || i == 200);
	assert_int_equal(replay_missing(&replay, 204, spans, 4), 0);
	replay_rest(&replay);
}

/* Every rest is at another place in the ring's words, the first ones before there are as many counters. */
static void test_rest_at_every_step(void **state)
{
	struct replay replay = {0};

	(void)state;
	for (uint64_t i = 0; i < 300; i++) {
		assert_true(take(&replay, i));
		replay_rest(&replay);
		for (uint64_t late = 0; late <= i; late++)
			assert_false(replay_is_fresh(&replay, i - late));
		assert_true(replay_is_fresh(&replay, i + 1));
	}
	replay_rest(&replay);
}

static void test_first_and_duplicate(void **state)
{
	struct replay replay = {0};

	(void)state;
	assert_true(take(&replay, 0));
	assert_false(take(&replay, 0));
	assert_true(take(&replay, 1));
	assert_false(take(&replay, 1));
	assert_false(take(&replay, 0));
	replay_rest(&replay);
}

static void test_edges(void **state)
{
	(void)state;
	/* Every alignment of the highest within a word, twice around the ring. */
	for (uint64_t highest = REPLAY_WINDOW; highest < 3 * REPLAY_WINDOW; highest += 61) {
		struct replay replay = {0};

		assert_true(take(&replay, highest));
		assert_false(replay_is_fresh(&replay, highest - REPLAY_WINDOW));
		assert_false(replay_is_fresh(&replay, 0));
		assert_true(take(&replay, highest - REPLAY_WINDOW + 1)); /* late by 8,191 */
		assert_false(take(&replay, highest - REPLAY_WINDOW + 1));
		assert_true(take(&replay, highest + 1)); /* the edge moves past it */
		assert_false(replay_is_fresh(&replay, highest - REPLAY_WINDOW + 1));
		assert_true(replay_is_fresh(&replay, highest - REPLAY_WINDOW + 2));
		replay_rest(&replay);
	}
}

static void test_highest_is_told(void **state)
{
	struct replay replay = {0};

	(void)state;
	assert_true(replay_mark(&replay, 5));
	assert_false(replay_mark(&replay, 4));
	assert_true(replay_mark(&replay, 6));
	assert_true(replay_mark(&replay, 100000));
	assert_false(replay_mark(&replay, 99999));
	replay_rest(&replay);
}

static void test_jump_forgets_old_bits(void **state)
{
	struct replay replay = {0};
	uint64_t far = UINT64_C(1) << 47;

	(void)state;
	for (uint64_t i = 0; i < 2 * REPLAY_WINDOW; i++)
		assert_true(take(&replay, i));
	assert_true(take(&replay, far));
	for (uint64_t i = far - REPLAY_WINDOW + 1; i < far; i++)
		assert_true(take(&replay, i));
	for (uint64_t i = far - REPLAY_WINDOW + 1; i <= far; i++)
		assert_false(take(&replay, i));
	replay_rest(&replay);
}

/* Everything reversed within the window is taken exactly once. */
static void test_reordered_by_8191(void **state)
{
	struct replay replay = {0};

	(void)state;
	for (uint64_t block = 0; block < 4; block++) {
		for (uint64_t i = REPLAY_WINDOW; i-- > 0;)
			assert_true(take(&replay, block * REPLAY_WINDOW + i));
		for (uint64_t i = 0; i < REPLAY_WINDOW; i++)
			assert_false(take(&replay, block * REPLAY_WINDOW + i));
	}
	replay_rest(&replay);
}

/*
 * In order and without a gap: the words at the far edge must not be cleared, nor reused, before they have left the
 * window.
 */
static void test_edge_holds_at_every_step(void **state)
{
	struct replay replay = {0};

	(void)state;
	for (uint64_t i = 0; i < 3 * REPLAY_WINDOW; i++) {
		assert_true(take(&replay, i));
		for (uint64_t late = REPLAY_WINDOW - 130; late < REPLAY_WINDOW + 130; late++)
			assert_true(late > i || !replay_is_fresh(&replay, i - late));
	}
	replay_rest(&replay);
}

/* A late packet at the edge sets a bit that must not stand for one to come. */
static void test_edge_does_not_shade_the_front(void **state)
{
	(void)state;
	for (uint64_t highest = 2 * REPLAY_WINDOW; highest < 2 * REPLAY_WINDOW + 64; highest++) {
		struct replay replay = {0};

		assert_true(take(&replay, highest));
		for (uint64_t late = REPLAY_WINDOW - 64; late < REPLAY_WINDOW; late++)
			assert_true(take(&replay, highest - late));
		assert_true(take(&replay, highest + 64));
		for (uint64_t i = highest + 1; i < highest + 64; i++)
			assert_true(take(&replay, i));
		replay_rest(&replay);
	}
}

enum { MODEL_COUNTERS = 200000 };

/* Every span is whole, in falling order, and nothing between two of them is missing. */
static void assert_missing(const struct replay *replay, const bool *seen, uint64_t below)
{
	uint64_t floor = replay->next > REPLAY_WINDOW ? replay->next - REPLAY_WINDOW : 0, at = below;
	struct span spans[5];
	uint8_t count = replay_missing(replay, below, spans, 5);

	for (uint8_t i = 0; i < count; i++) {
		assert_true(spans[i].first < spans[i].end && spans[i].end <= at);
		for (; at > spans[i].end; at--)
			assert_true(seen[at - 1]);
		for (; at > spans[i].first; at--)
			assert_false(seen[at - 1]);
		assert_true(at == floor || seen[at - 1]);
	}
	for (; count < 5 && at > floor; at--)
		assert_true(seen[at - 1]);
}

static void test_random_walk_against_model(void **state)
{
	static bool seen[MODEL_COUNTERS];
	struct replay replay = {0};
	uint64_t random = 88172645463325252u, highest = 0, front = 0;
	bool any = false;

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < 400000 && front + 20000 < MODEL_COUNTERS; i++) {
		uint64_t counter;
		bool expected;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		front +=
			random % 4096 == 0 ? random >> 50 : random >> 63; /* now and then a jump of up to two windows */
		counter = front > (random >> 20) % 10000 ? front - (random >> 20) % 10000 : 0;
		expected = !seen[counter] && (!any || counter + REPLAY_WINDOW > highest);
		assert_int_equal(take(&replay, counter), expected);
		if (expected)
			seen[counter] = true;
		if (expected && (!any || counter > highest))
			highest = counter;
		any = true;
		if (i % 64 == 0)
			assert_missing(&replay, seen, i % 128 == 0 ? replay.next : counter);
	}
	replay_rest(&replay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_and_duplicate),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_rest_at_every_step),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_highest_is_told),
		cmocka_unit_test(test_jump_forgets_old_bits),
		cmocka_unit_test(test_reordered_by_8191),
		cmocka_unit_test(test_edge_holds_at_every_step),
		cmocka_unit_test(test_edge_does_not_shade_the_front),
		cmocka_unit_test(test_random_walk_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
