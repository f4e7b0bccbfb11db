/* test_abroad.c: whose name it is when account servers trust each other, and what one of them may sign that counts
 * with the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session/abroad.h"
#include "proto/session/trust.h"

enum { NOW_S = 1800000000 };

/* Ours: net.example. Theirs: partner.example, and whatever they claim. */
struct neighbours {
	struct sign_keys authority, coordinator, identity; /* theirs */
	struct network own, theirs;
	struct certificate certificate;
	struct lease lease;
};

static struct sign_keys keys(uint8_t number)
{
	uint8_t seed[KEY_SIZE] = {number};
	struct sign_keys made;

	sign_keys_from_seed(seed, &made);
	return made;
}

static void prefix(const char *text, struct prefix *ret)
{
	assert_int_equal(prefix_parse(text, ret), OK);
}

static void set_zone(struct neighbours *n, const char *zone)
{
	strcpy(n->theirs.coordinators[0].zone, zone);
}

static void set_name(struct neighbours *n, const char *fqdn)
{
	memset(n->certificate.fqdn, 0, sizeof n->certificate.fqdn);
	strcpy(n->certificate.fqdn, fqdn);
}

static struct neighbours begin(void)
{
	struct neighbours n = {.authority = keys(1), .coordinator = keys(2), .identity = keys(3)};

	assert_true(crypto_init());
	n.own.coordinator_count = n.own.trusted_count = n.theirs.coordinator_count = 1;
	strcpy(n.own.coordinators[0].zone, "net.example");
	strcpy(n.own.trusted[0].zone, "partner.example");
	memcpy(n.own.trusted[0].authority, n.authority.public, KEY_SIZE);
	prefix("198.19.0.0/16", &n.own.trusted[0].pool4);
	prefix("fd12:3456::/32", &n.own.trusted[0].pool6);
	set_zone(&n, "partner.example");
	memcpy(n.theirs.coordinators[0].sign_key, n.coordinator.public, KEY_SIZE);
	n.theirs.coordinators[0].pool4 = n.own.trusted[0].pool4;
	n.theirs.coordinators[0].pool6 = n.own.trusted[0].pool6;
	n.certificate = (struct certificate){
		.id = node_id_of(n.identity.public), .not_after_s = NOW_S + 1, .group_count = 1, .groups = {"exit"}};
	memcpy(n.certificate.identity_key, n.identity.public, KEY_SIZE);
	set_name(&n, "b.partner.example");
	n.lease = (struct lease){.id = n.certificate.id, .v4 = ip_v4(198, 19, 7, 7), .not_after_s = NOW_S + 1};
	n.lease.v6 = node_id_v6(&n.lease.id, &n.own.trusted[0].pool6);
	memcpy(n.lease.coordinator_key, n.coordinator.public, KEY_SIZE);
	return n;
}

static enum err judge(struct neighbours *n, struct certificate *ret, struct lease *ret_lease)
{
	uint8_t certificate[CERTIFICATE_MAX_SIZE], lease[LEASE_MAX_SIZE];
	struct writer c = writer_over(certificate, sizeof certificate), l = writer_over(lease, sizeof lease);

	certificate_sign(&n->certificate, &n->authority);
	certificate_encode(&n->certificate, &c);
	lease_sign(&n->lease, &n->coordinator);
	lease_encode(&n->lease, &l);
	return abroad_judge(&n->own, &n->own.trusted[0], &n->theirs, (struct blob){certificate, c.at},
			    (struct blob){lease, l.at}, NOW_S, ret, ret_lease);
}

static enum err outcome(struct neighbours n)
{
	struct certificate certificate;
	struct lease lease;

	return judge(&n, &certificate, &lease);
}

static void test_longest_zone_decides(void **state)
{
	struct network own = {.coordinator_count = 2, .trusted_count = 2};
	static const struct {
		const char *name;
		int whose; /* of own.trusted; -1: ours or nobody's */
	} cases[] = {
		{"a.net.example", -1},
		{"b.partner.net.example", 0},
		{"partner.net.example", 0},
		{"c.ours.partner.net.example", -1},
		{"xpartner.net.example", -1},
		{"b.elsewhere", 1},
		{"elsewhere", 1},
		{"b.nowhere", -1},
	};

	(void)state;
	strcpy(own.coordinators[0].zone, "net.example");
	strcpy(own.coordinators[1].zone, "ours.partner.net.example");
	strcpy(own.trusted[0].zone, "partner.net.example");
	strcpy(own.trusted[1].zone, "elsewhere");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_ptr_equal(abroad_find(&own, cases[i].name),
				 cases[i].whose < 0 ? NULL : &own.trusted[cases[i].whose]);
	strcpy(own.trusted[1].zone, "net.example"); /* a tie is ours */
	assert_null(abroad_find(&own, "a.net.example"));
}

static void test_theirs_counts(void **state)
{
	struct neighbours n = begin();
	struct certificate certificate;
	struct lease lease;

	(void)state;
	assert_int_equal(judge(&n, &certificate, &lease), OK);
	assert_string_equal(certificate.fqdn, "b.partner.example");
	assert_int_equal(certificate.group_count, 0); /* their exits and groups are not ours */
	assert_string_equal(certificate.groups[0], "");
	assert_int_equal(lease.v4.family, 4);
	n.own.trusted[0].pool4 = (struct prefix){0}; /* no IPv4 was agreed on */
	assert_int_equal(judge(&n, &certificate, &lease), OK);
	assert_int_equal(lease.v4.family, 0);
	assert_int_equal(lease.v6.family, 6);
}

/* What a trusted account server may sign all day. */
static void test_nothing_beyond(void **state)
{
	struct neighbours n = begin();

	(void)state;
	set_name(&n, "b.net.example"); /* a name of ours */
	set_zone(&n, "net.example");
	assert_int_equal(outcome(n), ERR_DENIED);
	set_name(&n, "b.third.example"); /* a third party's */
	set_zone(&n, "third.example");
	assert_int_equal(outcome(n), ERR_DENIED);
	n = begin();
	set_name(&n, "b.sub.partner.example"); /* leased by the coordinator of another zone */
	assert_int_equal(outcome(n), ERR_DENIED);
	set_zone(&n, "sub.partner.example");
	assert_int_equal(outcome(n), OK);
	n = begin();
	n.theirs.coordinators[0].pool4.bits = 15; /* an address of ours, or of the world */
	n.theirs.coordinators[0].pool4.ip = ip_v4(198, 18, 0, 0);
	n.lease.v4 = ip_v4(198, 18, 0, 1);
	assert_int_equal(outcome(n), ERR_DENIED);
	n = begin();
	prefix("fd6e:746d::/32", &n.theirs.coordinators[0].pool6);
	n.lease.v6 = node_id_v6(&n.lease.id, &n.theirs.coordinators[0].pool6);
	assert_int_equal(outcome(n), ERR_DENIED);
	n = begin();
	n.theirs.revoked_count = 1;
	n.theirs.revoked[0] = n.certificate.id;
	assert_int_equal(outcome(n), ERR_DENIED);
	n = begin();
	n.authority = keys(9); /* not their account server */
	assert_int_equal(outcome(n), ERR_AUTH);
	n = begin();
	n.coordinator = keys(9); /* not their coordinator */
	assert_int_equal(outcome(n), ERR_AUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest_zone_decides),
		cmocka_unit_test(test_theirs_counts),
		cmocka_unit_test(test_nothing_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
