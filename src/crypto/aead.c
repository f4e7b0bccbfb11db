#include "crypto/aead.h"

#include "crypto/aead_backend.h"

/* AUTO never fails, because OpenSSL is always there. */
struct aead_provider *aead_provider_create(enum aead_backend backend)
{
	struct aead_provider *provider = NULL;

	if (backend != AEAD_BACKEND_OPENSSL)
		provider = aead_ipsec_mb_create();
	if (!provider && backend != AEAD_BACKEND_IPSEC_MB)
		provider = aead_openssl_create();
	return provider;
}

/* Contract in the header. */
void aead_provider_destroy(struct aead_provider *provider)
{
	if (provider)
		provider->destroy(provider);
}

/* For logs and the control socket. */
const char *aead_provider_name(const struct aead_provider *provider)
{
	return provider->name;
}

/* The only allocation of the packet path, once per key epoch. */
struct aead_key *aead_key_create(struct aead_provider *provider, enum aead_algorithm algorithm,
				 const uint8_t key[AEAD_KEY_SIZE])
{
	return provider->key_create(provider, algorithm, key);
}

/* Contract in the header. */
void aead_key_destroy(struct aead_key *key)
{
	if (key)
		key->destroy(key);
}

/* Cannot fail: sizes are the caller's, and a key that exists works. */
void aead_seal(struct aead_key *key, const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad, size_t aad_size,
	       const uint8_t *in, size_t size, uint8_t *out)
{
	key->seal(key, nonce, aad, aad_size, in, size, out);
}

/* Contract in the header. */
enum err aead_open(struct aead_key *key, const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad, size_t aad_size,
		   const uint8_t *in, size_t size, uint8_t *out)
{
	return key->open(key, nonce, aad, aad_size, in, size, out);
}
