/*
 * flow.h: what the relay must know to forward one packet, and the decision itself as one inline function. Fixed-width
 * fields only and no call out of this header: the same text can be compiled for BPF, for user space, for fuzzers and
 * for the simulator.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* An address as compared per packet. IPv4 is in the first 4 bytes, the rest zero. place is not compared. */
struct relay_endpoint {
	uint8_t ip[16];
	uint16_t port;	/* host order */
	uint8_t family; /* 0: none, 4, 6 */
	uint8_t place;	/* of a leg's remote or candidate: tells its addresses apart, in time */
};

/*
 * One end of a pair. remote is where it proved to be; candidate is where a newer authentic Bind came from, not proved
 * yet.
 */
struct relay_leg {
	struct relay_endpoint remote, remote_local;
	struct relay_endpoint candidate, candidate_local;
	int64_t heard_us;	   /* last packet from remote */
	int64_t candidate_us;	   /* when candidate was set */
	uint64_t candidate_budget; /* bytes that candidate sent, less those sent to it (security 1, E5) */
	int64_t bucket_ns;	   /* token bucket as the virtual time at which it is full again */
	uint64_t packets, bytes;   /* forwarded from this leg */
	uint64_t newest;	   /* of what is remembered that went to it; 0: nothing */
};

struct relay_flow {
	uint64_t path_id;
	uint64_t bytes_left;			/* of the pair's cap, both directions; UINT64_MAX: no cap */
	uint32_t rate_kbps;			/* per leg; 0: no limit */
	uint32_t burst_us;			/* how far ahead of its rate a leg may run */
	int64_t leg_idle_us, candidate_idle_us; /* how long remote and candidate hold without being heard */
	struct relay_leg legs[2];
};

enum relay_verdict {
	RELAY_FORWARD,
	RELAY_DROP_SOURCE,  /* not from either leg */
	RELAY_DROP_UNBOUND, /* the other leg is nowhere, or over its unproven budget */
	RELAY_DROP_RATE,
	RELAY_DROP_CAP,
	RELAY_VERDICTS
};

static inline bool relay_endpoint_equal(const struct relay_endpoint *a, const struct relay_endpoint *b)
{
	uint64_t difference = (uint64_t)(a->family ^ b->family) | (uint64_t)(a->port ^ b->port);

	for (unsigned i = 0; i < 16; i++)
		difference |= (uint64_t)(a->ip[i] ^ b->ip[i]);
	return difference == 0;
}

static inline bool relay_leg_is_bound(const struct relay_flow *flow, const struct relay_leg *leg, int64_t now_us)
{
	return leg->remote.family && now_us - leg->heard_us < flow->leg_idle_us;
}

static inline bool relay_leg_has_candidate(const struct relay_flow *flow, const struct relay_leg *leg, int64_t now_us)
{
	return leg->candidate.family && now_us - leg->candidate_us < flow->candidate_idle_us;
}

/* Takes size bytes from the leg's token bucket; false, and nothing taken, when it is empty. */
static inline bool relay_leg_take(const struct relay_flow *flow, struct relay_leg *leg, uint64_t size, int64_t now_us)
{
	int64_t now_ns = now_us * 1000, full_ns = leg->bucket_ns > now_ns ? leg->bucket_ns : now_ns;

	if (!flow->rate_kbps)
		return true;
	full_ns += (int64_t)(size * 8000000 / flow->rate_kbps);
	if (full_ns - now_ns > (int64_t)flow->burst_us * 1000)
		return false;
	leg->bucket_ns = full_ns;
	return true;
}

/* What goes on is taken from the pair's cap and, to a leg that has not proved where it is, from that one's budget. */
static inline void relay_flow_count(struct relay_flow *flow, struct relay_leg *from, bool to_candidate,
				    uint32_t packets, uint64_t size)
{
	struct relay_leg *to = from == &flow->legs[0] ? &flow->legs[1] : &flow->legs[0];

	if (to_candidate)
		to->candidate_budget -= size;
	if (flow->bytes_left != UINT64_MAX)
		flow->bytes_left -= size;
	from->packets += packets;
	from->bytes += size;
}

/*
 * May what was forwarded to leg `number` go there once more, now that it is elsewhere? It is charged like fresh
 * datagrams of the other leg. Only RELAY_FORWARD changes the flow.
 */
static inline enum relay_verdict relay_flow_again(struct relay_flow *flow, unsigned number, bool to_candidate,
						  uint32_t packets, uint64_t size, int64_t now_us)
{
	struct relay_leg *from = &flow->legs[1 - number], *to = &flow->legs[number];

	if (to_candidate && to->candidate_budget < size)
		return RELAY_DROP_UNBOUND;
	if (flow->bytes_left < size)
		return RELAY_DROP_CAP;
	if (!relay_leg_take(flow, from, size, now_us))
		return RELAY_DROP_RATE;
	relay_flow_count(flow, from, to_candidate, packets, size);
	return RELAY_FORWARD;
}

/*
 * May size bytes (packets datagrams, all of this flow) from src go on, and where to? A leg is known by its address
 * alone here: it proved that with its key when it was bound. Only RELAY_FORWARD changes the flow, and only it sets
 * the outputs: the destination, and our address to use.
 */
static inline enum relay_verdict relay_flow_forward(struct relay_flow *flow, const struct relay_endpoint *src,
						    uint32_t packets, uint64_t size, int64_t now_us,
						    const struct relay_endpoint **ret_remote,
						    const struct relay_endpoint **ret_local)
{
	struct relay_leg *from = 0, *to;
	bool proven = false, to_candidate;

	for (unsigned i = 0; i < 2 && !proven; i++) {
		struct relay_leg *leg = &flow->legs[i];

		if (relay_leg_is_bound(flow, leg, now_us) && relay_endpoint_equal(&leg->remote, src)) {
			from = leg;
			proven = true;
		} else if (!from && relay_leg_has_candidate(flow, leg, now_us) &&
			   relay_endpoint_equal(&leg->candidate, src)) {
			from = leg;
		}
	}
	if (!from)
		return RELAY_DROP_SOURCE;
	to = from == &flow->legs[0] ? &flow->legs[1] : &flow->legs[0];
	to_candidate = relay_leg_has_candidate(flow, to, now_us) && to->candidate_budget >= size;
	if (!to_candidate && !relay_leg_is_bound(flow, to, now_us))
		return RELAY_DROP_UNBOUND;
	if (flow->bytes_left < size)
		return RELAY_DROP_CAP;
	if (!relay_leg_take(flow, from, size, now_us))
		return RELAY_DROP_RATE;

	if (proven)
		from->heard_us = now_us;
	else
		from->candidate_budget += size;
	relay_flow_count(flow, from, to_candidate, packets, size);
	*ret_remote = to_candidate ? &to->candidate : &to->remote;
	*ret_local = to_candidate ? &to->candidate_local : &to->remote_local;
	return RELAY_FORWARD;
}
