/* node_host.h: a node as a host of the simulated world. */
#pragma once

#include "host.h"
#include "proto/node/node.h"
#include "proven.h"

enum { NODE_EVENT_TYPES = NODE_EVENT_EXIT_SELECTED + 1 };

struct node_host {
	struct node *node;
	struct host *host;
	struct stream random;
	unsigned lane_count, lane;	   /* threads that share it, and whose call was the last */
	uint32_t lanes_busy;		   /* those whose threads do not come to send */
	struct stream lane_random;	   /* which one gets what */
	uint32_t events[NODE_EVENT_TYPES]; /* how many of each kind */
	struct node_event last[NODE_EVENT_TYPES];
	struct proven proven; /* servers, and where a path was validated */
	bool is_placed;	      /* another place from now on is a move */
};

extern const struct machine_ops node_host_ops;

/* Fills in host->machine; the host's addresses are told by host_announce. Servers count as proven. */
struct node_host *node_host_start(struct host *host, const struct node_config *config);
/* NULL when the host is dead. */
struct node *node_of(const struct host *host);
