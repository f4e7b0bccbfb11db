/*
 * While the flood lasts, which is more than the coordinator's budget for the unknown, those who are there go on, and
 * those who are new get in within a second and a half: they prove with a cookie where they are.
 */
#include "flood.h"

#include <string.h>

#include "crypto/hash.h"
#include "proto/session/handshake.h"
#include "story.h"

enum { BURST = 10, PERIOD_US = 1000, SIZE = 400, NEWCOMERS = 3, FLOODER_PORT = 6667 };
#define WARM_US (400 * USEC_PER_MSEC) /* the burst that buckets allow is used up by then */
#define NEWCOMER_LIMIT_US (1500 * USEC_PER_MSEC)

struct flooder {
	struct world *world;
	struct host *host;
	struct stream random;
	struct addr target;
	uint8_t mac1_key[KEY_SIZE];
	struct time_us next;
};

/* Right up to mac1; what comes behind it costs the coordinator a Diffie-Hellman, if it goes on. */
static void send_one(struct flooder *f)
{
	struct addr source = {.ip = ip_v4(11, (uint8_t)stream_below(&f->random, 256),
					  (uint8_t)stream_below(&f->random, 256),
					  (uint8_t)stream_below(&f->random, 256)),
			      .port = (uint16_t)(1 + stream_below(&f->random, 65535))};
	uint8_t bytes[SIZE] = {0};
	struct writer w = writer_over(bytes, HEADER_SIZE);
	struct header header = {.type = PACKET_REGISTRATION_REQUEST, .path_id = stream_below(&f->random, UINT64_MAX)};

	header_encode(&header, &w);
	for (size_t i = HEADER_SIZE; i < HEADER_SIZE + KEY_SIZE; i++)
		bytes[i] = (uint8_t)stream_below(&f->random, 256);
	mac(f->mac1_key, bytes, SIZE - 2 * MAC_SIZE, bytes + SIZE - 2 * MAC_SIZE);
	world_inject(f->world, &source, &f->target, bytes, SIZE);
}

static void flooder_input(void *m, struct time_us now, const struct datagram *datagram)
{
	(void)m;
	(void)now;
	(void)datagram;
}

static void flooder_time(void *m, struct time_us now)
{
	struct flooder *f = m;

	for (; time_reached(now, f->next); f->next = time_add(f->next, PERIOD_US))
		for (int i = 0; i < BURST; i++)
			send_one(f);
}

static bool flooder_datagram(void *m, struct time_us now, struct datagram *ret)
{
	(void)m;
	(void)now;
	(void)ret;
	return false;
}

static struct time_us flooder_deadline(const void *m)
{
	return ((const struct flooder *)m)->next;
}

static const struct machine_ops flooder_ops = {
	.input_datagram = flooder_input,
	.input_time = flooder_time,
	.next_datagram = flooder_datagram,
	.next_deadline = flooder_deadline,
};

static void flooder_start(struct flooder *f, struct overlay *o)
{
	struct net_config config = {.name = "flooder-net", .has_v4 = true};

	*f = (struct flooder){.world = o->world,
			      .random = stream_for(o->world->seed, "flooder", 0),
			      .target = host_addr(o->coordinator, 4),
			      .next = o->world->now};
	handshake_mac1_key(o->coordinator_config.static_keys.public, NULL, f->mac1_key);
	config.up.delay_us = config.down.delay_us = 1000;
	f->host = world_add_host(o->world, "flooder", &flooder_ops, f, FLOODER_PORT);
	host_plug(f->host, 1, world_add_net(o->world, &config));
	host_turn(f->host);
}

/* Without this the rest would say nothing. */
static bool is_over_budget(struct overlay *o)
{
	struct coordinator_counters counters;

	coordinator_get_counters(((struct server_host *)o->coordinator->machine)->coordinator, &counters);
	return counters.cookies > 1000;
}

/* The scenario. */
void flood_run(struct overlay *o)
{
	struct flooder flooder;
	struct talk talk;
	char name[] = "new0";

	if (!story_start_drawn(o, &talk, 0))
		return;
	flooder_start(&flooder, o);
	story_run(o, WARM_US);
	(void)story_expect(o, is_over_budget(o), "the flood is more than the coordinator's budget");
	for (int i = 0; i < NEWCOMERS; i++, name[3]++)
		(void)overlay_add_node(o, name, overlay_draw_net(o, 0));
	if (story_expect(o, overlay_wait_registered(o, NEWCOMER_LIMIT_US), "newcomers register while the flood lasts"))
		(void)story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "under a flood");
	flooder.host->machine = NULL;
}
