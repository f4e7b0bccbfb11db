/*
 * aead.h: the two AEADs of the protocol behind one face, two back ends behind that (design 4): intel-ipsec-mb where the
 * machine has it, OpenSSL everywhere. Which one is chosen at run time and told by aead_provider_name. Thread rules: a
 * provider and its keys belong to one thread at a time. No allocation after aead_key_create.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { AEAD_KEY_SIZE = 32, AEAD_NONCE_SIZE = 12, AEAD_TAG_SIZE = 16 };
enum aead_algorithm { AEAD_AES256_GCM = 1, AEAD_CHACHA20_POLY1305 = 2 };
enum aead_backend { AEAD_BACKEND_AUTO, AEAD_BACKEND_IPSEC_MB, AEAD_BACKEND_OPENSSL };

struct aead_provider; /* a back end, ready to make keys */
struct aead_key;      /* an expanded key; wiped when destroyed */

/* AUTO takes ipsec-mb when compiled in and usable here. NULL when the named back end is not available. */
struct aead_provider *aead_provider_create(enum aead_backend backend);
void aead_provider_destroy(struct aead_provider *provider);	      /* accepts NULL; keys must be gone */
const char *aead_provider_name(const struct aead_provider *provider); /* "ipsec-mb" or "openssl" */
/* Does AES-256-GCM run on instructions on this machine (AES-NI and carry-less multiply, or ARMv8 crypto)? */
bool aead_has_fast_aes(void);

/* The key bytes are copied. Never NULL. */
struct aead_key *aead_key_create(struct aead_provider *provider, enum aead_algorithm algorithm,
				 const uint8_t key[AEAD_KEY_SIZE]);
void aead_key_destroy(struct aead_key *key); /* wipes; accepts NULL */

/*
 * out gets size + AEAD_TAG_SIZE bytes; in and out are either equal or do not overlap. Out of place is the fast path:
 * the pass replaces a copy.
 */
void aead_seal(struct aead_key *key, const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad, size_t aad_size,
	       const uint8_t *in, size_t size, uint8_t *out);
/*
 * in has size + AEAD_TAG_SIZE bytes, out gets size. ERR_AUTH when the tag does not verify; out is then unspecified and
 * must not be used (out-of-place opening decrypts before the tag is known).
 */
must_use enum err aead_open(struct aead_key *key, const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
			    size_t aad_size, const uint8_t *in, size_t size, uint8_t *out);

/*
 * ChaCha20-Poly1305 (RFC 8439) in one shot, for handshakes and tickets: no key object, no allocation. Same rules for
 * in, out and sizes.
 */
void chacha_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
		 size_t aad_size, const uint8_t *in, size_t size, uint8_t *out);
must_use enum err chacha_open(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
			      const uint8_t *aad, size_t aad_size, const uint8_t *in, size_t size, uint8_t *out);
