/* Addresses, transport addresses and prefixes: text both ways, order, special ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"

static struct ip parsed(const char *text)
{
	struct ip ip = {0};

	assert_int_equal(ip_parse(text, &ip), OK);
	return ip;
}

static struct addr parsed_addr(const char *text)
{
	struct addr addr = {0};

	assert_int_equal(addr_parse(text, 7367, &addr), OK);
	return addr;
}

static struct prefix parsed_prefix(const char *text)
{
	struct prefix prefix = {0};

	assert_int_equal(prefix_parse(text, &prefix), OK);
	return prefix;
}

static void test_ip_text(void **state)
{
	static const char *const good[][2] = {{"192.0.2.1", "192.0.2.1"},
					      {"255.255.255.255", "255.255.255.255"},
					      {"::", "::"},
					      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
					      {"2001:db8::0001", "2001:db8::1"}};
	static const char *const bad[] = {"",		" 192.0.2.1",  "192.0.2.1 ", "192.0.2", "192.0.2.256",
					  "192.0.2.01", "1.2.3.4.5",   "::1::",	     ":",	"2001:db8",
					  "g::",	"fe80::1%eth0"};
	char text[ADDR_TEXT_MAX];
	struct ip ip = ip_v4(9, 9, 9, 9);

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct ip got = parsed(good[i][0]);

		assert_string_equal(ip_format(&got, text), good[i][1]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(ip_parse(bad[i], &ip), ERR_MALFORMED);
		assert_string_equal(ip_format(&ip, text), "9.9.9.9");
	}
	assert_string_equal(ip_format(&(struct ip){0}, text), "none");
}

static void test_addr_text(void **state)
{
	static const char *const good[][2] = {{"192.0.2.1:80", "192.0.2.1:80"},
					      {"192.0.2.1", "192.0.2.1:7367"},
					      {"192.0.2.1:0", "192.0.2.1:0"},
					      {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
					      {"[2001:db8::1]", "[2001:db8::1]:7367"},
					      {"2001:db8::1", "[2001:db8::1]:7367"},
					      {"::", "[::]:7367"}};
	static const char *const bad[] = {"",
					  ":80",
					  "192.0.2.1:",
					  "192.0.2.1:65536",
					  "192.0.2.1:+1",
					  "192.0.2.1:8 ",
					  "[2001:db8::1",
					  "[2001:db8::1]80",
					  "[2001:db8::1]:",
					  "[]:80",
					  "example.org:80",
					  "1111111111111111111111111111111111111111111111111111111111111111111111:1"};
	char text[ADDR_TEXT_MAX];
	struct addr addr = {.ip = ip_v4(9, 9, 9, 9), .port = 9};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct addr got = parsed_addr(good[i][0]);

		assert_string_equal(addr_format(&got, text), good[i][1]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(addr_parse(bad[i], 1, &addr), ERR_MALFORMED);
		assert_string_equal(addr_format(&addr, text), "9.9.9.9:9");
	}
	assert_string_equal(addr_format(&(struct addr){0}, text), "none");
}

static void test_prefix_text(void **state)
{
	static const char *const good[] = {"0.0.0.0/0", "198.18.0.0/15",  "192.0.2.1/32",
					   "::/0",	"fd6e:746d::/32", "::1/128"};
	static const char *const bad[] = {"198.18.0.0",	   "198.18.0.0/",   "198.18.0.0/33",
					  "198.18.0.1/15", "198.18.0.0/-1", "198.18.0.0/1x",
					  "::/129",	   "::1/127",	    "/8",
					  "fd6e::/8/8"};
	struct prefix prefix = parsed_prefix("10.0.0.0/8");
	char text[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct prefix got = parsed_prefix(good[i]);

		assert_string_equal(prefix_format(&got, text), good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(prefix_parse(bad[i], &prefix), ERR_MALFORMED);
		assert_string_equal(prefix_format(&prefix, text), "10.0.0.0/8");
	}
}

/* First and last address inside, the neighbours outside, never the other family. */
static void test_prefix_contains(void **state)
{
	static const struct {
		const char *prefix, *ip;
		bool inside;
	} rows[] = {
		{"198.18.0.0/15", "198.18.0.0", true},
		{"198.18.0.0/15", "198.19.255.255", true},
		{"198.18.0.0/15", "198.17.255.255", false},
		{"198.18.0.0/15", "198.20.0.0", false},
		{"0.0.0.0/0", "255.255.255.255", true},
		{"0.0.0.0/0", "::", false},
		{"192.0.2.1/32", "192.0.2.1", true},
		{"192.0.2.1/32", "192.0.2.0", false},
		{"::/0", "ffff::", true},
		{"fd6e:746d::/32", "fd6e:746d:ffff::1", true},
		{"fd6e:746d::/32", "fd6e:746e::", false},
		{"fd6e:746c::/31", "fd6e:746d::", true},
		{"::1/128", "::1", true},
		{"::1/128", "::", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct prefix prefix = parsed_prefix(rows[i].prefix);
		struct ip ip = parsed(rows[i].ip);

		assert_int_equal(prefix_contains(&prefix, &ip), rows[i].inside);
	}
}

/* Total and the same in both directions: it settles who of two starts. */
static void test_order(void **state)
{
	static const char *const ascending[] = {"0.0.0.0", "9.255.0.0", "10.0.0.0", "255.0.0.0",
						"::",	   "::1",	"2001::",   "fd00::"};
	enum { COUNT = sizeof ascending / sizeof ascending[0] };

	(void)state;
	for (int i = 0; i < COUNT; i++)
		for (int k = 0; k < COUNT; k++) {
			struct ip a = parsed(ascending[i]), b = parsed(ascending[k]);
			int order = ip_compare(&a, &b);

			assert_int_equal(order < 0, i < k);
			assert_int_equal(order > 0, i > k);
			assert_int_equal(ip_equal(&a, &b), i == k);
		}
}

static void test_addr_equality(void **state)
{
	struct addr a = parsed_addr("192.0.2.1:80"), b = parsed_addr("192.0.2.1:81"), none = {0};

	(void)state;
	assert_true(addr_equal(&a, &a));
	assert_false(addr_equal(&a, &b));
	assert_true(addr_is_set(&a));
	assert_false(addr_is_set(&none));
}

/* T26: nobody is made to send probes where they would do harm or reach oneself. */
static void test_probeable(void **state)
{
	static const struct {
		const char *addr;
		bool probeable;
	} rows[] = {
		{"192.0.2.1:7367", true},	{"10.1.2.3:1", true},	   {"172.31.255.255:1", true},
		{"192.168.0.1:1", true},	{"100.64.0.1:1", true},	   {"[2001:db8::1]:1", true},
		{"[fd00::1]:1", true},		{"192.0.2.1:0", false},	   {"0.0.0.0:1", false},
		{"0.1.2.3:1", false},		{"127.0.0.1:1", false},	   {"127.255.255.255:1", false},
		{"169.254.169.254:1", false},	{"224.0.0.1:1", false},	   {"240.0.0.1:1", false},
		{"255.255.255.255:1", false},	{"[::]:1", false},	   {"[::1]:1", false},
		{"[fe80::1]:1", false},		{"[febf::1]:1", false},	   {"[ff02::1]:1", false},
		{"[::ffff:10.0.0.1]:1", false}, {"[::10.0.0.1]:1", false},
	};
	struct addr none = {.port = 1};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct addr addr = parsed_addr(rows[i].addr);

		if (addr_is_probeable(&addr) != rows[i].probeable)
			fail_msg("%s", rows[i].addr);
	}
	assert_false(addr_is_probeable(&none));
}

static void test_private(void **state)
{
	static const char *const yes[] = {"10.0.0.1",	     "172.16.0.1", "192.168.255.255",
					  "100.127.255.255", "fc00::1",	   "fdff::1"};
	static const char *const no[] = {"11.0.0.1", "172.32.0.1",  "192.169.0.0", "100.128.0.0",
					 "8.8.8.8",  "2001:db8::1", "fe00::1"};

	(void)state;
	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
		struct ip ip = parsed(yes[i]);

		assert_true(ip_is_private(&ip));
	}
	for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
		struct ip ip = parsed(no[i]);

		assert_false(ip_is_private(&ip));
	}
}

static void test_from_bytes(void **state)
{
	static const uint8_t bytes[16] = {192, 0, 2, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	struct ip v4 = ip_from_bytes(4, bytes), v6 = ip_from_bytes(6, bytes), expected = ip_v4(192, 0, 2, 1);

	(void)state;
	assert_true(ip_equal(&v4, &expected)); /* the other twelve bytes are zero */
	assert_int_equal(ip_size(&v4), 4);
	assert_int_equal(ip_size(&v6), 16);
	assert_int_equal(ip_size(&(struct ip){0}), 0);
	assert_memory_equal(v6.bytes, bytes, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip_text),	    cmocka_unit_test(test_addr_text),
		cmocka_unit_test(test_prefix_text), cmocka_unit_test(test_prefix_contains),
		cmocka_unit_test(test_order),	    cmocka_unit_test(test_addr_equality),
		cmocka_unit_test(test_probeable),   cmocka_unit_test(test_private),
		cmocka_unit_test(test_from_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
