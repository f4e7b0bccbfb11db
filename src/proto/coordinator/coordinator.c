/* coordinator.c: entry points: what arrives is taken apart and handed on; what goes out is queued until pulled. */
#include "proto/coordinator/coordinator.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/echo.h"
#include "proto/coordinator/realm.h"

enum { SIGNATURES_KEPT = 4096 }; /* members that come back: 128 KiB, touched as they come */

/* Time enters once per call and never goes back. */
static void enter(struct coordinator *c, struct time_us now)
{
	assert(now.us >= c->now.us);
	c->now = now;
}

/* Seconds since 1970 as the network counts them. */
uint64_t coordinator_wall_s(const struct coordinator *c)
{
	return c->wall_s + (uint64_t)(time_since(c->now, c->wall_at) / USEC_PER_SEC);
}

/* Never 0, so that 0 can mean "none". */
uint32_t coordinator_random_u32(struct coordinator *c)
{
	uint32_t value = 0;

	while (value == 0)
		random_fill(&c->env.random, &value, sizeof value);
	return value;
}

/* Queues a datagram; when the driver pulls too rarely the newest is lost, as on any network. */
void coordinator_send(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct outgoing *out = &c->out[(c->out_first + c->out_count) % OUT_MAX];

	if (c->out_count == OUT_MAX || size > sizeof out->bytes) {
		c->counters.dropped_out++;
		return;
	}
	out->route = *route;
	out->size = (uint16_t)size;
	memcpy(out->bytes, bytes, size);
	c->out_count++;
	c->counters.sent++;
	c->counters.sent_bytes += size;
}

/* For logs, metrics and tests. */
void coordinator_tell(struct coordinator *c, enum coordinator_event_type type, const struct member *member,
		      const struct member *peer, uint8_t reason)
{
	struct coordinator_event event = {
		.type = type,
		.id = &member->id,
		.fqdn = member->fqdn,
		.peer_fqdn = peer ? peer->fqdn : NULL,
		.observed = member->observed,
		.reason = reason,
	};

	if (!c->env.event)
		return;
	if (member->has_lease) {
		event.v4 = member->lease.v4;
		event.v6 = member->lease.v6;
	}
	c->env.event(c->env.ctx, &event);
}

/* Tables are made once, for nodes_max. */
struct coordinator *coordinator_create(const struct coordinator_config *config, const struct coordinator_env *env,
				       struct time_us now)
{
	struct coordinator *c = mem_alloc(1, sizeof *c);
	uint64_t seeds[8];

	c->config = *config;
	c->env = *env;
	c->now = c->wall_at = now;
	c->wall_s = config->wall_s;
	c->zone_serial = (uint32_t)config->wall_s;
	if (c->config.nodes_max == 0)
		c->config.nodes_max = COORDINATOR_NODES_DEFAULT;
	c->aead = config->aead ? config->aead : aead_provider_create(AEAD_BACKEND_AUTO);
	c->signatures = signature_cache_create(SIGNATURES_KEPT);
	handshake_mac1_key(config->static_keys.public, NULL, c->mac1_key);
	random_fill(&env->random, c->hash_key, sizeof c->hash_key);
	random_fill(&env->random, c->admission.hash_key, sizeof c->admission.hash_key);
	random_fill(&env->random, c->admission.cookie_secret, sizeof c->admission.cookie_secret);
	memcpy(c->questions.hash_key, c->admission.hash_key, sizeof c->questions.hash_key);
	random_fill(&env->random, seeds, sizeof seeds);
	c->members = mem_alloc(c->config.nodes_max, sizeof(struct member *));
	map_init(&c->by_id, c->config.nodes_max, seeds[0]);
	map_init(&c->by_name, c->config.nodes_max, seeds[1]);
	map_init(&c->by_v4, c->config.nodes_max, seeds[2]);
	map_init(&c->by_v6, c->config.nodes_max, seeds[3]);
	map_init(&c->by_path, (size_t)c->config.nodes_max * (1 + PENDING_PER_MEMBER), seeds[4]);
	map_init(&c->by_visitor, c->config.nodes_max, seeds[5]);
	map_init(&c->by_tunnel, (size_t)c->config.nodes_max * TUNNELS_PER_NODE, seeds[6]);
	map_init(&c->by_inquiry, c->config.nodes_max, seeds[7]);
	delay_queue_init(&c->pendings, PENDING_US);
	delay_queue_init(&c->held, 0);
	echo_init(c);
	place_init(c);
	relays_init(c);
	delay_queue_init(&c->idle, REJECT_AFTER_US);
	delay_queue_init(&c->secrets, DIRECTION_SECRET_US);
	for (int i = 0; i < DELIVERY_TRIES; i++) {
		int64_t delay_us = REQUEST_RETRY_US << i;

		if (delay_us > HANDSHAKE_RETRY_MAX_US)
			delay_us = HANDSHAKE_RETRY_MAX_US;
		delay_queue_init(&c->repeats[i], delay_us);
		delay_queue_init(&c->inquiries[i], delay_us);
	}
	return c;
}

/* Every session and pair first, then what they hung on. */
void coordinator_destroy(struct coordinator *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->counters.nodes; i++) {
		struct member *member = c->members[i];

		pair_forget_all(c, member);
		inquiry_forget_all(c, member);
		channel_destroy(c, member->live);
		for (int j = 0; j < PENDING_PER_MEMBER; j++)
			channel_destroy(c, member->pending[j]);
	}
	for (struct member *member = c->dirty_first, *next; member; member = next) {
		next = member->dirty_next;
		if (member->is_erased)
			member_destroy(member);
	}
	for (uint32_t i = 0; i < c->counters.nodes; i++)
		member_destroy(c->members[i]);
	foreign_destroy_all(c);
	realm_destroy_all(c);
	mem_free(c->members);
	map_finish(&c->by_id);
	map_finish(&c->by_name);
	map_finish(&c->by_v4);
	map_finish(&c->by_v6);
	map_finish(&c->by_path);
	map_finish(&c->by_visitor);
	map_finish(&c->by_tunnel);
	map_finish(&c->by_inquiry);
	signature_cache_destroy(c->signatures);
	if (!c->config.aead)
		aead_provider_destroy(c->aead);
	mem_free(c->network);
	wipe(c, sizeof *c);
	mem_free(c);
}

/* Whoever is revoked goes before relays are chosen anew. */
void coordinator_set_network(struct coordinator *c, struct time_us now, const struct network *network)
{
	struct writer w = writer_over(c->network_bytes, sizeof c->network_bytes);
	bool is_first = !c->network;

	enter(c, now);
	if (!c->network)
		c->network = mem_alloc(1, sizeof *c->network);
	*c->network = *network;
	network_encode(network, &w);
	if (writer_finish(&w, &c->network_size) != OK)
		c->network_size = 0;
	foreign_set_network(c);
	for (size_t i = 0; i < network->revoked_count; i++)
		coordinator_revoke(c, now, &network->revoked[i]);
	relays_set_network(c, is_first);
}

/* By key: a coordinator may be given another zone or other pools only by joining anew. */
const struct coordinator_entry *coordinator_own_entry(const struct coordinator *c)
{
	for (size_t i = 0; c->network && i < c->network->coordinator_count; i++)
		if (memcmp(c->network->coordinators[i].static_key, c->config.static_keys.public, KEY_SIZE) == 0)
			return &c->network->coordinators[i];
	return NULL;
}

/* Leases and certificates are judged by it from now on. */
void coordinator_set_wall(struct coordinator *c, struct time_us now, uint64_t wall_s)
{
	enter(c, now);
	c->wall_at = now;
	c->wall_s = wall_s;
}

/* One datagram, from anybody. */
static enum err input_one(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct header header;
	struct channel *channel;

	c->counters.datagrams++;
	c->counters.bytes += size;
	if (size < HEADER_SIZE || size > MESSAGE_MAX) {
		c->counters.dropped_size++;
		return ERR_SIZE;
	}
	if (bytes[0] == PACKET_REGISTRATION_REQUEST)
		return registration_input(c, route, bytes, size);
	if (bytes[0] == PACKET_RELAY_PROBED || bytes[0] == PACKET_RELAY_ANNOUNCE)
		return relays_input(c, route, bytes, size);
	if (header_decode(&r, &header) != OK ||
	    (!(header.type & PACKET_SEALED) && header.type != PACKET_REGISTRATION_RESPONSE &&
	     header.type != PACKET_COOKIE)) {
		c->counters.dropped_type++;
		return ERR_UNSUPPORTED;
	}
	channel = header.type & PACKET_SEALED ? map_get(&c->by_path, header.path_id) : NULL;
	if (!channel)
		return foreign_input(c, route, &header, bytes, size);
	return channel_input(c, channel, route, bytes, size);
}

/* A train is cut into its datagrams. */
enum err coordinator_input_datagram(struct coordinator *c, struct time_us now, const struct datagram *datagram)
{
	size_t step = datagram->segment_size ? datagram->segment_size : datagram->size;
	enum err result = datagram->size ? OK : ERR_SIZE;

	enter(c, now);
	for (size_t at = 0; at < datagram->size; at += step) {
		size_t left = datagram->size - at;
		enum err err = input_one(c, &datagram->route, datagram->bytes + at, left < step ? left : step);

		if (err)
			result = err;
	}
	return result;
}

/* Silence first makes a member offline, then ends its session. */
static void input_silence(struct coordinator *c)
{
	struct delay *delay;

	for (unsigned step = 0; step < KEEPALIVE_STEPS; step++) {
		while ((delay = delay_take(&c->online[step], c->now)) != NULL) {
			struct member *member = (struct member *)((char *)delay - offsetof(struct member, silence));

			member->is_online = false;
			c->counters.online--;
			member->last_seen_s = coordinator_wall_s(c) - (uint64_t)(echo_silence_us(step) / USEC_PER_SEC);
			member_changed(c, member, false);
			coordinator_tell(c, COORDINATOR_NODE_OFFLINE, member, NULL, 0);
			delay_start(&c->idle, &member->silence, c->now);
		}
	}
	while ((delay = delay_take(&c->idle, c->now)) != NULL) {
		struct member *member = (struct member *)((char *)delay - offsetof(struct member, silence));

		channel_destroy(c, member->live);
	}
}

/* Everything that is due. */
void coordinator_input_time(struct coordinator *c, struct time_us now)
{
	struct delay *delay;

	enter(c, now);
	while ((delay = delay_take(&c->pendings, now)) != NULL)
		channel_destroy(c, (struct channel *)((char *)delay - offsetof(struct channel, pending)));
	echo_input_time(c);
	place_input_time(c);
	input_silence(c);
	pair_input_time(c);
	inquiry_input_time(c);
	foreign_input_time(c);
	relays_input_time(c);
}

/* Heads of queues with fixed delays: no search. */
struct time_us coordinator_next_deadline(const struct coordinator *c)
{
	struct time_us deadline = delay_deadline(&c->pendings);

	deadline = time_min(deadline, echo_deadline(c));
	deadline = time_min(deadline, delay_deadline(&c->doubts));
	deadline = time_min(deadline, relays_deadline(c));
	deadline = time_min(deadline, delay_deadline(&c->idle));
	deadline = time_min(deadline, delay_deadline(&c->secrets));
	for (int i = 0; i < DELIVERY_TRIES; i++)
		deadline = time_min(deadline, delay_deadline(&c->repeats[i]));
	return time_min(deadline, time_min(inquiry_deadline(c), foreign_deadline(c)));
}

/* Oldest first. */
bool coordinator_next_datagram(struct coordinator *c, struct datagram *ret)
{
	struct outgoing *out = &c->out[c->out_first];

	if (c->out_count == 0)
		return false;
	*ret = (struct datagram){
		.route = out->route, .bytes = out->bytes, .size = out->size, .segment_size = out->size};
	c->out_first = (c->out_first + 1) % OUT_MAX;
	c->out_count--;
	return true;
}

/* A copy. */
void coordinator_get_counters(const struct coordinator *c, struct coordinator_counters *ret)
{
	*ret = c->counters;
}
