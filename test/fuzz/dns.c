/* dns.c: whatever parses is echoed, answered within the limits, and its name survives the way through text and back. */
#include <stdlib.h>
#include <string.h>

#include "wire/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_answer(const struct dns_query *query, bool is_tcp)
{
	struct dns_answer answer;
	struct ip v4 = ip_v4(198, 18, 0, 1);
	uint8_t out[DNS_UDP_MAX];
	size_t size;

	dns_answer_begin(&answer, query, query->rcode, DNS_AUTHORITATIVE, is_tcp, out, sizeof out);
	for (int i = 0; i < 40; i++)
		dns_answer_add_a(&answer, DNS_ANSWER, query->question_size ? NULL : "a", 60, &v4);
	size = dns_answer_finish(&answer);
	check(size >= DNS_HEADER_SIZE && size <= sizeof out);
	check(is_tcp || query->has_edns || size <= DNS_UDP_PLAIN);
	check(memcmp(out + DNS_HEADER_SIZE, query->question, query->question_size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query query;
	struct prefix prefix;
	uint8_t wire[DNS_WIRE_NAME_MAX];
	char text[DNS_TEXT_MAX + 1];
	size_t wire_size, at = DNS_HEADER_SIZE;

	if (dns_name_read(data, size, &at, wire, &wire_size, text) == OK) {
		size_t again = 0;

		check(at <= size && wire_size <= sizeof wire);
		check(dns_name_from_text(text, wire, &wire_size) == OK);
		check(dns_name_read(wire, wire_size, &again, NULL, NULL, text) == OK);
		if (dns_reverse_parse(text, &prefix) == OK) {
			char back[DNS_REVERSE_MAX];

			dns_reverse_name(&prefix.ip, prefix.bits, back);
			check(strcmp(back, text) == 0);
		}
	}
	if (dns_query_parse(data, size, &query) != OK)
		return 0;
	check_answer(&query, false);
	check_answer(&query, true);
	return 0;
}
