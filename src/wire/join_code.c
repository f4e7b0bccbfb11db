/* Join codes: what a person copies from one machine to another. base64url of RFC 4648 section 5, without padding. */
#include <string.h>

#include "wire/field.h"
#include "wire/login.h"

#define PREFIX "ntm1-"
enum { CODE_VERSION = 1, CODE_BYTES_MAX = 2 + JOIN_PIN_SIZE + JOIN_SECRET_SIZE + 1 + SERVER_ADDRESSES_MAX * 19 + 4 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* CRC-32 (reflected 0xedb88320): against typing mistakes, not against attackers. */
static uint32_t checksum(const uint8_t *bytes, size_t size)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

/* Three bytes become four characters; one or two become two or three. */
static size_t encode_text(const uint8_t *bytes, size_t size, char *text)
{
	size_t at = 0;

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i < 3 ? size - i : 3;
		uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);

		for (size_t k = 0; k <= left; k++)
			text[at++] = alphabet[group >> (18 - 6 * k) & 63];
	}
	text[at] = '\0';
	return at;
}

/* Strict: unused bits must be zero, so that one code has one spelling. */
static enum err decode_text(const char *text, uint8_t *bytes, size_t capacity, size_t *ret_size)
{
	uint32_t group = 0;
	unsigned bits = 0;
	size_t size = 0;

	for (; *text; text++) {
		const char *p = strchr(alphabet, *text);

		if (!p)
			return ERR_MALFORMED;
		group = group << 6 | (uint32_t)(p - alphabet);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (size == capacity)
			return ERR_MALFORMED;
		bytes[size++] = (uint8_t)(group >> bits);
		group &= (UINT32_C(1) << bits) - 1;
	}
	if (bits >= 6 || group != 0)
		return ERR_MALFORMED;
	*ret_size = size;
	return OK;
}

/* ERR_SIZE when there are more addresses than a code holds. */
enum err join_code_format(const struct join_code *code, char text[JOIN_CODE_MAX])
{
	uint8_t bytes[CODE_BYTES_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size;
	enum err err;

	if (code->addresses.count > SERVER_ADDRESSES_MAX)
		return ERR_SIZE;
	write_u8(&w, CODE_VERSION);
	write_u8(&w, code->role);
	write_bytes(&w, code->pin, JOIN_PIN_SIZE);
	write_bytes(&w, code->secret, JOIN_SECRET_SIZE);
	write_u8(&w, code->addresses.count);
	for (int i = 0; i < code->addresses.count; i++)
		write_addr(&w, &code->addresses.list[i]);
	if (w.err == OK)
		write_u32(&w, checksum(bytes, w.at));
	err = writer_finish(&w, &size);
	if (err != OK)
		return err;
	memcpy(text, PREFIX, sizeof PREFIX);
	encode_text(bytes, size, text + strlen(PREFIX));
	return OK;
}

/* White space at the ends is the caller's to remove. */
enum err join_code_parse(const char *text, struct join_code *ret)
{
	uint8_t bytes[CODE_BYTES_MAX];
	struct join_code code = {0};
	struct reader r;
	size_t size;
	uint32_t check;

	if (strncmp(text, PREFIX, strlen(PREFIX)) != 0 || decode_text(text + strlen(PREFIX), bytes, sizeof bytes, &size) != OK || size < 4)
		return ERR_MALFORMED;
	check = (uint32_t)bytes[size - 4] << 24 | (uint32_t)bytes[size - 3] << 16 | (uint32_t)bytes[size - 2] << 8 | bytes[size - 1];
	if (check != checksum(bytes, size - 4))
		return ERR_MALFORMED;
	r = reader_over(bytes, size - 4);
	if (read_u8(&r) != CODE_VERSION)
		return ERR_UNSUPPORTED;
	code.role = read_u8(&r);
	read_bytes(&r, code.pin, JOIN_PIN_SIZE);
	read_bytes(&r, code.secret, JOIN_SECRET_SIZE);
	code.addresses.count = read_u8(&r);
	if (code.role > ROLE_RELAY || code.addresses.count == 0 || code.addresses.count > SERVER_ADDRESSES_MAX)
		return ERR_MALFORMED;
	for (int i = 0; i < code.addresses.count; i++)
		code.addresses.list[i] = read_addr(&r);
	if (reader_finish(&r) != OK)
		return ERR_MALFORMED;
	*ret = code;
	return OK;
}
