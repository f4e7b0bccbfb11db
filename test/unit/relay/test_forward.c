/*
 * What goes from leg to leg: the same bytes by the same pointer, trains whole, nobody else's packets, within rate and
 * cap.
 */
#include <string.h>

#include "fixture.h"

enum { PATH = 7, SIZE = 1200 };

static struct addr at(uint8_t host)
{
	return place_addr(host, 1000);
}

static void test_same_bytes_by_pointer(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[SIZE], before[SIZE];
	struct addr a = at(1), b = at(2);

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	make_sealed(packet, SIZE, PATH, 1);
	memcpy(before, packet, SIZE);
	assert_int_equal(fixture_send(&f, &a, packet, SIZE, 0), OK);
	assert_int_equal(f.out_count, 1);
	assert_ptr_equal(f.out[0].bytes, packet);
	assert_int_equal(f.out[0].size, SIZE);
	assert_memory_equal(packet, before, SIZE);
	assert_true(addr_equal(&f.out[0].route.remote, &b));
	assert_true(addr_equal(&f.out[0].route.local, &relay_addr));
	/* And back. */
	assert_int_equal(fixture_send(&f, &b, packet, SIZE, 0), OK);
	assert_int_equal(f.out_count, 1);
	assert_true(addr_equal(&f.out[0].route.remote, &a));
	fixture_finish(&f);
}

/* Which type goes through is wire's to say; the relay must not have an opinion of its own. */
static void test_only_end_to_end_types(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[HEADER_SIZE + 40];
	struct addr a = at(1);

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	for (unsigned type = 0; type < 256; type++) {
		make_sealed(packet, sizeof packet, PATH, 1);
		packet[0] = (uint8_t)type;
		(void)fixture_send(&f, &a, packet, sizeof packet, 0);
		assert_int_equal(f.out_count, packet_is_end_to_end((uint8_t)type) ? 1 : 0);
	}
	for (size_t size = 0; size < HEADER_SIZE; size++) {
		(void)fixture_send(&f, &a, packet, size, 0);
		assert_int_equal(f.out_count, 0);
	}
	fixture_finish(&f);
}

static void test_open_relay_attempts(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[SIZE];
	struct addr x = place_addr(66, 1000), a_port = place_addr(1, 1001), a = at(1);
	struct relay_counters c;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	make_sealed(packet, SIZE, PATH, 1);
	assert_int_equal(fixture_send(&f, &x, packet, SIZE, 0), ERR_DENIED);
	assert_int_equal(fixture_send(&f, &a_port, packet, SIZE, 0), ERR_DENIED);
	make_sealed(packet, SIZE, PATH + 1, 1);
	assert_int_equal(fixture_send(&f, &a, packet, SIZE, 0), ERR_UNKNOWN);
	assert_int_equal(f.out_count, 0);
	fixture_counters(&f, &c);
	assert_int_equal(c.dropped_source, 2);
	assert_int_equal(c.dropped_unknown, 1);
	assert_int_equal(c.forwarded, 0);
	fixture_finish(&f);
}

static void test_train_goes_whole(void **state)
{
	enum { COUNT = 40, SEGMENT = 1400, LAST = 100, TOTAL = (COUNT - 1) * SEGMENT + LAST };
	static uint8_t train[TOTAL];
	struct fixture f;
	struct leg legs[2];
	struct addr a = at(1);
	struct relay_counters c;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	for (unsigned i = 0; i < COUNT; i++)
		make_sealed(train + i * SEGMENT, i == COUNT - 1 ? LAST : SEGMENT, PATH, (uint8_t)i);
	assert_int_equal(fixture_send(&f, &a, train, TOTAL, SEGMENT), OK);
	assert_int_equal(f.out_count, 1);
	assert_ptr_equal(f.out[0].bytes, train);
	assert_int_equal(f.out[0].size, TOTAL);
	assert_int_equal(f.out[0].segment_size, SEGMENT);
	fixture_counters(&f, &c);
	assert_int_equal(c.forwarded, COUNT);
	assert_int_equal(c.forwarded_bytes, TOTAL);
	fixture_finish(&f);
}

static void test_mixed_train_is_split_into_runs(void **state)
{
	enum { SEGMENT = 100 };
	static const uint64_t paths[] = {1, 1, 2, 2, 2, 9, 1, 2}; /* nobody has 9 */
	uint8_t train[sizeof paths / sizeof *paths * SEGMENT];
	struct fixture f;
	struct leg legs[2];
	struct addr a = at(1);

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, 1, legs);
	fixture_bind_both(&f, 2, legs);
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
		make_sealed(train + i * SEGMENT, SEGMENT, paths[i], (uint8_t)i);
	assert_int_equal(fixture_send(&f, &a, train, sizeof train, SEGMENT), ERR_UNKNOWN);
	assert_int_equal(f.out_count, 4);
	assert_ptr_equal(f.out[0].bytes, train);
	assert_int_equal(f.out[0].size, 2 * SEGMENT);
	assert_int_equal(f.out[0].segment_size, SEGMENT);
	assert_ptr_equal(f.out[1].bytes, train + 2 * SEGMENT);
	assert_int_equal(f.out[1].size, 3 * SEGMENT);
	assert_ptr_equal(f.out[2].bytes, train + 6 * SEGMENT);
	assert_int_equal(f.out[2].size, SEGMENT);
	assert_int_equal(f.out[2].segment_size, 0);
	assert_ptr_equal(f.out[3].bytes, train + 7 * SEGMENT);
	fixture_finish(&f);
}

/* A control packet or rubbish inside a train is not carried along. */
static void test_foreign_segment_breaks_a_train(void **state)
{
	enum { SEGMENT = 100 };
	uint8_t train[3 * SEGMENT + 5];
	struct fixture f;
	struct leg legs[2];
	struct addr a = at(1);

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	for (unsigned i = 0; i < 3; i++)
		make_sealed(train + i * SEGMENT, SEGMENT, PATH, (uint8_t)i);
	train[SEGMENT] = PACKET_RELAY_BOUND;
	assert_int_equal(fixture_send(&f, &a, train, sizeof train, SEGMENT), ERR_TRUNCATED);
	assert_int_equal(f.out_count, 2);
	assert_int_equal(f.out[0].size, SEGMENT);
	assert_ptr_equal(f.out[1].bytes, train + 2 * SEGMENT);
	assert_int_equal(f.out[1].size, SEGMENT);
	fixture_finish(&f);
}

/* More runs than the queue holds: counted, not overrun. */
static void test_hostile_train_is_bounded(void **state)
{
	enum { COUNT = 2 * RELAY_OUT_MAX, SEGMENT = 16 };
	static uint8_t train[COUNT * SEGMENT];
	struct fixture f;
	struct leg legs[2];
	struct addr a = at(1);
	struct relay_counters c;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, 1, legs);
	fixture_bind_both(&f, 2, legs);
	for (unsigned i = 0; i < COUNT; i++)
		make_sealed(train + i * SEGMENT, SEGMENT, 1 + i % 2, (uint8_t)i);
	assert_int_equal(fixture_send(&f, &a, train, sizeof train, SEGMENT), ERR_FULL);
	assert_int_equal(f.out_count, RELAY_OUT_MAX);
	fixture_counters(&f, &c);
	assert_int_equal(c.dropped_queue, COUNT - RELAY_OUT_MAX);
	fixture_finish(&f);
}

/* The mover's packets pass with the first Bind; what goes to it stays within what it sent until the Answer. */
static void test_move(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[SIZE], bytes[LEG_DATAGRAM_MAX];
	struct addr a = at(1), b = at(2), a2 = place_addr(11, 4000);
	size_t size, sent;
	unsigned to_new = 0, to_old = 0;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	make_sealed(packet, SIZE, PATH, 1);
	leg_move(&legs[0], f.now);
	assert_true(leg_output(&legs[0], f.now, bytes, &size));
	assert_int_equal(fixture_send(&f, &a2, packet, SIZE, 0),
			 ERR_DENIED); /* before its Bind: never by address alone */
	assert_int_equal(fixture_send(&f, &a2, bytes, size, 0), OK);
	assert_int_equal(leg_input(&legs[0], f.now, f.out[0].bytes, f.out[0].size), OK);
	sent = size - RELAY_CHALLENGE_SIZE;
	for (unsigned i = 0; i < 3; i++, sent += SIZE) {
		assert_int_equal(fixture_send(&f, &a2, packet, SIZE, 0), OK);
		assert_true(addr_equal(&f.out[0].route.remote, &b));
	}
	sent += UNVALIDATED_BURST_BYTES;
	for (unsigned i = 0; i < sent / SIZE + 5; i++) {
		assert_int_equal(fixture_send(&f, &b, packet, SIZE, 0), OK);
		to_new += addr_equal(&f.out[0].route.remote, &a2);
		to_old += addr_equal(&f.out[0].route.remote, &a);
	}
	assert_int_equal(to_new, sent / SIZE);
	assert_int_equal(to_old, 5);
	fixture_run_leg(&f, &legs[0], &a2);
	assert_true(leg_is_bound(&legs[0]));
	assert_int_equal(fixture_send(&f, &b, packet, SIZE, 0), OK);
	assert_true(addr_equal(&f.out[0].route.remote, &a2));
	/* The old address is a stranger's now. */
	assert_int_equal(fixture_send(&f, &a, packet, SIZE, 0), ERR_DENIED);
	fixture_finish(&f);
}

/* An attacker who is first with a stolen higher Bind gains its size and E5's burst, once; the node's own Answer
 * decides.
 */
static void test_stolen_move_gains_a_burst_once(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[100], bind[LEG_DATAGRAM_MAX];
	struct addr b = at(2), a2 = place_addr(11, 4000), x = place_addr(66, 66);
	uint64_t to_thief = 0;
	size_t size;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	make_sealed(packet, sizeof packet, PATH, 1);
	leg_move(&legs[0], f.now);
	assert_true(leg_output(&legs[0], f.now, bind, &size));
	assert_int_equal(fixture_send(&f, &x, bind, size, 0), OK);
	for (unsigned i = 0; i < 2 * UNVALIDATED_BURST_BYTES / sizeof packet; i++) {
		if (i % 1000 == 0)
			(void)fixture_send(&f, &x, bind, size, 0); /* the same again gains no other burst */
		(void)fixture_send(&f, &b, packet, sizeof packet, 0);
		for (unsigned k = 0; k < f.out_count; k++)
			to_thief += addr_equal(&f.out[k].route.remote, &x) ? f.out[k].size : 0;
	}
	assert_true(to_thief <= UNVALIDATED_BURST_BYTES + 7 * (size - RELAY_CHALLENGE_SIZE));
	/* The true one arrives later, with the same generation. */
	assert_int_equal(fixture_send(&f, &a2, bind, size, 0), OK);
	assert_int_equal(leg_input(&legs[0], f.now, f.out[0].bytes, f.out[0].size), OK);
	fixture_run_leg(&f, &legs[0], &a2);
	assert_true(leg_is_bound(&legs[0]));
	assert_int_equal(fixture_send(&f, &b, packet, sizeof packet, 0), OK);
	assert_true(addr_equal(&f.out[0].route.remote, &a2));
	assert_int_equal(fixture_send(&f, &x, packet, sizeof packet, 0), ERR_DENIED);
	fixture_finish(&f);
}

/* The leg doubts its path, binds anew from where it is, and each time somebody is faster with a copy of that Bind. */
static void test_stolen_doubts_gain_ever_less(void **state)
{
	enum { DOUBTS = 6 };
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[1000], bind[LEG_DATAGRAM_MAX];
	struct addr a = at(1), b = at(2), x = place_addr(66, 66);
	uint64_t to_thief = 0;
	size_t size;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	make_sealed(packet, sizeof packet, PATH, 1);
	for (unsigned doubt = 0; doubt < DOUBTS; doubt++) {
		leg_move(&legs[0], f.now);
		assert_true(leg_output(&legs[0], f.now, bind, &size));
		assert_int_equal(fixture_send(&f, &x, bind, size, 0), OK);
		for (unsigned i = 0; i < 2 * UNVALIDATED_BURST_BYTES / sizeof packet; i++) {
			(void)fixture_send(&f, &b, packet, sizeof packet, 0);
			for (unsigned k = 0; k < f.out_count; k++)
				to_thief += addr_equal(&f.out[k].route.remote, &x) ? f.out[k].size : 0;
		}
		assert_int_equal(fixture_send(&f, &a, bind, size, 0), OK);
		assert_int_equal(leg_input(&legs[0], f.now, f.out[0].bytes, f.out[0].size), OK);
		fixture_run_leg(&f, &legs[0], &a);
		assert_true(leg_is_bound(&legs[0]));
	}
	assert_true(to_thief >= UNVALIDATED_BURST_BYTES);
	assert_true(to_thief <= UNVALIDATED_BURST_BYTES * 4 / 3 + DOUBTS * (size - RELAY_CHALLENGE_SIZE));
	fixture_finish(&f);
}

static void test_both_move_at_once(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[SIZE];
	struct addr a2 = place_addr(11, 4000), b2 = place_addr(12, 5000);

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	leg_move(&legs[0], f.now);
	leg_move(&legs[1], f.now);
	fixture_run_leg(&f, &legs[0], &a2);
	fixture_run_leg(&f, &legs[1], &b2);
	make_sealed(packet, SIZE, PATH, 1);
	assert_int_equal(fixture_send(&f, &a2, packet, SIZE, 0), OK);
	assert_true(addr_equal(&f.out[0].route.remote, &b2));
	assert_int_equal(fixture_send(&f, &b2, packet, SIZE, 0), OK);
	assert_true(addr_equal(&f.out[0].route.remote, &a2));
	fixture_finish(&f);
}

static void bind_with_limits(struct fixture *f, struct leg legs[2], uint32_t rate_kbps, uint64_t bytes_max)
{
	struct ticket ticket = fixture_ticket(PATH);
	struct grants grants;

	ticket.rate_kbps_max = rate_kbps;
	ticket.bytes_max = bytes_max;
	fixture_seal(f, &ticket, &grants);
	for (uint8_t i = 0; i < 2; i++) {
		struct addr from = at((uint8_t)(i + 1));

		assert_int_equal(leg_init(&legs[i], PATH, &grants.leg[i], f->now), OK);
		fixture_run_leg(f, &legs[i], &from);
	}
}

/* 8 Mbit/s per leg: 1 MB a second after the burst. */
static void test_rate(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[1000];
	struct addr a = at(1), b = at(2);
	uint64_t passed = 0;

	(void)state;
	fixture_init(&f, NULL);
	bind_with_limits(&f, legs, 8000, 0);
	make_sealed(packet, sizeof packet, PATH, 1);
	for (unsigned ms = 0; ms < 10000; ms++) {
		for (unsigned i = 0; i < 3; i++)
			passed += fixture_send(&f, &a, packet, sizeof packet, 0) == OK;
		f.now = time_add(f.now, 1000);
	}
	assert_in_range(passed, 10000, 10000 + 263);
	/* Each leg has its own bucket. */
	assert_int_equal(fixture_send(&f, &b, packet, sizeof packet, 0), OK);
	fixture_finish(&f);
}

static void test_rate_of_the_relay_itself(void **state)
{
	struct relay_config config = {.wall_s = 1000000, .leg_kbps_max = 800, .pair_bytes_max = 5000};
	struct fixture f;
	struct leg legs[2];
	struct relay_pair_info info;
	uint32_t cursor = 0;

	(void)state;
	fixture_init(&f, &config);
	bind_with_limits(&f, legs, 8000, 100000);
	assert_true(relay_next_pair(f.relay, &cursor, &info));
	assert_int_equal(info.rate_kbps, 800);
	assert_int_equal(info.bytes_left, 5000);
	assert_false(relay_next_pair(f.relay, &cursor, &info));
	fixture_finish(&f);
}

static void test_cap_counts_both_directions(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[1000];
	struct addr a = at(1), b = at(2);
	struct relay_counters c;

	(void)state;
	fixture_init(&f, NULL);
	bind_with_limits(&f, legs, 0, 10500);
	make_sealed(packet, sizeof packet, PATH, 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(fixture_send(&f, i % 2 ? &a : &b, packet, sizeof packet, 0), OK);
	assert_int_equal(fixture_send(&f, &a, packet, sizeof packet, 0), ERR_EXHAUSTED);
	fixture_counters(&f, &c);
	assert_int_equal(c.dropped_cap, 1);
	fixture_finish(&f);
}

static void test_accounting(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[500];
	struct addr a = at(1), b = at(2);
	struct relay_pair_info info;
	uint32_t cursor = 0, pairs = 0;

	(void)state;
	fixture_init(&f, NULL);
	for (uint64_t path = 1; path <= 5; path++)
		fixture_bind_both(&f, path, legs);
	for (unsigned i = 0; i < 6; i++) {
		make_sealed(packet, sizeof packet, 3, 1);
		assert_int_equal(fixture_send(&f, i < 4 ? &a : &b, packet, sizeof packet, 0), OK);
	}
	while (relay_next_pair(f.relay, &cursor, &info)) {
		bool is_three = info.path_id == 3;

		pairs++;
		assert_int_equal(info.legs[0].packets, is_three ? 4 : 0);
		assert_int_equal(info.legs[1].bytes, is_three ? 1000 : 0);
		assert_true(addr_equal(&info.legs[0].remote, &a));
	}
	assert_int_equal(pairs, 5);
	fixture_finish(&f);
}

/* The forwarding path itself refuses what expiry has not swept yet. */
static void test_idle_leg_gets_nothing(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[100];
	struct addr a = at(1), b = at(2);

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	make_sealed(packet, sizeof packet, PATH, 1);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(fixture_send(&f, &a, packet, sizeof packet, 0), OK);
		f.now = time_add(f.now, USEC_PER_SEC);
	}
	assert_int_equal(fixture_send(&f, &a, packet, sizeof packet, 0), ERR_STATE);
	assert_int_equal(fixture_send(&f, &b, packet, sizeof packet, 0), ERR_DENIED);
	fixture_finish(&f);
}

static void test_what_is_not_pulled_is_lost(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[100];
	struct addr a = at(1);
	struct datagram in = {.route.remote = a, .bytes = packet, .size = sizeof packet}, out;
	struct relay_counters c;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, PATH, legs);
	make_sealed(packet, sizeof packet, PATH, 1);
	assert_int_equal(relay_input_datagram(f.relay, f.now, &in), OK);
	relay_input_time(f.relay, f.now);
	assert_false(relay_next_datagram(f.relay, &out));
	fixture_counters(&f, &c);
	assert_int_equal(c.dropped_queue, 1);
	fixture_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_bytes_by_pointer),
		cmocka_unit_test(test_only_end_to_end_types),
		cmocka_unit_test(test_open_relay_attempts),
		cmocka_unit_test(test_train_goes_whole),
		cmocka_unit_test(test_mixed_train_is_split_into_runs),
		cmocka_unit_test(test_foreign_segment_breaks_a_train),
		cmocka_unit_test(test_hostile_train_is_bounded),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_stolen_move_gains_a_burst_once),
		cmocka_unit_test(test_stolen_doubts_gain_ever_less),
		cmocka_unit_test(test_both_move_at_once),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_rate_of_the_relay_itself),
		cmocka_unit_test(test_cap_counts_both_directions),
		cmocka_unit_test(test_accounting),
		cmocka_unit_test(test_idle_leg_gets_nothing),
		cmocka_unit_test(test_what_is_not_pulled_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
