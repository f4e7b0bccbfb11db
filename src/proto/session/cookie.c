#include "proto/session/cookie.h"

#include <assert.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/hash.h"

enum { NONCE_AT = HEADER_SIZE, SEALED_AT = HEADER_SIZE + COOKIE_NONCE_SIZE };

_Static_assert((int)COOKIE_NONCE_SIZE == (int)AEAD_NONCE_SIZE, "the nonce goes into the AEAD");
_Static_assert((int)COOKIE_REPLY_SIZE <= (int)HANDSHAKE_OVERHEAD_REQUEST, "no reply is larger than its request");

static const uint8_t *mac1_of(const uint8_t *request, size_t size)
{
	return request + size - 2 * MAC_SIZE;
}

static uint64_t period_of(struct time_us now)
{
	return (uint64_t)(now.us / COOKIE_SECRET_US);
}

/* Address and port, so that nobody proves more than the one place that heard the reply. */
static void cookie_make(const uint8_t secret[KEY_SIZE], uint64_t period, const struct addr *source,
			uint8_t ret[MAC_SIZE])
{
	uint8_t bytes[8 + 1 + 16 + 2] = {0}, key[KEY_SIZE];
	struct writer w = writer_over(bytes, sizeof(bytes));

	write_u64(&w, period);
	write_u8(&w, source->ip.family);
	write_bytes(&w, source->ip.bytes, source->ip.family == 6 ? 16 : 4);
	write_u16(&w, source->port);
	derive_key(secret, "ntm cookie", bytes, sizeof(bytes), key);
	memcpy(ret, key, MAC_SIZE);
	wipe(key, sizeof(key));
}

static void mac2_make(const uint8_t cookie[MAC_SIZE], const uint8_t *request, size_t size, uint8_t ret[MAC_SIZE])
{
	struct blob covered = {request, size - MAC_SIZE};
	uint8_t full[HASH_BYTES];

	hmac_parts(cookie, MAC_SIZE, &covered, 1, full);
	memcpy(ret, full, MAC_SIZE);
}

/* What seals cookies of this responder: no secret, as mac1's key is none; it keeps those out who know neither. */
static void seal_key_make(const uint8_t static_key[KEY_SIZE], uint8_t ret[KEY_SIZE])
{
	static const uint8_t none[KEY_SIZE];

	derive_key(none, "ntm cookie seal", static_key, KEY_SIZE, ret);
}

/* The secret's period of now or the one before: a cookie holds for 120 to 240 s. */
bool cookie_is_proof(const uint8_t secret[KEY_SIZE], struct time_us now, const struct addr *source,
		     const uint8_t *request, size_t size)
{
	static const uint8_t none[MAC_SIZE];
	uint8_t cookie[MAC_SIZE], expected[MAC_SIZE];
	const uint8_t *mac2 = request + size - MAC_SIZE;
	uint64_t period = period_of(now);

	if (memcmp(mac2, none, MAC_SIZE) == 0)
		return false; /* most of a flood, and everybody's first try */
	for (int i = 0; i < 2; i++) {
		cookie_make(secret, period - (uint64_t)i, source, cookie);
		mac2_make(cookie, request, size, expected);
		if (equal_mac(expected, mac2))
			return true;
	}
	return false;
}

/* mac1 is associated data: the reply is to this very message. */
void cookie_reply_make(const uint8_t secret[KEY_SIZE], const uint8_t static_key[KEY_SIZE], struct time_us now,
		       const struct addr *source, const uint8_t *request, size_t size,
		       const uint8_t nonce[COOKIE_NONCE_SIZE], uint8_t ret[COOKIE_REPLY_SIZE])
{
	struct reader r = reader_over(request, size);
	struct writer w = writer_over(ret, HEADER_SIZE);
	uint8_t cookie[MAC_SIZE], key[KEY_SIZE];
	struct header header;
	enum err err = header_decode(&r, &header);

	assert(err == OK && size >= HANDSHAKE_OVERHEAD_REQUEST); /* the caller has judged the message's shape */
	header_encode(&(struct header){.type = PACKET_COOKIE, .path_id = header.path_id}, &w);
	memcpy(ret + NONCE_AT, nonce, COOKIE_NONCE_SIZE);
	cookie_make(secret, period_of(now), source, cookie);
	seal_key_make(static_key, key);
	chacha_seal(key, nonce, mac1_of(request, size), MAC_SIZE, cookie, MAC_SIZE, ret + SEALED_AT);
}

/* Contract in the header. */
enum err cookie_take(struct cookie *cookie, const uint8_t static_key[KEY_SIZE], struct time_us now,
		     const uint8_t *request, size_t size, const uint8_t *reply, size_t reply_size)
{
	uint8_t bytes[MAC_SIZE], key[KEY_SIZE];

	if (reply_size != COOKIE_REPLY_SIZE || size < HANDSHAKE_OVERHEAD_REQUEST)
		return ERR_MALFORMED;
	seal_key_make(static_key, key);
	if (chacha_open(key, reply + NONCE_AT, mac1_of(request, size), MAC_SIZE, reply + SEALED_AT, MAC_SIZE, bytes) !=
	    OK)
		return ERR_AUTH;
	*cookie = (struct cookie){.is_set = true, .at = now};
	memcpy(cookie->bytes, bytes, MAC_SIZE);
	return OK;
}

/* An old cookie would only be answered with another one. */
void cookie_apply(const struct cookie *cookie, struct time_us now, uint8_t *request, size_t size)
{
	uint8_t *mac2 = request + size - MAC_SIZE;

	if (cookie->is_set && time_since(now, cookie->at) < COOKIE_SECRET_US)
		mac2_make(cookie->bytes, request, size, mac2);
	else
		memset(mac2, 0, MAC_SIZE);
}
