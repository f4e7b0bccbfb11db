/* How far is the relay and how busy? Whoever does not know its key meets silence; an answer is as large as the
 * question, which the fixture checks. */
#include <string.h>

#include "fixture.h"
#include "proto/session/probe.h"

enum { PATH = 0x55667788 };

static void make(const uint8_t key[KEY_SIZE], uint8_t asker, const uint8_t *static_key, uint8_t ret[RELAY_PROBE_SIZE])
{
	struct relay_probe probe = {.nonce = 77, .asker = asker};

	if (static_key)
		memcpy(probe.static_key, static_key, KEY_SIZE);
	probe_write(&probe, key, ret);
}

static void test_node_asks(void **state)
{
	struct fixture f;
	uint8_t key[KEY_SIZE], bytes[RELAY_PROBE_SIZE];
	struct relay_probed probed;
	struct addr from = place_addr(1, 1000);

	(void)state;
	fixture_init(&f, NULL);
	probe_key_node(f.relay_keys.public, key);
	make(key, RELAY_ASKER_NODE, NULL, bytes);
	assert_int_equal(fixture_send(&f, &from, bytes, sizeof bytes, 0), OK);
	assert_int_equal(f.out_count, 1);
	assert_int_equal(f.out[0].size, sizeof bytes);
	assert_int_equal(probed_read(f.out[0].bytes, f.out[0].size, key, &probed), OK);
	assert_int_equal(probed.nonce, 77);
	assert_int_equal(probed.load.pairs_max, 0); /* none of a node's business */
	bytes[20] ^= 1;
	assert_int_not_equal(fixture_send(&f, &from, bytes, sizeof bytes, 0), OK);
	assert_int_equal(f.out_count, 0);
	fixture_finish(&f);
}

static void test_strangers_meet_silence(void **state)
{
	struct fixture f;
	uint8_t key[KEY_SIZE] = {1}, bytes[RELAY_PROBE_SIZE];
	struct addr from = place_addr(1, 1000);

	(void)state;
	fixture_init(&f, NULL);
	make(key, RELAY_ASKER_NODE, NULL, bytes);
	assert_int_equal(fixture_send(&f, &from, bytes, sizeof bytes, 0), ERR_AUTH);
	make(key, RELAY_ASKER_COORDINATOR, f.coordinator_keys.public, bytes);
	assert_int_equal(fixture_send(&f, &from, bytes, sizeof bytes, 0), ERR_AUTH);
	make(key, RELAY_ASKER_COORDINATOR, key, bytes);
	assert_int_equal(fixture_send(&f, &from, bytes, sizeof bytes, 0), ERR_AUTH);
	assert_int_equal(f.out_count, 0);
	fixture_finish(&f);
}

/* An address that seems to ask too often, as somebody forges it, gets no more. */
static void test_rate(void **state)
{
	struct fixture f;
	uint8_t key[KEY_SIZE], bytes[RELAY_PROBE_SIZE];
	struct addr from = place_addr(1, 1000);
	unsigned answered = 0;

	(void)state;
	fixture_init(&f, &(struct relay_config){.tickets_per_s = 10});
	probe_key_node(f.relay_keys.public, key);
	make(key, RELAY_ASKER_NODE, NULL, bytes);
	for (int i = 0; i < 100; i++)
		answered += fixture_send(&f, &from, bytes, sizeof bytes, 0) == OK;
	assert_in_range(answered, 19, 21);
	fixture_finish(&f);
}

static void test_coordinator_hears_the_load(void **state)
{
	struct fixture f;
	uint8_t key[KEY_SIZE], bytes[RELAY_PROBE_SIZE];
	struct relay_probed probed;
	struct leg legs[2];
	struct addr from = place_addr(9, 7367);

	(void)state;
	fixture_init(&f, &(struct relay_config){.pairs_max = 20, .kbps_max = 5000});
	fixture_bind_both(&f, PATH, legs);
	for (int i = 0; i < 100; i++) {
		struct addr one = place_addr(1, 1000);
		uint8_t packet[1000];

		make_sealed(packet, sizeof packet, PATH, (uint8_t)i);
		assert_int_equal(fixture_send(&f, &one, packet, sizeof packet, 0), OK);
	}
	fixture_wait(&f, 2 * USEC_PER_SEC);
	relay_set_draining(f.relay, true);
	probe_key_coordinator(f.ticket_key, key);
	make(key, RELAY_ASKER_COORDINATOR, f.coordinator_keys.public, bytes);
	assert_int_equal(fixture_send(&f, &from, bytes, sizeof bytes, 0), OK);
	assert_int_equal(probed_read(f.out[0].bytes, f.out[0].size, key, &probed), OK);
	assert_int_equal(probed.load.pairs, 1);
	assert_int_equal(probed.load.pairs_max, 20);
	assert_int_equal(probed.load.kbps_max, 5000);
	assert_in_range(probed.load.kbps, 300, 410); /* 800 kbit in a little over 2 s */
	assert_true(probed.load.is_draining);
	fixture_finish(&f);
}

static void test_announces_itself(void **state)
{
	struct fixture f;
	struct network network = {.epoch = 4, .coordinator_count = 2};
	struct relay_announce m;
	struct datagram out;
	struct reader r;
	uint8_t key[KEY_SIZE];

	(void)state;
	fixture_init(&f, NULL);
	memcpy(network.coordinators[0].static_key, f.coordinator_keys.public, KEY_SIZE);
	network.coordinators[0].addresses = (struct server_addresses){1, {place_addr(9, 7367)}};
	network.coordinators[1].addresses = (struct server_addresses){1, {place_addr(8, 7367)}}; /* not ours to serve */
	relay_announce(f.relay, f.now, &network);
	assert_true(relay_next_datagram(f.relay, &out));
	r = reader_over(out.bytes, out.size);
	assert_int_equal(relay_announce_decode(&r, &m), OK);
	assert_int_equal(m.network_epoch, 4);
	assert_memory_equal(m.static_key, f.relay_keys.public, KEY_SIZE);
	probe_key_coordinator(f.ticket_key, key);
	assert_true(probe_holds(out.bytes, out.size, key));
	assert_false(relay_next_datagram(f.relay, &out));
	fixture_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_asks),
		cmocka_unit_test(test_strangers_meet_silence),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_coordinator_hears_the_load),
		cmocka_unit_test(test_announces_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
