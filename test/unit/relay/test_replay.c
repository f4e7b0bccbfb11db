/*
 * A leg that moved gets again what went to where it is not any more: that and nothing else, oldest first, once, and
 * nobody gets anything who does not hold the leg's key.
 */
#include <string.h>

#include "fixture.h"

enum { PATH = 7, SIZE = 1200, MS = 1000, REPLAY_BYTES = 512 * 1024 };

/* Legs 0 and 1 of a pair, bound at hosts 1 and 2; a2 is where leg 0 goes. */
struct pair_fixture {
	struct fixture f;
	struct leg legs[2];
	struct addr a, b, a2;
};

static void pair_init(struct pair_fixture *p, uint64_t bytes_max, uint32_t rate_kbps)
{
	struct relay_config config = {
		.wall_s = 1000000, .memory_bytes = 16000000, .pair_bytes_max = bytes_max, .leg_kbps_max = rate_kbps};

	fixture_init(&p->f, &config);
	fixture_bind_both(&p->f, PATH, p->legs);
	p->a = place_addr(1, 1000);
	p->b = place_addr(2, 1000);
	p->a2 = place_addr(11, 4000);
	p->f.now = time_add(p->f.now, 1000 * MS);
}

/* One packet that says which it is. */
static void say(struct pair_fixture *p, const struct addr *from, unsigned mark)
{
	uint8_t packet[SIZE];

	make_sealed(packet, SIZE, PATH, (uint8_t)mark);
	packet[HEADER_SIZE] = (uint8_t)(mark >> 8);
	assert_int_equal(fixture_send(&p->f, from, packet, SIZE, 0), OK);
}

static unsigned mark_of(const struct datagram *datagram)
{
	return datagram->bytes[7] | (unsigned)datagram->bytes[HEADER_SIZE] << 8;
}

/* Leg 0's Bind of the next generation. */
static size_t move(struct pair_fixture *p, uint8_t bind[LEG_DATAGRAM_MAX])
{
	size_t size;

	leg_move(&p->legs[0], p->f.now);
	assert_true(leg_output(&p->legs[0], p->f.now, bind, &size));
	return size;
}

/* Sends the Bind from there and gives the Challenge to the leg. */
static void bind_from(struct pair_fixture *p, const struct addr *from, const uint8_t *bind, size_t size)
{
	assert_int_equal(fixture_send(&p->f, from, bind, size, 0), OK);
	assert_true(p->f.out_count >= 1);
	assert_int_equal(p->f.out[0].bytes[0], PACKET_RELAY_CHALLENGE);
	assert_int_equal(leg_input(&p->legs[0], p->f.now, p->f.out[0].bytes, p->f.out[0].size), OK);
}

static void answer_from(struct pair_fixture *p, const struct addr *from)
{
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;

	assert_true(leg_output(&p->legs[0], p->f.now, bytes, &size));
	assert_int_equal(fixture_send(&p->f, from, bytes, size, 0), OK);
	assert_int_equal(p->f.out[0].bytes[0], PACKET_RELAY_BOUND);
	assert_int_equal(leg_input(&p->legs[0], p->f.now, p->f.out[0].bytes, p->f.out[0].size), OK);
	assert_true(leg_is_bound(&p->legs[0]));
}

/* Behind the reply: first, first + 1 ... last to `to`, and nothing else. */
static void assert_again(const struct pair_fixture *p, const struct addr *to, unsigned first, unsigned last)
{
	assert_int_equal(p->f.out_count, 1 + last + 1 - first);
	for (unsigned i = 1; i < p->f.out_count; i++) {
		assert_true(addr_equal(&p->f.out[i].route.remote, to));
		assert_true(addr_equal(&p->f.out[i].route.local, &relay_addr));
		assert_int_equal(p->f.out[i].size, SIZE);
		assert_int_equal(mark_of(&p->f.out[i]), first + i - 1);
	}
}

static void assert_nothing_again(const struct pair_fixture *p)
{
	assert_int_equal(p->f.out_count, 1);
}

/* Every 5 ms one to a; a is heard beside number `heard`. */
static void talk(struct pair_fixture *p, unsigned count, unsigned heard)
{
	for (unsigned i = 0; i < count; i++) {
		p->f.now = time_add(p->f.now, 5 * MS);
		say(p, &p->b, i);
		if (i == heard)
			say(p, &p->a, i);
	}
}

/* All that was forwarded since 60 ms before the old address was heard last. */
static void test_the_last_comes_again_oldest_first(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct relay_counters c;
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	talk(&p, 30, 25);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_again(&p, &p.a2, 25 - 60 / 5, 29);
	fixture_counters(&p.f, &c);
	assert_int_equal(c.replays, 1);
	assert_int_equal(c.replayed, 17);
	assert_int_equal(c.replayed_bytes, 17 * SIZE);
	/* Once: neither for the same Bind nor for its Answer, and fresh ones only go on. */
	assert_int_equal(fixture_send(&p.f, &p.a2, bind, size, 0), OK);
	assert_nothing_again(&p);
	say(&p, &p.b, 30);
	assert_int_equal(p.f.out_count, 1);
	assert_true(addr_equal(&p.f.out[0].route.remote, &p.a2));
	answer_from(&p, &p.a2);
	assert_nothing_again(&p);
	fixture_finish(&p.f);
}

/* A round trip of 100 ms, measured when the leg was bound: 135 ms before it was heard last. */
static void test_a_long_round_trip_brings_more(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	struct addr a3 = place_addr(12, 4000);
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	p.f.now = time_add(p.f.now, 98 * MS);
	answer_from(&p, &p.a2);
	p.a = p.a2;
	talk(&p, 40, 39);
	size = move(&p, bind);
	bind_from(&p, &a3, bind, size);
	assert_again(&p, &a3, 39 - 135 / 5, 39);
	fixture_finish(&p.f);
}

/* However long the old address has been silent. */
static void test_nothing_older_than_a_quarter_second(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	talk(&p, 100, 20);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_again(&p, &p.a2, 99 - 245 / 5, 99);
	fixture_finish(&p.f);
}

static void test_a_train_stays_a_train(void **state)
{
	enum { COUNT = 40, LAST = 100, TOTAL = (COUNT - 1) * SIZE + LAST };
	static uint8_t train[TOTAL];
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	for (unsigned i = 0; i < COUNT; i++)
		make_sealed(train + i * SIZE, i == COUNT - 1 ? LAST : SIZE, PATH, (uint8_t)i);
	assert_int_equal(fixture_send(&p.f, &p.b, train, TOTAL, SIZE), OK);
	say(&p, &p.a, 0);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_int_equal(p.f.out_count, 2);
	assert_int_equal(p.f.out[1].size, TOTAL);
	assert_int_equal(p.f.out[1].segment_size, SIZE);
	assert_memory_equal(p.f.out[1].bytes, train, TOTAL);
	assert_ptr_not_equal(p.f.out[1].bytes, train);
	fixture_finish(&p.f);
}

/*
 * More than E5's burst: the newest that fits comes with the Bind; fresh ones that do not fit go to the old address,
 * and these and the rest come when the new one is proved.
 */
static void test_the_burst_and_then_the_rest(void **state)
{
	enum { FIRST = 100, WITH_BIND = UNVALIDATED_BURST_BYTES / SIZE, ALL = 300 };
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	size_t size;
	unsigned fresh;

	(void)state;
	pair_init(&p, 0, 0);
	for (unsigned i = 0; i < ALL; i++) {
		p.f.now = time_add(p.f.now, 150); /* 64 Mbit/s */
		say(&p, &p.b, i);
	}
	say(&p, &p.a, 0);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_again(&p, &p.a2, ALL - WITH_BIND, ALL - 1);
	for (fresh = ALL; fresh < ALL + 20; fresh++) {
		say(&p, &p.b, fresh);
		assert_true(addr_equal(&p.f.out[0].route.remote, &p.a));
	}
	answer_from(&p, &p.a2);
	assert_int_equal(p.f.out_count, 1 + ALL - WITH_BIND + 20);
	assert_int_equal(mark_of(&p.f.out[1]), 0);
	assert_int_equal(mark_of(&p.f.out[ALL - WITH_BIND]), ALL - WITH_BIND - 1);
	assert_int_equal(mark_of(&p.f.out[ALL - WITH_BIND + 1]), ALL);
	fixture_finish(&p.f);
}

static void test_bounded(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	for (unsigned i = 0; i < 1500; i++) {
		p.f.now = time_add(p.f.now, 100);
		say(&p, &p.b, i);
	}
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_int_equal(p.f.out_count, 1 + UNVALIDATED_BURST_BYTES / SIZE);
	answer_from(&p, &p.a2);
	assert_int_equal(p.f.out_count, 1 + REPLAY_BYTES / SIZE);
	fixture_finish(&p.f);
}

/* A forwarder who copies the Bind and is faster gains E5's burst, once; all of it comes to who answers. */
static void test_a_thief_gains_the_burst_once(void **state)
{
	enum { ALL = 400 };
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct addr x = place_addr(66, 66), x2 = place_addr(67, 66);
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	for (unsigned i = 0; i < ALL; i++) {
		p.f.now = time_add(p.f.now, 100);
		say(&p, &p.b, i);
	}
	say(&p, &p.a, 0);
	size = move(&p, bind);
	assert_int_equal(fixture_send(&p.f, &x, bind, size, 0), OK);
	assert_again(&p, &x, ALL - UNVALIDATED_BURST_BYTES / SIZE, ALL - 1);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(fixture_send(&p.f, i % 2 ? &x2 : &x, bind, size, 0), OK);
		assert_nothing_again(&p);
	}
	bind_from(&p, &p.a2, bind, size);
	assert_nothing_again(&p);
	answer_from(&p, &p.a2);
	assert_again(&p, &p.a2, 0, ALL - 1);
	fixture_finish(&p.f);
}

/* Strangers, old Binds, and who does not hold the key. */
static void test_nobody_else_gets_anything(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX], broken[LEG_DATAGRAM_MAX];
	struct addr x = place_addr(66, 66);
	struct relay_counters c;
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	answer_from(&p, &p.a2);
	p.a = p.a2;
	talk(&p, 30, 29);
	assert_int_equal(fixture_send(&p.f, &x, bind, size, 0), OK); /* of the generation that is bound */
	assert_nothing_again(&p);
	size = move(&p, bind);
	for (size_t i = HEADER_SIZE; i < size; i += 7) {
		memcpy(broken, bind, size);
		broken[i] ^= 1;
		(void)fixture_send(&p.f, &x, broken, size, 0);
		assert_int_equal(p.f.out_count, 0);
	}
	fixture_counters(&p.f, &c);
	assert_int_equal(c.replayed, 0);
	fixture_finish(&p.f);
}

/* The same address under a new generation has lost nothing that is known of. */
static void test_not_to_an_address_that_had_it(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	talk(&p, 30, 29);
	size = move(&p, bind);
	bind_from(&p, &p.a, bind, size);
	assert_nothing_again(&p);
	answer_from(&p, &p.a);
	assert_nothing_again(&p);
	fixture_finish(&p.f);
}

/* To and fro between two own addresses makes three times the peer's bytes, and no more. */
static void test_to_and_fro_is_bounded(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	uint64_t again = 0;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	talk(&p, 10, 9);
	for (unsigned i = 0; i < 20; i++) {
		const struct addr *to = i % 2 ? &p.a : &p.a2;

		p.f.now = time_add(p.f.now, MS);
		size = move(&p, bind);
		bind_from(&p, to, bind, size);
		again += p.f.out_count - 1;
		answer_from(&p, to);
		again += p.f.out_count - 1;
	}
	assert_int_equal(again, 2 * 10);
	fixture_finish(&p.f);
}

static void test_cap_and_rate_count(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct relay_pair_info info;
	struct pair_fixture p;
	uint32_t cursor = 0;
	size_t size;

	(void)state;
	pair_init(&p, 15 * SIZE, 0);
	talk(&p, 10, 9);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_again(&p, &p.a2, 0, 3); /* 15 less 10 from b and one from a */
	assert_true(relay_next_pair(p.f.relay, &cursor, &info));
	assert_int_equal(info.bytes_left, 0);
	fixture_finish(&p.f);

	pair_init(&p, 0, 1000); /* 1 Mbit/s after a burst of 256 KB */
	for (unsigned i = 0; i < 200; i++)
		say(&p, &p.b, i);
	say(&p, &p.a, 0);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_int_equal(p.f.out_count, 1 + 256 * 1024 / SIZE - 200);
	fixture_finish(&p.f);
}

/* Both move at once: each gets what the other one sent. */
static void test_each_leg_gets_its_own(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct addr b2 = place_addr(12, 5000);
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	for (unsigned i = 0; i < 10; i++) {
		say(&p, &p.b, i);
		say(&p, &p.a, 100 + i);
	}
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_again(&p, &p.a2, 0, 9);
	leg_move(&p.legs[1], p.f.now);
	assert_true(leg_output(&p.legs[1], p.f.now, bind, &size));
	assert_int_equal(fixture_send(&p.f, &b2, bind, size, 0), OK);
	assert_again(&p, &b2, 100, 109);
	fixture_finish(&p.f);
}

/* Of one pair nothing comes to another. */
static void test_not_what_was_another_pairs(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	struct leg legs[2];
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	talk(&p, 10, 9);
	fixture_bind_both(&p.f, PATH + 1, legs);
	leg_move(&legs[0], p.f.now);
	assert_true(leg_output(&legs[0], p.f.now, bind, &size));
	assert_int_equal(fixture_send(&p.f, &p.a2, bind, size, 0), OK);
	assert_nothing_again(&p);
	fixture_finish(&p.f);
}

static void test_switched_off(void **state)
{
	struct relay_config config = {.wall_s = 1000000};
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct pair_fixture p;
	size_t size;

	(void)state;
	pair_init(&p, 0, 0);
	fixture_finish(&p.f);
	fixture_init(&p.f, &config);
	fixture_bind_both(&p.f, PATH, p.legs);
	talk(&p, 10, 9);
	size = move(&p, bind);
	bind_from(&p, &p.a2, bind, size);
	assert_nothing_again(&p);
	fixture_finish(&p.f);
}

/* A driver that does not pull loses it, and it is counted. */
static void test_what_is_not_pulled_is_lost(void **state)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	struct relay_counters c;
	struct pair_fixture p;
	struct datagram in = {.bytes = bind}, out;

	(void)state;
	pair_init(&p, 0, 0);
	talk(&p, 10, 9);
	in.size = move(&p, bind);
	in.route = (struct route){.local = relay_addr, .remote = p.a2};
	assert_int_equal(relay_input_datagram(p.f.relay, p.f.now, &in), OK);
	relay_input_time(p.f.relay, p.f.now);
	assert_false(relay_next_datagram(p.f.relay, &out));
	fixture_counters(&p.f, &c);
	assert_int_equal(c.dropped_queue, 11);
	fixture_finish(&p.f);
}

/* Leg 1 is there, leg 0 is not yet: what was said meanwhile is the first that it hears. */
static void early_init(struct pair_fixture *p, uint64_t bytes_max)
{
	struct relay_config config = {.wall_s = 1000000, .memory_bytes = 16000000, .pair_bytes_max = bytes_max};
	struct ticket ticket = fixture_ticket(PATH);
	struct grants grants;

	fixture_init(&p->f, &config);
	fixture_seal(&p->f, &ticket, &grants);
	p->a = place_addr(1, 1000);
	p->b = place_addr(2, 1000);
	p->a2 = place_addr(11, 4000);
	for (int i = 0; i < 2; i++)
		assert_int_equal(leg_init(&p->legs[i], PATH, &grants.leg[i], p->f.now), OK);
	fixture_run_leg(&p->f, &p->legs[1], &p->b);
	p->f.now = time_add(p->f.now, 100 * MS);
}

/* In vain: nobody is there, or nobody who may. */
static void say_in_vain(struct pair_fixture *p, const struct addr *from, unsigned mark, enum err expected)
{
	uint8_t packet[SIZE];

	make_sealed(packet, SIZE, PATH, (uint8_t)mark);
	packet[HEADER_SIZE] = 0;
	assert_int_equal(fixture_send(&p->f, from, packet, SIZE, 0), expected);
	assert_int_equal(p->f.out_count, 0);
}

static void first_bind(struct pair_fixture *p)
{
	uint8_t bind[LEG_DATAGRAM_MAX];
	size_t size;

	assert_true(leg_output(&p->legs[0], p->f.now, bind, &size));
	bind_from(p, &p->a, bind, size);
	assert_nothing_again(p); /* it has not proved where it is */
}

static void test_who_comes_later_misses_nothing(void **state)
{
	struct relay_counters c;
	struct pair_fixture p;

	(void)state;
	early_init(&p, 0);
	say_in_vain(&p, &p.a2, 99, ERR_DENIED); /* a stranger's */
	for (unsigned i = 0; i < 10; i++) {
		say_in_vain(&p, &p.b, i, ERR_STATE);
		p.f.now = time_add(p.f.now, 5 * MS);
	}
	first_bind(&p);
	say_in_vain(&p, &p.b, 10, ERR_STATE); /* more than it may get before */
	answer_from(&p, &p.a);
	assert_again(&p, &p.a, 0, 10);
	relay_get_counters(p.f.relay, &c);
	assert_int_equal(c.replayed, 11);
	say(&p, &p.b, 11);
	assert_int_equal(p.f.out_count, 1);
	fixture_finish(&p.f);
}

/* It is paid for when it is given out; what is older than a quarter of a second is of no use to anybody. */
static void test_early_is_paid_for(void **state)
{
	struct pair_fixture p;

	(void)state;
	early_init(&p, 3 * SIZE);
	for (unsigned i = 0; i < 10; i++)
		say_in_vain(&p, &p.b, i, ERR_STATE);
	first_bind(&p);
	answer_from(&p, &p.a);
	assert_again(&p, &p.a, 0, 2);
	say_in_vain(&p, &p.b, 11, ERR_EXHAUSTED);
	fixture_finish(&p.f);
	early_init(&p, 0);
	say_in_vain(&p, &p.b, 0, ERR_STATE);
	p.f.now = time_add(p.f.now, 300 * MS);
	say_in_vain(&p, &p.b, 1, ERR_STATE);
	first_bind(&p);
	answer_from(&p, &p.a);
	assert_again(&p, &p.a, 1, 1);
	fixture_finish(&p.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_comes_again_oldest_first),
		cmocka_unit_test(test_who_comes_later_misses_nothing),
		cmocka_unit_test(test_early_is_paid_for),
		cmocka_unit_test(test_a_long_round_trip_brings_more),
		cmocka_unit_test(test_nothing_older_than_a_quarter_second),
		cmocka_unit_test(test_a_train_stays_a_train),
		cmocka_unit_test(test_the_burst_and_then_the_rest),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_a_thief_gains_the_burst_once),
		cmocka_unit_test(test_nobody_else_gets_anything),
		cmocka_unit_test(test_not_to_an_address_that_had_it),
		cmocka_unit_test(test_to_and_fro_is_bounded),
		cmocka_unit_test(test_cap_and_rate_count),
		cmocka_unit_test(test_each_leg_gets_its_own),
		cmocka_unit_test(test_not_what_was_another_pairs),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_what_is_not_pulled_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
