/* test_direction.c: one tunnel per pair, told to both ends, however it is asked for; moves are pushed. */
#include "wire/tunnel.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t refused(const struct letter *letter, uint32_t transaction)
{
	assert_int_equal(letter->transaction, transaction);
	return open_refusal(letter);
}

struct pair_world {
	struct world world;
	struct fake_node *a, *b;
};

static void pair_init(struct pair_world *p)
{
	world_init(&p->world, "198.18.0.0/15");
	p->a = world_node(&p->world, "a");
	p->b = world_node(&p->world, "b");
	fake_register(&p->world, p->a);
	fake_register(&p->world, p->b);
}

static void test_both_ends_are_told(void **state)
{
	struct pair_world p;
	struct letter at_a, at_b;
	struct route_direction da, db;
	struct certificate certificate;
	static const uint8_t zeros[KEY_SIZE];

	(void)state;
	pair_init(&p);
	fake_ask(&p.world, p.a, 500, "b.ntm.internal");
	at_a = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	at_b = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	da = open_direction(&at_a);
	db = open_direction(&at_b);
	assert_int_equal(at_a.transaction, 500);
	assert_true(da.requested);
	assert_false(db.requested);
	assert_int_equal(da.path_id, db.path_id);
	assert_memory_equal(da.temp_key, db.temp_key, KEY_SIZE);
	assert_memory_not_equal(da.temp_key, zeros, KEY_SIZE);
	assert_int_equal(da.suite, SUITE_CHACHA20_POLY1305);
	assert_true(addr_equal(&da.observed, &p.b->route.remote));
	assert_int_equal(da.candidates.count, 1);
	assert_true(addr_equal(&da.candidates.list[0], &p.b->candidates.list[0]));
	assert_int_equal(certificate_judge(da.certificate, p.world.authority.public, WALL_S, &certificate), OK);
	assert_string_equal(certificate.fqdn, "b.ntm.internal");
	assert_int_equal(certificate_judge(db.certificate, p.world.authority.public, WALL_S, &certificate), OK);
	assert_string_equal(certificate.fqdn, "a.ntm.internal");
	assert_int_equal(da.lease.size, p.b->lease_size);
	assert_false(da.has_relay);
	assert_int_equal(p.world.events[COORDINATOR_DIRECTED], 1);
	world_finish(&p.world);
}

static void test_asked_by_address_and_in_capitals(void **state)
{
	struct pair_world p;
	char text[ADDR_TEXT_MAX];
	struct letter letter;

	(void)state;
	pair_init(&p);
	fake_ask(&p.world, p.a, 1, ip_format(&p.b->lease.v4, text));
	letter = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	open_direction(&letter);
	fake_ask(&p.world, p.a, 2, ip_format(&p.b->lease.v6, text));
	letter = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	open_direction(&letter);
	world_finish(&p.world);
}

static void test_suite_and_relay(void **state)
{
	struct pair_world p;
	struct network network = {.relay_count = 1};
	uint8_t seed[KEY_SIZE] = {9}, key[KEY_SIZE];
	struct dh_keys relay;
	struct letter at_a, at_b;
	struct route_direction da, db;
	struct ticket ticket;

	(void)state;
	world_init(&p.world, "198.18.0.0/15");
	p.a = world_node(&p.world, "a");
	p.b = world_node(&p.world, "b");
	p.a->features = p.b->features = FEATURE_AES;
	fake_register(&p.world, p.a);
	fake_register(&p.world, p.b);
	dh_keys_from_seed(seed, &relay);
	strcpy(network.relays[0].name, "r1");
	memcpy(network.relays[0].static_key, relay.public, KEY_SIZE);
	network.relays[0].addresses = (struct server_addresses){1, {{ip_v4(203, 0, 113, 9), 7367}}};
	coordinator_set_network(p.world.c, p.world.now, &network);
	fake_ask(&p.world, p.b, 1, "a.ntm.internal");
	at_a = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	at_b = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	da = open_direction(&at_a);
	db = open_direction(&at_b);
	assert_int_equal(da.suite, SUITE_AES256_GCM);
	assert_true(da.has_relay && db.has_relay);
	assert_string_equal(da.relay.name, "r1");
	assert_int_equal(da.relay.leg, node_id_compare(&p.a->certificate.id, &p.b->certificate.id) < 0 ? 0 : 1);
	assert_int_equal(da.relay.leg + db.relay.leg, 1);
	assert_memory_not_equal(da.relay.leg_key, db.relay.leg_key, KEY_SIZE); /* an end cannot move the other's leg */
	assert_int_equal(ticket_key(relay.secret, p.world.config.static_keys.public, key), OK);
	assert_int_equal(ticket_open(da.relay.ticket, key, &ticket), OK);
	assert_int_equal(ticket.path_id, da.path_id);
	assert_memory_equal(ticket.leg_keys[da.relay.leg], da.relay.leg_key, KEY_SIZE);
	assert_memory_equal(ticket.leg_keys[db.relay.leg], db.relay.leg_key, KEY_SIZE);
	assert_true(ticket.not_before_s <= WALL_S && ticket.not_after_s > WALL_S);
	world_finish(&p.world);
}

static void test_repeated_request_is_the_same_direction(void **state)
{
	struct pair_world p;
	struct letter first, again;

	(void)state;
	pair_init(&p);
	fake_ask(&p.world, p.a, 7, "b.ntm.internal");
	first = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	fake_ask(&p.world, p.a, 7, "b.ntm.internal");
	again = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	assert_int_equal(open_direction(&first).path_id, open_direction(&again).path_id);
	/* A new transaction is a new attempt: a TempKey serves one handshake only. */
	fake_ask(&p.world, p.a, 8, "b.ntm.internal");
	again = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	assert_int_not_equal(open_direction(&first).path_id, open_direction(&again).path_id);
	world_finish(&p.world);
}

static void test_simultaneous_requests_give_one_tunnel(void **state)
{
	struct pair_world p;
	struct letter letter;
	uint64_t path_id;

	(void)state;
	pair_init(&p);
	fake_ask(&p.world, p.a, 7, "b.ntm.internal");
	fake_ask(&p.world, p.b, 7, "a.ntm.internal");
	letter = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	path_id = open_direction(&letter).path_id;
	while ((letter = fake_take(p.b, MESSAGE_ROUTE_DIRECTION)).type)
		assert_int_equal(open_direction(&letter).path_id, path_id);
	assert_int_equal(p.world.events[COORDINATOR_DIRECTED], 1);
	/* A node that registered anew has forgotten all: it gets a fresh one. */
	fake_register(&p.world, p.b);
	fake_ask(&p.world, p.b, 9, "a.ntm.internal");
	letter = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	assert_int_not_equal(open_direction(&letter).path_id, path_id);
	world_finish(&p.world);
}

static void test_repeats_until_acknowledged(void **state)
{
	struct pair_world p;
	struct letter letter;
	uint32_t transaction;
	unsigned count = 0;

	(void)state;
	pair_init(&p);
	fake_ask(&p.world, p.a, 7, "b.ntm.internal");
	letter = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	transaction = letter.transaction;
	world_pass(&p.world, 150 * USEC_PER_MSEC);
	letter = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	assert_int_equal(letter.transaction, transaction);
	fake_ack(&p.world, p.b, transaction);
	fake_ack(&p.world, p.a, 7);
	p.a->inbox_count = p.b->inbox_count = 0;
	world_pass(&p.world, 30 * USEC_PER_SEC);
	assert_int_equal(p.a->inbox_count + p.b->inbox_count, 0);
	/* Never acknowledged: it ends all the same. */
	fake_ask(&p.world, p.a, 8, "b.ntm.internal");
	fake_ack(&p.world, p.a, 8);
	world_pass(&p.world, 40 * USEC_PER_SEC);
	while (fake_take(p.b, MESSAGE_ROUTE_DIRECTION).type)
		count++;
	assert_in_range(count, 4, 8);
	world_finish(&p.world);
}

static void test_refusals(void **state)
{
	struct pair_world p;
	struct fake_node *c;
	struct letter letter;
	const struct {
		const char *name;
		uint8_t reason;
	} cases[] = {
		{"nobody.ntm.internal", REASON_UNKNOWN_NAME}, {"b.elsewhere.internal", REASON_NOT_TRUSTED},
		{"198.18.200.200", REASON_UNKNOWN_NAME},      {"a.ntm.internal", REASON_BAD_REQUEST},
		{"c.ntm.internal", REASON_OFFLINE},
	};

	(void)state;
	pair_init(&p);
	c = world_node(&p.world, "c");
	fake_register(&p.world, c);
	assert_int_equal(fake_send(&p.world, c, MESSAGE_CLOSE, 1, NULL), OK);
	for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		fake_ask(&p.world, p.a, 100 + i, cases[i].name);
		letter = fake_take(p.a, MESSAGE_DIRECTION_REFUSAL);
		assert_int_equal(refused(&letter, 100 + i), cases[i].reason);
	}
	coordinator_revoke(p.world.c, p.world.now, &p.b->certificate.id);
	fake_ask(&p.world, p.a, 200, "b.ntm.internal");
	letter = fake_take(p.a, MESSAGE_DIRECTION_REFUSAL);
	assert_int_equal(refused(&letter, 200), REASON_REVOKED);
	assert_int_equal(p.a->inbox_count, 0);
	world_finish(&p.world);
}

static void test_busy(void **state)
{
	struct pair_world p;
	struct letter letter;
	uint8_t reason = REASON_NONE;

	(void)state;
	pair_init(&p);
	for (uint32_t i = 0; i < 2000 && reason != REASON_BUSY; i++) {
		fake_ask(&p.world, p.a, 1000 + i, "nobody.ntm.internal");
		letter = fake_take(p.a, MESSAGE_DIRECTION_REFUSAL);
		reason = refused(&letter, 1000 + i);
	}
	assert_int_equal(reason, REASON_BUSY);
	world_pass(&p.world, 2 * USEC_PER_SEC);
	fake_ask(&p.world, p.a, 1, "b.ntm.internal");
	assert_int_equal(fake_take(p.a, MESSAGE_ROUTE_DIRECTION).type, MESSAGE_ROUTE_DIRECTION);
	world_finish(&p.world);
}

static struct route_update open_update(const struct letter *letter)
{
	struct reader r = reader_over(letter->body, letter->size);
	struct route_update update;

	assert_int_equal(letter->type, MESSAGE_ROUTE_UPDATE);
	assert_int_equal(route_update_decode(&r, &update), OK);
	return update;
}

static void test_move_is_pushed(void **state)
{
	struct pair_world p;
	struct letter letter;
	struct route_update update;
	struct update_request request = {.move_epoch = 1, .candidates = {1, {{ip_v4(10, 9, 9, 9), 7367}}}};
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	uint64_t path_id;

	(void)state;
	pair_init(&p);
	fake_ask(&p.world, p.a, 7, "b.ntm.internal");
	letter = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	path_id = open_direction(&letter).path_id;
	fake_ack(&p.world, p.a, 7);
	letter = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	fake_ack(&p.world, p.b, letter.transaction);
	/* The network moved it: seen from the outside only. */
	fake_rebind_to(&p.world, p.a, "198.51.100.7:999");
	assert_int_equal(fake_take(p.a, MESSAGE_KEEP_ALIVE_ANSWER).type,
			 MESSAGE_KEEP_ALIVE_ANSWER); /* at the new address */
	letter = fake_take(p.b, MESSAGE_ROUTE_UPDATE);
	update = open_update(&letter);
	assert_int_equal(update.path_id, path_id);
	assert_true(addr_equal(&update.observed, &p.a->route.remote));
	fake_ack(&p.world, p.b, letter.transaction);
	/* It says itself that it moved. */
	update_request_encode(&request, &w);
	assert_int_equal(fake_send(&p.world, p.a, MESSAGE_UPDATE_REQUEST, 71, &w), OK);
	assert_int_equal(fake_take(p.a, MESSAGE_UPDATE_RESPONSE).transaction, 71);
	letter = fake_take(p.b, MESSAGE_ROUTE_UPDATE);
	update = open_update(&letter);
	assert_int_equal(update.move_epoch, 1);
	assert_true(addr_equal(&update.candidates.list[0], &request.candidates.list[0]));
	fake_ack(&p.world, p.b, letter.transaction);
	/* A repetition tells nothing new. */
	assert_int_equal(fake_send(&p.world, p.a, MESSAGE_UPDATE_REQUEST, 71, &w), OK);
	p.b->inbox_count = 0;
	world_pass(&p.world, 20 * USEC_PER_SEC);
	assert_int_equal(p.b->inbox_count, 0);
	world_finish(&p.world);
}

/* Whoever begins anew has forgotten its tunnels, and their other ends are told; whoever only registers again has not.
 */
static void test_peers_hear_of_a_new_beginning(void **state)
{
	struct pair_world p;
	struct letter letter;
	uint64_t path_id;

	(void)state;
	pair_init(&p);
	fake_ask(&p.world, p.a, 7, "b.ntm.internal");
	letter = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	path_id = open_direction(&letter).path_id;
	fake_ack(&p.world, p.a, 7);
	letter = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	fake_ack(&p.world, p.b, letter.transaction);
	p.b->kept = true;
	fake_register(&p.world, p.b);
	assert_int_equal(fake_take(p.a, MESSAGE_ROUTE_UPDATE).type, 0);
	p.b->kept = false;
	fake_register(&p.world, p.b);
	letter = fake_take(p.a, MESSAGE_ROUTE_UPDATE);
	assert_int_equal(open_update(&letter).path_id, path_id);
	assert_int_equal(open_update(&letter).reason, REASON_LEAVING);
	fake_ack(&p.world, p.a, letter.transaction);
	/* It asks and is directed anew, and the other one goes on purpose. */
	fake_ask(&p.world, p.a, 8, "b.ntm.internal");
	letter = fake_take(p.a, MESSAGE_ROUTE_DIRECTION);
	path_id = open_direction(&letter).path_id;
	fake_ack(&p.world, p.a, 8);
	letter = fake_take(p.b, MESSAGE_ROUTE_DIRECTION);
	fake_ack(&p.world, p.b, letter.transaction);
	{
		uint8_t bytes[32];
		struct writer w = writer_over(bytes, sizeof bytes);

		close_encode(&(struct close){.reason = REASON_LEAVING}, &w);
		assert_int_equal(fake_send(&p.world, p.b, MESSAGE_CLOSE, 9, &w), OK);
	}
	fake_register(&p.world, p.b);
	letter = fake_take(p.a, MESSAGE_ROUTE_UPDATE);
	assert_int_equal(open_update(&letter).path_id, path_id);
	world_finish(&p.world);
}

static void test_old_packets_do_not_move_a_node_back(void **state)
{
	struct pair_world p;
	struct coordinator_node_info info;
	uint8_t plaintext[16], late[64];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct route old;

	(void)state;
	pair_init(&p);
	message_header_encode(MESSAGE_KEEP_ALIVE, 1, &w);
	old = p.a->route;
	assert_int_equal(session_seal(p.a->session, 0, SEALED_CONTROL, plaintext, w.at, late), OK);
	fake_rebind_to(&p.world, p.a, "198.51.100.7:999");
	assert_int_equal(world_deliver(&p.world, &old, late, w.at + OVERHEAD_SIZE), OK);
	assert_true(coordinator_node_at(p.world.c, 0, &info));
	assert_true(addr_equal(&info.observed, &p.a->route.remote));
	/* A copy of it, replayed from elsewhere, neither. */
	fake_move_to(p.b, "198.51.100.8:1");
	assert_int_equal(world_deliver(&p.world, &p.b->route, late, w.at + OVERHEAD_SIZE), ERR_REPLAY);
	world_finish(&p.world);
}

static void test_unproven_address_gets_little(void **state)
{
	struct pair_world p;
	struct letter letter;
	struct reader r;
	struct path_challenge challenge;
	struct path_response response = {0};
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);

	(void)state;
	pair_init(&p);
	fake_move_to(p.b, "198.51.100.7:999");
	fake_keep_alive(&p.world, p.b);
	letter = fake_take(p.b, MESSAGE_PATH_CHALLENGE);
	assert_int_equal(letter.type, MESSAGE_PATH_CHALLENGE);
	fake_ask(&p.world, p.a, 7, "b.ntm.internal");
	assert_int_equal(fake_take(p.b, MESSAGE_ROUTE_DIRECTION).type, 0); /* held back */
	r = reader_over(letter.body, letter.size);
	assert_int_equal(path_challenge_decode(&r, &challenge), OK);
	path_response_encode(&response, &w);
	assert_int_equal(fake_send(&p.world, p.b, MESSAGE_PATH_RESPONSE, 1, &w),
			 ERR_STATE); /* a wrong answer proves nothing */
	assert_int_equal(fake_take(p.b, MESSAGE_ROUTE_DIRECTION).type, 0);
	w = writer_over(bytes, sizeof bytes);
	memcpy(response.challenge, challenge.challenge, CHALLENGE_SIZE);
	path_response_encode(&response, &w);
	assert_int_equal(fake_send(&p.world, p.b, MESSAGE_PATH_RESPONSE, 1, &w), OK);
	assert_int_equal(fake_take(p.b, MESSAGE_ROUTE_DIRECTION).type, MESSAGE_ROUTE_DIRECTION); /* at once */
	world_finish(&p.world);
}

static void test_pairs_are_bounded(void **state)
{
	enum { COUNT = 300 };
	struct world world;
	struct fake_node *hub;
	struct coordinator_counters counters;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	hub = world_node(&world, "hub");
	fake_register(&world, hub);
	for (uint32_t i = 0; i < COUNT; i++) {
		char name[16] = "n000";
		struct fake_node *node;

		name[1] = (char)('0' + i / 100);
		name[2] = (char)('0' + i / 10 % 10);
		name[3] = (char)('0' + i % 10);
		node = world_node(&world, name);
		fake_register(&world, node);
		fake_ask(&world, node, 1, "hub.ntm.internal");
		assert_int_equal(fake_take(node, MESSAGE_ROUTE_DIRECTION).type, MESSAGE_ROUTE_DIRECTION);
		assert_int_equal(fake_take(hub, MESSAGE_ROUTE_DIRECTION).type, MESSAGE_ROUTE_DIRECTION);
	}
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.tunnels, 256);
	world_finish(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_are_told),
		cmocka_unit_test(test_asked_by_address_and_in_capitals),
		cmocka_unit_test(test_suite_and_relay),
		cmocka_unit_test(test_repeated_request_is_the_same_direction),
		cmocka_unit_test(test_simultaneous_requests_give_one_tunnel),
		cmocka_unit_test(test_repeats_until_acknowledged),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_move_is_pushed),
		cmocka_unit_test(test_peers_hear_of_a_new_beginning),
		cmocka_unit_test(test_old_packets_do_not_move_a_node_back),
		cmocka_unit_test(test_unproven_address_gets_little),
		cmocka_unit_test(test_pairs_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
