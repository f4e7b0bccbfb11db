/* test_flows.c: a flow is written to the queue that it is read from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "cmd/node_flows.h"

enum { QUEUES = 4, FLOWS = 200 };

static struct flows flows;

/* UDP, from one of our ports or to it. */
static struct packet make(uint8_t *bytes, uint16_t port, bool is_back)
{
	const uint8_t ends[2][4] = {{198, 18, 0, 1}, {198, 18, 0, 2}};
	const uint16_t ports[2] = {port, 443};

	memset(bytes, 0, 28);
	memcpy(bytes, (uint8_t[]){0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17}, 10);
	for (int i = 0; i < 2; i++) {
		memcpy(bytes + 12 + 4 * i, ends[i ^ is_back], 4);
		bytes[20 + 2 * i] = (uint8_t)(ports[i ^ is_back] >> 8);
		bytes[21 + 2 * i] = (uint8_t)ports[i ^ is_back];
	}
	bytes[25] = 8;
	return (struct packet){.bytes = bytes, .size = 28};
}

static void test_read_and_written_alike(void **state)
{
	uint8_t bytes[28];
	unsigned spread[QUEUES] = {0}, wrong = 0;

	(void)state;
	for (uint16_t i = 0; i < FLOWS; i++) {
		struct packet back = make(bytes, 40000 + i, true);
		unsigned queue = flows_find(&flows, &back, QUEUES);

		assert_true(queue < QUEUES);
		assert_int_equal(flows_find(&flows, &back, QUEUES), queue);
		spread[queue]++;
	}
	for (int i = 0; i < QUEUES; i++)
		assert_in_range(spread[i], FLOWS / QUEUES / 2, FLOWS / QUEUES * 2);
	for (uint16_t i = 0; i < FLOWS; i++) {
		struct packet there = make(bytes, 40000 + i, false);

		(void)flows_note(&flows, &there, i % QUEUES);
	}
	for (uint16_t i = 0; i < FLOWS; i++) {
		struct packet back = make(bytes, 40000 + i, true);

		wrong += flows_find(&flows, &back, QUEUES) != i % QUEUES;
	}
	assert_in_range(wrong, 0, FLOWS / 10); /* some share their place with another */
}

static void test_what_is_no_packet(void **state)
{
	uint8_t bytes[28] = {0};
	struct packet packet = {.bytes = bytes, .size = 28};

	(void)state;
	assert_false(flows_note(&flows, &packet, 1));
	assert_false(flows_note(&flows, &packet, 1));
	assert_true(flows_note(&flows, &packet, 3));
	assert_int_equal(flows_find(&flows, &packet, QUEUES), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_written_alike),
		cmocka_unit_test(test_what_is_no_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
