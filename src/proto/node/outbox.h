/*
 * outbox.h: sealed datagrams on their way out, and the recent past of them. Packets are sealed straight into chunks of
 * memory, where equal-sized ones for one route lie back to back as a train (one UDP_SEGMENT call). They stay there
 * after sending until the other end has said that they arrived: whatever a move or a dead path may have cost is sent
 * again without having copied anything (design 7, "no loss"). The lowest chunk that is free is used first, so that what
 * is acknowledged quickly stays in the cache, and memory that was never needed is never touched. No allocation after
 * init.
 *
 * Several threads may send: each has a lane of its own, with memory that only its own entries lie in. All calls are
 * made one after the other (the caller's lock); what was handed out of a lane may be read beside them, until
 * outbox_sent says that it has gone. One after the other a lane's entries leave in order; lanes have no order between
 * them.
 */
#pragma once

#include <stdbool.h>

#include "base/datagram.h"
#include "base/time.h"
#include "wire/tunnel.h"

enum {
	OUTBOX_CHUNK = 1 << 20,	  /* bytes */
	OUTBOX_CHUNKS = 32,	  /* 32 MiB: what is in flight at 5 Gbit/s and 50 ms; beyond that the oldest is lost */
	OUTBOX_ENTRIES = 8192,	  /* trains remembered */
	OUTBOX_TRAIN_MAX = 65450, /* bytes of one train: below the 65,507 of a UDP datagram */
	OUTBOX_ROUTES = 2, /* a train may leave twice: while it is not known which way works, and in an overlap */
	OUTBOX_LANES_MAX = 9,
};

/* Whose packets these are: what the other end has received of them, by counter space. */
struct outbox_owner {
	struct receipt arrived;
};

struct outbox_entry {
	struct route routes[OUTBOX_ROUTES];
	uint8_t route_count, sent_count;
	bool closed;	/* the train takes no more */
	bool is_repeat; /* points at bytes of an older entry */
	uint16_t segments, segment_size;
	size_t offset, size;
	const struct outbox_owner *owner; /* whom a replay is for; NULL: never replayed */
	uint64_t tag;			  /* equal tag and owner: same routes, the train may grow */
	uint8_t space;			  /* counter space of its packets */
	uint64_t counter;		  /* of the first one; the others follow */
	uint64_t number;		  /* in the order in which entries were made, over all lanes */
	struct time_us at;
};

struct outbox_chunk {
	uint64_t first, end; /* entries that lie in it; those before `first` are overwritten */
	uint64_t busy;	     /* not to be written to before this entry has been sent: a repeat may point here */
};

struct outbox_lane {
	uint8_t *memory;
	struct outbox_chunk chunks[OUTBOX_CHUNKS];
	size_t head; /* offset where the next byte goes */
	struct outbox_entry *entries;
	uint64_t first, end;	     /* [first, end) remembered; absolute numbers */
	uint64_t next;		     /* [next, end) has not been sent: with one lane, not been handed out */
	uint64_t taken;		     /* [taken, end) has not been handed out */
	size_t reserved;	     /* bytes promised by the last outbox_reserve */
	bool extends;		     /* ... as part of the last entry */
	struct time_us forgotten_at; /* of the newest entry that had to give way although it might be needed */
};

struct outbox {
	struct outbox_lane lanes[OUTBOX_LANES_MAX];
	unsigned lane_count, current;
	uint64_t number; /* of the next entry */
	uint32_t ready;	 /* a bit for each lane that has something to hand out */
};

/* lane_count: 1 to OUTBOX_LANES_MAX. */
void outbox_init(struct outbox *box, unsigned lane_count);
void outbox_finish(struct outbox *box);

/* What is reserved, and asked for with outbox_next, is of this lane from now on. It begins with lane 0. */
void outbox_use(struct outbox *box, unsigned lane);
/* What was handed out of the current lane has been sent, and may be written over. With one lane that need not be said:
 * it is so at the next call. */
void outbox_sent(struct outbox *box);
/*
 * Where to write a datagram of `size` bytes for these routes; NULL when what is pending fills the memory. At most one
 * reservation at a time; outbox_commit makes it a datagram, another outbox_reserve forgets it. With an owner it is a
 * sealed packet: its header tells space and counter.
 */
uint8_t *outbox_reserve(struct outbox *box, struct time_us now, size_t size, const struct outbox_owner *owner,
			uint64_t tag);
void outbox_commit(struct outbox *box, struct time_us now, const struct route *routes, uint8_t route_count,
		   const struct outbox_owner *owner, uint64_t tag);
/* A whole datagram that exists already, copied in (control messages); never part of a train. False when there is no
 * room. */
bool outbox_put(struct outbox *box, struct time_us now, const struct route *route, const uint8_t *bytes, size_t size);
/*
 * Sends again, over `route`, what the owner sealed since `since` in any lane and the other end has not acknowledged,
 * each in the lane where its bytes lie, oldest first, at most *bytes_left bytes (which it lessens). Returns the number
 * of datagrams; *ret_lost gets how many of that time are no longer there or exceed the bytes (what had to give way
 * counts as one in each lane).
 */
uint32_t outbox_replay(struct outbox *box, struct time_us now, const struct outbox_owner *owner, struct time_us since,
		       const struct route *route, size_t *bytes_left, uint32_t *ret_lost);
/*
 * The same piece by piece: from entry number *cursor on (0: the oldest), stopping at the first that exceeds the bytes;
 * the next call goes on there.
 */
void outbox_replay_on(struct outbox *box, struct time_us now, const struct outbox_owner *owner, struct time_us since,
		      const struct route *route, uint64_t *cursor, size_t *bytes_left);
/* When the oldest packet that the owner sealed since `since` and that is not acknowledged was sealed; TIME_NEVER: all
 * have arrived. */
struct time_us outbox_oldest(const struct outbox *box, const struct outbox_owner *owner, struct time_us since);
/* The next train from entry number *cursor on (0: the oldest) that the owner sealed since `since`, is not acknowledged
 * and is still there; false: no more. Borrowed until something is reserved. */
bool outbox_pending(const struct outbox *box, const struct outbox_owner *owner, struct time_us since, uint64_t *cursor,
		    struct blob *ret_train, uint16_t *ret_segment_size);
/* The owner is going away: nothing of it is replayed. */
void outbox_forget(struct outbox *box, const struct outbox_owner *owner);
/* The next datagram of the current lane to send, or false. */
bool outbox_next(struct outbox *box, struct datagram *ret);
