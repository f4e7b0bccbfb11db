#include "cmd/node_tally.h"

/* Around what a handover is made of: our own milliseconds, round trips, the silence that is believed, seconds. */
const int64_t tally_gap_bounds_us[TALLY_GAPS] = {1000,	 2000,	 5000,	  10000,   25000,   50000,   100000,
						 250000, 500000, 1000000, 2500000, 5000000, 10000000};

/* Stable: scripts and dashboards know them. */
const char *tally_cause_name(enum path_cause cause)
{
	static const char *const names[PATH_CAUSES] = {
		[CAUSE_NONE] = "none",	    [CAUSE_FIRST] = "first",
		[CAUSE_RTT] = "better-rtt", [CAUSE_DIRECT] = "direct-over-relay",
		[CAUSE_MOVED] = "moved",    [CAUSE_PEER_MOVED] = "peer-moved",
		[CAUSE_SILENT] = "silent",  [CAUSE_DIED] = "path-died",
		[CAUSE_ASKED] = "asked",
	};

	return names[cause];
}

static void add_gap(struct tally *tally, const struct handover *handover)
{
	int at = 0;

	while (at < TALLY_GAPS && handover->gap_us > tally_gap_bounds_us[at])
		at++;
	tally->gaps[handover->by_peer][at]++;
	tally->gap_sum_us[handover->by_peer] += handover->gap_us;
}

static void add_handover(struct tally *tally, const struct handover *handover)
{
	tally->handovers[handover->by_peer][handover->to_kind][handover->cause]++;
	tally->lost_packets += handover->lost_packets;
	add_gap(tally, handover);
}

/* Every event of the node passes here once. */
void tally_event(struct tally *tally, const struct node_event *event)
{
	switch (event->type) {
	case NODE_EVENT_HANDOVER: add_handover(tally, &event->handover); break;
	case NODE_EVENT_PATH_SELECTED: tally->path_changes[event->kind][event->cause]++; break;
	case NODE_EVENT_PATH_UP: tally->paths_up[event->kind]++; break;
	case NODE_EVENT_PATH_DOWN: tally->paths_down[event->kind]++; break;
	case NODE_EVENT_PEER_UP: tally->peers_up++; break;
	case NODE_EVENT_PEER_DOWN: tally->peers_down++; break;
	case NODE_EVENT_REKEY: tally->rekeys++; return;
	case NODE_EVENT_COORDINATOR_DOWN: tally->coordinator_losses++; return;
	default: return;
	}
	tally->is_stale = true;
}

/* Looking at every peer: once a turn of the loop at most, and only after a change. */
void tally_count(struct tally *tally, const struct node *node, struct time_us now)
{
	struct node_ways ways = node_count_ways(node);

	for (int i = 0; i < TALLY_WAYS; i++)
		tally->time_us[i] += tally->on[i] * time_since(now, tally->counted_at);
	tally->counted_at = now;
	tally->is_stale = false;
	tally->on[TALLY_DIRECT] = ways.direct;
	tally->on[TALLY_RELAY] = ways.relay;
	tally->on[TALLY_NOWHERE] = ways.nowhere;
}
