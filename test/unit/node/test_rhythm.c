/* An idle node: how long its intervals become, how rarely it wakes up, and that it is still there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lan.h"
#include "proto/node/machine.h"

#define HOUR_US (3600 * USEC_PER_SEC)

/* Instants at which the node's own clock called it: what is due together counts once. */
static unsigned count_wakes(struct lan *lan, int node, int64_t duration_us)
{
	struct time_us end = time_add(lan->now, duration_us);
	unsigned wakes = 0;

	while (lan->now.us < end.us) {
		struct time_us at = time_min(node_next_deadline(lan->nodes[node].node), end);
		int64_t wait_us = time_since(at, lan->now);

		wakes += wait_us > 500 * USEC_PER_MSEC && at.us < end.us;
		lan_run(lan, wait_us > 1000 ? wait_us : 1000);
	}
	return wakes;
}

static struct lan *plugged(void)
{
	struct lan *lan = lan_create();

	lan_plug(lan, 0, "203.0.113.1:7367");
	lan_plug(lan, 1, "203.0.113.2:7367");
	return lan;
}

/* Without a NAT every silence lasts: the longest interval, reached within the sum of all steps. */
static void test_alone_it_wakes_once_in_the_longest_interval(void **state)
{
	struct lan *lan = plugged();
	struct coordinator_counters counters;
	unsigned wakes;

	(void)state;
	lan_run(lan, 420 * USEC_PER_SEC);
	wakes = count_wakes(lan, 0, HOUR_US);
	print_message("%u wake-ups an hour without peers\n", wakes);
	assert_in_range(wakes, 30, 36);
	coordinator_get_counters(lan->coordinator, &counters);
	assert_int_equal(counters.online, LAN_NODES);
	assert_in_range(counters.echoes, 5 * LAN_NODES, 6 * LAN_NODES);
	assert_false(lan_had_event(lan, 0, NODE_EVENT_COORDINATOR_DOWN));
	lan_destroy(lan);
}

/* With a tunnel its keys are changed when it is awake anyway, and the peer asks too; data passes at once afterwards. */
static void test_with_a_peer_it_wakes_little_more(void **state)
{
	struct lan *lan = plugged();
	unsigned wakes;
	size_t received;

	(void)state;
	lan_run(lan, 2 * USEC_PER_SEC);
	lan_send(lan, 0, "x", 1);
	lan_run(lan, 420 * USEC_PER_SEC);
	wakes = count_wakes(lan, 0, HOUR_US);
	print_message("%u wake-ups an hour with one peer\n", wakes);
	assert_in_range(wakes, 1, 40);
	received = lan->nodes[1].received;
	lan_send(lan, 0, "y", 1);
	lan_run(lan, 100 * USEC_PER_MSEC);
	assert_int_equal(lan->nodes[1].received, received + 1);
	lan_destroy(lan);
}

/* Both have had nothing to say for so long that they rest. */
static struct lan *rested_in_turns_of(int64_t turn_us)
{
	struct lan *lan = plugged();

	lan->turn_us = turn_us;
	lan_run(lan, 2 * USEC_PER_SEC);
	lan_send(lan, 0, "x", 1);
	lan_run(lan, 900 * USEC_PER_SEC);
	assert_int_equal(lan->nodes[1].received, 1);
	return lan;
}

static struct lan *rested(void)
{
	return rested_in_turns_of(0);
}

/* Nothing passes between the two, not even through the relay, where each binds its leg. */
static void test_a_pair_at_rest_says_nothing(void **state)
{
	struct lan *lan = rested();
	uint64_t direct = lan->sent_directly, relayed = lan->sent_by_relay;
	struct time_us rekeyed = lan_last_event(lan, 0, NODE_EVENT_REKEY)
					 ? lan_last_event(lan, 0, NODE_EVENT_REKEY)->at
					 : lan_last_event(lan, 1, NODE_EVENT_REKEY)->at;

	(void)state;
	lan_run(lan, HOUR_US);
	assert_int_equal(lan->sent_directly, direct);
	assert_int_equal(lan->sent_by_relay, relayed);
	for (int i = 0; i < LAN_NODES; i++) {
		const struct node_event *event = lan_last_event(lan, i, NODE_EVENT_REKEY);

		assert_true(!event || event->at.us == rekeyed.us);
		assert_false(lan_had_event(lan, i, NODE_EVENT_PEER_DOWN));
		assert_false(lan_had_event(lan, i, NODE_EVENT_PATH_DOWN));
	}
	lan_destroy(lan);
}

/* Legs are bound behind the question that begins a silence, in another turn: that does not break it. */
static void test_at_rest_a_longer_silence_is_measured(void **state)
{
	struct lan *lan = rested_in_turns_of(30);
	unsigned wakes;

	(void)state;
	wakes = count_wakes(lan, 0, HOUR_US);
	print_message("%u wake-ups an hour at rest\n", wakes);
	assert_in_range(wakes, 30, 40);
	lan_destroy(lan);
}

static bool has_rekeyed_since(const struct lan *lan, struct time_us at)
{
	for (int i = 0; i < LAN_NODES; i++) {
		const struct node_event *event = lan_last_event(lan, i, NODE_EVENT_REKEY);

		if (event && time_since(event->at, at) >= 0)
			return true;
	}
	return false;
}

/* The NATs have forgotten the way that data took: the first packet goes through the relay too, from either end, and new
 * keys are made at once. */
static void test_after_a_rest_data_passes_at_once(void **state)
{
	(void)state;
	for (int from = 0; from < LAN_NODES; from++) {
		struct lan *lan = rested();
		struct time_us at;
		size_t received;

		lan_run(lan, HOUR_US);
		lan->blocks_direct = true;
		received = lan->nodes[1 - from].received;
		at = lan->now;
		lan_send(lan, from, "y", 1);
		lan_run(lan, 4 * lan->delay_us);
		assert_int_equal(lan->nodes[1 - from].received, received + 1);
		lan_run(lan, USEC_PER_SEC);
		assert_true(has_rekeyed_since(lan, at));
		lan_send(lan, 1 - from, "z", 1);
		lan_run(lan, 4 * lan->delay_us);
		lan->blocks_direct = false;
		lan_run(lan, HOUR_US);
		assert_false(lan_had_event(lan, 0, NODE_EVENT_PEER_DOWN));
		assert_false(lan_had_event(lan, 1, NODE_EVENT_PEER_DOWN));
		lan_destroy(lan);
	}
}

/* With no way that works at first, the end that may not begin new keys still gets them in time. */
static void test_a_rest_that_ends_in_silence_ends_no_session(void **state)
{
	(void)state;
	for (int from = 0; from < LAN_NODES; from++) {
		struct lan *lan = rested();
		struct addr relay = lan->relay_addr;

		lan_run(lan, HOUR_US);
		lan->blocks_direct = true;
		lan->relay_addr.port++; /* nothing reaches it */
		lan_send(lan, from, "y", 1);
		lan_run(lan, 100 * USEC_PER_MSEC);
		lan->relay_addr = relay;
		lan->blocks_direct = false;
		lan_run(lan, HOUR_US);
		assert_false(lan_had_event(lan, 0, NODE_EVENT_PEER_DOWN));
		assert_false(lan_had_event(lan, 1, NODE_EVENT_PEER_DOWN));
		lan_destroy(lan);
	}
}

/* Keys of a rest have a limit, too. */
static void test_the_longest_rest_ends_with_new_keys(void **state)
{
	struct lan *lan = rested();
	struct time_us at;

	(void)state;
	lan_run(lan, 23 * HOUR_US);
	at = lan->now;
	assert_false(has_rekeyed_since(lan, time_add(at, -22 * HOUR_US)));
	lan_run(lan, 2 * HOUR_US);
	assert_true(has_rekeyed_since(lan, at));
	assert_false(lan_had_event(lan, 0, NODE_EVENT_PEER_DOWN));
	assert_false(lan_had_event(lan, 1, NODE_EVENT_PEER_DOWN));
	lan_destroy(lan);
}

static struct peer *only_peer(struct lan *lan, int node)
{
	const struct roster *roster = &lan->nodes[node].node->roster;

	return roster->count ? roster->all[0] : NULL;
}

/* Whoever has seen the PathID on the way cannot make a node spend memory on a peer that sleeps. */
static void test_a_stranger_wakes_nobody(void **state)
{
	static const uint8_t types[] = {PACKET_SEALED,		PACKET_SEALED | SEALED_CONTROL, PACKET_TUNNEL_REQUEST,
					PACKET_TUNNEL_RESPONSE, PACKET_HOLE_PUNCHING,		PACKET_RELAY_BOUND,
					PACKET_RELAY_CHALLENGE};
	struct lan *lan = rested();
	struct peer *peer = only_peer(lan, 0);
	uint8_t bytes[200] = {0};
	size_t received = lan->nodes[1].received;

	(void)state;
	assert_null(peer->awake);
	assert_null(only_peer(lan, 1)->awake);
	for (size_t i = 0; i < sizeof types; i++)
		for (size_t size = HEADER_SIZE; size <= sizeof bytes; size++) {
			struct header header = {
				.type = types[i], .counter = 1u << 20, .path_id = session_path_id(peer->session)};
			struct writer w = writer_over(bytes, sizeof bytes);

			header_encode(&header, &w);
			lan_inject(lan, &lan->nodes[1].addr, 0, bytes, size);
			lan_run(lan, 2 * lan->delay_us);
			assert_null(peer->awake);
		}
	lan_send(lan, 0, "y", 1);
	lan_run(lan, 4 * lan->delay_us);
	assert_int_equal(lan->nodes[1].received, received + 1);
	lan_destroy(lan);
}

/* What is told about a peer that sleeps is what was told before. */
static void test_a_sleeper_is_shown_as_it_was(void **state)
{
	struct lan *lan = plugged();
	struct node_peer_status before, after;

	(void)state;
	lan_run(lan, 2 * USEC_PER_SEC);
	lan_send(lan, 0, "x", 1);
	lan_run(lan, 60 * USEC_PER_SEC);
	assert_non_null(only_peer(lan, 0)->awake);
	assert_true(node_get_peer(lan->nodes[0].node, lan->now, 0, &before));
	lan_run(lan, 900 * USEC_PER_SEC);
	assert_null(only_peer(lan, 0)->awake);
	assert_true(node_get_peer(lan->nodes[0].node, lan->now, 0, &after));
	assert_int_equal(after.state, NODE_PEER_UP);
	assert_string_equal(after.fqdn, before.fqdn);
	assert_string_equal(after.relay, before.relay);
	assert_int_equal(after.path_count, before.path_count);
	for (int i = 0; i < after.path_count; i++) {
		assert_int_equal(after.paths[i].active, before.paths[i].active);
		assert_int_equal(after.paths[i].mtu, before.paths[i].mtu);
		assert_true(addr_equal(&after.paths[i].route.remote, &before.paths[i].route.remote));
	}
	lan_destroy(lan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone_it_wakes_once_in_the_longest_interval),
		cmocka_unit_test(test_with_a_peer_it_wakes_little_more),
		cmocka_unit_test(test_a_pair_at_rest_says_nothing),
		cmocka_unit_test(test_at_rest_a_longer_silence_is_measured),
		cmocka_unit_test(test_after_a_rest_data_passes_at_once),
		cmocka_unit_test(test_a_rest_that_ends_in_silence_ends_no_session),
		cmocka_unit_test(test_the_longest_rest_ends_with_new_keys),
		cmocka_unit_test(test_a_stranger_wakes_nobody),
		cmocka_unit_test(test_a_sleeper_is_shown_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
