/* test_abroad.c: peers of a network that ours trusts: judged by its key and document, and never in the place of one of
 * ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lan.h"
#include "proto/node/machine.h"

/* What the other network's servers have. */
struct partner {
	struct lan *lan;
	struct sign_keys authority, coordinator;
	struct network network;
};

static struct sign_keys keys(uint8_t number)
{
	uint8_t seed[KEY_SIZE] = {number};
	struct sign_keys made;

	sign_keys_from_seed(seed, &made);
	return made;
}

static struct node *node_of(struct partner *p)
{
	return p->lan->nodes[0].node;
}

static void fill_pool(struct prefix *ret, const char *text)
{
	assert_int_equal(prefix_parse(text, ret), OK);
}

/* Our account server's word reaches the nodes through the coordinator. */
static void publish(struct partner *p, bool is_trusted)
{
	struct network network = *node_get_network(node_of(p));

	network.epoch++;
	network.trusted_count = is_trusted;
	memset(network.trusted, 0, sizeof network.trusted);
	if (is_trusted) {
		strcpy(network.trusted[0].zone, "partner.example");
		memcpy(network.trusted[0].authority, p->authority.public, KEY_SIZE);
		fill_pool(&network.trusted[0].pool6, "fd12:3456::/32");
	}
	network_sign(&network, &p->lan->authority);
	coordinator_set_network(p->lan->coordinator, p->lan->now, &network);
	lan_run(p->lan, 125 * USEC_PER_SEC);
	assert_int_equal(node_get_network(node_of(p))->epoch, network.epoch);
}

static struct partner begin(void)
{
	struct partner p = {.lan = lan_create(), .authority = keys(1), .coordinator = keys(2)};

	p.network.coordinator_count = 1;
	strcpy(p.network.coordinators[0].zone, "partner.example");
	memcpy(p.network.coordinators[0].sign_key, p.coordinator.public, KEY_SIZE);
	fill_pool(&p.network.coordinators[0].pool6, "fd12:3456::/32");
	lan_plug(p.lan, 0, "203.0.113.1:7367");
	lan_plug(p.lan, 1, "203.0.113.2:7367");
	lan_run(p.lan, USEC_PER_SEC);
	publish(&p, true);
	return p;
}

/* As if it had come from the coordinator. */
static void give_document(struct partner *p)
{
	struct node *node = node_of(p);

	assert_non_null(node->abroad[0]); /* it was asked for */
	node->abroad[0]->network = mem_alloc(1, sizeof p->network);
	*node->abroad[0]->network = p->network;
}

/* The coordinator directs a tunnel to somebody with this identity and name. */
static bool direct(struct partner *p, const uint8_t identity_key[KEY_SIZE], const char *fqdn)
{
	static uint8_t certificate[CERTIFICATE_MAX_SIZE], lease[LEASE_MAX_SIZE];
	struct certificate c = {
		.id = node_id_of(identity_key), .not_after_s = UINT32_MAX, .group_count = 1, .groups = {"exit"}};
	struct lease l = {.id = c.id, .not_after_s = UINT32_MAX};
	struct route_direction direction = {.path_id = 77, .suite = SUITE_CHACHA20_POLY1305};
	struct writer cw = writer_over(certificate, sizeof certificate), lw = writer_over(lease, sizeof lease);

	memcpy(c.identity_key, identity_key, KEY_SIZE);
	strcpy(c.fqdn, fqdn);
	certificate_sign(&c, &p->authority);
	certificate_encode(&c, &cw);
	l.v6 = node_id_v6(&l.id, &p->network.coordinators[0].pool6);
	memcpy(l.coordinator_key, p->coordinator.public, KEY_SIZE);
	lease_sign(&l, &p->coordinator);
	lease_encode(&l, &lw);
	direction.certificate = (struct blob){certificate, cw.at};
	direction.lease = (struct blob){lease, lw.at};
	if (!direction_is_judgeable(node_of(p), p->lan->now, &direction))
		return false;
	direction_received(node_of(p), p->lan->now, &direction);
	return true;
}

static struct peer *peer(struct partner *p, const char *name)
{
	return peer_by_name(node_of(p), name);
}

static void test_judged_by_its_own(void **state)
{
	struct partner p = begin();
	struct sign_keys b = keys(3);
	struct certificate shown;

	(void)state;
	assert_false(direct(&p, b.public, "b.partner.example")); /* not lost: it is repeated */
	assert_null(peer(&p, "b.partner.example"));
	give_document(&p);
	assert_true(direct(&p, b.public, "b.partner.example"));
	assert_non_null(peer(&p, "b.partner.example"));
	assert_true(peer(&p, "b.partner.example")->is_foreign);
	shown = peer(&p, "b.partner.example")->awake->certificate;
	assert_int_equal(shown.group_count, 0);		     /* no exit of ours, and in no group of ours */
	assert_true(direct(&p, b.public, "b.ntm.internal")); /* a name of ours, by their key */
	assert_null(peer(&p, "b.ntm.internal"));
	publish(&p, false); /* trust ends */
	assert_null(peer(&p, "b.partner.example"));
	lan_destroy(p.lan);
}

/* Tables are by identity: the other network signs one of ours, and would get its packets. */
static void test_never_in_our_place(void **state)
{
	struct partner p = begin();
	struct reader r = reader_over(p.lan->nodes[1].certificate, p.lan->nodes[1].certificate_size);
	struct certificate b;

	(void)state;
	assert_int_equal(certificate_decode(&r, &b), OK);
	(void)direct(&p, b.identity_key, "evil.partner.example");
	give_document(&p);
	lan_send(p.lan, 0, "hello", 5);
	lan_run(p.lan, USEC_PER_SEC);
	assert_non_null(peer(&p, "b.ntm.internal"));
	assert_true(direct(&p, b.identity_key, "evil.partner.example"));
	assert_null(peer(&p, "evil.partner.example"));
	assert_true(peer_has_path(peer(&p, "b.ntm.internal")));
	peer_destroy(node_of(&p), peer(&p, "b.ntm.internal"));
	assert_true(direct(&p, b.identity_key, "evil.partner.example")); /* it came first */
	assert_non_null(peer(&p, "evil.partner.example"));
	p.lan->nodes[1].received = 0;
	assert_int_equal(node_contact(node_of(&p), p.lan->now, "b.ntm.internal"), OK);
	lan_run(p.lan, USEC_PER_SEC);
	assert_null(peer(&p, "evil.partner.example"));
	assert_false(peer(&p, "b.ntm.internal")->is_foreign);
	lan_send(p.lan, 0, "hello", 5);
	lan_run(p.lan, USEC_PER_SEC);
	assert_int_equal(p.lan->nodes[1].received, 1);
	lan_destroy(p.lan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judged_by_its_own),
		cmocka_unit_test(test_never_in_our_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
