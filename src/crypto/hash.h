/*
 * hash.h: BLAKE2s (RFC 7693), HMAC over it (RFC 2104), Noise's HKDF (Noise rev 34, 4.3), and short keyed MACs. No state
 * survives a call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cursor.h"

enum { HASH_BYTES = 32, MAC_BYTES = 16 };

/* BLAKE2s-256 of the concatenated parts. */
void hash_parts(const struct blob *parts, size_t count, uint8_t ret[HASH_BYTES]);
void hash(const void *data, size_t size, uint8_t ret[HASH_BYTES]);
/* HMAC-BLAKE2s-256 of the concatenated parts; key of any size. */
void hmac_parts(const void *key, size_t key_size, const struct blob *parts, size_t count, uint8_t ret[HASH_BYTES]);
/* HMAC truncated to 16 bytes: mac1, probes, relay binds, cookies. */
void mac(const uint8_t key[32], const void *data, size_t size, uint8_t ret[MAC_BYTES]);
/* Noise HKDF with 1 to 3 outputs; ret2 and ret3 may be NULL. Inputs and outputs may be the same memory. */
void hkdf(const uint8_t chaining_key[HASH_BYTES], const void *input, size_t input_size, uint8_t ret1[HASH_BYTES],
	  uint8_t *ret2, uint8_t *ret3);
/* One derived key: HMAC(key, label || context). label is text that separates uses. */
void derive_key(const uint8_t key[32], const char *label, const void *context, size_t context_size, uint8_t ret[32]);
/* SipHash-2-4 for hash tables whose keys strangers choose (T32). */
uint64_t siphash(const uint8_t key[16], const void *data, size_t size);
/* Constant time; true when equal. */
bool equal_secret(const void *a, const void *b, size_t size);
/* The same for MACs and tags, once a packet: two words, and nothing is decided before both have been looked at. */
static inline bool equal_mac(const uint8_t a[MAC_BYTES], const uint8_t b[MAC_BYTES])
{
	uint64_t left[2], right[2];

	memcpy(left, a, sizeof(left));
	memcpy(right, b, sizeof(right));
	return ((left[0] ^ right[0]) | (left[1] ^ right[1])) == 0;
}
/* Not optimised away. */
void wipe(void *p, size_t size);
