#include <string.h>

#include "wire/field.h"
#include "wire/login.h"

enum { CODE_VERSION = 1, CODE_CHECK_SIZE = 4, CODE_BYTES_MAX = JOIN_CODE_MAX * 3 / 4 };

static const char code_prefix[] = "ntm1-";
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/*
 * CRC-32 of IEEE 802.3: catches every single mistyped or swapped character; no defence against malice, which the
 * secret is.
 */
static uint32_t check_of(const uint8_t *bytes, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

static void base64_format(const uint8_t *bytes, size_t size, char *ret)
{
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < size; i++) {
		bits = (bits << 8 | bytes[i]) & 0xffff;
		for (held += 8; held >= 6; held -= 6)
			*ret++ = alphabet[bits >> (held - 6) & 63];
	}
	if (held)
		*ret++ = alphabet[bits << (6 - held) & 63];
	*ret = '\0';
}

/* Stray bits behind the last byte are refused: one spelling per code. */
static enum err base64_parse(const char *text, uint8_t ret[CODE_BYTES_MAX], size_t *ret_size)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t size = 0;

	for (; *text; text++) {
		const char *digit = strchr(alphabet, *text);

		if (!digit)
			return ERR_MALFORMED;
		bits = (bits << 6 | (uint32_t)(digit - alphabet)) & 0xffff;
		held += 6;
		if (held < 8)
			continue;
		if (size == CODE_BYTES_MAX)
			return ERR_MALFORMED;
		held -= 8;
		ret[size++] = (uint8_t)(bits >> held);
	}
	if (held >= 6 || bits & ((1u << held) - 1))
		return ERR_MALFORMED;
	*ret_size = size;
	return OK;
}

/* What is printed by invite and typed after up. */
enum err join_code_format(const struct join_code *code, char text[JOIN_CODE_MAX])
{
	uint8_t bytes[CODE_BYTES_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size;
	enum err err;

	if (code->role > ROLE_EXIT || code->addresses.count == 0 || code->addresses.count > SERVER_ADDRESSES_MAX)
		return ERR_MALFORMED;
	write_u8(&w, CODE_VERSION);
	write_u8(&w, code->role);
	write_bytes(&w, code->pin, JOIN_PIN_SIZE);
	write_bytes(&w, code->secret, JOIN_SECRET_SIZE);
	write_server_addresses(&w, &code->addresses);
	write_u32(&w, check_of(bytes, w.at));
	err = writer_finish(&w, &size);
	if (err != OK)
		return err;
	_Static_assert(sizeof code_prefix +
				       (2 + JOIN_PIN_SIZE + JOIN_SECRET_SIZE + 1 + SERVER_ADDRESSES_MAX * 19 + 4) * 4 /
					       3 +
				       1 <=
			       JOIN_CODE_MAX,
		       "the longest code fits");
	memcpy(text, code_prefix, sizeof code_prefix - 1);
	base64_format(bytes, size, text + sizeof code_prefix - 1);
	return OK;
}

/* The check comes first: a mistyped version is a typing mistake, not a later version. */
static enum err code_decode(const uint8_t *bytes, size_t size, struct join_code *ret)
{
	struct reader check = reader_over(bytes + size - CODE_CHECK_SIZE, CODE_CHECK_SIZE),
		      r = reader_over(bytes, size - CODE_CHECK_SIZE);
	struct join_code code = {0};
	enum err err;

	if (read_u32(&check) != check_of(bytes, size - CODE_CHECK_SIZE))
		return ERR_MALFORMED;
	if (read_u8(&r) != CODE_VERSION)
		return ERR_UNSUPPORTED;
	code.role = read_u8(&r);
	read_bytes(&r, code.pin, JOIN_PIN_SIZE);
	read_bytes(&r, code.secret, JOIN_SECRET_SIZE);
	read_server_addresses(&r, &code.addresses);
	err = reader_finish(&r);
	if (err != OK || code.role > ROLE_EXIT || code.addresses.count == 0)
		return ERR_MALFORMED;
	*ret = code;
	return OK;
}

/* Of exactly what join_code_format writes, without spaces around it. */
enum err join_code_parse(const char *text, struct join_code *ret)
{
	uint8_t bytes[CODE_BYTES_MAX];
	size_t size;

	if (strncmp(text, code_prefix, sizeof code_prefix - 1) != 0 ||
	    base64_parse(text + sizeof code_prefix - 1, bytes, &size) != OK || size <= CODE_CHECK_SIZE)
		return ERR_MALFORMED;
	return code_decode(bytes, size, ret);
}
