/*
 * test_keys.c: X25519 against RFC 7748, Ed25519 against RFC 8032, and the signatures that only a lax verifier takes
 * (T14).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "crypto/keys.h"
#include "hex.h"

static void dh_expect(const char *scalar, const char *point, const char *result)
{
	uint8_t secret[KEY_BYTES], public[KEY_BYTES], shared[KEY_BYTES];

	hex_read(scalar, secret, sizeof(secret));
	hex_read(point, public, sizeof(public));
	assert_int_equal(dh(secret, public, shared), OK);
	hex_expect(shared, sizeof(shared), result);
}

/* RFC 7748, 5.2; the second point has its top bit set, which must be ignored. */
static void test_x25519_vectors(void **state)
{
	(void)state;
	dh_expect("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	dh_expect("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

/* RFC 7748, 5.2: k and u start as 9 and feed each other. */
static void test_x25519_iterated(void **state)
{
	uint8_t k[KEY_BYTES] = {9}, u[KEY_BYTES] = {9}, next[KEY_BYTES];

	(void)state;
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(dh(k, u, next), OK);
		memcpy(u, k, KEY_BYTES);
		memcpy(k, next, KEY_BYTES);
		if (i == 1)
			hex_expect(k, KEY_BYTES, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
	}
	hex_expect(k, KEY_BYTES, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

static void test_dh_keys_agree(void **state)
{
	uint8_t seed[KEY_BYTES] = {9}, shared_a[KEY_BYTES], shared_b[KEY_BYTES];
	struct dh_keys a, b;

	(void)state;
	dh_keys_from_seed(seed, &a); /* RFC 7748's first iteration is also 9 times the base point */
	hex_expect(a.public, KEY_BYTES, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
	seed[0] = 200;
	dh_keys_from_seed(seed, &b);
	assert_int_equal(dh(a.secret, b.public, shared_a), OK);
	assert_int_equal(dh(b.secret, a.public, shared_b), OK);
	assert_memory_equal(shared_a, shared_b, KEY_BYTES);
}

/* Points whose multiples by a clamped scalar are all zero, non-canonical encodings included. */
static void test_dh_refuses_low_order(void **state)
{
	static const char *const POINTS[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t secret[KEY_BYTES], point[KEY_BYTES], shared[KEY_BYTES], before[KEY_BYTES];

	(void)state;
	memset(secret, 0x42, sizeof(secret));
	memset(shared, 0x5a, sizeof(shared));
	memcpy(before, shared, sizeof(before));
	for (size_t i = 0; i < sizeof(POINTS) / sizeof(POINTS[0]); i++) {
		hex_read(POINTS[i], point, sizeof(point));
		assert_int_equal(dh(secret, point, shared), ERR_AUTH);
		assert_memory_equal(shared, before, sizeof(before));
	}
}

static void sign_expect(const char *seed_text, const char *public, const char *message_text, const char *signature_text)
{
	uint8_t seed[KEY_BYTES], message[64], signature[SIGNATURE_BYTES];
	size_t size = hex_read(message_text, message, sizeof(message));
	struct sign_keys keys;

	hex_read(seed_text, seed, sizeof(seed));
	sign_keys_from_seed(seed, &keys);
	hex_expect(keys.public, KEY_BYTES, public);
	sign(&keys, message, size, signature);
	hex_expect(signature, SIGNATURE_BYTES, signature_text);
	assert_int_equal(sign_verify(keys.public, message, size, signature), OK);
}

/* RFC 8032, 7.1, tests 1 to 3. */
static void test_ed25519_vectors(void **state)
{
	(void)state;
	sign_expect("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
		    "d25bf5f0595bbe24655141438e7a100b");
	sign_expect("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
		    "387b2eaeb4302aeeb00d291612bb0c00");
	sign_expect("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
		    "4a7c15e9716ed28dc027beceea1ec40a");
}

static void test_every_flipped_bit_is_refused(void **state)
{
	uint8_t message[10] = "message", signature[SIGNATURE_BYTES], seed[KEY_BYTES] = {7};
	struct sign_keys keys;

	(void)state;
	sign_keys_from_seed(seed, &keys);
	sign(&keys, message, sizeof(message), signature);
	for (size_t bit = 0; bit < 8 * SIGNATURE_BYTES; bit++) {
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sign_verify(keys.public, message, sizeof(message), signature), ERR_AUTH);
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(sign_verify(keys.public, message, sizeof(message), signature), ERR_AUTH);
		message[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(sign_verify(keys.public, message, sizeof(message), signature), OK);
}

/* S + L satisfies the equation as S does: a second encoding of the same signature. */
static void test_malleated_signature_is_refused(void **state)
{
	uint8_t order[KEY_BYTES], signature[SIGNATURE_BYTES], seed[KEY_BYTES] = {8};
	struct sign_keys keys;
	unsigned int carry = 0;

	(void)state;
	hex_read("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order, sizeof(order));
	sign_keys_from_seed(seed, &keys);
	sign(&keys, "m", 1, signature);
	assert_int_equal(sign_verify(keys.public, "m", 1, signature), OK);
	for (size_t i = 0; i < KEY_BYTES; i++) {
		carry += signature[32 + i] + (unsigned int)order[i];
		signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_int_equal(sign_verify(keys.public, "m", 1, signature), ERR_AUTH);
}

/*
 * With a key A of small order, R = identity and S = 0 fit the equation whenever the hash is a multiple of A's order: a
 * signature by nobody for many messages. The last four are encodings of such points that are not canonical.
 */
static void test_small_order_keys_are_refused(void **state)
{
	static const char *const POINTS[] = {
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t public[KEY_BYTES], signature[SIGNATURE_BYTES] = {1};

	(void)state;
	for (size_t i = 0; i < sizeof(POINTS) / sizeof(POINTS[0]); i++) {
		hex_read(POINTS[i], public, sizeof(public));
		for (int message = 0; message < 64; message++)
			assert_int_equal(sign_verify(public, &message, sizeof(message), signature), ERR_AUTH);
	}
}

/* R = identity and S = hash * secret: the equation holds, but R is of small order (or not even canonical). */
static void small_order_commitment(const char *commitment)
{
	uint8_t signature[SIGNATURE_BYTES], digest[64], secret[64], scalar[KEY_BYTES], seed[KEY_BYTES] = {9};
	crypto_hash_sha512_state sha;
	struct sign_keys keys;

	sign_keys_from_seed(seed, &keys);
	hex_read(commitment, signature, 32);
	crypto_hash_sha512_init(&sha);
	crypto_hash_sha512_update(&sha, signature, 32);
	crypto_hash_sha512_update(&sha, keys.public, 32);
	crypto_hash_sha512_update(&sha, (const uint8_t *)"m", 1);
	crypto_hash_sha512_final(&sha, digest);
	crypto_core_ed25519_scalar_reduce(scalar, digest);
	crypto_hash_sha512(secret, seed, sizeof(seed));
	secret[0] &= 248;
	secret[31] = (uint8_t)((secret[31] & 127) | 64);
	memset(secret + 32, 0, 32);
	crypto_core_ed25519_scalar_reduce(secret, secret);
	crypto_core_ed25519_scalar_mul(signature + 32, scalar, secret);
	assert_int_equal(sign_verify(keys.public, "m", 1, signature), ERR_AUTH);
}

static void test_small_order_commitments_are_refused(void **state)
{
	(void)state;
	small_order_commitment("0100000000000000000000000000000000000000000000000000000000000000");
	small_order_commitment("0100000000000000000000000000000000000000000000000000000000000080");
	small_order_commitment("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x25519_vectors),
		cmocka_unit_test(test_x25519_iterated),
		cmocka_unit_test(test_dh_keys_agree),
		cmocka_unit_test(test_dh_refuses_low_order),
		cmocka_unit_test(test_ed25519_vectors),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_malleated_signature_is_refused),
		cmocka_unit_test(test_small_order_keys_are_refused),
		cmocka_unit_test(test_small_order_commitments_are_refused),
	};

	if (!crypto_init())
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
