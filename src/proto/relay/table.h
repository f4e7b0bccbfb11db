/*
 * table.h: the relay's pairs: found by PathID through a keyed hash, kept in two lists ordered by when they must be
 * looked at again. Fixed capacity; memory is touched only as pairs come. Pairs without a bound leg are the only ones
 * ever evicted (T32).
 */
#pragma once

#include "base/err.h"
#include "base/time.h"
#include "proto/relay/flow.h"
#include "wire/limits.h"

enum pair_list { PAIR_UNBOUND, PAIR_BOUND, PAIR_LISTS };
#define PAIR_NONE UINT32_MAX
enum { PAIR_COUNT_MAX = 15 }; /* small counts stop there */

/* What is remembered of a leg's candidates. */
struct pair_candidate {
	uint8_t asks : 4;   /* Binds of this one */
	uint8_t bursts : 4; /* given since the leg proved to be elsewhere */
};

struct pair {
	struct relay_flow flow; /* first: the packet path touches nothing else */
	uint8_t leg_keys[2][KEY_SIZE];
	uint32_t generation[2]; /* bound, or last bound; 0 before */
	uint32_t candidate_generation[2];
	uint32_t burst_generation[2]; /* the newest that E5's burst was given to */
	uint32_t binds[2];	      /* how often the leg was bound: makes every cookie good for one of them */
	uint32_t prev, next;	      /* in its list; next also in the free list */
	uint64_t coordinator;	      /* keyed hash of who sealed the ticket */
	uint64_t not_before_s;	      /* of the ticket: only a newer one replaces the keys */
	struct time_us check;	      /* when its list looks at it again */
	uint32_t express;	      /* its place among those of express.h, + 1 */
	uint32_t express_after;	      /* not before then it is offered there again, in units of 2^20 us */
	uint8_t list;		      /* enum pair_list */
	bool used;
	uint8_t places[2]; /* the newest number that an address of the leg was given */
	struct pair_candidate candidates[2];
	uint8_t rtt_4ms[2]; /* to the leg when it was last bound, at most, in 4 ms; 0: not known */
};

_Static_assert(sizeof(struct pair) <= 448, "a pair is seven cache lines (docs/decisions/0036)");

struct pair_table {
	void *memory;	    /* of the pairs: pages that were never used are never touched */
	struct pair *pairs; /* each on cache lines of its own */
	uint32_t *index;    /* hash slot -> pair number + 1, and above it bits of the hash; 0: empty */
	uint32_t index_mask, number_mask;
	uint32_t pairs_max, fresh; /* pairs from `fresh` on were never used */
	uint32_t free;
	uint32_t count;
	uint32_t head[PAIR_LISTS], tail[PAIR_LISTS];
	uint8_t key[16];
};

void pair_table_init(struct pair_table *table, uint32_t pairs_max, const uint8_t key[16]);
/* Wipes all keys. */
void pair_table_finish(struct pair_table *table);
/*
 * Looking up in four steps: hashing, two that only tell the processor what will be read, and reading. One after the
 * other they cost as much as waiting for memory twice does; for many PathIDs each step in turn hides the waiting.
 */
uint64_t pair_table_hash(const struct pair_table *table, uint64_t path_id);
void pair_table_expect_slot(const struct pair_table *table, uint64_t hash);
void pair_table_expect_pair(const struct pair_table *table, uint64_t hash);
/* NULL when absent. hash: that of path_id. */
struct pair *pair_table_find_hashed(const struct pair_table *table, uint64_t path_id, uint64_t hash);
/* NULL when absent. */
struct pair *pair_table_find(const struct pair_table *table, uint64_t path_id);
/* A zeroed pair with this PathID at the end of the unbound list; NULL when full. path_id must not be there yet. */
struct pair *pair_table_add(struct pair_table *table, uint64_t path_id, struct time_us check);
void pair_table_remove(struct pair_table *table, struct pair *pair);
/* To the end of a list. check must not be earlier than that of the last one there. */
void pair_table_move(struct pair_table *table, struct pair *pair, enum pair_list list, struct time_us check);
/* The pair of this list that is due first, or NULL. */
struct pair *pair_table_first(const struct pair_table *table, enum pair_list list);
