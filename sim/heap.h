/*
 * heap.h: what will happen when. Events at the same instant happen in the order in which they were entered, so that a
 * run is reproducible.
 */
#pragma once

#include "base/time.h"

#include <stddef.h>

struct event;
typedef void (*event_run)(void *ctx, struct event *event); /* takes over ownership of event */

struct event {
	struct time_us at;
	uint64_t order; /* set by heap_push */
	event_run run;
	void (*drop)(struct event *event); /* frees an event that will never run */
};

struct heap {
	struct event **events;
	size_t count, capacity;
	uint64_t order;
};

/* Takes over ownership of event. */
void heap_push(struct heap *heap, struct event *event);
/* NULL when empty. */
struct event *heap_first(const struct heap *heap);
struct event *heap_pop(struct heap *heap);
/* Drops what is left. */
void heap_finish(struct heap *heap);
