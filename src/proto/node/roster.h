/*
 * roster.h: the peers of a node: all of them in a row, and whose turn is next, so that an idle node with thousands of
 * peers looks at none of them in vain. Owns its arrays, not the peers. One thread at a time, as the node.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/time.h"

struct peer;

/* A peer's part of it. */
struct roster_place {
	struct time_us deadline; /* TIME_NEVER: nothing to do */
	size_t row, rank;	 /* where it is in all and in ranks */
	struct peer *next;	 /* called after this one */
	bool is_called;		 /* its turn has come, so it has no rank */
};

struct roster {
	struct peer **all;   /* in no order; the last one takes the place of one that leaves */
	struct peer **ranks; /* a binary heap by deadline */
	size_t count, ranked, capacity;
	struct peer *called;
};

void roster_finish(struct roster *roster);
/* Without a deadline. */
void roster_add(struct roster *roster, struct peer *peer);
/* Also one that is called. Who goes through `all` meanwhile goes from its end. */
void roster_remove(struct roster *roster, struct peer *peer);
/* A deadline only comes nearer until the peer's turn. */
void roster_plan(struct roster *roster, struct peer *peer, struct time_us at);
/* Calls everybody who is due by now, each once: roster_next_called returns them, without a deadline any more. */
void roster_call(struct roster *roster, struct time_us now);
/* NULL: no more of them. */
struct peer *roster_next_called(struct roster *roster);
/* The first; TIME_NEVER. Of those that are called it knows nothing. */
struct time_us roster_deadline(const struct roster *roster);
