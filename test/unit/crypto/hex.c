#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t digit(char c)
{
	static const char DIGITS[] = "0123456789abcdef";
	const char *at = c ? strchr(DIGITS, c) : NULL;

	assert_non_null(at);
	return (uint8_t)(at - DIGITS);
}

/* Contract in the header. */
size_t hex_read(const char *text, uint8_t *ret, size_t max)
{
	size_t size = strlen(text) / 2;

	assert_int_equal(strlen(text) % 2, 0);
	assert_true(size <= max);
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return size;
}

/* Contract in the header. */
void hex_expect(const uint8_t *bytes, size_t size, const char *text)
{
	uint8_t expected[512];

	assert_int_equal(hex_read(text, expected, sizeof(expected)), size);
	if (size)
		assert_memory_equal(bytes, expected, size);
}
