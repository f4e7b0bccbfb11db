/* node_portmap.h: ntmd's end of port mapping: keeps ntm-portmap told of our addresses, and the node of what it opened.
 */
#pragma once

#include "cmd/node_host.h"
#include "cmd/portmap.h"

/* Starts it unless that is switched off or it is not installed: nothing depends on it. Before privileges are dropped.
 */
void node_portmap_open(struct host *host);
/* Accepts a host without one. It withdraws its mappings and ends by itself. */
void node_portmap_close(struct host *host);
/* Our addresses, whenever they change. */
void node_portmap_locals(struct host *host, const struct net_snapshot *snapshot);
/* How many mappings there are, and how often one was made or renewed. */
size_t node_portmap_count(const struct host *host, uint64_t *ret_renewals);
/* The mapping at an index below the count. */
const struct portmap_answer *node_portmap_get(const struct host *host, size_t index);
