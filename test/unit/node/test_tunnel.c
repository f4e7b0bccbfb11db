/* The node machine against a real coordinator and relay: registration, contact, data, moves, names. Times are virtual
 * and exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lan.h"
#include "look.h"
#include "wire/header.h"
#include "wire/inner.h"

#define A 0
#define B 1

static struct lan *plugged(struct lan *lan)
{
	lan_plug(lan, A, "203.0.113.1:7367");
	lan_plug(lan, B, "203.0.113.2:7367");
	return lan;
}

static int set_up(void **state)
{
	*state = plugged(lan_create());
	return 0;
}

/* Registers both and brings a tunnel up by sending from A. */
static struct lan *connected(void **state)
{
	struct lan *lan = *state;

	lan_run(lan, 100000);
	lan_send(lan, A, "first", 5);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received, 1);
	return lan;
}

static void registration_takes_one_round_trip(void **state)
{
	struct lan *lan = *state;
	struct node_status status;

	lan_run(lan, 2 * lan->delay_us);
	node_get_status(lan->nodes[A].node, lan->now, &status);
	assert_int_equal(status.state, NODE_UP);
	assert_string_equal(status.fqdn, "a.ntm.internal");
	assert_int_equal(status.v4.family, 4);
	assert_int_equal(status.v6.family, 6);
	assert_true(lan_had_event(lan, A, NODE_EVENT_ADDRESSED));
	assert_true(lan_had_event(lan, A, NODE_EVENT_COORDINATOR_UP));
}

/* Answers to Tunnel Requests are late by so much, once. */
static void hold_answers(struct lan *lan, int64_t late_us)
{
	for (size_t i = 0; i < lan->queue_size; i++)
		if (lan->queue[i].bytes[0] == PACKET_TUNNEL_RESPONSE &&
		    time_since(lan->queue[i].at, lan->now) < late_us / 2)
			lan->queue[i].at = time_add(lan->queue[i].at, late_us);
}

/* Both ends have something to say: what whoever answers sends behind its answer may come before it. */
static void data_that_overtakes_the_answer_waits_for_it(void **state)
{
	struct lan *lan = *state;
	struct node_status status;

	lan_run(lan, 500000);
	lan_send(lan, A, "there", 5);
	lan_send(lan, B, "back", 4);
	for (int ms = 0; ms < 60; ms++) {
		lan_run(lan, 1000);
		hold_answers(lan, 100000);
	}
	lan_run(lan, 300000);
	for (int i = 0; i < LAN_NODES; i++) {
		assert_int_equal(lan->nodes[i].received, 1);
		node_get_status(lan->nodes[i].node, lan->now, &status);
		assert_int_equal(status.counters.handshakes, 1);
	}
}

/* Where no GRO has joined them. */
static void datagrams_of_one_batch_become_one_packet(void **state)
{
	enum { SEGMENTS = 4, SEGMENT = 1000 };
	struct lan *lan = connected(state);
	struct node *b = lan->nodes[B].node;
	struct lan_datagram taken[SEGMENTS];
	struct packet packet;

	lan_send_tcp(lan, A, (size_t)SEGMENTS * SEGMENT, SEGMENT);
	for (int i = SEGMENTS; i-- > 0;) /* the youngest first */
		assert_true(lan_take(lan, &lan->nodes[A].addr, &lan->nodes[B].addr, &taken[i]));
	for (int i = 0; i < SEGMENTS; i++) {
		struct datagram in = {.route = {.local = taken[i].to, .remote = taken[i].from},
				      .bytes = taken[i].bytes,
				      .size = taken[i].size};

		if (i == 0)
			node_input_datagram(b, lan->now, &in);
		else
			node_input_another(b, lan->now, &in);
	}
	assert_true(node_next_packet(b, &packet));
	assert_int_equal(packet.size, 40 + SEGMENTS * SEGMENT);
	assert_int_equal(packet.gso_size, SEGMENT);
	assert_false(node_next_packet(b, &packet));
}

static void the_first_packet_arrives_after_directions_and_one_round_trip(void **state)
{
	struct lan *lan = *state;

	lan_run(lan, 100000);
	lan_send(lan, A, "hello", 5);
	lan_run(lan, 5 * lan->delay_us); /* request and direction 2, handshake 2, data 1 */
	assert_int_equal(lan->nodes[B].received, 1);
	assert_memory_equal(lan->nodes[B].last + 28, "hello", 5);
	lan_send(lan, B, "answer", 6);
	lan_run(lan, lan->delay_us);
	assert_int_equal(lan->nodes[A].received, 1);
	assert_memory_equal(lan->nodes[A].last + 28, "answer", 6);
}

static void both_asking_at_once_make_one_tunnel(void **state)
{
	struct lan *lan = *state;

	lan_run(lan, 100000);
	lan_send(lan, A, "from a", 6);
	lan_send(lan, B, "from b", 6);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[A].received, 1);
	assert_int_equal(lan->nodes[B].received, 1);
	assert_int_equal(peer_of(lan, A).state, NODE_PEER_UP);
	assert_int_equal(peer_of(lan, B).state, NODE_PEER_UP);
}

static void the_relay_carries_what_cannot_go_directly(void **state)
{
	struct lan *lan = *state;

	lan->blocks_direct = true;
	lan_run(lan, 100000);
	lan_send(lan, A, "relayed", 7);
	lan_run(lan, 400000);
	assert_int_equal(lan->nodes[B].received, 1);
	assert_int_equal(lan->sent_directly, 0);
	lan_send(lan, B, "back", 4);
	lan_run(lan, 100000);
	assert_int_equal(lan->nodes[A].received, 1);
}

static void a_relayed_tunnel_becomes_direct(void **state)
{
	struct lan *lan = *state;
	struct node_peer_status peer;
	bool direct = false;

	lan->blocks_direct = true;
	lan_run(lan, 100000);
	lan_send(lan, A, "x", 1);
	lan_run(lan, 300000);
	lan->blocks_direct = false;
	lan_plug(lan, A, "203.0.113.7:7367"); /* a new address is a reason to try again */
	lan_run(lan, 1000000);
	peer = peer_of(lan, A);
	for (int i = 0; i < peer.path_count; i++)
		direct |= peer.paths[i].active && peer.paths[i].kind == PATH_DIRECT;
	assert_true(direct);
}

static void send_numbered(struct lan *lan, int from, int count, int64_t interval_us)
{
	for (int i = 0; i < count; i++) {
		lan_send(lan, from, &i, sizeof i);
		lan_run(lan, interval_us);
	}
}

static void a_move_costs_one_round_trip_and_no_packet(void **state)
{
	struct lan *lan = connected(state);
	const struct node_event *event;
	size_t before = lan->nodes[B].received;

	send_numbered(lan, A, 50, 2000);
	lan_plug(lan, A, "198.51.100.9:7367");
	send_numbered(lan, A, 50, 2000);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received - before, 100);
	event = lan_last_event(lan, A, NODE_EVENT_HANDOVER);
	assert_non_null(event);
	assert_false(event->handover.by_peer);
	assert_true(event->handover.gap_us <= 2 * lan->delay_us);
	assert_true(lan_had_event(lan, B, NODE_EVENT_HANDOVER));
	assert_true(event->handover.replayed_packets > 0);
}

static void a_silent_mover_is_followed_too(void **state)
{
	struct lan *lan = connected(state);
	size_t before = lan->nodes[A].received;

	send_numbered(lan, B, 20, 2000);
	lan_plug(lan, A, "198.51.100.9:7367"); /* A has nothing to send */
	send_numbered(lan, B, 50, 2000);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[A].received - before, 70);
}

/* Two networks gave the same number, and what was on its way comes by the interface of the one that was left. */
static void a_late_arrival_elsewhere_changes_no_way_out(void **state)
{
	struct lan *lan = connected(state);
	struct lan_node *a = &lan->nodes[A], *b = &lan->nodes[B];
	struct lan_datagram late;
	size_t before = b->received;

	lan_send(lan, B, "late", 4);
	assert_true(lan_take(lan, &b->addr, &a->addr, &late));
	node_input_datagram(
		a->node, lan->now,
		&(struct datagram){.route = {.local = late.to, .ifindex = LAN_IFINDEX + 1, .remote = late.from},
				   .bytes = late.bytes,
				   .size = late.size});
	lan_run(lan, 50000);
	lan->sent_by_relay = 0;
	lan_send(lan, A, "still here", 10);
	lan_run(lan, 50000);
	assert_int_equal(b->received, before + 1);
	assert_int_equal(lan->sent_by_relay, 0);
}

static void both_move_at_the_same_instant(void **state)
{
	struct lan *lan = connected(state);
	size_t before_a = lan->nodes[A].received, before_b = lan->nodes[B].received;

	for (int i = 0; i < 20; i++) {
		lan_send(lan, A, &i, sizeof i);
		lan_send(lan, B, &i, sizeof i);
		lan_run(lan, 2000);
	}
	lan_plug(lan, A, "198.51.100.9:7367");
	lan_plug(lan, B, "198.51.100.10:7367");
	for (int i = 0; i < 100; i++) {
		lan_send(lan, A, &i, sizeof i);
		lan_send(lan, B, &i, sizeof i);
		lan_run(lan, 2000);
	}
	lan_run(lan, 1000000);
	assert_int_equal(lan->nodes[A].received - before_a, 120);
	assert_int_equal(lan->nodes[B].received - before_b, 120);
}

/* Between two networks there is none for a while: what programs send meanwhile is kept. */
static void a_gap_without_any_network_loses_nothing(void **state)
{
	struct lan *lan = connected(state);
	size_t before = lan->nodes[B].received;

	send_numbered(lan, A, 20, 2000);
	lan_plug(lan, A, NULL);
	send_numbered(lan, A, 20, 20000);
	lan_plug(lan, A, "198.51.100.9:7367");
	send_numbered(lan, A, 20, 2000);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received - before, 60);
}

/* The same while only the relay connects both: its leg is warm. */
static void a_relayed_move_costs_one_round_trip(void **state)
{
	struct lan *lan = *state;
	const struct node_event *event;
	size_t before;

	lan->blocks_direct = true;
	lan_run(lan, 100000);
	lan_send(lan, A, "x", 1);
	lan_run(lan, 3 * USEC_PER_SEC);
	before = lan->nodes[B].received;
	for (int i = 0; i < 20; i++) {
		lan_send(lan, A, &i, sizeof i);
		lan_send(lan, B, &i, sizeof i);
		lan_run(lan, 2000);
	}
	lan_plug(lan, A, NULL);
	lan_run(lan, 50000);
	lan_plug(lan, A, "198.51.100.9:7367");
	send_numbered(lan, A, 100, 2000);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received - before, 120);
	event = lan_last_event(lan, A, NODE_EVENT_HANDOVER);
	assert_non_null(event);
	assert_int_equal(event->handover.to_kind, PATH_RELAY);
	assert_true(event->handover.gap_us <= 50000 + 4 * lan->delay_us); /* to the peer and back */
}

static void tunnels_outlive_their_coordinator(void **state)
{
	struct lan *lan = connected(state);
	size_t before = lan->nodes[B].received;

	lan->coordinator_is_away = true;
	lan_run(lan, 40 * USEC_PER_SEC);
	assert_true(lan_had_event(lan, A, NODE_EVENT_COORDINATOR_DOWN));
	lan_plug(lan, A, "198.51.100.9:7367");
	send_numbered(lan, A, 10, 10000);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received - before, 10);
	lan->coordinator_is_away = false;
	lan_run(lan, 10 * USEC_PER_SEC);
	assert_int_equal(lan_last_event(lan, A, NODE_EVENT_COORDINATOR_UP)->at.us >
				 lan_last_event(lan, A, NODE_EVENT_COORDINATOR_DOWN)->at.us,
			 1);
}

static void keys_are_replaced_while_data_flows(void **state)
{
	struct lan *lan = connected(state);
	size_t before = lan->nodes[B].received;

	send_numbered(lan, A, 300, USEC_PER_SEC);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received - before, 300);
	assert_true(lan_had_event(lan, A, NODE_EVENT_REKEY) || lan_had_event(lan, B, NODE_EVENT_REKEY));
	assert_true(peer_of(lan, A).key_age_us < 125 * USEC_PER_SEC);
}

/* Long enough apart to be idle again, at all phases of keys and beats. */
static void an_idle_tunnel_is_still_there_after_an_hour(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 12; seed++) {
		struct lan *lan = plugged(lan_create_drawn(seed));
		void *made = lan;
		size_t received;

		(void)connected(&made);
		received = lan->nodes[A].received;
		lan_run(lan, 3600 * USEC_PER_SEC);
		for (size_t i = 1; i <= 20; i++) {
			lan_send(lan, B, "still here", 10);
			lan_run(lan, lan->delay_us);
			assert_int_equal(lan->nodes[A].received - received, i);
			lan_run(lan, 613 * USEC_PER_SEC);
		}
		lan_destroy(lan);
	}
}

static void a_peer_that_leaves_is_found_again(void **state)
{
	struct lan *lan = connected(state);

	node_leave(lan->nodes[B].node, lan->now);
	lan_run(lan, 100000);
	assert_int_equal(peer_of(lan, A).state, NODE_PEER_IDLE);
	assert_int_equal(peer_of(lan, A).last_reason, 8);
}

/* It lost its keys and everything it knew: only the coordinator can bring both together again. */
static void a_peer_that_was_restarted_is_found_again(void **state)
{
	struct lan *lan = connected(state);
	size_t before;

	lan_restart(lan, B);
	lan_run(lan, 100000);
	before = lan->nodes[B].received;
	send_numbered(lan, A, 40, 100000);
	assert_true(lan->nodes[B].received > before + 10);
	assert_int_equal(node_ping(lan->nodes[A].node, lan->now, "b", 1, 1), OK);
	lan_run(lan, 3 * lan->delay_us);
	assert_true(lan_had_event(lan, A, NODE_EVENT_ECHO));
}

static void a_revoked_peer_is_out_at_once(void **state)
{
	struct lan *lan = connected(state);
	struct node_peer_status peer = peer_of(lan, A);
	size_t before = lan->nodes[B].received;

	coordinator_revoke(lan->coordinator, lan->now, &peer.id);
	lan_run(lan, 5 * lan->delay_us);
	assert_false(peer_of(lan, A).has_session);
	lan_send(lan, A, "x", 1);
	lan_run(lan, 2 * USEC_PER_SEC);
	assert_int_equal(lan->nodes[B].received, before);
	assert_int_equal(peer_of(lan, A).last_reason, 4);
}

/* A direct way that works, nothing to say, and a relay that has gone, or has no room: who waits for it does so quietly.
 */
static void a_dead_relay_that_nobody_needs_is_asked_rarely(void **state)
{
	struct lan *lan = connected(state);

	lan->watched = lan->relay_addr;
	lan->relay_addr = (struct addr){0};
	lan_run(lan, 600 * USEC_PER_SEC);
	assert_int_equal(peer_of(lan, A).state, NODE_PEER_UP);
	lan->watched_packets = 0;
	lan_run(lan, 600 * USEC_PER_SEC);
	assert_in_range(lan->watched_packets, 50, 70); /* both, each 20 s */
	lan->watched_packets = 0;
	send_numbered(lan, A, 100, 100000);
	assert_true(lan->watched_packets >= 9); /* data may come to need it: each 2 s again */
}

/* Each attempt costs the coordinator a handshake: who is refused asks again after ten seconds, not at once. */
static void a_refused_node_asks_rarely(void **state)
{
	struct lan *lan = connected(state);
	struct coordinator_counters before, after;
	struct node_peer_status peer = peer_of(lan, A);

	coordinator_revoke(lan->coordinator, lan->now, &peer.id);
	lan_restart(lan, B);
	lan_run(lan, USEC_PER_SEC);
	coordinator_get_counters(lan->coordinator, &before);
	assert_true(before.refusals > 0);
	lan_run(lan, 60 * USEC_PER_SEC);
	coordinator_get_counters(lan->coordinator, &after);
	assert_in_range(after.refusals - before.refusals, 5, 7);
}

static void nobody_is_refused_at_once(void **state)
{
	struct lan *lan = *state;

	lan_run(lan, 100000);
	assert_int_equal(node_contact(lan->nodes[A].node, lan->now, "nobody"), OK);
	lan_run(lan, 2 * lan->delay_us);
	assert_true(lan_had_event(lan, A, NODE_EVENT_PEER_REFUSED));
	assert_int_equal(lan_last_event(lan, A, NODE_EVENT_PEER_REFUSED)->reason, 1);
	assert_int_equal(node_contact(lan->nodes[A].node, lan->now, "www.example.com"), ERR_UNKNOWN);
}

static void echoes_name_their_path(void **state)
{
	struct lan *lan = connected(state);
	const struct node_event *event;

	assert_int_equal(node_ping(lan->nodes[A].node, lan->now, "b", 77, 1), OK);
	lan_run(lan, 3 * lan->delay_us);
	event = lan_last_event(lan, A, NODE_EVENT_ECHO);
	assert_non_null(event);
	assert_int_equal(event->token, 77);
	assert_int_equal(event->kind, PATH_DIRECT);
	assert_int_equal(event->rtt_us, 2 * lan->delay_us);
}

/* A question for `name` of type A. */
static size_t question(const char *name, uint8_t *ret)
{
	uint8_t *p = ret;

	memcpy(p, (uint8_t[]){0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 12);
	p += 12;
	while (*name) {
		size_t size = strcspn(name, ".");

		*p++ = (uint8_t)size;
		memcpy(p, name, size);
		p += size;
		name += size + (name[size] == '.');
	}
	memcpy(p, (uint8_t[]){0, 0, 1, 0, 1}, 5);
	return (size_t)(p + 5 - ret);
}

static void a_name_is_answered_while_the_tunnel_is_directed(void **state)
{
	struct lan *lan = *state;
	uint8_t query[256], answer[512];
	struct node_status b;
	uint64_t token = 0;
	size_t size;

	lan_run(lan, 100000);
	node_input_dns(lan->nodes[A].node, lan->now, 5, query, question("b.ntm.internal", query));
	assert_false(node_next_dns(lan->nodes[A].node, &token, answer, &size));
	lan_run(lan, 2 * lan->delay_us);
	assert_true(node_next_dns(lan->nodes[A].node, &token, answer, &size));
	node_get_status(lan->nodes[B].node, lan->now, &b);
	assert_int_equal(token, 5);
	assert_int_equal(answer[3] & 15, 0);
	assert_memory_equal(answer + size - 4, b.v4.bytes, 4);
	lan_run(lan, 4 * lan->delay_us);
	assert_int_equal(peer_of(lan, A).state, NODE_PEER_UP);
	node_input_dns(lan->nodes[A].node, lan->now, 6, query, question("nobody.ntm.internal", query));
	lan_run(lan, 2 * lan->delay_us);
	assert_true(node_next_dns(lan->nodes[A].node, &token, answer, &size));
	assert_int_equal(answer[3] & 15, 3);
	node_input_dns(lan->nodes[A].node, lan->now, 7, query, question("www.example.com", query));
	assert_true(node_next_dns(lan->nodes[A].node, &token, answer, &size));
	assert_int_equal(answer[3] & 15, 5);
}

static void packets_over_the_mtu_are_answered(void **state)
{
	struct lan *lan = connected(state);
	static uint8_t big[1500];

	lan_send(lan, A, big, 1450 - 28);
	assert_int_equal(lan->nodes[A].received, 1); /* ICMP: fragmentation needed */
	assert_int_equal(lan->nodes[A].last[9], 1);
	assert_int_equal(lan->nodes[A].last[20], 3);
	assert_int_equal(lan->nodes[A].last[21], 4);
	assert_int_equal(lan->nodes[A].last[26] << 8 | lan->nodes[A].last[27], 1440);
}

static void packets_that_may_be_cut_are_cut(void **state)
{
	struct lan *lan = connected(state);
	static uint8_t big[1500];
	size_t packets = lan->nodes[B].received, bytes = lan->nodes[B].received_bytes;

	lan->may_fragment = true;
	lan_send(lan, A, big, 1450 - 28);
	lan_run(lan, lan->delay_us);
	assert_int_equal(lan->nodes[B].received - packets, 2);
	assert_int_equal(lan->nodes[B].received_bytes - bytes, 1450 + 20);
	assert_int_equal(lan->nodes[A].received, 0);
}

/* RFC 8899: a hole for large packets is found, the path goes on with smaller ones, and the true size is approached. */
static void a_narrow_path_is_measured(void **state)
{
	struct lan *lan = connected(state);
	static uint8_t big[1500];
	struct node_peer_status peer;
	struct inner inner;
	int expected;

	lan->narrow_above = 1400;
	for (int i = 0; i < 50; i++) {
		lan_send(lan, A, big, 1000);
		lan_run(lan, 200000);
	}
	peer = peer_of(lan, A);
	for (int i = 0; i < peer.path_count; i++)
		if (peer.paths[i].active && peer.paths[i].kind == PATH_DIRECT)
			assert_in_range(peer.paths[i].mtu, 1400 - 32 - 24, 1400 - 32);
	assert_true(is_direct(lan, A));
	lan->nodes[A].received = 0;
	lan_send(lan, A, big, 1400 - 28);
	assert_int_equal(lan->nodes[A].last[20], 3); /* told at once */
	lan_send_syn(lan, B, 1380);
	lan_run(lan, lan->delay_us);
	assert_in_range(lan->nodes[A].last[42] << 8 | lan->nodes[A].last[43], 1400 - 32 - 24 - 40, 1400 - 32 - 40);
	expected = lan->nodes[A].last[36] << 8 | lan->nodes[A].last[37];
	assert_int_equal(inner_parse(lan->nodes[A].last, 44, &inner), OK);
	inner_complete_checksum(lan->nodes[A].last, &inner);
	assert_int_equal(lan->nodes[A].last[36] << 8 | lan->nodes[A].last[37], expected); /* it fits the new option */
	lan_send_syn(lan, B, 500);
	lan_run(lan, lan->delay_us);
	assert_int_equal(lan->nodes[A].last[42] << 8 | lan->nodes[A].last[43], 500);
}

/* Is the TCP checksum of what node got last, 48 bytes into it, finished and right? */
static bool is_finished_behind_options(struct lan *lan, int node)
{
	uint8_t *bytes = lan->nodes[node].last, before[2];
	struct inner bare;

	if (inner_parse(bytes, lan->nodes[node].last_size, &bare) != OK || bare.protocol != 60)
		return false;
	bare.protocol = PROTOCOL_TCP;
	bare.network_size = 48;
	memcpy(before, bytes + 64, 2);
	inner_complete_checksum(bytes, &bare);
	return memcmp(before, bytes + 64, 2) == 0;
}

/* A peer looks for the checksum right behind the IP header: where it is elsewhere, it has to be right already. */
static void checksums_behind_extension_headers_arrive_finished(void **state)
{
	struct lan *lan = connected(state);

	lan_send_behind_options(lan, A, 100, 1000);
	lan_run(lan, lan->delay_us);
	assert_int_equal(lan->nodes[B].received, 2);
	assert_int_equal(lan->nodes[B].last_size, 168);
	assert_true(is_finished_behind_options(lan, B));
	lan_send_behind_options(lan, A, 2500, 1000);
	lan_run(lan, lan->delay_us);
	assert_int_equal(lan->nodes[B].received, 5);
	assert_int_equal(lan->nodes[B].last_size, 568);
	assert_true(is_finished_behind_options(lan, B));
}

/* The interface becomes narrower with sealed trains on their way to it: their sender hears of it from these already. */
static void the_sender_of_what_an_interface_refuses_is_told(void **state)
{
	struct lan *lan = connected(state);
	static uint8_t big[1000];
	struct node_status status;
	size_t before;

	for (int i = 0; i < 50; i++) { /* until large packets are known to pass */
		lan_send(lan, A, big, sizeof big);
		lan_run(lan, 200000);
	}
	lan->refused_above = 1400;
	before = lan->nodes[A].received;
	lan_send_tcp(lan, A, 20000, 1380);
	assert_int_equal(lan->nodes[A].received, before + 1);
	assert_int_equal(lan->nodes[A].last[20], 3);
	assert_int_equal(lan->nodes[A].last[21], 4);
	assert_int_equal(lan->nodes[A].last[26] << 8 | lan->nodes[A].last[27], 1280);
	node_get_status(lan->nodes[A].node, lan->now, &status);
	assert_int_equal(status.counters.oversized, 1);
	before = lan->nodes[B].received_bytes - 40 * lan->nodes[B].received;
	lan_send_tcp(lan, A, 20000, 1240);
	lan_run(lan, 10 * lan->delay_us);
	assert_int_equal(lan->nodes[B].received_bytes - 40 * lan->nodes[B].received - before, 20000);
}

static bool is_active_remote(struct lan *lan, int node, const struct addr *remote)
{
	struct node_peer_status peer = peer_of(lan, node);

	for (int i = 0; i < peer.path_count; i++)
		if (peer.paths[i].active)
			return addr_equal(&peer.paths[i].route.remote, remote);
	return false;
}

/* E3: faster copies from another address, whose challenges are even answered, do not take a live path's place. */
static void a_forwarder_does_not_take_the_tunnel(void **state)
{
	struct lan *lan = connected(state);
	size_t before = lan->nodes[B].received;

	lan_run(lan, USEC_PER_SEC);
	lan->forwards = true;
	for (int i = 0; i < 500; i++) {
		static uint8_t kilobyte[1000];

		lan_send(lan, A, kilobyte, sizeof kilobyte);
		lan_send(lan, B, kilobyte, sizeof kilobyte);
		lan_run(lan, 10000);
		assert_true(is_active_remote(lan, B, &lan->nodes[A].addr));
	}
	lan_run(lan, 100000);
	assert_int_equal(lan->nodes[B].received - before, 500); /* copies are dropped by the window */
	assert_true(lan->forwarder_got < 50000);		/* challenges and receipts, no data */
}

/* The same when the live path is itself one that nobody listed: being faster is no reason. */
static void a_forwarder_does_not_take_a_rebound_tunnel(void **state)
{
	struct lan *lan = connected(state);

	lan->coordinator_is_away = true;
	lan->nodes[A].addr.port = 4242;
	send_numbered(lan, A, 100, 20000);
	assert_true(is_active_remote(lan, B, &lan->nodes[A].addr));
	lan->forwards = true;
	for (int i = 0; i < 200; i++) {
		lan_send(lan, A, "x", 1);
		lan_send(lan, B, "x", 1);
		lan_run(lan, 10000);
		assert_true(is_active_remote(lan, B, &lan->nodes[A].addr));
	}
}

/* Without any word of the peer, a path that has died is left for the one that its packets now come from (NAT
 * rebinding). */
static void a_rebound_nat_is_followed(void **state)
{
	struct lan *lan = connected(state);
	size_t before;

	lan_run(lan, USEC_PER_SEC);
	lan->nodes[A].addr.port = 4242; /* A itself does not notice */
	send_numbered(lan, A, 100, 20000);
	assert_true(is_active_remote(lan, B, &lan->nodes[A].addr));
	before = lan->nodes[A].received;
	lan_send(lan, B, "back", 4);
	lan_run(lan, lan->delay_us);
	assert_int_equal(lan->nodes[A].received - before, 1);
}

/* A stranger's packets change nothing, cost no answer, end no session (T6, T7). */
static void strangers_meet_silence(void **state)
{
	struct lan *lan = connected(state);
	struct node_status before, after;
	uint8_t bytes[1400];
	uint64_t directly = lan->sent_directly, relayed = lan->sent_by_relay;

	lan_run(lan, 2 * USEC_PER_SEC);
	directly = lan->sent_directly;
	relayed = lan->sent_by_relay;
	node_get_status(lan->nodes[B].node, lan->now, &before);
	for (uint32_t i = 0; i < 3000; i++) {
		memset(bytes, (int)(i * 7 % 256), sizeof bytes);
		bytes[0] = (uint8_t)i;
		bytes[1] = 0;
		if (i % 3 == 0) /* one who knows the PathID */
			memcpy(bytes + 8, lan->queue->bytes + 8, 8);
		lan_strange(lan, B, bytes, 1 + i * 31 % sizeof bytes);
		lan_run(lan, 100);
	}
	node_get_status(lan->nodes[B].node, lan->now, &after);
	assert_int_equal(lan->sent_directly - directly, 0);
	assert_int_equal(lan->sent_by_relay - relayed, 0);
	assert_true(after.counters.dropped_stranger + after.counters.dropped_malformed + after.counters.dropped_auth -
			    before.counters.dropped_stranger - before.counters.dropped_malformed -
			    before.counters.dropped_auth >=
		    2900);
	lan_send(lan, A, "alive", 5);
	lan_run(lan, lan->delay_us);
	assert_memory_equal(lan->nodes[B].last + 28, "alive", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(registration_takes_one_round_trip, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(data_that_overtakes_the_answer_waits_for_it, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(datagrams_of_one_batch_become_one_packet, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(the_first_packet_arrives_after_directions_and_one_round_trip, set_up,
						lan_tear_down),
		cmocka_unit_test_setup_teardown(both_asking_at_once_make_one_tunnel, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(the_relay_carries_what_cannot_go_directly, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_relayed_tunnel_becomes_direct, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_move_costs_one_round_trip_and_no_packet, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_silent_mover_is_followed_too, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_late_arrival_elsewhere_changes_no_way_out, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(both_move_at_the_same_instant, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_gap_without_any_network_loses_nothing, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_relayed_move_costs_one_round_trip, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(tunnels_outlive_their_coordinator, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(keys_are_replaced_while_data_flows, set_up, lan_tear_down),
		cmocka_unit_test(an_idle_tunnel_is_still_there_after_an_hour),
		cmocka_unit_test_setup_teardown(a_peer_that_leaves_is_found_again, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_peer_that_was_restarted_is_found_again, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_revoked_peer_is_out_at_once, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_dead_relay_that_nobody_needs_is_asked_rarely, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_refused_node_asks_rarely, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_refused_at_once, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(echoes_name_their_path, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_name_is_answered_while_the_tunnel_is_directed, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(packets_over_the_mtu_are_answered, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(packets_that_may_be_cut_are_cut, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_narrow_path_is_measured, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(the_sender_of_what_an_interface_refuses_is_told, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(checksums_behind_extension_headers_arrive_finished, set_up,
						lan_tear_down),
		cmocka_unit_test_setup_teardown(a_forwarder_does_not_take_the_tunnel, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_forwarder_does_not_take_a_rebound_tunnel, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(a_rebound_nat_is_followed, set_up, lan_tear_down),
		cmocka_unit_test_setup_teardown(strangers_meet_silence, set_up, lan_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
