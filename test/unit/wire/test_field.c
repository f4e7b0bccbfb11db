/* The rules that all messages share: repeated, missing, foreign, unknown and critical fields; names, texts, addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"
#include "sample.h"
#include "wire/field.h"

enum { FIELDS_MAX = 32 };

/* A message of fields, its mandatory ones and those that may repeat. */
struct shape {
	const char *codec;
	uint64_t mandatory, repeatable;
};

static const struct shape shapes[] = {
	{"registration_request", 1ull << FIELD_CERTIFICATE | 1ull << FIELD_FEATURES | 1ull << FIELD_MOVE_EPOCH,
	 1ull << FIELD_CANDIDATE},
	{"registration_response",
	 1ull << FIELD_LEASE | 1ull << FIELD_KEEPALIVE | 1ull << FIELD_OBSERVED | 1ull << FIELD_NETWORK_TIME, 0},
	{"update_request", 1ull << FIELD_MOVE_EPOCH, 1ull << FIELD_CANDIDATE},
	{"update_response", 1ull << FIELD_OBSERVED | 1ull << FIELD_NETWORK_TIME, 0},
	{"keep_alive", 0, 0},
	{"direction_request", 1ull << FIELD_NAME, 0},
	{"direction_refusal", 1ull << FIELD_REASON | 1ull << FIELD_NAME, 0},
	{"route_direction",
	 1ull << FIELD_PATH_ID | 1ull << FIELD_TEMP_KEY | 1ull << FIELD_SUITE | 1ull << FIELD_CERTIFICATE |
		 1ull << FIELD_LEASE,
	 1ull << FIELD_CANDIDATE | 1ull << FIELD_RELAY},
	{"route_update", 1ull << FIELD_PATH_ID | 1ull << FIELD_MOVE_EPOCH, 1ull << FIELD_CANDIDATE},
	{"link_request", 1ull << FIELD_NETWORK_EPOCH, 0},
	{"link_response", 1ull << FIELD_NETWORK_EPOCH | 1ull << FIELD_NETWORK_TIME | 1ull << FIELD_OBSERVED, 0},
	{"node_information_request",
	 1ull << FIELD_PATH_ID | 1ull << FIELD_TEMP_KEY | 1ull << FIELD_NAME | 1ull << FIELD_CERTIFICATE |
		 1ull << FIELD_LEASE | 1ull << FIELD_FEATURES | 1ull << FIELD_MOVE_EPOCH | 1ull << FIELD_RELAY |
		 1ull << FIELD_LEG_KEY,
	 1ull << FIELD_CANDIDATE | 1ull << FIELD_RELAY},
	{"node_information_response",
	 1ull << FIELD_PATH_ID | 1ull << FIELD_SUITE | 1ull << FIELD_CERTIFICATE | 1ull << FIELD_LEASE |
		 1ull << FIELD_MOVE_EPOCH,
	 1ull << FIELD_CANDIDATE},
	{"route_update_ack", 1ull << FIELD_PATH_ID, 0},
	{"network_request", 1ull << FIELD_NETWORK_EPOCH | 1ull << FIELD_OFFSET, 0},
	{"network_response",
	 1ull << FIELD_NETWORK_EPOCH | 1ull << FIELD_OFFSET | 1ull << FIELD_SIZE | 1ull << FIELD_DATA, 0},
	{"tunnel_hello", 1ull << FIELD_MOVE_EPOCH | 1ull << FIELD_FEATURES, 0},
	{"move", 1ull << FIELD_MOVE_EPOCH, 1ull << FIELD_CANDIDATE},
	{"path_challenge", 1ull << FIELD_CHALLENGE, 0},
	{"path_response", 1ull << FIELD_CHALLENGE, 0},
	{"echo", 1ull << FIELD_DATA, 0},
	{"rekey", 1ull << FIELD_EPOCH | 1ull << FIELD_HANDSHAKE, 0},
	{"close", 1ull << FIELD_REASON, 0},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Fields whose value may have any length. */
static const uint64_t elastic = 1ull << FIELD_CERTIFICATE | 1ull << FIELD_LEASE | 1ull << FIELD_NAME |
				1ull << FIELD_RELAY | 1ull << FIELD_DATA | 1ull << FIELD_HANDSHAKE;

struct piece {
	uint8_t type; /* with the critical bit */
	struct blob value;
};

/* Sample 0, taken apart. */
struct pieces {
	const struct codec *codec;
	uint8_t bytes[CODEC_BYTES_MAX];
	size_t count;
	struct piece list[FIELDS_MAX];
};

static void take_apart(const struct shape *shape, struct pieces *ret)
{
	static uint8_t message[CODEC_MESSAGE_MAX];
	struct writer w = writer_over(ret->bytes, sizeof ret->bytes);
	struct reader r, value;
	bool critical;
	uint8_t type;

	ret->codec = codec_find(shape->codec);
	assert_non_null(ret->codec);
	memset(message, 0, sizeof message);
	ret->codec->sample(0, message);
	ret->codec->encode(message, &w);
	assert_int_equal(w.err, OK);
	r = reader_over(ret->bytes, w.at);
	ret->count = 0;
	while (field_next(&r, &type, &critical, &value)) {
		assert_true(ret->count < FIELDS_MAX);
		ret->list[ret->count++] =
			(struct piece){(uint8_t)(type | (critical ? FIELD_CRITICAL : 0)), {value.data, value.size}};
	}
	assert_int_equal(reader_finish(&r), OK);
}

static void put_piece(struct writer *w, const struct piece *piece)
{
	field_put_bytes(w, piece->type, piece->value.data, piece->value.size);
}

/* All but number `without` (SIZE_MAX: none), then `extra` unless NULL. */
static enum err decode_pieces(const struct pieces *p, size_t without, const struct piece *extra)
{
	static uint8_t bytes[CODEC_BYTES_MAX], message[CODEC_MESSAGE_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct reader r;

	for (size_t i = 0; i < p->count; i++)
		if (i != without)
			put_piece(&w, &p->list[i]);
	if (extra)
		put_piece(&w, extra);
	assert_int_equal(w.err, OK);
	r = reader_over(bytes, w.at);
	return p->codec->decode(&r, message);
}

static uint64_t bit_of(const struct piece *piece)
{
	uint8_t type = piece->type & (uint8_t)~FIELD_CRITICAL;

	return type < 64 ? 1ull << type : 0;
}

static void for_all(void (*f)(const struct shape *shape, const struct pieces *p))
{
	static struct pieces p;

	for (int i = 0; i < SHAPES; i++) {
		take_apart(&shapes[i], &p);
		f(&shapes[i], &p);
	}
}

static void check_missing(const struct shape *shape, const struct pieces *p)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < p->count; i++) {
		bool is_mandatory = bit_of(&p->list[i]) & shape->mandatory;

		assert_int_equal(decode_pieces(p, i, NULL), is_mandatory ? ERR_MALFORMED : OK);
		seen |= bit_of(&p->list[i]);
	}
	assert_int_equal(seen & shape->mandatory, shape->mandatory);
}

static void test_missing_fields(void **state)
{
	(void)state;
	for_all(check_missing);
}

/* registration_request has as many candidates as may be: one more is too many there. */
static void check_repeated(const struct shape *shape, const struct pieces *p)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct piece *piece = &p->list[i];
		bool is_unknown = bit_of(piece) == 0, is_pad = piece->type == FIELD_PAD;
		bool may_repeat = is_unknown || is_pad || (bit_of(piece) & shape->repeatable);

		if (strcmp(shape->codec, "registration_request") == 0 && piece->type == FIELD_CANDIDATE)
			may_repeat = false;
		assert_int_equal(decode_pieces(p, SIZE_MAX, piece), may_repeat ? OK : ERR_MALFORMED);
	}
}

static void test_repeated_fields(void **state)
{
	(void)state;
	for_all(check_repeated);
}

/* Numbers that nobody uses, one that another message uses, and one from the range that never gets a meaning. */
static void check_unknown(const struct shape *shape, const struct pieces *p)
{
	static const uint8_t types[] = {FIELD_FIRST_FREE, FIELD_MTU, 0x3f, 0x40, FIELD_TOLERANCE, 0x7f};

	(void)shape;
	for (size_t i = 0; i < sizeof types; i++) {
		struct piece extra = {types[i], {(const uint8_t *)"x", i % 2}};

		assert_int_equal(decode_pieces(p, SIZE_MAX, &extra), OK);
		extra.type |= FIELD_CRITICAL;
		assert_int_equal(decode_pieces(p, SIZE_MAX, &extra), ERR_CRITICAL);
	}
}

static void test_unknown_fields(void **state)
{
	(void)state;
	for_all(check_unknown);
}

/* One byte short and one byte long. */
static void check_sizes(const struct shape *shape, const struct pieces *p)
{
	static uint8_t longer[CODEC_BYTES_MAX];

	(void)shape;
	for (size_t i = 0; i < p->count; i++) {
		struct piece piece = p->list[i];

		if (bit_of(&piece) == 0 || piece.type == FIELD_PAD || (bit_of(&piece) & elastic))
			continue;
		memcpy(longer, piece.value.data, piece.value.size);
		piece.value.data = longer;
		piece.value.size++;
		assert_int_equal(decode_pieces(p, i, &piece), ERR_MALFORMED);
		if (piece.value.size == 1)
			continue;
		piece.value.size -= 2;
		assert_int_equal(decode_pieces(p, i, &piece), ERR_MALFORMED);
	}
}

static void test_value_sizes(void **state)
{
	(void)state;
	for_all(check_sizes);
}

/* Anything else would be a channel that nobody looks at. */
static void check_padding(const struct shape *shape, const struct pieces *p)
{
	struct piece pad = {FIELD_PAD, {(const uint8_t *)"\0\0\0\0", 4}};

	(void)shape;
	assert_int_equal(decode_pieces(p, SIZE_MAX, &pad), OK);
	pad.value.data = (const uint8_t *)"\0\0\1\0";
	assert_int_equal(decode_pieces(p, SIZE_MAX, &pad), ERR_MALFORMED);
}

static void test_padding_is_zero(void **state)
{
	(void)state;
	for_all(check_padding);
}

static void test_padding_size(void **state)
{
	(void)state;
	for (size_t size = 0; size < 300; size++) {
		uint8_t bytes[400];
		struct writer w = writer_over(bytes, sizeof bytes);

		write_zeros(&w, 10);
		field_put_u8(&w, FIELD_EPOCH, 1);
		field_put_pad(&w, 10, size);
		assert_int_equal(w.err, OK);
		assert_true(w.at - 10 >= size);
		assert_true(w.at - 10 <= (size > 4 ? size + 2 : 4));
	}
}

/* Certificates, leases and tickets are bounded; a tunnel's relay may be told more than once. */
static void test_oversized_values(void **state)
{
	static const uint8_t large[1300];
	static const struct {
		const char *codec;
		uint8_t type;
		size_t max;
	} rows[] = {
		{"registration_request", FIELD_CERTIFICATE, CERTIFICATE_MAX_SIZE},
		{"registration_response", FIELD_LEASE, LEASE_MAX_SIZE},
		{"route_direction", FIELD_CERTIFICATE, CERTIFICATE_MAX_SIZE},
		{"route_direction", FIELD_LEASE, LEASE_MAX_SIZE},
		{"echo", FIELD_DATA, ECHO_MAX},
		{"rekey", FIELD_HANDSHAKE, CONTROL_MAX},
	};
	static struct pieces p;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct piece piece = {rows[i].type, {large, rows[i].max}};
		size_t at = 0;

		take_apart(&(struct shape){.codec = rows[i].codec}, &p);
		while ((p.list[at].type & ~FIELD_CRITICAL) != rows[i].type)
			at++;
		assert_int_equal(decode_pieces(&p, at, &piece), OK);
		piece.value.size++;
		assert_int_equal(decode_pieces(&p, at, &piece), ERR_MALFORMED);
	}
}

static void test_first_relay_counts(void **state)
{
	struct route_direction m = {0}, got;
	uint8_t bytes[2048];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct reader r;

	(void)state;
	sample_route_direction(0, &m);
	route_direction_encode(&m, &w);
	r = reader_over(bytes, w.at);
	assert_int_equal(route_direction_decode(&r, &got), OK);
	field_put_bytes(&w, FIELD_RELAY, "\7relay-2\0\1", 10);
	write_zeros(&w, KEY_SIZE);
	assert_int_equal(w.err, OK);
	write_u16_at(&w, w.at - KEY_SIZE - 12, 10 + KEY_SIZE);
	r = reader_over(bytes, w.at);
	assert_int_equal(route_direction_decode(&r, &got), OK);
	assert_string_equal(got.relay.name, "relay-1");
	/* A leg is 0 or 1. */
	bytes[w.at - KEY_SIZE - 1] = 2;
	r = reader_over(bytes, w.at);
	assert_int_equal(route_direction_decode(&r, &got), ERR_MALFORMED);
}

static void test_unknown_suite_is_refused(void **state)
{
	(void)state;
	for (unsigned suite = 0; suite < 256; suite++) {
		struct route_direction m = {0};
		uint8_t bytes[1024];
		struct writer w = writer_over(bytes, sizeof bytes);
		struct reader r;

		sample_route_direction(1, &m);
		m.suite = (uint8_t)suite;
		route_direction_encode(&m, &w);
		r = reader_over(bytes, w.at);
		assert_int_equal(route_direction_decode(&r, &m), suite == 1 || suite == 2 ? OK : ERR_MALFORMED);
	}
}

/* Both, or none, of name and address. */
static void test_direction_request_names_one(void **state)
{
	struct direction_request m = {.ip = ip_v4(198, 18, 0, 3)};
	uint8_t bytes[256];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct reader r = reader_over(bytes, 0);

	(void)state;
	assert_int_equal(direction_request_decode(&r, &m), ERR_MALFORMED);
	strcpy(m.name, "a.b");
	direction_request_encode(&m, &w);
	r = reader_over(bytes, w.at);
	assert_int_equal(direction_request_decode(&r, &m), ERR_MALFORMED);
}

static void test_typed_capitals_become_small(void **state)
{
	struct direction_request m = {.name = "B.Ntm.INTERNAL"};
	uint8_t bytes[256];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct reader r;

	(void)state;
	direction_request_encode(&m, &w);
	r = reader_over(bytes, w.at);
	assert_int_equal(direction_request_decode(&r, &m), OK);
	assert_string_equal(m.name, "b.ntm.internal");
}

/* A refusal has a reason and no lease; an acceptance the other way round. */
static void test_registration_response_is_one_of_two(void **state)
{
	static struct pieces p;
	const struct piece refused = {FIELD_REASON, {(const uint8_t *)"\3", 1}},
			   none = {FIELD_REASON, {(const uint8_t *)"\0", 1}};

	(void)state;
	take_apart(&(struct shape){.codec = "registration_response"}, &p);
	assert_int_equal(decode_pieces(&p, SIZE_MAX, &refused), ERR_MALFORMED);
	assert_int_equal(decode_pieces(&p, SIZE_MAX, &none), ERR_MALFORMED);
}

static void test_names(void **state)
{
	static const char *const good[] = {"a",
					   "a.b",
					   "node-1.ntm.internal",
					   "0.1",
					   "xn--e1afmkfd.example",
					   "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz-0123456789"};
	static const char *const bad[] = {
		"",	    ".",
		"a.",	    ".a",
		"a..b",	    "-a",
		"a-",	    "a.-b",
		"A",	    "a_b",
		"a b",	    "a\n",
		"\xc3\xa4", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz-0123456789x"};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(name_is_valid(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(name_is_valid(bad[i]));
}

/* What is read may be printed on a terminal. */
static void test_texts_are_printable(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		uint8_t bytes[] = {3, 'a', (uint8_t)byte, 'b'};
		struct reader r = reader_over(bytes, sizeof bytes);
		char text[4] = "xyz";

		read_text(&r, text, 3);
		if (byte >= 0x20 && byte <= 0x7e) {
			assert_int_equal(reader_finish(&r), OK);
			assert_memory_equal(text, bytes + 1, 3);
		} else {
			assert_int_equal(reader_finish(&r), ERR_MALFORMED);
			assert_string_equal(text, "");
		}
	}
}

static void test_text_limits(void **state)
{
	const uint8_t bytes[] = {3, 'a', 'b', 'c'};
	struct reader r = reader_over(bytes, sizeof bytes);
	char text[4], long_text[300];
	uint8_t out[400];
	struct writer w = writer_over(out, sizeof out);

	(void)state;
	read_text(&r, text, 2);
	assert_int_equal(reader_finish(&r), ERR_MALFORMED);
	r = reader_over(bytes, sizeof bytes);
	read_text(&r, text, 3);
	assert_string_equal(text, "abc");
	memset(long_text, 'a', sizeof long_text - 1);
	long_text[256] = '\0';
	write_text(&w, long_text);
	assert_int_equal(w.err, ERR_SIZE);
	w = writer_over(out, sizeof out);
	long_text[255] = '\0';
	write_text(&w, long_text);
	assert_int_equal(w.err, OK);
}

/* One encoding per address: family 4 and 6, nothing mapped. */
static void test_addresses(void **state)
{
	uint8_t bytes[19] = {6, 0x1c, 0xc7, [13] = 0xff, 0xff, 192, 0, 2, 1};
	struct reader r = reader_over(bytes, sizeof bytes);
	struct addr addr = read_addr(&r);

	(void)state;
	assert_int_equal(r.err, ERR_MALFORMED);
	assert_false(addr_is_set(&addr));
	bytes[13] = 0;
	r = reader_over(bytes, sizeof bytes);
	addr = read_addr(&r);
	assert_int_equal(reader_finish(&r), OK);
	assert_int_equal(addr.port, 7367);
	for (unsigned family = 0; family < 256; family++) {
		bytes[0] = (uint8_t)family;
		r = reader_over(bytes, sizeof bytes);
		addr = read_addr(&r);
		assert_int_equal(r.err, family == 4 || family == 6 ? OK : ERR_MALFORMED);
	}
}

/* Never critical, never a number that may get a meaning. */
static void test_unknown_field_is_harmless(void **state)
{
	uint32_t seen = 0;

	(void)state;
	for (uint32_t seed = 0; seed < 100000; seed++) {
		uint8_t bytes[16];
		struct writer w = writer_over(bytes, sizeof bytes);
		struct reader r, value;
		uint8_t type;
		bool critical;

		field_put_unknown(&w, seed);
		assert_int_equal(w.err, OK);
		r = reader_over(bytes, w.at);
		assert_true(field_next(&r, &type, &critical, &value));
		assert_int_equal(reader_finish(&r), OK);
		assert_false(critical);
		assert_true(type >= FIELD_TOLERANCE && value.size <= 4);
		seen |= UINT32_C(1) << (type - FIELD_TOLERANCE);
	}
	assert_int_equal(seen, UINT32_MAX);
}

static void test_field_length_limit(void **state)
{
	static uint8_t bytes[70000];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t begun = field_begin(&w, FIELD_DATA);

	(void)state;
	write_zeros(&w, 65536);
	field_end(&w, begun);
	assert_int_equal(w.err, ERR_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_fields),
		cmocka_unit_test(test_repeated_fields),
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_value_sizes),
		cmocka_unit_test(test_padding_is_zero),
		cmocka_unit_test(test_padding_size),
		cmocka_unit_test(test_oversized_values),
		cmocka_unit_test(test_first_relay_counts),
		cmocka_unit_test(test_unknown_suite_is_refused),
		cmocka_unit_test(test_direction_request_names_one),
		cmocka_unit_test(test_typed_capitals_become_small),
		cmocka_unit_test(test_registration_response_is_one_of_two),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_texts_are_printable),
		cmocka_unit_test(test_text_limits),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_unknown_field_is_harmless),
		cmocka_unit_test(test_field_length_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
