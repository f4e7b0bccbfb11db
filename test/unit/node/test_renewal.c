/* When a certificate is renewed: numbers alone, years in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/node/renewal.h"

#define MADE_S UINT64_C(1800000000)
#define HOUR_S UINT64_C(3600)
#define DAY_S (24 * HOUR_S)

static const struct time_us start = {1000 * USEC_PER_SEC};

static struct certificate certificate_of(uint64_t made_s, uint64_t valid_s, uint8_t who)
{
	return (struct certificate){
		.id = {{who}}, .not_before_s = made_s - (uint64_t)CERTIFICATE_SKEW_S, .not_after_s = made_s + valid_s};
}

/* The network's time at that instant, when it was MADE_S at the start. */
static uint64_t network_s(struct time_us now)
{
	return MADE_S + (uint64_t)(time_since(now, start) / USEC_PER_SEC);
}

static void test_half_of_the_time(void **state)
{
	static const uint64_t spans_s[] = {10, 60, HOUR_S, 365 * DAY_S, 3650 * DAY_S};
	uint64_t first_s = 0;

	(void)state;
	for (size_t i = 0; i < sizeof spans_s / sizeof *spans_s; i++) {
		struct certificate certificate = certificate_of(MADE_S, spans_s[i], 200);
		struct renewal r;

		renewal_init(&r, &certificate);
		assert_in_range(r.due_s, MADE_S + spans_s[i] / 2, MADE_S + spans_s[i] * 9 / 16);
		assert_false(renewal_is_due(&r, start, r.due_s - 1));
		assert_true(renewal_is_due(&r, start, r.due_s));
		assert_false(renewal_is_due(&r, start, 0)); /* nobody knows what time it is */
		first_s = r.due_s;
	}
	for (int who = 0; who < 256; who++) { /* not all at once */
		struct certificate certificate = certificate_of(MADE_S, 3650 * DAY_S, (uint8_t)who);
		struct renewal r;

		renewal_init(&r, &certificate);
		assert_true(who == 200 || r.due_s != first_s);
	}
}

/* Asleep, or with a clock that was wrong: what counts is the time as it is known when somebody looks. */
static void test_clocks_jump(void **state)
{
	struct certificate certificate = certificate_of(MADE_S, 365 * DAY_S, 1);
	struct renewal r;

	(void)state;
	renewal_init(&r, &certificate);
	assert_int_equal(renewal_deadline(&r, start, 0).us, TIME_NEVER.us);
	assert_int_equal(time_since(renewal_deadline(&r, start, MADE_S), start), 7 * DAY_S * USEC_PER_SEC);
	assert_int_equal(time_since(renewal_deadline(&r, start, r.due_s - 5), start), 5 * USEC_PER_SEC);
	assert_true(renewal_is_due(&r, start, MADE_S + 400 * DAY_S));
	assert_false(renewal_is_due(&r, time_add(start, USEC_PER_SEC), MADE_S)); /* set back again */
	/* However far ahead it seems to be, one that was just renewed is left alone. */
	renewal_succeeded(&r, start, &certificate);
	assert_false(renewal_is_due(&r, time_add(start, 45 * (int64_t)DAY_S * USEC_PER_SEC), MADE_S + 9000 * DAY_S));
	assert_true(renewal_is_due(&r, time_add(start, 46 * (int64_t)DAY_S * USEC_PER_SEC), MADE_S + 9000 * DAY_S));
}

/* Tries until the account server is back, and how much later than that the last one comes. */
static unsigned try_until(struct renewal *r, struct time_us back, int64_t *ret_late_us)
{
	struct time_us now = start;
	unsigned tries = 0;

	for (now = renewal_deadline(r, now, network_s(now)); time_since(now, back) < 0;
	     now = renewal_deadline(r, now, network_s(now))) {
		if (!renewal_is_due(r, now, network_s(now)))
			continue; /* a look at the clock, once a week */
		renewal_failed(r, now, network_s(now));
		tries++;
		assert_true(tries < 20000);
	}
	*ret_late_us = time_since(now, back);
	return tries;
}

static void test_account_server_is_away(void **state)
{
	struct certificate year = certificate_of(MADE_S, 365 * DAY_S, 1), minute = certificate_of(MADE_S, 60, 1);
	struct renewal r;
	int64_t late_us;
	unsigned tries;

	(void)state;
	/* For three days after it was due: some tries, the next one within six hours of its return. */
	renewal_init(&r, &year);
	tries = try_until(&r, time_add(start, (int64_t)(r.due_s - MADE_S + 3 * DAY_S) * USEC_PER_SEC), &late_us);
	assert_in_range(tries, 15, 40);
	assert_true(late_us <= 6 * (int64_t)HOUR_S * USEC_PER_SEC);
	/* Until a month after it has run out: then each five minutes. */
	renewal_init(&r, &year);
	tries = try_until(&r, time_add(start, 395 * (int64_t)DAY_S * USEC_PER_SEC), &late_us);
	assert_in_range(tries, 30 * 288, 30 * 576 + 1500);
	assert_true(late_us <= 300 * USEC_PER_SEC);
	/* A short one leaves little time, and is not asked for more often than each five seconds. */
	renewal_init(&r, &minute);
	tries = try_until(&r, time_add(start, 58 * USEC_PER_SEC), &late_us);
	assert_in_range(tries, 4, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_of_the_time),
		cmocka_unit_test(test_clocks_jump),
		cmocka_unit_test(test_account_server_is_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
