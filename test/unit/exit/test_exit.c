/* The exit's machine: ports, flows, filtering, timeouts, shares. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static void check_both_ways(struct fixture *f, const char *from, const char *to, bool is_v4)
{
	char text[ADDR_TEXT_MAX];
	struct made made;
	struct addr outside;

	make_udp(&made, from, to, 33);
	assert_int_equal(out(f, &made), EXIT_PASSED);
	outside = source_of(&made.packet);
	check_end(outside, own(outside.port, is_v4, text));
	assert_in_range(outside.port, EXIT_PORT_MIN, EXIT_PORT_MAX);
	check_end(target_of(&made.packet), to);
	assert_true(sums_hold(&made.packet));
	make_udp(&made, to, text, 41);
	assert_int_equal(in(f, &made), EXIT_PASSED);
	check_end(source_of(&made.packet), to);
	check_end(target_of(&made.packet), from);
	assert_true(sums_hold(&made.packet));
}

static void test_udp_goes_both_ways(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	check_both_ways(&f, "198.18.0.2:4000", HOST4, true);
	check_both_ways(&f, "[fd6e:746d::2]:4000", HOST6, false);
	exit_destroy(f.machine);
}

static void test_udp_without_checksum_stays_so(void **state)
{
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	create(&f);
	make_udp(&made, "198.18.0.2:4000", HOST4, 33);
	made.packet.bytes[26] = made.packet.bytes[27] = 0;
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	assert_int_equal(read16(made.packet.bytes + 26), 0);
	exit_destroy(f.machine);
}

/* The named test of the port allocation: whatever asks, no port outside stands for two ends at a time. */
static void test_no_port_serves_two(void **state)
{
	enum { PORTS = 64 };
	uint16_t ports[PORTS];
	struct fixture f;
	struct made made;
	char from[64];

	(void)state;
	begin(&f);
	f.config.port_min = 20000;
	f.config.port_max = 20000 + PORTS - 1;
	create(&f);
	for (int i = 0; i < PORTS; i++) {
		/* two nodes, same inner ports */
		snprintf(from, sizeof from, "198.18.0.%d:%d", 2 + i % 2, 5000 + i / 2);
		ports[i] = port_of(&f, i % 2 ? &f.second : &f.first, from, HOST4);
		assert_in_range(ports[i], f.config.port_min, f.config.port_max);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(ports[j], ports[i]);
	}
	/* No port is left: a third node has nothing of its own to give up. */
	make_udp(&made, "198.18.0.9:1", HOST4, 10);
	assert_int_equal(out_by(&f, &(struct certificate){.id.bytes = {3}}, &made), EXIT_ANSWERED);
	assert_int_equal(count(&f).refused_full, 1);
	/* The first pays with its oldest, and gets the port that this one had. */
	assert_int_equal(port_of(&f, &f.first, "198.18.0.2:9999", HOST4), ports[0]);
	/* Other transports and the other family number their own. */
	assert_in_range(port_of(&f, &f.first, "[fd6e:746d::2]:9999", HOST6), f.config.port_min, f.config.port_max);
	make_syn(&made, "198.18.0.2:9999", "93.184.216.34:80", 1300, 0);
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	exit_destroy(f.machine);
}

/* Every port of the range, for each transport and family; what frees one frees it for one. */
static void test_the_whole_range(void **state)
{
	enum { PORTS = EXIT_PORT_MAX - EXIT_PORT_MIN + 1, PER_NODE = 4000, NODES = PORTS / PER_NODE };
	static bool taken[PORTS];
	struct certificate nodes[NODES + 1] = {0};
	struct fixture f;
	struct made made;
	char from[64];

	(void)state;
	begin(&f);
	create(&f);
	memset(taken, 0, sizeof taken);
	for (int i = 0; i < PORTS; i++) {
		int node = i % NODES;
		uint16_t port;

		nodes[node].id.bytes[0] = (uint8_t)(node + 1);
		snprintf(from, sizeof from, "198.18.0.%d:%d", 2 + node, 1024 + i / NODES);
		port = port_of(&f, &nodes[node], from, HOST4);
		assert_in_range(port, EXIT_PORT_MIN, EXIT_PORT_MAX);
		assert_false(taken[port - EXIT_PORT_MIN]);
		taken[port - EXIT_PORT_MIN] = true;
	}
	assert_int_equal(count(&f).ports, PORTS);
	nodes[NODES].id.bytes[0] = NODES + 1;
	for (int i = 0; i < 1000; i++) { /* one more is told so, again and again, and nobody loses anything */
		make_udp(&made, "198.18.0.200:1", HOST4, 10);
		assert_int_equal(out_by(&f, &nodes[NODES], &made), EXIT_ANSWERED);
	}
	assert_int_equal(count(&f).refused_full, 1000);
	assert_int_equal(count(&f).flows, PORTS);
	assert_int_equal(count(&f).flows_evicted, 0);
	f.now.us += EXIT_UDP_IDLE_US;
	for (int i = 0; i < 64 && exit_next_deadline(f.machine).us != TIME_NEVER.us; i++) {
		f.now.us += 250000;
		exit_input_time(f.machine, f.now);
	}
	assert_int_equal(count(&f).ports, 0);
	assert_int_equal(count(&f).flows_expired, PORTS);
	assert_in_range(port_of(&f, &nodes[NODES], "198.18.0.200:1", HOST4), EXIT_PORT_MIN, EXIT_PORT_MAX);
	exit_destroy(f.machine);
}

static void test_a_mapping_is_the_same_towards_all(void **state)
{
	struct fixture f;
	uint16_t port;

	(void)state;
	begin(&f);
	create(&f);
	port = port_of(&f, &f.first, "198.18.0.2:4000", HOST4);
	assert_int_equal(port_of(&f, &f.first, "198.18.0.2:4000", "8.8.8.8:53"), port);
	assert_int_equal(port_of(&f, &f.first, "198.18.0.2:4000", HOST4), port);
	assert_int_equal(count(&f).ports, 1);
	assert_int_equal(count(&f).flows, 2);
	exit_destroy(f.machine);
}

static void test_only_who_was_asked_may_answer(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	create(&f);
	own(port_of(&f, &f.first, "198.18.0.2:4000", HOST4), true, text);
	make_udp(&made, "93.184.216.34:54", text, 10);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	make_udp(&made, "93.184.216.35:53", text, 10);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	make_tcp(&made, HOST4, text, TCP_SYN, 0);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	make_udp(&made, HOST4, OWN4 ":9", 10);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	assert_int_equal(count(&f).dropped_stranger, 4);
	make_udp(&made, HOST4, text, 10);
	assert_int_equal(in(&f, &made), EXIT_PASSED);
	exit_destroy(f.machine);
}

/* RFC 4787 REQ-5 and REQ-6: five minutes, and a stranger cannot stretch them. */
static void test_udp_is_forgotten_unless_the_node_speaks(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	create(&f);
	own(port_of(&f, &f.first, "198.18.0.2:4000", HOST4), true, text);
	f.now.us += EXIT_UDP_IDLE_US - 1;
	make_udp(&made, HOST4, text, 10);
	assert_int_equal(in(&f, &made), EXIT_PASSED);
	f.now.us += 1;
	make_udp(&made, HOST4, text, 10);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	assert_int_equal(count(&f).ports, 0);
	port_of(&f, &f.first, "198.18.0.2:4000", HOST4);
	f.now.us += EXIT_UDP_IDLE_US - 1;
	port_of(&f, &f.first, "198.18.0.2:4000", HOST4);
	f.now.us += EXIT_UDP_IDLE_US - 1;
	assert_int_equal(count(&f).ports, 1);
	for (int i = 0; i < 2 * EXIT_FLOWS_MAX / 4096 && count(&f).ports; i++) {
		f.now.us += USEC_PER_SEC;
		exit_input_time(f.machine, f.now);
	}
	assert_int_equal(count(&f).ports, 0);
	assert_int_equal(exit_next_deadline(f.machine).us, TIME_NEVER.us);
	exit_destroy(f.machine);
}

static void open_tcp(struct fixture *f, char text[ADDR_TEXT_MAX])
{
	struct made made;

	make_syn(&made, "198.18.0.2:4000", "93.184.216.34:80", 1300, 0);
	assert_int_equal(out(f, &made), EXIT_PASSED);
	own(source_of(&made.packet).port, true, text);
}

static void test_tcp_lives_by_its_state(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	create(&f);
	open_tcp(&f, text);
	f.now.us += EXIT_TCP_TRANSITORY_US; /* nobody answered */
	make_tcp(&made, "93.184.216.34:80", text, TCP_SYN | TCP_ACK, 0);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	open_tcp(&f, text);
	make_tcp(&made, "93.184.216.34:80", text, TCP_SYN | TCP_ACK, 0);
	assert_int_equal(in(&f, &made), EXIT_PASSED);
	f.now.us += EXIT_TCP_IDLE_US - 1; /* established */
	make_tcp(&made, "198.18.0.2:4000", "93.184.216.34:80", TCP_ACK | TCP_FIN, 0);
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	f.now.us += EXIT_TCP_TRANSITORY_US; /* half closed is open */
	make_tcp(&made, "93.184.216.34:80", text, TCP_ACK | TCP_FIN, 0);
	assert_int_equal(in(&f, &made), EXIT_PASSED);
	f.now.us += EXIT_TCP_TRANSITORY_US - 1;
	make_tcp(&made, "198.18.0.2:4000", "93.184.216.34:80", TCP_ACK, 0);
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	f.now.us += EXIT_TCP_TRANSITORY_US;
	make_tcp(&made, "93.184.216.34:80", text, TCP_ACK, 0);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	exit_destroy(f.machine);
}

/* After a restart of the exit, programs learn at once that their connections are gone. */
static void test_unknown_tcp_is_reset(void **state)
{
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	create(&f);
	make_tcp(&made, "198.18.0.2:4000", "93.184.216.34:80", TCP_ACK | TCP_PSH, 10);
	assert_int_equal(out(&f, &made), EXIT_ANSWERED);
	check_end(source_of(&f.answer.packet), "93.184.216.34:80");
	check_end(target_of(&f.answer.packet), "198.18.0.2:4000");
	assert_int_equal(f.answer.packet.bytes[33], TCP_RST);
	assert_int_equal(read16(f.answer.packet.bytes + 26), 2000); /* their acknowledgement */
	assert_true(sums_hold(&f.answer.packet));
	make_tcp(&made, "198.18.0.2:4000", "93.184.216.34:80", TCP_RST, 0);
	assert_int_equal(out(&f, &made), EXIT_DROPPED); /* never a reset for a reset */
	assert_int_equal(count(&f).flows, 0);
	exit_destroy(f.machine);
}

static void check_echo(struct fixture *f, const char *from, const char *host, bool is_v4)
{
	char text[ADDR_TEXT_MAX];
	struct addr outside;
	struct made made;

	make_echo(&made, from, host, true);
	assert_int_equal(out(f, &made), EXIT_PASSED);
	outside = source_of(&made.packet);
	check_end(outside, own(outside.port, is_v4, text));
	assert_in_range(outside.port, EXIT_PORT_MIN, EXIT_PORT_MAX);
	assert_true(sums_hold(&made.packet));
	make_echo(&made, host, text, true); /* nobody is asked */
	assert_int_equal(in(f, &made), EXIT_DROPPED);
	make_echo(&made, host, text, false);
	assert_int_equal(in(f, &made), EXIT_PASSED);
	check_end(target_of(&made.packet), from);
	assert_true(sums_hold(&made.packet));
}

static void test_echo(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	check_echo(&f, "198.18.0.2:77", "93.184.216.34:0", true);
	check_echo(&f, "[fd6e:746d::2]:77", "[2a0f:ffff:6::2]:0", false);
	exit_destroy(f.machine);
}

static void check_error_in(struct fixture *f, const char *from, const char *to, const char *router, uint8_t type,
			   uint8_t code)
{
	char text[ADDR_TEXT_MAX];
	struct made sent, error;
	struct addr inner = at(from);

	make_udp(&sent, from, to, 40);
	assert_int_equal(out(f, &sent), EXIT_PASSED);
	own(0, inner.ip.family == 4, text);
	make_error(&error, router, text, type, code, &sent.packet, sent.packet.size);
	assert_int_equal(in(f, &error), EXIT_PASSED);
	assert_memory_equal(target_of(&error.packet).ip.bytes, inner.ip.bytes, 16);
	check_end(quoted_source_of(&error.packet), from);
	assert_true(sums_hold(&error.packet));
	assert_true(quoted_sums_hold(&error.packet));
	/* about a packet to a host that was never spoken to */
	make_udp(&sent, from, inner.ip.family == 4 ? "8.8.4.4:1" : "[2a00::1]:1", 40);
	make_error(&error, router, text, type, code, &sent.packet, 48);
	assert_int_equal(in(f, &error), EXIT_DROPPED);
}

static void test_errors_come_back(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	check_error_in(&f, "198.18.0.2:4000", HOST4, "203.0.114.1:0", 11, 0);	      /* traceroute */
	check_error_in(&f, "198.18.0.2:4001", HOST4, "203.0.114.1:0", 3, 4);	      /* path MTU */
	check_error_in(&f, "[fd6e:746d::2]:4000", HOST6, "[2a0f:ffff:1::1]:0", 2, 0); /* path MTU */
	check_error_in(&f, "[fd6e:746d::2]:4001", HOST6, "[2a0f:ffff:1::1]:0", 1, 4); /* port unreachable */
	exit_destroy(f.machine);
}

/* What the tunnel says to a general host about a packet that was too big for it. */
static void test_errors_go_out(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct fixture f;
	struct made got, error;

	(void)state;
	begin(&f);
	create(&f);
	own(port_of(&f, &f.first, "198.18.0.2:4000", HOST4), true, text);
	make_udp(&got, HOST4, text, 60);
	assert_int_equal(in(&f, &got), EXIT_PASSED);
	make_error(&error, "198.18.0.2:0", "93.184.216.34:0", 3, 4, &got.packet, got.packet.size);
	assert_int_equal(out(&f, &error), EXIT_PASSED);
	assert_memory_equal(source_of(&error.packet).ip.bytes, f.config.v4.bytes, 16);
	assert_true(sums_hold(&error.packet));
	assert_true(quoted_sums_hold(&error.packet));
	make_udp(&got, HOST4, "198.18.0.2:4001", 60);
	make_error(&error, "198.18.0.2:0", "93.184.216.34:0", 3, 4, &got.packet, got.packet.size);
	assert_int_equal(out(&f, &error), EXIT_DROPPED);
	exit_destroy(f.machine);
}

/* The kernel finishes the checksum of what has been cut: until then it is the pseudo header's. */
static void test_superpackets(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct fixture f;
	struct made made;
	struct inner inner;

	(void)state;
	begin(&f);
	create(&f);
	open_tcp(&f, text);
	make_tcp(&made, "198.18.0.2:4000", "93.184.216.34:80", TCP_ACK, 3000);
	made.packet.gso = PACKET_GSO_TCP4;
	made.packet.gso_size = 1000;
	made.packet.header_size = 40;
	made.packet.checksum_partial = true;
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	assert_int_equal(inner_parse(made.packet.bytes, made.packet.size, &inner), OK);
	assert_int_equal(read16(made.packet.bytes + 36), inner_pseudo_sum(&inner, 3020));
	check_end(source_of(&made.packet), text);
	exit_destroy(f.machine);
}

static uint16_t clamped(struct fixture *f, const char *from, uint16_t mss, size_t padding)
{
	struct made made;

	make_syn(&made, from, "93.184.216.34:80", mss, padding);
	assert_int_equal(out(f, &made), EXIT_PASSED);
	assert_true(sums_hold(&made.packet));
	return read16(made.packet.bytes + 40 + padding + 2);
}

static void test_mss_fits_the_tunnel(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	assert_int_equal(clamped(&f, "198.18.0.2:1", 1460, 0), 1360);
	assert_int_equal(clamped(&f, "198.18.0.2:2", 1460, 1), 1360);
	assert_int_equal(clamped(&f, "198.18.0.2:3", 1360, 3), 1360);
	assert_int_equal(clamped(&f, "198.18.0.2:4", 536, 0), 536);
	exit_destroy(f.machine);
}

static void test_rules_of_the_operator(void **state)
{
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	f.config.policy.allowed_count = 1;
	snprintf(f.config.policy.allowed[0], sizeof f.config.policy.allowed[0], "@staff");
	create(&f);
	port_of(&f, &f.first, "198.18.0.2:4000", HOST4);
	make_udp(&made, "198.18.0.3:4000", HOST4, 10);
	assert_int_equal(out_by(&f, &f.second, &made), EXIT_ANSWERED);
	assert_int_equal(f.answer.packet.bytes[20], 3);
	assert_int_equal(f.answer.packet.bytes[21], 9); /* this node, administratively */
	assert_true(sums_hold(&f.answer.packet));
	make_udp(&made, "[fd6e:746d::3]:4000", HOST6, 10);
	assert_int_equal(out_by(&f, &f.second, &made), EXIT_ANSWERED);
	assert_int_equal(f.answer.packet.bytes[40], 1);
	assert_int_equal(f.answer.packet.bytes[41], 5);
	assert_true(sums_hold(&f.answer.packet));
	assert_int_equal(count(&f).refused_node, 2);
	make_syn(&made, "198.18.0.2:4000", "10.0.0.1:80", 1300, 0);
	assert_int_equal(out(&f, &made), EXIT_ANSWERED);
	assert_int_equal(f.answer.packet.bytes[33], TCP_RST | TCP_ACK);
	assert_int_equal(read16(f.answer.packet.bytes + 30), 1001); /* theirs, and one for the SYN */
	assert_int_equal(count(&f).refused_destination, 1);
	assert_int_equal(exit_input_inner(f.machine, f.now, NULL, &made.packet, &f.answer), EXIT_DROPPED);
	exit_destroy(f.machine);
}

static void test_quota_lasts_a_day(void **state)
{
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	f.config.policy.quota_bytes = 100;
	create(&f);
	port_of(&f, &f.first, "198.18.0.2:4000", HOST4); /* 48 bytes */
	port_of(&f, &f.first, "198.18.0.2:4000", HOST4);
	make_udp(&made, "198.18.0.2:4000", HOST4, 20);
	assert_int_equal(out(&f, &made), EXIT_ANSWERED);
	assert_int_equal(count(&f).refused_quota, 1);
	port_of(&f, &f.second, "198.18.0.3:4000", HOST4); /* another's is another's */
	f.now.us += 86400 * USEC_PER_SEC;
	port_of(&f, &f.first, "198.18.0.2:4000", HOST4);
	exit_destroy(f.machine);
}

/* What another run wrote down counts, until that day is over. */
static void test_quota_outlives_a_restart(void **state)
{
	struct exit_usage usage, restored;
	struct fixture f;
	struct made made;
	size_t index = 0;

	(void)state;
	begin(&f);
	f.config.policy.quota_bytes = 10000;
	create(&f);
	make_udp(&made, "198.18.0.2:4000", HOST4, 3000);
	for (int i = 0; i < 3; i++) {
		make_udp(&made, "198.18.0.2:4000", HOST4, 3000);
		assert_int_equal(out(&f, &made), EXIT_PASSED);
	}
	f.now.us += 3600 * USEC_PER_SEC;
	assert_true(exit_next_usage(f.machine, f.now, &index, &usage));
	assert_int_equal(usage.bytes, 3 * 3028);
	assert_string_equal(usage.name, "a");
	assert_false(exit_next_usage(f.machine, f.now, &index, &restored));
	exit_destroy(f.machine);
	f.now.us = 5; /* a machine that has just started */
	create(&f);
	exit_restore_usage(f.machine, f.now, &usage);
	assert_int_equal(count(&f).nodes_exhausted, 1);
	make_udp(&made, "198.18.0.2:4000", HOST4, 3000);
	assert_int_equal(out(&f, &made), EXIT_ANSWERED);
	make_udp(&made, "198.18.0.3:4000", HOST4, 3000);
	assert_int_equal(out_by(&f, &f.second, &made), EXIT_PASSED);
	f.now.us += 23 * 3600 * USEC_PER_SEC;
	make_udp(&made, "198.18.0.2:4000", HOST4, 3000);
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	usage.age_us = 25 * 3600 * USEC_PER_SEC;
	usage.bytes = 1 << 30;
	exit_restore_usage(f.machine, f.now, &usage);
	make_udp(&made, "198.18.0.2:4000", HOST4, 3000);
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	exit_destroy(f.machine);
}

static void test_rate(void **state)
{
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	f.config.policy.rate_bytes = 10000;
	create(&f);
	for (int i = 0; i < 10; i++) {
		make_udp(&made, "198.18.0.2:4000", HOST4, 972);
		assert_int_equal(out(&f, &made), EXIT_PASSED);
	}
	make_udp(&made, "198.18.0.2:4000", HOST4, 972);
	assert_int_equal(out(&f, &made), EXIT_DROPPED);
	f.now.us += USEC_PER_SEC / 10;
	make_udp(&made, "198.18.0.2:4000", HOST4, 972);
	assert_int_equal(out(&f, &made), EXIT_PASSED);
	assert_int_equal(count(&f).refused_rate, 1);
	exit_destroy(f.machine);
}

static void test_a_greedy_node_pays_itself(void **state)
{
	char text[ADDR_TEXT_MAX], host[64];
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	f.config.node_flows_max = 8;
	create(&f);
	own(port_of(&f, &f.second, "198.18.0.3:4000", HOST4), true, text);
	for (int i = 0; i < 100; i++) {
		snprintf(host, sizeof host, "8.8.%d.8:53", i);
		port_of(&f, &f.first, "198.18.0.2:4000", host);
	}
	assert_int_equal(count(&f).flows, 9);
	assert_int_equal(count(&f).flows_evicted, 92);
	make_udp(&made, HOST4, text, 10);
	assert_int_equal(in(&f, &made), EXIT_PASSED);
	exit_destroy(f.machine);
}

/* An address that passes on takes no flow along. */
static void test_flows_belong_to_an_identity(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	create(&f);
	own(port_of(&f, &f.first, "198.18.0.2:4000", HOST4), true, text);
	make_udp(&made, "198.18.0.2:4000", HOST4, 10);
	assert_int_equal(out_by(&f, &f.second, &made), EXIT_PASSED);
	assert_int_not_equal(source_of(&made.packet).port, at(text).port);
	make_udp(&made, HOST4, text, 10);
	assert_int_equal(in(&f, &made), EXIT_DROPPED);
	exit_destroy(f.machine);
}

static void test_nonsense(void **state)
{
	struct fixture f;
	struct made made;

	(void)state;
	begin(&f);
	create(&f);
	make_udp(&made, "198.18.0.2:4000", HOST4, 10);
	made.packet.size = 24;
	assert_int_equal(out(&f, &made), EXIT_DROPPED);
	make_udp(&made, "198.18.0.2:4000", HOST4, 10);
	made.packet.bytes[9] = 47; /* GRE */
	assert_int_equal(out(&f, &made), EXIT_ANSWERED);
	assert_int_equal(count(&f).dropped_malformed, 1);
	assert_int_equal(count(&f).refused_protocol, 1);
	exit_destroy(f.machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_goes_both_ways),
		cmocka_unit_test(test_udp_without_checksum_stays_so),
		cmocka_unit_test(test_no_port_serves_two),
		cmocka_unit_test(test_the_whole_range),
		cmocka_unit_test(test_a_mapping_is_the_same_towards_all),
		cmocka_unit_test(test_only_who_was_asked_may_answer),
		cmocka_unit_test(test_udp_is_forgotten_unless_the_node_speaks),
		cmocka_unit_test(test_tcp_lives_by_its_state),
		cmocka_unit_test(test_unknown_tcp_is_reset),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_errors_come_back),
		cmocka_unit_test(test_errors_go_out),
		cmocka_unit_test(test_superpackets),
		cmocka_unit_test(test_mss_fits_the_tunnel),
		cmocka_unit_test(test_rules_of_the_operator),
		cmocka_unit_test(test_quota_lasts_a_day),
		cmocka_unit_test(test_quota_outlives_a_restart),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_a_greedy_node_pays_itself),
		cmocka_unit_test(test_flows_belong_to_an_identity),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
