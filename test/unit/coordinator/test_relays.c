/* test_relays.c: which relay a tunnel gets, by what nodes have measured; when it gets another one, and when not. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session/probe.h"
#include "wire/relay_report.h"

enum { RELAYS = 3 };

struct relay_world {
	struct world world;
	struct network network;
	struct dh_keys keys[RELAYS];
	struct fake_node *a, *b;
};

/* Relays that answer the coordinator; the others are silent. Questions are answered by the tests' own hand. */
static struct relay_load told_load[RELAYS];
static unsigned answering, asked;
static struct relay_world *current;

static struct addr relay_address(unsigned number)
{
	return (struct addr){ip_v4(203, 0, 113, (uint8_t)(10 + number)), 7367};
}

static void answer_probe(struct world *world, const struct datagram *datagram)
{
	for (unsigned i = 0; i < RELAYS; i++) {
		struct addr address = relay_address(i);
		uint8_t shared[KEY_SIZE], key[KEY_SIZE], bytes[RELAY_PROBE_SIZE];
		struct reader r = reader_over(datagram->bytes, datagram->size);
		struct route route = {.remote = address};
		struct relay_probed probed = {.asker = RELAY_ASKER_COORDINATOR, .load = told_load[i]};
		struct relay_probe probe;

		if (!addr_equal(&datagram->route.remote, &address))
			continue;
		asked++;
		if (!(answering & 1u << i))
			continue;
		assert_int_equal(relay_probe_decode(&r, &probe), OK);
		assert_int_equal(ticket_key(current->keys[i].secret, world->config.static_keys.public, shared), OK);
		probe_key_coordinator(shared, key);
		assert_true(probe_holds(datagram->bytes, datagram->size, key));
		probed.nonce = probe.nonce;
		probed_write(&probed, key, bytes);
		assert_int_equal(coordinator_input_datagram(
					 world->c, world->now,
					 &(struct datagram){.route = route, .bytes = bytes, .size = sizeof bytes}),
				 OK);
	}
}

static void publish(struct relay_world *w, uint8_t count)
{
	w->network.epoch++;
	w->network.relay_count = count;
	for (uint8_t i = 0; i < count; i++) {
		struct relay_entry *entry = &w->network.relays[i];

		(void)snprintf(entry->name, sizeof entry->name, "r%u", i);
		memcpy(entry->static_key, w->keys[i].public, KEY_SIZE);
		entry->addresses = (struct server_addresses){1, {relay_address(i)}};
	}
	coordinator_set_network(w->world.c, w->world.now, &w->network);
	world_pump(&w->world);
}

static void begin(struct relay_world *w, uint8_t relays)
{
	*w = (struct relay_world){0};
	current = w;
	for (unsigned i = 0; i < RELAYS; i++)
		told_load[i] = (struct relay_load){.pairs_max = 100};
	answering = (1u << RELAYS) - 1;
	asked = 0;
	world_init(&w->world, "198.18.0.0/15");
	w->world.elsewhere = answer_probe;
	for (unsigned i = 0; i < RELAYS; i++) {
		uint8_t seed[KEY_SIZE] = {9, (uint8_t)i}; /* the first bits of a key are clamped */

		dh_keys_from_seed(seed, &w->keys[i]);
	}
	publish(w, relays);
	w->a = world_node(&w->world, "a");
	w->b = world_node(&w->world, "b");
	fake_register(&w->world, w->a);
	fake_register(&w->world, w->b);
	world_pass(&w->world, USEC_PER_SEC);
}

static void report(struct world *world, struct fake_node *node, const struct relay_report *m)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer body = writer_over(bytes, sizeof bytes);

	relay_report_encode(m, &body);
	assert_int_equal(fake_send(world, node, MESSAGE_RELAY_REPORT, 77, &body), OK);
	assert_int_equal(fake_take(node, MESSAGE_ACK).transaction, 77);
}

/* Milliseconds to each relay; 0: not measured, -1: no answer. */
static void see(struct relay_world *w, struct fake_node *node, int first, int second, int third)
{
	const int ms[RELAYS] = {first, second, third};
	struct relay_report m = {0};

	for (unsigned i = 0; i < RELAYS; i++)
		if (ms[i])
			m.sight.list[m.sight.count++] =
				(struct relay_seen){.tag = relay_tag(w->keys[i].public),
						    .rtt_us = ms[i] < 0 ? RELAY_NO_ANSWER : (uint32_t)ms[i] * 1000};
	report(&w->world, node, &m);
}

static void see_both(struct relay_world *w, int first, int second, int third)
{
	see(w, w->a, first, second, third);
	see(w, w->b, first, second, third);
}

static void complain(struct relay_world *w, struct fake_node *node, unsigned relay)
{
	report(&w->world, node,
	       &(struct relay_report){
		       .has_silent = true, .silent_tag = relay_tag(w->keys[relay].public), .silent_ms = 200});
}

/* The relay that a new tunnel gets, 'r' and number; and why. */
static unsigned direct(struct relay_world *w, uint32_t transaction, uint8_t *ret_cause)
{
	struct letter letter;
	struct reader r;
	struct route_direction m;

	fake_ask(&w->world, w->a, transaction, "b.ntm.internal");
	letter = fake_take(w->a, MESSAGE_ROUTE_DIRECTION);
	r = reader_over(letter.body, letter.size);
	assert_int_equal(route_direction_decode(&r, &m), OK);
	fake_ack(&w->world, w->a, letter.transaction);
	letter = fake_take(w->b, MESSAGE_ROUTE_DIRECTION);
	fake_ack(&w->world, w->b, letter.transaction);
	assert_true(m.has_relay);
	*ret_cause = m.relay_cause;
	return (unsigned)(m.relay.name[1] - '0');
}

/* Another relay that both ends are told of, or -1. */
static int changed(struct relay_world *w, uint8_t *ret_cause)
{
	struct fake_node *nodes[2] = {w->a, w->b};
	int relay[2] = {-1, -1};

	for (int i = 0; i < 2; i++) {
		struct letter letter = fake_take(nodes[i], MESSAGE_ROUTE_UPDATE);
		struct reader r = reader_over(letter.body, letter.size);
		struct route_update m = {0};

		while (fake_take(nodes[i], MESSAGE_ROUTE_UPDATE).type)
			; /* repetitions: nobody has acknowledged while time passed */
		if (letter.type == 0)
			continue;
		assert_int_equal(route_update_decode(&r, &m), OK);
		fake_ack(&w->world, nodes[i], letter.transaction);
		assert_int_equal(m.network_epoch, w->network.epoch);
		if (!m.has_relay)
			continue;
		assert_false(m.has_leg_key); /* nobody gets the other end's */
		relay[i] = m.relay.name[1] - '0';
		*ret_cause = m.relay_cause;
	}
	assert_int_equal(relay[0], relay[1]);
	return relay[0];
}

/* Two relays, the first four times nearer, and a tunnel by it. */
static void begin_on_first(struct relay_world *w)
{
	uint8_t cause;

	begin(w, 2);
	see_both(w, 20, 80, 0);
	assert_int_equal(direct(w, 1, &cause), 0);
}

static void test_shortest_way(void **state)
{
	struct relay_world w;
	uint8_t cause;

	(void)state;
	begin(&w, 3);
	see(&w, w.a, 10, 60, 40);
	see(&w, w.b, 90, 30, 40);
	assert_int_equal(direct(&w, 1, &cause), 2); /* 100, 90, 80 */
	assert_int_equal(cause, RELAY_CAUSE_NEAR);
	world_finish(&w.world);
}

static void test_unanswered_is_no_way(void **state)
{
	struct relay_world w;
	uint8_t cause;

	(void)state;
	begin(&w, 3);
	see(&w, w.a, 10, 60, 40);
	see(&w, w.b, 10, 30, -1);
	assert_int_equal(direct(&w, 1, &cause), 0);
	see(&w, w.b, -1, 60, -1);
	assert_int_equal(changed(&w, &cause), 1);
	assert_int_equal(cause, RELAY_CAUSE_SILENT);
	world_finish(&w.world);
}

/* Without measurements all get their share, and whoever asks again gets another one. */
static void test_nothing_measured(void **state)
{
	struct relay_world w;
	unsigned seen = 0;
	uint8_t cause;

	(void)state;
	begin(&w, 3);
	for (uint32_t i = 0; i < 3; i++) {
		seen |= 1u << direct(&w, 1 + i, &cause);
		assert_int_equal(cause, RELAY_CAUSE_SPREAD);
	}
	assert_true(seen & (seen - 1));
	world_finish(&w.world);
}

static void test_hysteresis(void **state)
{
	struct relay_world w;
	uint8_t cause;

	(void)state;
	begin(&w, 2);
	see_both(&w, 20, 40, 0);
	assert_int_equal(direct(&w, 1, &cause), 0);
	see(&w, w.a, 20, 11, 0); /* 40 against 51 */
	assert_int_equal(changed(&w, &cause), -1);
	see(&w, w.b, 20, 20, 0); /* 40 against 31: not by 10 ms */
	assert_int_equal(changed(&w, &cause), -1);
	see(&w, w.b, 20, 19, 0); /* by 10 ms */
	assert_int_equal(changed(&w, &cause), 1);
	assert_int_equal(cause, RELAY_CAUSE_BETTER);
	see(&w, w.a, 200, 210, 0);
	see(&w, w.b, 200, 290, 0); /* 400 against 500 */
	assert_int_equal(changed(&w, &cause), 0);
	see(&w, w.b, 270, 190, 0); /* 470 against 400: not by a fifth */
	assert_int_equal(changed(&w, &cause), -1);
	world_finish(&w.world);
}

static void test_complaint_counts_for_its_own_tunnels(void **state)
{
	struct relay_world w;
	struct coordinator_counters counters;
	uint8_t cause;

	(void)state;
	begin_on_first(&w);
	complain(&w, w.a, 0); /* too soon after the choice: about another relay */
	assert_int_equal(changed(&w, &cause), -1);
	world_pass(&w.world, USEC_PER_SEC);
	complain(&w, w.a, 0);
	assert_int_equal(changed(&w, &cause), 1);
	assert_int_equal(cause, RELAY_CAUSE_SILENT);
	world_pass(&w.world, USEC_PER_SEC);
	coordinator_get_counters(w.world.c, &counters);
	assert_int_equal(counters.relays_silent, 0); /* it answers us */
	assert_int_equal(counters.relay_complaints, 2);
	assert_int_equal(counters.relay_changes[RELAY_CAUSE_SILENT], 1);
	world_finish(&w.world);
}

/* Nobody complains: our own questions find it out, and its return. */
static void test_own_questions(void **state)
{
	struct relay_world w;
	struct coordinator_counters counters;
	uint8_t cause;

	(void)state;
	begin_on_first(&w);
	answering = 2;
	world_pass(&w.world, 11 * USEC_PER_SEC);
	assert_int_equal(changed(&w, &cause), 1);
	assert_int_equal(cause, RELAY_CAUSE_SILENT);
	coordinator_get_counters(w.world.c, &counters);
	assert_int_equal(counters.relays_silent, 1);
	answering = 3;
	world_pass(&w.world, 3 * USEC_PER_SEC);
	coordinator_get_counters(w.world.c, &counters);
	assert_int_equal(counters.relays_silent, 0);
	world_finish(&w.world);
}

/* One where only nodes reach it is not blamed. */
static void test_never_heard(void **state)
{
	struct relay_world w;
	uint8_t cause;

	(void)state;
	begin(&w, 2);
	answering = 0;
	publish(&w, 3);
	see_both(&w, 90, 90, 20);
	assert_int_equal(direct(&w, 1, &cause), 2);
	answering = 3;
	world_pass(&w.world, 15 * USEC_PER_SEC);
	assert_int_equal(changed(&w, &cause), -1);
	world_finish(&w.world);
}

static void test_draining_and_full(void **state)
{
	struct relay_world w;
	uint8_t cause;

	(void)state;
	begin(&w, 2);
	see_both(&w, 20, 80, 0);
	told_load[0].pairs = 96;
	world_pass(&w.world, 11 * USEC_PER_SEC);
	assert_int_equal(direct(&w, 1, &cause), 1);
	told_load[0].pairs = 0;
	told_load[1].is_draining = true;
	world_pass(&w.world, 11 * USEC_PER_SEC);
	assert_int_equal(changed(&w, &cause), 0);
	assert_int_equal(cause, RELAY_CAUSE_LOAD);
	told_load[0].is_draining = true; /* nowhere to go */
	world_pass(&w.world, 30 * USEC_PER_SEC);
	assert_int_equal(changed(&w, &cause), -1);
	world_finish(&w.world);
}

/* Both ends hear that there is news; the new relay is used when both have measured it. */
static void test_new_relay(void **state)
{
	struct relay_world w;
	uint8_t cause;

	(void)state;
	begin(&w, 1);
	see_both(&w, 50, 0, 0);
	assert_int_equal(direct(&w, 1, &cause), 0);
	publish(&w, 2);
	assert_int_equal(changed(&w, &cause), -1);
	see(&w, w.a, 50, 10, 0);
	assert_int_equal(changed(&w, &cause), -1); /* the other end may be far from it */
	see(&w, w.b, 50, 10, 0);
	assert_int_equal(changed(&w, &cause), 1);
	publish(&w, 1);
	assert_int_equal(changed(&w, &cause), 0);
	assert_int_equal(cause, RELAY_CAUSE_GONE);
	world_finish(&w.world);
}

static void announce(struct relay_world *w, unsigned relay, uint64_t epoch, bool is_forged, enum err want)
{
	struct relay_announce m = {.network_epoch = epoch};
	uint8_t shared[KEY_SIZE], key[KEY_SIZE], bytes[RELAY_ANNOUNCE_SIZE];
	struct route route = {.remote = relay_address(relay)};

	memcpy(m.static_key, w->keys[relay].public, KEY_SIZE);
	assert_int_equal(ticket_key(w->keys[relay].secret, w->world.config.static_keys.public, shared), OK);
	probe_key_coordinator(shared, key);
	announce_write(&m, key, bytes);
	bytes[RELAY_ANNOUNCE_SIZE - 1] ^= is_forged;
	assert_int_equal(world_deliver(&w->world, &route, bytes, sizeof bytes), want);
}

static void test_announcements(void **state)
{
	struct relay_world w;
	struct coordinator_counters counters;
	unsigned before;

	(void)state;
	begin(&w, 1);
	before = asked;
	announce(&w, 0, w.network.epoch, true, ERR_AUTH);
	announce(&w, 1, w.network.epoch, true, ERR_AUTH);
	world_pass(&w.world, 0);
	coordinator_get_counters(w.world.c, &counters);
	assert_int_equal(counters.network_doubts, 0);
	assert_int_equal(asked, before);
	announce(&w, 0, w.network.epoch, false, OK); /* known: asked at once */
	world_pass(&w.world, 0);
	assert_int_equal(asked, before + 1);
	announce(&w, 1, w.network.epoch, false, OK); /* new to us: our document is old */
	announce(&w, 0, w.network.epoch + 1, false, OK);
	coordinator_get_counters(w.world.c, &counters);
	assert_int_equal(counters.network_doubts, 2);
	world_finish(&w.world);
}

/* The grant in the last Route Update of that node; NULL-like (leg 2) when there is none. */
static struct relay_grant granted(struct world *world, struct fake_node *node)
{
	struct relay_grant grant = {.leg = 2};
	struct letter letter;

	while ((letter = fake_take(node, MESSAGE_ROUTE_UPDATE)).type) {
		struct reader r = reader_over(letter.body, letter.size);
		struct route_update m;

		assert_int_equal(route_update_decode(&r, &m), OK);
		fake_ack(world, node, letter.transaction);
		assert_false(m.has_leg_key);
		if (m.has_relay)
			grant = m.relay;
	}
	return grant;
}

static uint32_t changes_of(const struct world *world)
{
	struct coordinator_counters counters;
	uint32_t sum = 0;

	coordinator_get_counters(world->c, &counters);
	for (int i = 0; i < RELAY_CAUSES; i++)
		sum += (uint32_t)counters.relay_changes[i];
	return sum;
}

/* Two zones: the coordinator whose node asked decides, the other one hands on what its node sees and complains of. */
static void test_only_the_chooser_changes(void **state)
{
	struct relay_world w = {0};
	struct world one, two;
	struct fake_node *a, *b;
	struct relay_report sight = {.sight = {.count = 2}};
	struct relay_grant at_a, at_b;

	(void)state;
	world_init(&one, "198.18.0.0/16");
	world_init(&two, "198.19.0.0/16");
	world_join(&one, &two);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t seed[KEY_SIZE] = {9, (uint8_t)i};

		dh_keys_from_seed(seed, &w.keys[i]);
		(void)snprintf(one.network.relays[i].name, sizeof one.network.relays[i].name, "r%u", i);
		memcpy(one.network.relays[i].static_key, w.keys[i].public, KEY_SIZE);
		one.network.relays[i].addresses = (struct server_addresses){1, {relay_address(i)}};
		sight.sight.list[i].tag = relay_tag(w.keys[i].public);
	}
	one.network.relay_count = 2;
	world_publish(&one);
	world_pass(&one, 0);
	a = world_node(&one, "a");
	b = world_node(&two, "b");
	fake_register(&one, a);
	fake_register(&two, b);
	sight.sight.list[0].rtt_us = 10000;
	sight.sight.list[1].rtt_us = 60000;
	report(&one, a, &sight);
	sight.sight.list[0].rtt_us = 90000;
	sight.sight.list[1].rtt_us = 20000;
	report(&two, b, &sight);
	fake_ask(&one, a, 1, "b.two.ntm.internal");
	at_a = granted(&one, a); /* r0 is nearer to a alone: 100 ms in all, and r1 80 */
	at_b = granted(&two, b);
	assert_string_equal(at_a.name, "r1");
	assert_string_equal(at_b.name, "r1");
	assert_int_equal(at_a.leg + at_b.leg, 1);
	assert_memory_not_equal(at_a.leg_key, at_b.leg_key, KEY_SIZE);
	assert_int_equal(changes_of(&one), 1);
	world_pass(&one, USEC_PER_SEC);
	report(&two, b, &(struct relay_report){.has_silent = true, .silent_tag = relay_tag(w.keys[1].public)});
	at_a = granted(&one, a);
	at_b = granted(&two, b);
	assert_string_equal(at_a.name, "r0");
	assert_string_equal(at_b.name, "r0");
	assert_int_equal(changes_of(&one), 2);
	assert_int_equal(changes_of(&two), 0);
	world_finish(&one);
	world_finish(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shortest_way),
		cmocka_unit_test(test_unanswered_is_no_way),
		cmocka_unit_test(test_nothing_measured),
		cmocka_unit_test(test_hysteresis),
		cmocka_unit_test(test_complaint_counts_for_its_own_tunnels),
		cmocka_unit_test(test_own_questions),
		cmocka_unit_test(test_never_heard),
		cmocka_unit_test(test_draining_and_full),
		cmocka_unit_test(test_new_relay),
		cmocka_unit_test(test_announcements),
		cmocka_unit_test(test_only_the_chooser_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
