/* test_foreign.c: two zones, two coordinators: the link between them, contact, moves and revocation across. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "wire/information.h"
#include "wire/network_part.h"
#include "world.h"

struct zones {
	struct world one, two;
	struct fake_node *a, *b; /* of one, of two */
};

static void zones_begin(struct zones *z)
{
	world_init(&z->one, "198.18.0.0/16");
	world_init(&z->two, "198.19.0.0/16");
	world_join(&z->one, &z->two);
}

static void zones_init(struct zones *z)
{
	zones_begin(z);
	world_pass(&z->one, 0);
	z->a = world_node(&z->one, "a");
	z->b = world_node(&z->two, "b");
	fake_register(&z->one, z->a);
	fake_register(&z->two, z->b);
}

static void zones_finish(struct zones *z)
{
	world_finish(&z->one);
	world_finish(&z->two);
}

static uint32_t links(const struct world *world)
{
	struct coordinator_counters counters;

	coordinator_get_counters(world->c, &counters);
	return counters.links;
}

static struct route_update open_update(const struct letter *letter)
{
	struct reader r = reader_over(letter->body, letter->size);
	struct route_update update;

	assert_int_equal(letter->type, MESSAGE_ROUTE_UPDATE);
	assert_int_equal(route_update_decode(&r, &update), OK);
	return update;
}

/* Takes the directions of both, which must belong together. */
static uint64_t expect_directed(struct zones *z, struct route_direction *ret_a)
{
	static struct letter at_a, at_b;
	struct route_direction da, db;
	struct certificate certificate;
	struct lease lease;

	at_a = fake_take(z->a, MESSAGE_ROUTE_DIRECTION);
	at_b = fake_take(z->b, MESSAGE_ROUTE_DIRECTION);
	da = open_direction(&at_a);
	db = open_direction(&at_b);
	assert_int_equal(da.path_id, db.path_id);
	assert_memory_equal(da.temp_key, db.temp_key, KEY_SIZE);
	assert_int_equal(da.suite, db.suite);
	assert_int_equal(certificate_judge(da.certificate, z->one.authority.public, WALL_S, &certificate), OK);
	assert_string_equal(certificate.fqdn, "b.two.ntm.internal");
	assert_int_equal(lease_judge(da.lease, &z->one.network, &certificate.id, WALL_S, &lease), OK);
	assert_int_equal(certificate_judge(db.certificate, z->one.authority.public, WALL_S, &certificate), OK);
	assert_string_equal(certificate.fqdn, "a.ntm.internal");
	assert_int_equal(lease_judge(db.lease, &z->one.network, &certificate.id, WALL_S, &lease), OK);
	assert_true(addr_equal(&da.observed, &z->b->route.remote));
	assert_true(addr_equal(&db.observed, &z->a->route.remote));
	assert_int_equal(da.candidates.count, 1);
	assert_true(addr_equal(&db.candidates.list[0], &z->a->candidates.list[0]));
	fake_ack(&z->one, z->a, at_a.transaction);
	fake_ack(&z->two, z->b, at_b.transaction);
	if (ret_a)
		*ret_a = da;
	return da.path_id;
}

static void test_links_itself(void **state)
{
	struct zones z;

	(void)state;
	zones_begin(&z);
	assert_int_equal(links(&z.one) + links(&z.two), 0);
	world_pass(&z.one, 0);
	assert_int_equal(links(&z.one), 1);
	assert_int_equal(links(&z.two), 1);
	assert_int_equal(z.one.events[COORDINATOR_LINK_UP], 1);
	/* It stays for an hour of silence, through many rekeys. */
	world_pass(&z.one, 3600 * USEC_PER_SEC);
	assert_int_equal(z.one.events[COORDINATOR_LINK_UP], 1);
	assert_int_equal(z.one.events[COORDINATOR_LINK_DOWN] + z.two.events[COORDINATOR_LINK_DOWN], 0);
	assert_in_range(z.one.between, 100, 1000);
	zones_finish(&z);
}

static void test_contact(void **state)
{
	struct zones z;
	unsigned before;

	(void)state;
	zones_init(&z);
	before = z.one.between;
	fake_ask(&z.one, z.a, 500, "B.two.ntm.internal");
	assert_int_equal(z.one.between, before + 1); /* one way, one message */
	expect_directed(&z, NULL);
	assert_int_equal(z.one.events[COORDINATOR_DIRECTED], 1);
	assert_int_equal(z.two.events[COORDINATOR_DIRECTED], 1);
	/* And the other way round, by both addresses. */
	for (int v6 = 0; v6 < 2; v6++) {
		char text[ADDR_TEXT_MAX];

		world_pass(&z.one, 20 * USEC_PER_SEC);
		fake_keep_alive(&z.one, z.a);
		fake_keep_alive(&z.two, z.b);
		fake_ask(&z.two, z.b, 600, ip_format(v6 ? &z.a->lease.v6 : &z.a->lease.v4, text));
		expect_directed(&z, NULL);
	}
	zones_finish(&z);
}

/* The one who is asked hears of it even when no answer ever comes back. */
static void test_target_hears_first(void **state)
{
	struct zones z;

	(void)state;
	zones_init(&z);
	z.two.is_cut = true;
	fake_ask(&z.one, z.a, 500, "b.two.ntm.internal");
	assert_int_equal(fake_take(z.b, MESSAGE_ROUTE_DIRECTION).type, MESSAGE_ROUTE_DIRECTION);
	assert_int_equal(fake_take(z.a, MESSAGE_ROUTE_DIRECTION).type, 0);
	z.b->inbox_count = 0;
	z.two.is_cut = false;
	world_pass(&z.one, 150 * USEC_PER_MSEC);
	expect_directed(&z, NULL);
	assert_int_equal(z.two.events[COORDINATOR_DIRECTED], 1); /* repeated, not made anew */
	zones_finish(&z);
}

static void test_repeated_is_the_same(void **state)
{
	struct zones z;
	uint64_t path_id;
	struct letter letter;

	(void)state;
	zones_init(&z);
	z.one.cut_first = 1;
	fake_ask(&z.one, z.a, 500, "b.two.ntm.internal");
	fake_ask(&z.one, z.a, 500, "b.two.ntm.internal"); /* the node repeats itself while we do */
	assert_int_equal(z.a->inbox_count + z.b->inbox_count, 0);
	world_pass(&z.one, 110 * USEC_PER_MSEC);
	path_id = expect_directed(&z, NULL);
	fake_ask(&z.one, z.a, 500, "b.two.ntm.internal");
	letter = fake_take(z.a, MESSAGE_ROUTE_DIRECTION);
	assert_int_equal(open_direction(&letter).path_id, path_id);
	fake_ask(&z.two, z.b, 9, "a.ntm.internal"); /* joins in */
	letter = fake_take(z.b, MESSAGE_ROUTE_DIRECTION);
	assert_int_equal(open_direction(&letter).path_id, path_id);
	assert_int_equal(letter.transaction, 9);
	fake_ask(&z.one, z.a, 501, "b.two.ntm.internal"); /* it means it: a fresh one */
	letter = fake_take(z.a, MESSAGE_ROUTE_DIRECTION);
	assert_int_not_equal(open_direction(&letter).path_id, path_id);
	zones_finish(&z);
}

/* Both ask at the same instant, and their coordinators' questions cross on the way. */
static void test_crossing_questions_give_one_tunnel(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		struct zones z;
		struct letter letter;
		uint64_t path_id;

		zones_init(&z);
		z.one.is_holding = z.two.is_holding = true;
		fake_ask(&z.one, z.a, 5, "b.two.ntm.internal");
		fake_ask(&z.two, z.b, 6, "a.ntm.internal");
		assert_int_equal(z.a->inbox_count + z.b->inbox_count, 0);
		for (int turn = 0; turn < 4; turn++)
			world_release((turn + order) % 2 ? &z.one : &z.two);
		letter = fake_take(z.a, MESSAGE_ROUTE_DIRECTION);
		path_id = open_direction(&letter).path_id;
		assert_int_equal(letter.transaction, 5); /* to both it is the answer */
		assert_true(open_direction(&letter).requested);
		letter = fake_take(z.b, MESSAGE_ROUTE_DIRECTION);
		assert_int_equal(letter.transaction, 6);
		assert_int_equal(open_direction(&letter).path_id, path_id);
		z.one.is_holding = z.two.is_holding = false;
		world_release(&z.one);
		world_release(&z.two);
		world_pass(&z.one, 3 * USEC_PER_SEC);
		assert_int_equal(z.one.events[COORDINATOR_DIRECTED], 1);
		assert_int_equal(z.two.events[COORDINATOR_DIRECTED], 1);
		while ((letter = fake_take(z.a, MESSAGE_ROUTE_DIRECTION)).type)
			assert_int_equal(open_direction(&letter).path_id, path_id);
		zones_finish(&z);
	}
}

static void test_refusals(void **state)
{
	const struct {
		const char *name;
		uint8_t reason;
	} cases[] = {
		{"nobody.two.ntm.internal", REASON_UNKNOWN_NAME},
		{"b.three.ntm.internal", REASON_UNKNOWN_NAME},
		{"two.ntm.internal", REASON_UNKNOWN_NAME},
		{"x.b.two.ntm.internal", REASON_UNKNOWN_NAME},
		{"198.19.77.77", REASON_UNKNOWN_NAME},
		{"fd6e:746d:1::7", REASON_UNKNOWN_NAME},
		{"c.two.ntm.internal", REASON_OFFLINE},
	};
	struct zones z;
	struct fake_node *c;
	struct letter letter;

	(void)state;
	zones_init(&z);
	c = world_node(&z.two, "c");
	fake_register(&z.two, c);
	assert_int_equal(fake_send(&z.two, c, MESSAGE_CLOSE, 1, NULL), OK);
	for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		fake_ask(&z.one, z.a, 100 + i, cases[i].name);
		letter = fake_take(z.a, MESSAGE_DIRECTION_REFUSAL);
		assert_int_equal(letter.transaction, 100 + i);
		assert_int_equal(open_refusal(&letter), cases[i].reason);
	}
	coordinator_revoke(z.two.c, z.two.now, &z.b->certificate.id);
	fake_ask(&z.one, z.a, 200, "b.two.ntm.internal");
	letter = fake_take(z.a, MESSAGE_DIRECTION_REFUSAL);
	assert_int_equal(open_refusal(&letter), REASON_REVOKED);
	assert_int_equal(z.a->inbox_count, 0);
	/* Nobody there at all: it ends, and says so. */
	z.one.is_cut = true;
	fake_ask(&z.one, z.a, 300, "b.two.ntm.internal");
	world_pass(&z.one, 20 * USEC_PER_SEC);
	letter = fake_take(z.a, MESSAGE_DIRECTION_REFUSAL);
	assert_int_equal(open_refusal(&letter), REASON_OFFLINE);
	zones_finish(&z);
}

static void test_relay_and_suite(void **state)
{
	struct zones z;
	uint8_t seed[KEY_SIZE] = {9}, key[KEY_SIZE];
	struct dh_keys relay;
	struct letter at_a, at_b;
	struct route_direction da, db;
	struct ticket ticket;

	(void)state;
	zones_begin(&z);
	dh_keys_from_seed(seed, &relay);
	z.one.network.relay_count = 1;
	strcpy(z.one.network.relays[0].name, "r1");
	memcpy(z.one.network.relays[0].static_key, relay.public, KEY_SIZE);
	z.one.network.relays[0].addresses = (struct server_addresses){1, {{ip_v4(203, 0, 113, 9), 7367}}};
	world_publish(&z.one);
	world_pass(&z.one, 0);
	z.a = world_node(&z.one, "a");
	z.b = world_node(&z.two, "b");
	z.a->features = z.b->features = FEATURE_AES;
	fake_register(&z.one, z.a);
	fake_register(&z.two, z.b);
	fake_ask(&z.one, z.a, 1, "b.two.ntm.internal");
	at_a = fake_take(z.a, MESSAGE_ROUTE_DIRECTION);
	at_b = fake_take(z.b, MESSAGE_ROUTE_DIRECTION);
	da = open_direction(&at_a);
	db = open_direction(&at_b);
	assert_int_equal(da.suite, SUITE_AES256_GCM);
	assert_int_equal(db.suite, SUITE_AES256_GCM);
	assert_true(da.has_relay && db.has_relay);
	assert_string_equal(db.relay.name, "r1");
	assert_int_equal(da.relay.leg, node_id_compare(&z.a->certificate.id, &z.b->certificate.id) < 0 ? 0 : 1);
	assert_int_equal(da.relay.leg + db.relay.leg, 1);
	assert_int_equal(ticket_key(relay.secret, z.one.config.static_keys.public, key), OK);
	assert_int_equal(ticket_open(db.relay.ticket, key, &ticket), OK);
	assert_int_equal(ticket.path_id, da.path_id);
	assert_memory_equal(ticket.leg_keys[da.relay.leg], da.relay.leg_key, KEY_SIZE);
	assert_memory_equal(ticket.leg_keys[db.relay.leg], db.relay.leg_key, KEY_SIZE);
	zones_finish(&z);
}

static void test_moves_are_pushed_across(void **state)
{
	struct zones z;
	struct letter letter;
	struct route_update update;
	struct update_request request = {.move_epoch = 1, .candidates = {1, {{ip_v4(10, 9, 9, 9), 7367}}}};
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	uint64_t path_id;
	unsigned before;

	(void)state;
	zones_init(&z);
	fake_ask(&z.one, z.a, 7, "b.two.ntm.internal");
	path_id = expect_directed(&z, NULL);
	fake_rebind_to(&z.one, z.a, "198.51.100.7:999");
	letter = fake_take(z.b, MESSAGE_ROUTE_UPDATE);
	update = open_update(&letter);
	assert_int_equal(update.path_id, path_id);
	assert_true(addr_equal(&update.observed, &z.a->route.remote));
	fake_ack(&z.two, z.b, letter.transaction);
	/* And its own word; the first try is lost between the coordinators. */
	z.one.cut_first = 1;
	update_request_encode(&request, &w);
	assert_int_equal(fake_send(&z.one, z.a, MESSAGE_UPDATE_REQUEST, 71, &w), OK);
	assert_int_equal(fake_take(z.b, MESSAGE_ROUTE_UPDATE).type, 0);
	world_pass(&z.one, 150 * USEC_PER_MSEC);
	letter = fake_take(z.b, MESSAGE_ROUTE_UPDATE);
	update = open_update(&letter);
	assert_int_equal(update.move_epoch, 1);
	assert_true(addr_equal(&update.candidates.list[0], &request.candidates.list[0]));
	fake_ack(&z.two, z.b, letter.transaction);
	/* Acknowledged by everybody: silence but for keep alives. */
	before = z.one.between;
	z.b->inbox_count = 0;
	world_pass(&z.one, 15 * USEC_PER_SEC);
	assert_int_equal(z.b->inbox_count, 0);
	assert_in_range(z.one.between - before, 0, 4);
	/* The other direction. */
	fake_rebind_to(&z.two, z.b, "198.51.100.8:999");
	letter = fake_take(z.a, MESSAGE_ROUTE_UPDATE);
	update = open_update(&letter);
	assert_true(addr_equal(&update.observed, &z.b->route.remote));
	zones_finish(&z);
}

static void test_revocation_reaches_across(void **state)
{
	struct zones z;
	struct letter letter;
	uint64_t path_id;

	(void)state;
	zones_init(&z);
	fake_ask(&z.one, z.a, 7, "b.two.ntm.internal");
	path_id = expect_directed(&z, NULL);
	coordinator_revoke(z.two.c, z.two.now, &z.b->certificate.id);
	world_pump(&z.two);
	letter = fake_take(z.a, MESSAGE_ROUTE_UPDATE);
	assert_int_equal(open_update(&letter).path_id, path_id);
	assert_int_equal(open_update(&letter).reason, REASON_REVOKED);
	fake_ack(&z.one, z.a, letter.transaction);
	/* By the document, which the asker's coordinator sees first. */
	fake_register(&z.one, z.a);
	coordinator_restore(z.two.c, z.two.now, &z.b->certificate.id);
	fake_register(&z.two, z.b);
	letter = fake_take(z.a, MESSAGE_ROUTE_UPDATE); /* it begins anew */
	assert_int_equal(open_update(&letter).path_id, path_id);
	assert_int_equal(open_update(&letter).reason, REASON_LEAVING);
	fake_ack(&z.one, z.a, letter.transaction);
	fake_ask(&z.one, z.a, 8, "b.two.ntm.internal");
	path_id = expect_directed(&z, NULL);
	z.one.network.revoked_count = 1;
	z.one.network.revoked[0] = z.b->certificate.id;
	coordinator_set_network(z.one.c, z.one.now, &z.one.network);
	world_pump(&z.one);
	letter = fake_take(z.a, MESSAGE_ROUTE_UPDATE);
	assert_int_equal(open_update(&letter).path_id, path_id);
	assert_int_equal(open_update(&letter).reason, REASON_REVOKED);
	zones_finish(&z);
}

static void test_restart_links_anew(void **state)
{
	struct zones z;

	(void)state;
	zones_init(&z);
	for (int i = 0; i < 4; i++) {
		struct world *restarted = i % 2 ? &z.one : &z.two;

		world_restart(restarted);
		world_pass(&z.one, 0);
		assert_int_equal(links(&z.one), 1);
		assert_int_equal(links(&z.two), 1);
		fake_register(restarted, i % 2 ? z.a : z.b);
		fake_ask(&z.one, z.a, 10 + (uint32_t)i, "b.two.ntm.internal");
		expect_directed(&z, NULL);
		z.a->inbox_count = z.b->inbox_count = 0;
	}
	zones_finish(&z);
}

/* Nobody told the other one: a question finds out, and waits for the new link. */
static void test_silent_end_is_found(void **state)
{
	struct zones z;

	(void)state;
	zones_init(&z);
	z.one.is_cut = z.two.is_cut = true;
	world_pass(&z.one, 40 * USEC_PER_SEC);
	assert_int_equal(links(&z.one) + links(&z.two), 0);
	fake_keep_alive(&z.one, z.a);
	fake_keep_alive(&z.two, z.b);
	z.a->inbox_count = z.b->inbox_count = 0;
	fake_ask(&z.one, z.a, 10, "b.two.ntm.internal");
	world_pass(&z.one, 1 * USEC_PER_SEC);
	z.one.is_cut = z.two.is_cut = false;
	world_pass(&z.one, 1 * USEC_PER_SEC);
	assert_int_equal(links(&z.one), 1);
	expect_directed(&z, NULL);
	zones_finish(&z);
}

/* One way cut: neither end takes the link for good. */
static void test_one_way_is_no_link(void **state)
{
	struct zones z;

	(void)state;
	zones_begin(&z);
	z.two.is_cut = true;
	world_pass(&z.one, 60 * USEC_PER_SEC);
	assert_int_equal(links(&z.one) + links(&z.two), 0);
	z.two.is_cut = false;
	world_pass(&z.one, 11 * USEC_PER_SEC);
	assert_int_equal(links(&z.one), 1);
	assert_int_equal(links(&z.two), 1);
	zones_finish(&z);
}

static void test_who_leaves_the_document_is_forgotten(void **state)
{
	struct zones z;
	struct coordinator_counters counters;
	struct letter letter;

	(void)state;
	zones_init(&z);
	fake_ask(&z.one, z.a, 10, "b.two.ntm.internal");
	expect_directed(&z, NULL);
	coordinator_get_counters(z.one.c, &counters);
	assert_int_equal(counters.visitors, 1);
	assert_int_equal(counters.tunnels, 1);
	z.one.network.coordinator_count = 1;
	coordinator_set_network(z.one.c, z.one.now, &z.one.network);
	coordinator_get_counters(z.one.c, &counters);
	assert_int_equal(counters.visitors, 0);
	assert_int_equal(counters.tunnels, 0);
	assert_int_equal(counters.coordinators, 0);
	fake_ask(&z.one, z.a, 11, "b.two.ntm.internal");
	letter = fake_take(z.a, MESSAGE_DIRECTION_REFUSAL);
	assert_int_equal(open_refusal(&letter), REASON_UNKNOWN_NAME);
	/* What it says is a stranger's word now. */
	world_pass(&z.one, 60 * USEC_PER_SEC);
	assert_int_equal(links(&z.one) + links(&z.two), 0);
	zones_finish(&z);
}

/* A coordinator that hands out names or addresses that are not its own may serve its own nodes; ours do not hear of
 * them (T30). */
static void test_it_speaks_for_its_own_zone_only(void **state)
{
	const char *const pools[] = {"198.18.0.0/16", "198.19.0.0/16"};

	(void)state;
	for (int takes_names = 0; takes_names < 2; takes_names++) {
		struct zones z;
		struct letter letter;

		zones_begin(&z);
		world_pass(&z.one, 0);
		z.a = world_node(&z.one, "a");
		fake_register(&z.one, z.a);
		assert_int_equal(prefix_parse(pools[takes_names], &z.two.config.pool4), OK);
		if (takes_names)
			strcpy(z.two.config.zone, "ntm.internal");
		world_restart(&z.two);
		world_pass(&z.one, 0);
		z.b = world_node(&z.two, "b");
		fake_register(&z.two, z.b);
		fake_ask(&z.two, z.b, 1, ip_format(&z.a->lease.v6, (char[ADDR_TEXT_MAX]){0}));
		letter = fake_take(z.b, MESSAGE_DIRECTION_REFUSAL);
		assert_int_equal(open_refusal(&letter), REASON_BAD_CREDENTIAL);
		/* Nor when we ask. */
		fake_ask(&z.one, z.a, 2, ip_format(&z.b->lease.v6, (char[ADDR_TEXT_MAX]){0}));
		letter = fake_take(z.a, MESSAGE_DIRECTION_REFUSAL);
		assert_int_equal(open_refusal(&letter), REASON_BAD_CREDENTIAL);
		assert_int_equal(z.a->inbox_count, 0);
		assert_int_equal(z.one.events[COORDINATOR_DIRECTED], 0);
		zones_finish(&z);
	}
}

/* Whoever stands in no document, or has a wrong key, meets silence; a member is no coordinator. */
static void test_strangers_cannot_link(void **state)
{
	struct zones z;
	struct coordinator_counters counters;
	uint8_t payload[64], mac1_key[KEY_SIZE], seed[KEY_SIZE] = {7}, first[MESSAGE_MAX];
	struct writer w = writer_over(payload, sizeof payload);
	struct handshake handshake;
	struct handshake_setup setup = {
		.mac1_key = mac1_key, .type = PACKET_REGISTRATION_REQUEST, .path_id = 77, .ephemeral_seed = seed};
	size_t size;
	uint64_t before;

	(void)state;
	zones_init(&z);
	setup.local_static = &z.a->keys;
	setup.remote_static = z.one.config.static_keys.public;
	handshake_mac1_key(setup.remote_static, NULL, mac1_key);
	message_header_encode(MESSAGE_LINK_REQUEST, 1, &w);
	link_request_encode(&(struct link_request){.network_epoch = 1}, &w);
	assert_int_equal(handshake_begin(&handshake, &setup, (struct blob){payload, w.at}, first, &size), OK);
	before = z.one.sent_bytes;
	assert_int_equal(world_deliver(&z.one, &z.a->route, first, size), ERR_DENIED);
	assert_int_equal(z.one.sent_bytes, before);
	for (uint8_t type = MESSAGE_NODE_INFORMATION_REQUEST; type <= MESSAGE_LINK_RESPONSE; type++)
		assert_int_equal(fake_send(&z.one, z.a, type, 1, NULL), ERR_DENIED);
	assert_int_equal(links(&z.one), 1);
	/* But somebody may have joined the network a moment ago. */
	coordinator_get_counters(z.one.c, &counters);
	assert_int_equal(counters.network_doubts, 1);
	z.two.network.epoch += 5;
	coordinator_set_network(z.two.c, z.two.now, &z.two.network);
	world_restart(&z.two);
	world_pass(&z.one, 0);
	coordinator_get_counters(z.one.c, &counters);
	assert_int_equal(counters.network_doubts, 2);
	zones_finish(&z);
}

static void test_requests_are_limited(void **state)
{
	enum { NODES = 6, QUESTIONS = 500 };
	struct zones z;
	struct coordinator_counters counters;

	(void)state;
	zones_init(&z);
	for (int n = 0; n < NODES; n++) {
		char name[] = "n0";
		struct fake_node *node;

		name[1] = (char)('0' + n);
		node = world_node(&z.two, name);
		fake_register(&z.two, node);
		for (uint32_t i = 0; i < QUESTIONS; i++) {
			fake_ask(&z.two, node, 1000 + i, "nobody.ntm.internal");
			node->inbox_count = 0;
		}
	}
	coordinator_get_counters(z.one.c, &counters);
	assert_in_range(counters.inquiries_received, 1900, 2000);
	assert_true(counters.limited_requests >= 1);
	/* Those who were not answered ask again, and ever more seldom: it recovers. */
	world_pass(&z.one, 12 * USEC_PER_SEC);
	fake_keep_alive(&z.one, z.a);
	fake_keep_alive(&z.two, z.b);
	fake_ask(&z.two, z.b, 2, "a.ntm.internal");
	z.a->inbox_count = 0;
	assert_int_equal(fake_take(z.b, MESSAGE_ROUTE_DIRECTION).type, MESSAGE_ROUTE_DIRECTION);
	zones_finish(&z);
}

/* The document in pieces, for a node that has an older one; only where it is proved to receive. */
static void test_network_document_is_handed_out(void **state)
{
	struct zones z;
	struct letter letter;
	uint8_t document[NETWORK_MAX_SIZE];
	uint64_t epoch = 0;
	size_t at = 0;
	uint16_t size = 1;
	struct network network;
	struct update_response told;
	struct reader r;

	(void)state;
	zones_init(&z);
	z.one.network.revoked_count = 200; /* several pieces */
	for (unsigned i = 0; i < 200; i++)
		z.one.network.revoked[i].bytes[0] = (uint8_t)(i + 1);
	world_publish(&z.one);
	fake_keep_alive(&z.one, z.a);
	letter = fake_take(z.a, MESSAGE_KEEP_ALIVE_ANSWER);
	r = reader_over(letter.body, letter.size);
	assert_int_equal(update_response_decode(&r, &told), OK);
	assert_int_equal(told.network_epoch, 2);
	while (at < size) {
		uint8_t bytes[64];
		struct writer w = writer_over(bytes, sizeof bytes);
		struct network_response m;

		network_request_encode(&(struct network_request){.epoch = 2, .offset = (uint16_t)at}, &w);
		assert_int_equal(fake_send(&z.one, z.a, MESSAGE_NETWORK_REQUEST, 3, &w), OK);
		letter = fake_take(z.a, MESSAGE_NETWORK_RESPONSE);
		assert_int_equal(letter.type, MESSAGE_NETWORK_RESPONSE);
		r = reader_over(letter.body, letter.size);
		assert_int_equal(network_response_decode(&r, &m), OK);
		assert_int_equal(m.offset, at);
		memcpy(document + at, m.data.data, m.data.size);
		at += m.data.size;
		size = m.size;
		epoch = m.epoch;
	}
	assert_int_equal(at, size);
	assert_true(size > 3 * NETWORK_PART_MAX);
	assert_int_equal(epoch, 2);
	assert_int_equal(network_judge((struct blob){document, size}, z.one.authority.public, &network), OK);
	assert_int_equal(network.revoked_count, 200);
	/* From a new address: first the proof. */
	fake_move_to(z.a, "198.51.100.7:999");
	{
		uint8_t bytes[64];
		struct writer w = writer_over(bytes, sizeof bytes);

		update_request_encode(&(struct update_request){.move_epoch = 1}, &w);
		assert_int_equal(fake_send(&z.one, z.a, MESSAGE_UPDATE_REQUEST, 3, &w), OK);
		w = writer_over(bytes, sizeof bytes);
		network_request_encode(&(struct network_request){.epoch = 2}, &w);
		assert_int_equal(fake_send(&z.one, z.a, MESSAGE_NETWORK_REQUEST, 4, &w), ERR_STATE);
	}
	assert_int_equal(fake_take(z.a, MESSAGE_NETWORK_RESPONSE).type, 0);
	zones_finish(&z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links_itself),
		cmocka_unit_test(test_contact),
		cmocka_unit_test(test_target_hears_first),
		cmocka_unit_test(test_repeated_is_the_same),
		cmocka_unit_test(test_crossing_questions_give_one_tunnel),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_relay_and_suite),
		cmocka_unit_test(test_moves_are_pushed_across),
		cmocka_unit_test(test_revocation_reaches_across),
		cmocka_unit_test(test_restart_links_anew),
		cmocka_unit_test(test_silent_end_is_found),
		cmocka_unit_test(test_one_way_is_no_link),
		cmocka_unit_test(test_who_leaves_the_document_is_forgotten),
		cmocka_unit_test(test_it_speaks_for_its_own_zone_only),
		cmocka_unit_test(test_strangers_cannot_link),
		cmocka_unit_test(test_requests_are_limited),
		cmocka_unit_test(test_network_document_is_handed_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
