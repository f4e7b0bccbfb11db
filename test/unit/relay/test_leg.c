/*
 * The node's half of a leg, by itself and against the relay: retransmission, warmth, moves, and what a stranger can
 * make it do.
 */
#include <string.h>

#include "fixture.h"

enum { PATH = 11 };

static void make_leg(struct fixture *f, struct leg *leg, uint8_t index)
{
	struct ticket ticket = fixture_ticket(PATH);
	struct grants grants;

	fixture_seal(f, &ticket, &grants);
	assert_int_equal(leg_init(leg, PATH, &grants.leg[index], f->now), OK);
}

static void test_bad_grants(void **state)
{
	struct fixture f;
	struct leg leg;
	struct ticket ticket = fixture_ticket(PATH);
	struct grants grants;
	uint8_t large[TICKET_MAX_SIZE + 1] = {0};

	(void)state;
	fixture_init(&f, NULL);
	fixture_seal(&f, &ticket, &grants);
	grants.leg[0].leg = 2;
	assert_int_equal(leg_init(&leg, PATH, &grants.leg[0], f.now), ERR_MALFORMED);
	grants.leg[0].leg = 0;
	grants.leg[0].addresses.count = 0;
	assert_int_equal(leg_init(&leg, PATH, &grants.leg[0], f.now), ERR_MALFORMED);
	grants.leg[1].ticket = (struct blob){large, sizeof large};
	assert_int_equal(leg_init(&leg, PATH, &grants.leg[1], f.now), ERR_MALFORMED);
	fixture_finish(&f);
}

/* 0, 100, 300, 700, 1500, 3100 ms, then every 2 s. */
static void test_retries_back_off(void **state)
{
	static const int64_t expected_us[] = {100000, 100000, 100000, 100000, 100000, 100000,
					      100000, 100000, 100000, 112500, 126562};
	struct fixture f;
	struct leg leg;
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	assert_int_equal(leg_deadline(&leg).us, f.now.us);
	for (unsigned i = 0; i < 100; i++) {
		f.now = leg_deadline(&leg);
		assert_true(leg_output(&leg, f.now, bytes, &size));
		assert_true(size >= RELAY_BIND_MIN && size <= LEG_DATAGRAM_MAX);
		assert_false(leg_output(&leg, f.now, bytes, &size));
		if (i < sizeof expected_us / sizeof *expected_us)
			assert_int_equal(time_since(leg_deadline(&leg), f.now), expected_us[i]);
	}
	assert_int_equal(time_since(leg_deadline(&leg), f.now), HANDSHAKE_RETRY_MAX_US);
	leg_move(&leg, f.now); /* another network: nothing is known of this one */
	assert_true(leg_output(&leg, f.now, bytes, &size));
	assert_int_equal(time_since(leg_deadline(&leg), f.now), HANDSHAKE_RETRY_US);
	fixture_finish(&f);
}

static void test_stays_warm_and_measures(void **state)
{
	struct fixture f;
	struct leg leg;
	struct addr a = place_addr(1, 1000);
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;
	struct relay_counters c;

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	fixture_run_leg(&f, &leg, &a);
	assert_true(leg_is_bound(&leg));
	/* An hour without data. */
	for (unsigned i = 0; i < 180; i++) {
		assert_int_equal(time_since(leg_deadline(&leg), f.now), KEEPALIVE_US);
		fixture_wait(&f, KEEPALIVE_US);
		fixture_run_leg(&f, &leg, &a);
		assert_true(leg_is_bound(&leg));
	}
	fixture_counters(&f, &c);
	assert_int_equal(c.bound, 1);
	assert_int_equal(c.moved, 0);
	assert_int_equal(c.legs_idle, 0);
	/* 30 ms there and back. */
	fixture_wait(&f, KEEPALIVE_US);
	assert_true(leg_output(&leg, f.now, bytes, &size));
	assert_int_equal(fixture_send(&f, &a, bytes, size, 0), OK);
	assert_int_equal(leg_input(&leg, time_add(f.now, 30000), f.out[0].bytes, f.out[0].size), OK);
	assert_int_equal(leg.rtt_us, 30000);
	fixture_finish(&f);
}

/* A relay that lost everything learns the pair again from the next warm Bind. */
static void test_survives_relay_restart(void **state)
{
	struct fixture f, fresh;
	struct leg leg;
	struct addr a = place_addr(1, 1000);

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	fixture_run_leg(&f, &leg, &a);
	fixture_finish(&f);
	fixture_init(&fresh, NULL);
	fresh.now = time_add(fresh.now, 1000000);
	leg_refresh(&leg, fresh.now);
	fixture_run_leg(&fresh, &leg, &a);
	assert_true(leg_is_bound(&leg));
	assert_int_equal(fresh.event_count, 1);
	fixture_finish(&fresh);
}

static void test_nat_rebinding_is_followed(void **state)
{
	struct fixture f;
	struct leg leg;
	struct addr a = place_addr(1, 1000), a2 = place_addr(1, 1001);

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	fixture_run_leg(&f, &leg, &a);
	fixture_wait(&f, KEEPALIVE_US);
	fixture_run_leg(&f, &leg, &a2);
	assert_true(leg_is_bound(&leg));
	assert_int_equal(f.events[1].type, RELAY_EVENT_LEG_MOVED);
	assert_true(addr_equal(&f.events[1].remote, &a2));
	fixture_finish(&f);
}

/* One datagram of the leg reaches the relay from there, and the leg hears the answer; false: nothing was due. */
static bool exchange(struct fixture *f, struct leg *leg, const struct addr *from, bool is_heard)
{
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;

	if (!leg_output(leg, f->now, bytes, &size))
		return false;
	(void)fixture_send(f, from, bytes, size, 0);
	if (is_heard && f->out_count)
		(void)leg_input(leg, f->now, f->out[0].bytes, f->out[0].size);
	return true;
}

/* The relay has bound where the NAT had us, and hears us there up to now; Bound never comes. */
static void test_nat_forgets_between_answer_and_bound(void **state)
{
	struct fixture f;
	struct leg leg;
	struct addr a = place_addr(1, 1000), a2 = place_addr(1, 1001);
	unsigned sent = 0;

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	assert_true(exchange(&f, &leg, &a, true));
	assert_true(exchange(&f, &leg, &a, false));
	assert_false(leg_is_bound(&leg));
	f.now = leg_deadline(&leg);
	while (exchange(&f, &leg, &a2, true))
		assert_true(++sent <= 2);
	assert_true(leg_is_bound(&leg));
	assert_true(addr_equal(&f.events[1].remote, &a2));
	fixture_finish(&f);
}

/* Every reply comes after more than the first retransmission: asking anew must not outrun the answers. */
static void test_far_relay_is_bound(void **state)
{
	enum { ONE_WAY_US = 90 * 1000, SPAN_US = 1000 * 1000, STEP_US = 1000, QUEUE = 16 };
	struct far {
		struct time_us at;
		uint8_t bytes[LEG_DATAGRAM_MAX];
		size_t size;
	} out[QUEUE], in[QUEUE];
	unsigned out_count = 0, in_count = 0, out_at = 0, in_at = 0;
	struct addr a = place_addr(1, 1000);
	struct time_us end;
	struct fixture f;
	struct leg leg;

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	for (end = time_add(f.now, SPAN_US); !leg_is_bound(&leg); f.now = time_add(f.now, STEP_US)) {
		assert_false(time_reached(f.now, end));
		while (out_count < QUEUE && leg_output(&leg, f.now, out[out_count].bytes, &out[out_count].size))
			out[out_count++].at = time_add(f.now, ONE_WAY_US);
		for (; out_at < out_count && time_reached(f.now, out[out_at].at); out_at++) {
			(void)fixture_send(&f, &a, out[out_at].bytes, out[out_at].size, 0);
			assert_true(f.out_count == 1 && in_count < QUEUE);
			in[in_count].at = time_add(f.now, ONE_WAY_US);
			in[in_count].size = f.out[0].size;
			memcpy(in[in_count++].bytes, f.out[0].bytes, f.out[0].size);
		}
		for (; in_at < in_count && time_reached(f.now, in[in_at].at); in_at++)
			(void)leg_input(&leg, f.now, in[in_at].bytes, in[in_at].size);
	}
	assert_int_equal(leg.generation, 0);
	fixture_finish(&f);
}

static void test_refresh_is_rationed(void **state)
{
	struct fixture f;
	struct leg leg;
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;
	struct addr a = place_addr(1, 1000);
	unsigned sent = 0;

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	fixture_run_leg(&f, &leg, &a);
	for (unsigned ms = 0; ms < 1000; ms++) {
		leg_refresh(&leg, f.now);
		sent += leg_output(&leg, f.now, bytes, &size);
		f.now = time_add(f.now, 1000);
	}
	assert_in_range(sent, 9, 11);
	fixture_finish(&f);
}

static void test_unconfirmed_leg_is_not_bound(void **state)
{
	struct fixture f;
	struct leg leg;
	struct addr a = place_addr(1, 1000);
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	fixture_run_leg(&f, &leg, &a);
	/* The relay is dead: after LEG_TRIES_PER_ADDRESS unanswered Binds the leg says so. */
	for (unsigned i = 0; i < LEG_TRIES_PER_ADDRESS + 1; i++) {
		assert_true(leg_is_bound(&leg));
		f.now = leg_deadline(&leg);
		assert_true(leg_output(&leg, f.now, bytes, &size));
	}
	assert_false(leg_is_bound(&leg));
	fixture_finish(&f);
}

static void test_next_address_of_the_relay(void **state)
{
	struct fixture f;
	struct leg leg;
	struct ticket ticket = fixture_ticket(PATH);
	struct grants grants;
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;
	uint32_t generation;

	(void)state;
	fixture_init(&f, NULL);
	fixture_seal(&f, &ticket, &grants);
	grants.leg[0].addresses.count = 2;
	grants.leg[0].addresses.list[1] = (struct addr){.ip = {.family = 6, .bytes = {0x20, 0x01}}, .port = 7367};
	assert_int_equal(leg_init(&leg, PATH, &grants.leg[0], f.now), OK);
	generation = leg.generation;
	for (unsigned i = 0; i < LEG_TRIES_PER_ADDRESS; i++) {
		assert_int_equal(leg_relay(&leg)->ip.family, 4);
		f.now = leg_deadline(&leg);
		assert_true(leg_output(&leg, f.now, bytes, &size));
	}
	f.now = leg_deadline(&leg);
	assert_true(leg_output(&leg, f.now, bytes, &size));
	assert_int_equal(leg_relay(&leg)->ip.family, 6);
	assert_true(leg.generation > generation);
	leg_prefer_family(&leg, 4);
	assert_int_equal(leg_relay(&leg)->ip.family, 4);
	assert_true(leg_output(&leg, f.now, bytes, &size));
	fixture_finish(&f);
}

/* What a stranger sends changes nothing, bit by bit. */
static void test_forged_challenges(void **state)
{
	struct fixture f;
	struct leg leg, before;
	struct addr a = place_addr(1, 1000);
	uint8_t bytes[LEG_DATAGRAM_MAX], challenge[RELAY_CHALLENGE_SIZE];
	size_t size;

	(void)state;
	fixture_init(&f, NULL);
	make_leg(&f, &leg, 0);
	assert_true(leg_output(&leg, f.now, bytes, &size));
	assert_int_equal(fixture_send(&f, &a, bytes, size, 0), OK);
	assert_int_equal(f.out[0].size, sizeof challenge);
	memcpy(challenge, f.out[0].bytes, sizeof challenge);
	before = leg;
	for (size_t bit = 0; bit < sizeof challenge * 8; bit++) {
		challenge[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(leg_input(&leg, f.now, challenge, sizeof challenge), OK);
		assert_memory_equal(&leg, &before, sizeof leg);
		challenge[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < sizeof challenge; cut++)
		assert_int_not_equal(leg_input(&leg, f.now, challenge, cut), OK);
	/* An old generation's. */
	leg_move(&leg, f.now);
	assert_int_equal(leg_input(&leg, f.now, challenge, sizeof challenge), ERR_STATE);
	leg = before;
	assert_int_equal(leg_input(&leg, f.now, challenge, sizeof challenge), OK);
	assert_true(leg_output(&leg, f.now, bytes, &size));
	assert_int_equal(size, RELAY_CHALLENGE_SIZE);
	fixture_finish(&f);
}

/* However the four datagrams are lost, the leg is bound in bounded time. */
static void test_every_loss_pattern(void **state)
{
	(void)state;
	for (unsigned pattern = 0; pattern < 256; pattern++) {
		struct fixture f;
		struct leg leg;
		struct addr a = place_addr(1, 1000);
		uint8_t bytes[LEG_DATAGRAM_MAX];
		unsigned at = 0;
		size_t size;
		struct time_us start;

		fixture_init(&f, NULL);
		make_leg(&f, &leg, 0);
		start = f.now;
		while (!leg_is_bound(&leg)) {
			if (!time_reached(f.now, leg_deadline(&leg)))
				f.now = leg_deadline(&leg);
			assert_true(leg_output(&leg, f.now, bytes, &size));
			if (at < 8 && pattern >> at++ & 1)
				continue;
			(void)fixture_send(&f, &a, bytes, size, 0);
			if (f.out_count && !(at < 8 && pattern >> at++ & 1))
				(void)leg_input(&leg, f.now, f.out[0].bytes, f.out[0].size);
			assert_true(time_since(f.now, start) < 30 * USEC_PER_SEC);
		}
		fixture_finish(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_grants),
		cmocka_unit_test(test_retries_back_off),
		cmocka_unit_test(test_stays_warm_and_measures),
		cmocka_unit_test(test_survives_relay_restart),
		cmocka_unit_test(test_nat_rebinding_is_followed),
		cmocka_unit_test(test_nat_forgets_between_answer_and_bound),
		cmocka_unit_test(test_far_relay_is_bound),
		cmocka_unit_test(test_refresh_is_rationed),
		cmocka_unit_test(test_unconfirmed_leg_is_not_bound),
		cmocka_unit_test(test_next_address_of_the_relay),
		cmocka_unit_test(test_forged_challenges),
		cmocka_unit_test(test_every_loss_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
