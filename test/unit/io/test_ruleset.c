/* The packet filter of a kernel that has none. */
#include <errno.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/filter.h"
#include "io/ruleset.h"

/* As where nfnetlink is not built in: for the rest of this process. */
static int take_filter_away(void **state)
{
	scmp_filter_ctx calls = seccomp_init(SCMP_ACT_ALLOW);
	int failed;

	(void)state;
	failed = !calls ||
		 seccomp_rule_add(calls, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 1,
				  SCMP_A2(SCMP_CMP_EQ, NETLINK_NETFILTER)) != 0 ||
		 seccomp_load(calls) != 0;
	seccomp_release(calls);
	return failed;
}

/* The library would end the process. */
static void test_says_so(void **state)
{
	char error[RULESET_ERROR_MAX] = "";

	(void)state;
	assert_null(ruleset_open(error));
	assert_non_null(strstr(error, "packet filter"));
	assert_null(strchr(error, '\n'));
}

static void test_filter_is_left_out(void **state)
{
	struct filter_params params = {.ifname = "ntm0"};
	char error[FILTER_ERROR_MAX] = "";

	(void)state;
	assert_int_equal(filter_raise(&params, error), ERR_IO);
	assert_non_null(strstr(error, "packet filter"));
	filter_lower("ntm0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_says_so), cmocka_unit_test(test_filter_is_left_out)};

	return cmocka_run_group_tests(tests, take_filter_away, NULL);
}
