#include "crypto/keys.h"

#include <sodium.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/openssl.h"

_Static_assert(KEY_BYTES == crypto_scalarmult_BYTES && KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "key sizes");
_Static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "signature size");

/*
 * The throw-away digest makes OpenSSL read its configuration now, before the caller gives up the right to open files.
 */
bool crypto_init(void)
{
	uint8_t digest[HASH_BYTES];

	return sodium_init() >= 0 && EVP_Digest("", 0, digest, NULL, EVP_blake2s256(), NULL) == 1;
}

/* Clamping happens inside every multiplication (RFC 7748, 5), so the seed itself is the secret. */
void dh_keys_from_seed(const uint8_t seed[KEY_BYTES], struct dh_keys *ret)
{
	memmove(ret->secret, seed, KEY_BYTES);
	(void)crypto_scalarmult_base(ret->public, ret->secret);
}

/* Through a local, so that ret is untouched when the peer sent a low-order point. */
enum err dh(const uint8_t secret[KEY_BYTES], const uint8_t public[KEY_BYTES], uint8_t ret[KEY_BYTES])
{
	uint8_t shared[KEY_BYTES];
	int refused = crypto_scalarmult(shared, secret, public);

	if (!refused)
		memcpy(ret, shared, KEY_BYTES);
	wipe(shared, sizeof(shared));
	return refused ? ERR_AUTH : OK;
}

/* The seed is what is stored; the expanded form lives only during a call. */
void sign_keys_from_seed(const uint8_t seed[KEY_BYTES], struct sign_keys *ret)
{
	uint8_t expanded[crypto_sign_SECRETKEYBYTES];

	memmove(ret->seed, seed, KEY_BYTES);
	(void)crypto_sign_seed_keypair(ret->public, expanded, ret->seed);
	wipe(expanded, sizeof(expanded));
}

/* Deterministic (RFC 8032): needs no randomness. */
void sign(const struct sign_keys *keys, const void *message, size_t size, uint8_t ret[SIGNATURE_BYTES])
{
	uint8_t expanded[crypto_sign_SECRETKEYBYTES]; /* libsodium's form: seed, public */

	memcpy(expanded, keys->seed, KEY_BYTES);
	memcpy(expanded + KEY_BYTES, keys->public, KEY_BYTES);
	(void)crypto_sign_detached(ret, NULL, message, size, expanded);
	wipe(expanded, sizeof(expanded));
}

/* libsodium is strict unless built for compatibility; the unit tests hold it to that. */
enum err sign_verify(const uint8_t public[KEY_BYTES], const void *message, size_t size,
		     const uint8_t signature[SIGNATURE_BYTES])
{
	return crypto_sign_verify_detached(signature, message, size, public) == 0 ? OK : ERR_AUTH;
}
