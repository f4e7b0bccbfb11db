/*
 * aead_backend.h: private to crypto/: what a back end provides. Each back end's provider and key start with these
 * structs.
 */
#pragma once

#include "crypto/aead.h"

/* The provider's methods; key_create may not fail. */
struct aead_provider {
	const char *name;
	void (*destroy)(struct aead_provider *provider);
	struct aead_key *(*key_create)(struct aead_provider *provider, enum aead_algorithm algorithm,
				       const uint8_t key[AEAD_KEY_SIZE]);
};

/*
 * The key's methods, with the contracts of aead_seal, aead_open and aead_key_destroy. One per algorithm: no branch per
 * packet.
 */
struct aead_key {
	void (*destroy)(struct aead_key *key);
	void (*seal)(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size, const uint8_t *in,
		     size_t size, uint8_t *out);
	enum err (*open)(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size,
			 const uint8_t *in, size_t size, uint8_t *out);
};

/* NULL when compiled without it or when this processor cannot run it. */
struct aead_provider *aead_ipsec_mb_create(void);
struct aead_provider *aead_openssl_create(void);
