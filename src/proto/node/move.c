/* Moves: our own and the peer's. Keys stay; every way is told in parallel, the recent packets are replayed behind it
 * (design 7, security 1). */
#include <string.h>

#include "base/mem.h"
#include "proto/node/machine.h"
#include "wire/message.h"
#include "wire/tunnel.h"

#define IDLE_US (1 * USEC_PER_SEC)

/* The receiver's window drops what had arrived after all. An address that has not been validated gets no more than its
 * budget (E5). */
void move_replay(struct node *node, struct peer *peer, struct time_us now, struct path *path, struct time_us since,
		 bool is_loss)
{
	size_t unlimited = SIZE_MAX, *budget = path_budget(peer, path);
	uint32_t lost, replayed;

	replayed = outbox_replay(&node->outbox, now, &peer->awake->sending, since, &path->route,
				 budget ? budget : &unlimited, &lost);
	if (!is_loss)
		return;
	node->counters.replayed += replayed;
	peer->awake->moving.report.replayed_packets += replayed;
	peer->awake->moving.report.lost_packets += lost;
}

/* All that has not been acknowledged: it may have been on its way when the network went. */
static void replay_all(struct node *node, struct peer *peer, struct time_us now, struct path *path)
{
	move_replay(node, peer, now, path, time_add(now, -REPLAY_SPAN_MAX_US), true);
}

/* A silent death began when something was last heard, not when it was noticed. */
void move_begin_report(struct peer *peer, struct time_us now, const struct path *from, bool by_peer,
		       enum path_cause cause)
{
	struct moving *moving = &peer->awake->moving;

	if (moving->active)
		return;
	*moving = (struct moving){.active = true, .report = {.at = now, .by_peer = by_peer, .cause = cause}};
	if (!from)
		return;
	moving->report.from = from->route;
	moving->report.from_kind = from->kind;
	moving->heard_before = from->heard;
	moving->was_known = from->valid || from->is_known;
	if (cause == CAUSE_SILENT && from->awaiting)
		moving->report.at = from->awaiting_since;
}

static bool is_same_way(const struct path *path, const struct handover *report)
{
	return addr_equal(&path->route.remote, &report->from.remote) &&
	       ip_equal(&path->route.local.ip, &report->from.local.ip) && path->kind == report->from_kind;
}

/* The peer's moves leave our end of a relayed path as it was, and of a direct one when it says that it is kept. */
static bool is_old_way(const struct moving *moving)
{
	return !moving->report.by_peer || (moving->kept && moving->report.from_kind == PATH_DIRECT);
}

/*
 * The gap begins with the last packet heard the old way, or with our own move where that is later: before it nothing
 * was interrupted. When the peer moved is not told, so there it is the former.
 */
void move_heard(struct node *node, struct peer *peer, struct time_us now, struct path *path)
{
	struct moving *moving = &peer->awake->moving;
	struct node_event event = {.type = NODE_EVENT_HANDOVER, .kind = path->kind, .route = path->route};
	struct time_us start = moving->report.at;
	int index = (int)(path - peer->awake->paths);

	if (is_same_way(path, &moving->report) && is_old_way(moving)) {
		moving->heard_before = now;
		if (moving->report.cause == CAUSE_SILENT || moving->report.cause == CAUSE_DIED)
			moving->active = peer->active != index || !path->valid; /* it lives: no move at all */
		return;
	}
	if (peer->active >= 0 && peer->active != index && peer->awake->paths[peer->active].valid && !path->valid)
		return; /* make before break: not before the new way is proved */
	if (moving->kept && peer->active != index)
		return; /* ... and chosen */
	moving->active = false;
	if (moving->heard_before.us > start.us || moving->report.by_peer)
		start = moving->heard_before;
	if (moving->report.by_peer && time_since(now, start) > IDLE_US)
		start = moving->report.at; /* it had nothing to say before either: its silence was no interruption */
	moving->report.gap_us = time_since(now, start);
	moving->report.to = path->route;
	moving->report.to_kind = path->kind;
	if (!peer->last_handover)
		peer->last_handover = mem_alloc(1, sizeof *peer->last_handover);
	*peer->last_handover = moving->report;
	peer->handovers++;
	node->counters.handovers++;
	peer_get_fqdn(peer, event.peer);
	event.handover = moving->report;
	node_emit(node, &event);
	/* What was heard is what works: data takes this path alone from now on, until a better one is valid. */
	if (peer->active != index) {
		peer->active = index;
		node_emit_selected(node, peer, path, moving->report.cause);
	}
	peer->second = -1;
	peer->route_tag++;
}

/* Paths from addresses that are gone. True when the peer may have been using one of them. */
static bool drop_dead_paths(struct node *node, struct peer *peer)
{
	bool was_used = false;

	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];
		bool alive = false;

		if (!path->used)
			continue;
		for (size_t k = 0; k < node->local_count; k++)
			alive |= ip_equal(&node->locals[k].ip, &path->route.local.ip);
		if (alive)
			continue;
		was_used |= path->valid;
		if (path->valid)
			node_emit_path(node, peer, NODE_EVENT_PATH_DOWN, path);
		*path = (struct path){0};
		if (peer->active == i)
			peer->active = -1;
		if (peer->second == i)
			peer->second = -1;
		peer->route_tag++;
	}
	return was_used;
}

/* The leg follows under a new generation; what is sent behind the Bind is forwarded at once. */
static struct path *move_leg(struct node *node, struct peer *peer, struct time_us now)
{
	struct route route;

	if (peer->awake->beside.used) {
		leg_move(&peer->awake->beside.leg, now);
		peer_run_leg(node, peer, now);
		if (peer->awake->beside.was_bound && peer_relay_route(node, &peer->awake->beside.leg, &route))
			path_add(node, peer, now, PATH_RELAY, &route);
	}
	if (!peer->has_relay)
		return NULL;
	leg_move(&peer->leg, now);
	if (!peer_relay_route(node, &peer->leg, &route))
		return NULL;
	peer_run_leg(node, peer, now);
	return peer->leg_was_bound ? path_add(node, peer, now, PATH_RELAY, &route) : NULL;
}

/* The peer looks where a Move comes from: those from an address that we leave would tell it the wrong thing. */
static bool is_from_here(const struct node *node, const struct path *path)
{
	int local = node_local_for(node, path->route.remote.ip.family);

	return local >= 0 && ip_equal(&node->locals[local].ip, &path->route.local.ip);
}

/* Tells the peer where we are, on every way at once, and until it has heard. */
static void send_move(struct node *node, struct peer *peer, struct time_us now, bool kept)
{
	uint8_t plaintext[CONTROL_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct move move = {.move_epoch = node->move_epoch,
			    .kept = kept}; /* observed: what we knew is of the old network */
	uint32_t transaction = ++node->transaction;
	size_t size;

	node_candidates(node, &move.candidates);
	message_header_encode(MESSAGE_MOVE, transaction, &w);
	move_encode(&move, &w);
	if (writer_finish(&w, &size) != OK)
		return;
	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && is_from_here(node, &peer->awake->paths[i]))
			peer_send(node, peer, now, &peer->awake->paths[i].route, (struct blob){plaintext, size});
	peer_request(node, peer, time_add(now, REQUEST_RETRY_US), MESSAGE_MOVE, transaction,
		     (struct blob){plaintext, size});
}

/* The way that most probably works: where the peer was last heard, from our new address. */
static struct path *best_guess(struct node *node, struct peer *peer, struct time_us now, const struct addr *last_remote)
{
	struct route route;

	return node_route_to(node, last_remote, &route) && !node_is_suspect(node, &route.local.ip)
		       ? path_add(node, peer, now, PATH_DIRECT, &route)
		       : NULL;
}

/* Has this tunnel lost the address it left from, or is it still looking for a way since it has? */
static bool is_concerned(const struct node *node, const struct peer *peer)
{
	const struct path *path = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	int local = path ? node_local_for(node, path->route.remote.ip.family) : -1;

	if (peer->awake->moving.active && !peer->awake->moving.report.by_peer)
		return true;
	if (path && !path->valid)
		return true; /* a guess of a moment ago, when the kernel may have had no way out yet */
	return path && (local < 0 || node_is_suspect(node, &path->route.local.ip) ||
			!ip_equal(&node->locals[local].ip, &path->route.local.ip));
}

/* Nothing that is sent from there is answered: they are no ways any more, and are asked now and then. */
static void leave_silent_paths(struct node *node, struct peer *peer, struct time_us now)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used || !path->valid || !node_is_suspect(node, &path->route.local.ip))
			continue;
		path_question(node, peer, path, now);
	}
}

/* Data takes the best guess and the relay until the peer is heard on either; the replay windows drop what arrives
 * twice. True when the old network is still there. */
static bool choose_ways(struct node *node, struct peer *peer, struct time_us now)
{
	const struct handover *report = &peer->awake->moving.report;
	struct path *relay = move_leg(node, peer, now), *guess = NULL;

	if (report->from_kind == PATH_DIRECT)
		guess = best_guess(node, peer, now, &report->from.remote);
	if (guess)
		guess->is_known = peer->awake->moving.was_known;
	path_add_all(node, peer, now);
	if (peer->active >= 0 && peer->awake->paths[peer->active].valid)
		return true; /* it carries data until a new path is valid */
	peer->active = guess ? (int)(guess - peer->awake->paths) : relay ? (int)(relay - peer->awake->paths) : -1;
	peer->second = guess && relay ? (int)(relay - peer->awake->paths) : -1;
	peer->route_tag++;
	return false;
}

/* Data leaves from an address that stays; the peer may still be sending to one that does not. */
static void move_unconcerned(struct node *node, struct peer *peer, struct time_us now)
{
	if (drop_dead_paths(node, peer))
		send_move(node, peer, now, false);
	if (!leg_is_bound(&peer->leg))
		(void)move_leg(node, peer, now); /* what it has sent may not have left: a neighbour needs no route */
	path_add_all(node, peer, now);		 /* there may be a better way now */
}

static void move_one(struct node *node, struct peer *peer, struct time_us now, enum path_cause cause)
{
	bool kept;

	rest_end_paths(node, peer, now);
	if (!is_concerned(node, peer)) {
		move_unconcerned(node, peer, now);
		return;
	}
	move_begin_report(peer, now, peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL, false, cause);
	drop_dead_paths(node, peer);
	if (cause == CAUSE_SILENT)
		leave_silent_paths(node, peer, now);
	peer->held_until = (struct time_us){0};
	kept = choose_ways(node, peer, now);
	send_move(node, peer, now, kept);
	if (peer->active >= 0 && !kept)
		replay_all(node, peer, now, &peer->awake->paths[peer->active]);
	if (peer->second >= 0)
		replay_all(node, peer, now, &peer->awake->paths[peer->second]);
	peer_plan(node, peer, now);
}

/* Our addresses have changed, or which of them is the best. */
void move_own(struct node *node, struct time_us now, enum path_cause cause)
{
	node->move_epoch++;
	punch_stop(node, NULL);
	link_moved(node, now);
	for (size_t i = 0; i < node->roster.count; i++) {
		struct peer *peer = node->roster.all[i];

		if (peer->session)
			move_one(node, peer, now, cause);
		if (peer->awake && peer->awake->contact.used) {
			peer->awake->contact.next_try = now; /* from the new address */
			peer->awake->contact.tries = 0;
			peer_plan(node, peer, now);
		}
	}
}

/* It works whatever the NATs before the peer's new address do to what we send there. */
static int find_valid_relay(const struct peer *peer)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && peer->awake->paths[i].valid &&
		    peer->awake->paths[i].kind == PATH_RELAY)
			return i;
	return -1;
}

/* The ways to where the peer was: asked once more (E2), and left when silent. */
static void question_others(struct node *node, struct peer *peer, struct time_us now, const struct path *except)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used || path->kind != PATH_DIRECT || !path->valid || path == except)
			continue;
		path_question(node, peer, path, now);
		path->probes_left = 1;
	}
}

/* Data takes this way, and the relay too until the way has been validated. */
static void follow(struct node *node, struct peer *peer, struct time_us now, struct path *path)
{
	peer->active = (int)(path - peer->awake->paths);
	peer->route_tag++;
	peer->held_until = (struct time_us){0};
	node_emit_selected(node, peer, path, CAUSE_PEER_MOVED);
	move_heard(node, peer, now, path);
	peer->second = path->valid ? -1 : find_valid_relay(peer);
	replay_all(node, peer, now, path);
	if (peer->second >= 0)
		replay_all(node, peer, now, &peer->awake->paths[peer->second]);
	waiting_release(node, peer, now);
}

/* E4: the peer says that it moved. Data follows to where this came from, within the budget until that address has
 * answered. */
void move_peer(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
	       const struct move *move)
{
	struct path *old = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	struct path *path = path_find(peer, route);

	if ((int32_t)(move->move_epoch - peer->move_epoch) <= 0)
		return; /* a copy that took the longer way */
	peer->move_epoch = move->move_epoch;
	rest_end_paths(node, peer, now);
	punch_stop(node, peer);
	peer->candidates = move->candidates;
	peer->observed = move->observed;
	if (!path)
		path = path_add(node, peer, now, peer_is_relay(peer, &route->remote) ? PATH_RELAY : PATH_DIRECT, route);
	path_add_all(node, peer, now);
	if (!path)
		return;
	path->is_suggested = false; /* the peer itself says so */
	peer->burst_left = UNVALIDATED_BURST_BYTES;
	path_challenge(node, peer, path, now);
	if (move->kept && old && old->valid && !old->doubtful) {
		move_begin_report(peer, now, old, true, CAUSE_PEER_MOVED);
		peer->awake->moving.kept = true;
		path_select(node, peer, now, CAUSE_PEER_MOVED); /* now, or as soon as the new way is valid */
		return;
	}
	move_begin_report(peer, now, old, true, CAUSE_PEER_MOVED);
	question_others(node, peer, now, path);
	follow(node, peer, now, path);
	peer_plan(node, peer, now);
}
