/* coordinator_host.h: a Direction Coordinator as a host of the simulated world, with a store that survives it. */
#pragma once

#include "host.h"
#include "proto/coordinator/coordinator.h"

enum { COORDINATOR_HOST_PROVEN_MAX = 256 };

/* Everything that was fsynced; the scenario keeps it across restarts. */
struct disk {
	struct record *records;
	size_t count, capacity;
};

void disk_finish(struct disk *disk);

struct coordinator_host {
	struct coordinator *coordinator;
	struct host *host;
	struct disk *disk;
	struct stream random;
	uint32_t proven_count;
	struct addr proven[COORDINATOR_HOST_PROVEN_MAX]; /* where a registered node was seen */
};

extern const struct machine_ops coordinator_host_ops;

/* Fills in host->machine and replays the disk. */
void coordinator_host_start(struct host *host, const struct coordinator_config *config, const struct network *network,
			    struct disk *disk);
