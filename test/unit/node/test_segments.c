/* cut.c and join.c against each other and against a plain packet-by-packet reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/node/cut.h"
#include "proto/node/join.h"

enum { BUFFER = 70000 };

/* xorshift: the same every run. */
static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* A TCP or UDP packet of either version with `payload` bytes that depend on seed. Returns its size. */
static size_t make(uint8_t *p, int version, int protocol, size_t options, size_t payload, uint32_t seed, uint8_t flags)
{
	size_t network = version == 4 ? 20 : 40, transport = protocol == PROTOCOL_TCP ? 20 + options : 8;
	size_t size = network + transport + payload;
	struct inner inner;
	uint32_t state = seed | 1;

	memset(p, 0, network + transport);
	if (version == 4) {
		p[0] = 0x45;
		put16(p + 2, size);
		put16(p + 4, 0xfffe);
		p[6] = 0x40;
		p[8] = 64;
		p[9] = (uint8_t)protocol;
		memcpy(p + 12, (uint8_t[]){198, 18, 0, 1, 198, 18, 0, 2}, 8);
	} else {
		p[0] = 0x60;
		put16(p + 4, size - 40);
		p[6] = (uint8_t)protocol;
		p[7] = 64;
		p[8] = p[24] = 0xfd;
		p[23] = 1;
		p[39] = 2;
	}
	put16(p + network, 1000 + (seed & 3));
	put16(p + network + 2, 80);
	if (protocol == PROTOCOL_TCP) {
		p[network + 4] = 0xff; /* close to where sequence numbers wrap */
		p[network + 5] = 0xff;
		p[network + 6] = 0xf0;
		p[network + 12] = (uint8_t)((20 + options) / 4 << 4);
		p[network + 13] = flags;
		put16(p + network + 14, 500);
	} else {
		put16(p + network + 4, 8 + payload);
	}
	for (size_t i = 0; i < payload; i++)
		p[network + transport + i] = (uint8_t)next(&state);
	assert_int_equal(inner_parse(p, size, &inner), OK);
	inner_fix_network_checksum(p, &inner);
	put16(p + network + inner_checksum_offset((uint8_t)protocol), inner_pseudo_sum(&inner, transport + payload));
	return size;
}

/* Cuts original, joins the pieces, expects the original. Returns how many packets came out. */
static size_t round_trip(uint8_t *original, size_t size, enum packet_gso gso, uint16_t gso_size, bool join_udp)
{
	static uint8_t work[PACKET_ROOM + BUFFER + PACKET_ROOM];
	struct packet packet = {.bytes = work + PACKET_ROOM,
				.size = size,
				.gso = gso,
				.gso_size = gso_size,
				.checksum_partial = true},
		      out;
	struct inner inner;
	struct cut cut;
	struct join join;
	uint8_t *segment, *place;
	size_t segment_size, count = 0, payload = 0, header;

	memcpy(packet.bytes, original, size);
	assert_int_equal(inner_parse(packet.bytes, size, &inner), OK);
	header = inner_header_size(&inner, packet.bytes);
	packet.header_size = (uint16_t)header;
	join_init(&join, join_udp);
	assert_int_equal(cut_begin(&cut, &packet, &inner), OK);
	while (cut_next(&cut, &segment, &segment_size)) {
		struct inner piece;

		assert_true(segment_size <= header + (gso == PACKET_GSO_NONE ? size : gso_size));
		place = join_place(&join, segment_size);
		assert_non_null(place);
		memcpy(place, segment, segment_size);
		assert_int_equal(inner_parse(place, segment_size, &piece), OK);
		assert_int_equal(piece.total_size, segment_size);
		join_accept(&join, &piece, true);
	}
	while (join_next(&join, &out)) {
		assert_int_equal(inner_parse(out.bytes, out.size, &inner), OK);
		assert_memory_equal(out.bytes + header, original + header + payload, out.size - header);
		payload += out.size - header;
		if (count++ == 0 && out.size == size)
			assert_memory_equal(out.bytes, original, size);
	}
	assert_int_equal(payload, size - header);
	join_finish(&join);
	return count;
}

static void superpackets_come_back_as_they_were(void **state)
{
	static uint8_t packet[BUFFER];
	uint32_t random = 7;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		int version = next(&random) & 1 ? 4 : 6;
		uint16_t gso_size = (uint16_t)(200 + next(&random) % 1200);
		size_t payload = gso_size + 1u + next(&random) % (60000 - gso_size), options = next(&random) % 4 * 4;
		size_t size = make(packet, version, PROTOCOL_TCP, options, payload, next(&random),
				   TCP_ACK | (i & 1 ? TCP_PSH : 0));

		assert_int_equal(
			round_trip(packet, size, version == 4 ? PACKET_GSO_TCP4 : PACKET_GSO_TCP6, gso_size, false), 1);
	}
}

static void udp_superpackets_join_only_where_wanted(void **state)
{
	static uint8_t packet[BUFFER];
	size_t size = make(packet, 4, PROTOCOL_UDP, 0, 12345, 3, 0);

	(void)state;
	assert_int_equal(round_trip(packet, size, PACKET_GSO_UDP, 1200, true), 1);
	assert_int_equal(round_trip(packet, size, PACKET_GSO_UDP, 1200, false), 11);
}

static void plain_packets_stay_alone(void **state)
{
	static uint8_t packet[BUFFER];

	(void)state;
	assert_int_equal(round_trip(packet, make(packet, 4, PROTOCOL_TCP, 0, 0, 1, TCP_SYN), PACKET_GSO_NONE, 0, false),
			 1);
	assert_int_equal(round_trip(packet, make(packet, 6, PROTOCOL_TCP, 8, 1, 1, TCP_ACK), PACKET_GSO_NONE, 0, false),
			 1);
}

static void fin_and_push_end_a_superpacket(void **state)
{
	static uint8_t packet[BUFFER];
	size_t size = make(packet, 4, PROTOCOL_TCP, 0, 5000, 9, TCP_ACK | TCP_FIN | TCP_PSH);

	(void)state;
	assert_int_equal(round_trip(packet, size, PACKET_GSO_TCP4, 1000, false), 1);
}

/* Opens `bytes` where the joiner wants it, as session_open would. */
static void feed(struct join *join, const uint8_t *bytes, size_t size, bool authentic)
{
	uint8_t *place = join_place(join, size);
	struct inner inner;

	assert_non_null(place);
	memcpy(place, bytes, size);
	if (!authentic) {
		join_cancel(join);
		return;
	}
	assert_int_equal(inner_parse(place, size, &inner), OK);
	join_accept(join, &inner, true);
}

static void a_forged_segment_leaves_no_trace(void **state)
{
	static uint8_t first[BUFFER], second[BUFFER], garbage[1500];
	struct packet out;
	struct join join;
	size_t size = make(first, 4, PROTOCOL_TCP, 0, 1000, 1, TCP_ACK), payload_at = 40;

	(void)state;
	memset(garbage, 0xaa, sizeof garbage);
	size = make(second, 4, PROTOCOL_TCP, 0, 1000, 1, TCP_ACK);
	put16(second + 24 + 2, 0xf000 + 1000);
	second[20 + 7] = (uint8_t)(1000 & 0xff); /* sequence + 1000, low byte; the next one up below */
	second[20 + 6] = (uint8_t)(0xf0 + (1000 >> 8));
	join_init(&join, false);
	feed(&join, first, size, true);
	feed(&join, garbage, sizeof garbage, false);
	assert_true(join_next(&join, &out));
	assert_memory_equal(out.bytes + payload_at, first + payload_at, 1000);
	join_finish(&join);
}

static void flows_do_not_mix(void **state)
{
	static uint8_t packets[4][BUFFER];
	struct packet out;
	struct join join;
	size_t size = 0;

	(void)state;
	join_init(&join, true);
	for (uint32_t i = 0; i < 4; i++) {
		size = make(packets[i], 4, PROTOCOL_UDP, 0, 800, i, 0); /* seed changes the port */
		feed(&join, packets[i], size, true);
	}
	for (int i = 0; i < 4; i++) {
		assert_true(join_next(&join, &out));
		assert_int_equal(out.size, size);
		assert_int_equal(out.gso, PACKET_GSO_NONE);
		assert_memory_equal(out.bytes + 28, packets[i] + 28, 800);
	}
	assert_false(join_next(&join, &out));
	join_finish(&join);
}

static void the_arena_has_an_end(void **state)
{
	static uint8_t packet[BUFFER];
	size_t size = make(packet, 4, PROTOCOL_UDP, 0, 1000, 0, 0), count = 0;
	struct join join;

	(void)state;
	join_init(&join, false);
	while (join_place(&join, size)) {
		join_cancel(&join);
		feed(&join, packet, size, true);
		count++;
	}
	assert_in_range(count, 64, JOIN_PACKETS_MAX);
	join_reset(&join);
	assert_non_null(join_place(&join, size));
	join_finish(&join);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(superpackets_come_back_as_they_were),
		cmocka_unit_test(udp_superpackets_join_only_where_wanted),
		cmocka_unit_test(plain_packets_stay_alone),
		cmocka_unit_test(fin_and_push_end_a_superpacket),
		cmocka_unit_test(a_forged_segment_leaves_no_trace),
		cmocka_unit_test(flows_do_not_mix),
		cmocka_unit_test(the_arena_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
