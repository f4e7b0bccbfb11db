/* What is given back is really gone from the process, and comes again where it is used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/footprint.h"

/* Of code and constants: pages of files that nobody has written to. */
static long file_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long resident = 0, shared = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*s %ld %ld", &resident, &shared), 2);
	(void)fclose(file);
	return shared;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void test_gone_and_there_again(void **state)
{
	const char *words[] = {"gamma", "alpha", "beta"};
	uint8_t before[16] = {0}, after[16] = {0};
	long used = file_pages();

	(void)state;
	random_kernel(NULL, before, sizeof before);
	footprint_release();
	assert_true(file_pages() < used);
	qsort(words, 3, sizeof words[0], by_text);
	assert_string_equal(words[0], "alpha");
	random_kernel(NULL, after, sizeof after);
	assert_memory_not_equal(before, after, sizeof before);
	footprint_release(); /* as often as one likes */
	assert_string_equal(words[2], "gamma");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone_and_there_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
