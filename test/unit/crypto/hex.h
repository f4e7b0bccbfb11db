/* hex.h: test vectors are written as they are published: as hexadecimal text. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Ends the test on anything but pairs of hexadecimal digits, or when max is not enough. Returns the number of bytes. */
size_t hex_read(const char *text, uint8_t *ret, size_t max);
/* Ends the test when bytes are not exactly text. */
void hex_expect(const uint8_t *bytes, size_t size, const char *text);
