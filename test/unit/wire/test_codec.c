/* What holds for every codec: samples survive the way there and back, and no bytes whatever do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"
#include "golden.h"
#include "wire/field.h"

enum { UNTOUCHED = 0xaa };

/* One sample, encoded; the message stays for what it lends. */
struct encoded {
	const struct codec *codec;
	uint8_t message[CODEC_MESSAGE_MAX];
	uint8_t bytes[CODEC_BYTES_MAX];
	size_t size;
};

static void encode_sample(const struct codec *codec, unsigned index, struct encoded *ret)
{
	struct writer w = writer_over(ret->bytes, sizeof ret->bytes);

	assert_true(codec->message_size <= sizeof ret->message);
	memset(ret->message, 0, sizeof ret->message);
	ret->codec = codec;
	codec->sample(index, ret->message);
	codec->encode(ret->message, &w);
	assert_int_equal(writer_finish(&w, &ret->size), OK);
}

/* Calls f for every sample of every codec. */
static void for_all(void (*f)(struct encoded *encoded))
{
	struct encoded *encoded = malloc(sizeof *encoded);

	assert_non_null(encoded);
	for (size_t i = 0; i < codec_count; i++)
		for (unsigned k = 0; k < codecs[i].samples; k++) {
			encode_sample(&codecs[i], k, encoded);
			f(encoded);
		}
	free(encoded);
}

/* Decodes an exactly sized copy, so that a sanitizer sees one byte too many; a failure must leave the output alone. */
static enum err decode(const struct codec *codec, const uint8_t *bytes, size_t size, uint8_t *message,
		       uint8_t **ret_copy)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct reader r;
	enum err err;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	r = reader_over(copy, size);
	memset(message, UNTOUCHED, codec->message_size);
	err = codec->decode(&r, message);
	for (size_t i = 0; err != OK && i < codec->message_size; i++)
		assert_int_equal(message[i], UNTOUCHED);
	*ret_copy = copy;
	return err;
}

/* Encoding what was decoded; canonical codecs must give the same bytes. */
static void check_decoded(const struct codec *codec, const uint8_t *message, const uint8_t *bytes, size_t size)
{
	static uint8_t again[CODEC_BYTES_MAX];
	struct writer w = writer_over(again, sizeof again);
	size_t again_size;

	codec->encode(message, &w);
	assert_int_equal(writer_finish(&w, &again_size), OK);
	if (!codec->is_canonical)
		return;
	assert_int_equal(again_size, size);
	assert_memory_equal(again, bytes, size);
}

static enum err try(const struct codec *codec, const uint8_t *bytes, size_t size)
{
	static uint8_t message[CODEC_MESSAGE_MAX];
	uint8_t *copy;
	enum err err = decode(codec, bytes, size, message, &copy);

	if (err == OK)
		check_decoded(codec, message, bytes, size);
	free(copy);
	return err;
}

static void check_round_trip(struct encoded *e)
{
	static uint8_t message[CODEC_MESSAGE_MAX], again[CODEC_BYTES_MAX];
	struct writer w = writer_over(again, sizeof again);
	uint8_t *copy;
	size_t size;

	assert_int_equal(decode(e->codec, e->bytes, e->size, message, &copy), OK);
	e->codec->encode(message, &w);
	assert_int_equal(writer_finish(&w, &size), OK);
	/* Padding is not part of a message; what remains is a prefix then. */
	assert_true(size <= e->size);
	assert_memory_equal(again, e->bytes, size);
	for (size_t i = size; i < e->size; i++)
		assert_int_equal(e->bytes[i], i == size + 2 ? e->size - size - 3 : 0);
	free(copy);
}

static void test_round_trip(void **state)
{
	(void)state;
	for_all(check_round_trip);
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void test_golden_bytes(void **state)
{
	struct encoded *e = malloc(sizeof *e);
	size_t samples = 0;

	(void)state;
	assert_non_null(e);
	for (size_t i = 0; i < codec_count; i++)
		samples += codecs[i].samples;
	assert_int_equal(samples, sizeof goldens / sizeof goldens[0]);
	for (size_t i = 0; i < samples; i++) {
		const struct golden *golden = &goldens[i];
		const struct codec *codec = codec_find(golden->codec);

		assert_non_null(codec);
		encode_sample(codec, golden->sample, e);
		assert_int_equal(2 * e->size, strlen(golden->hex));
		for (size_t k = 0; k < e->size; k++)
			assert_int_equal(e->bytes[k],
					 hex_digit(golden->hex[2 * k]) << 4 | hex_digit(golden->hex[2 * k + 1]));
	}
	free(e);
}

static bool ends_between_fields(const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size), value;
	uint8_t type;
	bool critical;

	while (field_next(&r, &type, &critical, &value))
		;
	return reader_finish(&r) == OK;
}

/* A message may end between two fields when nothing mandatory is missing; everything else is noticed. */
static void check_truncation(struct encoded *e)
{
	for (size_t size = 0; size < e->size; size++) {
		enum err err = try(e->codec, e->bytes, size);

		if (e->codec->is_canonical || !ends_between_fields(e->bytes, size))
			assert_true(err == ERR_TRUNCATED || err == ERR_MALFORMED);
	}
}

static void test_truncation(void **state)
{
	(void)state;
	for_all(check_truncation);
}

/* One byte more is one too many, whatever it is. */
static void check_excess(struct encoded *e)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		e->bytes[e->size] = (uint8_t)byte;
		assert_int_not_equal(try(e->codec, e->bytes, e->size + 1), OK);
	}
}

static void test_excess(void **state)
{
	(void)state;
	for_all(check_excess);
}

static void check_bit_flips(struct encoded *e)
{
	for (size_t bit = 0; bit < 8 * e->size; bit++) {
		e->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		(void)!try(e->codec, e->bytes, e->size);
		e->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_bit_flips(void **state)
{
	(void)state;
	for_all(check_bit_flips);
}

/* A buffer that is too small is told, never overrun. */
static void check_small_buffers(struct encoded *e)
{
	for (size_t size = 0; size < e->size; size++) {
		uint8_t *small = malloc(size ? size : 1);
		struct writer w = writer_over(small, size);
		size_t ignored = 0;

		assert_non_null(small);
		e->codec->encode(e->message, &w);
		assert_int_equal(writer_finish(&w, &ignored), ERR_SIZE);
		free(small);
	}
}

static void test_small_buffers(void **state)
{
	(void)state;
	for_all(check_small_buffers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_golden_bytes),
		cmocka_unit_test(test_truncation), cmocka_unit_test(test_excess),
		cmocka_unit_test(test_bit_flips),  cmocka_unit_test(test_small_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
