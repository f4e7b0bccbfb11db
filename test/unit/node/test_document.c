/* test_document.c: a node takes a newer network document from its coordinator, and only one that its account server
 * signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lan.h"
#include "proto/session/trust.h"

static uint64_t epoch_of(const struct lan *lan)
{
	return node_get_network(lan->nodes[0].node)->epoch;
}

static struct lan *lan_up(void)
{
	struct lan *lan = lan_create();

	lan_plug(lan, 0, "203.0.113.1:7367");
	lan_plug(lan, 1, "203.0.113.2:7367");
	lan_run(lan, USEC_PER_SEC);
	return lan;
}

/* The coordinator has it; the nodes hear of it with their next Keep Alive, after a silence that is measured. */
static void publish(struct lan *lan, const struct network *network)
{
	coordinator_set_network(lan->coordinator, lan->now, network);
	lan_run(lan, 125 * USEC_PER_SEC);
}

static unsigned told(const struct lan *lan)
{
	unsigned count = 0;

	for (size_t i = 0; i < lan->nodes[0].event_count; i++)
		count += lan->nodes[0].events[i].type == NODE_EVENT_NETWORK;
	return count;
}

static void test_newer_is_taken(void **state)
{
	struct lan *lan = lan_up();
	struct network network = lan->network;

	(void)state;
	network.epoch++;
	network.revoked_count = REVOKED_MAX; /* five pieces */
	for (unsigned i = 0; i < REVOKED_MAX; i++)
		network.revoked[i] = (struct node_id){{(uint8_t)i, 1}};
	network.coordinator_count = 2;
	network.coordinators[1] = network.coordinators[0]; /* ours is another one of the list now */
	strcpy(network.coordinators[0].zone, "other.example");
	network.coordinators[0].static_key[0] ^= 1;
	network_sign(&network, &lan->authority);
	publish(lan, &network);
	assert_int_equal(epoch_of(lan), network.epoch);
	assert_int_equal(node_get_network(lan->nodes[0].node)->revoked_count, REVOKED_MAX);
	assert_int_equal(told(lan), 1);
	/* It registers, asks and talks as before. */
	lan_send(lan, 0, "hello", 5);
	lan_run(lan, USEC_PER_SEC);
	assert_int_equal(lan->nodes[1].received, 1);
	publish(lan, &network);
	assert_int_equal(told(lan), 1);
	lan_destroy(lan);
}

static void test_others_are_not(void **state)
{
	struct lan *lan = lan_up();
	uint64_t before = epoch_of(lan);
	struct network network = lan->network;
	struct sign_keys forger;
	uint8_t seed[KEY_SIZE] = {0x66};

	(void)state;
	sign_keys_from_seed(seed, &forger);
	network.epoch = before + 1;
	network_sign(&network, &forger);
	publish(lan, &network); /* an evil coordinator's own (T30) */
	assert_int_equal(epoch_of(lan), before);
	network.epoch = before + 2;
	network.version_floor = PROTOCOL_VERSION + 1;
	network_sign(&network, &lan->authority);
	publish(lan, &network); /* we cannot speak what it wants (T18) */
	assert_int_equal(epoch_of(lan), before);
	network.epoch = before + 3;
	network.version_floor = PROTOCOL_VERSION;
	strcpy(network.coordinators[0].zone, "elsewhere.example");
	network_sign(&network, &lan->authority);
	publish(lan, &network); /* nobody would serve our name */
	assert_int_equal(epoch_of(lan), before);
	network = lan->network;
	network.epoch = before - 1;
	network_sign(&network, &lan->authority);
	publish(lan, &network); /* older */
	assert_int_equal(epoch_of(lan), before);
	assert_int_equal(told(lan), 0);
	lan_send(lan, 0, "hello", 5);
	lan_run(lan, USEC_PER_SEC);
	assert_int_equal(lan->nodes[1].received, 1);
	lan_destroy(lan);
}

static struct blob certify(const struct lan *lan, const struct sign_keys *authority, uint64_t serial, int whose,
			   uint8_t ret[CERTIFICATE_MAX_SIZE])
{
	struct certificate certificate = *node_get_certificate(lan->nodes[whose].node);
	struct writer w = writer_over(ret, CERTIFICATE_MAX_SIZE);
	size_t size = 0;

	certificate.serial = serial;
	certificate.not_after_s += 1000;
	certificate_sign(&certificate, authority);
	certificate_encode(&certificate, &w);
	assert_int_equal(writer_finish(&w, &size), OK);
	return (struct blob){ret, size};
}

/* Its own and a newer one, or none: then the coordinator has it at once, and tunnels go on. */
static void test_certificate_is_renewed(void **state)
{
	struct lan *lan = lan_up();
	struct node *node = lan->nodes[0].node;
	struct coordinator_counters before, after;
	struct sign_keys forger;
	uint8_t seed[KEY_SIZE] = {0x66}, bytes[CERTIFICATE_MAX_SIZE];
	struct node_status status;

	(void)state;
	lan_send(lan, 0, "hello", 5);
	lan_run(lan, USEC_PER_SEC);
	sign_keys_from_seed(seed, &forger);
	coordinator_get_counters(lan->coordinator, &before);
	assert_int_equal(node_input_certificate(node, lan->now, certify(lan, &forger, 10, 0, bytes)), ERR_AUTH);
	assert_int_equal(node_input_certificate(node, lan->now, certify(lan, &lan->authority, 10, 1, bytes)),
			 ERR_DENIED);
	assert_int_equal(node_input_certificate(node, lan->now, certify(lan, &lan->authority, 1, 0, bytes)),
			 ERR_REPLAY);
	lan_run(lan, USEC_PER_SEC);
	coordinator_get_counters(lan->coordinator, &after);
	assert_int_equal(after.registrations, before.registrations);
	assert_int_equal(node_input_certificate(node, lan->now, certify(lan, &lan->authority, 10, 0, bytes)), OK);
	assert_int_equal(node_get_certificate(node)->serial, 10);
	lan_run(lan, USEC_PER_SEC);
	coordinator_get_counters(lan->coordinator, &after);
	assert_int_equal(after.registrations, before.registrations + 1);
	assert_int_equal(after.refusals, 0);
	lan_send(lan, 0, "again", 5);
	lan_run(lan, USEC_PER_SEC);
	assert_int_equal(lan->nodes[1].received, 2);
	node_get_status(node, lan->now, &status);
	assert_int_equal(status.counters.handshakes, 1);
	assert_false(lan_had_event(lan, 0, NODE_EVENT_COORDINATOR_DOWN));
	lan_destroy(lan);
}

/* From the account server: also while the coordinator is where we do not find it. */
static void test_network_from_elsewhere(void **state)
{
	struct lan *lan = lan_up();
	struct network network = lan->network;

	(void)state;
	network.epoch++;
	network_sign(&network, &lan->authority);
	node_input_network(lan->nodes[0].node, lan->now, &lan->network);
	assert_int_equal(told(lan), 0);
	node_input_network(lan->nodes[0].node, lan->now, &network);
	assert_int_equal(epoch_of(lan), network.epoch);
	node_input_network(lan->nodes[0].node, lan->now, &lan->network);
	assert_int_equal(epoch_of(lan), network.epoch);
	assert_int_equal(told(lan), 1);
	lan_destroy(lan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newer_is_taken),
		cmocka_unit_test(test_certificate_is_renewed),
		cmocka_unit_test(test_network_from_elsewhere),
		cmocka_unit_test(test_others_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
