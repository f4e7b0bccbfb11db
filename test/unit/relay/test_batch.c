/*
 * Many datagrams in one turn: what comes out is what one by one would have given, in the same order and with the same
 * counters, whoever's they are; also where a leg moves in the middle.
 */
#include <string.h>

#include "crypto/hash.h"
#include "fixture.h"

enum { PAIRS = 6, ROUNDS = 600, TRAIN_SEGMENTS = 40, MEMORY_BYTES = 1 << 20 };

/* One of the two relays that are compared, and what it sent. */
struct side {
	struct fixture f;
	struct leg legs[PAIRS][2];
	uint64_t count;
	uint8_t hash[HASH_BYTES]; /* over everything that it sent, in order */
};

struct input {
	struct datagram datagrams[RELAY_BATCH_MAX];
	uint8_t bytes[RELAY_BATCH_MAX][TRAIN_SEGMENTS * 100];
	size_t count;
};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *state >> 33;
}

static void side_init(struct side *side, uint32_t leg_kbps_max)
{
	struct relay_config config = {.wall_s = 1000000,
				      .memory_bytes = MEMORY_BYTES,
				      .leg_kbps_max = leg_kbps_max,
				      .pair_bytes_max = leg_kbps_max ? 0 : 400000};

	*side = (struct side){0};
	fixture_init(&side->f, &config);
	for (uint64_t i = 0; i < PAIRS; i++)
		fixture_bind_both(&side->f, i + 1, side->legs[i]);
}

/* Bytes that are sent again are the relay's own, so pointers are not compared. */
static void note(struct side *side, const struct datagram *out)
{
	uint8_t head[ADDR_TEXT_MAX * 2 + 8] = {0};
	struct blob parts[] = {{side->hash, HASH_BYTES}, {head, sizeof head}, {out->bytes, out->size}};

	(void)addr_format(&out->route.remote, (char *)head);
	(void)addr_format(&out->route.local, (char *)head + ADDR_TEXT_MAX);
	memcpy(head + 2 * ADDR_TEXT_MAX, &out->segment_size, sizeof out->segment_size);
	hash_parts(parts, 3, side->hash);
	side->count++;
}

static void pull(struct side *side)
{
	struct datagram out;

	while (relay_next_datagram(side->f.relay, &out))
		note(side, &out);
}

static void pull_many(struct side *side)
{
	const struct datagram *out;
	size_t count;

	while ((count = relay_next_datagrams(side->f.relay, &out)) > 0)
		for (size_t i = 0; i < count; i++)
			note(side, &out[i]);
}

/* Sealed segments of one pair or, one time in four, of several; the last may be short, or too short for anything. */
static void make_train(struct input *input, uint64_t *random)
{
	static const struct addr from[] = {
		{{4, {192, 0, 2, 1}}, 1000}, {{4, {192, 0, 2, 2}}, 1000}, {{4, {192, 0, 2, 99}}, 1000}};
	struct datagram *datagram = &input->datagrams[input->count];
	uint8_t *bytes = input->bytes[input->count++];
	size_t segment = 40 + next_random(random) % 60, count = 1 + next_random(random) % TRAIN_SEGMENTS;
	uint64_t path_id = 1 + next_random(random) % (PAIRS + 1); /* nobody has the last */
	bool is_mixed = next_random(random) % 4 == 0;

	for (size_t i = 0; i < count; i++) {
		if (is_mixed && next_random(random) % 3 == 0)
			path_id = 1 + next_random(random) % (PAIRS + 1);
		make_sealed(bytes + i * segment, segment, path_id, (uint8_t)i);
		if (is_mixed && next_random(random) % 16 == 0)
			bytes[i * segment] = (uint8_t)next_random(random);
	}
	*datagram = (struct datagram){
		.route = {.local = relay_addr, .ifindex = 7, .remote = from[next_random(random) % 12 / 5]},
		.bytes = bytes,
		.size = count * segment - next_random(random) % 3 * (segment / 2 - 8),
		.segment_size = (uint16_t)segment,
	};
}

/* One by one, of one pair or nearly so, from one address or nearly so. */
static void make_singles(struct input *input, uint64_t *random, size_t most)
{
	size_t first = input->count, wished = first + 1 + next_random(random) % 12;

	make_train(input, random);
	for (input->datagrams[first].size = 40; input->count < wished && input->count < most; input->count++) {
		struct datagram *datagram = &input->datagrams[input->count];

		*datagram = input->datagrams[first];
		datagram->bytes = input->bytes[input->count];
		datagram->size = 20 + next_random(random) % 60;
		datagram->segment_size = next_random(random) % 3 ? 0 : 79;
		memcpy(input->bytes[input->count], input->bytes[first], datagram->size);
		if (next_random(random) % 16 == 0)
			input->bytes[input->count][15] = (uint8_t)(1 + next_random(random) % (PAIRS + 1));
		if (next_random(random) % 24 == 0)
			datagram->size = next_random(random) % HEADER_SIZE + 1;
		if (next_random(random) % 24 == 0)
			datagram->route.remote = place_addr((uint8_t)(1 + next_random(random) % 3), 1000);
		if (next_random(random) % 24 == 0)
			input->bytes[input->count][0] = (uint8_t)next_random(random);
	}
}

/* A leg says that it is elsewhere. */
static void make_bind(struct input *input, uint64_t *random, struct side *side)
{
	struct leg *leg = &side->legs[next_random(random) % PAIRS][next_random(random) % 2];
	struct datagram *datagram = &input->datagrams[input->count];
	uint8_t *bytes = input->bytes[input->count++];

	leg_move(leg, side->f.now);
	assert_true(leg_output(leg, side->f.now, bytes, &datagram->size));
	datagram->route = (struct route){.local = relay_addr, .remote = place_addr(50, (uint16_t)next_random(random))};
	datagram->bytes = bytes;
	datagram->segment_size = 0;
}

static struct relay_counters compare(uint32_t leg_kbps_max, unsigned moves)
{
	static struct side alone, together;
	static struct input input;
	uint64_t random = 7;
	struct relay_counters a, b;

	side_init(&alone, leg_kbps_max);
	side_init(&together, leg_kbps_max);
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t wished = 1 + next_random(&random) % RELAY_BATCH_MAX;

		alone.f.now = together.f.now = time_add(alone.f.now, (int64_t)(next_random(&random) % 20000));
		for (input.count = 0; input.count < wished;)
			if (next_random(&random) % 12 < moves && (moves > 1 || round > ROUNDS / 2))
				make_bind(&input, &random, &alone);
			else if (next_random(&random) % 2)
				make_singles(&input, &random, wished);
			else
				make_train(&input, &random);
		for (size_t i = 0; i < input.count; i++) {
			(void)relay_input_datagram(alone.f.relay, alone.f.now, &input.datagrams[i]);
			pull(&alone);
		}
		for (size_t at = 0, took; at < input.count; at += took) {
			took = relay_input_datagrams(together.f.relay, together.f.now, input.datagrams + at,
						     input.count - at);
			assert_in_range(took, 1, input.count - at);
			pull_many(&together);
		}
		assert_int_equal(alone.count, together.count);
		assert_memory_equal(alone.hash, together.hash, HASH_BYTES);
	}
	fixture_counters(&alone.f, &a);
	fixture_counters(&together.f, &b);
	assert_memory_equal(&a, &b, sizeof a);
	assert_true(a.forwarded > 1000 && a.replayed > 100 && a.challenges > 10 && a.dropped_unknown > 0 &&
		    a.dropped_source > 0 && a.dropped_malformed > 0 && a.dropped_queue == 0);
	fixture_finish(&alone.f);
	fixture_finish(&together.f);
	return a;
}

/* With rates and many moves; with a cap, and moves only in the second half. */
static void test_as_one_by_one(void **state)
{
	(void)state;
	assert_true(compare(50, 2).dropped_rate > 0);
	assert_true(compare(0, 1).dropped_cap > 0);
}

/* In one buffer from one address: not yet its leg's, then the Bind, then its leg's. */
static void test_moved_in_the_middle_of_a_buffer(void **state)
{
	struct fixture f;
	struct leg legs[2];
	uint8_t bytes[5 * LEG_DATAGRAM_MAX], bind[LEG_DATAGRAM_MAX];
	struct addr a2 = place_addr(11, 4000), b = place_addr(2, 1000);
	struct relay_counters c;
	size_t size;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, 1, legs);
	leg_move(&legs[0], f.now);
	assert_true(leg_output(&legs[0], f.now, bind, &size));
	for (size_t i = 0; i < 5; i++)
		make_sealed(bytes + i * size, size, 1, (uint8_t)i);
	memcpy(bytes + 2 * size, bind, size);
	assert_int_equal(fixture_send(&f, &a2, bytes, 5 * size - 30, (uint16_t)size), ERR_DENIED);
	assert_int_equal(f.out_count, 2);
	assert_int_equal(f.out[0].bytes[0], PACKET_RELAY_CHALLENGE);
	assert_ptr_equal(f.out[1].bytes, bytes + 3 * size);
	assert_int_equal(f.out[1].size, 2 * size - 30);
	assert_int_equal(f.out[1].segment_size, size);
	assert_true(addr_equal(&f.out[1].route.remote, &b));
	fixture_counters(&f, &c);
	assert_int_equal(c.dropped_source, 2);
	assert_int_equal(c.forwarded, 2);
	fixture_finish(&f);
}

/* In one turn: to the old address, the Bind from the new one, what the old one may not have got, then fresh ones. */
static void test_moved_in_the_middle_of_a_turn(void **state)
{
	struct relay_config config = {.wall_s = 1000000, .memory_bytes = MEMORY_BYTES};
	struct fixture f;
	struct leg legs[2];
	uint8_t packets[3][100], bind[LEG_DATAGRAM_MAX];
	struct addr a = place_addr(1, 1000), a2 = place_addr(11, 4000), b = place_addr(2, 1000);
	struct datagram in[3], out[3];
	size_t size;

	(void)state;
	fixture_init(&f, &config);
	fixture_bind_both(&f, 1, legs);
	leg_move(&legs[0], f.now);
	assert_true(leg_output(&legs[0], f.now, bind, &size));
	for (uint8_t i = 0; i < 3; i++) {
		make_sealed(packets[i], sizeof packets[i], 1, i);
		in[i] = (struct datagram){
			.route = {.local = relay_addr, .remote = b}, .bytes = packets[i], .size = 100};
	}
	in[1] = (struct datagram){.route = {.local = relay_addr, .remote = a2}, .bytes = bind, .size = size};
	assert_int_equal(relay_input_datagrams(f.relay, f.now, in, 3), 2);
	for (unsigned i = 0; i < 3; i++)
		assert_true(relay_next_datagram(f.relay, &out[i]));
	assert_ptr_equal(out[0].bytes, packets[0]);
	assert_true(addr_equal(&out[0].route.remote, &a));
	assert_int_equal(out[1].bytes[0], PACKET_RELAY_CHALLENGE);
	assert_memory_equal(out[2].bytes, packets[0], 100);
	assert_true(addr_equal(&out[2].route.remote, &a2));
	assert_false(relay_next_datagram(f.relay, &out[0]));
	assert_int_equal(relay_input_datagrams(f.relay, f.now, in + 2, 1), 1);
	assert_true(relay_next_datagram(f.relay, &out[0]));
	assert_ptr_equal(out[0].bytes, packets[2]);
	assert_true(addr_equal(&out[0].route.remote, &a2));
	fixture_finish(&f);
}

/* One by one to a leg that moves: as much as its burst goes to the new address, the rest to the old one. */
static void test_burst_runs_out_in_the_middle(void **state)
{
	enum { SIZE = 1000, TURNS = 12 };
	struct fixture f;
	struct leg legs[2];
	uint8_t packet[SIZE], bind[LEG_DATAGRAM_MAX];
	struct addr a = place_addr(1, 1000), a2 = place_addr(11, 4000), b = place_addr(2, 1000);
	struct datagram in[RELAY_BATCH_MAX], out;
	uint64_t to_old = 0, to_new = 0, sent;
	size_t size;

	(void)state;
	fixture_init(&f, NULL);
	fixture_bind_both(&f, 1, legs);
	leg_move(&legs[0], f.now);
	assert_true(leg_output(&legs[0], f.now, bind, &size));
	assert_int_equal(fixture_send(&f, &a2, bind, size, 0), OK);
	sent = size - RELAY_CHALLENGE_SIZE + UNVALIDATED_BURST_BYTES;
	make_sealed(packet, SIZE, 1, 0);
	for (size_t i = 0; i < RELAY_BATCH_MAX; i++)
		in[i] = (struct datagram){
			.route = {.local = relay_addr, .remote = b}, .bytes = packet, .size = SIZE - i % 2 * 100};
	for (unsigned turn = 0; turn < TURNS; turn++) {
		assert_int_equal(relay_input_datagrams(f.relay, f.now, in, RELAY_BATCH_MAX), RELAY_BATCH_MAX);
		while (relay_next_datagram(f.relay, &out)) {
			assert_true(addr_equal(&out.route.remote, &a) || addr_equal(&out.route.remote, &a2));
			*(addr_equal(&out.route.remote, &a2) ? &to_new : &to_old) += out.size;
		}
	}
	assert_int_equal(to_old + to_new, TURNS * RELAY_BATCH_MAX / 2 * (SIZE + SIZE - 100));
	assert_in_range(to_new, sent - SIZE, sent);
	fixture_finish(&f);
}

/* One pair that takes all it can get, and thirty small ones: these lose nothing, that one has its rate and no more. */
static void test_greedy_beside_small(void **state)
{
	enum { SMALL = 30, KBPS = 8000, STEP_US = 1000, STEPS = 1000, GREEDY = 20, SIZE = 1000 };
	struct relay_config config = {.wall_s = 1000000, .leg_kbps_max = KBPS};
	static uint8_t bytes[1 + SMALL][SIZE], train[GREEDY * SIZE];
	struct datagram in[1 + SMALL], out;
	uint64_t forwarded[1 + SMALL] = {0};
	struct leg legs[2];
	struct fixture f;

	(void)state;
	fixture_init(&f, &config);
	for (uint64_t i = 0; i <= SMALL; i++) {
		fixture_bind_both(&f, i + 1, legs);
		make_sealed(bytes[i], SIZE, i + 1, 0);
		in[i] = (struct datagram){.route = {.local = relay_addr, .remote = place_addr(1, 1000)},
					  .bytes = bytes[i],
					  .size = i ? 100 : sizeof train,
					  .segment_size = SIZE};
		f.event_count = 0;
	}
	for (size_t i = 0; i < GREEDY; i++)
		make_sealed(train + i * SIZE, SIZE, 1, 0);
	in[0].bytes = train;
	for (unsigned step = 0; step < STEPS; step++) {
		f.now = time_add(f.now, STEP_US);
		assert_int_equal(relay_input_datagrams(f.relay, f.now, in, 1 + SMALL), 1 + SMALL);
		while (relay_next_datagram(f.relay, &out))
			forwarded[out.bytes == train ? 0 : out.bytes[15] - 1] += out.size;
	}
	for (unsigned i = 1; i <= SMALL; i++)
		assert_int_equal(forwarded[i], STEPS * 100);
	/* A second at its rate, and the burst. */
	assert_in_range(forwarded[0], KBPS * 125 - sizeof train, KBPS * 125 + 256 * 1024 + sizeof train);
	fixture_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_one_by_one),
		cmocka_unit_test(test_moved_in_the_middle_of_a_buffer),
		cmocka_unit_test(test_moved_in_the_middle_of_a_turn),
		cmocka_unit_test(test_burst_runs_out_in_the_middle),
		cmocka_unit_test(test_greedy_beside_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
