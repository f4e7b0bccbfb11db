#include "crypto/hash.h"

#include <blake2.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)HASH_BYTES == (int)BLAKE2S_OUTBYTES, "digest size");

enum { HASH_BLOCK = BLAKE2S_BLOCKBYTES }; /* what RFC 2104 calls B */

/* libb2 and not OpenSSL, which has BLAKE2s only behind heap-allocated contexts that look the algorithm up each time. */
static void begin(blake2s_state *state)
{
	if (blake2s_init(state, HASH_BYTES) != 0)
		abort(); /* fails only for sizes that are not a digest's */
}

/* An empty part may have no address. */
static void add(blake2s_state *state, const void *data, size_t size)
{
	if (size && blake2s_update(state, data, size) != 0)
		abort();
}

static void end(blake2s_state *state, uint8_t ret[HASH_BYTES])
{
	if (blake2s_final(state, ret, HASH_BYTES) != 0)
		abort();
	wipe(state, sizeof(*state));
}

/* An HMAC key whose two padded blocks have been taken in: a key used several times is prepared once. */
struct hmac_key {
	blake2s_state inner, outer;
};

static void hmac_key_prepare(const void *key, size_t key_size, struct hmac_key *ret)
{
	uint8_t block[HASH_BLOCK] = {0};

	if (key_size > HASH_BLOCK)
		hash(key, key_size, block);
	else if (key_size)
		memcpy(block, key, key_size);
	for (size_t i = 0; i < HASH_BLOCK; i++)
		block[i] ^= 0x36;
	begin(&ret->inner);
	add(&ret->inner, block, HASH_BLOCK);
	for (size_t i = 0; i < HASH_BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	begin(&ret->outer);
	add(&ret->outer, block, HASH_BLOCK);
	wipe(block, sizeof(block));
}

static void hmac_run(const struct hmac_key *key, const struct blob *parts, size_t count, uint8_t ret[HASH_BYTES])
{
	blake2s_state state = key->inner;
	uint8_t inner[HASH_BYTES];

	for (size_t i = 0; i < count; i++)
		add(&state, parts[i].data, parts[i].size);
	end(&state, inner);
	state = key->outer;
	add(&state, inner, sizeof(inner));
	end(&state, ret);
	wipe(inner, sizeof(inner));
}

/* Concatenation is what Noise's MixHash and every label need; parts save the copy. */
void hash_parts(const struct blob *parts, size_t count, uint8_t ret[HASH_BYTES])
{
	blake2s_state state;

	begin(&state);
	for (size_t i = 0; i < count; i++)
		add(&state, parts[i].data, parts[i].size);
	end(&state, ret);
}

/* The common case of one part. */
void hash(const void *data, size_t size, uint8_t ret[HASH_BYTES])
{
	struct blob part = {data, size};

	hash_parts(&part, 1, ret);
}

/* HMAC and not BLAKE2s's own keyed mode: it is what Noise prescribes, so one construction serves everything. */
void hmac_parts(const void *key, size_t key_size, const struct blob *parts, size_t count, uint8_t ret[HASH_BYTES])
{
	struct hmac_key prepared;

	hmac_key_prepare(key, key_size, &prepared);
	hmac_run(&prepared, parts, count, ret);
	wipe(&prepared, sizeof(prepared));
}

/* 128 bits suffice for a MAC that is checked on line, one guess per packet. */
void mac(const uint8_t key[32], const void *data, size_t size, uint8_t ret[MAC_BYTES])
{
	uint8_t full[HASH_BYTES];
	struct blob part = {data, size};

	hmac_parts(key, 32, &part, 1, full);
	memcpy(ret, full, MAC_BYTES);
	wipe(full, sizeof(full));
}

/* Noise rev 34, section 4.3; outputs are written last because they may be the inputs. */
void hkdf(const uint8_t chaining_key[HASH_BYTES], const void *input, size_t input_size, uint8_t ret1[HASH_BYTES],
	  uint8_t *ret2, uint8_t *ret3)
{
	struct hmac_key prepared;
	uint8_t *rets[3] = {ret1, ret2, ret3};
	uint8_t outputs[3][HASH_BYTES];
	size_t wanted = ret3 ? 3 : ret2 ? 2 : 1;
	struct blob parts[2] = {{input, input_size}};

	hmac_key_prepare(chaining_key, HASH_BYTES, &prepared);
	hmac_run(&prepared, parts, 1, outputs[0]); /* the temporary key */
	hmac_key_prepare(outputs[0], HASH_BYTES, &prepared);
	for (size_t i = 0; i < wanted; i++) {
		uint8_t number = (uint8_t)(i + 1);

		parts[0] = i ? (struct blob){outputs[i - 1], HASH_BYTES} : (struct blob){NULL, 0};
		parts[1] = (struct blob){&number, 1};
		hmac_run(&prepared, parts, 2, outputs[i]);
	}
	for (size_t i = 0; i < wanted; i++)
		if (rets[i])
			memcpy(rets[i], outputs[i], HASH_BYTES);
	wipe(&prepared, sizeof(prepared));
	wipe(outputs, sizeof(outputs));
}

/* The label's terminating zero is included, so that no label can be continued by a context. */
void derive_key(const uint8_t key[32], const char *label, const void *context, size_t context_size, uint8_t ret[32])
{
	struct blob parts[2] = {{(const uint8_t *)label, strlen(label) + 1}, {context, context_size}};

	hmac_parts(key, 32, parts, 2, ret);
}

/* The paper's output, read as a little-endian number. */
uint64_t siphash(const uint8_t key[16], const void *data, size_t size)
{
	uint8_t b[8];

	crypto_shorthash(b, data, size, key);
	/* In a row, so that the compiler sees one load in it. */
	return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
	       (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 | (uint64_t)b[7] << 56;
}

/* The one comparison for secrets (T28). */
bool equal_secret(const void *a, const void *b, size_t size)
{
	return sodium_memcmp(a, b, size) == 0;
}

/* Through the library, because compilers remove a plain memset of dying memory. */
void wipe(void *p, size_t size)
{
	sodium_memzero(p, size);
}
