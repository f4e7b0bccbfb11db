/* An idle node: how long its intervals become, how rarely it wakes up, and that it is still there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lan.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone_it_wakes_once_in_the_longest_interval),
		cmocka_unit_test(test_with_a_peer_it_wakes_little_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
