/* Hosts outside the overlay: a node reaches them through an exit, and takes their packets from nobody else (T12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lan.h"
#include "wire/inner.h"

#define A 0
#define B 1
#define HOST "93.184.216.34"

static struct lan *set_up(bool has_exit)
{
	struct lan *lan = has_exit ? lan_create_with_exit() : lan_create();

	lan_plug(lan, A, "203.0.113.1:7367");
	lan_plug(lan, B, "203.0.113.2:7367");
	lan_run(lan, 100000);
	return lan;
}

static struct ip own(struct lan *lan, int index)
{
	struct node_status status;

	node_get_status(lan->nodes[index].node, lan->now, &status);
	return status.v4;
}

static struct ip ip(const char *text)
{
	struct ip ip = {0};

	assert_int_equal(ip_parse(text, &ip), OK);
	return ip;
}

/* UDP without payload, into this node's device. */
static void send_from(struct lan *lan, int index, struct ip from, struct ip to)
{
	uint8_t buffer[PACKET_ROOM + 64 + PACKET_ROOM] = {0}, *p = buffer + PACKET_ROOM;
	struct packet packet = {.bytes = p, .size = 28};
	struct inner inner;

	p[0] = 0x45;
	p[3] = 28;
	p[8] = 64;
	p[9] = PROTOCOL_UDP;
	memcpy(p + 12, from.bytes, 4);
	memcpy(p + 16, to.bytes, 4);
	p[25] = 8;
	assert_int_equal(inner_parse(p, 28, &inner), OK);
	inner_fix_network_checksum(p, &inner);
	node_input_packet(lan->nodes[index].node, lan->now, &packet);
	lan_run(lan, 500000);
}

static void use_exit(struct lan *lan, const char *name)
{
	assert_int_equal(node_use_exit(lan->nodes[A].node, lan->now, name), OK);
	lan_run(lan, 1000000);
}

static void packets_go_out_and_come_back(void **state)
{
	struct lan *lan = set_up(true);
	const struct certificate *holder;
	uint16_t mtu;

	(void)state;
	use_exit(lan, "b");
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 1);
	assert_memory_equal(lan->nodes[B].last + 16, ip(HOST).bytes, 4);
	holder = node_holder(lan->nodes[B].node, 4, lan->nodes[B].last + 12, &mtu);
	assert_non_null(holder);
	assert_string_equal(holder->fqdn, "a.ntm.internal");
	assert_true(mtu >= 1280);
	send_from(lan, B, ip(HOST), own(lan, A));
	assert_int_equal(lan->nodes[A].received, 1);
	assert_memory_equal(lan->nodes[A].last + 12, ip(HOST).bytes, 4);
	lan_destroy(lan);
}

/* What comes before the tunnel stands waits for it. */
static void the_first_packet_waits(void **state)
{
	struct lan *lan = set_up(true);

	(void)state;
	assert_int_equal(node_use_exit(lan->nodes[A].node, lan->now, "b.ntm.internal"), OK);
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 1);
	lan_destroy(lan);
}

static void without_an_exit_nothing_leaves(void **state)
{
	struct lan *lan = set_up(true);

	(void)state;
	lan_send(lan, A, "first", 5);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received, 1);
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 1);
	assert_int_equal(node_use_exit(lan->nodes[A].node, lan->now, "x.example"), ERR_UNKNOWN);
	lan_destroy(lan);
}

/* T12: an exit that nobody chose may not bring foreign sources either. */
static void only_the_chosen_exit_may_bring_foreign_sources(void **state)
{
	struct lan *lan = set_up(true);

	(void)state;
	lan_send(lan, B, "first", 5);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[A].received, 1);
	send_from(lan, B, ip(HOST), own(lan, A));
	assert_int_equal(lan->nodes[A].received, 1);
	use_exit(lan, "b");
	send_from(lan, B, ip(HOST), own(lan, A));
	assert_int_equal(lan->nodes[A].received, 2);
	lan_destroy(lan);
}

/* An exit that lies, or has another idea of the overlay, cannot speak for its members. */
static void an_exit_brings_no_address_of_the_overlay(void **state)
{
	struct lan *lan = set_up(true);

	(void)state;
	lan->nodes[B].is_narrow = true;
	lan_restart(lan, B);
	use_exit(lan, "b");
	send_from(lan, B, ip(HOST), own(lan, A));
	assert_int_equal(lan->nodes[A].received, 1);
	send_from(lan, B, ip("198.18.77.77"), own(lan, A));
	assert_int_equal(lan->nodes[A].received, 1);
	lan_destroy(lan);
}

/* The account server makes exits, not a node's word. */
static void a_node_is_no_exit(void **state)
{
	struct lan *lan = set_up(false);

	(void)state;
	lan->nodes[B].claims_exit = true;
	lan_restart(lan, B);
	use_exit(lan, "b");
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 0);
	lan_send(lan, A, "hello", 5);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].received, 1);
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 1);
	lan_destroy(lan);
}

static void an_exit_may_lose_its_memory(void **state)
{
	struct lan *lan = set_up(true);

	(void)state;
	use_exit(lan, "b");
	send_from(lan, A, own(lan, A), ip(HOST));
	lan_restart(lan, B);
	for (int i = 0; i < 12 && lan->nodes[B].received < 2; i++)
		send_from(lan, A, own(lan, A), ip(HOST));
	assert_true(lan->nodes[B].received >= 2);
	lan_destroy(lan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_go_out_and_come_back),
		cmocka_unit_test(the_first_packet_waits),
		cmocka_unit_test(without_an_exit_nothing_leaves),
		cmocka_unit_test(only_the_chosen_exit_may_bring_foreign_sources),
		cmocka_unit_test(an_exit_brings_no_address_of_the_overlay),
		cmocka_unit_test(a_node_is_no_exit),
		cmocka_unit_test(an_exit_may_lose_its_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
