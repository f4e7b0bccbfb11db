/* node_tally.h: what the node's events add up to, for metrics: decisions by their kind and cause, how long
 * interruptions were, how long data took which kind of path. */
#pragma once

#include "proto/node/node.h"

enum { PATH_KINDS = 2, TALLY_GAPS = 13, TALLY_WAYS = 3 };

/* Where the data of a tunnel goes. */
enum tally_way { TALLY_DIRECT, TALLY_RELAY, TALLY_NOWHERE };

struct tally {
	uint64_t handovers[2][PATH_KINDS][PATH_CAUSES]; /* by us or the peer, to what, why */
	uint64_t gaps[2][TALLY_GAPS + 1];		/* up to each bound, and above the last */
	int64_t gap_sum_us[2];
	uint64_t path_changes[PATH_KINDS][PATH_CAUSES];
	uint64_t paths_up[PATH_KINDS], paths_down[PATH_KINDS];
	uint64_t lost_packets, peers_up, peers_down, rekeys, coordinator_losses;
	bool is_stale; /* ways have changed since they were counted */
	struct time_us counted_at;
	uint32_t on[TALLY_WAYS];
	int64_t time_us[TALLY_WAYS]; /* summed over tunnels */
};

/* Upper bounds of the gap histogram. */
extern const int64_t tally_gap_bounds_us[TALLY_GAPS];

void tally_event(struct tally *tally, const struct node_event *event);
/* Adds the time since the last call to the ways of then, and looks where data goes now. Not inside an event. */
void tally_count(struct tally *tally, const struct node *node, struct time_us now);

/* "moved", "better-rtt": as in JSON and labels. */
const char *tally_cause_name(enum path_cause cause);
