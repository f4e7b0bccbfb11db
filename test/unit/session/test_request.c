/* test_request.c: repetition until answered, and never longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session/request.h"

static const struct blob HELLO = {(const uint8_t *)"hello", 5};

static void test_doubles_then_gives_up(void **state)
{
	struct request_table table = {0};
	struct time_us now = {5000000};
	int64_t wait_us = 100000;
	bool gave_up;

	(void)state;
	assert_int_equal(request_deadline(&table).us, INT64_MAX);
	assert_int_equal(request_add(&table, 1, 7, HELLO, now, wait_us, false), OK);
	for (int try = 0; try < REQUEST_TRIES_MAX; try++) {
		const struct request *due;

		assert_int_equal(request_deadline(&table).us, now.us);
		due = request_due(&table, now, &gave_up);
		assert_non_null(due);
		assert_false(gave_up);
		assert_int_equal(due->tries, try + 1);
		assert_int_equal(due->transaction, 7);
		assert_int_equal(due->size, 5);
		assert_memory_equal(due->plaintext, "hello", 5);
		assert_null(request_due(&table, now, &gave_up));
		now.us += wait_us;
		wait_us = wait_us * 2 > HANDSHAKE_RETRY_MAX_US ? HANDSHAKE_RETRY_MAX_US : wait_us * 2;
	}
	assert_null(request_due(&table, now, &gave_up));
	assert_true(gave_up);
	assert_int_equal(request_deadline(&table).us, INT64_MAX);
	assert_null(request_due(&table, now, &gave_up));
	assert_false(gave_up);
	assert_false(request_done(&table, 7, NULL));
}

static void test_answer_ends_it(void **state)
{
	struct request_table table = {0};
	struct time_us now = {1};
	struct request answered;
	bool gave_up;

	(void)state;
	assert_int_equal(request_add(&table, 1, 7, HELLO, now, 10, false), OK);
	assert_int_equal(request_add(&table, 1, 8, HELLO, now, 10, false), OK);
	assert_non_null(request_due(&table, now, &gave_up));
	assert_false(request_done(&table, 9, &answered));
	assert_true(request_done(&table, 7, &answered));
	assert_int_equal(answered.transaction, 7);
	assert_int_equal(answered.started.us, 1);
	assert_int_equal(answered.tries, 1);
	assert_false(request_done(&table, 7, &answered));
	assert_true(request_done(&table, 8, &answered));
	assert_int_equal(answered.tries, 0);
}

static void test_replacing_and_fullness(void **state)
{
	struct request_table table = {0};
	struct time_us now = {1};

	(void)state;
	for (uint32_t i = 0; i < REQUESTS_MAX; i++)
		assert_int_equal(request_add(&table, (uint8_t)i, 100 + i, HELLO, now, 10, true), OK);
	assert_int_equal(request_add(&table, 0, 200, HELLO, now, 10, false), ERR_FULL);
	assert_int_equal(request_add(&table, 99, 200, HELLO, now, 10, true), ERR_FULL);
	assert_int_equal(request_add(&table, 2, 200, HELLO, now, 10, true), OK);
	assert_false(request_done(&table, 102, NULL));
	assert_true(request_done(&table, 200, NULL));
}

/* An owner for whom nothing waits has no table. */
static void test_no_table(void **state)
{
	struct request_table table = {0};
	bool gave_up = true;

	(void)state;
	assert_true(request_is_empty(NULL));
	assert_false(request_done(NULL, 1, NULL));
	assert_null(request_due(NULL, (struct time_us){1}, &gave_up));
	assert_false(gave_up);
	assert_int_equal(request_deadline(NULL).us, TIME_NEVER.us);
	assert_true(request_is_empty(&table));
	assert_int_equal(request_add(&table, 1, 7, (struct blob){NULL, 0}, (struct time_us){1}, 1000, false), OK);
	assert_false(request_is_empty(&table));
	assert_true(request_done(&table, 7, NULL));
	assert_true(request_is_empty(&table));
}

static void test_size_limit(void **state)
{
	static const uint8_t big[CONTROL_MAX + 1];
	struct request_table table = {0};

	(void)state;
	assert_int_equal(request_add(&table, 1, 1, (struct blob){big, CONTROL_MAX + 1}, (struct time_us){0}, 10, false),
			 ERR_SIZE);
	assert_int_equal(request_add(&table, 1, 1, (struct blob){big, CONTROL_MAX}, (struct time_us){0}, 10, false),
			 OK);
}

/* An eighth of the silence is the wait: over a minute some fifty tries, over a day one in two seconds. */
static void test_pace(void **state)
{
	int64_t silence_us = 0;
	unsigned tries = 0;

	(void)state;
	assert_int_equal(request_pace_us(0), HANDSHAKE_RETRY_US);
	assert_int_equal(request_pace_us(8 * USEC_PER_SEC), USEC_PER_SEC);
	assert_int_equal(request_pace_us(86400 * USEC_PER_SEC), HANDSHAKE_RETRY_MAX_US);
	for (; silence_us < 60 * USEC_PER_SEC; silence_us += request_pace_us(silence_us))
		tries++;
	assert_in_range(tries, 40, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubles_then_gives_up),
		cmocka_unit_test(test_answer_ends_it),
		cmocka_unit_test(test_replacing_and_fullness),
		cmocka_unit_test(test_no_table),
		cmocka_unit_test(test_size_limit),
		cmocka_unit_test(test_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
