#include "depot.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"

/* A stack of free slots, so that those in use stay in the cache, and a binary heap of those in line. */
struct depot {
	uint32_t slots, free_count, waiting;
	uint64_t next_number;
	uint32_t *free;
	struct depot_item *line;
	uint8_t (*bytes)[FRAME_MAX];
};

/* calloc maps large areas without touching them. */
struct depot *depot_create(uint32_t slots)
{
	struct depot *depot = calloc(1, sizeof *depot);

	if (!depot)
		return NULL;
	depot->slots = depot->free_count = slots;
	depot->free = calloc(slots, sizeof *depot->free);
	depot->line = calloc(slots, sizeof *depot->line);
	depot->bytes = calloc(slots, sizeof *depot->bytes);
	if (!depot->free || !depot->line || !depot->bytes) {
		depot_destroy(depot);
		return NULL;
	}
	for (uint32_t i = 0; i < slots; i++)
		depot->free[i] = slots - 1 - i;
	return depot;
}

/* NULL is nothing. */
void depot_destroy(struct depot *depot)
{
	if (!depot)
		return;
	free(depot->free);
	free(depot->line);
	free(depot->bytes);
	free(depot);
}

/* The slot stays where it is. */
uint8_t *depot_bytes(struct depot *depot, uint32_t slot)
{
	return depot->bytes[slot];
}

/* The one given back last, which the cache still has. */
enum err depot_take(struct depot *depot, uint32_t *ret_slot)
{
	if (depot->free_count == 0)
		return ERR_FULL;
	*ret_slot = depot->free[--depot->free_count];
	return OK;
}

/* Giving one back twice would hand it out twice. */
void depot_give(struct depot *depot, uint32_t slot)
{
	assert(depot->free_count < depot->slots);
	depot->free[depot->free_count++] = slot;
}

static bool before(const struct depot_item *a, const struct depot_item *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

/* Up from the end until its parent comes before it. */
void depot_put(struct depot *depot, const struct depot_item *item)
{
	struct depot_item placed = *item;
	uint32_t at = depot->waiting++;

	assert(depot->waiting <= depot->slots);
	placed.number = depot->next_number++;
	while (at > 0 && before(&placed, &depot->line[(at - 1) / 2])) {
		depot->line[at] = depot->line[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	depot->line[at] = placed;
}

/* The root of the heap. */
const struct depot_item *depot_first(const struct depot *depot)
{
	return depot->waiting ? &depot->line[0] : NULL;
}

/* The last takes the root's place and sinks. */
void depot_remove_first(struct depot *depot)
{
	struct depot_item sinking;
	uint32_t at = 0, child;

	assert(depot->waiting > 0);
	sinking = depot->line[--depot->waiting];
	while ((child = 2 * at + 1) < depot->waiting) {
		if (child + 1 < depot->waiting && before(&depot->line[child + 1], &depot->line[child]))
			child++;
		if (before(&sinking, &depot->line[child]))
			break;
		depot->line[at] = depot->line[child];
		at = child;
	}
	depot->line[at] = sinking;
}
