/* What a NAT has opened for a node is one more candidate for its peers, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lan.h"

#define A 0
#define B 1

static int set_up(void **state)
{
	struct lan *lan = lan_create();

	lan_plug(lan, A, "203.0.113.1:7367");
	lan_plug(lan, B, "203.0.113.2:7367");
	lan_run(lan, 100000);
	lan_send(lan, A, "first", 5);
	lan_run(lan, 500000);
	*state = lan;
	return 0;
}

static int tear_down(void **state)
{
	lan_destroy(*state);
	return 0;
}

/* How often B has asked at this address, or -1 when it does not know it. */
static int asked_at(struct lan *lan, const char *remote)
{
	struct node_peer_status status;
	struct addr addr;

	assert_int_equal(addr_parse(remote, 0, &addr), OK);
	for (size_t i = 0; i < node_peer_count(lan->nodes[B].node); i++)
		for (int k = 0; node_get_peer(lan->nodes[B].node, lan->now, i, &status) && k < status.path_count; k++)
			if (addr_equal(&status.paths[k].route.remote, &addr))
				return (int)status.paths[k].challenges_tx;
	return -1;
}

static void tell(struct lan *lan, const char *local, const char *external)
{
	struct node_mapped mapped;

	assert_int_equal(ip_parse(local, &mapped.local), OK);
	assert_int_equal(addr_parse(external, 0, &mapped.external), OK);
	node_input_mapped(lan->nodes[A].node, lan->now, &mapped, 1);
	lan_run(lan, 1000000);
}

static void a_mapped_address_is_tried_by_the_peer(void **state)
{
	struct lan *lan = *state;
	size_t events = lan->nodes[A].event_count;

	assert_int_equal(asked_at(lan, "203.0.113.9:4000"), -1);
	tell(lan, "203.0.113.1", "203.0.113.9:4000");
	assert_true(asked_at(lan, "203.0.113.9:4000") > 0);
	assert_int_equal(lan->nodes[A].event_count, events); /* it is no move */
}

static void what_a_gateway_must_not_say_is_not_passed_on(void **state)
{
	struct lan *lan = *state;

	tell(lan, "203.0.113.1", "127.0.0.1:4000");
	assert_int_equal(asked_at(lan, "127.0.0.1:4000"), -1);
	tell(lan, "203.0.113.1", "198.18.0.7:4000"); /* a virtual address of this network */
	assert_int_equal(asked_at(lan, "198.18.0.7:4000"), -1);
	tell(lan, "203.0.113.77", "203.0.113.9:4000"); /* mapped for an address that is gone */
	assert_int_equal(asked_at(lan, "203.0.113.9:4000"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_mapped_address_is_tried_by_the_peer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_gateway_must_not_say_is_not_passed_on, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
