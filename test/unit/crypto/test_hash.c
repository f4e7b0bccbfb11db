/*
 * test_hash.c: BLAKE2s against RFC 7693 and its authors' implementation, HMAC and HKDF against CPython (hmac over
 * hashlib's BLAKE2s, which is that implementation), SipHash against its paper.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "crypto/keys.h"
#include "hex.h"

static void test_blake2s_vectors(void **state)
{
	uint8_t message[255], digest[HASH_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;
	hash("abc", 3, digest); /* RFC 7693, appendix B */
	hex_expect(digest, sizeof(digest), "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
	hash(NULL, 0, digest);
	hex_expect(digest, sizeof(digest), "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
	hash(message, 64, digest);
	hex_expect(digest, sizeof(digest), "56f34e8b96557e90c1f24b52d0c89d51086acf1b00f634cf1dde9233b8eaaa3e");
	hash(message, 65, digest);
	hex_expect(digest, sizeof(digest), "1b53ee94aaf34e4b159d48de352c7f0661d0a40edff95a0b1639b4090e974472");
	hash(message, 255, digest);
	hex_expect(digest, sizeof(digest), "f03f5789d3336b80d002d59fdf918bdb775b00956ed5528e86aa994acb38fe2d");
}

static void test_parts_equal_the_whole(void **state)
{
	uint8_t message[200], whole[HASH_BYTES], parted[HASH_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(i * 7);
	hash(message, sizeof(message), whole);
	for (size_t cut = 0; cut <= sizeof(message); cut++) {
		struct blob parts[3] = {{message, cut}, {NULL, 0}, {message + cut, sizeof(message) - cut}};

		hash_parts(parts, 3, parted);
		assert_memory_equal(parted, whole, HASH_BYTES);
	}
}

static void hmac_expect(const void *key, size_t key_size, const char *text, const char *digest)
{
	struct blob part = {(const uint8_t *)text, strlen(text)};
	uint8_t ret[HASH_BYTES];

	hmac_parts(key, key_size, &part, 1, ret);
	hex_expect(ret, sizeof(ret), digest);
}

/* The messages of RFC 4231; its sixth has a key longer than a block. */
static void test_hmac_vectors(void **state)
{
	uint8_t key[131];

	(void)state;
	memset(key, 0x0b, 20);
	hmac_expect(key, 20, "Hi There", "65a8b7c5cc9136d424e82c37e2707e74e913c0655b99c75f40edf387453a3260");
	hmac_expect("Jefe", 4, "what do ya want for nothing?",
		    "90b6281e2f3038c9056af0b4a7e763cae6fe5d9eb4386a0ec95237890c104ff0");
	memset(key, 0xaa, sizeof(key));
	hmac_expect(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First",
		    "d23d79394f53d536a096e6514447eeaabb05ded01be32c1937da6a8f7103bc4e");
}

static void test_mac_is_the_hmac_cut_short(void **state)
{
	uint8_t key[32], full[HASH_BYTES], cut[MAC_BYTES];
	struct blob part = {key, sizeof(key)};

	(void)state;
	memset(key, 3, sizeof(key));
	hmac_parts(key, sizeof(key), &part, 1, full);
	mac(key, key, sizeof(key), cut);
	assert_memory_equal(cut, full, MAC_BYTES);
}

static void test_hkdf_vectors(void **state)
{
	uint8_t ck[HASH_BYTES], input[32], one[HASH_BYTES], two[HASH_BYTES], three[HASH_BYTES];

	(void)state;
	for (size_t i = 0; i < 32; i++) {
		ck[i] = (uint8_t)i;
		input[i] = (uint8_t)(0xff - i);
	}
	hkdf(ck, input, sizeof(input), one, two, three);
	hex_expect(one, sizeof(one), "de1ad4bce33d3784a0e77d2452e5b6a68cb3fee496657f93a598d0ddf782249a");
	hex_expect(two, sizeof(two), "29b6d643e2c1b7a2245a658b45486ea290cbfa6e464c86ae6de62c83aa46b172");
	hex_expect(three, sizeof(three), "cc6b8410c72a65c9ab62a6cfa93a6d5458d6c98582cecf3fc6e5d5f75261dd02");
	hkdf(ck, input, sizeof(input), ck, input, NULL); /* as the handshake calls it: in place */
	assert_memory_equal(ck, one, HASH_BYTES);
	assert_memory_equal(input, two, HASH_BYTES);
}

static void test_derived_keys_are_apart(void **state)
{
	uint8_t key[32] = {1}, a[32], b[32];

	(void)state;
	derive_key(key, "ab", "c", 1, a);
	derive_key(key, "a", "bc", 2, b);
	assert_memory_not_equal(a, b, 32);
	derive_key(key, "ab", "d", 1, b);
	assert_memory_not_equal(a, b, 32);
	derive_key(key, "ab", "c", 1, b);
	assert_memory_equal(a, b, 32);
}

/* The paper's appendix A: key 00 .. 0f, message 00 .. 0e. */
static void test_siphash_vector(void **state)
{
	uint8_t key[16], message[15];

	(void)state;
	for (size_t i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	memcpy(message, key, sizeof(message));
	assert_true(siphash(key, message, sizeof(message)) == UINT64_C(0xa129ca6149be45e5));
}

static void test_equal_and_wipe(void **state)
{
	uint8_t a[33], b[33];

	(void)state;
	memset(a, 5, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(equal_secret(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] ^= 0x80;
		assert_false(equal_secret(a, b, sizeof(a)));
		b[i] ^= 0x80;
	}
	wipe(a, sizeof(a));
	memset(b, 0, sizeof(b));
	assert_memory_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blake2s_vectors), cmocka_unit_test(test_parts_equal_the_whole),
		cmocka_unit_test(test_hmac_vectors),	cmocka_unit_test(test_mac_is_the_hmac_cut_short),
		cmocka_unit_test(test_hkdf_vectors),	cmocka_unit_test(test_derived_keys_are_apart),
		cmocka_unit_test(test_siphash_vector),	cmocka_unit_test(test_equal_and_wipe),
	};

	if (!crypto_init())
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
