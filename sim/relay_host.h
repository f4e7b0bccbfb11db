/* relay_host.h: a Relay Server as a host of the simulated world. */
#pragma once

#include "host.h"
#include "proto/relay/relay.h"

enum { RELAY_HOST_PROVEN_MAX = 256 };

struct relay_host {
	struct relay *relay;
	struct host *host;
	struct stream random;
	uint32_t proven_count;
	struct addr proven[RELAY_HOST_PROVEN_MAX]; /* addresses that answered a Challenge */
};

extern const struct machine_ops relay_host_ops;

/* Fills in host->machine; to be called again after host_kill, for a relay that has forgotten everything. */
void relay_host_start(struct host *host, const struct relay_config *config, const uint8_t (*coordinators)[KEY_SIZE],
		      size_t count);
