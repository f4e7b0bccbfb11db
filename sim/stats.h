/* stats.h: what each kind of move cost, over all runs: gaps, losses, reordering, and what a stream felt of it. */
#pragma once

#include <stdio.h>

#include "traffic.h"

enum move_kind {
	MOVE_CONTACT, /* the tunnel's beginning: no move */
	MOVE_ONE,
	MOVE_BOTH,
	MOVE_REBIND,
	MOVE_RELAY_LOST,
	MOVE_SILENCE,
	MOVE_BESIDE, /* a second network comes up */
	MOVE_OVER,   /* the first one goes, the second is there */
	MOVE_KINDS,
};

/* One direction of one move. Its packets: from the last that was told of before on. */
struct move_sample {
	enum move_kind kind;
	struct flow *flow; /* until stats_settle */
	uint32_t first, last;
	int64_t gap_us, stall_us;
	uint32_t lost, late, timeouts, retransmits;
};

struct stats {
	size_t count, capacity, settled;
	struct move_sample *list;
};

/* A move has been survived: what the flow and, if there is one, the pipe of its direction have seen since their marks.
 */
void stats_add(struct stats *stats, enum move_kind kind, struct flow *flow, const struct pipe *pipe);
/* At the end of a run, before its traffic is gone: what has not arrived is lost. */
void stats_settle(struct stats *stats);
/* Moves, not directions; contacts are none. */
size_t stats_moves(const struct stats *stats);
void stats_print(const struct stats *stats, FILE *out);
/* One object, keys by kind. */
void stats_print_json(const struct stats *stats, FILE *out);
void stats_finish(struct stats *stats);
