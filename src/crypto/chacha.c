#include "crypto/aead.h"

#include <assert.h>
#include <sodium.h>

_Static_assert(AEAD_NONCE_SIZE == crypto_aead_chacha20poly1305_IETF_NPUBBYTES, "nonce size");
_Static_assert(AEAD_TAG_SIZE == crypto_aead_chacha20poly1305_IETF_ABYTES, "tag size");

/* libsodium and not the AEAD back ends: handshakes are rare, and this needs no object. */
void chacha_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
		 size_t aad_size, const uint8_t *in, size_t size, uint8_t *out)
{
	unsigned long long sealed_size = 0;

	(void)crypto_aead_chacha20poly1305_ietf_encrypt(out, &sealed_size, in, size, aad, aad_size, NULL, nonce, key);
	assert(sealed_size == size + AEAD_TAG_SIZE);
}

/* libsodium verifies before it decrypts: no unauthentic plaintext ever appears; out is zeroed when the tag is wrong. */
enum err chacha_open(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
		     size_t aad_size, const uint8_t *in, size_t size, uint8_t *out)
{
	int refused = crypto_aead_chacha20poly1305_ietf_decrypt_detached(out, NULL, in, size, in + size, aad, aad_size,
									 nonce, key);

	return refused ? ERR_AUTH : OK;
}
