/* keys.h: X25519 (RFC 7748) and Ed25519 (RFC 8032, strict). Randomness comes from the caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { KEY_BYTES = 32, SIGNATURE_BYTES = 64 };

/* Call once per process before anything in crypto/; idempotent. False when the library refuses. */
must_use bool crypto_init(void);

struct dh_keys {
	uint8_t secret[KEY_BYTES];
	uint8_t public[KEY_BYTES];
};

/* From 32 random bytes. */
void dh_keys_from_seed(const uint8_t seed[KEY_BYTES], struct dh_keys *ret);
/* ERR_AUTH when the result is all zero (a low-order point). */
must_use enum err dh(const uint8_t secret[KEY_BYTES], const uint8_t public[KEY_BYTES], uint8_t ret[KEY_BYTES]);

struct sign_keys {
	uint8_t seed[KEY_BYTES];
	uint8_t public[KEY_BYTES];
};

void sign_keys_from_seed(const uint8_t seed[KEY_BYTES], struct sign_keys *ret);
void sign(const struct sign_keys *keys, const void *message, size_t size, uint8_t ret[SIGNATURE_BYTES]);
/* Strict: rejects S >= L, small-order and non-canonical points (T14). */
must_use enum err sign_verify(const uint8_t public[KEY_BYTES], const void *message, size_t size,
			      const uint8_t signature[SIGNATURE_BYTES]);
