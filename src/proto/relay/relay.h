/*
 * relay.h: the Relay Server as a pure machine (security 3): binds the two legs of a pair by ticket and leg key, and
 * forwards sealed packets between them without touching a byte. It knows no virtual address, holds no peer's keys,
 * and needs nobody but coordinators' public keys.
 *
 * Contract: one thread; `now` never goes back; a stranger's bytes never fail an assertion, never allocate and never
 * get more bytes back than they had. A driver's turn: one relay_input_datagram (or datagrams), then pull
 * relay_next_datagram until false, then the next input.
 */
#pragma once

#include "base/datagram.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "proto/session/env.h"
#include "wire/credential.h"
#include "wire/relay.h"

struct relay;

enum {
	RELAY_PAIRS_DEFAULT = 65536,
	RELAY_TRAIN_MAX = 128,				   /* segments of a train that may each be for another pair */
	RELAY_BATCH_MAX = 64,				   /* datagrams that one input takes at most */
	RELAY_OUT_MAX = RELAY_TRAIN_MAX + RELAY_BATCH_MAX, /* datagrams that one input may cause */
};

enum relay_event_type {
	RELAY_EVENT_LEG_BOUND,	  /* the leg proved an address for the first time, or after it had been idle */
	RELAY_EVENT_LEG_MOVED,	  /* it proved another one */
	RELAY_EVENT_LEG_IDLE,	  /* silent for LEG_IDLE_US: its address is forgotten */
	RELAY_EVENT_PAIR_EXPIRED, /* both legs are gone: packets and bytes are the pair's totals */
};

/* Only facts that a leg key proved are events, so that strangers cannot fill a log. */
struct relay_event {
	enum relay_event_type type;
	uint64_t path_id;
	uint8_t leg;
	uint32_t generation;
	struct addr remote;
	uint64_t packets, bytes;
};

struct relay_flow;
struct relay_copy;

/*
 * A faster forwarder beside the machine, as the kernel can be: it works on copies of flows (flow.h), in memory that
 * both read and write. install NULL: there is none; else it may refuse (NULL) a pair it has no room or no way for.
 * renew: false when it can no longer be sure of its way. A copy stays readable until the machine's next input after
 * remove. None of them may call back into the machine.
 */
struct relay_express {
	void *ctx;
	struct relay_copy *(*install)(void *ctx, const struct relay_flow *flow, struct time_us now,
				      struct time_us until);
	bool (*renew)(void *ctx, struct relay_copy *copy, struct time_us until);
	void (*remove)(void *ctx, struct relay_copy *copy, struct time_us now);
};

/* event may be NULL; it must not call back into the machine. */
struct relay_env {
	struct random_source random;
	void *ctx;
	void (*event)(void *ctx, const struct relay_event *event);
	struct relay_express express;
};

struct relay_config {
	struct dh_keys static_keys;
	uint64_t wall_s;	 /* own clock's seconds since 1970 at `now` of relay_create; 0: no idea */
	uint32_t pairs_max;	 /* 0: RELAY_PAIRS_DEFAULT */
	uint32_t leg_kbps_max;	 /* the relay's own limit per leg; 0: only the ticket's */
	uint32_t kbps_max;	 /* what the whole machine can forward, as coordinators are told; 0: not known */
	uint64_t pair_bytes_max; /* the relay's own cap per pair; 0: only the ticket's */
	size_t memory_bytes;	 /* of what was forwarded of late, for legs that move (memory.h); 0: none */
	uint32_t tickets_per_s;	 /* unknown tickets opened per second and source prefix (/32, /64); 0: 256 */
};

struct relay *relay_create(const struct relay_config *config, const struct relay_env *env, struct time_us now);
void relay_destroy(struct relay *relay); /* wipes; accepts NULL */

/*
 * Whose tickets count: count static keys of KEY_SIZE bytes each, at most COORDINATORS_MAX. Does the DH for each,
 * once. Pairs that exist stay, also those of a coordinator that is no longer listed. ERR_SIZE, ERR_AUTH (a key is of
 * low order); nothing changes then.
 */
must_use enum err relay_set_coordinators(struct relay *relay, const uint8_t (*keys)[KEY_SIZE], size_t count);

/*
 * One datagram or a GRO train. What is forwarded keeps the caller's bytes pointer, so these bytes must stay until
 * everything is pulled. A train goes on as one datagram when all segments are of one pair, else in runs. The error
 * tells about the last segment not accepted, for tests; drivers ignore it.
 */
enum err relay_input_datagram(struct relay *relay, struct time_us now, const struct datagram *datagram);
/*
 * Several that came together, in order: what waiting for memory costs is shared. Returns how many it took, at least
 * one of any: pull, then go on with the rest. All of their bytes stay until what was pulled is sent.
 */
must_use size_t relay_input_datagrams(struct relay *relay, struct time_us now, const struct datagram *datagrams,
				      size_t count);
void relay_input_time(struct relay *relay, struct time_us now);
/* The coordinators of the document are told that this relay is there: datagrams to be pulled. A hint: they look. */
void relay_announce(struct relay *relay, struct time_us now, const struct network *network);
/* About to stop: goes on forwarding, and asks coordinators for no new pairs. */
void relay_set_draining(struct relay *relay, bool is_draining);
/* Is there a pair of this PathID? For drivers that share a port with another role. */
bool relay_knows(const struct relay *relay, uint64_t path_id);

/*
 * Forwarded bytes are the caller's own or, those that are sent again, the relay's; these and replies live until the
 * next relay_input_*. What is not pulled by then is lost and counted.
 */
bool relay_next_datagram(struct relay *relay, struct datagram *ret);
/* The same, as many as there are, until it returns 0; they lie there until the next of either. */
size_t relay_next_datagrams(struct relay *relay, const struct datagram **ret);
struct time_us relay_next_deadline(const struct relay *relay);

struct relay_counters {
	uint64_t datagrams, bytes; /* segments received */
	uint64_t forwarded, forwarded_bytes;
	uint64_t replies, reply_bytes;
	uint64_t dropped_malformed; /* too short, unknown or unforwardable type, undecodable */
	uint64_t dropped_unknown;   /* sealed packet or Answer for a pair that is not here */
	uint64_t dropped_source;    /* pair known, sender is neither leg */
	uint64_t dropped_unbound, dropped_rate, dropped_cap, dropped_queue;
	uint64_t dropped_ticket;  /* not sealed by a listed coordinator, or for another PathID */
	uint64_t dropped_expired; /* ticket outside its validity */
	uint64_t dropped_auth;	  /* leg key's MAC or cookie does not verify */
	uint64_t dropped_stale;	  /* generation below what is bound */
	uint64_t dropped_alive;	  /* another address for a leg whose own is alive and did not move */
	uint64_t dropped_limited; /* tickets over the prefix's rate */
	uint64_t dropped_full;	  /* no room for another pair */
	uint64_t probes;	  /* answered */
	uint64_t bursts;	  /* of E5, to moved legs that have not answered yet */
	uint64_t replays;	  /* changes of a leg's address that brought something back */
	uint64_t replayed, replayed_bytes;
	uint64_t not_remembered;		   /* datagrams and trains that there was no room for */
	uint64_t express_joined;		   /* pairs lent to the forwarder beside the machine */
	uint64_t express_refused;		   /* pairs that it had no room or no way for */
	uint64_t express_forwarded, express_bytes; /* of forwarded, what that one did, as of the last look */
	uint64_t challenges, bound, moved, legs_idle, pairs_made, pairs_expired, pairs_evicted;
	uint32_t pairs, pairs_max, express_pairs;
};

void relay_get_counters(const struct relay *relay, struct relay_counters *ret);

struct relay_leg_info {
	struct addr remote; /* family 0: not bound */
	uint32_t generation;
	uint64_t packets, bytes; /* forwarded from this leg */
};

struct relay_pair_info {
	uint64_t path_id;
	uint64_t bytes_left; /* UINT64_MAX: no cap */
	uint32_t rate_kbps;  /* 0: no limit */
	struct relay_leg_info legs[2];
};

/* Accounting: *cursor starts at 0; false at the end. Valid while nothing is put in. */
bool relay_next_pair(const struct relay *relay, uint32_t *cursor, struct relay_pair_info *ret);
