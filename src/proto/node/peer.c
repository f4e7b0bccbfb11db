#include "proto/node/peer.h"

#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"

#define LOST_RETRY_US (500 * USEC_PER_MSEC)
#define LOST_DIRECTION_US (1 * USEC_PER_SEC)	/* before the coordinator is asked, and between two times */
#define LOST_CONTACT_US (2 * USEC_PER_SEC)	/* before a contact that leads nowhere is given up for another one */
#define LOST_UNREACHABLE_US (10 * USEC_PER_SEC) /* before people are told */
#define REST_AFTER_US (10 * USEC_PER_SEC)	/* without inner packets */
#define LOST_PATIENCE_US (30 * USEC_PER_SEC)	/* after the last inner packet */

/* Look-up keys: IPv4 as a number; NodeID and IPv6 through a keyed hash, because their owners choose them. */
static uint64_t key_v4(const uint8_t *address)
{
	return (uint64_t)address[0] << 24 | (uint64_t)address[1] << 16 | (uint64_t)address[2] << 8 | address[3];
}

static uint64_t key_hashed(const struct node *node, const void *bytes, size_t size)
{
	return siphash(node->v6_seed, bytes, size);
}

/* Verified after the look-up: a hash is a hint. */
struct peer *peer_by_id(struct node *node, const struct node_id *id)
{
	struct peer *peer = map_get(&node->by_id, key_hashed(node, id, sizeof *id));

	return peer && node_id_equal(&peer->id, id) ? peer : NULL;
}

/* The packet path's look-up. */
struct peer *peer_by_inner(struct node *node, uint8_t version, const uint8_t *address)
{
	struct peer *peer;

	if (version == 4)
		return map_get(&node->by_v4, key_v4(address));
	peer = map_get(&node->by_v6, key_hashed(node, address, 16));
	return peer && memcmp(peer->v6.bytes, address, 16) == 0 ? peer : NULL;
}

/* For people; linear. */
struct peer *peer_by_name(struct node *node, const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; i < node->roster.count; i++) {
		const char *fqdn = node->roster.all[i]->identity->text;

		if (strncmp(fqdn, name, size) == 0 && (fqdn[size] == '\0' || (fqdn[size] == '.' && !strchr(name, '.'))))
			return node->roster.all[i];
	}
	return NULL;
}

/* The longest silent peer without traffic in the last minute. */
static struct peer *find_evictable(struct node *node)
{
	struct peer *oldest = NULL;

	for (size_t i = 0; i < node->roster.count; i++) {
		struct peer *peer = node->roster.all[i];

		if (time_since(node->now, peer->last_data) > 60 * USEC_PER_SEC &&
		    (!oldest || peer->last_data.us < oldest->last_data.us))
			oldest = peer;
	}
	return oldest;
}

static void index_peer(struct node *node, struct peer *peer)
{
	map_insert(&node->by_id, key_hashed(node, &peer->id, sizeof peer->id), peer);
	if (peer->v4.family)
		map_insert(&node->by_v4, key_v4(peer->v4.bytes), peer);
	if (peer->v6.family)
		map_insert(&node->by_v6, key_hashed(node, peer->v6.bytes, 16), peer);
}

static void unindex_peer(struct node *node, struct peer *peer)
{
	map_remove(&node->by_id, key_hashed(node, &peer->id, sizeof peer->id));
	if (peer->v4.family)
		map_remove(&node->by_v4, key_v4(peer->v4.bytes));
	if (peer->v6.family)
		map_remove(&node->by_v6, key_hashed(node, peer->v6.bytes, 16));
}

static struct peer *create(struct node *node)
{
	struct peer *peer;

	if (node->roster.count == NODE_PEERS_MAX) {
		struct peer *victim = find_evictable(node);

		if (!victim)
			return NULL;
		peer_destroy(node, victim);
	}
	peer = mem_alloc(1, sizeof *peer);
	*peer = (struct peer){
		.active = -1,
		.second = -1,
		.last_data = node->now,
		.state = NODE_PEER_IDLE,
	};
	roster_add(&node->roster, peer);
	return peer;
}

/* Addresses follow the newest lease. */
struct peer *peer_obtain(struct node *node, const struct certificate *certificate, const struct lease *lease)
{
	struct peer *peer = peer_by_id(node, &certificate->id);

	if (peer)
		unindex_peer(node, peer);
	else
		peer = create(node);
	if (!peer)
		return NULL;
	peer->id = certificate->id;
	mem_free(peer->identity);
	peer->identity = peer_identity_create(certificate);
	peer->v4 = lease->v4;
	peer->v6 = lease->v6;
	index_peer(node, peer);
	peer_wake(node, peer);
	peer_identity_fill(peer, &peer->awake->certificate);
	return peer;
}

/* Keys are wiped with the sessions. */
void peer_destroy(struct node *node, struct peer *peer)
{
	roster_remove(&node->roster, peer);
	unindex_peer(node, peer);
	punch_forget(node, peer);
	contact_stop(node, peer);
	peer_forget_awake(node, peer);
	mem_free(peer->kept);
	mem_free(peer->identity);
	mem_free(peer->last_handover);
	if (peer->session)
		map_remove(&node->by_path_id, session_path_id(peer->session));
	session_destroy(peer->session);
	peer_forget_requests(peer);
	wipe(peer, sizeof *peer);
	mem_free(peer);
}

/* The only writer of peer->state. */
void peer_set_state(struct node *node, struct peer *peer, struct time_us now, enum node_peer_state state,
		    uint8_t reason)
{
	enum node_peer_state old = peer->state;

	(void)now;
	peer->state = state;
	peer->last_reason = reason;
	if (state == old)
		return;
	if (state == NODE_PEER_UP)
		node_emit_peer(node, peer, NODE_EVENT_PEER_UP);
	else if (old == NODE_PEER_UP)
		node_emit_peer(node, peer, NODE_EVENT_PEER_DOWN);
}

/* Deadlines only come nearer here; peer_run makes them anew. */
void peer_plan(struct node *node, struct peer *peer, struct time_us at)
{
	roster_plan(&node->roster, peer, at);
	node_plan(node, at);
}

/* With a session and something to send on. */
bool peer_has_path(const struct peer *peer)
{
	return peer->session && peer->active >= 0;
}

static bool send_over(struct node *node, struct peer *peer, struct time_us now, const struct path *path,
		      const struct route *route, struct blob plaintext)
{
	uint8_t number = path_number(path				   ? path->kind
				     : peer_is_relay(peer, &route->remote) ? PATH_RELAY
									   : PATH_DIRECT);
	uint8_t *room = outbox_reserve(&node->outbox, now, plaintext.size + OVERHEAD_SIZE, NULL, 0);

	if (!room || session_seal(peer->session, number, SEALED_CONTROL, plaintext.data, plaintext.size, room) != OK)
		return false;
	outbox_commit(&node->outbox, now, route, 1, NULL, 0);
	return true;
}

/* During a move control messages take every way that data takes. */
bool peer_send(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
	       struct blob plaintext)
{
	bool sent = false;

	if (!peer->session)
		return false;
	if (route)
		return send_over(node, peer, now, path_find(peer, route), route, plaintext);
	if (peer->active >= 0)
		sent = send_over(node, peer, now, &peer->awake->paths[peer->active],
				 &peer->awake->paths[peer->active].route, plaintext);
	if (peer->second >= 0)
		sent |= send_over(node, peer, now, &peer->awake->paths[peer->second],
				  &peer->awake->paths[peer->second].route, plaintext);
	return sent;
}

static int64_t request_interval_us(const struct peer *peer)
{
	int64_t rtt_us = peer->active >= 0 ? peer->awake->paths[peer->active].rtt_us : -1;

	return rtt_us > REQUEST_RETRY_US * 2 / 3 ? rtt_us * 3 / 2 : REQUEST_RETRY_US;
}

/* A full table drops the request: the ones in it are of the same urgency, and all are repeated by their causes. */
void peer_request(struct node *node, struct peer *peer, struct time_us now, uint8_t type, uint32_t transaction,
		  struct blob plaintext)
{
	if (!peer->requests)
		peer->requests = mem_alloc(1, sizeof *peer->requests);
	if (request_add(peer->requests, type, transaction, plaintext, now, request_interval_us(peer), true) == OK)
		peer_plan(node, peer, now);
}

/* Also what an idle peer does not need. */
void peer_forget_requests(struct peer *peer)
{
	if (peer->requests)
		wipe(peer->requests, sizeof *peer->requests);
	mem_free(peer->requests);
	peer->requests = NULL;
}

static void run_requests(struct node *node, struct peer *peer, struct time_us now)
{
	const struct request *due;
	bool gave_up;

	while ((due = request_due(peer->requests, now, &gave_up)) || gave_up) {
		if (gave_up)
			peer->awake->rekeying.active = false;
		if (due)
			peer_send(node, peer, now, NULL, (struct blob){due->plaintext, due->size});
	}
	if (request_is_empty(peer->requests))
		peer_forget_requests(peer);
	peer_plan(node, peer, request_deadline(peer->requests));
}

/* A relay of two families is used over the one that we have. */
bool peer_relay_route(const struct node *node, struct leg *leg, struct route *ret)
{
	uint8_t other = leg_relay(leg)->ip.family == 4 ? 6 : 4;

	if (node_local_for(node, leg_relay(leg)->ip.family) < 0 && node_local_for(node, other) >= 0)
		leg_prefer_family(leg, other); /* with neither there is nothing to change to */
	return node_route_to(node, leg_relay(leg), ret);
}

static bool run_leg(struct node *node, struct leg *leg, struct time_us now)
{
	uint8_t bytes[LEG_DATAGRAM_MAX];
	struct route route;
	bool was_asked = false;
	size_t size;

	while (leg_output(leg, now, bytes, &size)) {
		was_asked |= bytes[0] == PACKET_RELAY_BIND;
		if (peer_relay_route(node, leg, &route))
			(void)outbox_put(&node->outbox, now, &route, bytes, size);
	}
	return was_asked;
}

/* Nothing is said, and there is a way that works without the relay. */
static bool relay_is_spare(const struct peer *peer, struct time_us now)
{
	const struct path *active = peer->awake && peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;

	return active && active->kind == PATH_DIRECT && active->valid && !active->doubtful && peer_is_idle(peer, now);
}

/* In front of the data that needs it. */
void peer_run_leg(struct node *node, struct peer *peer, struct time_us now)
{
	if (peer->has_relay) {
		peer->leg.is_spare = relay_is_spare(peer, now);
		if (run_leg(node, &peer->leg, now))
			relay_asked(peer, now);
		peer_plan(node, peer, leg_deadline(&peer->leg));
	}
	if (peer->awake && peer->awake->beside.used) {
		(void)run_leg(node, &peer->awake->beside.leg, now);
		peer_plan(node, peer, leg_deadline(&peer->awake->beside.leg));
	}
}

/* A new session begins with none; nothing is known of what has arrived. */
void peer_forget_paths(struct peer *peer)
{
	memset(peer->awake->paths, 0, sizeof peer->awake->paths);
	peer->active = peer->second = -1;
	peer->awake->moving.active = false;
	peer->held_until = (struct time_us){0};
	peer->awake->sending = (struct outbox_owner){0};
	peer->awake->receiving = (struct receiving){.due = TIME_NEVER, .quiet = TIME_NEVER};
	peer->rest = (struct rest){0};
}

/* The next packet asks for a new direction. */
void peer_end_session(struct node *node, struct peer *peer, struct time_us now, uint8_t reason)
{
	peer_wake(node, peer);
	if (peer->session)
		map_remove(&node->by_path_id, session_path_id(peer->session));
	session_destroy(peer->session);
	peer->session = NULL;
	punch_stop(node, peer);
	outbox_forget(&node->outbox, &peer->awake->sending);
	peer_forget_paths(peer);
	peer->has_relay = false;
	relay_forget_beside(peer);
	peer->last_direction = (struct time_us){0}; /* that question has had its answer, and its end */
	peer_set_state(node, peer, now, NODE_PEER_IDLE, reason);
}

static void run_keys(struct node *node, struct peer *peer, struct time_us now)
{
	uint8_t plaintext[CONTROL_MAX];
	struct time_us expires_at;
	int64_t valid_us;
	size_t size;

	if (!peer->session)
		return;
	valid_us = REJECT_AFTER_US + (rest_of_keys(node, peer, now) ? REST_KEYS_US : 0);
	expires_at = time_add(session_key_since(peer->session), valid_us); /* a rest that ended made them younger */
	if (time_reached(now, expires_at)) {
		peer_end_session(node, peer, now, REASON_NONE); /* keys too old to be used are no session */
		return;
	}
	session_forget_old(peer->session, now);
	peer_plan(node, peer, expires_at);
	if (!peer->rest.paths)
		peer_plan(node, peer, session_old_until(peer->session));
	if (peer->rest.keys)
		return;
	if (keys_begin(node, &peer->awake->rekeying, peer->session, peer->identity->static_key, now, plaintext, &size))
		peer_request(node, peer, now, MESSAGE_REKEY_REQUEST, node->transaction, (struct blob){plaintext, size});
	if (session_is_initiator(peer->session) && !peer->awake->rekeying.active) {
		bool is_idle = time_since(now, peer->last_data) > KEEPALIVE_US;

		peer_plan(node, peer,
			  time_later(now, time_add(session_key_since(peer->session),
						   is_idle ? REKEY_IDLE_US : REKEY_AFTER_US)));
	}
}

static bool has_valid_path(const struct peer *peer)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && peer->awake->paths[i].valid)
			return true;
	return false;
}

/*
 * No way is known to work, and somebody wants one: every known address is asked again, the relay too, and the
 * coordinator for a new direction.
 */
static void look_for_a_way(struct node *node, struct peer *peer, struct time_us now)
{
	peer->lost_next = time_add(now, LOST_RETRY_US);
	path_add_all(node, peer, now);
	if (peer->has_relay)
		leg_refresh(&peer->leg, now);
	link_ask(node, now);
	for (int f = 0; f < 2; f++)
		if (node->best_local[f] >= 0)
			node_suspect_local(node, now, &node->locals[node->best_local[f]].ip, peer->lost_since);
	if (time_since(now, peer->lost_since) < LOST_DIRECTION_US ||
	    (peer->awake->contact.used && time_since(now, peer->awake->contact.started) < LOST_CONTACT_US) ||
	    (peer->last_direction.us && time_since(now, peer->last_direction) < LOST_DIRECTION_US))
		return;
	peer->last_direction = now;
	link_request_direction(node, now, peer->identity->text, NULL);
}

static void run_lost(struct node *node, struct peer *peer, struct time_us now)
{
	if (!peer->session || has_valid_path(peer)) {
		peer->lost_since = (struct time_us){0};
		return;
	}
	if (peer->lost_since.us == 0) {
		peer->lost_since = now;
		peer->lost_next = time_add(now, LOST_RETRY_US);
	}
	if (time_since(now, peer->lost_since) >= LOST_UNREACHABLE_US)
		peer_set_state(node, peer, now, NODE_PEER_UNREACHABLE, REASON_NONE);
	if (time_since(now, peer->last_data) > LOST_PATIENCE_US)
		return; /* nobody needs it: the next packet begins again */
	if (time_reached(now, peer->lost_next))
		look_for_a_way(node, peer, now);
	peer_plan(node, peer, peer->lost_next);
}

/* Contract in the header. */
bool peer_is_idle(const struct peer *peer, struct time_us now)
{
	return time_since(now, peer->last_data) > REST_AFTER_US;
}

/* Makes the deadline anew from what is left to do. */
void peer_run(struct node *node, struct peer *peer, struct time_us now)
{
	if (peer_run_asleep(node, peer, now))
		return;
	run_keys(node, peer, now);
	peer_run_leg(node, peer, now);
	relay_run(node, peer, now);
	contact_run(node, peer, now);
	rest_run(node, peer, now);
	liveness_run(node, peer, now);
	path_run(node, peer, now);
	path_release(node, peer, now);
	run_lost(node, peer, now);
	punch_consider(node, peer, now);
	run_requests(node, peer, now);
	if (peer->session && peer_is_idle(peer, now)) {
		session_rest(peer->session);
		contact_forget_answer(peer);
	}
	peer_plan(node, peer, contact_deadline(peer));
	peer_sleep(node, peer);
}
