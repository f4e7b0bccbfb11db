/*
 * Memory does not grow with moves: one world with 20 of them and one with 40, the same seed, the same places, and as
 * many bytes in the heap when all is quiet. Every machine is in it: nodes, coordinator, relay.
 */
#include <malloc.h>

#include "story.h"
#include "table.h"
#include "world.h"

enum { PLACES = 6, MOVES = 20, SLACK_BYTES = 4096 }; /* timers that were set anew wait until they would have fired */

static bool run_world(uint64_t seed, int moves, size_t *ret_bytes)
{
	size_t before = mallinfo2().uordblks;
	struct overlay overlay;
	uint8_t places[PLACES];
	struct talk talk;
	bool ok;

	overlay_init(&overlay, seed, 1, -1);
	for (int i = 0; i < PLACES; i++)
		places[i] = overlay_draw_net(&overlay, 0);
	ok = story_start(&overlay, &talk, places[0], places[1], 4, 200);
	for (int i = 0; i < moves && ok; i++) {
		story_run(&overlay, USEC_PER_SEC);
		host_move(i % 2 ? talk.a->host : talk.b->host, 1, places[(i + 2) % PLACES]);
		ok = story_goes_on(&overlay, &talk, MOVE_ONE, EXCHANGE_LIMIT_US, "after a move");
	}
	story_end(&overlay);
	ok = ok && !overlay.world->failed;
	if (!ok)
		printf("FAILED memory SEED=%llu: %s\n", (unsigned long long)seed, overlay.world->failure);
	*ret_bytes = mallinfo2().uordblks - before;
	overlay_finish(&overlay);
	return ok;
}

/* One line a seed. */
bool memory_run(const struct table_run *run)
{
	size_t few, many;

	(void)mallopt(M_MMAP_MAX, 0); /* else large blocks are counted elsewhere, by pages */

	if (!run_world(run->seed, MOVES, &few) || !run_world(run->seed, 2 * MOVES, &many))
		return false;
	printf("%zu bytes after %d moves, %zu after %d\n", few, MOVES, many, 2 * MOVES);
	if (many <= few + SLACK_BYTES)
		return true;
	printf("FAILED memory SEED=%llu: %zu bytes more\n", (unsigned long long)run->seed, many - few);
	return false;
}
