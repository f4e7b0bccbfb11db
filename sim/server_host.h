/*
 * server_host.h: a Direction Coordinator or a Relay Server as a host of the simulated world. What both have in common
 * is here once; what they do is their machines' affair.
 */
#pragma once

#include "disk.h"
#include "host.h"
#include "kernel.h"
#include "proto/coordinator/coordinator.h"
#include "proto/relay/relay.h"
#include "proven.h"

struct server_host {
	struct host *host;
	struct stream random;
	struct proven proven;		 /* where a registered node was seen, or a Challenge answered */
	struct coordinator *coordinator; /* one of the two */
	struct relay *relay;
	struct kernel kernel; /* the relay's, if it has one */
	bool has_kernel;
	struct disk *disk; /* the coordinator's */
	/* DNS, as far as it knows of another network: a question on its way, and whose coordinator answers it. */
	struct host *directory;
	char zone[ZONE_MAX_SIZE + 1];
	struct time_us zone_due;
};

extern const struct machine_ops coordinator_host_ops, relay_host_ops;

/* What a signed document names may be sent to. */
void server_host_trust(struct server_host *s, const struct network *network);
/* Fills in host->machine and replays the disk. */
void coordinator_host_start(struct host *host, const struct coordinator_config *config, const struct network *network,
			    struct disk *disk);
/* DNS tells it where the other one's zone is, while that one is there to serve it. NULL: nothing is known to DNS. */
void coordinator_host_ask(struct host *host, struct host *directory);
/* Fills in host->machine; to be called again after host_kill, for a relay that has forgotten everything. It announces
 * itself. */
void relay_host_start(struct host *host, const struct relay_config *config, const struct network *network,
		      bool has_kernel);
