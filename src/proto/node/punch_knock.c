/* Knocking: small authenticated datagrams to ports of one address, until one of them is heard. */
#include <string.h>

#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"

enum {
	KNOCK_ROUNDS = 3,
	GUESSES_AT_ONCE = 4,
	OPENINGS_AT_ONCE = 16,
};
#define KNOCK_INTERVAL_US (32 * USEC_PER_MSEC) /* 125 guesses a second */
#define ROUND_INTERVAL_US (200 * USEC_PER_MSEC)
#define ROUNDS_LIMIT_US (3 * USEC_PER_SEC)
#define PUNCH_LIMIT_US (10 * USEC_PER_SEC)
#define HIT_PATIENCE_US (1 * USEC_PER_SEC) /* what was heard gets the time to be validated */
#define SETTLING_US (1 * USEC_PER_SEC)	   /* the peer may have validated another one first */

static bool is_pair(const struct punch *p, enum mapping_kind own, enum mapping_kind theirs)
{
	return p->own.kind == own && p->theirs.kind == theirs;
}

/* Our steady port against theirs, which may be any. */
static bool is_guesser(const struct punch *p)
{
	return is_pair(p, MAPPING_STEADY, MAPPING_RANDOM);
}

static bool is_opener(const struct punch *p)
{
	return is_pair(p, MAPPING_RANDOM, MAPPING_STEADY);
}

static uint32_t knocks_of(const struct punch *p)
{
	uint32_t most = p->own.port_count > p->theirs.port_count ? p->own.port_count : p->theirs.port_count;

	if (is_guesser(p))
		return PUNCH_GUESSES_MAX;
	return is_opener(p) ? PUNCH_SOCKETS_MAX : KNOCK_ROUNDS * most;
}

/* With random ports at one end and anything but one steady port at the other, chances are one in hundreds. */
static bool is_hopeless(const struct punch *p)
{
	return (p->own.kind == MAPPING_RANDOM && p->theirs.kind != MAPPING_STEADY) ||
	       (p->theirs.kind == MAPPING_RANDOM && p->own.kind != MAPPING_STEADY);
}

/* Both ends know of each other now. */
void knock_begin(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;
	uint32_t random[2];

	if (p->own.kind == MAPPING_UNKNOWN || p->theirs.kind == MAPPING_UNKNOWN) {
		punch_end(node, now, PUNCH_STATE_BLIND);
		return;
	}
	if (is_hopeless(p)) {
		punch_end(node, now, PUNCH_STATE_HOPELESS);
		return;
	}
	random_fill(&node->env.random, random, sizeof random);
	p->draw = port_draw_make(random[0], random[1]);
	p->total = knocks_of(p);
	p->wanted = is_opener(p) ? (uint16_t)(PUNCH_SOCKETS_MAX - p->socket_count) : 0;
	p->is_opening = p->wanted > 0;
	p->stage = PUNCH_KNOCKING;
	p->started = p->next = now;
	node_plan(node, now);
}

/* From which of our ports the knock goes, and to which of theirs. */
static void aim(const struct node *node, uint32_t index, uint16_t *ret_local, uint16_t *ret_remote)
{
	const struct punch *p = &node->punch;
	uint32_t own = p->own.port_count ? index % p->own.port_count : index;

	*ret_local = node->listen_port;
	if (p->own.kind == MAPPING_GUESSABLE)
		*ret_local = p->sockets[PUNCH_MEASURES + own];
	if (p->own.kind == MAPPING_RANDOM)
		*ret_local = p->sockets[index];
	*ret_remote = p->theirs.kind == MAPPING_RANDOM ? port_draw_at(p->draw, index)
						       : p->theirs.ports[index % p->theirs.port_count];
}

static void knock(struct node *node, struct time_us now, uint32_t index)
{
	struct punch *p = &node->punch;
	const struct node_local *local = &node->locals[node->best_local[0]];
	struct route route = {.local.ip = local->ip, .ifindex = local->ifindex, .remote.ip = p->target};
	struct hole_punching probe = {.path_id = session_path_id(p->peer->session), .counter = ++p->number};
	uint8_t bytes[HOLE_PUNCHING_SIZE];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size;

	aim(node, index, &route.local.port, &route.remote.port);
	random_fill(&node->env.random, probe.nonce, sizeof probe.nonce);
	hole_punching_encode(&probe, &w);
	if (writer_finish(&w, &size) != OK)
		return;
	mac(p->key_out, bytes, HOLE_PUNCHING_SIZE - MAC_SIZE, bytes + HOLE_PUNCHING_SIZE - MAC_SIZE);
	if (!outbox_put(&node->outbox, now, &route, bytes, size))
		return;
	node->counters.knocks_tx++;
	p->peer->punch.status.knocks++;
}

/* Our own port first means that their knocks find it open: all at once, but slowly where there are many. */
static void knock_some(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;
	uint32_t some = p->total / KNOCK_ROUNDS;

	if (is_guesser(p))
		some = GUESSES_AT_ONCE;
	if (is_opener(p))
		some = OPENINGS_AT_ONCE;
	for (uint32_t i = 0; i < some && p->sent < p->total && (!is_opener(p) || p->sent < p->socket_count); i++)
		knock(node, now, p->sent++);
	p->next = time_add(now, is_guesser(p) || is_opener(p) ? KNOCK_INTERVAL_US : ROUND_INTERVAL_US);
}

static bool has_direct(const struct peer *peer)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && peer->awake->paths[i].valid &&
		    peer->awake->paths[i].kind == PATH_DIRECT)
			return true;
	return false;
}

/* While something that was heard is being validated, nothing else is sent. */
void knock_run(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;
	struct time_us limit = time_add(p->started, is_guesser(p) || is_opener(p) ? PUNCH_LIMIT_US : ROUNDS_LIMIT_US);

	if (p->stage == PUNCH_SETTLING) {
		if (time_reached(now, p->next))
			punch_end(node, now, has_direct(p->peer) ? PUNCH_STATE_FOUND : PUNCH_STATE_FAILED);
		return;
	}
	if (has_direct(p->peer)) {
		p->stage = PUNCH_SETTLING;
		p->next = time_add(now, SETTLING_US);
		return;
	}
	if (time_reached(now, limit)) {
		punch_end(node, now, PUNCH_STATE_FAILED);
		return;
	}
	if (time_reached(now, p->next) && p->sent < p->total)
		knock_some(node, now);
	if (p->sent >= p->total || !time_reached(limit, p->next))
		p->next = limit;
}

/* It becomes a path when it answers a challenge, as any other address. */
static void add_hit(struct node *node, struct peer *peer, struct time_us now, const struct route *route)
{
	struct punch *p = &node->punch;

	if (p->hits >= PUNCH_HITS_MAX || !path_add(node, peer, now, PATH_DIRECT, route))
		return;
	p->hits++;
	p->hit_at = now;
	if (p->stage == PUNCH_KNOCKING)
		p->next = time_add(now, HIT_PATIENCE_US);
}

static bool is_expected(const struct node *node, const struct peer *peer, const struct route *route)
{
	const struct punch *p = &node->punch;

	return p->peer == peer && p->stage >= PUNCH_WAITING && ip_equal(&route->remote.ip, &p->target);
}

/* Sealed: the peer itself has chosen this way, so it is tried whatever else is. */
bool punch_hit(struct node *node, struct peer *peer, struct time_us now, const struct route *route)
{
	if (!is_expected(node, peer, route))
		return false;
	add_hit(node, peer, now, route);
	return true;
}

/* One after the other: many of the peer's knocks may be heard in the same instant. */
bool punch_knocked(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
		   const uint8_t *bytes, size_t size)
{
	struct punch *p = &node->punch;
	struct reader r = reader_over(bytes, size);
	struct hole_punching probe;
	uint8_t expected[MAC_SIZE];

	if (p->peer != peer || !peer->session || size != HOLE_PUNCHING_SIZE || hole_punching_decode(&r, &probe) != OK ||
	    probe.path_id != session_path_id(peer->session))
		return false;
	mac(p->key_in, bytes, HOLE_PUNCHING_SIZE - MAC_SIZE, expected);
	if (!equal_secret(expected, probe.mac, MAC_SIZE) || !is_expected(node, peer, route)) {
		node->counters.dropped_stranger++;
		return true;
	}
	if (!path_find(peer, route) && !has_direct(peer) &&
	    (p->hits == 0 || time_since(now, p->hit_at) >= HIT_PATIENCE_US))
		add_hit(node, peer, now, route);
	return true;
}
