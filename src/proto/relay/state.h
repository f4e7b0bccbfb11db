/* state.h: the relay machine's insides, shared by its few files: relay.c drives, bind.c judges Bind and Answer,
 * replay.c sends again what went to where a leg is not any more. */
#pragma once

#include "proto/relay/express.h"
#include "proto/relay/memory.h"
#include "proto/relay/relay.h"
#include "proto/relay/table.h"
#include "proto/session/trust.h"
#include "wire/relay_probe.h"

enum { RELAY_REPLY_MAX = RELAY_ANNOUNCE_SIZE }; /* the largest of what is not forwarded */
enum { RELAY_LIMIT_SLOTS = 4096 }; /* prefixes tracked at once; colliding ones share a budget, by a keyed hash */

/* How often a bound pair is looked at: exact enough for idle ones, and free of work per packet. */
#define RELAY_CHECK_US (LEG_IDLE_US / 8)

/* A coordinator whose tickets count. */
struct relay_coordinator {
	uint8_t public[KEY_SIZE];
	uint8_t ticket_key[KEY_SIZE]; /* the DH, done once */
	uint8_t probe_key[KEY_SIZE];
	uint64_t newest_not_before_s; /* of its authentic tickets: a lower bound of the true time */
};

struct relay {
	struct relay_config config;
	struct relay_env env;
	struct time_us started; /* when config.wall_s was true */
	struct time_us now;	/* of the current or last input */
	struct pair_table table;
	struct relay_coordinator coordinators[COORDINATORS_MAX];
	uint8_t coordinator_count;
	uint8_t cookie_secret[2][KEY_SIZE]; /* current, previous */
	struct time_us cookie_rotated;
	uint8_t limit_key[16];
	int64_t limit_us[RELAY_LIMIT_SLOTS]; /* per prefix: virtual time at which its bucket is full again */
	struct datagram out[RELAY_OUT_MAX];
	uint32_t out_count, out_at;
	uint8_t replies[RELAY_OUT_MAX][RELAY_REPLY_MAX];
	/* probe.c */
	uint8_t probe_key[KEY_SIZE]; /* of nodes */
	bool is_draining;
	struct time_us load_since;
	uint64_t load_bytes; /* forwarded until then */
	uint32_t load_kbps;  /* in the window before */
	/* replay.c */
	struct memory memory;
	uint64_t replay_first, replay_last; /* what is to be sent again, by number; 0: nothing */
	struct express express;
	struct relay_counters counters;
};

/* A control packet: Bind or Answer, one segment. */
enum err relay_input_bind(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size);
enum err relay_input_answer(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size);
enum err relay_input_probe(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size);
/* Takes from the budget of the source's prefix; true when it is used up. */
bool relay_is_limited(struct relay *relay, const struct addr *remote);
/* Every entry from outside begins with it. */
void relay_turn(struct relay *relay, struct time_us now);

/* Queues one reply of at most RELAY_REPLY_MAX bytes to where route came from; drops and counts when the queue is full.
 */
void relay_reply(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size);
/* A slot for one more datagram, or NULL and counted. */
struct datagram *relay_out(struct relay *relay);
void relay_tell(const struct relay *relay, enum relay_event_type type, const struct pair *pair, unsigned leg);
/*
 * Forgets the legs that have been silent for too long, and the pair with the last of them. True when the pair is
 * gone.
 */
bool relay_check_pair(struct relay *relay, struct pair *pair);

/* replay.c. remote: where the run went, one of the four endpoints of the pair. False: no room, or no memory. */
bool relay_remember(struct relay *relay, struct pair *pair, const struct relay_endpoint *remote,
		    const struct datagram *run);
/* For a leg that is nowhere yet, from the other one at src: it gets that as if it had been elsewhere. */
void relay_remember_early(struct relay *relay, struct pair *pair, const struct relay_endpoint *src,
			  const struct datagram *run, uint32_t packets);
/* To be asked before the leg's address changes. */
struct time_us relay_replay_since(const struct relay *relay, const struct pair *pair, unsigned number);
/* Sends the leg again what has gone to another of its addresses since then, as far as its budget, quota and rate go. */
void relay_replay(struct relay *relay, struct pair *pair, unsigned number, bool to_candidate, struct time_us since);
bool relay_replay_next(struct relay *relay, struct datagram *ret);

struct relay_endpoint relay_endpoint_of(const struct addr *addr);
struct addr relay_addr_of(const struct relay_endpoint *endpoint);
