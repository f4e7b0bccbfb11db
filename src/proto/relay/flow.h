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
	_Alignas(4) uint8_t ip[16]; /* so that it is compared by words */
	uint16_t port;		    /* host order */
	uint8_t family;		    /* 0: none, 4, 6 */
	uint8_t place;		    /* of a leg's remote or candidate: tells its addresses apart, in time */
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
	uint64_t bytes_left;			 /* of the pair's cap, both directions; UINT64_MAX: no cap */
	uint32_t rate_kbps;			 /* per leg; 0: no limit */
	uint32_t burst_us;			 /* how far ahead of its rate a leg may run */
	uint32_t leg_idle_us, candidate_idle_us; /* how long remote and candidate hold without being heard */
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
	uint32_t difference = (uint32_t)(a->family ^ b->family) | (uint32_t)(a->port ^ b->port);

	for (unsigned i = 0; i < 16; i += 4) {
		uint32_t ours, theirs;

		__builtin_memcpy(&ours, __builtin_assume_aligned(a->ip + i, 4), 4);
		__builtin_memcpy(&theirs, __builtin_assume_aligned(b->ip + i, 4), 4);
		difference |= ours ^ theirs;
	}
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

/* The leg that is at src, or neither: NULL. *ret_proven: it proved that; else it is only a candidate there. */
static inline struct relay_leg *relay_flow_leg_at(struct relay_flow *flow, const struct relay_endpoint *src,
						  int64_t now_us, bool *ret_proven)
{
	struct relay_leg *from = 0;

	*ret_proven = false;
	for (unsigned i = 0; i < 2 && !*ret_proven; i++) {
		struct relay_leg *leg = &flow->legs[i];

		if (relay_leg_is_bound(flow, leg, now_us) && relay_endpoint_equal(&leg->remote, src)) {
			from = leg;
			*ret_proven = true;
		} else if (!from && relay_leg_has_candidate(flow, leg, now_us) &&
			   relay_endpoint_equal(&leg->candidate, src)) {
			from = leg;
		}
	}
	return from;
}

/* The rest of the decision: as relay_flow_forward, of a leg that relay_flow_leg_at found. */
static inline enum relay_verdict relay_flow_forward_from(struct relay_flow *flow, struct relay_leg *from, bool proven,
							 uint32_t packets, uint64_t size, int64_t now_us,
							 const struct relay_endpoint **ret_remote,
							 const struct relay_endpoint **ret_local)
{
	struct relay_leg *to = from == &flow->legs[0] ? &flow->legs[1] : &flow->legs[0];
	bool to_candidate = relay_leg_has_candidate(flow, to, now_us) && to->candidate_budget >= size;

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
	bool proven;
	struct relay_leg *from = relay_flow_leg_at(flow, src, now_us, &proven);

	if (!from)
		return RELAY_DROP_SOURCE;
	return relay_flow_forward_from(flow, from, proven, packets, size, now_us, ret_remote, ret_local);
}

/*
 * A flow that another forwarder works on beside the machine, in the kernel for instance: bound legs, no candidates.
 * That one writes bytes_left and the legs' heard_us, bucket_ns, packets and bytes, and dropped_rate; the machine, from
 * time to time, all but the counters. Neither waits for the other: what a race loses is a packet's worth of the bucket.
 */
struct relay_copy {
	struct relay_flow flow;
	int64_t until_us; /* nothing is forwarded by it from then on, unless the machine goes on */
	uint64_t dropped_rate;
};
