/* How long an address may be silent: the machine alone, against NATs that forget after some time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/node/keepalive.h"

static const struct time_us start = {1000 * USEC_PER_SEC};

/* As long as it may begin it asks; a NAT of this lifetime decides. Returned is the longest silence that failed. */
static void settle(struct keepalive *k, int64_t lifetime_us, struct time_us *now)
{
	uint32_t transaction = 7;

	while (keepalive_may_begin(k, *now)) {
		int64_t delay_us = (int64_t)keepalive_begin(k, *now, ++transaction) * USEC_PER_MSEC;

		if (delay_us < lifetime_us) {
			*now = time_add(*now, delay_us + 30000);
			assert_true(keepalive_answered(k, *now, transaction));
			continue;
		}
		*now = keepalive_deadline(k);
		assert_true(keepalive_run(k, *now));
		assert_false(keepalive_run(k, *now));
	}
}

static void test_interval_settles_below_every_lifetime(void **state)
{
	(void)state;
	for (int64_t lifetime_s = 25; lifetime_s <= 600; lifetime_s++) {
		struct keepalive k = {0};
		struct time_us now = start;
		int64_t interval_us;

		settle(&k, lifetime_s * USEC_PER_SEC, &now);
		interval_us = keepalive_interval_us(&k);
		assert_true(interval_us < lifetime_s * USEC_PER_SEC);
		assert_true(interval_us <= 108 * USEC_PER_SEC);
		if (lifetime_s > 33 && lifetime_s <= 120) /* and not far below: a step is half as long again */
			assert_true(interval_us * 175 / 100 >= lifetime_s * USEC_PER_SEC);
		if (lifetime_s > 120)
			assert_int_equal(interval_us, 108 * USEC_PER_SEC);
	}
}

static void test_failure_holds_then_tries_again(void **state)
{
	struct keepalive k = {0};
	struct time_us now = start;

	(void)state;
	settle(&k, 50 * USEC_PER_SEC, &now);
	assert_int_equal(keepalive_interval_us(&k), 40500 * USEC_PER_MSEC);
	assert_false(keepalive_may_begin(&k, time_add(now, 29 * 60 * USEC_PER_SEC)));
	now = time_add(now, 30 * 60 * USEC_PER_SEC);
	assert_true(keepalive_may_begin(&k, now)); /* and a NAT that has become patient is used */
	settle(&k, 600 * USEC_PER_SEC, &now);
	assert_int_equal(keepalive_interval_us(&k), 108 * USEC_PER_SEC);
	keepalive_seen(&k, now, false);
	assert_int_equal(keepalive_interval_us(&k), 108 * USEC_PER_SEC);
	keepalive_seen(&k, now, true); /* it forgot us in a silence that it had borne */
	assert_int_equal(keepalive_interval_us(&k), 20 * USEC_PER_SEC);
	assert_false(keepalive_may_begin(&k, now));
}

static void test_forgotten_in_a_longer_silence(void **state)
{
	struct keepalive k = {0};
	struct time_us now = start;

	(void)state;
	settle(&k, 50 * USEC_PER_SEC, &now);
	keepalive_seen(&k, now, true); /* the one that was tried: the shorter ones still hold */
	assert_int_equal(keepalive_interval_us(&k), 40500 * USEC_PER_MSEC);
	keepalive_seen(&k, time_add(now, 40 * USEC_PER_SEC), true);
	assert_int_equal(keepalive_interval_us(&k), 20 * USEC_PER_SEC);
}

static void test_broken_silence_tells_nothing(void **state)
{
	struct keepalive k = {0};

	(void)state;
	assert_int_equal(keepalive_begin(&k, start, 1), 30000);
	keepalive_void(&k);
	assert_int_equal(keepalive_deadline(&k).us, TIME_NEVER.us);
	assert_false(keepalive_answered(&k, time_add(start, 30 * USEC_PER_SEC), 1));
	assert_false(keepalive_run(&k, time_add(start, 60 * USEC_PER_SEC)));
	assert_int_equal(keepalive_interval_us(&k), 20 * USEC_PER_SEC);
	assert_true(keepalive_may_begin(&k, start)); /* at once: nothing was learned */
}

/* Other words than the coordinator's: they count while there are more of them, and not when all is silent. */
static void test_what_was_disturbed_is_not_relied_on(void **state)
{
	struct keepalive k = {0};
	struct time_us at = time_add(start, 30 * USEC_PER_SEC);

	(void)state;
	(void)keepalive_begin(&k, start, 1);
	assert_false(keepalive_disturbed(&k, time_add(start, 999999), true)); /* left with the question */
	assert_true(keepalive_answered(&k, at, 1));
	(void)keepalive_begin(&k, at, 2);
	assert_false(keepalive_disturbed(&k, time_add(at, USEC_PER_SEC), false));
	assert_true(keepalive_answered(&k, time_add(at, 45 * USEC_PER_SEC), 2));
	assert_int_equal(k.step, 2);
	assert_true(keepalive_distrust(&k, at));
	assert_int_equal(k.step, 1);
	assert_false(keepalive_distrust(&k, at));
	(void)keepalive_begin(&k, at, 3);
	assert_true(keepalive_disturbed(&k, time_add(at, USEC_PER_SEC), true));
	assert_false(keepalive_may_begin(&k, time_add(at, 2)));
	assert_true(keepalive_may_begin(&k, time_add(at, 121 * USEC_PER_SEC)));
}

/* Each failure may cost a packet that comes meanwhile. */
static void test_failures_become_rare(void **state)
{
	struct keepalive k = {0};
	struct time_us at = start;
	unsigned failures = 0;

	(void)state;
	while (time_since(at, start) < INT64_C(24) * 3600 * USEC_PER_SEC) {
		if (!k.is_waiting && keepalive_may_begin(&k, at))
			(void)keepalive_begin(&k, at, 1);
		failures += keepalive_run(&k, at);
		at = time_add(at, 10 * USEC_PER_SEC);
	}
	assert_int_equal(failures, 7);
}

static void test_other_and_early_answers(void **state)
{
	struct keepalive k = {0};

	(void)state;
	(void)keepalive_begin(&k, start, 1);
	assert_false(keepalive_answered(&k, time_add(start, 30 * USEC_PER_SEC), 2));
	assert_true(k.is_waiting);
	/* A coordinator that does not know of delays answers at once: no proof of anything. */
	assert_false(keepalive_answered(&k, time_add(start, 20000), 1));
	assert_int_equal(keepalive_interval_us(&k), 20 * USEC_PER_SEC);
	assert_false(keepalive_may_begin(&k, time_add(start, 60 * USEC_PER_SEC)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interval_settles_below_every_lifetime),
		cmocka_unit_test(test_failure_holds_then_tries_again),
		cmocka_unit_test(test_forgotten_in_a_longer_silence),
		cmocka_unit_test(test_broken_silence_tells_nothing),
		cmocka_unit_test(test_what_was_disturbed_is_not_relied_on),
		cmocka_unit_test(test_failures_become_rare),
		cmocka_unit_test(test_other_and_early_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
