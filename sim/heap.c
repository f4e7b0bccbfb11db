#include "heap.h"

#include <string.h>

#include "base/mem.h"

static bool before(const struct event *a, const struct event *b)
{
	return a->at.us != b->at.us ? a->at.us < b->at.us : a->order < b->order;
}

/* Grows by doubling: how many packets are on their way is the scenario's affair. */
void heap_push(struct heap *heap, struct event *event)
{
	size_t at = heap->count++;

	if (heap->count > heap->capacity) {
		struct event **larger = mem_alloc(heap->capacity * 2 + 64, sizeof *larger);

		if (at)
			memcpy(larger, heap->events, at * sizeof *larger);
		mem_free(heap->events);
		heap->events = larger;
		heap->capacity = heap->capacity * 2 + 64;
	}
	event->order = heap->order++;
	for (; at && before(event, heap->events[(at - 1) / 2]); at = (at - 1) / 2)
		heap->events[at] = heap->events[(at - 1) / 2];
	heap->events[at] = event;
}

/* The earliest, still in the heap. */
struct event *heap_first(const struct heap *heap)
{
	return heap->count ? heap->events[0] : NULL;
}

/* The earliest, now the caller's. */
struct event *heap_pop(struct heap *heap)
{
	struct event *first = heap_first(heap), *last;
	size_t at = 0;

	if (!first)
		return NULL;
	last = heap->events[--heap->count];
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count && before(heap->events[child + 1], heap->events[child]))
			child++;
		if (!before(heap->events[child], last))
			break;
		heap->events[at] = heap->events[child];
		at = child;
	}
	heap->events[at] = last;
	return first;
}

/* In no order. */
void heap_finish(struct heap *heap)
{
	for (size_t i = 0; i < heap->count; i++)
		heap->events[i]->drop(heap->events[i]);
	mem_free(heap->events);
	*heap = (struct heap){0};
}
