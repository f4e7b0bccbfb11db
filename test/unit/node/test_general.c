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

/* For one prefix, these exits in this order. */
static void add_rule(struct node_exits *exits, const char *prefix, const char *first, const char *second)
{
	struct node_exit_rule *rule = &exits->rules[exits->rule_count++];
	const char *names[] = {first, second};

	assert_int_equal(prefix_parse(prefix, &rule->prefix), OK);
	for (int i = 0; i < 2 && names[i]; i++) {
		memcpy(exits->names[exits->count], names[i], strlen(names[i]) + 1);
		rule->exits[rule->count++] = exits->count++;
	}
}

static enum err try_exit(struct lan *lan, const char *name)
{
	struct node_exits exits = {0};

	add_rule(&exits, "0.0.0.0/0", name, NULL);
	return node_use_exits(lan->nodes[A].node, lan->now, &exits);
}

static void use_exit(struct lan *lan, const char *name)
{
	assert_int_equal(try_exit(lan, name), OK);
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
	assert_int_equal(try_exit(lan, "b.ntm.internal"), OK);
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
	assert_int_equal(try_exit(lan, "x.example"), ERR_UNKNOWN);
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

static struct node_exit_status status_of(struct lan *lan, const char *address)
{
	struct node_exit_status status;
	struct ip destination = ip(address);
	int rule = node_exit_rule_for(lan->nodes[A].node, &destination);

	assert_true(rule >= 0);
	assert_true(node_get_exit(lan->nodes[A].node, (size_t)rule, &status));
	return status;
}

/* "c" is nobody: what goes there waits, and comes out nowhere else. */
static void the_longest_prefix_decides(void **state)
{
	struct lan *lan = set_up(true);
	struct node_exits exits = {0};
	struct ip other = ip("8.8.8.8"), virtual = own(lan, B);

	(void)state;
	add_rule(&exits, "93.0.0.0/8", "c", NULL);
	add_rule(&exits, "93.184.216.0/24", "b", NULL);
	add_rule(&exits, "93.184.216.35/32", "c", NULL);
	assert_int_equal(node_use_exits(lan->nodes[A].node, lan->now, &exits), OK);
	lan_run(lan, 1000000);
	assert_string_equal(status_of(lan, HOST).name, "b.ntm.internal");
	assert_string_equal(status_of(lan, "93.184.216.35").name, "c.ntm.internal");
	assert_string_equal(status_of(lan, "93.1.1.1").name, "c.ntm.internal");
	assert_int_equal(node_exit_rule_for(lan->nodes[A].node, &other), -1);
	assert_int_equal(node_exit_rule_for(lan->nodes[A].node, &virtual), -1);
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 1);
	send_from(lan, A, own(lan, A), ip("93.184.216.35"));
	send_from(lan, A, own(lan, A), ip("93.1.1.1"));
	send_from(lan, A, own(lan, A), other);
	assert_int_equal(lan->nodes[B].received, 1);
	/* T12: b speaks for its own prefix alone. */
	send_from(lan, B, ip(HOST), own(lan, A));
	assert_int_equal(lan->nodes[A].received, 1);
	send_from(lan, B, ip("93.1.1.1"), own(lan, A));
	send_from(lan, B, other, own(lan, A));
	assert_int_equal(lan->nodes[A].received, 1);
	lan_destroy(lan);
}

static void the_next_takes_over_and_keeps(void **state)
{
	struct lan *lan = set_up(true);
	struct node_exits exits = {0};

	(void)state;
	add_rule(&exits, "0.0.0.0/0", "c", "b");
	assert_int_equal(node_use_exits(lan->nodes[A].node, lan->now, &exits), OK);
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 0); /* not before the first has had its time */
	lan_run(lan, 3000000);
	assert_string_equal(status_of(lan, HOST).name, "b.ntm.internal");
	assert_int_equal(status_of(lan, HOST).takeovers, 1);
	assert_true(lan_had_event(lan, A, NODE_EVENT_EXIT_SELECTED));
	assert_int_equal(lan->nodes[B].received, 1); /* what waited goes there */
	send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(lan->nodes[B].received, 2);
	lan_destroy(lan);
}

/* In a tunnel without a network nobody answers: no reason to leave the exit that has our flows. */
static void when_we_are_cut_off_nobody_takes_over(void **state)
{
	struct lan *lan = set_up(true);
	struct node_exits exits = {0};

	(void)state;
	add_rule(&exits, "0.0.0.0/0", "c", "b");
	assert_int_equal(node_use_exits(lan->nodes[A].node, lan->now, &exits), OK);
	lan_run(lan, 600000); /* the tunnel to b stands, the wait for c has begun */
	lan_plug(lan, A, NULL);
	for (int i = 0; i < 10; i++)
		send_from(lan, A, own(lan, A), ip(HOST));
	assert_int_equal(status_of(lan, HOST).takeovers, 0);
	lan_plug(lan, A, "203.0.113.77:7367");
	lan_run(lan, 8000000);
	assert_int_equal(status_of(lan, HOST).takeovers, 1);
	lan_destroy(lan);
}

/* ICMP from the exit's side, with a checksum that nobody here asks for. */
static void answer_from(struct lan *lan, struct ip from, uint8_t type, uint8_t code, const uint8_t identifier[2])
{
	uint8_t buffer[PACKET_ROOM + 64 + PACKET_ROOM] = {0}, *p = buffer + PACKET_ROOM;
	struct packet packet = {.bytes = p, .size = 28};
	struct ip to = own(lan, A);
	struct inner inner;

	p[0] = 0x45;
	p[3] = 28;
	p[8] = 64;
	p[9] = PROTOCOL_ICMP;
	memcpy(p + 12, from.bytes, 4);
	memcpy(p + 16, to.bytes, 4);
	p[20] = type;
	p[21] = code;
	memcpy(p + 24, identifier, 2);
	assert_int_equal(inner_parse(p, 28, &inner), OK);
	inner_fix_network_checksum(p, &inner);
	node_input_packet(lan->nodes[B].node, lan->now, &packet);
	lan_run(lan, 500000);
}

static void a_host_is_asked_and_a_refusal_kept(void **state)
{
	struct lan *lan = set_up(true);
	struct node_general_answer answer;
	struct ip host = ip(HOST);

	(void)state;
	assert_int_equal(node_ask_general(lan->nodes[A].node, lan->now, &host), ERR_STATE);
	use_exit(lan, "b");
	assert_int_equal(node_ask_general(lan->nodes[A].node, lan->now, &host), OK);
	lan_run(lan, 500000);
	assert_int_equal(lan->nodes[B].last[20], 8);
	answer_from(lan, host, 3, 13, lan->nodes[B].last + 24);
	node_get_general_answer(lan->nodes[A].node, &host, &answer);
	assert_false(answer.has_answered);
	assert_int_equal(answer.refusal, NODE_REFUSAL_DESTINATION);
	answer_from(lan, host, 3, 9, lan->nodes[B].last + 24);
	node_get_general_answer(lan->nodes[A].node, &host, &answer);
	assert_int_equal(answer.refusal, NODE_REFUSAL_NODE);
	answer_from(lan, host, 0, 0, (const uint8_t[]){1, 2});
	node_get_general_answer(lan->nodes[A].node, &host, &answer);
	assert_false(answer.has_answered);
	answer_from(lan, host, 0, 0, lan->nodes[B].last + 24);
	node_get_general_answer(lan->nodes[A].node, &host, &answer);
	assert_true(answer.has_answered);
	assert_int_equal(answer.refusal, NODE_REFUSAL_NONE);
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
		cmocka_unit_test(the_longest_prefix_decides),
		cmocka_unit_test(the_next_takes_over_and_keeps),
		cmocka_unit_test(when_we_are_cut_off_nobody_takes_over),
		cmocka_unit_test(a_host_is_asked_and_a_refusal_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
