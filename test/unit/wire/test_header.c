/* The outer header over all types and paths, message types, probes and relay datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"
#include "wire/message.h"

static bool is_known(unsigned type)
{
	return (type >= 0x01 && type <= 0x06) || (type >= 0x10 && type <= 0x16) || (type >= 0x80 && (type & 0x0c) == 0);
}

static void test_types_and_paths(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++)
		for (unsigned path = 0; path < 256; path++) {
			uint8_t bytes[HEADER_SIZE] = {(uint8_t)type, (uint8_t)path};
			struct reader r = reader_over(bytes, sizeof bytes);
			struct header header;
			bool good = is_known(type) && path < (type >= 0x80 ? PATHS_MAX : 1u);

			assert_int_equal(header_decode(&r, &header), good ? OK : ERR_MALFORMED);
		}
}

/* A relay must never carry what is said to relays or coordinators. */
static void test_end_to_end_types(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		bool expected = type >= 0x80 || type == PACKET_TUNNEL_REQUEST || type == PACKET_TUNNEL_RESPONSE ||
				type == PACKET_HOLE_PUNCHING;

		assert_int_equal(packet_is_end_to_end((uint8_t)type), expected);
	}
}

/* PathID stands where relays look for it, and the rest of the datagram is left to the caller. */
static void test_layout(void **state)
{
	uint8_t bytes[HEADER_SIZE + 1] = {0};
	struct writer w = writer_over(bytes, sizeof bytes);
	struct header header = {
		.type = 0x83, .path = 2, .counter = UINT64_C(0xffffffffffff), .path_id = 0x0102030405060708};
	struct reader r;

	(void)state;
	header_encode(&header, &w);
	assert_int_equal(w.at, HEADER_SIZE);
	assert_memory_equal(bytes, "\x83\x02\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04\x05\x06\x07\x08", HEADER_SIZE);
	r = reader_over(bytes, sizeof bytes);
	assert_int_equal(header_decode(&r, &header), OK);
	assert_int_equal(reader_left(&r), 1);
	header.counter = UINT64_C(1) << 48;
	w = writer_over(bytes, sizeof bytes);
	header_encode(&header, &w);
	assert_int_equal(w.err, ERR_SIZE);
}

static void test_message_types(void **state)
{
	unsigned known = 0;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		uint8_t bytes[] = {(uint8_t)type, 0, 0, 0, 9};
		struct reader r = reader_over(bytes, sizeof bytes);
		struct message_header header;
		enum err err = message_header_decode(&r, &header);

		assert_true(err == OK || err == ERR_UNKNOWN);
		if (err != OK)
			continue;
		assert_int_equal(header.type, type);
		assert_int_equal(header.transaction, 9);
		known++;
	}
	assert_int_equal(known, 10 + 7 + 9 + 4);
}

static void test_probe_flags(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		struct hole_punching m = {.path_id = 1, .flags = (uint8_t)flags}, got;
		uint8_t bytes[HOLE_PUNCHING_SIZE];
		struct writer w = writer_over(bytes, sizeof bytes);
		struct reader r = reader_over(bytes, sizeof bytes);

		hole_punching_encode(&m, &w);
		assert_int_equal(w.at, HOLE_PUNCHING_SIZE);
		assert_int_equal(hole_punching_decode(&r, &got), flags <= HOLE_PUNCHING_ANSWER ? OK : ERR_MALFORMED);
	}
}

/* Challenge, Answer and Bound decode with one function; nothing else does. */
static void test_relay_challenge_types(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		struct relay_challenge m = {.type = (uint8_t)type, .path_id = 1, .leg = 1}, got;
		uint8_t bytes[RELAY_CHALLENGE_SIZE] = {0};
		struct writer w = writer_over(bytes, sizeof bytes);
		struct reader r = reader_over(bytes, sizeof bytes);
		bool good = type >= PACKET_RELAY_CHALLENGE && type <= PACKET_RELAY_BOUND;

		relay_challenge_encode_unsigned(&m, &w);
		assert_int_equal(w.at, RELAY_CHALLENGE_SIZE - MAC_SIZE);
		assert_int_equal(relay_challenge_decode(&r, &got), good ? OK : ERR_MALFORMED);
	}
}

/* A challenge fits the budget of the smallest sealed packet that may suggest an address (E5). */
static void test_challenge_is_small(void **state)
{
	struct path_challenge challenge = {{0}};
	struct path_response response = {.observed = {.ip = {.family = 6, .bytes = {0x20}}, .port = 1}};
	uint8_t bytes[256];
	struct writer w = writer_over(bytes, sizeof bytes);

	(void)state;
	message_header_encode(MESSAGE_PATH_CHALLENGE, 1, &w);
	path_challenge_encode(&challenge, &w);
	assert_true(w.at <= 2 * PAD_TO);
	w = writer_over(bytes, sizeof bytes);
	message_header_encode(MESSAGE_PATH_RESPONSE, 1, &w);
	path_response_encode(&response, &w);
	assert_true(w.at <= 3 * PAD_TO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types_and_paths),
		cmocka_unit_test(test_end_to_end_types),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_message_types),
		cmocka_unit_test(test_probe_flags),
		cmocka_unit_test(test_relay_challenge_types),
		cmocka_unit_test(test_challenge_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
