#include "proto/relay/relay.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/relay/state.h"
#include "proto/session/probe.h"

/* The wall clock is only ever read here; everything else is relative to now. */
struct relay *relay_create(const struct relay_config *config, const struct relay_env *env, struct time_us now)
{
	struct relay *relay = mem_alloc(1, sizeof *relay);
	uint8_t table_key[16];

	relay->config = *config;
	relay->env = *env;
	relay->started = relay->now = relay->cookie_rotated = now;
	if (!relay->config.pairs_max)
		relay->config.pairs_max = RELAY_PAIRS_DEFAULT;
	if (!relay->config.tickets_per_s)
		relay->config.tickets_per_s = 256;
	relay->load_since = now;
	probe_key_node(config->static_keys.public, relay->probe_key);
	random_fill(&env->random, table_key, sizeof table_key);
	random_fill(&env->random, relay->limit_key, sizeof relay->limit_key);
	random_fill(&env->random, relay->cookie_secret, sizeof relay->cookie_secret);
	pair_table_init(&relay->table, relay->config.pairs_max, table_key);
	wipe(table_key, sizeof table_key);
	memory_init(&relay->memory, config->memory_bytes);
	express_init(relay);
	return relay;
}

/* Sends nothing: the legs find out by their next Bind. */
void relay_destroy(struct relay *relay)
{
	if (!relay)
		return;
	express_finish(relay);
	pair_table_finish(&relay->table);
	memory_finish(&relay->memory);
	wipe(relay, sizeof *relay);
	mem_free(relay);
}

static const struct relay_coordinator *coordinator_known(const struct relay *relay, const uint8_t key[KEY_SIZE])
{
	for (unsigned i = 0; i < relay->coordinator_count; i++)
		if (!memcmp(relay->coordinators[i].public, key, KEY_SIZE))
			return &relay->coordinators[i];
	return NULL;
}

/* What a coordinator taught us about the time survives, so that a new list does not revive old tickets. */
enum err relay_set_coordinators(struct relay *relay, const uint8_t (*keys)[KEY_SIZE], size_t count)
{
	struct relay_coordinator list[COORDINATORS_MAX] = {0};
	enum err err = OK;

	if (count > COORDINATORS_MAX)
		return ERR_SIZE;
	for (size_t i = 0; i < count && err == OK; i++) {
		const struct relay_coordinator *known = coordinator_known(relay, keys[i]);

		memcpy(list[i].public, keys[i], KEY_SIZE);
		list[i].newest_not_before_s = known ? known->newest_not_before_s : 0;
		err = ticket_key(relay->config.static_keys.secret, keys[i], list[i].ticket_key);
		if (err == OK)
			probe_key_coordinator(list[i].ticket_key, list[i].probe_key);
	}
	if (err == OK) {
		memcpy(relay->coordinators, list, sizeof list);
		relay->coordinator_count = (uint8_t)count;
	}
	wipe(list, sizeof list);
	return err;
}

/* Field by field, so that padding never takes part in a comparison. */
struct relay_endpoint relay_endpoint_of(const struct addr *addr)
{
	struct relay_endpoint endpoint = {.port = addr->port, .family = addr->ip.family};

	memcpy(endpoint.ip, addr->ip.bytes, sizeof endpoint.ip); /* zero behind an IPv4 address */
	return endpoint;
}

/* The other way. */
struct addr relay_addr_of(const struct relay_endpoint *endpoint)
{
	struct addr addr = {.port = endpoint->port, .ip.family = endpoint->family};

	memcpy(addr.ip.bytes, endpoint->ip, sizeof endpoint->ip);
	return addr;
}

/* Events carry values only: the pair may be gone right after. */
void relay_tell(const struct relay *relay, enum relay_event_type type, const struct pair *pair, unsigned leg)
{
	const struct relay_leg *legs = pair->flow.legs;
	bool whole = type == RELAY_EVENT_PAIR_EXPIRED;
	struct relay_event event = {
		.type = type,
		.path_id = pair->flow.path_id,
		.leg = (uint8_t)leg,
		.generation = whole ? 0 : pair->generation[leg],
		.packets = whole ? legs[0].packets + legs[1].packets : legs[leg].packets,
		.bytes = whole ? legs[0].bytes + legs[1].bytes : legs[leg].bytes,
	};

	if (!whole)
		event.remote = relay_addr_of(&legs[leg].remote);
	if (relay->env.event)
		relay->env.event(relay->env.ctx, &event);
}

/* The queue is as long as the longest train, and empty at the start of every input. */
struct datagram *relay_out(struct relay *relay)
{
	if (relay->out_count == RELAY_OUT_MAX) {
		relay->counters.dropped_queue++;
		return NULL;
	}
	return &relay->out[relay->out_count++];
}

/* Back where it came from, by our address that it was sent to: anything else would not pass the node's NAT. */
void relay_reply(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct datagram *out = relay_out(relay);
	uint8_t *slot;

	if (!out)
		return;
	slot = relay->replies[out - relay->out];
	memcpy(slot, bytes, size);
	*out = (struct datagram){.route = *route, .bytes = slot, .size = size};
	relay->counters.replies++;
	relay->counters.reply_bytes += size;
}

/* What was not pulled pointed into memory that its lender may have taken back. */
void relay_turn(struct relay *relay, struct time_us now)
{
	struct datagram lost;

	assert(now.us >= relay->now.us);
	relay->now = now;
	relay->counters.dropped_queue += relay->out_count - relay->out_at;
	relay->out_count = relay->out_at = 0;
	while (relay_replay_next(relay, &lost))
		relay->counters.dropped_queue++;
}

/* In the order in which they were caused; what is sent again comes behind what the same input caused. */
bool relay_next_datagram(struct relay *relay, struct datagram *ret)
{
	if (relay->out_at == relay->out_count)
		return relay_replay_next(relay, ret);
	*ret = relay->out[relay->out_at++];
	return true;
}

/* As they lie in the queue, which is empty after that; what is sent again fills it once more. */
size_t relay_next_datagrams(struct relay *relay, const struct datagram **ret)
{
	uint32_t at = relay->out_at;

	if (at == relay->out_count) {
		at = relay->out_count = 0;
		while (relay->out_count < RELAY_OUT_MAX && relay_replay_next(relay, &relay->out[relay->out_count]))
			relay->out_count++;
	}
	relay->out_at = relay->out_count;
	*ret = &relay->out[at];
	return relay->out_count - at;
}

static void relay_remove_pair(struct relay *relay, struct pair *pair)
{
	express_leave(relay, pair);
	relay_tell(relay, RELAY_EVENT_PAIR_EXPIRED, pair, 0);
	relay->counters.pairs_expired++;
	pair_table_remove(&relay->table, pair);
}

/* The packet path refuses idle legs by itself; this only frees what they hold. */
bool relay_check_pair(struct relay *relay, struct pair *pair)
{
	bool alive = false;

	express_pull(relay, pair);
	for (unsigned i = 0; i < 2; i++) {
		struct relay_leg *leg = &pair->flow.legs[i];

		if (leg->remote.family && !relay_leg_is_bound(&pair->flow, leg, relay->now.us)) {
			express_leave(relay, pair);
			relay->counters.legs_idle++;
			relay_tell(relay, RELAY_EVENT_LEG_IDLE, pair, i);
			leg->remote = leg->remote_local = (struct relay_endpoint){0};
		}
		alive |= leg->remote.family != 0;
	}
	if (alive)
		return false;
	if (pair->list == PAIR_UNBOUND && !time_reached(relay->now, pair->check))
		return false;
	relay_remove_pair(relay, pair);
	return true;
}

/* Work per call is bounded by what became due, and every pair becomes due at most once per RELAY_CHECK_US. */
void relay_input_time(struct relay *relay, struct time_us now)
{
	struct pair *pair;

	relay_turn(relay, now);
	express_input_time(relay);
	while ((pair = pair_table_first(&relay->table, PAIR_UNBOUND)) && time_reached(now, pair->check))
		if (!relay_check_pair(relay, pair))
			pair_table_move(&relay->table, pair, PAIR_BOUND, time_add(now, RELAY_CHECK_US));
	while ((pair = pair_table_first(&relay->table, PAIR_BOUND)) && time_reached(now, pair->check))
		if (!relay_check_pair(relay, pair))
			pair_table_move(&relay->table, pair, PAIR_BOUND, time_add(now, RELAY_CHECK_US));
}

/* One look-up, nothing is counted. */
bool relay_knows(const struct relay *relay, uint64_t path_id)
{
	return pair_table_find(&relay->table, path_id) != NULL;
}

/* Secrets rotate when they are used, so only expiry needs to be woken for. */
struct time_us relay_next_deadline(const struct relay *relay)
{
	const struct pair *unbound = pair_table_first(&relay->table, PAIR_UNBOUND);
	const struct pair *bound = pair_table_first(&relay->table, PAIR_BOUND);

	return time_min(time_min(unbound ? unbound->check : TIME_NEVER, bound ? bound->check : TIME_NEVER),
			relay->express.count ? relay->express.tick : TIME_NEVER);
}

/* A copy: the machine goes on counting. */
void relay_get_counters(const struct relay *relay, struct relay_counters *ret)
{
	*ret = relay->counters;
	ret->pairs = relay->table.count;
	ret->pairs_max = relay->table.pairs_max;
	ret->express_pairs = relay->express.count;
}

/* In slot order; free slots are skipped. */
bool relay_next_pair(const struct relay *relay, uint32_t *cursor, struct relay_pair_info *ret)
{
	while (*cursor < relay->table.fresh) {
		const struct pair *pair = &relay->table.pairs[(*cursor)++];

		if (!pair->used)
			continue;
		*ret = (struct relay_pair_info){
			.path_id = pair->flow.path_id,
			.bytes_left = pair->flow.bytes_left,
			.rate_kbps = pair->flow.rate_kbps,
		};
		for (unsigned i = 0; i < 2; i++)
			ret->legs[i] = (struct relay_leg_info){
				.remote = relay_addr_of(&pair->flow.legs[i].remote),
				.generation = pair->generation[i],
				.packets = pair->flow.legs[i].packets,
				.bytes = pair->flow.legs[i].bytes,
			};
		return true;
	}
	return false;
}
