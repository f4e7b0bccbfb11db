/* test_registration.c: leases and names: one holder each, for life, across restarts; nothing acknowledged before it is
 * durable. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_register(void **state)
{
	struct world world;
	struct fake_node *a;
	struct ip v6;
	struct network network = {.coordinator_count = 1};
	struct lease judged;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	v6 = node_id_v6(&a->certificate.id, &world.config.pool6);
	assert_true(ip_equal(&a->lease.v6, &v6));
	assert_true(prefix_contains(&world.config.pool4, &a->lease.v4));
	assert_true(addr_equal(&a->observed, &a->route.remote));
	assert_int_equal(a->network_time_s, WALL_S);
	assert_int_equal(world.events[COORDINATOR_NODE_LEASED], 1);
	assert_int_equal(world.events[COORDINATOR_NODE_ONLINE], 1);
	/* A peer accepts this lease. */
	memcpy(network.coordinators[0].sign_key, world.config.sign_keys.public, KEY_SIZE);
	strcpy(network.coordinators[0].zone, "ntm.internal");
	network.coordinators[0].pool4 = world.config.pool4;
	network.coordinators[0].pool6 = world.config.pool6;
	assert_int_equal(lease_judge((struct blob){a->lease_bytes, a->lease_size}, &network, &a->certificate.id, WALL_S,
				     &judged),
			 OK);
	world_finish(&world);
}

static void test_repeated_first_message(void **state)
{
	struct world world;
	struct fake_node *a;
	struct coordinator_counters counters;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_begin(&world, a, 700);
	for (int i = 0; i < 5; i++)
		assert_int_equal(fake_send_first(&world, a), OK);
	assert_int_equal(a->answers, 5);
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.handshakes, 1); /* one key exchange, one session */
	assert_int_equal(counters.pending, 1);
	fake_keep_alive(&world, a);
	/* After confirmation a replay is silence, and disturbs nothing: also after the session is gone. */
	assert_int_equal(fake_send_first(&world, a), ERR_REPLAY);
	fake_keep_alive(&world, a);
	assert_int_equal(fake_send(&world, a, MESSAGE_CLOSE, 1, NULL), OK);
	assert_int_equal(fake_send_first(&world, a), ERR_REPLAY);
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.handshakes, 1);
	assert_int_equal(a->answers, 5);
	world_finish(&world);
}

static void test_handshake_does_not_end_a_session(void **state)
{
	struct world world;
	struct fake_node *a;
	struct session *old;
	struct coordinator_counters counters;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	old = a->session;
	a->session = NULL;
	fake_begin(&world, a, 700);
	assert_int_equal(fake_send_first(&world, a), OK);
	/* Not confirmed: the old session lives (E8, T7), the new one expires. */
	session_destroy(a->session);
	a->session = old;
	fake_keep_alive(&world, a);
	world_pass(&world, 11 * USEC_PER_SEC);
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.pending, 0);
	fake_keep_alive(&world, a);
	assert_int_equal(fake_take(a, MESSAGE_KEEP_ALIVE_ANSWER).type, MESSAGE_KEEP_ALIVE_ANSWER);
	/* Confirmed: the old one goes. */
	a->session = NULL;
	fake_begin(&world, a, 700);
	assert_int_equal(fake_send_first(&world, a), OK);
	fake_keep_alive(&world, a);
	session_destroy(a->session);
	a->session = old;
	assert_int_equal(fake_send(&world, a, MESSAGE_KEEP_ALIVE, 9, NULL), ERR_UNKNOWN);
	world_finish(&world);
}

static void test_thousand_nodes_share_nothing(void **state)
{
	enum { COUNT = 1000 };
	struct world world;
	char name[16];
	uint8_t used[1 << 17] = {0};

	(void)state;
	world_init(&world, "198.18.0.0/15");
	for (int i = 0; i < COUNT; i++) {
		struct fake_node *node;
		size_t offset;

		snprintf(name, sizeof name, "n%d", i);
		node = world_node(&world, name);
		fake_register(&world, node);
		offset = (size_t)(node->lease.v4.bytes[1] & 1) << 16 | (size_t)node->lease.v4.bytes[2] << 8 |
			 node->lease.v4.bytes[3];
		assert_int_equal(used[offset]++, 0);
	}
	/* The same again after a restart, in another order. */
	world_restart(&world);
	for (int i = COUNT; i-- > 0;) {
		struct fake_node *node = world.nodes[i];
		struct lease before = node->lease;

		fake_register(&world, node);
		assert_true(ip_equal(&before.v4, &node->lease.v4) && ip_equal(&before.v6, &node->lease.v6));
	}
	world_finish(&world);
}

static void test_not_durable_not_answered(void **state)
{
	struct world world;
	struct fake_node *a, *b;
	struct record record;
	struct ip first;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	b = world_node(&world, "b");
	world.is_store_stuck = true;
	fake_begin(&world, a, 700);
	assert_int_equal(fake_send_first(&world, a), OK);
	assert_int_equal(fake_send_first(&world, a), OK); /* repeating does not help */
	assert_true(coordinator_next_record(world.c, &record));
	world_pump(&world);
	assert_int_equal(a->answers, 0); /* pulled is not fsynced */
	/* Crash: the store has nothing, so nobody was promised anything; the address goes to the next one. */
	world_restart(&world);
	world.is_store_stuck = false;
	fake_register(&world, b);
	first = b->lease.v4;
	fake_register(&world, a);
	assert_false(ip_equal(&first, &a->lease.v4));
	/* Known already: no record, no wait. */
	world.is_store_stuck = true;
	fake_begin(&world, a, 700);
	assert_int_equal(fake_send_first(&world, a), OK);
	assert_non_null(a->session);
	world_finish(&world);
}

static void test_late_store_releases_the_answer(void **state)
{
	struct world world;
	struct fake_node *a;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	world.is_store_stuck = true;
	fake_begin(&world, a, 700);
	assert_int_equal(fake_send_first(&world, a), OK);
	assert_int_equal(a->answers, 0);
	world.is_store_stuck = false;
	world_pump(&world);
	assert_int_equal(a->answers, 1);
	fake_keep_alive(&world, a);
	world_finish(&world);
}

static void refused(struct world *world, struct fake_node *node, uint8_t reason)
{
	fake_begin(world, node, 700);
	assert_int_equal(fake_send_first(world, node), ERR_DENIED);
	assert_int_equal(node->refused, reason);
	assert_null(node->session);
}

static void test_bad_credentials(void **state)
{
	struct world world;
	struct fake_node *a, *b, *thief;
	struct sign_keys other;
	struct certificate saved;
	uint8_t seed[KEY_SIZE] = {7};
	struct coordinator_counters counters;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	b = world_node(&world, "b");
	thief = world_node(&world, "thief");
	sign_keys_from_seed(seed, &other);
	node_recertify(&world, a, "a.ntm.internal", &other);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	node_recertify(&world, a, "a.other.internal", &world.authority);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	node_recertify(&world, a, "a.b.ntm.internal", &world.authority);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	node_recertify(&world, a, "ntm.internal", &world.authority);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	node_recertify(&world, a, "ns.ntm.internal", &world.authority);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	/* Somebody else's certificate under one's own static key. */
	saved = thief->certificate;
	memcpy(thief->encoded, b->encoded, b->encoded_size);
	thief->encoded_size = b->encoded_size;
	refused(&world, thief, REASON_BAD_CREDENTIAL);
	(void)saved;
	/* A name that another identity holds. */
	fake_register(&world, b);
	node_recertify(&world, a, "b.ntm.internal", &world.authority);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	/* A certificate that was replaced by a newer one. */
	memcpy(thief->encoded, b->encoded, b->encoded_size);
	node_recertify(&world, b, "b2.ntm.internal", &world.authority);
	fake_register(&world, b);
	memcpy(b->encoded, thief->encoded, thief->encoded_size);
	b->encoded_size = thief->encoded_size;
	refused(&world, b, REASON_BAD_CREDENTIAL);
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.nodes, 1); /* refusals leave nothing behind */
	world_finish(&world);
}

static void test_expired_certificate(void **state)
{
	struct world world;
	struct fake_node *a;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	coordinator_set_wall(world.c, world.now, WALL_S + CERTIFICATE_VALID_S + 1);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	coordinator_set_wall(world.c, world.now, WALL_S - 1000);
	refused(&world, a, REASON_BAD_CREDENTIAL);
	world_finish(&world);
}

static void test_revocation(void **state)
{
	struct world world;
	struct fake_node *a, *b;
	struct network network = {.revoked_count = 1};
	struct node_id never = {{1, 2, 3}};
	struct coordinator_node_info info;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	b = world_node(&world, "b");
	fake_register(&world, a);
	coordinator_revoke(world.c, world.now, &a->certificate.id);
	world_pump(&world);
	assert_int_equal(fake_send(&world, a, MESSAGE_KEEP_ALIVE, 5, NULL), ERR_UNKNOWN); /* at once */
	refused(&world, a, REASON_REVOKED);
	world_restart(&world);
	refused(&world, a, REASON_REVOKED);
	coordinator_restore(world.c, world.now, &a->certificate.id);
	fake_register(&world, a);
	/* Through the network document, before it ever came. */
	network.revoked[0] = b->certificate.id;
	coordinator_set_network(world.c, world.now, &network);
	refused(&world, b, REASON_REVOKED);
	coordinator_revoke(world.c, world.now, &never);
	world_pump(&world);
	world_restart(&world);
	refused(&world, b, REASON_REVOKED);
	assert_true(coordinator_node_at(world.c, 2, &info));
	assert_false(coordinator_node_at(world.c, 3, &info));
	world_finish(&world);
}

static void test_pool_is_used_up(void **state)
{
	struct world world;
	struct fake_node *nodes[3], *late;
	struct ip lost;

	(void)state;
	world_init(&world, "198.18.0.0/30"); /* two usable addresses */
	nodes[0] = world_node(&world, "a");
	nodes[1] = world_node(&world, "b");
	nodes[2] = world_node(&world, "c");
	late = world_node(&world, "d");
	fake_register(&world, nodes[0]);
	fake_register(&world, nodes[1]);
	refused(&world, nodes[2], REASON_NO_ADDRESS);
	/* Long away, but within grace: still its own. */
	lost = nodes[0]->lease.v4;
	world_pass(&world, (LEASE_VALID_S + LEASE_VALID_S - 10) * USEC_PER_SEC);
	refused(&world, nodes[2], REASON_NO_ADDRESS);
	world_pass(&world, 3600 * USEC_PER_SEC);
	fake_register(&world, nodes[2]);
	assert_true(ip_equal(&lost, &nodes[2]->lease.v4) || ip_equal(&nodes[1]->lease.v4, &nodes[2]->lease.v4));
	assert_int_equal(world.events[COORDINATOR_LEASE_REUSED], 1);
	fake_register(&world, late);
	assert_false(ip_equal(&late->lease.v4, &nodes[2]->lease.v4));
	refused(&world, nodes[0], REASON_NO_ADDRESS);
	assert_int_equal(world.record_count, 2);
	world_finish(&world);
}

static void test_lease_is_renewed_while_online(void **state)
{
	struct world world;
	struct fake_node *a;
	struct lease before;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	before = a->lease;
	world_pass(&world, (LEASE_VALID_S * 3 / 4) * USEC_PER_SEC);
	fake_register(&world, a);
	assert_true(ip_equal(&before.v4, &a->lease.v4));
	assert_true(a->lease.epoch > before.epoch && a->lease.not_after_s > before.not_after_s);
	world_finish(&world);
}

static void test_silence_makes_offline(void **state)
{
	struct world world;
	struct fake_node *a;
	struct coordinator_node_info info;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	world_pass(&world, 2 * KEEPALIVE_US);
	assert_true(coordinator_node_at(world.c, 0, &info));
	assert_true(info.online);
	world_pass(&world, 2 * KEEPALIVE_US);
	assert_true(coordinator_node_at(world.c, 0, &info));
	assert_false(info.online);
	assert_int_equal(world.events[COORDINATOR_NODE_OFFLINE], 1);
	fake_keep_alive(&world, a); /* the session is still good */
	assert_true(coordinator_node_at(world.c, 0, &info));
	assert_true(info.online);
	/* A restarted coordinator is silent to what it does not know. */
	world_restart(&world);
	assert_int_equal(fake_send(&world, a, MESSAGE_KEEP_ALIVE, 5, NULL), ERR_UNKNOWN);
	assert_true(coordinator_node_at(world.c, 0, &info));
	assert_string_equal(info.fqdn, "a.ntm.internal");
	assert_true(ip_equal(&info.v4, &a->lease.v4));
	world_finish(&world);
}

static void test_rekey(void **state)
{
	struct world world;
	struct fake_node *a;
	struct handshake handshake;
	uint8_t message[REKEY_REQUEST_SIZE], seed[KEY_SIZE] = {3}, bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct letter first, second;
	struct rekey answer;
	struct reader r;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	a = world_node(&world, "a");
	fake_register(&world, a);
	assert_int_equal(rekey_begin(&handshake, a->session, &a->keys, world.config.static_keys.public, seed, message),
			 OK);
	rekey_encode(&(struct rekey){.epoch = session_next_epoch(a->session), .handshake = {message, sizeof message}},
		     &w);
	assert_int_equal(fake_send(&world, a, MESSAGE_REKEY_REQUEST, 77, &w), OK);
	assert_int_equal(fake_send(&world, a, MESSAGE_REKEY_REQUEST, 77, &w), OK);
	first = fake_take(a, MESSAGE_REKEY_RESPONSE);
	second = fake_take(a, MESSAGE_REKEY_RESPONSE);
	assert_int_equal(first.transaction, 77);
	assert_int_equal(first.size, second.size);
	assert_memory_equal(first.body, second.body, first.size);
	r = reader_over(first.body, first.size);
	assert_int_equal(rekey_decode(&r, &answer), OK);
	assert_int_equal(rekey_finish(&handshake, a->session, &a->keys, &answer, world.now), OK);
	fake_keep_alive(&world, a);
	assert_int_equal(fake_take(a, MESSAGE_KEEP_ALIVE_ANSWER).type, MESSAGE_KEEP_ALIVE_ANSWER);
	world_finish(&world);
}

static void test_damaged_records(void **state)
{
	struct world world;
	struct record record;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	fake_register(&world, world_node(&world, "a"));
	for (size_t i = 0; i < world.records[0].value_size; i++) {
		record = world.records[0];
		record.value_size = (uint16_t)i;
		assert_int_not_equal(coordinator_load(world.c, &record), OK);
	}
	record = world.records[0];
	record.key[0] ^= 1;
	assert_int_equal(coordinator_load(world.c, &record), ERR_MALFORMED);
	assert_int_equal(coordinator_load(world.c, &world.records[0]), ERR_EXISTS);
	world_finish(&world);
}

/* Before a planned end: everybody who is there is told, however many they are, and nobody is offline by it. */
static void test_farewell(void **state)
{
	enum { NODES = 600 };
	struct world world;
	struct fake_node *nodes[NODES];
	struct coordinator_counters counters;
	uint32_t cursor = 0, told = 0;
	bool has_more;

	(void)state;
	world_init(&world, "198.18.0.0/15");
	for (int i = 0; i < NODES; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "n%d", i);
		nodes[i] = world_node(&world, name);
		if (i % 3)
			fake_register(&world, nodes[i]);
	}
	do {
		has_more = coordinator_leave(world.c, world.now, &cursor);
		world_pump(&world);
	} while (has_more);
	for (int i = 0; i < NODES; i++) {
		bool is_told = fake_take(nodes[i], MESSAGE_CLOSE).type == MESSAGE_CLOSE;

		assert_int_equal(is_told, i % 3 != 0);
		told += is_told;
	}
	coordinator_get_counters(world.c, &counters);
	assert_int_equal(counters.online, told);
	assert_int_equal(counters.dropped_out, 0);
	world_finish(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_farewell),
		cmocka_unit_test(test_repeated_first_message),
		cmocka_unit_test(test_handshake_does_not_end_a_session),
		cmocka_unit_test(test_thousand_nodes_share_nothing),
		cmocka_unit_test(test_not_durable_not_answered),
		cmocka_unit_test(test_late_store_releases_the_answer),
		cmocka_unit_test(test_bad_credentials),
		cmocka_unit_test(test_expired_certificate),
		cmocka_unit_test(test_revocation),
		cmocka_unit_test(test_pool_is_used_up),
		cmocka_unit_test(test_lease_is_renewed_while_online),
		cmocka_unit_test(test_silence_makes_offline),
		cmocka_unit_test(test_rekey),
		cmocka_unit_test(test_damaged_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
