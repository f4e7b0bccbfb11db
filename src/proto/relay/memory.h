/*
 * memory.h: what the relay has forwarded of late, by leg, for the moment when a leg turns out to be elsewhere. Time is
 * cut into slices, each with a chunk of its own that is used again MEMORY_SLICES later. So nothing younger than
 * MEMORY_AGE_MAX_US is ever overwritten, whoever sends how much; what a slice has no room for is not remembered; and
 * memory is touched only as far as there is traffic. A leg that wants more than is left would be remembered with
 * holes, which helps nobody, so that it is not at all for a while: legs that are too fast, and all of them on a relay
 * that is too busy for its memory, cost next to nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/datagram.h"
#include "base/time.h"

enum {
	MEMORY_SLICES = 16,
	MEMORY_SLICE_BITS = 14, /* a slice has 16,384 us */
	MEMORY_SHARE = 2,	/* one leg has at most this part of a slice */
	MEMORY_PAUSE = 15,	/* slices in which one that wanted more is not remembered at all */
	MEMORY_ALIGN = 16,
};

#define MEMORY_AGE_MAX_US ((int64_t)(MEMORY_SLICES - 1) << MEMORY_SLICE_BITS)

/* One forwarded datagram or train; its bytes follow. */
struct memory_entry {
	uint64_t older;	 /* of the same leg; 0: none */
	uint64_t newer;	 /* while it waits to be sent again: what goes after it; 0: none */
	int64_t kept_us; /* when it was forwarded */
	uint32_t size;	 /* of the bytes */
	uint32_t share;	 /* what its leg has used of the slice, this one included */
	uint16_t segment_size;
	uint8_t leg;	    /* it went to, 0 or 1 */
	uint8_t place;	    /* which of that leg's addresses it went to last */
	uint8_t again;	    /* how often it was sent again */
	uint8_t wants_more; /* there was no room for what came next */
	uint16_t count;	    /* how many of its leg are in the slice, this one included */
};

struct memory {
	uint8_t *bytes; /* NULL: nothing is remembered */
	uint32_t chunk_size;
	uint32_t entries_max; /* of a slice; 0: any number */
	struct {
		uint32_t slice; /* whose entries are here */
		uint32_t used, count;
	} chunks[MEMORY_SLICES];
};

/* size 0: nothing is remembered. Takes all of it from the heap, touches none. */
void memory_init(struct memory *memory, size_t size);
void memory_finish(struct memory *memory);
/*
 * Copies a datagram or train that went to a leg's place. newest: of that leg, 0 if none. Returns the new newest, which
 * is the old one when there was no room.
 */
uint64_t memory_keep(struct memory *memory, struct time_us now, uint64_t newest, const struct datagram *datagram,
		     uint8_t leg, uint8_t place);
/* NULL when it has been overwritten, or for 0. */
struct memory_entry *memory_at(const struct memory *memory, uint64_t number);

static inline const uint8_t *memory_bytes(const struct memory_entry *entry)
{
	return (const uint8_t *)(entry + 1);
}
