/* Which path data takes (security 1, E3 and E4; hysteresis of E6). */
#include "proto/node/machine.h"
#include "proto/node/path.h"

#define HYSTERESIS_US 2000

/* Did the peer, or the coordinator that sees it, name this address? Others were only seen on packets, which a stranger
 * may have forwarded. */
static bool is_listed(const struct peer *peer, const struct addr *remote)
{
	for (int i = 0; i < peer->candidates.count; i++)
		if (addr_equal(&peer->candidates.list[i], remote))
			return true;
	return addr_equal(&peer->observed, remote);
}

/* Smaller is better; among equals the RTT decides. */
static int rank_of(const struct node *node, const struct peer *peer, const struct path *path)
{
	int local = node_local_for(node, path->route.remote.ip.family);
	int rank = path->kind == PATH_RELAY ? 4 : 0;

	if (path->kind == PATH_DIRECT && !is_listed(peer, &path->route.remote))
		rank += 1;
	if (local < 0 || !ip_equal(&node->locals[local].ip, &path->route.local.ip))
		rank += 2;
	return rank;
}

/* An unknown RTT is worse than any known one. */
static int64_t rtt_of(const struct path *path)
{
	return path->rtt_us >= 0 ? path->rtt_us : INT64_MAX / 2;
}

/* Is it worth leaving a live path for this one? A forwarder may be faster; that alone never moves a tunnel (E3). */
static bool is_better(const struct node *node, const struct peer *peer, const struct path *path,
		      const struct path *than)
{
	int rank = rank_of(node, peer, path), other = rank_of(node, peer, than);
	bool is_active = peer->active == (int)(than - peer->paths);

	if (rank != other)
		return rank < other;
	if (!is_active)
		return rtt_of(path) < rtt_of(than);
	return is_listed(peer, &path->route.remote) && rtt_of(path) < rtt_of(than) - rtt_of(than) / 5 - HYSTERESIS_US;
}

/* Leaving a path that has failed means that what was sent on it lately has to be sent again. */
static void switch_to(struct node *node, struct peer *peer, struct time_us now, int best)
{
	struct path *old = peer->active >= 0 ? &peer->paths[peer->active] : NULL;
	struct path *path = &peer->paths[best];
	bool failed = old && !old->valid && !peer->moving.active;

	peer->active = best;
	if (peer->second == best)
		peer->second = -1;
	peer->route_tag++;
	node_emit_path(node, peer, NODE_EVENT_PATH_SELECTED, path);
	if (failed)
		move_replay(node, peer, now, path, old->heard);
	outbound_release(node, peer, now);
}

/* With nothing valid the present one is kept: it is as good a guess as any. */
void path_select(struct node *node, struct peer *peer, struct time_us now)
{
	int best = peer->active >= 0 && peer->paths[peer->active].valid ? peer->active : -1;

	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		const struct path *path = &peer->paths[i];

		if (path->used && path->valid && i != best &&
		    (best < 0 || is_better(node, peer, path, &peer->paths[best])))
			best = i;
	}
	if (best >= 0 && best != peer->active && peer->session)
		switch_to(node, peer, now, best);
}
