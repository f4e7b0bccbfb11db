/* Certificate, lease, network document, ticket and Bind: one encoding each, bounded lists, and the sizes that limits.h
 * promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sample.h"
#include "wire/field.h"

static uint8_t bytes[65536];

static size_t written(const struct writer *w)
{
	size_t size = 0;

	assert_int_equal(writer_finish(w, &size), OK);
	return size;
}

static enum err certificate_again(const struct certificate *m)
{
	struct writer w = writer_over(bytes, sizeof bytes);
	struct certificate got;
	struct reader r;

	certificate_encode(m, &w);
	r = reader_over(bytes, written(&w));
	return certificate_decode(&r, &got);
}

static enum err network_again(const struct network *m)
{
	struct writer w = writer_over(bytes, sizeof bytes);
	static struct network got;
	struct reader r;

	network_encode(m, &w);
	r = reader_over(bytes, written(&w));
	return network_decode(&r, &got);
}

/* A set has one order. */
static void test_groups_ascend(void **state)
{
	struct certificate m = {0};

	(void)state;
	sample_certificate(0, &m);
	assert_int_equal(certificate_again(&m), OK);
	strcpy(m.groups[1], "admin");
	assert_int_equal(certificate_again(&m), ERR_MALFORMED);
	strcpy(m.groups[1], "a");
	assert_int_equal(certificate_again(&m), ERR_MALFORMED);
	m.group_count = 1;
	assert_int_equal(certificate_again(&m), OK);
	m.groups[0][0] = '\0';
	assert_int_equal(certificate_again(&m), ERR_MALFORMED);
}

static void test_certificate_content(void **state)
{
	struct certificate m = {0};

	(void)state;
	sample_certificate(0, &m);
	strcpy(m.fqdn, "A.ntm.internal");
	assert_int_equal(certificate_again(&m), ERR_MALFORMED);
	m.fqdn[0] = '\0';
	assert_int_equal(certificate_again(&m), ERR_MALFORMED);
	strcpy(m.fqdn, "a.ntm.internal");
	strcpy(m.account, "a\x1b[2J");
	assert_int_equal(certificate_again(&m), ERR_MALFORMED);
	m.account[0] = '\0';
	assert_int_equal(certificate_again(&m), OK);
	m.not_after_s = m.not_before_s - 1;
	assert_int_equal(certificate_again(&m), ERR_MALFORMED);
}

/* Kind and version are part of what is signed: another kind is another document. */
static void test_kind_and_version(void **state)
{
	struct certificate certificate = {0};
	static struct network network;
	struct lease lease = {0};
	struct reader r;

	(void)state;
	for (uint8_t kind = 0; kind < 5; kind++)
		for (uint8_t version = 0; version < 3; version++) {
			struct writer w = writer_over(bytes, sizeof bytes);
			bool is_one = version == 1;
			size_t size;

			sample_lease(0, &lease);
			lease_encode(&lease, &w);
			size = written(&w);
			bytes[0] = kind;
			bytes[1] = version;
			r = reader_over(bytes, size);
			assert_int_equal(lease_decode(&r, &lease),
					 is_one && kind == DOCUMENT_LEASE ? OK : ERR_MALFORMED);
			r = reader_over(bytes, size);
			assert_int_not_equal(certificate_decode(&r, &certificate), OK);
			r = reader_over(bytes, size);
			assert_int_not_equal(network_decode(&r, &network), OK);
		}
}

static void test_lease_families(void **state)
{
	static const struct ip v6 = {.family = 6, .bytes = {0xfd, [15] = 1}};
	const struct {
		struct ip v4, v6;
		enum err err;
	} rows[] = {
		{ip_v4(198, 18, 0, 1), v6, OK},
		{{0}, v6, OK},
		{v6, v6, ERR_MALFORMED},
		{ip_v4(198, 18, 0, 1), ip_v4(198, 18, 0, 1), ERR_MALFORMED},
		{ip_v4(198, 18, 0, 1), {0}, ERR_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct writer w = writer_over(bytes, sizeof bytes);
		struct lease m = {.v4 = rows[i].v4, .v6 = rows[i].v6}, got;
		struct reader r;

		lease_encode(&m, &w);
		r = reader_over(bytes, written(&w));
		assert_int_equal(lease_decode(&r, &got), rows[i].err);
	}
}

static void test_pools(void **state)
{
	static struct network m;
	struct coordinator_entry *entry = &m.coordinators[0];

	(void)state;
	m = (struct network){0};
	sample_network(0, &m);
	assert_int_equal(network_again(&m), OK);
	entry->pool4.bits = 14; /* 198.18 has a one there */
	assert_int_equal(network_again(&m), ERR_MALFORMED);
	entry->pool4.bits = 33;
	assert_int_equal(network_again(&m), ERR_MALFORMED);
	entry->pool4.bits = 32;
	assert_int_equal(network_again(&m), OK);
	entry->pool4 = entry->pool6;
	assert_int_equal(network_again(&m), ERR_MALFORMED);
	entry->pool4 = (struct prefix){.ip = ip_v4(0, 0, 0, 0)};
	assert_int_equal(network_again(&m), OK);
	entry->pool6.bits = 129;
	assert_int_equal(network_again(&m), ERR_MALFORMED);
}

/* Offsets of the three counts in sample 1, which is empty. */
static void test_network_list_limits(void **state)
{
	static struct network m;
	static const struct {
		size_t at;
		uint8_t high, low;
	} rows[] = {{19, 0, COORDINATORS_MAX + 1},
		    {20, 0, RELAYS_MAX + 1},
		    {21, (REVOKED_MAX + 1) >> 8, (REVOKED_MAX + 1) & 0xff}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct writer w = writer_over(bytes, sizeof bytes);
		struct reader r;

		m = (struct network){0};
		sample_network(1, &m);
		network_encode(&m, &w);
		assert_int_equal(written(&w), 2 + 8 + 8 + 1 + 1 + 1 + 2 + SIGNATURE_SIZE);
		memset(bytes + w.at, 0, 32768);
		if (i == 2)
			bytes[rows[i].at] = rows[i].high;
		bytes[rows[i].at + (i == 2)] = rows[i].low;
		r = reader_over(bytes, w.at + 32768);
		assert_int_equal(network_decode(&r, &m), ERR_MALFORMED);
	}
}

static void test_encoders_refuse_overlong_lists(void **state)
{
	static struct network m;
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size = 0;

	(void)state;
	m = (struct network){.coordinator_count = COORDINATORS_MAX + 1};
	network_encode(&m, &w);
	assert_int_equal(writer_finish(&w, &size), ERR_SIZE);
	m = (struct network){.relay_count = RELAYS_MAX + 1};
	w = writer_over(bytes, sizeof bytes);
	network_encode(&m, &w);
	assert_int_equal(writer_finish(&w, &size), ERR_SIZE);
	m = (struct network){.revoked_count = REVOKED_MAX + 1};
	w = writer_over(bytes, sizeof bytes);
	network_encode(&m, &w);
	assert_int_equal(writer_finish(&w, &size), ERR_SIZE);
}

static struct addr longest_addr(void)
{
	return (struct addr){.ip = {.family = 6, .bytes = {0x20, 1, [15] = 1}}, .port = 1};
}

static struct server_addresses longest_addresses(void)
{
	struct server_addresses addresses = {.count = SERVER_ADDRESSES_MAX};

	for (int i = 0; i < SERVER_ADDRESSES_MAX; i++)
		addresses.list[i] = longest_addr();
	return addresses;
}

/* Labels of one letter, so that the name is valid at any even size plus one. */
static void longest_name(char *ret, size_t size)
{
	for (size_t i = 0; i < size; i++)
		ret[i] = i % 2 ? '.' : 'a';
	ret[size] = '\0';
}

static struct certificate longest_certificate(void)
{
	struct certificate m = {.group_count = GROUPS_MAX};

	longest_name(m.fqdn, FQDN_MAX_SIZE);
	memset(m.account, 'a', ACCOUNT_MAX_SIZE);
	for (int i = 0; i < GROUPS_MAX; i++)
		memset(m.groups[i], 'a' + i, GROUP_MAX_SIZE);
	return m;
}

/* What limits.h promises to readers of documents. */
static void test_longest_documents_fit(void **state)
{
	static struct network m;
	struct writer w = writer_over(bytes, sizeof bytes);
	struct certificate certificate = longest_certificate();
	struct lease lease = {0};

	(void)state;
	certificate_encode(&certificate, &w);
	assert_true(written(&w) <= CERTIFICATE_MAX_SIZE);
	assert_int_equal(certificate_again(&certificate), OK);
	sample_lease(0, &lease);
	w = writer_over(bytes, sizeof bytes);
	lease_encode(&lease, &w);
	assert_true(written(&w) <= LEASE_MAX_SIZE);
	m = (struct network){
		.coordinator_count = COORDINATORS_MAX, .relay_count = RELAYS_MAX, .revoked_count = REVOKED_MAX};
	for (int i = 0; i < COORDINATORS_MAX; i++) {
		longest_name(m.coordinators[i].zone, ZONE_MAX_SIZE);
		m.coordinators[i].pool4 = (struct prefix){.ip = ip_v4(198, 18, 0, 0), .bits = 15};
		m.coordinators[i].pool6 = (struct prefix){.ip = {.family = 6, .bytes = {0xfd}}, .bits = 32};
		m.coordinators[i].addresses = longest_addresses();
	}
	for (int i = 0; i < RELAYS_MAX; i++) {
		longest_name(m.relays[i].name, NAME_MAX_SIZE);
		m.relays[i].addresses = longest_addresses();
	}
	m.trusted_count = TRUSTED_MAX;
	for (int i = 0; i < TRUSTED_MAX; i++) {
		longest_name(m.trusted[i].zone, ZONE_MAX_SIZE);
		m.trusted[i].pool4 = m.coordinators[0].pool4;
		m.trusted[i].pool6 = m.coordinators[0].pool6;
	}
	w = writer_over(bytes, sizeof bytes);
	network_encode(&m, &w);
	assert_true(written(&w) <= NETWORK_MAX_SIZE);
	assert_int_equal(network_again(&m), OK);
}

/* With the longest certificate and all candidates a first message still fits one datagram. */
static void test_longest_registration_fits(void **state)
{
	static uint8_t document[CERTIFICATE_MAX_SIZE];
	struct writer w = writer_over(bytes, HANDSHAKE_PAYLOAD_MAX);
	struct registration_request m = {.certificate = {document, sizeof document},
					 .candidates = {.count = CANDIDATES_MAX}};

	(void)state;
	for (int i = 0; i < CANDIDATES_MAX; i++)
		m.candidates.list[i] = longest_addr();
	message_header_encode(MESSAGE_REGISTRATION_REQUEST, 1, &w);
	registration_request_encode(&m, &w);
	assert_true(written(&w) <= HANDSHAKE_PAYLOAD_MAX);
}

static enum err bind_again(const struct relay_bind *m, size_t *ret_size)
{
	struct writer w = writer_over(bytes, sizeof bytes);
	struct relay_bind got;
	struct reader r;
	enum err err;

	relay_bind_encode_unsigned(m, &w);
	write_bytes(&w, m->mac, MAC_SIZE);
	*ret_size = written(&w);
	r = reader_over(bytes, *ret_size);
	err = relay_bind_decode(&r, &got);
	if (err == OK)
		assert_int_equal(got.signed_size + MAC_SIZE, *ret_size);
	return err;
}

/* Never smaller than what the relay answers; padding is zero and counted. */
static void test_bind_sizes(void **state)
{
	static uint8_t ticket[TICKET_MAX_SIZE + 1];
	struct relay_bind m = {.path_id = 1}, got;
	struct reader r;
	size_t size;

	(void)state;
	for (size_t i = 0; i <= TICKET_MAX_SIZE; i++) {
		m.ticket = (struct blob){ticket, i};
		assert_int_equal(bind_again(&m, &size), OK);
		assert_true(size >= RELAY_BIND_MIN && size >= RELAY_CHALLENGE_SIZE);
	}
	m.ticket.size = TICKET_MAX_SIZE + 1;
	assert_int_equal(bind_again(&m, &size), ERR_MALFORMED);
	m.ticket.size = 10;
	assert_int_equal(bind_again(&m, &size), OK);
	bytes[RELAY_BIND_MIN - MAC_SIZE - 1] = 1;
	r = reader_over(bytes, size);
	assert_int_equal(relay_bind_decode(&r, &got), ERR_MALFORMED);
	m.leg = 2;
	assert_int_equal(bind_again(&m, &size), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups_ascend),
		cmocka_unit_test(test_certificate_content),
		cmocka_unit_test(test_kind_and_version),
		cmocka_unit_test(test_lease_families),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_network_list_limits),
		cmocka_unit_test(test_encoders_refuse_overlong_lists),
		cmocka_unit_test(test_longest_documents_fit),
		cmocka_unit_test(test_longest_registration_fits),
		cmocka_unit_test(test_bind_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
