/* The lines between ntmd and ntm-portmap, and PCP's one message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/portmap.h"
#include "cmd/portmap_pcp.h"

static void locals_come_back_as_they_were(void **state)
{
	static const char line[] = "locals 000102030405060708090aff 7367 192.168.1.10%home 100.64.0.10%cell";
	struct portmap_locals locals;
	char text[PORTMAP_LINE_MAX];

	(void)state;
	assert_int_equal(portmap_locals_parse(line, &locals), OK);
	assert_int_equal(locals.count, 2);
	assert_int_equal(locals.port, 7367);
	assert_int_equal(locals.nonce[11], 0xff);
	assert_string_equal(locals.list[1].ifname, "cell");
	portmap_locals_format(&locals, text);
	assert_string_equal(text, line);
}

static void locals_are_judged_strictly(void **state)
{
	static const char *const bad[] = {
		"",
		"locals",
		"locals 000102030405060708090aff",
		"locals 000102030405060708090aff 0",
		"locals 000102030405060708090aff 70000",
		"locals 000102030405060708090af 7367",
		"locals 000102030405060708090afg 7367",
		"locals 000102030405060708090aff 7367 192.168.1.10",
		"locals 000102030405060708090aff 7367 192.168.1.10%",
		"locals 000102030405060708090aff 7367 192.168.1.10%a-name-of-16-byte",
		"locals 000102030405060708090aff 7367 fe80::1%home",
		"locals 000102030405060708090aff 7367 1.1.1.1%a 1.1.1.2%a 1.1.1.3%a 1.1.1.4%a 1.1.1.5%a",
	};
	struct portmap_locals locals = {.port = 99};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(portmap_locals_parse(bad[i], &locals), ERR_MALFORMED);
	assert_int_equal(locals.port, 99);
}

static void answers_come_back_as_they_were(void **state)
{
	static const char *const lines[] = {"mapped 192.168.1.10 203.0.113.11:4000 7200 pcp",
					    "mapped 192.168.1.10 203.0.113.11:4000 1 nat-pmp",
					    "mapped 192.168.1.10 203.0.113.11:4000 0 upnp", "unmapped 192.168.1.10"};
	struct portmap_answer answer;
	char text[PORTMAP_LINE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		assert_int_equal(portmap_answer_parse(lines[i], &answer), OK);
		portmap_answer_format(&answer, text);
		assert_string_equal(text, lines[i]);
	}
}

static void answers_are_judged_strictly(void **state)
{
	static const char *const bad[] = {
		"mapped",
		"mapped 192.168.1.10",
		"mapped 192.168.1.10 203.0.113.11 7200 pcp",
		"mapped 192.168.1.10 203.0.113.11:0 7200 pcp",
		"mapped 192.168.1.10 [2001:db8::1]:5 7200 pcp",
		"mapped 192.168.1.10 203.0.113.11:4000 -1 pcp",
		"mapped 192.168.1.10 203.0.113.11:4000 99999999999 pcp",
		"mapped 192.168.1.10 203.0.113.11:4000 7200 magic",
		"mapped 192.168.1.10 203.0.113.11:4000 7200 pcp and more",
		"unmapped",
		"unmapped ::1",
		"unmapped 192.168.1.10 now",
		"gone 192.168.1.10",
	};
	struct portmap_answer answer;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(portmap_answer_parse(bad[i], &answer), ERR_MALFORMED);
}

static struct pcp_map asked(void)
{
	struct pcp_map map = {
		.client = ip_v4(192, 168, 1, 10), .port = 7367, .lifetime_s = 7200, .external = {.port = 7367}};

	memcpy(map.nonce, "twelve bytes", sizeof map.nonce);
	return map;
}

/* RFC 6887, section 11.1: byte by byte. */
static void the_request_is_that_of_the_rfc(void **state)
{
	static const uint8_t expected[PCP_MAP_SIZE] = {
		2,   1,	  0,   0,   0,	  0,	0x1c, 0x20,			  /* version, MAP, lifetime */
		0,   0,	  0,   0,   0,	  0,	0,    0,    0,	 0,   0xff, 0xff, /* client */
		192, 168, 1,   10,						  /* ... as IPv4 */
		't', 'w', 'e', 'l', 'v',  'e',	' ',  'b',  'y', 't', 'e',  's',  /* nonce */
		17,  0,	  0,   0,   0x1c, 0xc7, 0x1c, 0xc7,			  /* UDP, ports */
		0,   0,	  0,   0,   0,	  0,	0,    0,    0,	 0,   0xff, 0xff, 0, 0, 0, 0, /* any address */
	};
	struct pcp_map map = asked();
	uint8_t bytes[PCP_MAP_SIZE];

	(void)state;
	pcp_map_encode(&map, bytes);
	assert_memory_equal(bytes, expected, sizeof bytes);
}

/* The answer of a server that gave another port. */
static void answer_of(uint8_t ret[PCP_MAP_SIZE])
{
	static const uint8_t header[8] = {2, 0x81, 0, 0, 0, 0, 0, 120};
	static const uint8_t given[2] = {0x0f, 0xa0};
	struct pcp_map map = asked();

	pcp_map_encode(&map, ret);
	memcpy(ret, header, sizeof header);
	memset(ret + 8, 0, 16);
	memcpy(ret + 42, given, sizeof given);
	memcpy(ret + 56, (const uint8_t[]){203, 0, 113, 11}, 4);
}

static void an_answer_gives_address_port_and_lifetime(void **state)
{
	struct pcp_map map = asked(), given;
	uint8_t bytes[PCP_MAP_SIZE];
	struct addr expected = {ip_v4(203, 0, 113, 11), 4000};

	(void)state;
	answer_of(bytes);
	assert_int_equal(pcp_answer_decode(bytes, sizeof bytes, &map, &given), OK);
	assert_true(addr_equal(&given.external, &expected));
	assert_int_equal(given.lifetime_s, 120);
}

static void what_is_no_answer_to_us_is_not_taken(void **state)
{
	static const uint8_t natpmp[8] = {0, 0x80, 0, 1};
	struct pcp_map map = asked(), given = {.port = 99};
	uint8_t bytes[PCP_MAP_SIZE];

	(void)state;
	assert_int_equal(pcp_answer_decode(natpmp, sizeof natpmp, &map, &given), ERR_UNSUPPORTED);
	for (size_t size = 0; size < PCP_MAP_SIZE; size++) {
		answer_of(bytes);
		assert_int_equal(pcp_answer_decode(bytes, size, &map, &given), ERR_MALFORMED);
	}
	for (size_t at = 24; at < 42; at++) { /* nonce, protocol, internal port; reserved bytes do not matter */
		answer_of(bytes);
		bytes[at] ^= 1;
		if (at < 37 || at > 39)
			assert_int_equal(pcp_answer_decode(bytes, sizeof bytes, &map, &given), ERR_MALFORMED);
	}
	answer_of(bytes);
	bytes[1] = 1; /* our own request come back */
	assert_int_equal(pcp_answer_decode(bytes, sizeof bytes, &map, &given), ERR_MALFORMED);
	answer_of(bytes);
	bytes[3] = 2; /* NOT_AUTHORIZED */
	assert_int_equal(pcp_answer_decode(bytes, sizeof bytes, &map, &given), ERR_DENIED);
	answer_of(bytes);
	bytes[44] = 0x20; /* an IPv6 address outside */
	assert_int_equal(pcp_answer_decode(bytes, sizeof bytes, &map, &given), ERR_DENIED);
	assert_int_equal(given.port, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locals_come_back_as_they_were),
		cmocka_unit_test(locals_are_judged_strictly),
		cmocka_unit_test(answers_come_back_as_they_were),
		cmocka_unit_test(answers_are_judged_strictly),
		cmocka_unit_test(the_request_is_that_of_the_rfc),
		cmocka_unit_test(an_answer_gives_address_port_and_lifetime),
		cmocka_unit_test(what_is_no_answer_to_us_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
