/* Who may move a tunnel: the rules E1 to E9, each attacked by a stranger who sees everything, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lan.h"
#include "look.h"
#include "wire/header.h"

#define A 0
#define B 1

static int set_up(void **state)
{
	struct lan *lan = lan_create();
	enum err err = addr_parse("192.0.2.66:666", 7367, &lan->watched); /* the stranger */

	assert_int_equal(err, OK);
	lan_plug(lan, A, "203.0.113.1:7367");
	lan_plug(lan, B, "203.0.113.2:7367");
	*state = lan;
	return 0;
}

/* A tunnel some seconds old, both directions used. */
static struct lan *connected(void **state)
{
	struct lan *lan = *state;

	lan_run(lan, 100000);
	lan_send(lan, A, "first", 5);
	lan_run(lan, 500000);
	for (int i = 0; i < 50; i++) {
		lan_send(lan, A, "there", 5);
		lan_send(lan, B, "back", 4);
		lan_run(lan, 100000);
	}
	assert_true(lan->nodes[A].received >= 50 && lan->nodes[B].received >= 50);
	return lan;
}

static void assert_active(struct lan *lan, int node, const struct addr *remote)
{
	struct node_peer_status peer = peer_of(lan, node);

	assert_true(addr_equal(&active_of(&peer)->route.remote, remote));
}

static struct node_counters counters_of(struct lan *lan, int node)
{
	struct node_status status;

	node_get_status(lan->nodes[node].node, lan->now, &status);
	return status.counters;
}

/* A's next packet to B of this size, held back. */
static struct lan_datagram held_back(struct lan *lan, size_t size)
{
	static uint8_t payload[1400];
	struct lan_datagram d;

	lan_send(lan, A, payload, size);
	assert_true(lan_take(lan, &lan->nodes[A].addr, &lan->nodes[B].addr, &d));
	return d;
}

/* Authentic and never seen before, but younger packets have arrived. */
static void e1_an_old_packet_suggests_no_address(void **state)
{
	struct lan *lan = connected(state);
	struct lan_datagram old = held_back(lan, 1000);
	size_t before = lan->nodes[B].received;

	lan_send(lan, A, "younger", 7);
	lan_run(lan, lan->delay_us);
	lan_inject(lan, &lan->watched, B, old.bytes, old.size);
	lan_run(lan, 3 * USEC_PER_SEC);
	assert_int_equal(lan->nodes[B].received - before, 2); /* it is A's packet, whoever brings it */
	assert_int_equal(lan->watched_packets, 0);
	assert_active(lan, B, &lan->nodes[A].addr);
}

/* What has been seen, or was changed on the way, suggests nothing, be it the highest. */
static void e1_a_replay_or_forgery_suggests_no_address(void **state)
{
	struct lan *lan = connected(state);
	struct lan_datagram seen = held_back(lan, 1000), forged = held_back(lan, 1000);

	lan_inject(lan, &lan->nodes[A].addr, B, seen.bytes, seen.size);
	lan_run(lan, lan->delay_us);
	lan_inject(lan, &lan->watched, B, seen.bytes, seen.size);
	forged.bytes[forged.size - 1] ^= 1;
	lan_inject(lan, &lan->watched, B, forged.bytes, forged.size);
	lan_run(lan, 3 * USEC_PER_SEC);
	assert_int_equal(lan->watched_packets, 0);
	assert_true(counters_of(lan, B).dropped_replay > 0);
	assert_true(counters_of(lan, B).dropped_auth > 0);
}

static void e2_a_suggestion_asks_both_addresses_and_switches_nothing(void **state)
{
	struct lan *lan = connected(state);
	struct lan_datagram suggesting;
	uint64_t asked;

	lan_run(lan, 2 * USEC_PER_SEC); /* no challenge of late */
	suggesting = held_back(lan, 1000);
	asked = counters_of(lan, B).challenges_tx;
	lan_inject(lan, &lan->watched, B, suggesting.bytes, suggesting.size);
	lan_run(lan, lan->delay_us);
	assert_int_equal(lan->watched_packets, 1);
	assert_int_equal(counters_of(lan, B).challenges_tx - asked, 2);
	assert_active(lan, B, &lan->nodes[A].addr);
	lan_send(lan, B, "data", 4);
	assert_in_range(lan->watched_bytes, 1, suggesting.size); /* as well, and no more than came (E5) */
	assert_active(lan, B, &lan->nodes[A].addr);
}

/* What A says to B's own address never arrives, but somebody hands each challenge in as if the relay had brought it. */
static void e2_an_answer_from_elsewhere_opens_no_path(void **state)
{
	struct lan *lan = *state;
	struct lan_datagram d;
	int carried = 0;

	lan->blocks_direct = true;
	lan_run(lan, 100000);
	lan_send(lan, A, "first", 5);
	for (int i = 0; i < 3000; i++) {
		struct node_peer_status peer;

		if (i % 50 == 0)
			lan_send(lan, A, "there", 5);
		lan_run(lan, 1000);
		while (lan_take(lan, &lan->nodes[A].addr, &lan->nodes[B].addr, &d)) {
			lan_inject(lan, &lan->relay_addr, B, d.bytes, d.size);
			carried += (d.bytes[0] & 0xa0) == 0xa0; /* sealed, and no data */
		}
		if (i < 100)
			continue;
		peer = peer_of(lan, A);
		for (int k = 0; k < peer.path_count; k++)
			assert_false(peer.paths[k].kind == PATH_DIRECT && peer.paths[k].valid);
	}
	assert_true(carried > 0);
	assert_true(lan->nodes[B].received >= 50);
}

/* The forwarder is faster in both directions, so its address validates and has the better round trip. */
static void e3_a_live_old_path_wins(void **state)
{
	struct lan *lan = connected(state);
	static uint8_t kilobyte[1000];

	lan->forwards = true;
	for (int i = 0; i < 300; i++) {
		lan_send(lan, A, kilobyte, sizeof kilobyte);
		lan_send(lan, B, kilobyte, sizeof kilobyte);
		lan_run(lan, 10000);
		assert_active(lan, B, &lan->nodes[A].addr);
	}
	assert_true(lan->forwarder_got < 20000); /* challenges, no data */
}

/* A's NAT gave it another port, and A does not know: the old one is silent, the new one validates. */
static void e3_a_silent_old_path_is_left(void **state)
{
	struct lan *lan = connected(state);

	lan->nodes[A].addr.port = 4242;
	for (int i = 0; i < 20; i++) {
		lan_send(lan, A, "x", 1);
		lan_send(lan, B, "x", 1);
		lan_run(lan, 20000);
	}
	assert_active(lan, B, &lan->nodes[A].addr);
}

/* Without waiting for a validation: a move costs one round trip and not two. */
static void e4_data_follows_a_move_at_once(void **state)
{
	struct lan *lan = connected(state);

	lan_plug(lan, A, "198.51.100.9:7367");
	lan->watched = lan->nodes[A].addr;
	lan_run(lan, lan->delay_us); /* the word that it moved is there */
	lan_send(lan, B, "data", 4);
	assert_true(lan->watched_data > 0);
	assert_active(lan, B, &lan->nodes[A].addr);
}

/* The word of a move is only worth something as long as it is news. */
static void e4_an_old_word_of_a_move_is_none(void **state)
{
	struct lan *lan = connected(state);
	struct lan_datagram first = {0}, word;
	struct addr second;

	lan_plug(lan, A, "198.51.100.9:7367");
	while (lan_take(lan, &lan->nodes[A].addr, &lan->nodes[B].addr, &word))
		if ((word.bytes[0] & SEALED_CONTROL) && word.size > first.size)
			first = word;
	assert_true(first.size > 0);
	lan_plug(lan, A, "198.51.100.10:7367");
	second = lan->nodes[A].addr;
	lan_run(lan, 200000);
	assert_active(lan, B, &second);
	lan_inject(lan, &lan->watched, B, first.bytes, first.size);
	lan_run(lan, lan->delay_us);
	lan_send(lan, B, "data", 4);
	assert_active(lan, B, &second);
	assert_int_equal(lan->watched_data, 0);
}

/* To one who was only seen on a packet: never more than came from him. */
static void e5_an_unproved_address_gets_no_more_than_it_sent(void **state)
{
	struct lan *lan = connected(state);
	struct lan_datagram suggesting = held_back(lan, 16);

	lan_inject(lan, &lan->watched, B, suggesting.bytes, suggesting.size);
	for (int i = 0; i < 100; i++) {
		lan_send(lan, B, "data", 4);
		lan_run(lan, 50000);
	}
	assert_in_range(lan->watched_bytes, 1, suggesting.size);
	assert_int_equal(lan->watched_data, 0);
}

/* To where a peer says that it moved: a fixed amount until it answers from there. */
static void e5_a_move_buys_a_fixed_amount(void **state)
{
	struct lan *lan = connected(state);
	static uint8_t kilobyte[1000];

	lan_plug(lan, A, "198.51.100.9:7367");
	lan->watched = lan->nodes[A].addr;
	lan_run(lan, lan->delay_us);
	lan->nodes[A].plugged = false; /* nothing comes from there any more */
	for (int i = 0; i < 1000; i++) {
		lan_send(lan, B, kilobyte, sizeof kilobyte); /* all before the relay brings the same word */
		lan_run(lan, 8);
	}
	/* Counted are inner bytes. */
	assert_in_range(lan->watched_data, UNVALIDATED_BURST_BYTES * 3 / 4, UNVALIDATED_BURST_BYTES / 1028 * 1072);
}

/* Each of A's packets comes from the stranger: every one of them suggests him anew. */
static void e6_an_address_is_asked_once_in_100_ms(void **state)
{
	struct lan *lan = connected(state);

	for (int i = 0; i < 95; i++) {
		struct lan_datagram suggesting = held_back(lan, 100);

		lan_inject(lan, &lan->watched, B, suggesting.bytes, suggesting.size);
		lan_run(lan, 1000);
	}
	assert_in_range(lan->watched_packets, 1, 1);
	for (int i = 0; i < 900; i++) {
		struct lan_datagram suggesting = held_back(lan, 100);

		lan_inject(lan, &lan->watched, B, suggesting.bytes, suggesting.size);
		lan_run(lan, 1000);
	}
	assert_in_range(lan->watched_packets, 2, 10);
}

/* Round trip and loss are those of the new path alone; the keys stay. */
static void e7_a_new_path_is_measured_anew_and_the_keys_stay(void **state)
{
	struct lan *lan = connected(state);
	struct node_counters before = counters_of(lan, A);
	struct node_peer_status peer;

	lan->delay_us = 40000;
	lan_plug(lan, A, "198.51.100.9:7367");
	for (int i = 0; i < 20; i++) {
		lan_send(lan, A, "x", 1);
		lan_run(lan, 20000);
	}
	peer = peer_of(lan, A);
	assert_int_equal(active_of(&peer)->rtt_us, 80000);
	assert_int_equal(active_of(&peer)->loss_permille, 0);
	assert_int_equal(counters_of(lan, A).handshakes, before.handshakes);
}

/* The way that failed is not taken for good: data goes back to what still works. */
/* The new network takes no large packets and says nothing: TCP passes from the first one on, and goes on growing. */
static void e7_a_narrow_new_path_costs_tcp_nothing(void **state)
{
	struct lan *lan = connected(state);
	size_t sent = 0, got = lan->nodes[B].received_bytes;
	struct node_peer_status peer;

	lan->narrow_above = 1350;
	lan->relay_is_narrow = true;
	lan_plug(lan, A, "198.51.100.9:7367");
	for (int i = 0; i < 100; i++) {
		lan_send_tcp(lan, A, i % 2 == 0 ? 1400 : 14000, 1400);
		sent += i % 2 == 0 ? 1400 : 14000;
		lan_run(lan, 100000);
	}
	peer = peer_of(lan, A);
	assert_true(lan->nodes[B].received_bytes - got >= sent);
	assert_in_range(active_of(&peer)->mtu, 1280, 1350 - OVERHEAD_SIZE);
}

/* ... and where they pass they are used after the first proof. */
static void e7_a_wide_new_path_is_used_whole(void **state)
{
	struct lan *lan = connected(state);
	size_t before;

	lan_plug(lan, A, "198.51.100.9:7367");
	for (int i = 0; i < 40; i++) {
		lan_send_tcp(lan, A, 1400, 1400);
		lan_run(lan, 100000);
	}
	before = counters_of(lan, A).tx_packets;
	lan_send_tcp(lan, A, 14000, 1400);
	assert_int_equal(counters_of(lan, A).tx_packets - before, 10);
}

static void e7_when_the_new_path_fails_another_carries_data(void **state)
{
	struct lan *lan = connected(state);
	size_t before;

	lan_plug(lan, A, "198.51.100.9:7367");
	lan_run(lan, USEC_PER_SEC);
	lan->blocks_direct = true;
	before = lan->nodes[B].received;
	for (int i = 0; i < 100; i++) {
		lan_send(lan, A, "x", 1);
		lan_run(lan, 20000);
	}
	assert_int_equal(lan->nodes[B].received - before, 100);
}

/* A first message is no packet of the session: repeated from elsewhere it moves nothing and buys no more than itself.
 */
static void e8_a_handshake_moves_no_session(void **state)
{
	struct lan *lan = *state;
	struct lan_datagram request = {0};

	lan_run(lan, 100000);
	lan_send(lan, A, "first", 5);
	for (int i = 0; i < 100 && !request.size; i++) {
		lan_run(lan, 1000);
		for (size_t k = 0; k < lan->queue_size; k++)
			if (lan->queue[k].bytes[0] == PACKET_TUNNEL_REQUEST &&
			    (addr_equal(&lan->queue[k].to, &lan->nodes[A].addr) ||
			     addr_equal(&lan->queue[k].to, &lan->nodes[B].addr)))
				request = lan->queue[k];
	}
	assert_true(request.size > 0);
	lan_run(lan, 2 * USEC_PER_SEC);
	for (int node = A; node <= B; node++) {
		lan->watched_bytes = 0;
		lan_inject(lan, &lan->watched, node, request.bytes, request.size);
		lan_run(lan, USEC_PER_SEC);
		assert_true(lan->watched_bytes <= request.size);
		assert_active(lan, node, &lan->nodes[1 - node].addr);
	}
	assert_int_equal(lan->watched_data, 0);
}

/* Both are somewhere else, no direct way, nobody to ask: the relay knows them. */
static void e9_both_may_move_without_a_coordinator(void **state)
{
	struct lan *lan = connected(state);
	size_t before_a = lan->nodes[A].received, before_b = lan->nodes[B].received;

	lan->coordinator_is_away = true;
	lan->blocks_direct = true;
	lan_plug(lan, A, "198.51.100.9:7367");
	lan_plug(lan, B, "198.51.100.10:7367");
	for (int i = 0; i < 100; i++) {
		lan_send(lan, A, "x", 1);
		lan_send(lan, B, "x", 1);
		lan_run(lan, 10000);
	}
	lan_run(lan, USEC_PER_SEC);
	assert_int_equal(lan->nodes[A].received - before_a, 100);
	assert_int_equal(lan->nodes[B].received - before_b, 100);
	assert_true(lan->sent_by_relay > 0);
}

/* design 7: what was on its way when the network went is sent again. */
static void replay_brings_back_what_was_on_its_way(void **state)
{
	struct lan *lan = connected(state);
	size_t before = lan->nodes[B].received;
	struct lan_datagram lost;

	for (int i = 0; i < 5; i++) {
		lan_send(lan, A, "x", 1);
		lan_run(lan, 1000);
	}
	while (lan_take(lan, &lan->nodes[A].addr, &lan->nodes[B].addr, &lost))
		continue;
	lan_plug(lan, A, "198.51.100.9:7367");
	lan_run(lan, 3 * lan->delay_us); /* before anything is missed */
	assert_int_equal(lan->nodes[B].received - before, 5);
}

/* ... and what had arrived after all comes out once. */
static void deduplication_lets_each_packet_out_once(void **state)
{
	struct lan *lan = connected(state);
	size_t before = lan->nodes[B].received;
	struct addr old = lan->nodes[A].addr;

	for (int i = 0; i < 5; i++) {
		lan_send(lan, A, "x", 1);
		lan_run(lan, 1000);
	}
	lan_plug(lan, A, "198.51.100.9:7367");
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received - before, 5);
	assert_true(counters_of(lan, B).dropped_replay > 0);
	assert_false(addr_equal(&old, &lan->nodes[A].addr));
}

/* Scoring: direct before relay, though the relay is bound and works. */
static void scoring_prefers_a_direct_path(void **state)
{
	struct lan *lan = connected(state);
	struct node_peer_status peer = peer_of(lan, A);

	assert_int_equal(active_of(&peer)->kind, PATH_DIRECT);
	lan->blocks_direct = true;
	for (int i = 0; i < 100; i++) {
		lan_send(lan, A, "x", 1);
		lan_run(lan, 20000);
	}
	peer = peer_of(lan, A);
	assert_int_equal(active_of(&peer)->kind, PATH_RELAY);
	lan->blocks_direct = false;
	lan_plug(lan, B, "198.51.100.10:7367");
	lan_run(lan, USEC_PER_SEC);
	peer = peer_of(lan, A);
	assert_int_equal(active_of(&peer)->kind, PATH_DIRECT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(e1_an_old_packet_suggests_no_address, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e1_a_replay_or_forgery_suggests_no_address, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e2_a_suggestion_asks_both_addresses_and_switches_nothing, set_up,
						lan_tear_down),
		cmocka_unit_test_setup_teardown(e2_an_answer_from_elsewhere_opens_no_path, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e3_a_live_old_path_wins, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e3_a_silent_old_path_is_left, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e4_data_follows_a_move_at_once, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e4_an_old_word_of_a_move_is_none, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e5_an_unproved_address_gets_no_more_than_it_sent, set_up,
						lan_tear_down),
		cmocka_unit_test_setup_teardown(e5_a_move_buys_a_fixed_amount, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e6_an_address_is_asked_once_in_100_ms, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e7_a_new_path_is_measured_anew_and_the_keys_stay, set_up,
						lan_tear_down),
		cmocka_unit_test_setup_teardown(e7_a_narrow_new_path_costs_tcp_nothing, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e7_a_wide_new_path_is_used_whole, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e7_when_the_new_path_fails_another_carries_data, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e8_a_handshake_moves_no_session, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(e9_both_may_move_without_a_coordinator, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(replay_brings_back_what_was_on_its_way, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(deduplication_lets_each_packet_out_once, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(scoring_prefers_a_direct_path, set_up, lan_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
