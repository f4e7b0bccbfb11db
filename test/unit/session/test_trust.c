/*
 * test_trust.c: credentials count only from the right hand, in their one encoding, in their time, for the right node;
 * tickets only whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session/trust.h"

enum { NOW_S = 1000000, DAY_S = 86400 };

struct bytes {
	uint8_t data[NETWORK_MAX_SIZE];
	size_t size;
};

/* One network: account server, coordinator, node, and a stranger's key. */
struct world {
	struct sign_keys authority, coordinator, node, stranger;
	struct certificate certificate;
	struct lease lease;
	struct network network;
	struct bytes encoded;
	struct signature_cache *cache; /* every document is also judged with what held before */
};

static void keys_make(uint8_t fill, struct sign_keys *ret)
{
	uint8_t seed[KEY_SIZE];

	memset(seed, fill, sizeof(seed));
	sign_keys_from_seed(seed, ret);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct coordinator_entry *entry = &w->network.coordinators[0];

	w->cache = signature_cache_create(1);
	keys_make(1, &w->authority);
	keys_make(2, &w->coordinator);
	keys_make(3, &w->node);
	keys_make(4, &w->stranger);

	w->network.epoch = 3;
	w->network.version_floor = 1;
	w->network.coordinator_count = 1;
	strcpy(entry->zone, "mobile.example");
	memcpy(entry->sign_key, w->coordinator.public, KEY_SIZE);
	assert_int_equal(prefix_parse("198.18.0.0/16", &entry->pool4), OK);
	assert_int_equal(prefix_parse("fd6e:746d::/32", &entry->pool6), OK);
	assert_int_equal(addr_parse("192.0.2.1:7367", 0, &entry->addresses.list[0]), OK);
	entry->addresses.count = 1;

	w->certificate.serial = 42;
	w->certificate.id = node_id_of(w->node.public);
	memcpy(w->certificate.identity_key, w->node.public, KEY_SIZE);
	memset(w->certificate.static_key, 9, KEY_SIZE);
	strcpy(w->certificate.fqdn, "laptop.mobile.example");
	strcpy(w->certificate.account, "alice");
	w->certificate.group_count = 2;
	strcpy(w->certificate.groups[0], "admins");
	strcpy(w->certificate.groups[1], "staff");
	w->certificate.not_before_s = NOW_S - DAY_S;
	w->certificate.not_after_s = NOW_S + DAY_S;

	w->lease.id = w->certificate.id;
	w->lease.v4 = ip_v4(198, 18, 0, 5);
	w->lease.v6 = node_id_v6(&w->lease.id, &entry->pool6);
	w->lease.epoch = 1;
	w->lease.issued_s = NOW_S - DAY_S;
	w->lease.not_after_s = NOW_S + DAY_S;
	memcpy(w->lease.coordinator_key, w->coordinator.public, KEY_SIZE);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	signature_cache_destroy(((struct world *)*state)->cache);
	free(*state);
	return 0;
}

static struct blob encoded(struct world *w, struct writer *from)
{
	assert_int_equal(writer_finish(from, &w->encoded.size), OK);
	return (struct blob){w->encoded.data, w->encoded.size};
}

static struct blob certificate_bytes(struct world *w, const struct sign_keys *signer)
{
	struct writer writer = writer_over(w->encoded.data, sizeof(w->encoded.data));

	certificate_sign(&w->certificate, signer);
	certificate_encode(&w->certificate, &writer);
	return encoded(w, &writer);
}

static struct blob lease_bytes(struct world *w, const struct sign_keys *signer)
{
	struct writer writer = writer_over(w->encoded.data, sizeof(w->encoded.data));

	lease_sign(&w->lease, signer);
	lease_encode(&w->lease, &writer);
	return encoded(w, &writer);
}

static struct blob network_bytes(struct world *w, const struct sign_keys *signer)
{
	struct writer writer = writer_over(w->encoded.data, sizeof(w->encoded.data));

	network_sign(&w->network, signer);
	network_encode(&w->network, &writer);
	return encoded(w, &writer);
}

static enum err certificate_verdict(struct world *w, struct blob bytes, uint64_t now_s)
{
	struct certificate got, before, again;
	enum err err;

	memset(&got, 0x5a, sizeof(got));
	before = got;
	err = certificate_judge(bytes, w->authority.public, now_s, &got);
	assert_int_equal(certificate_judge_cached(w->cache, bytes, w->authority.public, now_s, &again), err);
	if (err)
		assert_memory_equal(&got, &before, sizeof(got));
	else
		assert_string_equal(got.fqdn, "laptop.mobile.example");
	return err;
}

static enum err lease_verdict(struct world *w, struct blob bytes, uint64_t now_s)
{
	struct lease got, before, again;
	enum err err;

	memset(&got, 0x5a, sizeof(got));
	before = got;
	err = lease_judge(bytes, &w->network, &w->certificate.id, now_s, &got);
	assert_int_equal(lease_judge_cached(w->cache, bytes, &w->network, &w->certificate.id, now_s, &again), err);
	if (err)
		assert_memory_equal(&got, &before, sizeof(got));
	else
		assert_true(ip_equal(&got.v6, &w->lease.v6));
	return err;
}

static void test_good_documents_count(void **state)
{
	struct world *w = *state;
	static struct network network;

	assert_int_equal(certificate_verdict(w, certificate_bytes(w, &w->authority), NOW_S), OK);
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->coordinator), NOW_S), OK);
	assert_int_equal(network_judge(network_bytes(w, &w->authority), w->authority.public, &network), OK);
	assert_int_equal(network.epoch, 3);
	assert_string_equal(network.coordinators[0].zone, "mobile.example");
}

static void test_every_flipped_bit_is_refused(void **state)
{
	struct world *w = *state;
	static struct network network;
	struct blob bytes = certificate_bytes(w, &w->authority);

	assert_int_equal(certificate_verdict(w, bytes, NOW_S), OK);
	for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
		w->encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(certificate_verdict(w, bytes, NOW_S), OK);
		w->encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bytes = lease_bytes(w, &w->coordinator);
	assert_int_equal(lease_verdict(w, bytes, NOW_S), OK);
	for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
		w->encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(lease_verdict(w, bytes, NOW_S), OK);
		w->encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	bytes = network_bytes(w, &w->authority);
	for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
		w->encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(network_judge(bytes, w->authority.public, &network), OK);
		w->encoded.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_every_other_length_is_refused(void **state)
{
	struct world *w = *state;
	struct blob bytes = certificate_bytes(w, &w->authority);
	struct blob longer = {bytes.data, bytes.size + 1};

	assert_int_not_equal(certificate_verdict(w, longer, NOW_S), OK);
	for (size_t size = 0; size < bytes.size; size++)
		assert_int_not_equal(certificate_verdict(w, (struct blob){bytes.data, size}, NOW_S), OK);
	bytes = lease_bytes(w, &w->coordinator);
	for (size_t size = 0; size < bytes.size; size++)
		assert_int_not_equal(lease_verdict(w, (struct blob){bytes.data, size}, NOW_S), OK);
}

/* Signs bytes as they are, as the authority could but an honest one never would. */
static void sign_raw(const struct sign_keys *signer, const char *text, uint8_t *document, size_t size)
{
	uint8_t message[64 + CERTIFICATE_MAX_SIZE];
	size_t text_size = strlen(text) + 1;

	memcpy(message, text, text_size);
	memcpy(message + text_size, document, size - SIGNATURE_SIZE);
	sign(signer, message, text_size + size - SIGNATURE_SIZE, document + size - SIGNATURE_SIZE);
}

/* T14: signed properly, but not in the one encoding. First the way to sign is shown to be right. */
static void test_other_encodings_are_refused(void **state)
{
	struct world *w = *state;
	struct blob bytes = certificate_bytes(w, &w->authority);
	size_t size = bytes.size;

	sign_raw(&w->authority, "ntm certificate", w->encoded.data, size);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S), OK);

	/* A byte between body and signature. */
	memset(w->encoded.data + size - SIGNATURE_SIZE, 0, SIGNATURE_SIZE + 1);
	sign_raw(&w->authority, "ntm certificate", w->encoded.data, size + 1);
	assert_int_not_equal(certificate_verdict(w, (struct blob){w->encoded.data, size + 1}, NOW_S), OK);

	/* Groups in another order. */
	strcpy(w->certificate.groups[0], "staff");
	strcpy(w->certificate.groups[1], "admins");
	assert_int_not_equal(certificate_verdict(w, certificate_bytes(w, &w->authority), NOW_S), OK);
	strcpy(w->certificate.groups[1], "staff");
	assert_int_not_equal(certificate_verdict(w, certificate_bytes(w, &w->authority), NOW_S), OK);
	strcpy(w->certificate.groups[0], "admins");

	/* A name in capitals is another spelling of the same name. */
	strcpy(w->certificate.fqdn, "Laptop.mobile.example");
	assert_int_not_equal(certificate_judge(certificate_bytes(w, &w->authority), w->authority.public, NOW_S,
					       &(struct certificate){0}),
			     OK);
}

static void test_text_separates_documents(void **state)
{
	struct world *w = *state;
	struct blob bytes = certificate_bytes(w, &w->authority);

	sign_raw(&w->authority, "ntm lease", w->encoded.data, bytes.size);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S), ERR_AUTH);
	sign_raw(&w->authority, "", w->encoded.data, bytes.size);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S), ERR_AUTH);
}

static void test_other_authority_is_refused(void **state)
{
	struct world *w = *state;
	static struct network network;

	assert_int_equal(certificate_verdict(w, certificate_bytes(w, &w->stranger), NOW_S), ERR_AUTH);
	assert_int_equal(certificate_verdict(w, certificate_bytes(w, &w->coordinator), NOW_S), ERR_AUTH); /* T30 */
	assert_int_equal(network_judge(network_bytes(w, &w->stranger), w->authority.public, &network), ERR_AUTH);
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->stranger), NOW_S), ERR_AUTH);
	memcpy(w->lease.coordinator_key, w->stranger.public,
	       KEY_SIZE); /* properly signed, by a key that nobody listed */
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->stranger), NOW_S), ERR_DENIED);
}

static void test_validity(void **state)
{
	struct world *w = *state;
	struct blob bytes = certificate_bytes(w, &w->authority);

	assert_int_equal(certificate_verdict(w, bytes, NOW_S - DAY_S), OK);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S - DAY_S - 1), ERR_EXPIRED);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S + DAY_S), OK);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S + DAY_S + 1), ERR_EXPIRED);
	assert_int_equal(certificate_verdict(w, bytes, 0), OK); /* T10: no time known yet */
	bytes = lease_bytes(w, &w->coordinator);
	assert_int_equal(lease_verdict(w, bytes, NOW_S + DAY_S), OK);
	assert_int_equal(lease_verdict(w, bytes, NOW_S + DAY_S + 1), ERR_EXPIRED);
	assert_int_equal(lease_verdict(w, bytes, 0), OK);
}

static void test_node_id_must_be_the_keys(void **state)
{
	struct world *w = *state;

	w->certificate.id.bytes[0] ^= 1;
	assert_int_equal(certificate_verdict(w, certificate_bytes(w, &w->authority), NOW_S), ERR_AUTH);
}

static void test_lease_of_another_node_is_refused(void **state)
{
	struct world *w = *state;

	w->lease.id = node_id_of(w->stranger.public);
	w->lease.v6 = node_id_v6(&w->lease.id, &w->network.coordinators[0].pool6);
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->coordinator), NOW_S), ERR_AUTH);
}

static void test_addresses_outside_the_pools_are_refused(void **state)
{
	struct world *w = *state;
	struct ip right = w->lease.v6;

	w->lease.v4 = ip_v4(198, 19, 0, 5);
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->coordinator), NOW_S), ERR_DENIED);
	w->lease.v4 = ip_v4(198, 18, 0, 5);
	w->lease.v6.bytes[0] = 0xfc; /* outside the prefix */
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->coordinator), NOW_S), ERR_DENIED);
	w->lease.v6 = right;
	w->lease.v6.bytes[15] ^= 1; /* inside, but not this NodeID's */
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->coordinator), NOW_S), ERR_DENIED);
	w->lease.v6 = right;
	w->lease.v4 = (struct ip){0};
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->coordinator), NOW_S), OK); /* no IPv4 was left */
	w->lease.v4 = ip_v4(0, 0, 0, 0);
	w->network.coordinators[0].pool4 = (struct prefix){0};
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->coordinator), NOW_S), ERR_DENIED);
}

/* Each coordinator leases from its own pools only. */
static void test_pool_of_another_coordinator_is_refused(void **state)
{
	struct world *w = *state;

	w->network.coordinators[1] = w->network.coordinators[0];
	w->network.coordinator_count = 2;
	memcpy(w->network.coordinators[1].sign_key, w->stranger.public, KEY_SIZE);
	assert_int_equal(prefix_parse("198.19.0.0/16", &w->network.coordinators[1].pool4), OK);
	memcpy(w->lease.coordinator_key, w->stranger.public, KEY_SIZE);
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->stranger), NOW_S), ERR_DENIED);
	w->lease.v4 = ip_v4(198, 19, 0, 5);
	assert_int_equal(lease_verdict(w, lease_bytes(w, &w->stranger), NOW_S), OK);
}

/* A signature that held is not verified again; all else of the document still is, and nobody else's signature counts.
 */
static void test_signatures_are_remembered(void **state)
{
	struct world *w = *state;
	struct blob bytes = certificate_bytes(w, &w->authority);
	struct certificate got;

	assert_int_equal(certificate_verdict(w, bytes, NOW_S), OK);
	assert_int_equal(signature_cache_hits(w->cache), 0);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S), OK);
	assert_int_equal(signature_cache_hits(w->cache), 1);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S + 2 * DAY_S), ERR_EXPIRED);
	assert_int_equal(signature_cache_hits(w->cache), 2);
	assert_int_equal(certificate_judge_cached(w->cache, bytes, w->stranger.public, NOW_S, &got), ERR_AUTH);
	assert_int_equal(certificate_verdict(w, bytes, NOW_S), OK);
	assert_int_equal(signature_cache_hits(w->cache), 3); /* a failure displaces nothing */
	w->certificate.serial++;
	assert_int_equal(certificate_verdict(w, certificate_bytes(w, &w->stranger), NOW_S), ERR_AUTH);
	assert_int_equal(certificate_verdict(w, certificate_bytes(w, &w->authority), NOW_S), OK);
	assert_int_equal(signature_cache_hits(w->cache), 3);
}

static void test_node_ids(void **state)
{
	struct node_id a = {{1}}, b = {{1}};
	struct prefix pool;
	struct ip v6;

	(void)state;
	assert_true(node_id_equal(&a, &b));
	b.bytes[15] = 1;
	assert_false(node_id_equal(&a, &b));
	assert_true(node_id_compare(&a, &b) < 0);
	a.bytes[0] = 0xff; /* unsigned order */
	assert_true(node_id_compare(&a, &b) > 0);
	assert_int_equal(prefix_parse("fd6e:746d::/32", &pool), OK);
	v6 = node_id_v6(&a, &pool);
	assert_int_equal(v6.family, 6);
	assert_memory_equal(v6.bytes, "\xfd\x6e\x74\x6d\xff\x00", 6);
}

static void ticket_make(struct ticket *ret, uint8_t key[KEY_SIZE], uint8_t sealed[TICKET_SEALED_SIZE])
{
	uint8_t seed[KEY_SIZE] = {1}, relay_key[KEY_SIZE], nonce[12] = {5};
	struct dh_keys coordinator, relay;

	dh_keys_from_seed(seed, &coordinator);
	seed[0] = 2;
	dh_keys_from_seed(seed, &relay);
	*ret = (struct ticket){.path_id = 77, .not_before_s = 5, .not_after_s = 10, .rate_kbps_max = 3, .bytes_max = 9};
	memset(ret->leg_keys[0], 0xa1, KEY_SIZE);
	memset(ret->leg_keys[1], 0xa2, KEY_SIZE);
	assert_int_equal(ticket_key(coordinator.secret, relay.public, key), OK);
	assert_int_equal(ticket_key(relay.secret, coordinator.public, relay_key), OK);
	assert_memory_equal(key, relay_key, KEY_SIZE);
	ticket_seal(ret, key, coordinator.public, nonce, sealed);
	assert_memory_equal(sealed, coordinator.public, KEY_SIZE); /* where the relay finds whose key to take */
}

static void test_ticket_opens_whole_only(void **state)
{
	uint8_t key[KEY_SIZE], sealed[TICKET_SEALED_SIZE + 1] = {0};
	struct blob whole = {sealed, TICKET_SEALED_SIZE};
	struct ticket ticket, got, before;

	(void)state;
	ticket_make(&ticket, key, sealed);
	assert_int_equal(ticket_open(whole, key, &got), OK);
	assert_int_equal(got.path_id, 77);
	assert_int_equal(got.bytes_max, 9);
	assert_memory_equal(got.leg_keys, ticket.leg_keys, sizeof(got.leg_keys));
	memset(&got, 0x5a, sizeof(got));
	before = got;
	for (size_t bit = 0; bit < 8 * TICKET_SEALED_SIZE; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(ticket_open(whole, key, &got), ERR_AUTH);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size <= TICKET_SEALED_SIZE + 1; size++)
		if (size != TICKET_SEALED_SIZE)
			assert_int_equal(ticket_open((struct blob){sealed, size}, key, &got), ERR_MALFORMED);
	key[0] ^= 1;
	assert_int_equal(ticket_open(whole, key, &got), ERR_AUTH);
	assert_memory_equal(&got, &before, sizeof(got));
}

static void test_ticket_key_refuses_low_order(void **state)
{
	uint8_t secret[KEY_SIZE] = {1}, zero[KEY_SIZE] = {0}, key[KEY_SIZE];

	(void)state;
	assert_int_equal(ticket_key(secret, zero, key), ERR_AUTH);
}

static void test_pin(void **state)
{
	struct world *w = *state;
	uint8_t a[JOIN_PIN_SIZE], b[JOIN_PIN_SIZE];

	authority_pin(w->authority.public, a);
	authority_pin(w->stranger.public, b);
	assert_memory_not_equal(a, b, JOIN_PIN_SIZE);
	assert_memory_equal(a, node_id_of(w->authority.public).bytes,
			    JOIN_PIN_SIZE); /* both are BLAKE2s, cut to 16 bytes */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good_documents_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_flipped_bit_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_other_length_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_encodings_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text_separates_documents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_authority_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_validity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signatures_are_remembered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node_id_must_be_the_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lease_of_another_node_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses_outside_the_pools_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pool_of_another_coordinator_is_refused, setup, teardown),
		cmocka_unit_test(test_node_ids),
		cmocka_unit_test(test_ticket_opens_whole_only),
		cmocka_unit_test(test_ticket_key_refuses_low_order),
		cmocka_unit_test_setup_teardown(test_pin, setup, teardown),
	};

	if (!crypto_init())
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
