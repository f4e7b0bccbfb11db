/*
 * Who becomes a leg, who does not, and what each exchange costs. The fixture checks amplification on every single
 * datagram.
 */
#include <string.h>

#include "crypto/hash.h"
#include "fixture.h"

enum { PATH = 0x55667788 };

/* A Bind by hand, so that each part can be wrong. */
static size_t make_bind(uint8_t *ret, uint64_t path_id, uint8_t leg, uint32_t generation, struct blob ticket,
			const uint8_t key[KEY_SIZE])
{
	struct relay_bind bind = {.path_id = path_id, .leg = leg, .generation = generation, .ticket = ticket};
	struct writer w = writer_over(ret, LEG_DATAGRAM_MAX);
	uint8_t tag[MAC_BYTES];
	size_t size = 0;

	relay_bind_encode_unsigned(&bind, &w);
	mac(key, ret, w.at, tag);
	write_bytes(&w, tag, sizeof tag);
	assert_int_equal(writer_finish(&w, &size), OK);
	return size;
}

static size_t make_answer(uint8_t *ret, uint64_t path_id, uint8_t leg, uint32_t generation, const uint8_t cookie[16],
			  const uint8_t key[KEY_SIZE])
{
	struct relay_challenge m = {
		.type = PACKET_RELAY_ANSWER, .path_id = path_id, .leg = leg, .generation = generation};
	struct writer w = writer_over(ret, RELAY_CHALLENGE_SIZE);
	uint8_t tag[MAC_BYTES];
	size_t size = 0;

	memcpy(m.cookie, cookie, 16);
	relay_challenge_encode_unsigned(&m, &w);
	mac(key, ret, w.at, tag);
	write_bytes(&w, tag, sizeof tag);
	assert_int_equal(writer_finish(&w, &size), OK);
	return size;
}

/* The challenge that the last input caused, sent to `to`. */
static void expect_challenge(struct fixture *f, const struct addr *to, uint8_t ret_cookie[16])
{
	struct relay_challenge m;
	struct reader r;

	assert_int_equal(f->out_count, 1);
	assert_true(addr_equal(&f->out[0].route.remote, to));
	r = reader_over(f->out[0].bytes, f->out[0].size);
	assert_int_equal(relay_challenge_decode(&r, &m), OK);
	assert_int_equal(m.type, PACKET_RELAY_CHALLENGE);
	memcpy(ret_cookie, m.cookie, 16);
}

static void expect_bound(struct fixture *f, const struct addr *to)
{
	assert_int_equal(f->out_count, 1);
	assert_true(addr_equal(&f->out[0].route.remote, to));
	assert_int_equal(f->out[0].bytes[0], PACKET_RELAY_BOUND);
}

struct hand {
	struct fixture f;
	struct ticket ticket;
	struct grants grants;
	struct blob sealed;
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;
};

static void hand_init(struct hand *h, const struct relay_config *config)
{
	fixture_init(&h->f, config);
	h->ticket = fixture_ticket(PATH);
	fixture_seal(&h->f, &h->ticket, &h->grants);
	h->sealed = (struct blob){h->grants.sealed, sizeof h->grants.sealed};
}

static enum err hand_bind(struct hand *h, const struct addr *from, uint8_t leg, uint32_t generation)
{
	h->size = make_bind(h->bytes, PATH, leg, generation, h->sealed, h->ticket.leg_keys[leg & 1]);
	return fixture_send(&h->f, from, h->bytes, h->size, 0);
}

static enum err hand_answer(struct hand *h, const struct addr *from, uint8_t leg, uint32_t generation,
			    const uint8_t cookie[16])
{
	uint8_t bytes[RELAY_CHALLENGE_SIZE];
	size_t size = make_answer(bytes, PATH, leg, generation, cookie, h->ticket.leg_keys[leg]);

	return fixture_send(&h->f, from, bytes, size, 0);
}

static void hand_bind_fully(struct hand *h, const struct addr *from, uint8_t leg, uint32_t generation)
{
	uint8_t cookie[16];

	assert_int_equal(hand_bind(h, from, leg, generation), OK);
	expect_challenge(&h->f, from, cookie);
	assert_int_equal(hand_answer(h, from, leg, generation, cookie), OK);
	expect_bound(&h->f, from);
}

static void test_bind_in_two_round_trips(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000);
	struct relay_counters c;

	(void)state;
	hand_init(&h, NULL);
	hand_bind_fully(&h, &a, 0, 0);
	assert_int_equal(h.f.event_count, 1);
	assert_int_equal(h.f.events[0].type, RELAY_EVENT_LEG_BOUND);
	assert_true(addr_equal(&h.f.events[0].remote, &a));
	fixture_counters(&h.f, &c);
	assert_int_equal(c.pairs, 1);
	assert_int_equal(c.bound, 1);
	/* Repeated Bind and Answer change nothing and are confirmed at once. */
	assert_int_equal(hand_bind(&h, &a, 0, 0), OK);
	expect_bound(&h.f, &a);
	assert_int_equal(h.f.event_count, 1);
	fixture_finish(&h.f);
}

static void test_answer_is_idempotent(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000);
	uint8_t cookie[16];

	(void)state;
	hand_init(&h, NULL);
	assert_int_equal(hand_bind(&h, &a, 1, 3), OK);
	expect_challenge(&h.f, &a, cookie);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(hand_answer(&h, &a, 1, 3, cookie), OK);
		expect_bound(&h.f, &a);
	}
	assert_int_equal(h.f.event_count, 1);
	fixture_finish(&h.f);
}

static void test_reply_never_larger_than_request(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000);

	(void)state;
	hand_init(&h, NULL);
	h.size = make_bind(h.bytes, PATH, 0, 0, h.sealed, h.ticket.leg_keys[0]);
	assert_true(h.size >= RELAY_BIND_MIN && h.size >= RELAY_CHALLENGE_SIZE);
	/*
	 * Every truncation of a Bind, and each with a proper MAC behind it, is silent or answered by no more than it
	 * has.
	 */
	for (size_t size = 0; size < h.size; size++) {
		uint8_t cut[LEG_DATAGRAM_MAX];

		memcpy(cut, h.bytes, size);
		if (size >= MAC_SIZE)
			mac(h.ticket.leg_keys[0], cut, size - MAC_SIZE, cut + size - MAC_SIZE);
		(void)fixture_send(&h.f, &a, cut, size, 0);
		assert_int_equal(h.f.out_count, 0);
	}
	fixture_finish(&h.f);
}

static void test_strangers_meet_silence(void **state)
{
	struct hand h;
	struct addr x = place_addr(66, 6666);
	struct ticket other;
	struct grants forged;
	struct dh_keys evil;
	uint8_t seed[KEY_SIZE] = {66}, key[KEY_SIZE], bad_leg_key[KEY_SIZE] = {1};
	struct relay_counters c;

	(void)state;
	hand_init(&h, NULL);
	/* A ticket by somebody who is not listed. */
	dh_keys_from_seed(seed, &evil);
	assert_int_equal(ticket_key(evil.secret, h.f.relay_keys.public, key), OK);
	ticket_seal(&h.ticket, key, evil.public, (const uint8_t[12]){0}, forged.sealed);
	h.size = make_bind(h.bytes, PATH, 0, 0, (struct blob){forged.sealed, sizeof forged.sealed},
			   h.ticket.leg_keys[0]);
	assert_int_equal(fixture_send(&h.f, &x, h.bytes, h.size, 0), ERR_UNKNOWN);
	/* The same, claiming to be the listed one. */
	memcpy(forged.sealed, h.f.coordinator_keys.public, KEY_SIZE);
	h.size = make_bind(h.bytes, PATH, 0, 0, (struct blob){forged.sealed, sizeof forged.sealed},
			   h.ticket.leg_keys[0]);
	assert_int_equal(fixture_send(&h.f, &x, h.bytes, h.size, 0), ERR_AUTH);
	/* A stolen ticket without its leg key; and with the other leg's key. */
	h.size = make_bind(h.bytes, PATH, 0, 0, h.sealed, bad_leg_key);
	assert_int_equal(fixture_send(&h.f, &x, h.bytes, h.size, 0), ERR_AUTH);
	h.size = make_bind(h.bytes, PATH, 0, 0, h.sealed, h.ticket.leg_keys[1]);
	assert_int_equal(fixture_send(&h.f, &x, h.bytes, h.size, 0), ERR_AUTH);
	/* An authentic ticket of another path. */
	other = fixture_ticket(PATH + 1);
	fixture_seal(&h.f, &other, &forged);
	h.size = make_bind(h.bytes, PATH, 0, 0, (struct blob){forged.sealed, sizeof forged.sealed}, other.leg_keys[0]);
	assert_int_equal(fixture_send(&h.f, &x, h.bytes, h.size, 0), ERR_AUTH);
	/* A leg that does not exist. */
	h.size = make_bind(h.bytes, PATH, 2, 0, h.sealed, h.ticket.leg_keys[0]);
	assert_int_not_equal(fixture_send(&h.f, &x, h.bytes, h.size, 0), OK);
	fixture_counters(&h.f, &c);
	assert_int_equal(c.pairs, 0);
	assert_int_equal(c.replies, 0);
	assert_int_equal(c.dropped_ticket, 3);
	assert_int_equal(c.dropped_auth, 2);
	fixture_finish(&h.f);
}

static void test_every_bit_of_bind_counts(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000), x = place_addr(66, 1);
	struct relay_config config = {.wall_s = 1000000, .tickets_per_s = 100000};

	(void)state;
	hand_init(&h, &config);
	h.size = make_bind(h.bytes, PATH, 0, 1, h.sealed, h.ticket.leg_keys[0]);
	for (size_t bit = 0; bit < h.size * 8; bit++) {
		h.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		(void)fixture_send(&h.f, &x, h.bytes, h.size, 0);
		assert_int_equal(h.f.out_count, 0);
		h.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(fixture_send(&h.f, &a, h.bytes, h.size, 0), OK);
	assert_int_equal(h.f.out_count, 1);
	fixture_finish(&h.f);
}

static void test_cookie_belongs_to_its_address_and_leg(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000), x = place_addr(66, 1000), a_port = place_addr(1, 1001);
	uint8_t cookie[16];

	(void)state;
	hand_init(&h, NULL);
	assert_int_equal(hand_bind(&h, &a, 0, 1), OK);
	expect_challenge(&h.f, &a, cookie);
	assert_int_equal(hand_answer(&h, &x, 0, 1, cookie), ERR_AUTH);
	assert_int_equal(hand_answer(&h, &a_port, 0, 1, cookie), ERR_AUTH);
	assert_int_equal(hand_answer(&h, &a, 1, 1, cookie), ERR_AUTH);
	assert_int_equal(hand_answer(&h, &a, 0, 2, cookie), ERR_AUTH);
	cookie[15] ^= 1;
	assert_int_equal(hand_answer(&h, &a, 0, 1, cookie), ERR_AUTH);
	cookie[15] ^= 1;
	assert_int_equal(hand_answer(&h, &a, 0, 1, cookie), OK);
	fixture_finish(&h.f);
}

static void test_cookie_ages(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000), b = place_addr(2, 1000);
	uint8_t cookie[16];

	(void)state;
	hand_init(&h, NULL);
	hand_bind_fully(&h, &b, 1, 0);
	assert_int_equal(hand_bind(&h, &a, 0, 0), OK);
	expect_challenge(&h.f, &a, cookie);
	/* One rotation later it still holds; the other leg keeps the pair alive meanwhile. */
	fixture_wait(&h.f, COOKIE_SECRET_US + 1);
	hand_bind(&h, &b, 1, 0);
	assert_int_equal(hand_bind(&h, &a, 0, 0), OK);
	assert_int_equal(hand_answer(&h, &a, 0, 0, cookie), OK);
	/* Two rotations later not. */
	assert_int_equal(hand_bind(&h, &a, 0, 1), OK);
	expect_challenge(&h.f, &a, cookie);
	for (unsigned i = 0; i < 2; i++) {
		fixture_wait(&h.f, COOKIE_SECRET_US + 1);
		hand_bind(&h, &b, 1, 0);
	}
	assert_int_equal(hand_answer(&h, &a, 0, 1, cookie), ERR_AUTH);
	fixture_finish(&h.f);
}

static void test_a_cookie_binds_once(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000), b = place_addr(2, 2000);
	uint8_t cookie_a[16], cookie_b[16];

	(void)state;
	hand_init(&h, NULL);
	assert_int_equal(hand_bind(&h, &a, 0, 0), OK);
	expect_challenge(&h.f, &a, cookie_a);
	assert_int_equal(hand_answer(&h, &a, 0, 0, cookie_a), OK);
	/* The NAT rebinds: same generation, silent old address. */
	fixture_wait(&h.f, OLD_PATH_SILENCE_MIN_US);
	assert_int_equal(hand_bind(&h, &b, 0, 0), OK);
	expect_challenge(&h.f, &b, cookie_b);
	assert_int_equal(hand_answer(&h, &b, 0, 0, cookie_b), OK);
	assert_int_equal(h.f.events[1].type, RELAY_EVENT_LEG_MOVED);
	/* Somebody replays the first Answer with its old source address. */
	fixture_wait(&h.f, OLD_PATH_SILENCE_MIN_US);
	assert_int_equal(hand_answer(&h, &a, 0, 0, cookie_a), ERR_AUTH);
	assert_int_equal(h.f.event_count, 2);
	fixture_finish(&h.f);
}

static void test_living_leg_is_not_taken_by_a_forwarder(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000), x = place_addr(66, 1000);
	uint8_t cookie[16];
	struct relay_counters c;

	(void)state;
	hand_init(&h, NULL);
	hand_bind_fully(&h, &a, 0, 4);
	/* The forwarder replays the very Bind, gets a challenge, and even has the node answer it for him. */
	assert_int_equal(hand_bind(&h, &x, 0, 4), OK);
	expect_challenge(&h.f, &x, cookie);
	assert_int_equal(hand_answer(&h, &x, 0, 4, cookie), ERR_STATE);
	fixture_counters(&h.f, &c);
	assert_int_equal(c.dropped_alive, 1);
	assert_int_equal(c.moved, 0);
	/* The leg is where it was. */
	assert_int_equal(hand_bind(&h, &a, 0, 4), OK);
	expect_bound(&h.f, &a);
	fixture_finish(&h.f);
}

static void test_generations_only_rise(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000), b = place_addr(2, 1000), c = place_addr(3, 1000);
	uint8_t cookie_old[16], cookie[16];

	(void)state;
	hand_init(&h, NULL);
	assert_int_equal(hand_bind(&h, &a, 0, 4), OK);
	expect_challenge(&h.f, &a, cookie_old);
	hand_bind_fully(&h, &b, 0, 5);
	assert_int_equal(hand_bind(&h, &a, 0, 4), ERR_REPLAY);
	assert_int_equal(h.f.out_count, 0);
	assert_int_equal(hand_answer(&h, &a, 0, 4, cookie_old), ERR_REPLAY);
	hand_bind_fully(&h, &c, 0, 9);
	assert_int_equal(hand_bind(&h, &b, 0, 5), ERR_REPLAY);
	/* Also against a candidate that has not answered yet. */
	assert_int_equal(hand_bind(&h, &a, 0, 12), OK);
	expect_challenge(&h.f, &a, cookie);
	assert_int_equal(hand_bind(&h, &b, 0, 11), ERR_REPLAY);
	assert_int_equal(hand_answer(&h, &a, 0, 12, cookie), OK);
	assert_int_equal(hand_bind(&h, &a, 0, UINT32_MAX), OK);
	fixture_finish(&h.f);
}

static void test_ticket_validity(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000);
	struct relay_counters c;

	(void)state;
	hand_init(&h, NULL);
	h.ticket.not_after_s = 1000000 - 1;
	fixture_seal(&h.f, &h.ticket, &h.grants);
	assert_int_equal(hand_bind(&h, &a, 0, 0), ERR_EXPIRED);
	/* A ticket from our clock's future is taken: our clock is the one that is wrong. */
	h.ticket.not_before_s = 2000000;
	h.ticket.not_after_s = 2000100;
	fixture_seal(&h.f, &h.ticket, &h.grants);
	assert_int_equal(hand_bind(&h, &a, 0, 0), OK);
	/* From then on time is at least that: what was fine by our clock alone has expired. */
	fixture_wait(&h.f, LEG_UNBOUND_US + 1);
	h.ticket.not_before_s = 1000000;
	h.ticket.not_after_s = 1003600;
	fixture_seal(&h.f, &h.ticket, &h.grants);
	assert_int_equal(hand_bind(&h, &a, 0, 0), ERR_EXPIRED);
	fixture_counters(&h.f, &c);
	assert_int_equal(c.dropped_expired, 2);
	fixture_finish(&h.f);
}

static void test_clock_runs(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000);

	(void)state;
	hand_init(&h, NULL);
	h.ticket.not_after_s = 1000060;
	fixture_seal(&h.f, &h.ticket, &h.grants);
	fixture_wait(&h.f, 61 * USEC_PER_SEC);
	assert_int_equal(hand_bind(&h, &a, 0, 0), ERR_EXPIRED);
	fixture_finish(&h.f);
}

static void test_unlisted_coordinator_is_refused(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000);

	(void)state;
	hand_init(&h, NULL);
	hand_bind_fully(&h, &a, 0, 0);
	assert_int_equal(relay_set_coordinators(h.f.relay, NULL, 0), OK);
	/* The pair that exists stays. */
	assert_int_equal(hand_bind(&h, &a, 0, 0), OK);
	h.ticket = fixture_ticket(PATH + 1);
	fixture_seal(&h.f, &h.ticket, &h.grants);
	h.size = make_bind(h.bytes, PATH + 1, 0, 0, h.sealed, h.ticket.leg_keys[0]);
	assert_int_equal(fixture_send(&h.f, &a, h.bytes, h.size, 0), ERR_UNKNOWN);
	fixture_finish(&h.f);
}

static void test_newer_ticket_replaces_keys(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000);
	struct ticket newer;
	struct grants grants;

	(void)state;
	hand_init(&h, NULL);
	hand_bind_fully(&h, &a, 0, 7); /* under the new keys generations begin anew */
	newer = h.ticket;
	memset(newer.leg_keys, 0x33, sizeof newer.leg_keys);
	/* Not newer: refused. */
	fixture_seal(&h.f, &newer, &grants);
	h.size = make_bind(h.bytes, PATH, 0, 0, (struct blob){grants.sealed, sizeof grants.sealed}, newer.leg_keys[0]);
	assert_int_equal(fixture_send(&h.f, &a, h.bytes, h.size, 0), ERR_AUTH);
	newer.not_before_s++;
	fixture_seal(&h.f, &newer, &grants);
	h.size = make_bind(h.bytes, PATH, 0, 0, (struct blob){grants.sealed, sizeof grants.sealed}, newer.leg_keys[0]);
	assert_int_equal(fixture_send(&h.f, &a, h.bytes, h.size, 0), OK);
	expect_bound(&h.f, &a);
	/* The old key is dead. */
	assert_int_equal(hand_bind(&h, &a, 0, 8), ERR_AUTH);
	fixture_finish(&h.f);
}

static void test_expiry(void **state)
{
	struct hand h;
	struct addr a = place_addr(1, 1000), b = place_addr(2, 1000);
	struct relay_counters c;

	(void)state;
	hand_init(&h, NULL);
	assert_int_equal(relay_next_deadline(h.f.relay).us, TIME_NEVER.us);
	assert_int_equal(hand_bind(&h, &a, 0, 0), OK);
	fixture_wait(&h.f, LEG_UNBOUND_US - 1);
	fixture_counters(&h.f, &c);
	assert_int_equal(c.pairs, 1);
	fixture_wait(&h.f, 1);
	fixture_counters(&h.f, &c);
	assert_int_equal(c.pairs, 0);
	assert_int_equal(relay_next_deadline(h.f.relay).us, TIME_NEVER.us);

	/* Bound legs go one by one, 5 minutes after they were heard last. */
	h.f.event_count = 0;
	hand_bind_fully(&h, &a, 0, 0);
	fixture_wait(&h.f, LEG_IDLE_US / 2);
	hand_bind_fully(&h, &b, 1, 0);
	fixture_wait(&h.f, LEG_IDLE_US / 2 + LEG_IDLE_US / 8);
	assert_int_equal(h.f.event_count, 3);
	assert_int_equal(h.f.events[2].type, RELAY_EVENT_LEG_IDLE);
	assert_true(addr_equal(&h.f.events[2].remote, &a));
	fixture_wait(&h.f, LEG_IDLE_US / 2);
	assert_int_equal(h.f.event_count, 5);
	assert_int_equal(h.f.events[4].type, RELAY_EVENT_PAIR_EXPIRED);
	fixture_counters(&h.f, &c);
	assert_int_equal(c.pairs, 0);
	assert_int_equal(relay_next_deadline(h.f.relay).us, TIME_NEVER.us);
	fixture_finish(&h.f);
}

static void test_only_unbound_pairs_are_evicted(void **state)
{
	struct relay_config config = {.wall_s = 1000000, .pairs_max = 4};
	struct fixture f;
	struct leg legs[2], leg;
	struct addr a = place_addr(9, 9);
	struct relay_counters c;
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;

	(void)state;
	fixture_init(&f, &config);
	for (uint64_t path = 1; path <= 3; path++)
		fixture_bind_both(&f, path, legs);
	for (uint64_t path = 4; path <= 20; path++) {
		struct ticket ticket = fixture_ticket(path);
		struct grants grants;

		fixture_seal(&f, &ticket, &grants);
		assert_int_equal(leg_init(&leg, path, &grants.leg[0], f.now), OK);
		assert_true(leg_output(&leg, f.now, bytes, &size));
		assert_int_equal(fixture_send(&f, &a, bytes, size, 0), OK);
	}
	fixture_counters(&f, &c);
	assert_int_equal(c.pairs, 4);
	assert_int_equal(c.pairs_evicted, 16);
	/* With four bound ones there is no room for a fifth. */
	fixture_bind_both(&f, 21, legs);
	assert_true(leg_output(&leg, time_add(f.now, USEC_PER_SEC), bytes, &size));
	assert_int_equal(fixture_send(&f, &a, bytes, size, 0), ERR_FULL);
	fixture_counters(&f, &c);
	assert_int_equal(c.dropped_full, 1);
	fixture_finish(&f);
}

static void test_unknown_tickets_are_rationed_by_prefix(void **state)
{
	struct relay_config config = {.wall_s = 1000000, .tickets_per_s = 10};
	struct hand h;
	struct addr x = place_addr(66, 1), a = place_addr(1, 1000);
	struct relay_counters c;

	(void)state;
	hand_init(&h, &config);
	h.size = make_bind(h.bytes, PATH, 0, 0, h.sealed, h.ticket.leg_keys[1]);
	for (unsigned i = 0; i < 1000; i++) {
		x.port = (uint16_t)(i + 1); /* one place of the referee each would be too many */
		(void)relay_input_datagram(h.f.relay, h.f.now,
					   &(struct datagram){.route.remote = x, .bytes = h.bytes, .size = h.size});
	}
	fixture_counters(&h.f, &c);
	assert_int_equal(c.dropped_auth, 20);
	assert_int_equal(c.dropped_limited, 980);
	/* Others do not feel it. */
	hand_bind_fully(&h, &a, 0, 0);
	fixture_finish(&h.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind_in_two_round_trips),
		cmocka_unit_test(test_answer_is_idempotent),
		cmocka_unit_test(test_reply_never_larger_than_request),
		cmocka_unit_test(test_strangers_meet_silence),
		cmocka_unit_test(test_every_bit_of_bind_counts),
		cmocka_unit_test(test_cookie_belongs_to_its_address_and_leg),
		cmocka_unit_test(test_cookie_ages),
		cmocka_unit_test(test_a_cookie_binds_once),
		cmocka_unit_test(test_living_leg_is_not_taken_by_a_forwarder),
		cmocka_unit_test(test_generations_only_rise),
		cmocka_unit_test(test_ticket_validity),
		cmocka_unit_test(test_clock_runs),
		cmocka_unit_test(test_unlisted_coordinator_is_refused),
		cmocka_unit_test(test_newer_ticket_replaces_keys),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_only_unbound_pairs_are_evicted),
		cmocka_unit_test(test_unknown_tickets_are_rationed_by_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
