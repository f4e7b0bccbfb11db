/* Whereto an exit lets packets go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/exit/policy.h"

static bool allows(const struct exit_policy *policy, const char *text, uint16_t port)
{
	struct ip ip = {0};

	assert_int_equal(ip_parse(text, &ip), OK);
	return policy_allows_destination(policy, &ip, port);
}

static void add_rule(struct exit_policy *policy, bool is_allowed, const char *prefix, uint16_t min, uint16_t max)
{
	struct exit_rule *rule = &policy->rules[policy->rule_count++];

	*rule = (struct exit_rule){.is_allowed = is_allowed, .port_min = min, .port_max = max};
	assert_int_equal(prefix_parse(prefix, &rule->prefix), OK);
}

static void test_special_ranges_are_refused(void **state)
{
	static const char *const refused[] = {
		"0.0.0.0",
		"0.1.2.3",
		"10.0.0.1",
		"100.64.0.1",
		"100.127.255.255",
		"127.0.0.1",
		"169.254.169.254",
		"172.16.0.1",
		"172.31.255.255",
		"192.0.0.1",
		"192.0.2.1",
		"192.88.99.1",
		"192.168.1.1",
		"198.18.0.1",
		"198.19.255.255",
		"198.51.100.2",
		"203.0.113.11",
		"224.0.0.1",
		"239.1.1.1",
		"240.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::10.0.0.1",
		"fc00::1",
		"fd6e:746d::1",
		"fe80::1",
		"ff02::1",
		"2001:db8::1",
		"3fff::1",
		"2001:2::1",
		"2001:20::1",
		"100::1",
		"fec0::1",
		"64:ff9b::a00:1",     /* NAT64 of 10.0.0.1 */
		"64:ff9b::5db8:d822", /* and of a public one */
		"64:ff9b:1::a00:1",
		"2002:a00:1::1",			/* 6to4 of 10.0.0.1 */
		"2001:0:4136:e378:8000:63bf:3fff:fdd2", /* Teredo */
	};
	static const char *const allowed[] = {
		"1.1.1.1",	   "8.8.8.8",	     "100.63.255.255",	"100.128.0.1", "172.15.0.1",
		"172.32.0.1",	   "198.17.0.1",     "198.20.0.1",	"203.0.114.2", "223.255.255.255",
		"2606:4700::1111", "2a0f:ffff:6::2", "2001:4860::8888",
	};
	struct exit_policy policy = {0};

	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if (allows(&policy, refused[i], 80))
			fail_msg("%s", refused[i]);
	for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
		if (!allows(&policy, allowed[i], 80))
			fail_msg("%s", allowed[i]);
}

/* The address type has no v4-mapped text, packets have the bytes. */
static void test_mapped_addresses_are_refused(void **state)
{
	struct ip mapped = {6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 8, 8, 8, 8}};
	struct exit_policy policy = {0};

	(void)state;
	assert_false(policy_allows_destination(&policy, &mapped, 80));
	add_rule(&policy, true, "::/0", 0, 0);
	assert_false(policy_allows_destination(&policy, &mapped, 80));
}

static void test_a_special_range_must_be_named(void **state)
{
	struct exit_policy policy = {0};

	(void)state;
	add_rule(&policy, true, "0.0.0.0/0", 0, 0);
	add_rule(&policy, true, "8.0.0.0/5", 0, 0);
	assert_false(allows(&policy, "10.1.2.3", 80));
	add_rule(&policy, true, "10.1.0.0/16", 0, 0);
	assert_true(allows(&policy, "10.1.2.3", 80));
	assert_false(allows(&policy, "10.2.2.3", 80));
}

static void test_the_longest_rule_decides(void **state)
{
	struct exit_policy policy = {0};

	(void)state;
	add_rule(&policy, true, "93.184.216.0/24", 0, 0);
	add_rule(&policy, false, "93.184.0.0/16", 0, 0);
	add_rule(&policy, false, "93.184.216.9/32", 0, 0);
	add_rule(&policy, false, "0.0.0.0/0", 25, 25);
	assert_true(allows(&policy, "93.184.216.34", 80));
	assert_false(allows(&policy, "93.184.1.1", 80));
	assert_false(allows(&policy, "93.184.216.9", 80));
	assert_true(allows(&policy, "8.8.8.8", 24));
	assert_false(allows(&policy, "8.8.8.8", 25));
	assert_true(allows(&policy, "8.8.8.8", 0));
	add_rule(&policy, false, "93.184.216.0/24", 0, 0); /* the same prefix: refused */
	assert_false(allows(&policy, "93.184.216.34", 80));
}

/* The overlay's own prefixes: no rule opens them. */
static void test_a_final_refusal_is_final(void **state)
{
	struct exit_policy policy = {0};

	(void)state;
	add_rule(&policy, false, "198.18.0.0/15", 0, 0);
	policy.rules[0].is_final = true;
	add_rule(&policy, true, "198.18.7.0/24", 0, 0);
	assert_false(allows(&policy, "198.18.7.7", 80));
}

/* Opening NAT64 does not open what lies behind it. */
static void test_an_embedded_address_is_judged_too(void **state)
{
	struct exit_policy policy = {0};

	(void)state;
	add_rule(&policy, true, "64:ff9b::/96", 0, 0);
	add_rule(&policy, true, "2002::/16", 0, 0);
	assert_true(allows(&policy, "64:ff9b::5db8:d822", 80));
	assert_false(allows(&policy, "64:ff9b::a00:1", 80));
	assert_false(allows(&policy, "2002:a00:1::1", 80));
	assert_true(allows(&policy, "2002:808:808::1", 80));
}

static void test_nodes_by_name_and_group(void **state)
{
	struct certificate a = {.fqdn = "a.x.example", .group_count = 2, .groups = {"guests", "staff"}};
	struct exit_policy policy = {0};

	(void)state;
	assert_true(policy_allows_node(&policy, &a));
	policy.allowed_count = 1;
	snprintf(policy.allowed[0], sizeof policy.allowed[0], "a");
	assert_true(policy_allows_node(&policy, &a));
	snprintf(policy.allowed[0], sizeof policy.allowed[0], "a.x.example");
	assert_true(policy_allows_node(&policy, &a));
	snprintf(policy.allowed[0], sizeof policy.allowed[0], "a.y.example");
	assert_false(policy_allows_node(&policy, &a));
	snprintf(policy.allowed[0], sizeof policy.allowed[0], "@staff");
	assert_true(policy_allows_node(&policy, &a));
	snprintf(policy.allowed[0], sizeof policy.allowed[0], "staff");
	assert_false(policy_allows_node(&policy, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_special_ranges_are_refused),
		cmocka_unit_test(test_mapped_addresses_are_refused),
		cmocka_unit_test(test_a_special_range_must_be_named),
		cmocka_unit_test(test_the_longest_rule_decides),
		cmocka_unit_test(test_a_final_refusal_is_final),
		cmocka_unit_test(test_an_embedded_address_is_judged_too),
		cmocka_unit_test(test_nodes_by_name_and_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
