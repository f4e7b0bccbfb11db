#include "proto/relay/express.h"

#include "base/mem.h"
#include "proto/relay/state.h"

/* Units a second that the machine has to be below before it takes pairs back: half of what it keeps. */
#define EXPRESS_ROOM (EXPRESS_UNITS * USEC_PER_SEC / (2 << MEMORY_SLICE_BITS))

/* A driver without such a forwarder costs a relay nothing. */
void express_init(struct relay *relay)
{
	if (!relay->env.express.install)
		return;
	relay->express.list = mem_alloc(EXPRESS_MAX, sizeof(*relay->express.list));
	relay->memory.entries_max = EXPRESS_UNITS;
}

/* Nobody is told what is left: the pairs end too. */
void express_finish(struct relay *relay)
{
	for (uint32_t i = 0; i < relay->express.count; i++)
		relay->env.express.remove(relay->env.express.ctx, relay->express.list[i].copy, relay->now);
	mem_free(relay->express.list);
	relay->express = (struct express){0};
}

/* Two legs can at most use twice this before it is charged (flow.h), half of what is left. */
static uint64_t lent_of(const struct relay_flow *flow)
{
	return flow->bytes_left == UINT64_MAX ? UINT64_MAX : flow->bytes_left / EXPRESS_LENT;
}

static bool may_join(const struct relay *relay, const struct pair *pair)
{
	const struct relay_flow *flow = &pair->flow;
	int64_t now_us = relay->now.us;

	for (unsigned i = 0; i < 2; i++)
		if (!relay_leg_is_bound(flow, &flow->legs[i], now_us) ||
		    relay_leg_has_candidate(flow, &flow->legs[i], now_us))
			return false;
	return flow->bytes_left >= EXPRESS_BYTES_MIN;
}

/* A refusal holds for up to a second: asking for ways is no work for every datagram. */
void express_join(struct relay *relay, struct pair *pair)
{
	struct express *express = &relay->express;
	uint32_t second = (uint32_t)(relay->now.us >> 20);
	struct relay_flow lent = pair->flow;
	struct express_flow *flow;
	struct relay_copy *copy;

	if (!express->list || pair->express || express->count == EXPRESS_MAX || second < pair->express_after ||
	    !may_join(relay, pair))
		return;
	lent.bytes_left = lent_of(&pair->flow);
	for (unsigned i = 0; i < 2; i++)
		lent.legs[i].candidate = lent.legs[i].candidate_local = (struct relay_endpoint){0};
	copy = relay->env.express.install(relay->env.express.ctx, &lent, relay->now,
					  time_add(relay->now, EXPRESS_LEASE_US));
	if (!copy) {
		pair->express_after = second + 1;
		relay->counters.express_refused++;
		return;
	}
	if (!express->count)
		express->tick = time_add(relay->now, EXPRESS_TICK_US);
	flow = &express->list[express->count++];
	*flow = (struct express_flow){.copy = copy, .pair = (uint32_t)(pair - relay->table.pairs)};
	for (unsigned i = 0; i < 2; i++) {
		flow->packets[i] = lent.legs[i].packets;
		flow->bytes[i] = lent.legs[i].bytes;
	}
	pair->express = express->count;
	relay->counters.express_joined++;
}

/* Counters are read once, though the forwarder goes on writing them. */
static uint64_t take(const uint64_t *theirs, uint64_t *charged)
{
	uint64_t now = __atomic_load_n(theirs, __ATOMIC_RELAXED), more = now - *charged;

	*charged = now;
	return more;
}

static int64_t later(const int64_t *theirs, int64_t ours)
{
	int64_t value = __atomic_load_n(theirs, __ATOMIC_RELAXED);

	return value > ours ? value : ours;
}

/* Contract in express.h. */
void express_pull(struct relay *relay, struct pair *pair)
{
	struct relay_counters *counters = &relay->counters;
	struct express_flow *express;
	uint64_t packets = 0, bytes = 0, dropped;

	if (!pair->express)
		return;
	express = &relay->express.list[pair->express - 1];
	for (unsigned i = 0; i < 2; i++) {
		struct relay_leg *ours = &pair->flow.legs[i], *theirs = &express->copy->flow.legs[i];
		uint64_t more_packets = take(&theirs->packets, &express->packets[i]);
		uint64_t more_bytes = take(&theirs->bytes, &express->bytes[i]);

		ours->packets += more_packets;
		ours->bytes += more_bytes;
		ours->heard_us = later(&theirs->heard_us, ours->heard_us);
		ours->bucket_ns = later(&theirs->bucket_ns, ours->bucket_ns);
		packets += more_packets;
		bytes += more_bytes;
	}
	if (pair->flow.bytes_left != UINT64_MAX)
		pair->flow.bytes_left -= bytes < pair->flow.bytes_left ? bytes : pair->flow.bytes_left;
	dropped = take(&express->copy->dropped_rate, &express->dropped_rate);
	express->since += packets;
	counters->dropped_rate += dropped;
	counters->datagrams += packets + dropped;
	counters->bytes += bytes;
	counters->forwarded += packets;
	counters->forwarded_bytes += bytes;
	counters->express_forwarded += packets;
	counters->express_bytes += bytes;
}

/* One bucket for what both forward; and the cap lent anew. */
static void write_copy(struct relay_flow *theirs, const struct pair *pair)
{
	for (unsigned i = 0; i < 2; i++) {
		__atomic_store_n(&theirs->legs[i].heard_us, pair->flow.legs[i].heard_us, __ATOMIC_RELAXED);
		__atomic_store_n(&theirs->legs[i].bucket_ns, pair->flow.legs[i].bucket_ns, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&theirs->bytes_left, lent_of(&pair->flow), __ATOMIC_RELAXED);
}

/* Contract in express.h. */
void express_push(struct relay *relay, const struct pair *pair)
{
	struct express_flow *express = &relay->express.list[pair->express - 1];

	express->passed++;
	write_copy(&express->copy->flow, pair);
}

/* First removed, then read, so that what it counts meanwhile is charged too. */
void express_leave(struct relay *relay, struct pair *pair)
{
	struct express *express = &relay->express;
	uint32_t number = pair->express;

	if (!number)
		return;
	relay->env.express.remove(relay->env.express.ctx, express->list[number - 1].copy, relay->now);
	express_pull(relay, pair);
	pair->express = 0;
	express->count--;
	if (number - 1 == express->count)
		return;
	express->list[number - 1] = express->list[express->count];
	relay->table.pairs[express->list[number - 1].pair].express = number;
}

/* Without a memory nothing is gained by taking back a pair that is still in use. */
static bool is_slow(const struct relay *relay, uint64_t packets, uint64_t room)
{
	return packets == 0 || (relay->memory.bytes && packets <= room && packets <= EXPRESS_ROOM / MEMORY_SHARE);
}

/* A lent pair after a second: on, or back. *room: what the machine can still take back. */
static void look_after(struct relay *relay, struct express_flow *express, uint64_t *room)
{
	struct pair *pair = &relay->table.pairs[express->pair];
	uint64_t packets, passed = express->passed;

	express_pull(relay, pair);
	packets = express->since;
	express->since = express->passed = 0;
	if (packets == 0 && passed >= EXPRESS_IN_VAIN)
		pair->express_after = (uint32_t)(relay->now.us >> 20) + EXPRESS_PAUSE;
	if (is_slow(relay, packets, *room)) {
		*room -= packets;
		express_leave(relay, pair);
	} else if (pair->flow.bytes_left < EXPRESS_BYTES_MIN ||
		   !relay->env.express.renew(relay->env.express.ctx, express->copy,
					     time_add(relay->now, EXPRESS_LEASE_US))) {
		express_leave(relay, pair);
	} else {
		write_copy(&express->copy->flow, pair);
	}
}

/* From the last on, as one that leaves is replaced by the last. */
void express_input_time(struct relay *relay)
{
	struct express *express = &relay->express;
	uint64_t room = express->units < EXPRESS_ROOM ? EXPRESS_ROOM - express->units : 0;

	if (!express->count || !time_reached(relay->now, express->tick))
		return;
	for (uint32_t i = express->count; i-- > 0;)
		look_after(relay, &express->list[i], &room);
	express->units = 0;
	express->tick = time_add(relay->now, EXPRESS_TICK_US);
}
