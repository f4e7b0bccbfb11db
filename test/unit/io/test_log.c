/* test_log.c: what a line looks like, that nothing in it can break out of it, and that a stranger cannot fill the disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/log.h"

static int ends[2];
static char text[1 << 16];

static int open_pipe(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	return pipe2(ends, O_NONBLOCK);
}

static int close_pipe(void **state)
{
	(void)state;
	close(ends[0]);
	return close(ends[1]);
}

static size_t read_lines(void)
{
	ssize_t size = read(ends[0], text, sizeof(text) - 1);
	size_t lines = 0;

	text[size > 0 ? size : 0] = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static void test_text(void **state)
{
	struct log_field fields[] = {log_text(LOG_PEER, "b.ntm"), log_number(LOG_GAP, -5),
				     log_text(LOG_REASON, "two words\n\"x\"")};

	(void)state;
	log_setup(LOG_SEVERITY_INFO, false, ends[1]);
	log_event(LOG_SEVERITY_INFO, "t-text", "moved", fields, 3);
	assert_int_equal(read_lines(), 1);
	assert_non_null(
		strstr(text, "Z info t-text: moved peer=b.ntm gap_us=-5 reason=\"two words\\u000a\\\"x\\\"\"\n"));
	log_print(LOG_SEVERITY_DEBUG, "t-debug", "%d", 1);
	assert_int_equal(read_lines(), 0);
	assert_false(log_enabled(LOG_SEVERITY_DEBUG));
	log_print(LOG_SEVERITY_ERROR, "t-print", "line\nbreak %s", "x");
	assert_int_equal(read_lines(), 1);
}

static void test_json(void **state)
{
	struct log_field fields[] = {log_text(LOG_ERROR, "a\"b\\c\x01"), log_number(LOG_COUNT, 7)};

	(void)state;
	log_setup(LOG_SEVERITY_DEBUG, true, ends[1]);
	log_event(LOG_SEVERITY_WARNING, "t-json", "said \"no\"", fields, 2);
	assert_int_equal(read_lines(), 1);
	assert_int_equal(text[0], '{');
	assert_non_null(strstr(text, "\"level\":\"warning\",\"id\":\"t-json\",\"message\":\"said "
				     "\\\"no\\\"\",\"error\":\"a\\\"b\\\\c\\u0001\","
				     "\"count\":7}\n"));
}

/* However long the parts, a line stays one line and ends as it should. */
static void test_long(void **state)
{
	static char quotes[4000];
	struct log_field fields[LOG_FIELDS_MAX];

	(void)state;
	memset(quotes, '"', sizeof(quotes) - 1);
	for (size_t i = 0; i < LOG_FIELDS_MAX; i++)
		fields[i] = log_text(LOG_ERROR, quotes);
	for (int json = 0; json < 2; json++) {
		log_setup(LOG_SEVERITY_INFO, json, ends[1]);
		log_event(LOG_SEVERITY_INFO, json ? "t-long-j" : "t-long-t", quotes, fields, LOG_FIELDS_MAX);
		assert_int_equal(read_lines(), 1);
		assert_true(strlen(text) <= LOG_LINE_MAX);
		if (json)
			assert_string_equal(text + strlen(text) - 2, "}\n");
	}
}

static void test_limit(void **state)
{
	uint64_t before = log_suppressed();
	size_t lines;

	(void)state;
	log_setup(LOG_SEVERITY_INFO, false, ends[1]);
	for (int i = 0; i < 500; i++)
		log_print(LOG_SEVERITY_WARNING, "t-flood", "packet %d", i);
	lines = read_lines();
	assert_true(lines >= LOG_BURST && lines < 400);
	assert_int_equal(log_suppressed() - before, 500 - lines);
	log_print(LOG_SEVERITY_WARNING, "t-other", "is not affected");
	assert_int_equal(read_lines(), 1);
}

/* Ids beyond the table share one budget; none is unlimited. */
static void test_many_ids(void **state)
{
	uint64_t before = log_suppressed();
	char id[24];

	(void)state;
	log_setup(LOG_SEVERITY_INFO, false, ends[1]);
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "t-id-%d", i);
		log_print(LOG_SEVERITY_INFO, id, "x");
		read_lines();
	}
	assert_true(log_suppressed() - before > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_text, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(test_json, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(test_long, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(test_limit, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(test_many_ids, open_pipe, close_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
