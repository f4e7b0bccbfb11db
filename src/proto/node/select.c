/* Which path data takes (security 1, E3 and E4; hysteresis of E6), and when it takes two. */
#include "proto/node/machine.h"
#include "proto/node/path.h"

#define HYSTERESIS_US 2000
#define HOLD_MAX_US (100 * USEC_PER_MSEC)

/* Contract in the header. */
enum strangeness path_strangeness(const struct peer *peer, const struct addr *remote)
{
	bool has_first = false;

	if (addr_equal(&peer->observed, remote))
		return STRANGENESS_NONE;
	for (int i = 0; i < peer->candidates.count; i++) {
		const struct addr *candidate = &peer->candidates.list[i];

		if (addr_equal(candidate, remote))
			return has_first ? STRANGENESS_NAMED : STRANGENESS_NONE;
		has_first |= candidate->ip.family == remote->ip.family;
	}
	return STRANGENESS_SEEN;
}

static bool is_from_best_local(const struct node *node, const struct path *path)
{
	int local = node_local_for(node, path->route.remote.ip.family);

	return local >= 0 && ip_equal(&node->locals[local].ip, &path->route.local.ip);
}

/* Smaller is better; among equals the RTT decides. */
static int rank_of(const struct node *node, const struct peer *peer, const struct path *path)
{
	int rank = path->kind == PATH_RELAY ? 8 : (int)path_strangeness(peer, &path->route.remote);

	return rank + (is_from_best_local(node, path) ? 0 : 4) + (relay_is_superseded(peer, path) ? 1 : 0);
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
	bool is_active = peer->active == (int)(than - peer->awake->paths);

	if (rank != other)
		return rank < other;
	if (!is_active)
		return rtt_of(path) < rtt_of(than);
	return path_strangeness(peer, &path->route.remote) != STRANGENESS_SEEN &&
	       rtt_of(path) < rtt_of(than) - rtt_of(than) / 5 - HYSTERESIS_US;
}

/* Told by the paths themselves where the occasion does not tell it. */
static enum path_cause cause_of(const struct peer *peer, const struct path *old, const struct path *path,
				enum path_cause cause)
{
	if (peer->awake->moving.active)
		return peer->awake->moving.report.cause;
	if (!old)
		return CAUSE_FIRST;
	if (!old->valid || old->doubtful)
		return cause == CAUSE_NONE ? CAUSE_DIED : cause;
	return old->kind != path->kind ? CAUSE_DIRECT : CAUSE_RTT;
}

/*
 * From a longer way to a shorter one packets would overtake those on their way: they wait for half the difference of
 * the round trips, so that inner connections see no reordering (design 7, upgrade).
 */
static void hold_back(struct node *node, struct peer *peer, struct time_us now, const struct path *old,
		      const struct path *path)
{
	int64_t hold_us =
		old->rtt_us >= 0 && path->rtt_us >= 0 ? (old->rtt_us - path->rtt_us) / 2 + old->rtt_var_us : 0;

	if (hold_us <= 0)
		return;
	peer->held_since = now;
	peer->held_until = time_add(now, hold_us < HOLD_MAX_US ? hold_us : HOLD_MAX_US);
	peer_plan(node, peer, peer->held_until);
}

/* The replay since then is what was held, in its order. */
void path_release(struct node *node, struct peer *peer, struct time_us now)
{
	if (peer->held_until.us == 0)
		return;
	if (!time_reached(now, peer->held_until)) {
		peer_plan(node, peer, peer->held_until);
		return;
	}
	peer->held_until = (struct time_us){0};
	if (peer->active >= 0)
		move_replay(node, peer, now, &peer->awake->paths[peer->active], peer->held_since, false);
}

/* Leaving a path that has failed means that what was sent on it lately has to be sent again. */
static void switch_to(struct node *node, struct peer *peer, struct time_us now, int best, enum path_cause cause)
{
	struct path *old = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	struct path *path = &peer->awake->paths[best];
	bool failed = old && (!old->valid || old->doubtful);

	cause = cause_of(peer, old, path, cause);
	if (failed)
		move_begin_report(peer, now, old, false, cause);
	if (old)
		old->awaiting = old->doubtful = old->asked_others = false;
	peer->active = best;
	peer->second = -1;
	peer->held_until = (struct time_us){0};
	peer->route_tag++;
	node_emit_selected(node, peer, path, cause);
	if (failed || path->is_suggested) /* suggested: its NAT had rebound, now it is known */
		move_replay(node, peer, now, path, time_add(now, -REPLAY_SPAN_MAX_US), true);
	else if (old && !peer->awake->moving.active)
		hold_back(node, peer, now, old, path);
	path->is_suggested = false;
	waiting_release(node, peer, now);
}

/* Contract in the header. */
void path_use(struct node *node, struct peer *peer, struct time_us now, struct path *path, enum path_cause cause)
{
	peer->active = (int)(path - peer->awake->paths);
	if (peer->second == peer->active)
		peer->second = -1;
	peer->route_tag++;
	peer->held_until = (struct time_us){0};
	path->waited_count = 0; /* how it was when it was left is no guide */
	node_emit_selected(node, peer, path, cause);
	move_replay(node, peer, now, path, time_add(now, -REPLAY_SPAN_MAX_US), true);
}

/* With nothing valid the present one is kept: it is as good a guess as any. */
void path_select(struct node *node, struct peer *peer, struct time_us now, enum path_cause cause)
{
	int best = peer->active >= 0 && peer->awake->paths[peer->active].valid ? peer->active : -1;

	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		const struct path *path = &peer->awake->paths[i];

		if (path->used && path->valid && i != best &&
		    (best < 0 || is_better(node, peer, path, &peer->awake->paths[best])))
			best = i;
	}
	if (best >= 0 && best != peer->active && peer->session)
		switch_to(node, peer, now, best, cause);
}

/* Greater is better: heard since then, proved, independent of the address in doubt, without a relay. */
static int alternative_score(const struct path *path, const struct path *active)
{
	bool is_elsewhere = !ip_equal(&path->route.local.ip, &active->route.local.ip);
	bool was_heard = active->awaiting && time_since(path->heard, active->awaiting_since) > 0;

	return (was_heard ? 8 : 0) + (path->valid ? 4 : 0) + (is_elsewhere ? 2 : 0) +
	       (path->kind == PATH_DIRECT ? 1 : 0);
}

/* A relay that knew the pair needs no validation: it forwards to where the peer proved to be. */
struct path *path_alternative(struct node *node, struct peer *peer)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	struct path *best = NULL;

	(void)node;
	for (int i = 0; i < NODE_PATHS_MAX && active; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used || i == peer->active || (!path->valid && !relay_knows_us(peer, path)))
			continue;
		if (!best || alternative_score(path, active) > alternative_score(best, active))
			best = path;
	}
	return best;
}

/* The replay windows drop what arrives twice. */
void path_overlap(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	int index = (int)(path - peer->awake->paths);

	if (peer->second == index || peer->active == index)
		return;
	peer->second = index;
	peer->second_is_new = true;
	peer->route_tag++;
	move_replay(node, peer, now, path, time_add(now, -REPLAY_SPAN_MAX_US), true);
}

/* What was sent twice until now need not be any more. */
void path_overlap_end(struct peer *peer)
{
	if (peer->second < 0)
		return;
	peer->second = -1;
	peer->route_tag++;
}
