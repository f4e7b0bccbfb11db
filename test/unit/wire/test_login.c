/* Frames on a stream, login messages inside them, and join codes as people type them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"
#include "wire/field.h"

static enum err next(const uint8_t *data, size_t size, uint8_t *ret_type, struct blob *ret_body, size_t *ret_consumed)
{
	uint8_t *copy = malloc(size ? size : 1);
	enum err err;

	assert_non_null(copy);
	memcpy(copy, data, size);
	err = login_frame_next(copy, size, ret_type, ret_body, ret_consumed);
	free(copy);
	return err;
}

static void test_frames_on_a_stream(void **state)
{
	uint8_t stream[64], type = 0;
	struct writer w = writer_over(stream, sizeof stream);
	struct blob body = {0};
	size_t consumed = 0, first;

	(void)state;
	login_frame_encode(FRAME_NETWORK_REQUEST, (struct blob){0}, &w);
	first = w.at;
	login_frame_encode(FRAME_NETWORK_RESPONSE, (struct blob){(const uint8_t *)"body", 4}, &w);
	assert_memory_equal(stream, "\0\0\0\1\3\0\0\0\5\4body", 14);
	for (size_t size = 0; size < first; size++)
		assert_int_equal(next(stream, size, &type, &body, &consumed), ERR_TRUNCATED);
	assert_int_equal(next(stream, w.at, &type, &body, &consumed), OK);
	assert_int_equal(type, FRAME_NETWORK_REQUEST);
	assert_int_equal(body.size, 0);
	assert_int_equal(consumed, first);
	for (size_t size = 0; size < w.at - first; size++)
		assert_int_equal(next(stream + first, size, &type, &body, &consumed), ERR_TRUNCATED);
	assert_int_equal(login_frame_next(stream + first, w.at - first, &type, &body, &consumed), OK);
	assert_int_equal(type, FRAME_NETWORK_RESPONSE);
	assert_int_equal(body.size, 4);
	assert_memory_equal(body.data, "body", 4);
}

/* Refused by its length alone, before anything of it is buffered. */
static void test_frame_lengths(void **state)
{
	static const struct {
		uint32_t length;
		enum err err;
	} rows[] = {{0, ERR_MALFORMED},
		    {1, ERR_TRUNCATED},
		    {LOGIN_FRAME_MAX - 4, ERR_TRUNCATED},
		    {LOGIN_FRAME_MAX - 3, ERR_MALFORMED},
		    {UINT32_MAX, ERR_MALFORMED}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t bytes[4], type;
		struct writer w = writer_over(bytes, sizeof bytes);
		struct blob body;
		size_t consumed;

		write_u32(&w, rows[i].length);
		assert_int_equal(next(bytes, sizeof bytes, &type, &body, &consumed), rows[i].err);
	}
}

static void test_largest_frame(void **state)
{
	static uint8_t body[LOGIN_FRAME_MAX], frame[LOGIN_FRAME_MAX + 100];
	struct writer w = writer_over(frame, sizeof frame);
	struct blob found;
	size_t consumed, size = 0;
	uint8_t type;

	(void)state;
	login_frame_encode(FRAME_NETWORK_RESPONSE, (struct blob){body, LOGIN_FRAME_MAX - 5}, &w);
	assert_int_equal(login_frame_next(frame, w.at, &type, &found, &consumed), OK);
	assert_int_equal(consumed, LOGIN_FRAME_MAX);
	w = writer_over(frame, sizeof frame);
	login_frame_encode(FRAME_NETWORK_RESPONSE, (struct blob){body, LOGIN_FRAME_MAX - 4}, &w);
	assert_int_equal(writer_finish(&w, &size), ERR_SIZE);
}

/* The largest documents fit a frame. */
static void test_largest_response(void **state)
{
	static struct login_response m, got;
	static uint8_t frame[LOGIN_FRAME_MAX];
	struct writer w = writer_over(frame, sizeof frame);
	struct blob body;
	struct reader r;
	size_t consumed;
	uint8_t type;

	(void)state;
	memset(m.certificate, 1, sizeof m.certificate);
	memset(m.network, 2, sizeof m.network);
	m.certificate_size = sizeof m.certificate;
	m.network_size = sizeof m.network;
	login_response_encode(&m, &w);
	assert_int_equal(login_frame_next(frame, w.at, &type, &body, &consumed), OK);
	r = reader_over(body.data, body.size);
	assert_int_equal(login_response_decode(&r, &got), OK);
	assert_memory_equal(&m, &got, sizeof m);
}

/* Fields of a login request, one of them too often, missing or wrong. */
static void test_login_request_rules(void **state)
{
	uint8_t frame[1024];
	struct writer w = writer_over(frame, sizeof frame);
	struct login_request m = {0}, got;
	struct addr addr = {.ip = ip_v4(192, 0, 2, 1), .port = 1};
	struct reader r;

	(void)state;
	sample_login_request(0, &m);
	login_request_encode(&m, &w);
	r = reader_over(frame + 5, w.at - 5);
	assert_int_equal(login_request_decode(&r, &got), OK);
	assert_string_equal(got.name, m.name);
	assert_int_equal(got.addresses.count, SERVER_ADDRESSES_MAX);
	field_put_addr(&w, FIELD_SERVER_ADDRESS, &addr); /* one too many */
	r = reader_over(frame + 5, w.at - 5);
	assert_int_equal(login_request_decode(&r, &got), ERR_MALFORMED);
	m.role = ROLE_EXIT + 1;
	w = writer_over(frame, sizeof frame);
	login_request_encode(&m, &w);
	r = reader_over(frame + 5, w.at - 5);
	assert_int_equal(login_request_decode(&r, &got), ERR_MALFORMED);
	/* A wish is as typed: the account server tells the person what is wrong with it. */
	m.role = ROLE_NODE;
	strcpy(m.name, "My Laptop");
	w = writer_over(frame, sizeof frame);
	login_request_encode(&m, &w);
	r = reader_over(frame + 5, w.at - 5);
	assert_int_equal(login_request_decode(&r, &got), OK);
	assert_string_equal(got.name, "My Laptop");
	field_put_u8(&w, 0x50 | FIELD_CRITICAL, 1);
	r = reader_over(frame + 5, w.at - 5);
	assert_int_equal(login_request_decode(&r, &got), ERR_CRITICAL);
}

static const char code_text[] = "ntm1-AQAQERITFBUWFxgZGhscHR4fMDEyMzQ1Njc4OTo7PD0-PwEEHMfAAAIAN3Tr7Q";

static void test_join_code_text(void **state)
{
	struct join_code m = {0}, got;
	char text[JOIN_CODE_MAX];

	(void)state;
	sample_join_code(1, &m);
	assert_int_equal(join_code_format(&m, text), OK);
	assert_string_equal(text, code_text);
	assert_int_equal(join_code_parse(text, &got), OK);
	assert_int_equal(got.role, m.role);
	assert_memory_equal(got.pin, m.pin, JOIN_PIN_SIZE);
	assert_memory_equal(got.secret, m.secret, JOIN_SECRET_SIZE);
	assert_int_equal(got.addresses.count, 1);
	assert_true(addr_equal(&got.addresses.list[0], &m.addresses.list[0]));
}

/* Every single character mistyped as every other one, every two neighbours swapped, every one left out or doubled. */
static void test_join_code_typing_mistakes(void **state)
{
	char text[2 * sizeof code_text];
	struct join_code got;

	(void)state;
	for (size_t i = 0; i < sizeof code_text - 1; i++) {
		for (int c = 1; c < 128; c++) {
			memcpy(text, code_text, sizeof code_text);
			text[i] = (char)c;
			if (c != code_text[i])
				assert_int_equal(join_code_parse(text, &got), ERR_MALFORMED);
		}
		memcpy(text, code_text, sizeof code_text);
		text[i] = code_text[i + 1];
		text[i + 1] = code_text[i];
		if (text[i] != text[i + 1])
			assert_int_equal(join_code_parse(text, &got), ERR_MALFORMED);
		(void)snprintf(text, sizeof text, "%.*s%s", (int)i, code_text, code_text + i + 1);
		assert_int_equal(join_code_parse(text, &got), ERR_MALFORMED);
		(void)snprintf(text, sizeof text, "%.*s%s", (int)i + 1, code_text, code_text + i);
		assert_int_equal(join_code_parse(text, &got), ERR_MALFORMED);
	}
}

static void test_join_code_limits(void **state)
{
	struct join_code m = {0}, got;
	char text[JOIN_CODE_MAX];
	static char endless[4096];

	(void)state;
	sample_join_code(0, &m);
	for (int i = 0; i < SERVER_ADDRESSES_MAX; i++)
		m.addresses.list[i].ip = (struct ip){.family = 6, .bytes = {0xff, [15] = 1}};
	assert_int_equal(join_code_format(&m, text), OK);
	assert_true(strlen(text) < JOIN_CODE_MAX);
	assert_int_equal(join_code_parse(text, &got), OK);
	m.addresses.count = 0;
	assert_int_equal(join_code_format(&m, text), ERR_MALFORMED);
	m.addresses.count = SERVER_ADDRESSES_MAX + 1;
	assert_int_equal(join_code_format(&m, text), ERR_MALFORMED);
	m.addresses.count = 1;
	m.role = ROLE_EXIT + 1;
	assert_int_equal(join_code_format(&m, text), ERR_MALFORMED);
	memset(endless, 'A', sizeof endless - 1);
	memcpy(endless, "ntm1-", 5);
	assert_int_equal(join_code_parse(endless, &got), ERR_MALFORMED);
	assert_int_equal(join_code_parse("", &got), ERR_MALFORMED);
	assert_int_equal(join_code_parse("ntm1-", &got), ERR_MALFORMED);
	assert_int_equal(join_code_parse("ntm1-AAAA", &got), ERR_MALFORMED);
}

/* Version 2 with a right check: this program is too old, the person typed well. */
static void test_join_code_of_later_version(void **state)
{
	struct join_code got;

	(void)state;
	assert_int_equal(join_code_parse("ntm1-AjwMjqE", &got), ERR_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_on_a_stream),
		cmocka_unit_test(test_frame_lengths),
		cmocka_unit_test(test_largest_frame),
		cmocka_unit_test(test_largest_response),
		cmocka_unit_test(test_login_request_rules),
		cmocka_unit_test(test_join_code_text),
		cmocka_unit_test(test_join_code_typing_mistakes),
		cmocka_unit_test(test_join_code_limits),
		cmocka_unit_test(test_join_code_of_later_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
