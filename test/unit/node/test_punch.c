/* Hard NATs: what is guessed from ports, that a way is found where one can be, and every bound of looking for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lan.h"
#include "look.h"
#include "proto/node/machine.h"

#define A 0
#define B 1

static int set_up(void **state)
{
	*state = lan_create();
	return 0;
}

static void talk(struct lan *lan, int64_t duration_us)
{
	for (int64_t us = 0; us < duration_us; us += 50000) {
		lan_send(lan, A, "there", 5);
		lan_send(lan, B, "back", 4);
		lan_run(lan, 50000);
	}
}

/* Connected by relay, with these NATs; hole punching of the contact is over and forgotten. */
static struct lan *between(void **state, enum lan_nat_kind a, enum lan_nat_kind b)
{
	struct lan *lan = *state;

	lan->nodes[A].nat.kind = a;
	lan->nodes[B].nat.kind = b;
	lan_plug(lan, A, "203.0.113.1:7367");
	lan_plug(lan, B, "203.0.113.2:7367");
	lan_run(lan, 200000);
	lan_send(lan, A, "first", 5);
	lan_run(lan, 400000);
	assert_int_equal(peer_of(lan, A).state, NODE_PEER_UP);
	assert_false(is_direct(lan, A));
	lan->knock_count = 0;
	return lan;
}

static size_t knocks_from(const struct lan *lan, int node)
{
	size_t count = 0;

	for (size_t i = 0; i < lan->knock_count; i++)
		count += ip_equal(&lan->knocks[i].from.ip, &lan->nodes[node].addr.ip);
	return count;
}

static void test_steps_are_guessed(void **state)
{
	static const uint16_t locals[] = {40000, 40001, 40002}, next[] = {40003, 40004};
	static const struct {
		uint16_t seen[3];
		uint8_t kind;
		uint16_t first, second;
	} cases[] = {
		{{40000, 40001, 40002}, MAPPING_GUESSABLE, 40003, 40004}, /* kept */
		{{5000, 5001, 5002}, MAPPING_GUESSABLE, 5003, 5004},
		{{5000, 5002, 5004}, MAPPING_GUESSABLE, 5006, 5008}, /* parity */
		{{5004, 5002, 5000}, MAPPING_GUESSABLE, 4998, 4996}, /* downwards */
		{{5000, 5001, 5004}, MAPPING_GUESSABLE, 5005, 5006}, /* a neighbour's in between */
		{{5000, 5000, 5001}, MAPPING_RANDOM, 0, 0},
		{{5000, 5001, 5000}, MAPPING_RANDOM, 0, 0},
		{{5000, 5033, 5034}, MAPPING_RANDOM, 0, 0},
		{{61234, 2345, 40000}, MAPPING_RANDOM, 0, 0},
		{{1028, 1026, 1024}, MAPPING_RANDOM, 0, 0}, /* the end of its range */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct mapping mapping;

		mapping_guess(locals, cases[i].seen, 3, next, 2, &mapping);
		assert_int_equal(mapping.kind, cases[i].kind);
		assert_int_equal(mapping.port_count, cases[i].kind == MAPPING_GUESSABLE ? 2 : 0);
		assert_int_equal(mapping.ports[0], cases[i].first);
		assert_int_equal(mapping.ports[1], cases[i].second);
	}
}

static void test_draws_come_by_every_port_once(void **state)
{
	static const uint32_t strides[] = {0, 1, 2, 3, 7, 21, 64511, 64512, 123456789, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof strides / sizeof strides[0]; i++) {
		struct port_draw draw = port_draw_make(UINT32_MAX - (uint32_t)i, strides[i]);
		static bool seen[65536];

		memset(seen, 0, sizeof seen);
		for (uint32_t k = 0; k < DRAW_PORTS; k++) {
			uint16_t port = port_draw_at(draw, k);

			assert_true(port >= DRAW_PORT_FIRST && !seen[port]);
			seen[port] = true;
		}
	}
}

/* Whatever is found, no inner packet is lost by it, and what led nowhere is closed. */
static void check_found(struct lan *lan, int64_t limit_us, size_t knocks_max)
{
	size_t sent = 0, before[LAN_NODES] = {lan->nodes[A].received, lan->nodes[B].received};

	for (; sent * 50000 < (size_t)limit_us && !(is_direct(lan, A) && is_direct(lan, B)); sent++)
		talk(lan, 50000);
	assert_true(is_direct(lan, A) && is_direct(lan, B));
	talk(lan, 3 * USEC_PER_SEC);
	lan_run(lan, 200000);
	for (int i = 0; i < LAN_NODES; i++) {
		assert_int_equal(lan->nodes[i].received - before[i], sent + 60);
		assert_int_equal(peer_of(lan, i).punch.state, PUNCH_STATE_FOUND);
		assert_true(knocks_from(lan, i) <= knocks_max);
		assert_true(lan->nodes[i].port_most <= PUNCH_SOCKETS_MAX);
		assert_true(lan->nodes[i].port_count <= 2);
	}
	assert_true(is_direct(lan, A) && is_direct(lan, B));
}

static void ports_in_steps_are_met(void **state)
{
	check_found(between(state, LAN_NAT_STEPS, LAN_NAT_STEPS), 4 * USEC_PER_SEC, 48);
}

static void a_steady_end_meets_steps(void **state)
{
	check_found(between(state, LAN_NAT_STEADY, LAN_NAT_STEPS), 4 * USEC_PER_SEC, 48);
}

static void a_steady_end_meets_a_random_one(void **state)
{
	check_found(between(state, LAN_NAT_RANDOM, LAN_NAT_STEADY), 12 * USEC_PER_SEC, PUNCH_GUESSES_MAX);
}

/* Nobody knocks where it cannot help, and both know why. */
static void hopeless_pairs_do_not_knock(void **state)
{
	struct lan *lan = between(state, LAN_NAT_RANDOM, LAN_NAT_RANDOM);

	talk(lan, 10 * USEC_PER_SEC);
	assert_int_equal(lan->knock_count, 0);
	for (int i = 0; i < LAN_NODES; i++) {
		struct node_punch_status punch = peer_of(lan, i).punch;

		assert_int_equal(punch.state, PUNCH_STATE_HOPELESS);
		assert_int_equal(punch.own, MAPPING_RANDOM);
		assert_int_equal(punch.theirs, MAPPING_RANDOM);
		assert_int_equal(punch.tries, 1);
		assert_int_equal(lan->nodes[i].port_count, 0);
		assert_true(lan->nodes[i].port_most <= PUNCH_MEASURES + PUNCH_PORTS_MAX);
		assert_false(is_direct(lan, i));
	}
}

/* What is sent in a try that finds nothing: to one address only, not more than allowed, not faster, not longer. */
static void check_one_try(const struct lan *lan, int node)
{
	const struct lan_knock *first = NULL;
	size_t count = 0;

	for (size_t i = 0; i < lan->knock_count; i++) {
		const struct lan_knock *knock = &lan->knocks[i];
		size_t in_a_second = 0;

		if (!ip_equal(&knock->from.ip, &lan->nodes[node].addr.ip))
			continue;
		first = first ? first : knock;
		count++;
		assert_true(ip_equal(&knock->to.ip, &lan->nodes[1 - node].addr.ip));
		assert_true(time_since(knock->at, first->at) <= 10 * USEC_PER_SEC);
		for (size_t k = i; k < lan->knock_count; k++)
			in_a_second += ip_equal(&lan->knocks[k].from.ip, &knock->from.ip) &&
				       time_since(lan->knocks[k].at, knock->at) < USEC_PER_SEC;
		assert_true(in_a_second <= 256);
		if (knock->from.port == first->from.port && lan->nodes[node].nat.kind == LAN_NAT_STEADY)
			assert_true(in_a_second <= 132);
	}
	assert_true(count > 0 && count <= PUNCH_GUESSES_MAX);
}

static void a_try_is_bounded(void **state)
{
	struct lan *lan = between(state, LAN_NAT_STEADY, LAN_NAT_RANDOM);

	lan->nodes[A].nat.is_deaf = lan->nodes[B].nat.is_deaf = true;
	talk(lan, 13 * USEC_PER_SEC);
	for (int i = 0; i < LAN_NODES; i++) {
		check_one_try(lan, i);
		assert_int_equal(peer_of(lan, i).punch.state, PUNCH_STATE_FAILED);
		assert_int_equal(lan->nodes[i].port_count, 0);
		assert_true(lan->nodes[i].port_most <= PUNCH_SOCKETS_MAX);
		assert_false(is_direct(lan, i));
	}
	assert_true(knocks_from(lan, A) > 900);
	assert_true(lan->nodes[B].port_most == PUNCH_SOCKETS_MAX && knocks_from(lan, B) == PUNCH_SOCKETS_MAX);
}

/* The next try comes a minute later, then two; without data none comes. */
static void tries_become_rare(void **state)
{
	struct lan *lan = between(state, LAN_NAT_STEADY, LAN_NAT_RANDOM);

	lan->nodes[A].nat.is_deaf = lan->nodes[B].nat.is_deaf = true;
	talk(lan, 50 * USEC_PER_SEC);
	assert_int_equal(peer_of(lan, A).punch.tries, 1);
	talk(lan, 50 * USEC_PER_SEC);
	assert_int_equal(peer_of(lan, A).punch.tries, 2);
	talk(lan, 90 * USEC_PER_SEC);
	assert_int_equal(peer_of(lan, A).punch.tries, 2);
	lan_run(lan, 600 * USEC_PER_SEC);
	assert_int_equal(peer_of(lan, A).punch.tries, 2);
	assert_int_equal(lan->nodes[A].port_count + lan->nodes[B].port_count, 0);
}

/* A move is a new pair of networks; what was under way ends. */
static void a_move_begins_anew(void **state)
{
	struct lan *lan = between(state, LAN_NAT_STEADY, LAN_NAT_RANDOM);

	lan->nodes[A].nat.is_deaf = lan->nodes[B].nat.is_deaf = true;
	talk(lan, 4 * USEC_PER_SEC);
	assert_true(lan->nodes[B].port_count > 200);
	lan_plug(lan, B, "203.0.113.7:7367");
	lan->nodes[B].nat.count = 0;
	lan_run(lan, 0);
	assert_int_equal(lan->nodes[B].port_count, 0);
	lan->nodes[A].nat.is_deaf = lan->nodes[B].nat.is_deaf = false;
	lan->knock_count = 0;
	talk(lan, 14 * USEC_PER_SEC);
	assert_true(is_direct(lan, A) && is_direct(lan, B));
	for (size_t i = 0; i < lan->knock_count; i++)
		assert_true(ip_equal(&lan->knocks[i].to.ip, &lan->nodes[A].addr.ip) ||
			    ip_equal(&lan->knocks[i].to.ip, &lan->nodes[B].addr.ip));
}

/* What an evil peer has said in a Move is a candidate, no more: only the coordinator's own sight is knocked at (T26).
 */
static void the_peers_word_is_no_target(void **state)
{
	struct lan *lan = between(state, LAN_NAT_STEADY, LAN_NAT_RANDOM);
	struct addr victim = {.ip = ip_v4(203, 0, 113, 99), .port = 7367};

	for (int i = 0; i < LAN_NODES; i++)
		for (size_t k = 0; k < lan->nodes[i].node->roster.count; k++) {
			struct peer *peer = lan->nodes[i].node->roster.all[k];

			peer->observed = victim;
			peer->candidates = (struct candidates){.count = 1, .list = {victim}};
		}
	talk(lan, 12 * USEC_PER_SEC);
	assert_true(lan->knock_count > 0);
	for (size_t i = 0; i < lan->knock_count; i++)
		assert_false(ip_equal(&lan->knocks[i].to.ip, &victim.ip));
}

/* A coordinator that says so, or a network within a private one: neighbours are not scanned. */
static void nobody_knocks_at_private_addresses(void **state)
{
	struct lan *lan = *state;

	lan->nodes[A].nat.kind = LAN_NAT_STEADY;
	lan->nodes[B].nat.kind = LAN_NAT_RANDOM;
	lan_plug(lan, A, "203.0.113.1:7367");
	lan_plug(lan, B, "10.9.8.7:7367");
	lan_run(lan, 200000);
	lan_send(lan, A, "first", 5);
	lan_run(lan, 400000);
	lan->knock_count = 0;
	talk(lan, 12 * USEC_PER_SEC);
	assert_int_equal(knocks_from(lan, A), 0);
	assert_true(peer_of(lan, A).punch.state == PUNCH_STATE_NO_TARGET ||
		    peer_of(lan, A).punch.state == PUNCH_STATE_NONE);
}

/* One who has seen a knock says it again, from its own address, or has altered it: nothing goes there. */
static void a_knock_from_elsewhere_is_nothing(void **state)
{
	struct lan *lan = between(state, LAN_NAT_STEADY, LAN_NAT_RANDOM);
	struct lan_knock knock;
	struct addr there;

	lan->nodes[A].nat.is_deaf = lan->nodes[B].nat.is_deaf = true;
	talk(lan, 4 * USEC_PER_SEC);
	assert_true(lan->knock_count > 0);
	assert_int_equal(addr_parse("192.0.2.66:666", 7367, &lan->watched), OK);
	lan->nodes[A].nat.kind = LAN_NAT_NONE; /* the stranger gets through to it */
	for (size_t i = lan->knock_count; i > 0; i--) {
		knock = lan->knocks[i - 1];
		if (ip_equal(&knock.from.ip, &lan->nodes[B].addr.ip))
			break;
	}
	lan_inject(lan, &lan->watched, A, knock.bytes, sizeof knock.bytes);
	lan_run(lan, 500000);
	assert_int_equal(lan->watched_packets, 0);
	there = (struct addr){lan->nodes[B].addr.ip, 9999};
	lan->watched = there;
	lan_run(lan, 1500000); /* what B tries now that A is open has been asked by then */
	knock.bytes[20] ^= 1;
	lan_inject(lan, &there, A, knock.bytes, sizeof knock.bytes);
	lan_run(lan, 50000);
	assert_int_equal(lan->watched_packets, 0);
	knock.bytes[20] ^= 1;
	lan_inject(lan, &there, A, knock.bytes, sizeof knock.bytes);
	lan_run(lan, 50000);
	assert_int_equal(lan->watched_packets, 1); /* unaltered and from there it is asked */
}

/* The same knock from ever other ports: at most so many are challenged in one try. */
static void few_sources_are_asked(void **state)
{
	struct lan *lan = between(state, LAN_NAT_STEADY, LAN_NAT_RANDOM);
	struct lan_knock knock = {0};
	size_t before;

	lan->nodes[A].nat.is_deaf = lan->nodes[B].nat.is_deaf = true;
	talk(lan, 2500000);
	lan->nodes[A].nat.kind = LAN_NAT_NONE;
	for (size_t i = 0; i < lan->knock_count; i++)
		if (ip_equal(&lan->knocks[i].from.ip, &lan->nodes[B].addr.ip))
			knock = lan->knocks[i];
	before = peer_of(lan, A).path_count;
	for (uint16_t i = 0; i < 140; i++) {
		struct addr there = {lan->nodes[B].addr.ip, (uint16_t)(9000 + i)};

		lan_inject(lan, &there, A, knock.bytes, sizeof knock.bytes);
		talk(lan, 50000);
	}
	assert_true(peer_of(lan, A).path_count > before);
	assert_true(peer_of(lan, A).path_count <= before + PUNCH_HITS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps_are_guessed),
		cmocka_unit_test(test_draws_come_by_every_port_once),
		cmocka_unit_test_setup_teardown(ports_in_steps_are_met, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_steady_end_meets_steps, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_steady_end_meets_a_random_one, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(hopeless_pairs_do_not_knock, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_try_is_bounded, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(tries_become_rare, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_move_begins_anew, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(the_peers_word_is_no_target, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(nobody_knocks_at_private_addresses, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_knock_from_elsewhere_is_nothing, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(few_sources_are_asked, set_up, lan_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
