/* test_dns.c: the DNS codec against hand-made packets, honest and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "wire/dns.h"

/* A query for name (wire bytes as a C string without its final zero) with the given flags and counts. */
static size_t query_make(uint8_t *packet, size_t room, const char *name, size_t name_size, uint16_t type,
			 uint16_t flags, bool edns)
{
	struct writer w = writer_over(packet, room);
	size_t size = 0;

	write_u16(&w, 0xbeef);
	write_u16(&w, flags);
	write_u16(&w, 1);
	write_u16(&w, 0);
	write_u16(&w, 0);
	write_u16(&w, edns ? 1 : 0);
	write_bytes(&w, name, name_size);
	write_u16(&w, type);
	write_u16(&w, DNS_CLASS_IN);
	if (edns) {
		write_u8(&w, 0);
		write_u16(&w, DNS_OPT);
		write_u16(&w, 4096);
		write_u32(&w, 0x00008000);
		write_u16(&w, 0);
	}
	assert_int_equal(writer_finish(&w, &size), OK);
	return size;
}

#define NAME(text) text, sizeof(text)

static void test_query_is_parsed(void **state)
{
	uint8_t packet[512];
	struct dns_query query;
	size_t size = query_make(packet, sizeof packet, NAME("\1A\3nTm\10internal"), DNS_AAAA, 0x0110, true);

	(void)state;
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	assert_int_equal(query.rcode, DNS_NOERROR);
	assert_int_equal(query.id, 0xbeef);
	assert_string_equal(query.name, "a.ntm.internal");
	assert_int_equal(query.type, DNS_AAAA);
	assert_int_equal(query.class, DNS_CLASS_IN);
	assert_true(query.recursion_desired && query.checking_disabled);
	assert_true(query.has_edns && query.dnssec_ok);
	assert_int_equal(query.udp_size, 4096);
	assert_memory_equal(query.question, "\1A\3nTm\10internal", 16); /* the case comes back (0x20) */
}

static void test_strange_bytes_are_escaped(void **state)
{
	uint8_t packet[512], wire[DNS_WIRE_NAME_MAX];
	struct dns_query query;
	size_t size = query_make(packet, sizeof packet, NAME("\4a.b\\\3\0\377 "), DNS_A, 0, false), wire_size;

	(void)state;
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	assert_string_equal(query.name, "a\\046b\\092.\\000\\255\\032");
	assert_int_equal(query.udp_size, DNS_UDP_PLAIN);
	assert_int_equal(dns_name_from_text(query.name, wire, &wire_size), OK);
	assert_int_equal(wire_size, 10);
	assert_memory_equal(wire, "\4a.b\\\3\0\377 ", 10);
	assert_false(dns_name_in_zone("a\\046b", "b"));
}

static void test_shapes_that_get_an_error_code(void **state)
{
	uint8_t packet[600];
	struct dns_query query;
	size_t size = query_make(packet, sizeof packet, NAME("\1a"), DNS_A, 5 << 11, false);

	(void)state;
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	assert_int_equal(query.rcode, DNS_NOTIMP); /* UPDATE */
	size = query_make(packet, sizeof packet, NAME("\1a"), DNS_A, 0, false);
	packet[5] = 2;
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	assert_int_equal(query.rcode, DNS_FORMERR); /* two questions */
	packet[5] = 1;
	for (size_t cut = DNS_HEADER_SIZE; cut < size; cut++) {
		assert_int_equal(dns_query_parse(packet, cut, &query), OK);
		assert_int_equal(query.rcode, DNS_FORMERR);
		assert_int_equal(query.question_size, 0);
	}
	size = query_make(packet, sizeof packet, NAME("\1a"), DNS_A, 0, true);
	packet[size - 5] = 1; /* EDNS version 1 */
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	assert_int_equal(query.rcode, DNS_BADVERS);
	packet[size - 5] = 0;
	memcpy(packet + size, packet + size - DNS_OPT_SIZE, DNS_OPT_SIZE);
	packet[11] = 2;
	assert_int_equal(dns_query_parse(packet, size + DNS_OPT_SIZE, &query), OK);
	assert_int_equal(query.rcode, DNS_FORMERR); /* two OPT */
}

static void test_silence(void **state)
{
	uint8_t packet[512];
	struct dns_query query;
	size_t size = query_make(packet, sizeof packet, NAME("\1a"), DNS_A, 0x8000, false);

	(void)state;
	assert_int_equal(dns_query_parse(packet, size, &query), ERR_STATE);
	for (size_t cut = 0; cut < DNS_HEADER_SIZE; cut++)
		assert_int_equal(dns_query_parse(packet, cut, &query), ERR_TRUNCATED);
}

struct hostile_name {
	const char *what;
	const char *bytes; /* follows the header */
	size_t size;
	enum err expected;
};

static void test_hostile_names(void **state)
{
	static const struct hostile_name names[] = {
		{"points at itself", "\xc0\x0c", 2, ERR_MALFORMED},
		{"points forwards", "\xc0\x0e\0", 3, ERR_MALFORMED},
		{"points into the header", "\xc0\x00", 2, ERR_MALFORMED},
		{"comes round again", "\1a\xc0\x0c", 4, ERR_MALFORMED},
		{"cut in a pointer", "\xc0", 1, ERR_TRUNCATED},
		{"cut in a label", "\5abc", 4, ERR_TRUNCATED},
		{"without an end", "\1a", 2, ERR_TRUNCATED},
		{"label type 01",
		 "\x41"
		 "a\0",
		 3, ERR_MALFORMED},
		{"label type 10",
		 "\x81"
		 "a\0",
		 3, ERR_MALFORMED},
		{"empty", "", 0, ERR_TRUNCATED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		uint8_t packet[64] = {0}, wire[DNS_WIRE_NAME_MAX];
		char text[DNS_TEXT_MAX + 1];
		size_t at = DNS_HEADER_SIZE, wire_size;

		memcpy(packet + at, names[i].bytes, names[i].size);
		if (dns_name_read(packet, at + names[i].size, &at, wire, &wire_size, text) != names[i].expected)
			fail_msg("%s", names[i].what);
		assert_int_equal(at, DNS_HEADER_SIZE); /* untouched on failure */
	}
}

static void test_name_lengths(void **state)
{
	uint8_t packet[DNS_HEADER_SIZE + 300] = {0}, wire[DNS_WIRE_NAME_MAX];
	char text[DNS_TEXT_MAX + 1];
	size_t at = DNS_HEADER_SIZE, wire_size;

	(void)state;
	/* Three labels of 63 and one of 61 are exactly 255. */
	for (int i = 0; i < 4; i++) {
		packet[at] = i < 3 ? 63 : 61;
		memset(packet + at + 1, 0, 63); /* every byte escaped: the longest text there is */
		at += 1u + packet[at];
	}
	packet[at++] = 0;
	at = DNS_HEADER_SIZE;
	assert_int_equal(dns_name_read(packet, sizeof packet, &at, wire, &wire_size, text), OK);
	assert_int_equal(wire_size, DNS_WIRE_NAME_MAX);
	assert_true(strlen(text) <= DNS_TEXT_MAX);
	assert_int_equal(dns_name_from_text(text, wire, &wire_size), OK);
	assert_int_equal(wire_size, DNS_WIRE_NAME_MAX);
	packet[DNS_HEADER_SIZE + 3 * 64] = 62;
	at = DNS_HEADER_SIZE;
	assert_int_equal(dns_name_read(packet, sizeof packet, &at, wire, &wire_size, text), ERR_MALFORMED);
}

static void test_many_pointers_are_bounded(void **state)
{
	uint8_t packet[DNS_HEADER_SIZE + 200] = {0};
	size_t at = DNS_HEADER_SIZE + 1;

	(void)state;
	/* A chain in which each pointer leads to the one before. */
	for (size_t i = 0; i < 90; i++, at += 2) {
		size_t target = i == 0 ? DNS_HEADER_SIZE : at - 2;

		packet[at] = (uint8_t)(0xc0 | target >> 8);
		packet[at + 1] = (uint8_t)target;
	}
	at -= 2;
	assert_int_equal(dns_name_read(packet, sizeof packet, &at, NULL, NULL, NULL), ERR_MALFORMED);
	at = DNS_HEADER_SIZE + 1 + 2 * 10;
	assert_int_equal(dns_name_read(packet, sizeof packet, &at, NULL, NULL, NULL), OK);
	assert_int_equal(at, DNS_HEADER_SIZE + 1 + 2 * 11);
}

static void test_bad_texts(void **state)
{
	static const char *const texts[] = {".", "a..b", ".a", "a.", "\\12", "\\256", "\\a00"};
	uint8_t wire[DNS_WIRE_NAME_MAX];
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (dns_name_from_text(texts[i], wire, &size) != ERR_MALFORMED)
			fail_msg("%s", texts[i]);
	assert_int_equal(dns_name_from_text("", wire, &size), OK);
	assert_int_equal(size, 1);
}

static uint16_t u16_at(const uint8_t *p, size_t at)
{
	return (uint16_t)(p[at] << 8 | p[at + 1]);
}

static void test_answer(void **state)
{
	uint8_t packet[512], out[DNS_UDP_MAX];
	struct dns_query query;
	struct dns_answer answer;
	struct ip v4 = ip_v4(198, 18, 0, 1);
	size_t size = query_make(packet, sizeof packet, NAME("\1A\3nTm\10internal"), DNS_A, 0x0100, true);

	(void)state;
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	dns_answer_begin(&answer, &query, DNS_NOERROR, DNS_AUTHORITATIVE, false, out, sizeof out);
	dns_answer_add_a(&answer, DNS_ANSWER, NULL, 60, &v4);
	size = dns_answer_finish(&answer);
	assert_int_equal(size, 12 + 20 + 16 + 11);
	assert_int_equal(u16_at(out, 0), 0xbeef);
	assert_int_equal(u16_at(out, 2), 0x8500); /* QR AA RD */
	assert_int_equal(u16_at(out, 6), 1);
	assert_int_equal(u16_at(out, 10), 1);
	assert_memory_equal(out + 12, packet + 12, 20);
	assert_memory_equal(out + 32, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x12\0\1", 16);
	assert_memory_equal(out + 48, "\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);
}

static void test_truncation(void **state)
{
	uint8_t packet[512], out[2048];
	struct dns_query query;
	struct dns_answer answer;
	struct ip v4 = ip_v4(198, 18, 0, 1);
	size_t size = query_make(packet, sizeof packet, NAME("\1a"), DNS_A, 0, false);

	(void)state;
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	dns_answer_begin(&answer, &query, DNS_NOERROR, 0, false, out, sizeof out);
	for (int i = 0; i < 100; i++)
		dns_answer_add_a(&answer, DNS_ANSWER, NULL, 60, &v4);
	size = dns_answer_finish(&answer);
	assert_true(size <= DNS_UDP_PLAIN && size > DNS_UDP_PLAIN - 16);
	assert_true(out[2] & 0x02);
	assert_int_equal(u16_at(out, 6), (size - 19) / 16);
	/* The same over TCP is whole. */
	dns_answer_begin(&answer, &query, DNS_NOERROR, 0, true, out, sizeof out);
	for (int i = 0; i < 100; i++)
		dns_answer_add_a(&answer, DNS_ANSWER, NULL, 60, &v4);
	size = dns_answer_finish(&answer);
	assert_int_equal(size, 19 + 1600);
	assert_false(out[2] & 0x02);
	/* Glue that does not fit is no truncation. */
	dns_answer_begin(&answer, &query, DNS_NOERROR, 0, false, out, 50);
	dns_answer_add_a(&answer, DNS_ANSWER, NULL, 60, &v4);
	dns_answer_add_a(&answer, DNS_ADDITIONAL, "glue.example", 60, &v4);
	size = dns_answer_finish(&answer);
	assert_int_equal(size, 19 + 16);
	assert_false(out[2] & 0x02);
	/* No room at all: no answer. */
	for (size_t room = 0; room < 19; room++) {
		dns_answer_begin(&answer, &query, DNS_NOERROR, 0, false, out, room);
		assert_int_equal(dns_answer_finish(&answer), 0);
	}
}

static void test_badvers_uses_the_extended_bits(void **state)
{
	uint8_t packet[512], out[512];
	struct dns_query query;
	struct dns_answer answer;
	size_t size = query_make(packet, sizeof packet, NAME("\1a"), DNS_A, 0, true);

	(void)state;
	packet[size - 5] = 7;
	assert_int_equal(dns_query_parse(packet, size, &query), OK);
	dns_answer_begin(&answer, &query, query.rcode, 0, false, out, sizeof out);
	size = dns_answer_finish(&answer);
	assert_int_equal(out[3] & 0x0f, 0);
	assert_int_equal(out[size - 6], 1);
}

static void test_zones(void **state)
{
	(void)state;
	assert_true(dns_name_in_zone("ntm.internal", "ntm.internal"));
	assert_true(dns_name_in_zone("a.ntm.internal", "ntm.internal"));
	assert_false(dns_name_in_zone("xntm.internal", "ntm.internal"));
	assert_false(dns_name_in_zone("internal", "ntm.internal"));
	assert_true(dns_name_in_zone("anything", ""));
	assert_true(dns_label_is_host("a-1", 3));
	assert_false(dns_label_is_host("-a", 2));
	assert_false(dns_label_is_host("a-", 2));
	assert_false(dns_label_is_host("a_b", 3));
	assert_false(dns_label_is_host("", 0));
}

static void test_reverse_names(void **state)
{
	struct ip v4 = ip_v4(198, 18, 0, 107), v6;
	struct prefix prefix;
	char name[DNS_REVERSE_MAX];

	(void)state;
	assert_int_equal(ip_parse("fd6e:746d::12:ab", &v6), OK);
	dns_reverse_name(&v4, 32, name);
	assert_string_equal(name, "107.0.18.198.in-addr.arpa");
	assert_int_equal(dns_reverse_parse(name, &prefix), OK);
	assert_int_equal(prefix.bits, 32);
	assert_true(ip_equal(&prefix.ip, &v4));
	dns_reverse_name(&v4, 15, name);
	assert_string_equal(name, "18.198.in-addr.arpa");
	dns_reverse_name(&v6, 128, name);
	assert_string_equal(name, "b.a.0.0.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.6.4.7.e.6.d.f.ip6.arpa");
	assert_int_equal(dns_reverse_parse(name, &prefix), OK);
	assert_int_equal(prefix.bits, 128);
	assert_true(ip_equal(&prefix.ip, &v6));
	assert_int_equal(dns_reverse_parse("d.6.4.7.e.6.d.f.ip6.arpa", &prefix), OK);
	assert_int_equal(prefix.bits, 32);
	assert_int_equal(dns_reverse_parse("in-addr.arpa", &prefix), OK);
	assert_int_equal(prefix.bits, 0);
	static const char *const bad[] = {"256.in-addr.arpa",
					  "01.in-addr.arpa",
					  "1.2.3.4.5.in-addr.arpa",
					  "g.ip6.arpa",
					  "10.ip6.arpa",
					  "a.example",
					  "",
					  "-1.in-addr.arpa",
					  "xin-addr.arpa"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (dns_reverse_parse(bad[i], &prefix) != ERR_UNKNOWN)
			fail_msg("%s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query_is_parsed),
		cmocka_unit_test(test_strange_bytes_are_escaped),
		cmocka_unit_test(test_shapes_that_get_an_error_code),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_many_pointers_are_bounded),
		cmocka_unit_test(test_bad_texts),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_badvers_uses_the_extended_bits),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_reverse_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
