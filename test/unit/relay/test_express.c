/*
 * A forwarder beside the machine: which pairs it gets, when they come back, and that what it forwards is charged as
 * what the machine forwards itself. The forwarder here is the same decision on the copies, without any kernel.
 */
#include <string.h>

#include "fixture.h"
#include "proto/relay/express.h"
#include "proto/relay/memory.h"

enum { PATH = 7, SIZE = 1000, COPIES = 4, SLICE_US = 16384 };
#define MB (UINT64_C(1) << 20)

/* The forwarder: what it has, and how it was asked. */
struct beside {
	struct relay_copy copies[COPIES];
	bool used[COPIES], refuses, lost_way;
	unsigned installs, removals, asked;
};

struct express_fixture {
	struct fixture f;
	struct beside beside;
	struct leg legs[2];
	struct addr a, b;
};

static struct relay_copy *install(void *ctx, const struct relay_flow *flow, struct time_us now, struct time_us until)
{
	struct beside *beside = ctx;

	assert_true(until.us > now.us);
	beside->asked++;
	for (unsigned i = 0; i < COPIES && !beside->refuses; i++)
		if (!beside->used[i]) {
			beside->used[i] = true;
			beside->installs++;
			beside->copies[i] = (struct relay_copy){.flow = *flow, .until_us = until.us};
			return &beside->copies[i];
		}
	return NULL;
}

static bool renew(void *ctx, struct relay_copy *copy, struct time_us until)
{
	copy->until_us = until.us;
	return !((struct beside *)ctx)->lost_way;
}

static void take_away(void *ctx, struct relay_copy *copy, struct time_us now)
{
	struct beside *beside = ctx;

	(void)now;
	beside->removals++;
	beside->used[copy - beside->copies] = false;
}

static void express_fixture_init(struct express_fixture *e, struct relay_config config)
{
	struct relay_express express = {.ctx = &e->beside, .install = install, .renew = renew, .remove = take_away};

	*e = (struct express_fixture){.a = place_addr(1, 1000), .b = place_addr(2, 1000)};
	config.wall_s = 1000000;
	fixture_init_express(&e->f, &config, &express);
	fixture_bind_both(&e->f, PATH, e->legs);
	e->f.now = time_add(e->f.now, USEC_PER_SEC);
}

static enum err say(struct express_fixture *e, const struct addr *from)
{
	uint8_t packet[SIZE];

	make_sealed(packet, SIZE, PATH, 1);
	return fixture_send(&e->f, from, packet, SIZE, 0);
}

static bool is_beside(const struct express_fixture *e)
{
	return e->beside.installs > e->beside.removals;
}

/* The copy forwards one datagram, if it may; else the machine gets it, as the kernel passes it on. */
static enum relay_verdict forward_beside(struct express_fixture *e, unsigned from)
{
	struct relay_copy *copy = &e->beside.copies[0];
	const struct relay_endpoint *remote, *local;
	struct relay_endpoint src = copy->flow.legs[from].remote;
	enum relay_verdict verdict;

	assert_true(e->beside.used[0]);
	assert_true(e->f.now.us < copy->until_us);
	verdict = relay_flow_forward(&copy->flow, &src, 1, SIZE, e->f.now.us, &remote, &local);
	copy->dropped_rate += verdict == RELAY_DROP_RATE;
	if (verdict != RELAY_FORWARD)
		return verdict;
	assert_true(remote == &copy->flow.legs[1 - from].remote);
	return RELAY_FORWARD;
}

/* Nothing is remembered, so everything goes; what it did is in the pair's account a second later. */
static void test_without_a_memory_every_bound_pair_goes(void **state)
{
	struct express_fixture e;
	struct relay_pair_info info;
	struct relay_counters c;
	uint32_t cursor = 0;

	(void)state;
	express_fixture_init(&e, (struct relay_config){0});
	assert_false(is_beside(&e));
	assert_int_equal(say(&e, &e.a), OK);
	assert_int_equal(e.f.out_count, 1);
	assert_true(is_beside(&e));
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(forward_beside(&e, i % 4 == 0), RELAY_FORWARD);
	fixture_wait(&e.f, 1100 * 1000);
	fixture_counters(&e.f, &c);
	assert_int_equal(c.express_forwarded, 100);
	assert_int_equal(c.express_bytes, 100 * SIZE);
	assert_int_equal(c.forwarded, 101);
	assert_int_equal(c.forwarded_bytes, 101 * SIZE);
	assert_int_equal(c.express_pairs, 1);
	assert_true(relay_next_pair(e.f.relay, &cursor, &info));
	assert_int_equal(info.legs[0].packets, 76);
	assert_int_equal(info.legs[1].packets, 25);
	fixture_finish(&e.f);
	assert_int_equal(e.beside.removals, 1);
}

/* A silent pair comes back with the next look, and nobody wakes the relay for it any more. */
static void test_a_silent_pair_comes_back(void **state)
{
	struct express_fixture e;

	(void)state;
	express_fixture_init(&e, (struct relay_config){0});
	assert_int_equal(say(&e, &e.a), OK);
	assert_true(relay_next_deadline(e.f.relay).us <= e.f.now.us + EXPRESS_TICK_US);
	fixture_wait(&e.f, 1100 * 1000);
	assert_false(is_beside(&e));
	assert_true(relay_next_deadline(e.f.relay).us > e.f.now.us + 10 * USEC_PER_SEC);
	assert_int_equal(say(&e, &e.b), OK);
	assert_true(is_beside(&e));
	fixture_finish(&e.f);
}

/* count datagrams to b, evenly over us. */
static void stream(struct express_fixture *e, unsigned count, int64_t us)
{
	for (unsigned i = 0; i < count; i++) {
		fixture_wait(&e->f, us / count);
		assert_int_equal(say(e, &e->a), OK);
	}
}

/* What the memory has room for stays; a leg that is faster goes, and comes back when it is slow again. */
static void test_with_a_memory_only_fast_legs_go(void **state)
{
	enum { SHARE = EXPRESS_UNITS / MEMORY_SHARE };
	struct express_fixture e;
	struct relay_counters c;

	(void)state;
	express_fixture_init(&e, (struct relay_config){.memory_bytes = 64000000});
	e.f.now.us = (e.f.now.us / SLICE_US + 1) * SLICE_US;
	stream(&e, 20 * SHARE / 2, 20 * SLICE_US);
	assert_int_equal(e.beside.asked, 0);
	e.f.now.us = (e.f.now.us / SLICE_US + 1) * SLICE_US;
	stream(&e, SHARE, SLICE_US / 2);
	assert_false(is_beside(&e));
	assert_int_equal(say(&e, &e.a), OK);
	assert_true(is_beside(&e));
	for (unsigned second = 0; second < 3; second++) {
		for (unsigned i = 0; i < 20000; i++)
			assert_int_equal(forward_beside(&e, 0), RELAY_FORWARD);
		fixture_wait(&e.f, USEC_PER_SEC);
		assert_true(is_beside(&e));
	}
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(forward_beside(&e, 0), RELAY_FORWARD);
	fixture_wait(&e.f, USEC_PER_SEC);
	assert_false(is_beside(&e));
	fixture_counters(&e.f, &c);
	assert_int_equal(c.express_forwarded, 62000);
	fixture_finish(&e.f);
}

/* From the Bind on nothing goes to the old address; after the Answer everything goes to the new one. */
static void test_a_moving_leg_is_taken_back_first(void **state)
{
	struct addr moved = place_addr(9, 4000);
	uint8_t bytes[LEG_DATAGRAM_MAX];
	struct express_fixture e;
	size_t size;

	(void)state;
	express_fixture_init(&e, (struct relay_config){0});
	assert_int_equal(say(&e, &e.a), OK);
	assert_true(is_beside(&e));
	leg_move(&e.legs[0], e.f.now);
	assert_true(leg_output(&e.legs[0], e.f.now, bytes, &size));
	assert_int_equal(fixture_send(&e.f, &moved, bytes, size, 0), OK);
	assert_false(is_beside(&e));
	assert_int_equal(leg_input(&e.legs[0], e.f.now, e.f.out[0].bytes, e.f.out[0].size), OK);
	assert_int_equal(say(&e, &e.b), OK);
	assert_true(addr_equal(&e.f.out[0].route.remote, &moved));
	assert_false(is_beside(&e)); /* not while the new address has proved nothing */
	fixture_run_leg(&e.f, &e.legs[0], &moved);
	assert_true(leg_is_bound(&e.legs[0]));
	assert_false(is_beside(&e));
	assert_int_equal(say(&e, &e.b), OK);
	assert_true(is_beside(&e));
	assert_int_equal(e.beside.copies[0].flow.legs[0].remote.port, 4000);
	assert_int_equal(e.beside.copies[0].flow.legs[0].candidate.family, 0);
	fixture_finish(&e.f);
}

/* Whoever forwards, the two together never forward more than the pair's bytes, and all of them. */
static void test_the_cap_is_lent_and_kept(void **state)
{
	const uint64_t cap = 40 * MB;
	struct express_fixture e;
	uint64_t forwarded = 0;
	bool was_beside = false;

	(void)state;
	express_fixture_init(&e, (struct relay_config){.pair_bytes_max = cap});
	for (unsigned i = 0; i < 2 * cap / SIZE; i++) {
		bool is_forwarded = is_beside(&e) && forward_beside(&e, i % 3 == 0) == RELAY_FORWARD;

		was_beside |= is_forwarded;
		if (!is_forwarded && say(&e, i % 3 ? &e.a : &e.b) != OK)
			break;
		forwarded += SIZE;
		if (i % 1000 == 0)
			fixture_wait(&e.f, 100 * 1000);
	}
	assert_true(was_beside);
	assert_false(is_beside(&e)); /* the last of it is counted byte by byte */
	assert_true(forwarded <= cap && forwarded > cap - 2 * SIZE);
	fixture_finish(&e.f);
}

/* One bucket: what the forwarder has let pass is missing here, and the other way round. */
static void test_the_rate_holds_for_both_together(void **state)
{
	struct express_fixture e;
	struct relay_counters c;
	unsigned passed = 0, turned = 0;

	(void)state;
	express_fixture_init(&e, (struct relay_config){.leg_kbps_max = 8000}); /* a datagram of SIZE each millisecond */
	for (unsigned i = 0; i < 2000; i++) {
		bool through_kernel = is_beside(&e) && i % 2;

		passed += through_kernel ? forward_beside(&e, 0) == RELAY_FORWARD : say(&e, &e.a) == OK;
		turned += through_kernel;
	}
	assert_true(turned > 900);
	assert_in_range(passed, 256 * 1024 / SIZE - 2, 256 * 1024 / SIZE + 2); /* the burst */
	fixture_wait(&e.f, 1100 * 1000);
	fixture_counters(&e.f, &c);
	assert_int_equal(c.forwarded, passed);
	assert_int_equal(c.dropped_rate, 2000 - passed);
	fixture_finish(&e.f);
}

/* A refusal is not asked about again with every datagram; a lost way brings the pair back. */
static void test_refusals_and_lost_ways(void **state)
{
	struct express_fixture e;

	(void)state;
	express_fixture_init(&e, (struct relay_config){0});
	e.beside.refuses = true;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(say(&e, &e.a), OK);
	assert_int_equal(e.beside.asked, 1);
	e.beside.refuses = false;
	fixture_wait(&e.f, 1100 * 1000);
	assert_int_equal(say(&e, &e.a), OK);
	assert_true(is_beside(&e));
	assert_int_equal(forward_beside(&e, 0), RELAY_FORWARD);
	e.beside.lost_way = true;
	fixture_wait(&e.f, 1100 * 1000);
	assert_false(is_beside(&e));
	fixture_finish(&e.f);
}

/* A forwarder that passes on everything of a pair is left alone with it for a minute. */
static void test_what_is_lent_in_vain(void **state)
{
	struct express_fixture e;

	(void)state;
	express_fixture_init(&e, (struct relay_config){0});
	for (unsigned second = 0; second < 60; second++) {
		for (unsigned i = 0; i < 2 * EXPRESS_IN_VAIN; i++)
			assert_int_equal(say(&e, &e.a), OK);
		fixture_wait(&e.f, USEC_PER_SEC);
	}
	assert_int_equal(e.beside.asked, 1);
	assert_false(is_beside(&e));
	fixture_wait(&e.f, (EXPRESS_PAUSE - 56) << 20);
	assert_int_equal(say(&e, &e.a), OK);
	assert_true(is_beside(&e));
	fixture_finish(&e.f);
}

/* Heard there is heard; and a leg that is heard nowhere is gone from there too. */
static void test_life_and_end_of_a_pair(void **state)
{
	struct relay_pair_info info;
	struct express_fixture e;
	uint32_t cursor = 0;
	struct relay_counters c;

	(void)state;
	express_fixture_init(&e, (struct relay_config){0});
	assert_int_equal(say(&e, &e.a), OK);
	fixture_counters(&e.f, &c);
	for (unsigned i = 0; i < 2 * LEG_IDLE_US / USEC_PER_SEC && !c.legs_idle; i++) {
		if (e.f.now.us - e.beside.copies[0].flow.legs[1].heard_us < LEG_IDLE_US)
			assert_int_equal(forward_beside(&e, 0), RELAY_FORWARD);
		else if (is_beside(&e))
			assert_int_equal(forward_beside(&e, 0), RELAY_DROP_UNBOUND);
		fixture_wait(&e.f, USEC_PER_SEC / 2);
		fixture_counters(&e.f, &c);
	}
	assert_int_equal(c.legs_idle, 1); /* b, which never said a word; a goes on */
	assert_false(is_beside(&e));
	fixture_wait(&e.f, LEG_IDLE_US / 2);
	assert_true(relay_next_pair(e.f.relay, &cursor, &info) && info.legs[0].remote.ip.family);
	fixture_wait(&e.f, 2 * LEG_IDLE_US);
	fixture_counters(&e.f, &c);
	assert_int_equal(c.pairs_expired, 1);
	fixture_finish(&e.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_memory_every_bound_pair_goes),
		cmocka_unit_test(test_a_silent_pair_comes_back),
		cmocka_unit_test(test_with_a_memory_only_fast_legs_go),
		cmocka_unit_test(test_a_moving_leg_is_taken_back_first),
		cmocka_unit_test(test_the_cap_is_lent_and_kept),
		cmocka_unit_test(test_the_rate_holds_for_both_together),
		cmocka_unit_test(test_refusals_and_lost_ways),
		cmocka_unit_test(test_what_is_lent_in_vain),
		cmocka_unit_test(test_life_and_end_of_a_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
