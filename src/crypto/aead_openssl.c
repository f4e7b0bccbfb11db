#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/aead_backend.h"
#include "crypto/openssl.h"

/*
 * The key schedules live in the contexts: each packet only sets a nonce, which allocates nothing. Tags go in and out by
 * parameters: EVP_CIPHER_CTX_ctrl makes the same ones, behind a switch (25 ns a packet).
 */
struct openssl_key {
	struct aead_key key;
	EVP_CIPHER_CTX *encrypt, *decrypt;
};

/* Encryption fails only when the library is broken; sending what is in the buffer then would be sending plaintext. */
static void require(int ok)
{
	if (ok != 1)
		abort();
}

static void openssl_key_destroy(struct aead_key *key)
{
	struct openssl_key *k = (struct openssl_key *)key;

	EVP_CIPHER_CTX_free(k->encrypt); /* clears the schedule */
	EVP_CIPHER_CTX_free(k->decrypt);
	mem_free(k);
}

/* The list of one parameter: where the tag is, or has to go. */
static void tag_params(uint8_t *tag, OSSL_PARAM ret[2])
{
	ret[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, AEAD_TAG_SIZE);
	ret[1] = OSSL_PARAM_construct_end();
}

static void openssl_seal(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size,
			 const uint8_t *in, size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = ((struct openssl_key *)key)->encrypt;
	OSSL_PARAM params[2];
	int written;

	require(EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL));
	if (aad_size)
		require(EVP_EncryptUpdate(ctx, NULL, &written, aad, (int)aad_size));
	if (size)
		require(EVP_EncryptUpdate(ctx, out, &written, in, (int)size));
	require(EVP_EncryptFinal_ex(ctx, out + size, &written));
	tag_params(out + size, params);
	require(EVP_CIPHER_CTX_get_params(ctx, params));
}

/*
 * OpenSSL compares the tag itself, in constant time. It takes it before the data because in place the data may not be
 * read twice.
 */
static enum err openssl_open(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size,
			     const uint8_t *in, size_t size, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = ((struct openssl_key *)key)->decrypt;
	uint8_t unused[AEAD_TAG_SIZE]; /* both are stream modes: the final call writes nothing */
	OSSL_PARAM params[2];
	int written;

	tag_params((uint8_t *)(uintptr_t)(in + size), params); /* it is only read */
	require(EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, params));
	if (aad_size)
		require(EVP_DecryptUpdate(ctx, NULL, &written, aad, (int)aad_size));
	if (size && EVP_DecryptUpdate(ctx, out, &written, in, (int)size) != 1)
		return ERR_AUTH;
	return EVP_DecryptFinal_ex(ctx, unused, &written) == 1 ? OK : ERR_AUTH;
}

static EVP_CIPHER_CTX *context_new(const EVP_CIPHER *cipher, const uint8_t *key, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	require(ctx != NULL);
	require(EVP_CipherInit_ex(ctx, cipher, NULL, key, NULL, encrypt));
	return ctx;
}

static struct aead_key *openssl_key_create(struct aead_provider *provider, enum aead_algorithm algorithm,
					   const uint8_t key[AEAD_KEY_SIZE])
{
	struct openssl_key *k = mem_alloc(1, sizeof(*k));
	const EVP_CIPHER *cipher = algorithm == AEAD_AES256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();

	(void)provider;
	assert(algorithm == AEAD_AES256_GCM || algorithm == AEAD_CHACHA20_POLY1305);
	k->key = (struct aead_key){openssl_key_destroy, openssl_seal, openssl_open};
	k->encrypt = context_new(cipher, key, 1);
	k->decrypt = context_new(cipher, key, 0);
	return &k->key;
}

static void openssl_destroy(struct aead_provider *provider)
{
	mem_free(provider);
}

/* Always available. */
struct aead_provider *aead_openssl_create(void)
{
	struct aead_provider *provider = mem_alloc(1, sizeof(*provider));

	*provider = (struct aead_provider){"openssl", openssl_destroy, openssl_key_create};
	return provider;
}
