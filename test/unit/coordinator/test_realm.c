/* test_realm.c: two networks, each with an account server of its own: found through DNS, trusted by configuration; and
 * what whoever is trusted, or says that it is, must not achieve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/information.h"
#include "wire/network_part.h"
#include "world.h"

struct realms_test {
	struct world one, two;
	struct fake_node *a, *b; /* a.ntm.internal, b.partner.example */
};

static void begin(struct realms_test *t)
{
	world_init(&t->one, "198.18.0.0/16");
	world_init(&t->two, "198.19.0.0/16");
	world_befriend(&t->one, &t->two);
}

static void populate(struct realms_test *t)
{
	world_publish_own(&t->one);
	world_publish_own(&t->two);
	t->a = world_node(&t->one, "a");
	t->b = world_node(&t->two, "b");
	fake_register(&t->one, t->a);
	fake_register(&t->two, t->b);
}

static void finish(struct realms_test *t)
{
	world_finish(&t->one);
	world_finish(&t->two);
}

static uint8_t refusal(struct fake_node *node)
{
	struct letter letter = fake_take(node, MESSAGE_DIRECTION_REFUSAL);

	return open_refusal(&letter);
}

/* Both ends hear of one tunnel, each with the other's own documents. */
static void expect_directed(struct realms_test *t)
{
	struct letter at_a = fake_take(t->a, MESSAGE_ROUTE_DIRECTION), at_b = fake_take(t->b, MESSAGE_ROUTE_DIRECTION);
	struct route_direction da = open_direction(&at_a), db = open_direction(&at_b);
	struct certificate certificate;

	assert_int_equal(da.path_id, db.path_id);
	assert_memory_equal(da.temp_key, db.temp_key, KEY_SIZE);
	assert_int_equal(certificate_judge(da.certificate, t->two.authority.public, WALL_S, &certificate), OK);
	assert_string_equal(certificate.fqdn, "b.partner.example");
	assert_int_equal(certificate_judge(db.certificate, t->one.authority.public, WALL_S, &certificate), OK);
	assert_string_equal(certificate.fqdn, "a.ntm.internal");
	fake_ack(&t->one, t->a, at_a.transaction);
	fake_ack(&t->two, t->b, at_b.transaction);
}

static void connect(struct realms_test *t)
{
	begin(t);
	populate(t);
	fake_ask(&t->one, t->a, 500, "b.partner.example");
	world_pass(&t->one, USEC_PER_SEC);
	expect_directed(t);
}

static void test_contact(void **state)
{
	struct realms_test t;
	struct coordinator_counters counters;
	char text[ADDR_TEXT_MAX];
	unsigned before;

	(void)state;
	begin(&t);
	populate(&t);
	world_pass(&t.one, USEC_PER_SEC);
	assert_int_equal(t.one.between + t.two.between, 0); /* nobody asks, nobody speaks */
	fake_ask(&t.one, t.a, 500, "b.partner.example");
	world_pass(&t.one, 500 * USEC_PER_MSEC);
	expect_directed(&t);
	assert_int_equal(t.one.events[COORDINATOR_REALM_TAKEN], 1);
	assert_int_equal(t.two.events[COORDINATOR_REALM_TAKEN], 1);
	assert_int_equal(t.one.lookups, 1);
	assert_int_equal(t.two.lookups, 1);
	/* From now on as between two zones of one network: one message each way, by name and by address. */
	for (int by_address = 0; by_address < 2; by_address++) {
		world_pass(&t.one, 20 * USEC_PER_SEC);
		fake_keep_alive(&t.one, t.a);
		fake_keep_alive(&t.two, t.b);
		before = t.two.between;
		fake_ask(&t.two, t.b, 600 + (uint32_t)by_address,
			 by_address ? ip_format(&t.a->lease.v6, text) : "a.ntm.internal");
		assert_int_equal(t.two.between, before + 1);
		expect_directed(&t);
	}
	world_pass(&t.one, 3600 * USEC_PER_SEC); /* the link stays */
	assert_int_equal(t.one.events[COORDINATOR_LINK_DOWN] + t.two.events[COORDINATOR_LINK_DOWN], 0);
	coordinator_get_counters(t.one.c, &counters);
	assert_int_equal(counters.lookups, 1);
	finish(&t);
}

/* A piece of the other network's document, as a node of ours gets it. */
static void test_document_for_nodes(void **state)
{
	struct realms_test t;
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct network_request request = {.zone = "partner.example"};
	struct network_response response;
	struct network network;
	struct letter letter;
	struct reader r;

	(void)state;
	begin(&t);
	populate(&t);
	network_request_encode(&request, &w);
	assert_int_equal(fake_send(&t.one, t.a, MESSAGE_NETWORK_REQUEST, 9, &w), ERR_STATE); /* not there yet */
	finish(&t);
	connect(&t);
	assert_int_equal(fake_send(&t.one, t.a, MESSAGE_NETWORK_REQUEST, 9, &w), OK);
	letter = fake_take(t.a, MESSAGE_NETWORK_RESPONSE);
	r = reader_over(letter.body, letter.size);
	assert_int_equal(network_response_decode(&r, &response), OK);
	assert_int_equal(response.size, response.data.size);
	assert_int_equal(network_judge(response.data, t.two.authority.public, &network), OK);
	finish(&t);
}

static void test_not_in_dns(void **state)
{
	struct realms_test t;

	(void)state;
	begin(&t);
	populate(&t);
	fake_ask(&t.one, t.a, 1, "b.there.partner.example");
	assert_int_equal(refusal(t.a), REASON_NO_ZONE);
	fake_ask(&t.one, t.a, 2, "c.there.partner.example"); /* remembered */
	assert_int_equal(refusal(t.a), REASON_NO_ZONE);
	assert_int_equal(t.one.lookups, 1);
	world_pass(&t.one, 11 * USEC_PER_SEC); /* and forgotten */
	fake_ask(&t.one, t.a, 3, "b.there.partner.example");
	assert_int_equal(t.one.lookups, 2);
	assert_int_equal(refusal(t.a), REASON_NO_ZONE);
	t.one.is_dns_silent = true;
	fake_ask(&t.one, t.a, 4, "b.partner.example");
	assert_int_equal(t.a->inbox_count, 0);
	world_pass(&t.one, 7 * USEC_PER_SEC);
	assert_int_equal(refusal(t.a), REASON_NO_ZONE);
	assert_int_equal(t.one.between, 0);
	finish(&t);
}

/* Somebody asks for ever other zones: neither DNS nor the table is flooded, and who has a link keeps it. */
static void test_many_zones(void **state)
{
	struct realms_test t;
	unsigned busy = 0;

	(void)state;
	connect(&t);
	for (unsigned i = 0; i < 200; i++) {
		char name[64];

		(void)snprintf(name, sizeof name, "b.z%u.partner.example", i);
		fake_ask(&t.one, t.a, 1000 + i, name);
		busy += refusal(t.a) == REASON_BUSY;
	}
	assert_in_range(t.one.lookups, 20, 40);
	assert_true(busy >= 160);
	world_pass(&t.one, 300 * USEC_PER_SEC);
	assert_int_equal(t.one.events[COORDINATOR_LINK_DOWN], 0);
	finish(&t);
}

static void test_not_trusted(void **state)
{
	struct realms_test t;

	(void)state;
	/* Not at all. */
	begin(&t);
	t.one.network.trusted_count = 0;
	populate(&t);
	fake_ask(&t.one, t.a, 1, "b.partner.example");
	assert_int_equal(refusal(t.a), REASON_NOT_TRUSTED);
	/* Only by one side: the other one's questions meet silence, and no look-up. */
	fake_ask(&t.two, t.b, 2, "a.ntm.internal");
	world_pass(&t.one, 20 * USEC_PER_SEC);
	assert_int_equal(refusal(t.b), REASON_OFFLINE);
	assert_int_equal(t.one.between, 0);
	assert_int_equal(t.one.lookups, 0);
	finish(&t);
	/* Another key than the network has: DNS shows it already. */
	begin(&t);
	t.one.network.trusted[0].authority[0] ^= 1;
	populate(&t);
	fake_ask(&t.one, t.a, 1, "b.partner.example");
	assert_int_equal(refusal(t.a), REASON_NOT_TRUSTED);
	assert_int_equal(t.one.between, 0);
	finish(&t);
	/* Trust ends: so does the link. */
	connect(&t);
	t.one.network.trusted_count = 0;
	world_publish_own(&t.one);
	assert_int_equal(t.one.events[COORDINATOR_LINK_DOWN], 1);
	fake_ask(&t.one, t.a, 501, "b.partner.example");
	assert_int_equal(refusal(t.a), REASON_NOT_TRUSTED);
	finish(&t);
}

/* DNS names a coordinator whose network's document has another account server's signature, or does not name it, or with
 * another key. */
static void test_false_documents(void **state)
{
	struct realms_test t;
	struct zone_record record = {0};

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct sign_keys forger = {{0}}, theirs;
		uint8_t seed[KEY_SIZE] = {0x66};

		begin(&t);
		sign_keys_from_seed(seed, &forger);
		theirs = t.two.authority;
		authority_pin(theirs.public, record.pin); /* anybody may say so */
		memcpy(record.static_key, t.two.config.static_keys.public, KEY_SIZE);
		record.addresses = t.two.network.coordinators[0].addresses;
		t.one.forged = &record;
		if (kind == 0)
			t.two.authority = forger;
		else if (kind == 1)
			strcpy(t.two.network.coordinators[0].zone, "else.partner.example");
		else
			t.two.network.coordinators[0].static_key[0] ^= 1;
		world_publish_own(&t.two);
		world_publish_own(&t.one);
		t.a = world_node(&t.one, "a");
		fake_register(&t.one, t.a);
		fake_ask(&t.one, t.a, 1, "b.partner.example");
		world_pass(&t.one, 3 * USEC_PER_SEC);
		assert_int_equal(refusal(t.a), REASON_NOT_TRUSTED);
		assert_int_equal(t.one.events[COORDINATOR_REALM_REFUSED], 1);
		assert_int_equal(t.one.events[COORDINATOR_REALM_TAKEN], 0);
		assert_int_equal(fake_take(t.a, MESSAGE_ROUTE_DIRECTION).type, 0);
		finish(&t);
	}
}

/* The other network signs a certificate for the identity of a node of ours: tables are by identity, so its tunnels
 * would be theirs. */
static void test_identities_of_ours(void **state)
{
	struct realms_test t;
	struct fake_node *evil;

	(void)state;
	connect(&t);
	evil = world_node(&t.two, "evil");
	evil->identity = t.a->identity;
	node_recertify(&t.two, evil, "evil.partner.example", &t.two.authority);
	fake_register(&t.two, evil);
	t.a->inbox_count = 0;
	fake_ask(&t.two, evil, 900, "a.ntm.internal");
	assert_int_equal(refusal(evil), REASON_BAD_CREDENTIAL);
	fake_ask(&t.one, t.a, 901, "evil.partner.example");
	assert_int_equal(refusal(t.a), REASON_BAD_CREDENTIAL);
	assert_int_equal(fake_take(t.a, MESSAGE_ROUTE_DIRECTION).type, 0);
	finish(&t);
}

/* Addresses outside of what our account server gave that network room for. */
static void test_addresses_of_ours(void **state)
{
	struct realms_test t;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		begin(&t);
		if (family == 4)
			t.one.network.trusted[0].pool4.ip = ip_v4(198, 20, 0, 0);
		else
			t.one.network.trusted[0].pool6.ip.bytes[1] ^= 1;
		populate(&t);
		fake_ask(&t.one, t.a, 1, "b.partner.example");
		world_pass(&t.one, USEC_PER_SEC);
		assert_int_equal(refusal(t.a), REASON_BAD_CREDENTIAL);
		finish(&t);
	}
	begin(&t); /* no IPv4 agreed on: IPv6 alone */
	t.one.network.trusted[0].pool4 = (struct prefix){0};
	populate(&t);
	fake_ask(&t.one, t.a, 1, "b.partner.example");
	world_pass(&t.one, USEC_PER_SEC);
	expect_directed(&t);
	finish(&t);
}

static void test_revocation(void **state)
{
	struct realms_test t;
	struct letter letter;
	struct route_update update;
	struct reader r;

	(void)state;
	connect(&t);
	/* Their coordinator has forgotten the tunnel and says nothing; their document does. */
	t.two.network.revoked_count = 1;
	t.two.network.revoked[0] = t.b->certificate.id;
	t.two.network.epoch++;
	network_sign(&t.two.network, &t.two.authority);
	world_restart(&t.two);
	t.a->inbox_count = 0;
	world_pass(&t.one, 45 * USEC_PER_SEC);
	fake_keep_alive(&t.one, t.a);
	letter = fake_take(t.a, MESSAGE_ROUTE_UPDATE);
	assert_int_equal(letter.type, MESSAGE_ROUTE_UPDATE);
	r = reader_over(letter.body, letter.size);
	assert_int_equal(route_update_decode(&r, &update), OK);
	assert_int_equal(update.reason, REASON_REVOKED);
	finish(&t);
	connect(&t); /* it has no say about ours */
	t.two.network.revoked_count = 1;
	t.two.network.revoked[0] = t.a->certificate.id;
	world_publish_own(&t.two);
	world_pass(&t.one, 45 * USEC_PER_SEC);
	fake_keep_alive(&t.one, t.a);
	assert_int_equal(fake_take(t.a, MESSAGE_KEEP_ALIVE_ANSWER).type, MESSAGE_KEEP_ALIVE_ANSWER);
	finish(&t);
}

static void put_relay(struct world *world, const char *name, uint8_t last)
{
	struct relay_entry *entry = &world->network.relays[world->network.relay_count++];
	uint8_t seed[KEY_SIZE] = {last};
	struct dh_keys keys;

	dh_keys_from_seed(seed, &keys);
	strcpy(entry->name, name);
	memcpy(entry->static_key, keys.public, KEY_SIZE);
	entry->addresses = (struct server_addresses){1, {{ip_v4(203, 0, 113, last), 7367}}};
}

/* Our node binds only at relays that their account server has signed for: else they could name a victim. */
static void test_relays(void **state)
{
	(void)state;
	for (int is_signed = 0; is_signed < 2; is_signed++) {
		struct realms_test t;
		struct letter letter;

		begin(&t);
		if (is_signed)
			put_relay(&t.two, "rs", 77);
		populate(&t);
		fake_ask(&t.one, t.a, 500, "b.partner.example");
		world_pass(&t.one, 500 * USEC_PER_MSEC);
		expect_directed(&t);
		if (!is_signed)
			put_relay(&t.two, "rs", 77);
		coordinator_set_network(t.two.c, t.two.now, &t.two.network); /* ours has not heard of it */
		world_pass(&t.one, 11 * USEC_PER_SEC);
		fake_keep_alive(&t.one, t.a);
		fake_keep_alive(&t.two, t.b);
		t.a->inbox_count = t.b->inbox_count = 0; /* repetitions */
		fake_ask(&t.two, t.b, 600, "a.ntm.internal");
		letter = fake_take(t.b, MESSAGE_ROUTE_DIRECTION);
		assert_true(open_direction(&letter).has_relay);
		letter = fake_take(t.a, MESSAGE_ROUTE_DIRECTION);
		assert_int_equal(open_direction(&letter).has_relay, is_signed);
		finish(&t);
	}
}

/* The other coordinator dies and comes back with another key, as DNS and its document say by then. */
static void test_another_coordinator(void **state)
{
	struct realms_test t;
	uint8_t seed[KEY_SIZE] = {7};

	(void)state;
	connect(&t);
	dh_keys_from_seed(seed, &t.two.config.static_keys);
	memcpy(t.two.network.coordinators[0].static_key, t.two.config.static_keys.public, KEY_SIZE);
	t.two.network.epoch++;
	network_sign(&t.two.network, &t.two.authority);
	world_restart(&t.two);
	fake_register(&t.two, t.b);
	world_pass(&t.one, 70 * USEC_PER_SEC);
	fake_keep_alive(&t.one, t.a);
	fake_keep_alive(&t.two, t.b);
	t.a->inbox_count = t.b->inbox_count = 0;
	fake_ask(&t.one, t.a, 501, "b.partner.example");
	world_pass(&t.one, 3 * USEC_PER_SEC);
	expect_directed(&t);
	finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contact),
		cmocka_unit_test(test_document_for_nodes),
		cmocka_unit_test(test_not_in_dns),
		cmocka_unit_test(test_many_zones),
		cmocka_unit_test(test_not_trusted),
		cmocka_unit_test(test_false_documents),
		cmocka_unit_test(test_identities_of_ours),
		cmocka_unit_test(test_addresses_of_ours),
		cmocka_unit_test(test_revocation),
		cmocka_unit_test(test_relays),
		cmocka_unit_test(test_another_coordinator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
