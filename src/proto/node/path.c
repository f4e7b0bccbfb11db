#include "proto/node/path.h"

#include <string.h>

#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"
#include "wire/tunnel.h"

enum { CHALLENGE_DATAGRAM_MAX = 1536 };

enum {
	UNANSWERED_MAX = 5
}; /* in a row: with a tenth of all packets lost each way one path in 4,000 is given up wrongly */

/* Our own port tells paths apart as well: one through a hard NAT has a socket of its own. */
struct path *path_find(struct peer *peer, const struct route *route)
{
	if (!peer->awake)
		return NULL;
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (path->used && addr_equal(&path->route.remote, &route->remote) &&
		    addr_equal(&path->route.local, &route->local))
			return path;
	}
	return NULL;
}

enum { NEVER_GOES = 2 };

/* What goes first for a new path: what no longer answers, then what was only ever seen on packets and carries none. */
static int worth_of(const struct peer *peer, int index)
{
	const struct path *path = &peer->awake->paths[index];

	if (index == peer->active || index == peer->second || path->kind == PATH_RELAY || path->probes_left > 0)
		return NEVER_GOES;
	if (!path->valid)
		return 0;
	return path_strangeness(peer, &path->route.remote) == STRANGENESS_SEEN ? 1 : NEVER_GOES;
}

/* An unused slot, or the worst one that carries no data. */
static struct path *find_slot(struct node *node, struct peer *peer, struct time_us now)
{
	struct path *worst = NULL;
	int least = NEVER_GOES;

	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used)
			return path;
		if (worth_of(peer, i) < least ||
		    (worst && worth_of(peer, i) == least && path->heard.us < worst->heard.us)) {
			worst = path;
			least = worth_of(peer, i);
		}
	}
	if (worst)
		path_drop(node, peer, worst, now);
	return worst;
}

/* A new path is probed a few times, then left alone (T26). */
struct path *path_add(struct node *node, struct peer *peer, struct time_us now, enum path_kind kind,
		      const struct route *route)
{
	struct path *path = path_find(peer, route);

	if (!path) {
		path = find_slot(node, peer, now);
		if (!path)
			return NULL;
		*path = (struct path){
			.used = true, .kind = kind, .route = *route, .rtt_us = -1, .next_challenge = TIME_NEVER};
		mtu_init(node, path);
	}
	if (!path->valid) {
		path->probes_left = PROBES_PER_CANDIDATE;
		path->next_challenge = now;
		peer_plan(node, peer, now);
	}
	return path;
}

static void add_remote(struct node *node, struct peer *peer, struct time_us now, const struct addr *remote)
{
	struct route route;

	if (node_route_to_candidate(node, remote, &route))
		path_add(node, peer, now, PATH_DIRECT, &route);
}

/* From the best local address of each family: what the kernel would use is what works. */
void path_add_all(struct node *node, struct peer *peer, struct time_us now)
{
	if (addr_is_set(&peer->observed))
		add_remote(node, peer, now, &peer->observed);
	for (int i = 0; i < peer->candidates.count; i++)
		add_remote(node, peer, now, &peer->candidates.list[i]);
	path_add_spares(node, peer, now);
}

static void add_from(struct node *node, struct peer *peer, struct time_us now, const struct node_local *local,
		     const struct addr *remote)
{
	struct route route = {{local->ip, node->listen_port}, local->ifindex, *remote};

	if (local->ip.family == remote->ip.family && addr_is_probeable(remote) && !node_is_virtual(node, &remote->ip))
		path_add(node, peer, now, PATH_DIRECT, &route);
}

/* Few: where it is seen and where its data goes. They carry data when the best address fails, without having to be
 * found then. */
void path_add_spares(struct node *node, struct peer *peer, struct time_us now)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	struct addr remote = active && active->kind == PATH_DIRECT ? active->route.remote : (struct addr){0};

	for (size_t i = 0; i < node->local_count; i++) {
		const struct node_local *local = &node->locals[i];

		if (!node_is_spare(node, i))
			continue;
		add_from(node, peer, now, local, &peer->observed);
		if (addr_is_set(&remote))
			add_from(node, peer, now, local, &remote);
	}
}

/* Data finds another way, or waits. */
void path_drop(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	int index = (int)(path - peer->awake->paths);
	bool was_valid = path->valid;
	struct path gone = *path;

	*path = (struct path){0};
	if (peer->second == index)
		peer->second = -1;
	if (peer->active == index) {
		peer->active = -1;
		peer->route_tag++;
	}
	if (was_valid)
		node_emit_path(node, peer, NODE_EVENT_PATH_DOWN, &gone);
	if (peer->active < 0)
		path_select(node, peer, now, CAUSE_DIED);
}

/* RFC 6298 2. */
static void measure(struct path *path, int64_t rtt_us)
{
	int64_t deviation = rtt_us > path->rtt_us ? rtt_us - path->rtt_us : path->rtt_us - rtt_us;

	if (path->rtt_us < 0) {
		path->rtt_us = rtt_us;
		path->rtt_var_us = 0; /* not half of it, as there: no deviation has been seen yet */
		return;
	}
	path->rtt_var_us += (deviation - path->rtt_var_us) / 4;
	path->rtt_us += (rtt_us - path->rtt_us) / 8;
}

/* Where the peer says that it moved to a burst, once; where it is only seen no more than came from there. */
size_t *path_budget(struct peer *peer, struct path *path)
{
	if (path->valid || path->is_known || path->kind == PATH_RELAY)
		return NULL;
	return path->is_suggested ? &path->credit : &peer->burst_left;
}

/* Spends. */
bool path_may_send(struct peer *peer, struct path *path, size_t bytes)
{
	size_t *budget = path_budget(peer, path);

	if (!budget)
		return true;
	if (*budget < bytes)
		return false;
	*budget -= bytes;
	return true;
}

/* What is in flight goes there as well, as far as the credit reaches, the oldest first; new packets only behind it. */
static void mirror(struct node *node, struct peer *peer, struct path *path, struct time_us now, size_t *credit)
{
	if (peer->second == (int)(path - peer->awake->paths))
		outbox_replay_on(&node->outbox, now, &peer->awake->sending, time_add(now, -REPLAY_SPAN_MAX_US),
				 &path->route, &path->mirrored, credit);
}

/*
 * Packets came from an address that the peer has not named, it has been validated, and the active path, asked in the
 * same instant, should have answered by now. A NAT that rebound looks like that, and so does a stranger who forwards
 * and holds back: data goes both ways until the active one answers or is given up (E3).
 */
static void run_suggestion(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	struct time_us overdue_at;
	size_t unlimited = SIZE_MAX;

	if (!path->is_suggested || !path->valid || !active || active == path)
		return;
	if (!active->challenge_open) {
		path->is_suggested = false;
		return;
	}
	overdue_at = time_add(active->challenge_at, active->rtt_us * 9 / 8 + 4 * active->rtt_var_us + 1000);
	if (!time_reached(now, overdue_at)) {
		peer_plan(node, peer, overdue_at);
		return;
	}
	path->is_suggested = false;
	mirror(node, peer, path, now, &unlimited);
	path_overlap(node, peer, path, now);
}

enum { SPARE_RELAY_BEATS = 8 };
#define IDLE_US (60 * USEC_PER_SEC)

/*
 * With everything else that is due. Through a relay that an idle pair does not use it is asked less often: each end
 * binds its leg anew with every beat anyway, and what arrives at the other end wakes it up.
 */
static struct time_us keep_alive_at(const struct node *node, const struct peer *peer, const struct path *path,
				    struct time_us now)
{
	bool is_spare = path->kind == PATH_RELAY && peer->active >= 0 &&
			peer->active != (int)(path - peer->awake->paths) && time_since(now, peer->last_data) > IDLE_US;
	int64_t later_us = is_spare && !peer->rest.is_agreed
				   ? (SPARE_RELAY_BEATS - 1) * rhythm_interval_us(node, &path->route.local.ip)
				   : 0;

	return peer->rest.paths ? TIME_NEVER : rhythm_next(node, time_add(now, later_us), &path->route.local.ip);
}

/* Valid from now on: first keep-alive with all others. */
void path_set_valid(struct node *node, struct peer *peer, struct path *path, struct time_us now, int64_t rtt_us)
{
	bool is_new = !path->valid;

	if (rtt_us >= 0)
		measure(path, rtt_us);
	path->valid = true;
	path->unanswered = 0;
	path->challenge_open = false;
	path_proved(node, peer, path, now, rtt_us >= 0 ? time_add(now, -rtt_us) : now);
	if (path->rtt_us <
	    0) /* a bound leg says nothing about the other one: ask through it once both had time to bind */
		path->next_challenge = time_add(now, USEC_PER_SEC);
	else
		path->next_challenge =
			is_new ? time_add(now, CHALLENGE_INTERVAL_US) : keep_alive_at(node, peer, path, now);
	peer_plan(node, peer, now); /* the deadline of the answer must not wake us up later */
	if (is_new) {
		peer->lost_since = (struct time_us){0};
		if (peer->state == NODE_PEER_UNREACHABLE)
			peer_set_state(node, peer, now, NODE_PEER_UP, REASON_NONE);
		node_emit_path(node, peer, NODE_EVENT_PATH_UP, path);
		path_select(node, peer, now, CAUSE_NONE);
		run_suggestion(node, peer, path, now);
		waiting_release(node, peer, now); /* what exceeded E5's budget */
	}
}

enum { SUGGESTIONS_AT_ONCE = 16 };
#define SUGGESTION_PAUSE_US (30 * USEC_PER_SEC)

/*
 * Two NATs that give each destination another port and let everybody in: the question to each new address makes another
 * one at the other end, which asks in its turn, and so on for ever.
 */
static bool may_suggest(struct peer *peer, struct time_us now)
{
	struct time_us begun = peer->suggestions_until.us > now.us ? peer->suggestions_until : now;

	if (time_since(begun, now) >= SUGGESTIONS_AT_ONCE * SUGGESTION_PAUSE_US)
		return false;
	peer->suggestions_until = time_add(begun, SUGGESTION_PAUSE_US);
	return true;
}

/*
 * E1 and E2: an unknown address is probed, and so is the one in use. Nothing is switched here. If it was a NAT that
 * rebound, data sent the old way is lost: until one of the two answers as much as came from the new address goes there
 * as well, which is no more than one who forwards could have thrown away himself.
 */
static void suggest(struct node *node, struct peer *peer, struct time_us now, const struct route *arrived, size_t bytes)
{
	struct route route = *arrived;
	struct path *path;

	route.ifindex = node_ifindex_of(node, &route.local.ip, route.ifindex);
	path = path_add(node, peer, now, PATH_DIRECT, &route);
	if (!path)
		return;
	path->is_suggested = path->was_heard = true; /* and asked in this instant: E6 */
	path->credit = bytes;
	path->next_challenge = TIME_NEVER;
	path_challenge(node, peer, path, now);
	path->probes_left = 0; /* asked again only when more has come from there: E5 */
	if (peer->active < 0)
		return;
	path_challenge(node, peer, &peer->awake->paths[peer->active], now);
	if (peer->second >= 0 || peer->awake->moving.active || !peer->awake->paths[peer->active].challenge_open)
		return;
	peer->second = (int)(path - peer->awake->paths);
	peer->second_is_new = false;
	mirror(node, peer, path, now, &path->credit);
}

/* The peer may have bound its relay leg anew only after our doubt: what went there before is sent once more. */
static void confirm_second(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	if (peer->second != (int)(path - peer->awake->paths) || !peer->second_is_new)
		return;
	peer->second_is_new = false;
	move_replay(node, peer, now, path, time_add(now, -REPLAY_SPAN_MAX_US), true);
}

/* The peer has found a way that works while we doubt ours: what we hope for is left for what is known. */
static void follow_doubting_peer(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	const struct path *second = peer->second >= 0 ? &peer->awake->paths[peer->second] : NULL;

	if (active && active->doubtful && path != active && path->valid && !peer->awake->moving.active &&
	    (!second || time_since(active->doubtful_since, second->heard) > 0))
		path_overlap(node, peer, path, now);
}

/* Once per datagram or train. */
void path_heard(struct node *node, struct peer *peer, struct time_us now, const struct route *route, size_t bytes,
		bool highest)
{
	struct path *path = path_find(peer, route);

	if (!path) {
		if (punch_hit(node, peer, now, route))
			return;
		if (highest && !peer_is_relay(peer, &route->remote) && !relay_is_listed(node, &route->remote) &&
		    may_suggest(peer, now))
			suggest(node, peer, now, route, bytes);
		return;
	}
	path->heard = now;
	if (peer->awake->moving.active)
		move_heard(node, peer, now, path);
	follow_doubting_peer(node, peer, path, now);
	confirm_second(node, peer, path, now);
	if (path->is_suggested || !path->valid)
		path->credit += bytes;
	if (path->is_suggested)
		mirror(node, peer, path, now, &path->credit);
	if (path->valid)
		return;
	if (!path->was_heard)
		path->challenge_at =
			(struct time_us){0}; /* what was sent before met a closed NAT: ask at once, this once */
	path->was_heard = true;
	path_challenge(node, peer, path, now);
}

static struct challenge *find_challenge(struct path *path, const uint8_t bytes[CHALLENGE_SIZE])
{
	for (int i = 0; i < CHALLENGES_OPEN_MAX; i++)
		if (path->challenges[i].open && equal_secret(path->challenges[i].bytes, bytes, CHALLENGE_SIZE))
			return &path->challenges[i];
	return NULL;
}

/*
 * An answer that comes by another way was asked for by somebody who carried the challenge. It still tells that the peer
 * lives, which is all that a valid path has to show (E3: a forwarder is faster than the challenge itself, and the
 * answer goes to him). But RFC 9000 8.2.3 would also make a path valid by it that swallows everything.
 */
void path_answered(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
		   const uint8_t challenge[CHALLENGE_SIZE])
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];
		struct challenge *asked = path->used ? find_challenge(path, challenge) : NULL;

		if (!asked || !(path->valid || ip_equal(&path->route.remote.ip, &route->remote.ip)))
			continue;
		asked->open = false;
		path->challenges_rx++;
		path->loss_permille = (uint16_t)(path->loss_permille * 7 / 8);
		node->counters.challenges_rx++;
		path_set_valid(node, peer, path, now, time_since(now, asked->at));
		mtu_answered(node, peer, path, now, asked);
		relay_validated(node, peer, now, path);
		path_select(node, peer, now, CAUSE_NONE);
		return;
	}
}

static const struct challenge *last_challenge(const struct path *path)
{
	return &path->challenges[(path->challenges_tx + CHALLENGES_OPEN_MAX - 1) % CHALLENGES_OPEN_MAX];
}

/* As large as an inner packet of that size would make it. */
static void pad_challenge(struct writer *w, uint16_t size)
{
	size_t begun;

	if (size < w->at + 3 || size > CHALLENGE_DATAGRAM_MAX)
		return;
	begun = field_begin(w, FIELD_PAD);
	write_zeros(w, size - w->at);
	field_end(w, begun);
}

/* E6: an address is asked once in a while. */
static struct time_us earliest_challenge(const struct path *path, struct time_us now)
{
	if (path->challenge_at.us > 0 && time_since(now, path->challenge_at) < CHALLENGE_INTERVAL_US)
		return time_add(path->challenge_at, CHALLENGE_INTERVAL_US);
	return now;
}

/* Overwrites the oldest: a fixed number is open per path (T24). */
void path_challenge(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	uint8_t plaintext[CHALLENGE_DATAGRAM_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct challenge *slot = &path->challenges[path->challenges_tx % CHALLENGES_OPEN_MAX];
	struct path_challenge message;
	size_t size;

	if (!peer->session || !time_reached(now, earliest_challenge(path, now)))
		return;
	if (path->challenge_open) {
		path->unanswered++;
		path->large_lost += path->large_lost < UINT8_MAX && last_challenge(path)->proves > 0;
	}
	if (slot->open && path->valid) /* what is merely on its way, or knocked at a closed NAT, is not lost */
		path->loss_permille = (uint16_t)(path->loss_permille * 7 / 8 + 125);
	random_fill(&node->env.random, slot->bytes, CHALLENGE_SIZE);
	memcpy(message.challenge, slot->bytes, CHALLENGE_SIZE);
	message_header_encode(MESSAGE_PATH_CHALLENGE, ++node->transaction, &w);
	path_challenge_encode(&message, &w);
	slot->proves = mtu_next_size(path, now);
	pad_challenge(&w, slot->proves);
	if (writer_finish(&w, &size) != OK || !peer_send(node, peer, now, &path->route, (struct blob){plaintext, size}))
		return;
	path->credit -= path->credit < size + OVERHEAD_SIZE ? path->credit : size + OVERHEAD_SIZE;
	slot->open = path->challenge_open = true;
	slot->at = path->challenge_at = now;
	path->challenges_tx++;
	node->counters.challenges_tx++;
	path->next_challenge =
		time_add(now, path->rtt_us > CHALLENGE_INTERVAL_US ? path->rtt_us * 5 / 4 : CHALLENGE_INTERVAL_US);
	peer_plan(node, peer, path->next_challenge);
}

/* Contract in the header. */
void path_question(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	path->valid = path->awaiting = path->doubtful = false;
	path->probes_left = PROBES_PER_CANDIDATE;
	path->next_challenge = earliest_challenge(path, now); /* a probe that is held back would count as sent */
	peer_plan(node, peer, path->next_challenge);
	node_emit_path(node, peer, NODE_EVENT_PATH_DOWN, path);
}

/* What was proved long ago from the same address may have died of the same cause: asked before it carries data. */
static void question_siblings(struct node *node, struct peer *peer, const struct path *dead, struct time_us now)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used || path == dead || path->kind == PATH_RELAY || !path->valid ||
		    !ip_equal(&path->route.local.ip, &dead->route.local.ip) ||
		    time_since(now, path->proved) < 2 * path_silence_us(dead))
			continue;
		path_question(node, peer, path, now);
	}
}

/* Less and less: the probes end. Another path takes over if there is one. */
void path_give_up(struct node *node, struct peer *peer, struct path *path, struct time_us now, enum path_cause cause)
{
	path->unanswered = 0;
	path->challenge_open = false;
	path_question(node, peer, path, now);
	question_siblings(node, peer, path, now);
	path_select(node, peer, now, cause);
}

/* A challenge is due: keep-alive, liveness or probing. */
static void run_challenge(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	if (path->valid && path->challenge_open && path->unanswered + 1 >= UNANSWERED_MAX) {
		path_give_up(node, peer, path, now, CAUSE_DIED);
		return;
	}
	if (!path->valid) {
		if (path->probes_left == 0) {
			path->next_challenge = TIME_NEVER;
			path_select(node, peer, now,
				    CAUSE_DIED); /* if data took it on trust, it takes another way now */
			return;
		}
		path->probes_left--;
	}
	path->next_challenge = TIME_NEVER;
	path_challenge(node, peer, path, now);
	if (path->next_challenge.us == TIME_NEVER.us) /* too early for this address, or nothing could be sent */
		path->next_challenge = time_add(now, CHALLENGE_INTERVAL_US);
}

/* Keep-alive, liveness, probing. */
void path_run(struct node *node, struct peer *peer, struct time_us now)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used || !peer->session)
			continue;
		run_suggestion(node, peer, path, now);
		if (time_reached(now, path->next_challenge))
			run_challenge(node, peer, path, now);
		if (path->used)
			peer_plan(node, peer, path->next_challenge);
	}
}
