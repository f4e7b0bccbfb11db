/*
 * test_aead.c: both back ends and the one-shot functions against the same published vectors, and against each other for
 * every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/keys.h"
#include "hex.h"

enum { SIZE_MAX_TESTED = 2000 };

struct vector {
	enum aead_algorithm algorithm;
	const char *key, *nonce, *aad, *plaintext, *sealed; /* sealed ends with the tag */
};

/* GCM: McGrew and Viega, test cases 13, 14, 15, 16; ChaCha20-Poly1305: RFC 8439, 2.8.2. */
static const struct vector VECTORS[] = {
	{AEAD_AES256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
	 "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
	{AEAD_AES256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
	 "000000000000000000000000", "", "00000000000000000000000000000000",
	 "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
	{AEAD_AES256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	 "cafebabefacedbaddecaf888", "",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
	 "b094dac5d93471bdec1a502270e3cc6c"},
	{AEAD_AES256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	 "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	 "76fc6ece0f4e1768cddf8853bb2d551b"},
	{AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	 "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	 "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	 "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	 "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	 "637265656e20776f756c642062652069742e",
	 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	 "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	 "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	 "3ff4def08e4b7a9de576d26586cec64b6116"
	 "1ae10b594f09e26a7e902ecbd0600691"},
};

static const enum aead_algorithm ALGORITHMS[] = {AEAD_AES256_GCM, AEAD_CHACHA20_POLY1305};

struct pair {
	struct aead_provider *providers[2];
	size_t count; /* 1 where this machine cannot run ipsec-mb */
};

static int setup(void **state)
{
	static struct pair pair;

	pair.count = 0;
	pair.providers[pair.count++] = aead_provider_create(AEAD_BACKEND_OPENSSL);
	pair.providers[pair.count] = aead_provider_create(AEAD_BACKEND_IPSEC_MB);
	if (pair.providers[pair.count])
		pair.count++;
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	for (size_t i = 0; i < pair->count; i++)
		aead_provider_destroy(pair->providers[i]);
	return 0;
}

/* xorshift: the same bytes in every run. */
static void bytes_fill(uint64_t *seed, uint8_t *ret, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		*seed ^= *seed << 13;
		*seed ^= *seed >> 7;
		*seed ^= *seed << 17;
		ret[i] = (uint8_t)(*seed >> 32);
	}
}

static void vector_check(struct aead_provider *provider, const struct vector *v)
{
	uint8_t key_bytes[32], nonce[12], aad[64], plain[256], sealed[256], out[256];
	size_t aad_size = hex_read(v->aad, aad, sizeof(aad));
	size_t size = hex_read(v->plaintext, plain, sizeof(plain));
	struct aead_key *key;

	hex_read(v->key, key_bytes, sizeof(key_bytes));
	hex_read(v->nonce, nonce, sizeof(nonce));
	assert_int_equal(hex_read(v->sealed, sealed, sizeof(sealed)), size + AEAD_TAG_SIZE);
	key = aead_key_create(provider, v->algorithm, key_bytes);
	aead_seal(key, nonce, aad, aad_size, plain, size, out);
	assert_memory_equal(out, sealed, size + AEAD_TAG_SIZE);
	assert_int_equal(aead_open(key, nonce, aad, aad_size, sealed, size, out), OK);
	if (size)
		assert_memory_equal(out, plain, size);
	aead_key_destroy(key);
}

static void test_published_vectors(void **state)
{
	struct pair *pair = *state;

	for (size_t p = 0; p < pair->count; p++)
		for (size_t i = 0; i < sizeof(VECTORS) / sizeof(VECTORS[0]); i++)
			vector_check(pair->providers[p], &VECTORS[i]);
}

static void test_one_shot_vector(void **state)
{
	const struct vector *v = &VECTORS[4];
	uint8_t key[32], nonce[12], aad[64], plain[256], sealed[256];
	size_t aad_size = hex_read(v->aad, aad, sizeof(aad));
	size_t size = hex_read(v->plaintext, plain, sizeof(plain));

	(void)state;
	hex_read(v->key, key, sizeof(key));
	hex_read(v->nonce, nonce, sizeof(nonce));
	chacha_seal(key, nonce, aad, aad_size, plain, size, sealed);
	hex_expect(sealed, size + AEAD_TAG_SIZE, v->sealed);
	memset(plain, 0, sizeof(plain));
	assert_int_equal(chacha_open(key, nonce, aad, aad_size, sealed, size, plain), OK);
	hex_expect(plain, size, v->plaintext);
	sealed[3] ^= 1;
	assert_int_equal(chacha_open(key, nonce, aad, aad_size, sealed, size, plain), ERR_AUTH);
}

/*
 * One size: every back end seals to the same bytes, out of place and in place, writes nothing beyond, and opens what
 * others sealed.
 */
static void size_check(struct pair *pair, struct aead_key *const keys[2], uint64_t *seed, size_t size, size_t aad_size)
{
	uint8_t plain[SIZE_MAX_TESTED + 1], nonce[12], aad[64];
	uint8_t first[SIZE_MAX_TESTED + AEAD_TAG_SIZE + 1], out[SIZE_MAX_TESTED + AEAD_TAG_SIZE + 1];

	bytes_fill(seed, plain, sizeof(plain));
	bytes_fill(seed, nonce, sizeof(nonce));
	bytes_fill(seed, aad, sizeof(aad));
	for (size_t p = 0; p < pair->count; p++) {
		memset(out, 0xee, sizeof(out));
		aead_seal(keys[p], nonce, aad, aad_size, plain, size, out);
		assert_int_equal(out[size + AEAD_TAG_SIZE], 0xee);
		if (p == 0)
			memcpy(first, out, sizeof(first));
		assert_memory_equal(out, first, size + AEAD_TAG_SIZE);
		memcpy(out, plain, size);
		aead_seal(keys[p], nonce, aad, aad_size, out, size, out);
		assert_memory_equal(out, first, size + AEAD_TAG_SIZE);
		assert_int_equal(aead_open(keys[p], nonce, aad, aad_size, out, size, out), OK);
		assert_memory_equal(out, plain, size);
		memset(out, 0xee, sizeof(out));
		assert_int_equal(aead_open(keys[p], nonce, aad, aad_size, first, size, out), OK);
		if (size)
			assert_memory_equal(out, plain, size);
		assert_int_equal(out[size], 0xee);
	}
}

static void test_back_ends_agree_for_every_size(void **state)
{
	static const size_t AAD_SIZES[] = {16, 0, 1, 15, 17, 33, 64};
	struct pair *pair = *state;
	uint64_t seed = 0x1234567;
	uint8_t key_bytes[32];

	for (size_t a = 0; a < 2; a++) {
		struct aead_key *keys[2] = {NULL, NULL};

		bytes_fill(&seed, key_bytes, sizeof(key_bytes));
		for (size_t p = 0; p < pair->count; p++)
			keys[p] = aead_key_create(pair->providers[p], ALGORITHMS[a], key_bytes);
		for (size_t size = 1; size <= SIZE_MAX_TESTED; size++)
			size_check(pair, keys, &seed, size, AAD_SIZES[size % 7]);
		for (size_t i = 0; i < 7; i++)
			size_check(pair, keys, &seed, 32, AAD_SIZES[i]);
		for (size_t p = 0; p < pair->count; p++)
			aead_key_destroy(keys[p]);
	}
}

/* Sealing nothing gives a tag alone, and both back ends give the same. */
static void test_empty_plaintext(void **state)
{
	struct pair *pair = *state;
	uint8_t key_bytes[32] = {1}, nonce[12] = {2}, aad[16] = {3}, first[AEAD_TAG_SIZE], out[AEAD_TAG_SIZE];

	for (size_t a = 0; a < 2; a++)
		for (size_t p = 0; p < pair->count; p++) {
			struct aead_key *key = aead_key_create(pair->providers[p], ALGORITHMS[a], key_bytes);

			aead_seal(key, nonce, aad, sizeof(aad), out, 0, out);
			if (p == 0)
				memcpy(first, out, sizeof(first));
			assert_memory_equal(out, first, sizeof(first));
			assert_int_equal(aead_open(key, nonce, aad, sizeof(aad), out, 0, out), OK);
			out[15] ^= 1;
			assert_int_equal(aead_open(key, nonce, aad, sizeof(aad), out, 0, out), ERR_AUTH);
			aead_key_destroy(key);
		}
}

/* Flips each bit of bytes in turn: none may open. */
static void flips_refused(struct aead_key *key, uint8_t *bytes, size_t bytes_size, const uint8_t *nonce,
			  const uint8_t *aad, const uint8_t *sealed, size_t size)
{
	uint8_t out[64];

	for (size_t bit = 0; bit < 8 * bytes_size; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(aead_open(key, nonce, aad, 16, sealed, size, out), ERR_AUTH);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(aead_open(key, nonce, aad, 16, sealed, size, out), OK);
}

static void test_every_flipped_bit_is_refused(void **state)
{
	struct pair *pair = *state;
	uint8_t key_bytes[32] = {4}, nonce[12] = {5}, aad[16] = {6}, plain[37] = {7}, sealed[37 + AEAD_TAG_SIZE];

	for (size_t a = 0; a < 2; a++)
		for (size_t p = 0; p < pair->count; p++) {
			struct aead_key *key = aead_key_create(pair->providers[p], ALGORITHMS[a], key_bytes);

			aead_seal(key, nonce, aad, 16, plain, sizeof(plain), sealed);
			flips_refused(key, sealed, sizeof(sealed), nonce, aad, sealed, sizeof(plain));
			flips_refused(key, nonce, sizeof(nonce), nonce, aad, sealed, sizeof(plain));
			flips_refused(key, aad, sizeof(aad), nonce, aad, sealed, sizeof(plain));
			aead_key_destroy(key);
		}
}

/* Two keys of one provider interleaved: nothing of a call may stay in the provider. */
static void test_keys_do_not_disturb_each_other(void **state)
{
	struct pair *pair = *state;
	uint8_t one[32] = {1}, two[32] = {2}, nonce[12] = {0}, a[48], b[48], out[32], plain[32] = {9};

	for (size_t p = 0; p < pair->count; p++) {
		struct aead_key *x = aead_key_create(pair->providers[p], AEAD_AES256_GCM, one);
		struct aead_key *y = aead_key_create(pair->providers[p], AEAD_AES256_GCM, two);

		aead_seal(x, nonce, nonce, 12, plain, 32, a);
		aead_seal(y, nonce, nonce, 12, plain, 32, b);
		assert_memory_not_equal(a, b, 48);
		assert_int_equal(aead_open(y, nonce, nonce, 12, a, 32, out), ERR_AUTH);
		assert_int_equal(aead_open(x, nonce, nonce, 12, a, 32, out), OK);
		assert_int_equal(aead_open(y, nonce, nonce, 12, b, 32, out), OK);
		aead_key_destroy(x);
		aead_key_destroy(y);
	}
}

static void test_choice_of_back_end(void **state)
{
	struct pair *pair = *state;
	struct aead_provider *chosen = aead_provider_create(AEAD_BACKEND_AUTO);

	assert_string_equal(aead_provider_name(pair->providers[0]), "openssl");
	assert_string_equal(aead_provider_name(chosen), pair->count == 2 ? "ipsec-mb" : "openssl");
	aead_provider_destroy(chosen);
	aead_provider_destroy(NULL);
	aead_key_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_one_shot_vector),
		cmocka_unit_test(test_back_ends_agree_for_every_size),
		cmocka_unit_test(test_empty_plaintext),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_keys_do_not_disturb_each_other),
		cmocka_unit_test(test_choice_of_back_end),
	};

	if (!crypto_init())
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, setup, teardown);
}
