#include "fixture.h"

#include <string.h>

const struct addr relay_addr = {.ip = {.family = 4, .bytes = {203, 0, 113, 1}}, .port = 7367};
const struct addr relay_addr6 = {.ip = {.family = 6, .bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}, .port = 7367};

static void fill(void *ctx, void *bytes, size_t size)
{
	struct fixture *f = ctx;
	uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++) {
		f->random_state = f->random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
		p[i] = (uint8_t)(f->random_state >> 56);
	}
}

static struct place *place_of(struct fixture *f, const struct addr *addr)
{
	for (unsigned i = 0; i < FIXTURE_PLACES; i++) {
		struct place *place = &f->places[i];

		if (!addr_is_set(&place->addr))
			place->addr = *addr;
		if (addr_equal(&place->addr, addr))
			return place;
	}
	fail_msg("too many places");
	return NULL;
}

static void on_event(void *ctx, const struct relay_event *event)
{
	struct fixture *f = ctx;

	assert_true(f->event_count < FIXTURE_EVENTS);
	f->events[f->event_count++] = *event;
	if (event->type == RELAY_EVENT_LEG_BOUND || event->type == RELAY_EVENT_LEG_MOVED)
		place_of(f, &event->remote)->proven = true;
}

void fixture_init(struct fixture *f, const struct relay_config *config)
{
	fixture_init_express(f, config, NULL);
}

void fixture_init_express(struct fixture *f, const struct relay_config *config, const struct relay_express *express)
{
	uint8_t seed[KEY_SIZE] = {1};
	struct relay_env env = {.random = {f, fill}, .ctx = f, .event = on_event};
	struct relay_config own = config ? *config : (struct relay_config){.wall_s = 1000000};

	*f = (struct fixture){.random_state = 42, .now = {5000000}};
	assert_true(crypto_init());
	if (express)
		env.express = *express;
	dh_keys_from_seed(seed, &f->relay_keys);
	seed[0] = 2;
	dh_keys_from_seed(seed, &f->coordinator_keys);
	own.static_keys = f->relay_keys;
	f->relay = relay_create(&own, &env, f->now);
	assert_int_equal(relay_set_coordinators(f->relay, (const uint8_t(*)[KEY_SIZE]) & f->coordinator_keys.public, 1),
			 OK);
	assert_int_equal(ticket_key(f->coordinator_keys.secret, f->relay_keys.public, f->ticket_key), OK);
}

void fixture_finish(struct fixture *f)
{
	relay_destroy(f->relay);
}

struct addr place_addr(uint8_t host, uint16_t port)
{
	return (struct addr){.ip = ip_v4(192, 0, 2, host), .port = port};
}

struct ticket fixture_ticket(uint64_t path_id)
{
	struct ticket ticket = {.path_id = path_id, .not_before_s = 1000000 - 10, .not_after_s = 1000000 + 3600};

	memset(ticket.leg_keys[0], (int)(path_id & 0x7f) | 0x80, KEY_SIZE);
	memset(ticket.leg_keys[1], (int)(path_id & 0x7f), KEY_SIZE);
	return ticket;
}

void fixture_seal(struct fixture *f, const struct ticket *ticket, struct grants *ret)
{
	uint8_t nonce[12];

	fill(f, nonce, sizeof nonce);
	ticket_seal(ticket, f->ticket_key, f->coordinator_keys.public, nonce, ret->sealed);
	for (uint8_t i = 0; i < 2; i++) {
		ret->leg[i] = (struct relay_grant){
			.name = "relay",
			.addresses = {.count = 1, .list = {relay_addr}},
			.leg = i,
			.ticket = {ret->sealed, sizeof ret->sealed},
		};
		memcpy(ret->leg[i].leg_key, ticket->leg_keys[i], KEY_SIZE);
	}
}

/* The referee: whoever has proved nothing never has more bytes than it sent, but for E5's burst of a move. */
static void pull_all(struct fixture *f)
{
	struct relay_counters counters;

	relay_get_counters(f->relay, &counters);
	f->out_count = 0;
	while (relay_next_datagram(f->relay, &f->out[f->out_count])) {
		struct place *place = place_of(f, &f->out[f->out_count].route.remote);

		place->out += f->out[f->out_count].size;
		if (!place->proven)
			assert_true(place->out <= place->in + counters.bursts * UNVALIDATED_BURST_BYTES);
		f->out_count++;
		if (f->out_count == FIXTURE_OUT_MAX)
			break;
	}
}

enum err fixture_send(struct fixture *f, const struct addr *from, const uint8_t *bytes, size_t size,
		      uint16_t segment_size)
{
	struct datagram datagram = {
		.route = {.local = from->ip.family == 6 ? relay_addr6 : relay_addr, .ifindex = 7, .remote = *from},
		.bytes = bytes,
		.size = size,
		.segment_size = segment_size,
	};
	enum err err;

	place_of(f, from)->in += size;
	err = relay_input_datagram(f->relay, f->now, &datagram);
	pull_all(f);
	return err;
}

void fixture_wait(struct fixture *f, int64_t us)
{
	struct time_us until = time_add(f->now, us);

	for (;;) {
		struct time_us next = relay_next_deadline(f->relay);

		if (next.us > until.us)
			break;
		if (next.us > f->now.us)
			f->now = next;
		relay_input_time(f->relay, f->now);
		pull_all(f);
	}
	f->now = until;
}

void fixture_run_leg(struct fixture *f, struct leg *leg, const struct addr *from)
{
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;

	while (leg_output(leg, f->now, bytes, &size)) {
		(void)fixture_send(f, from, bytes, size, 0);
		for (uint32_t i = 0; i < f->out_count; i++)
			if (addr_equal(&f->out[i].route.remote, from))
				(void)leg_input(leg, f->now, f->out[i].bytes, f->out[i].size);
	}
}

void fixture_bind_both(struct fixture *f, uint64_t path_id, struct leg legs[2])
{
	fixture_bind_at(f, path_id, legs, (struct addr[2]){place_addr(1, 1000), place_addr(2, 1000)});
}

void fixture_bind_at(struct fixture *f, uint64_t path_id, struct leg legs[2], const struct addr places[2])
{
	struct ticket ticket = fixture_ticket(path_id);
	struct grants grants;

	fixture_seal(f, &ticket, &grants);
	for (uint8_t i = 0; i < 2; i++) {
		assert_int_equal(leg_init(&legs[i], path_id, &grants.leg[i], f->now), OK);
		fixture_run_leg(f, &legs[i], &places[i]);
		assert_true(leg_is_bound(&legs[i]));
	}
}

void make_sealed(uint8_t *ret, size_t size, uint64_t path_id, uint8_t mark)
{
	struct writer w = writer_over(ret, size);

	memset(ret, 0x5a, size);
	header_encode(&(struct header){.type = PACKET_SEALED, .path = 0, .counter = mark, .path_id = path_id}, &w);
}

void fixture_counters(struct fixture *f, struct relay_counters *ret)
{
	relay_get_counters(f->relay, ret);
}
