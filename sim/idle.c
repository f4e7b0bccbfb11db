/*
 * What peers that say nothing cost a node: bytes in its heap, found by switching it off, and instants at which it had
 * something to do. One line a cell, for people and for scripts/bench memory.
 */
#include <malloc.h>
#include <string.h>

#include "base/mem.h"
#include "story.h"
#include "table.h"
#include "world.h"

#define SETTLE_US (600 * USEC_PER_SEC) /* probes and questions of the beginning are over */
#define WATCH_US (1200 * USEC_PER_SEC)

struct cell {
	uint32_t peers;
	bool has_nat;
	size_t bytes_allowed; /* for each peer */
	uint64_t wakeups_allowed;
};

struct outcome {
	size_t bytes; /* of the whole machine */
	uint64_t wakeups;
};

/*
 * The worst of four seeds when it was listed, and a fifth more. The goals are 2048 bytes and 60 wake-ups for any number
 * of peers. (Behind a simulated NAT there is room for 64 peers.) A cell that got worse fails.
 */
static const struct cell cells[] = {
	{0, false, 0, 36}, {1, false, 2540, 36}, {10, false, 2240, 36}, {50, false, 2370, 36}, {200, false, 2410, 36},
	{0, true, 0, 42},  {1, true, 2580, 42},	 {10, true, 2240, 48},	{50, true, 2370, 48},
};

static uint8_t add_home(struct overlay *overlay, bool has_nat)
{
	struct net_config config = {.has_v4 = true, .has_nat = has_nat};

	(void)snprintf(config.name, sizeof config.name, "home%u", overlay->world->net_count);
	config.nat.filtering = NAT_ADDRESS_PORT_DEPENDENT;
	config.nat.timeout_us = 120 * USEC_PER_SEC;
	config.up.delay_us = config.down.delay_us = 10 * USEC_PER_MSEC;
	return world_add_net(overlay->world, &config);
}

static bool meet(struct overlay *overlay, const struct cell *cell)
{
	struct overlay_node *hub = overlay_add_node(overlay, "hub", add_home(overlay, cell->has_nat));

	for (uint32_t i = 0; i < cell->peers; i++) {
		char name[HOST_NAME];

		(void)snprintf(name, sizeof name, "n%u", i + 1);
		(void)overlay_add_node(overlay, name, add_home(overlay, cell->has_nat));
	}
	if (!story_expect(overlay, overlay_wait_registered(overlay, REGISTER_LIMIT_US), "not registered in time"))
		return false;
	for (uint32_t i = 1; i <= cell->peers; i++)
		if (!story_expect(overlay, overlay_wait_connected(overlay, &overlay->nodes[i], hub, CONNECT_LIMIT_US),
				  "not connected in time"))
			return false;
	return true;
}

/*
 * What is freed into the heap's own cache still counts as used. Once each of its rows is full, what is freed is free.
 * (Its rows are of blocks up to 1032 bytes, seven each: malloc(3), glibc.malloc.tcache_count.)
 */
static void fill_heap_cache(void)
{
	void *blocks[7];

	for (size_t size = 24; size <= 1032; size += 16) {
		for (unsigned i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
			blocks[i] = mem_alloc(1, size);
		for (unsigned i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
			mem_free(blocks[i]);
	}
}

static bool run_cell(uint64_t seed, const struct cell *cell, struct outcome *ret)
{
	struct overlay overlay;
	bool ok;

	overlay_init(&overlay, seed, 1, 10 * USEC_PER_MSEC);
	ok = meet(&overlay, cell);
	if (ok) {
		struct host *hub = overlay.nodes[0].host;
		uint64_t before;

		story_run(&overlay, SETTLE_US);
		before = hub->wakeups;
		story_run(&overlay, WATCH_US);
		ret->wakeups = hub->wakeups - before;
		fill_heap_cache();
		ret->bytes = mallinfo2().uordblks;
		host_kill(hub);
		ret->bytes -= mallinfo2().uordblks;
		ok = !overlay.world->failed;
	}
	if (!ok)
		printf("FAILED idle-peers SEED=%llu: %s\n", (unsigned long long)seed, overlay.world->failure);
	overlay_finish(&overlay);
	return ok;
}

/* A line a cell; false when one got worse. */
bool idle_run(const struct table_run *run)
{
	size_t alone = 0;
	bool ok = true;

	(void)mallopt(M_MMAP_MAX, 0); /* else large blocks are counted elsewhere, by pages */
	for (unsigned i = 0; i < sizeof cells / sizeof cells[0]; i++) {
		const struct cell *cell = &cells[i];
		struct outcome outcome;
		size_t bytes;

		if (!run_cell(run->seed, cell, &outcome))
			return false;
		if (cell->peers == 0)
			alone = outcome.bytes;
		bytes = cell->peers ? (outcome.bytes - alone) / cell->peers : 0;
		printf("access=%s peers=%u machine=%zu bytes=%zu wakeups=%llu seconds=%lld\n",
		       cell->has_nat ? "nat" : "public", cell->peers, outcome.bytes, bytes,
		       (unsigned long long)outcome.wakeups, (long long)(WATCH_US / USEC_PER_SEC));
		if (bytes > cell->bytes_allowed || outcome.wakeups > cell->wakeups_allowed) {
			printf("FAILED idle-peers SEED=%llu: at most %zu bytes and %llu wake-ups are allowed\n",
			       (unsigned long long)run->seed, cell->bytes_allowed,
			       (unsigned long long)cell->wakeups_allowed);
			ok = false;
		}
		(void)fflush(stdout);
	}
	return ok;
}
