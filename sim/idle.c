/*
 * What peers that say nothing cost a node: bytes in its heap, found by switching it off, and instants at which it had
 * something to do. One line a cell, for people and for scripts/bench memory.
 */
#include <malloc.h>
#include <string.h>

#include "story.h"
#include "table.h"
#include "world.h"

#define SETTLE_US (600 * USEC_PER_SEC) /* probes and questions of the beginning are over */
#define WATCH_US (1200 * USEC_PER_SEC)

static const uint32_t peer_counts[] = {0, 1, 10, 50};

struct cell {
	uint64_t seed;
	uint32_t peers;
	bool has_nat;
	size_t bytes; /* of the whole machine */
	uint64_t wakeups;
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

static bool run_cell(struct cell *cell)
{
	struct overlay overlay;
	bool ok;

	overlay_init(&overlay, cell->seed, 1, 10 * USEC_PER_MSEC);
	ok = meet(&overlay, cell);
	if (ok) {
		struct host *hub = overlay.nodes[0].host;
		uint64_t before;

		story_run(&overlay, SETTLE_US);
		before = hub->wakeups;
		story_run(&overlay, WATCH_US);
		cell->wakeups = hub->wakeups - before;
		cell->bytes = mallinfo2().uordblks;
		host_kill(hub);
		cell->bytes -= mallinfo2().uordblks;
		ok = !overlay.world->failed;
	}
	if (!ok)
		printf("FAILED idle-peers SEED=%llu: %s\n", (unsigned long long)cell->seed, overlay.world->failure);
	overlay_finish(&overlay);
	return ok;
}

/* Nothing is demanded but that it runs: the goals are judged where the other figures are. */
bool idle_run(const struct table_run *run)
{
	(void)mallopt(M_MMAP_MAX, 0); /* else large blocks are counted elsewhere, by pages */
	for (unsigned nat = 0; nat < 2; nat++) {
		size_t alone = 0;

		for (unsigned i = 0; i < sizeof peer_counts / sizeof peer_counts[0]; i++) {
			struct cell cell = {.seed = run->seed, .peers = peer_counts[i], .has_nat = nat == 1};

			if (!run_cell(&cell))
				return false;
			if (cell.peers == 0)
				alone = cell.bytes;
			printf("access=%s peers=%u machine=%zu bytes=%zu wakeups=%llu seconds=%lld\n",
			       nat ? "nat" : "public", cell.peers, cell.bytes,
			       cell.peers ? (cell.bytes - alone) / cell.peers : 0, (unsigned long long)cell.wakeups,
			       (long long)(WATCH_US / USEC_PER_SEC));
			(void)fflush(stdout);
		}
	}
	return true;
}
