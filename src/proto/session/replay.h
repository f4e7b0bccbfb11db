/*
 * replay.h: which counters of one counter space were seen (RFC 6479: a ring of words, so that moving on clears words
 * instead of shifting bits). Checking and marking are apart: the check is the cheap refusal before the AEAD, the mark
 * comes after it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/tunnel.h"

enum {
	REPLAY_WORDS = REPLAY_WINDOW / 64 + 1, /* one more than the window, as its edge may lie inside a word */
	REPLAY_RECENT = 64, /* the window of one that rests: what overtakes by so much still passes */
};

/* All zero: nothing seen. */
struct replay {
	uint64_t next;	 /* highest seen + 1, 0 when none was */
	uint64_t floor;	 /* what is below it counts as seen */
	uint64_t *words; /* NULL while it rests */
	uint64_t recent; /* of one that rests: bit i tells of next - 1 - i */
};

/* Neither seen before nor REPLAY_WINDOW or more behind the highest. */
bool replay_is_fresh(const struct replay *replay, uint64_t counter);
/* Spans of counters below `below` that were not seen, newest first, as far down as the window tells; at most max. None
 * of one that rests. */
uint8_t replay_missing(const struct replay *replay, uint64_t below, struct span *ret, uint8_t max);
/*
 * Gives the ring's memory back: what was late by more than REPLAY_RECENT counts as seen from now on. The next mark
 * makes a new one. Also the end of a window's life.
 */
void replay_rest(struct replay *replay);
/* Only for a counter that is fresh. True when it is the highest so far. */
bool replay_mark(struct replay *replay, uint64_t counter);
