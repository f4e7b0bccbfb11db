/* test_zone.c: the name server, by a table of questions. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "wire/dns.h"
#include "wire/zone_record.h"

/* An answer taken apart far enough to compare. */
struct answer {
	size_t size;
	uint8_t bytes[DNS_UDP_MAX];
	uint8_t rcode;
	bool is_authoritative, is_truncated;
	uint16_t counts[3];
	uint16_t type; /* of the first record of the first section that has one */
	char owner[DNS_TEXT_MAX + 1];
	uint32_t ttl_s;
	struct blob data;
};

static size_t question_make(uint8_t *packet, const char *name, uint16_t type, uint16_t class, bool edns)
{
	struct writer w = writer_over(packet, 512);
	uint8_t wire[DNS_WIRE_NAME_MAX];
	size_t size, wire_size;

	assert_int_equal(dns_name_from_text(name, wire, &wire_size), OK);
	write_u16(&w, 0x1234);
	write_u16(&w, 0x0100);
	write_u16(&w, 1);
	write_u16(&w, 0);
	write_u16(&w, 0);
	write_u16(&w, edns);
	write_bytes(&w, wire, wire_size);
	write_u16(&w, type);
	write_u16(&w, class);
	if (edns) {
		write_bytes(&w, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
	}
	assert_int_equal(writer_finish(&w, &size), OK);
	return size;
}

static void answer_open(struct answer *answer, size_t question_size)
{
	struct reader r = reader_over(answer->bytes, answer->size);
	uint16_t flags;
	size_t at;

	assert_int_equal(read_u16(&r), 0x1234);
	flags = read_u16(&r);
	assert_true(flags & 0x8000);
	assert_false(flags & 0x0080); /* no recursion here */
	answer->rcode = flags & 15;
	answer->is_authoritative = flags & 0x0400;
	answer->is_truncated = flags & 0x0200;
	(void)read_u16(&r);
	for (int i = 0; i < 3; i++)
		answer->counts[i] = read_u16(&r);
	if (answer->counts[0] + answer->counts[1] == 0)
		return;
	r.at = at = question_size;
	assert_int_equal(dns_name_read(answer->bytes, answer->size, &at, NULL, NULL, answer->owner), OK);
	r.at = at;
	answer->type = read_u16(&r);
	assert_int_equal(read_u16(&r), DNS_CLASS_IN);
	answer->ttl_s = read_u32(&r);
	answer->data = read_blob(&r, read_u16(&r));
	assert_int_equal(r.err, OK);
}

static void ask(struct world *world, const char *name, uint16_t type, struct answer *ret)
{
	uint8_t packet[512];
	size_t size = question_make(packet, name, type, DNS_CLASS_IN, false);

	memset(ret, 0, sizeof *ret);
	ret->size = coordinator_answer_dns(world->c, world->now, packet, size, false, ret->bytes, sizeof ret->bytes);
	assert_in_range(ret->size, DNS_HEADER_SIZE, DNS_UDP_PLAIN);
	assert_memory_equal(ret->bytes + DNS_HEADER_SIZE, packet + DNS_HEADER_SIZE,
			    size - DNS_HEADER_SIZE); /* case and all */
	answer_open(ret, size);
}

struct row {
	const char *name;
	uint16_t type;
	uint8_t rcode;
	uint16_t answers, authorities;
	uint16_t record; /* type of the first record */
};

static void test_table(void **state)
{
	static const struct row rows[] = {
		{"a.ntm.internal", DNS_A, DNS_NOERROR, 1, 0, DNS_A},
		{"A.NtM.inTERnal", DNS_A, DNS_NOERROR, 1, 0, DNS_A},
		{"a.ntm.internal", DNS_AAAA, DNS_NOERROR, 1, 0, DNS_AAAA},
		{"a.ntm.internal", DNS_ANY, DNS_NOERROR, 1, 0, DNS_A},
		{"a.ntm.internal", 16, DNS_NOERROR, 0, 1, DNS_SOA}, /* TXT: NODATA */
		{"b.ntm.internal", DNS_A, DNS_NXDOMAIN, 0, 1, DNS_SOA},
		{"x.a.ntm.internal", DNS_A, DNS_NXDOMAIN, 0, 1, DNS_SOA},
		{"gone.ntm.internal", DNS_A, DNS_NXDOMAIN, 0, 1, DNS_SOA},    /* revoked */
		{"away.ntm.internal", DNS_AAAA, DNS_NOERROR, 1, 0, DNS_AAAA}, /* offline: the address stays its own */
		{"ntm.internal", DNS_SOA, DNS_NOERROR, 1, 0, DNS_SOA},
		{"ntm.internal", DNS_NS, DNS_NOERROR, 1, 0, DNS_NS},
		{"ntm.internal", DNS_ANY, DNS_NOERROR, 1, 0, DNS_SOA},
		{"ntm.internal", DNS_A, DNS_NOERROR, 0, 1, DNS_SOA},
		{"ns.ntm.internal", DNS_A, DNS_NOERROR, 1, 0, DNS_A},
		{"ns.ntm.internal", DNS_AAAA, DNS_NOERROR, 0, 1, DNS_SOA},
		{"18.198.in-addr.arpa", DNS_SOA, DNS_NOERROR, 1, 0, DNS_SOA},
		{"19.198.in-addr.arpa", DNS_NS, DNS_NOERROR, 1, 0, DNS_NS},
		{"0.18.198.in-addr.arpa", DNS_PTR, DNS_NOERROR, 0, 1, DNS_SOA},
		{"1.0.18.198.in-addr.arpa", DNS_PTR, DNS_NOERROR, 1, 0, DNS_PTR},
		{"200.0.18.198.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN, 0, 1, DNS_SOA},
		{"d.6.4.7.e.6.d.f.ip6.arpa", DNS_SOA, DNS_NOERROR, 1, 0, DNS_SOA},
		{"1.0.17.198.in-addr.arpa", DNS_PTR, DNS_REFUSED, 0, 0, 0},
		{"198.in-addr.arpa", DNS_PTR, DNS_REFUSED, 0, 0, 0},
		{"example.org", DNS_A, DNS_REFUSED, 0, 0, 0},
		{"internal", DNS_A, DNS_REFUSED, 0, 0, 0},
		{"xntm.internal", DNS_A, DNS_REFUSED, 0, 0, 0},
		{"", DNS_NS, DNS_REFUSED, 0, 0, 0},
		{"ntm.internal", DNS_AXFR, DNS_REFUSED, 0, 0, 0},
		{"ntm.internal", DNS_IXFR, DNS_REFUSED, 0, 0, 0},
		{"a.ntm.internal", 250, DNS_NOTIMP, 0, 0, 0},
		{"a.ntm.internal", DNS_OPT, DNS_FORMERR, 0, 0, 0},
	};
	struct world world;
	struct fake_node *gone, *away;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	fake_register(&world, world_node(&world, "a"));
	gone = world_node(&world, "gone");
	away = world_node(&world, "away");
	fake_register(&world, gone);
	fake_register(&world, away);
	coordinator_revoke(world.c, world.now, &gone->certificate.id);
	world_pump(&world);
	world_restart(&world); /* names need no session */
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *row = &rows[i];
		struct answer answer;

		ask(&world, row->name, row->type, &answer);
		if (answer.rcode != row->rcode || answer.counts[0] != row->answers ||
		    answer.counts[1] != row->authorities || answer.type != row->record || answer.is_truncated)
			fail_msg("%s type %u: rcode %u, %u answers, %u authorities, type %u", row->name, row->type,
				 answer.rcode, answer.counts[0], answer.counts[1], answer.type);
		assert_int_equal(answer.is_authoritative, row->answers + row->authorities > 0);
		if (answer.type)
			assert_int_equal(answer.ttl_s, 60);
	}
	world_finish(&world);
}

static void test_data(void **state)
{
	struct world world;
	struct fake_node *a;
	struct answer answer;
	char name[DNS_REVERSE_MAX], text[DNS_TEXT_MAX + 1];
	size_t at;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	ask(&world, "a.ntm.internal", DNS_A, &answer);
	assert_int_equal(answer.data.size, 4);
	assert_memory_equal(answer.data.data, a->lease.v4.bytes, 4);
	ask(&world, "a.ntm.internal", DNS_AAAA, &answer);
	assert_memory_equal(answer.data.data, a->lease.v6.bytes, 16);
	dns_reverse_name(&a->lease.v6, 128, name);
	ask(&world, name, DNS_PTR, &answer);
	at = (size_t)(answer.data.data - answer.bytes);
	assert_int_equal(dns_name_read(answer.bytes, answer.size, &at, NULL, NULL, text), OK);
	assert_string_equal(text, "a.ntm.internal");
	ask(&world, "nobody.ntm.internal", DNS_A, &answer);
	assert_string_equal(answer.owner, "ntm.internal");
	ask(&world, "ntm.internal", DNS_NS, &answer);
	assert_int_equal(answer.counts[2], 1); /* glue */
	world_finish(&world);
}

static void test_class_edns_and_silence(void **state)
{
	struct world world;
	uint8_t packet[512];
	struct answer answer = {0};
	size_t size;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	size = question_make(packet, "ntm.internal", DNS_SOA, 3, false); /* CHAOS */
	answer.size =
		coordinator_answer_dns(world.c, world.now, packet, size, false, answer.bytes, sizeof answer.bytes);
	answer_open(&answer, size);
	assert_int_equal(answer.rcode, DNS_REFUSED);
	size = question_make(packet, "ntm.internal", DNS_SOA, DNS_CLASS_IN, true);
	answer.size =
		coordinator_answer_dns(world.c, world.now, packet, size, false, answer.bytes, sizeof answer.bytes);
	answer_open(&answer, size - DNS_OPT_SIZE);
	assert_int_equal(answer.counts[2], 1); /* OPT answers OPT */
	packet[2] |= 0x80;
	assert_int_equal(
		coordinator_answer_dns(world.c, world.now, packet, size, false, answer.bytes, sizeof answer.bytes), 0);
	assert_int_equal(
		coordinator_answer_dns(world.c, world.now, packet, 5, false, answer.bytes, sizeof answer.bytes), 0);
	world_finish(&world);
}

/* What another coordinator needs to find this one, and whom to ask for the names of a zone inside this one. */
static void test_other_zones(void **state)
{
	struct world one, two;
	struct answer answer;
	struct zone_record record;
	uint8_t question[ZONE_QUESTION_MAX], bytes[DNS_UDP_MAX], pin[JOIN_PIN_SIZE];
	struct writer w = writer_over(question, sizeof question);
	uint8_t letters[ZONE_CASE_SIZE];
	struct blob asked;
	uint32_t ttl_s;
	size_t size;

	(void)state;
	world_init(&one, "198.18.0.0/16");
	ask(&one, "_ntm.ntm.internal", DNS_TXT,
	    &answer); /* no network document yet: the name is there, its record not */
	assert_int_equal(answer.rcode, DNS_NOERROR);
	assert_int_equal(answer.type, DNS_SOA);
	world_init(&two, "198.19.0.0/16");
	world_join(&one, &two);
	memset(letters, 0x5a, sizeof letters);
	zone_question_encode("two.ntm.internal", 0x4711, letters, &w);
	assert_int_equal(writer_finish(&w, &size), OK);
	asked = (struct blob){question, size};
	assert_memory_equal(question + 13, "_nTM", 4);
	size = coordinator_answer_dns(two.c, two.now, question, size, false, bytes, sizeof bytes);
	assert_int_equal(zone_answer_decode(bytes, size, asked, "two.ntm.internal", &record, &ttl_s), OK);
	assert_int_equal(ttl_s, 60);
	authority_pin(one.authority.public, pin);
	assert_memory_equal(record.pin, pin, sizeof pin);
	assert_memory_equal(record.static_key, two.config.static_keys.public, KEY_SIZE);
	assert_int_equal(record.addresses.count, 1);
	assert_true(addr_equal(&record.addresses.list[0], &two.address));
	/* Not what was asked for. */
	for (size_t cut = 0; cut < size - DNS_OPT_SIZE; cut++)
		assert_int_equal(zone_answer_decode(bytes, cut, asked, "two.ntm.internal", &record, &ttl_s),
				 ERR_UNKNOWN);
	for (size_t at = 0; at < 2 + asked.size - DNS_OPT_SIZE; at++) {
		if (at >= 4 && at < 12)
			continue;
		bytes[at] ^= 0x20; /* another id, other flags, other letters */
		assert_int_equal(zone_answer_decode(bytes, size, asked, "two.ntm.internal", &record, &ttl_s),
				 at == 2 || at == 3 ? OK : ERR_UNKNOWN);
		bytes[at] ^= 0x20;
	}
	/* There is none: not the coordinator's zone. */
	w = writer_over(question, sizeof question);
	zone_question_encode("b.two.ntm.internal", 1, letters, &w);
	asked.size = w.at;
	size = coordinator_answer_dns(two.c, two.now, question, asked.size, false, bytes, sizeof bytes);
	assert_int_equal(zone_answer_decode(bytes, size, asked, "b.two.ntm.internal", &record, &ttl_s), ERR_DENIED);
	bytes[3] = (uint8_t)((bytes[3] & 0xf0) | DNS_SERVFAIL);
	assert_int_equal(zone_answer_decode(bytes, size, asked, "b.two.ntm.internal", &record, &ttl_s), ERR_UNKNOWN);
	/* A referral. */
	ask(&one, "b.two.ntm.internal", DNS_A, &answer);
	assert_int_equal(answer.rcode, DNS_NOERROR);
	assert_false(answer.is_authoritative);
	assert_int_equal(answer.counts[0], 0);
	assert_int_equal(answer.type, DNS_NS);
	assert_string_equal(answer.owner, "two.ntm.internal");
	assert_int_equal(answer.counts[2], 1);
	world_finish(&one);
	world_finish(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_class_edns_and_silence),
		cmocka_unit_test(test_other_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
