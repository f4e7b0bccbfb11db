/*
 * A pair that has had nothing to say for a while rests: no questions on its paths, no new keys. Only the legs at its
 * relay are kept warm, each by its own end, with everything else that is said on that end's beat; so a peer at rest
 * costs no wake-up of its own. The first packet afterwards goes through the relay as well as the way that data took,
 * which is asked in the same instant.
 */
#include "proto/node/machine.h"

#define PATHS_REST_AFTER_US (60 * USEC_PER_SEC) /* without inner packets */

/* Our leg's way, if the peer has answered through it since it was last awake, and under the present keys. */
static int find_warm_relay(const struct peer *peer)
{
	struct time_us keys = session_key_since(peer->session), awake = peer->rest.paths_ended;

	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		const struct path *path = &peer->awake->paths[i];

		if (path->used && path->valid && path->kind == PATH_RELAY && path->rtt_us >= 0 &&
		    time_since(path->proved, keys) > 0 && time_since(path->proved, awake) > 0 &&
		    addr_equal(&path->route.remote, leg_relay(&peer->leg)))
			return i;
	}
	return -1;
}

/*
 * One with a socket of its own goes through a hard NAT and would not be found again; one that is asked has to answer
 * first.
 */
static bool has_restless_path(const struct node *node, const struct peer *peer)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		const struct path *path = &peer->awake->paths[i];

		if (path->used && path->valid && (path->challenge_open || path->route.local.port != node->listen_port))
			return true;
	}
	return false;
}

static bool is_changing(const struct peer *peer)
{
	return peer->awake->contact.used || peer->awake->beside.used || peer->awake->moving.active ||
	       peer->awake->rekeying.active || peer->requests || peer->second >= 0 || peer->held_until.us > 0;
}

static bool may_rest(const struct node *node, const struct peer *peer, struct time_us now)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;

	return peer->session && peer->rest.keys && active && active->valid && !active->doubtful && !active->awaiting &&
	       time_since(now, peer->last_data) > PATHS_REST_AFTER_US && peer->has_relay && leg_is_bound(&peer->leg) &&
	       !is_changing(peer) && find_warm_relay(peer) >= 0 && !has_restless_path(node, peer);
}

static void begin(struct node *node, struct peer *peer, struct time_us now)
{
	int relay = find_warm_relay(peer);

	peer->rest.paths = true;
	rhythm_rest(node, now, &peer->awake->paths[relay].route.local.ip);
	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && peer->awake->paths[i].valid)
			peer->awake->paths[i].next_challenge = TIME_NEVER;
}

/* A NAT may have forgotten the way that data took, so it is in doubt; the relay is warm. */
void rest_end_paths(struct node *node, struct peer *peer, struct time_us now)
{
	struct path *active;
	int relay;

	if (!peer->rest.paths)
		return;
	peer_wake(node, peer);
	active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	relay = peer->has_relay ? find_warm_relay(peer) : -1;
	peer->rest.paths = false;
	peer->rest.paths_ended = now;
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used || !path->valid)
			continue;
		if (path == active || path->kind == PATH_RELAY)
			path->next_challenge = now;
		else
			path_question(node, peer, path, now); /* it must not take over before it has answered */
	}
	peer_plan(node, peer, now);
	path_add_spares(node, peer, now);
	if (!active || active->kind == PATH_RELAY || relay < 0)
		return;
	active->doubtful = true;
	active->doubtful_since = now;
	path_overlap(node, peer, &peer->awake->paths[relay], now);
}

/* Contract in machine.h. */
void rest_end(struct node *node, struct peer *peer, struct time_us now)
{
	rest_end_paths(node, peer, now);
	if (!peer->rest.keys)
		return;
	peer->rest.keys = false;
	peer->rest.keys_ended = now;
	session_wake(peer->session, now);
	peer_plan(node, peer, now);
}

static bool has_old_keys(const struct peer *peer, struct time_us now, int64_t age_us)
{
	return peer->rest.keys && session_is_initiator(peer->session) &&
	       time_since(now, session_key_since(peer->session)) >= age_us;
}

/* The other end is awake, or it does not know that its keys are fit for a rest: it is given new ones. */
void rest_asked(struct node *node, struct peer *peer, struct time_us now)
{
	if (has_old_keys(peer, now, REKEY_AFTER_US))
		rest_end(node, peer, now);
}

/* Contract in machine.h. */
bool rest_of_keys(struct node *node, struct peer *peer, struct time_us now)
{
	struct time_us since = session_key_since(peer->session);

	if (has_old_keys(peer, now, REST_KEYS_US))
		rest_end(node, peer, now);
	else
		peer->rest.keys = peer->rest.is_agreed && time_since(since, peer->last_data) > 0 &&
				  time_since(since, peer->rest.keys_ended) >= 0;
	return peer->rest.keys;
}

/* Contract in machine.h. */
void rest_run(struct node *node, struct peer *peer, struct time_us now)
{
	bool may = may_rest(node, peer, now);

	if (may && !peer->rest.paths)
		begin(node, peer, now);
	else if (!may)
		rest_end_paths(node, peer, now);
}
