/* The world by itself: time, lines, NATs by RFC 4787 kind, moves, the checkers, and that a seed is a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "toy.h"
#include "world.h"

static const struct net_config public_net = {
	.name = "public", .has_v4 = true, .has_v6 = true, .up = {.delay_us = 5000}, .down = {.delay_us = 5000}};

static struct net_config nat_net(enum nat_dependence mapping, enum nat_dependence filtering)
{
	return (struct net_config){
		.name = "home",
		.has_v4 = true,
		.has_nat = true,
		.nat = {.mapping = mapping, .filtering = filtering},
		.up = {.delay_us = 1000},
		.down = {.delay_us = 1000},
	};
}

struct pair {
	struct world *world;
	struct host *client, *server;
	struct toy *asker, *answerer;
};

static struct pair pair_of(uint64_t seed, const struct net_config *client_net, const struct net_config *server_net)
{
	struct pair p = {.world = world_create(seed)};
	uint8_t a = world_add_net(p.world, client_net), b = world_add_net(p.world, server_net);
	struct addr peer;

	p.answerer = toy_create(NULL, p.world->now);
	p.server = world_add_host(p.world, "server", &toy_ops, p.answerer, 7000);
	host_plug(p.server, 1, b);
	peer = host_addr(p.server, 4);
	p.asker = toy_create(&peer, p.world->now);
	p.client = world_add_host(p.world, "client", &toy_ops, p.asker, 5000);
	host_plug(p.client, 1, a);
	host_turn(p.server);
	host_turn(p.client);
	return p;
}

static void test_delay(void **state)
{
	struct pair p = pair_of(1, &public_net, &public_net);

	(void)state;
	world_run_until(p.world, time_add(p.world->now, HOST_TURN_US + 19999));
	assert_int_equal(p.asker->answered, 0); /* 2 * (5 + 5) ms after its first turn and not less */
	world_run_until(p.world, time_add(p.world->now, 80002 - 1));
	assert_int_equal(p.asker->answered, 9);
	assert_false(p.world->failed);
	world_destroy(p.world);
}

static void test_seed_is_a_run(void **state)
{
	uint64_t hashes[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct net_config lossy = public_net;
		struct pair p;

		lossy.up = (struct line_config){.delay_us = 3000,
						.jitter_us = 4000,
						.loss_ppm = 50000,
						.duplicate_ppm = 20000,
						.reorder_ppm = 20000,
						.reorder_us = 9000};
		p = pair_of(i == 2 ? 8 : 7, &lossy, &lossy);
		world_run_until(p.world, time_add(p.world->now, 10 * USEC_PER_SEC));
		assert_true(p.asker->answered > 700 && p.asker->answered < 1000 + 30);
		assert_true(p.world->counters.lost > 20 && p.world->counters.duplicated > 10);
		hashes[i] = p.world->trace.hash;
		world_destroy(p.world);
	}
	assert_true(hashes[0] == hashes[1]);
	assert_true(hashes[0] != hashes[2]);
}

static void test_rate_and_queue(void **state)
{
	struct line line;
	struct time_us at[2], now = {0};
	unsigned count, passed = 0, full = 0;

	(void)state;
	/* 8 Mbit/s: 1000 B a millisecond; 10 of them wait. */
	line_init(&line, &(struct line_config){.delay_us = 1000, .rate_kbps = 8000, .queue_bytes = 10000},
		  stream_for(1, "t", 1));
	for (unsigned i = 0; i < 30; i++) {
		enum line_fate fate = line_pass(&line, now, 0, 1000, at, &count);

		passed += fate == LINE_PASS;
		full += fate == LINE_FULL;
		if (fate == LINE_PASS)
			assert_int_equal(at[0].us, 1000 + 1000 * (int64_t)passed);
	}
	assert_int_equal(passed, 10);
	assert_int_equal(full, 20);
	assert_int_equal(line_pass(&line, (struct time_us){5000}, 0, 1000, at, &count), LINE_PASS);
	assert_int_equal(at[0].us, 1000 + 11000);
	line_init(&line, &(struct line_config){.mtu = 1280}, stream_for(1, "t", 1));
	assert_int_equal(line_pass(&line, now, 0, 1281, at, &count), LINE_TOO_BIG);
	assert_int_equal(line_pass(&line, now, 0, 1280, at, &count), LINE_PASS);
}

/* Every kind against the words of RFC 4787, 4.1 and 5. */
static void test_nat_kinds(void **state)
{
	struct addr inside = {.ip = ip_v4(192, 168, 1, 2), .port = 5000};
	struct addr x = {.ip = ip_v4(50, 1, 1, 1), .port = 1}, x2 = {.ip = ip_v4(50, 1, 1, 1), .port = 2};
	struct addr y = {.ip = ip_v4(50, 1, 1, 9), .port = 1};
	struct time_us now = {0};

	(void)state;
	for (enum nat_dependence mapping = 0; mapping < NAT_DEPENDENCES; mapping++)
		for (enum nat_dependence filtering = 0; filtering < NAT_DEPENDENCES; filtering++) {
			struct nat nat;
			struct addr at_x, at_x2, at_y, ret;
			struct nat_config config = {.translates = true, .mapping = mapping, .filtering = filtering};

			nat_init(&nat, &config, ip_v4(50, 2, 0, 1));
			assert_true(nat_out(&nat, now, &inside, &x, &at_x));
			/* Filtering, with only x contacted. */
			assert_true(nat_in(&nat, now, &at_x, &x, &ret));
			assert_true(addr_equal(&ret, &inside));
			assert_int_equal(nat_in(&nat, now, &at_x, &x2, &ret), filtering < NAT_ADDRESS_PORT_DEPENDENT);
			assert_int_equal(nat_in(&nat, now, &at_x, &y, &ret), filtering == NAT_ENDPOINT_INDEPENDENT);
			/* Mapping. */
			assert_true(nat_out(&nat, now, &inside, &x2, &at_x2));
			assert_true(nat_out(&nat, now, &inside, &y, &at_y));
			assert_int_equal(addr_equal(&at_x, &at_x2), mapping < NAT_ADDRESS_PORT_DEPENDENT);
			assert_int_equal(addr_equal(&at_x, &at_y), mapping == NAT_ENDPOINT_INDEPENDENT);
			nat_finish(&nat);
		}
}

static void test_nat_ports_timeout_and_flush(void **state)
{
	struct addr a = {.ip = ip_v4(192, 168, 1, 2), .port = 5000}, b = {.ip = ip_v4(192, 168, 1, 3), .port = 5000};
	struct addr x = {.ip = ip_v4(50, 1, 1, 1), .port = 1}, first, second, third;
	struct time_us now = {0};
	struct nat nat;

	(void)state;
	nat_init(&nat,
		 &(struct nat_config){.translates = true, .preserves_ports = true, .timeout_us = 30 * USEC_PER_SEC},
		 ip_v4(50, 2, 0, 1));
	assert_true(nat_out(&nat, now, &a, &x, &first));
	assert_true(nat_out(&nat, now, &b, &x, &second));
	assert_int_equal(first.port, 5000);
	assert_int_not_equal(second.port, 5000); /* taken */
	now.us = 30 * USEC_PER_SEC - 1;
	assert_true(nat_in(&nat, now, &second, &x, &third));
	assert_true(nat_out(&nat, now, &a, &x, &third));
	now.us++;
	assert_false(nat_in(&nat, now, &second, &x, &third)); /* inbound did not refresh it */
	assert_true(nat_in(&nat, now, &first, &x, &third));
	nat_flush(&nat);
	assert_false(nat_in(&nat, now, &first, &x, &third));
	nat_finish(&nat);

	nat_init(&nat, &(struct nat_config){.translates = false, .filtering = NAT_ADDRESS_DEPENDENT}, (struct ip){0});
	assert_false(nat_in(&nat, now, &a, &x, &third));
	assert_true(nat_out(&nat, now, &a, &x, &third));
	assert_true(addr_equal(&third, &a));
	assert_true(nat_in(&nat, now, &a, &x, &third));
	nat_finish(&nat);
}

static void test_behind_nat(void **state)
{
	struct net_config home = nat_net(NAT_ENDPOINT_INDEPENDENT, NAT_ADDRESS_PORT_DEPENDENT);
	struct pair p = pair_of(3, &home, &public_net);
	struct addr seen;

	(void)state;
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	assert_true(p.asker->answered > 90);
	seen = p.answerer->heard_from;
	assert_true(seen.ip.bytes[0] == 50 && seen.ip.bytes[1] == 1 && seen.port == NAT_PORT_FIRST);
	/* A forger's packet passes only with the right source. */
	world_inject(p.world, &(struct addr){.ip = ip_v4(50, 2, 1, 99), .port = 7000}, &seen, (const uint8_t *)"x", 1);
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	assert_int_equal(p.world->counters.filtered, 1);
	/* The NAT reboots: other port, and the conversation goes on. */
	nat_flush(&p.world->nets[1].nat);
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	assert_int_not_equal(p.answerer->heard_from.port, seen.port);
	assert_true(p.asker->answered > 280);
	assert_false(p.world->failed);
	world_destroy(p.world);
}

static void test_hairpin(void **state)
{
	(void)state;
	for (int hairpins = 0; hairpins < 2; hairpins++) {
		struct net_config home = nat_net(NAT_ENDPOINT_INDEPENDENT, NAT_ENDPOINT_INDEPENDENT);
		struct pair p;
		struct toy *third;
		struct host *neighbour;

		home.nat.hairpins = hairpins;
		p = pair_of(4, &home, &public_net);
		world_run_until(p.world, time_add(p.world->now, 100000));
		third = toy_create(&p.answerer->heard_from, p.world->now); /* asks the client by its outside address */
		neighbour = world_add_host(p.world, "neighbour", &toy_ops, third, 5000);
		host_plug(neighbour, 1, 1);
		host_turn(neighbour);
		world_run_until(p.world, time_add(p.world->now, 100000));
		assert_int_equal(third->answered > 5, hairpins);
		world_destroy(p.world);
	}
}

static void test_move_and_silence(void **state)
{
	struct pair p = pair_of(5, &public_net, &public_net);
	uint8_t other = world_add_net(p.world, &public_net);
	uint32_t answered;

	(void)state;
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	host_move(p.client, 1, other);
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	assert_int_equal(p.answerer->heard_from.ip.bytes[1], other);
	answered = p.asker->answered;
	assert_true(answered > 190);
	p.world->nets[other].silent = true;
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	assert_int_equal(p.asker->answered, answered);
	p.world->nets[other].silent = false;
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	assert_true(p.asker->answered > answered + 90);
	host_kill(p.server);
	answered = p.asker->answered;
	world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC));
	assert_true(p.asker->answered <= answered + 1);
	world_destroy(p.world);
}

/* The checker must be able to fail. */
static void test_amplification_is_caught(void **state)
{
	struct pair p = pair_of(6, &public_net, &public_net);

	(void)state;
	p.answerer->babbles = true;
	assert_false(world_run_until(p.world, time_add(p.world->now, USEC_PER_SEC)));
	assert_non_null(strstr(p.world->failure, "server sent 128 bytes"));
	world_destroy(p.world);
}

static void test_diagram(void **state)
{
	struct pair p = pair_of(7, &public_net, &public_net);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	world_run_until(p.world, time_add(p.world->now, 50000));
	trace_draw(&p.world->trace, out);
	(void)fclose(out);
	assert_non_null(strstr(text, "sequenceDiagram"));
	assert_non_null(strstr(text, "client->>server: "));
	assert_non_null(strstr(text, "server->>client: "));
	free(text);
	world_destroy(p.world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_seed_is_a_run),
		cmocka_unit_test(test_rate_and_queue),
		cmocka_unit_test(test_nat_kinds),
		cmocka_unit_test(test_nat_ports_timeout_and_flush),
		cmocka_unit_test(test_behind_nat),
		cmocka_unit_test(test_hairpin),
		cmocka_unit_test(test_move_and_silence),
		cmocka_unit_test(test_amplification_is_caught),
		cmocka_unit_test(test_diagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
