/*
 * outbox.h: sealed datagrams on their way out, and the recent past of them. Packets are sealed straight into one arena,
 * where equal-sized ones for one route lie back to back as a train (one UDP_SEGMENT call); they stay there after
 * sending until the arena wraps, so that a move can replay the last max(RTT, 50 ms) without having copied anything
 * (design 7, "no loss"). No allocation after init.
 */
#pragma once

#include <stdbool.h>

#include "base/datagram.h"
#include "base/time.h"

enum {
	OUTBOX_ARENA = 4 << 20,	  /* bytes: 50 ms at 640 Mbit/s; beyond that the oldest packets cannot be replayed */
	OUTBOX_ENTRIES = 8192,	  /* trains remembered */
	OUTBOX_TRAIN_MAX = 65000, /* bytes of one train: below the 65,507 of a UDP datagram */
	OUTBOX_ROUTES = 2,	  /* a train may leave twice: during a move both on the relay and on the best guess */
	OUTBOX_GUARD = 1 << 18,	  /* what lies less than this ahead of the write position is not replayed: it may be
				     overwritten before it is sent */
};

struct outbox_entry {
	struct route routes[OUTBOX_ROUTES];
	uint8_t route_count, sent_count;
	bool closed;	/* the train takes no more */
	bool is_repeat; /* points at bytes of an older entry */
	uint16_t segments, segment_size;
	size_t offset, size;
	const void *owner; /* whom a replay is for; NULL: never replayed */
	uint64_t tag;	   /* equal tag and owner: same routes, the train may grow */
	struct time_us at;
};

struct outbox {
	uint8_t *arena;
	size_t head; /* where the next byte goes */
	struct outbox_entry *entries;
	uint64_t first, next, end; /* [first, end) remembered, [next, end) not sent yet; absolute numbers */
	size_t reserved;	   /* bytes promised by the last outbox_reserve */
	bool extends;		   /* ... as part of the last entry */
	uint64_t overwritten;	   /* entries that left the memory by being overwritten, ever */
};

void outbox_init(struct outbox *box);
void outbox_finish(struct outbox *box);

/*
 * Where to write a datagram of `size` bytes for these routes; NULL when what is pending fills the arena. At most one
 * reservation at a time; outbox_commit makes it a datagram, another outbox_reserve forgets it.
 */
uint8_t *outbox_reserve(struct outbox *box, size_t size, const void *owner, uint64_t tag);
void outbox_commit(struct outbox *box, struct time_us now, const struct route *routes, uint8_t route_count,
		   const void *owner, uint64_t tag);
/* A whole datagram that exists already, copied in (control messages); never part of a train. False when there is no
 * room. */
bool outbox_put(struct outbox *box, struct time_us now, const struct route *route, const uint8_t *bytes, size_t size);
/*
 * Sends again, over `route`, what the owner sealed since `since`, oldest first, at most *bytes_left bytes (which it
 * lessens). Returns the number of datagrams; *ret_lost gets how many of that time are no longer there (a lower bound:
 * overwritten entries are counted as one each).
 */
uint32_t outbox_replay(struct outbox *box, struct time_us now, const void *owner, struct time_us since,
		       const struct route *route, size_t *bytes_left, uint32_t *ret_lost);
/* The owner is going away: nothing of it is replayed. */
void outbox_forget(struct outbox *box, const void *owner);
/* The next datagram to send, or false. */
bool outbox_next(struct outbox *box, struct datagram *ret);
