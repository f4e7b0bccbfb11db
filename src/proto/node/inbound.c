/* Datagrams on their way in: find whose they are, open into the join buffer, join. Cheapest checks first; a stranger's
 * packet is counted and gone. */
#include <string.h>

#include "proto/node/machine.h"

enum { CONTROL_PADDED_MAX = 2048 }; /* challenges are padded to the path's MTU */

/* What a train of datagrams told about its path: said once, after the last. */
struct heard {
	struct peer *peer; /* NULL: no data of anybody */
	bool highest;
	size_t bytes;
};

/* Inner source and destination must be exactly what peer and we hold (T12). */
static bool is_between_us(const struct node *node, const struct peer *peer, const struct inner *inner)
{
	if (inner->version == 4)
		return peer->v4.family && memcmp(inner->src, peer->v4.bytes, 4) == 0 &&
		       memcmp(inner->dst, node->lease.v4.bytes, 4) == 0;
	return peer->v6.family && memcmp(inner->src, peer->v6.bytes, 16) == 0 &&
	       memcmp(inner->dst, node->lease.v6.bytes, 16) == 0;
}

static bool is_allowed(struct node *node, struct peer *peer, const struct inner *inner)
{
	return is_between_us(node, peer, inner) || general_is_allowed(node, peer, inner);
}

static void accept(struct node *node, struct peer *peer, struct time_us now, const struct inner *inner, bool is_partial)
{
	peer->rx_packets++;
	peer->rx_bytes += inner->total_size;
	node->counters.rx_packets++;
	node->counters.rx_bytes += inner->total_size;
	general_heard(node, now, inner);
	join_accept(node->join, inner, is_partial);
	peer->last_data = now;
}

/* Where the way back takes less than the TUN, our end of a new TCP connection need not find that out. */
static void clamp(const struct peer *peer, uint8_t *bytes, const struct inner *inner, bool is_partial)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;

	if (active && active->mtu < PATH_MTU_MAX && inner->protocol == PROTOCOL_TCP)
		inner_clamp_mss(bytes, inner, active->mtu, is_partial);
}

static void count_failure(struct node *node, enum err err)
{
	if (err == ERR_REPLAY)
		node->counters.dropped_replay++;
	else if (err == ERR_AUTH)
		node->counters.dropped_auth++;
	else
		node->counters.dropped_malformed++;
}

/* An inner packet: opened where it will stay. */
static enum err open_data(struct node *node, struct peer *peer, struct time_us now, const uint8_t *bytes, size_t size,
			  struct opened *ret)
{
	uint8_t *place = join_place(node->join, size);
	struct inner inner;
	enum err err;

	if (!place) {
		node->counters.dropped_queue_full++;
		return ERR_FULL;
	}
	err = session_open(peer->session, bytes, size, place, ret);
	if (err != OK) {
		join_cancel(node->join);
		count_failure(node, err);
		return err;
	}
	peer_wake(node, peer);
	liveness_note(peer, ret->path, ret->counter, size);
	if (inner_parse(place, ret->size, &inner) != OK || ret->size - inner.total_size >= PAD_TO ||
	    !is_allowed(node, peer, &inner)) {
		join_cancel(node->join);
		node->counters.dropped_inner_source++;
		return OK; /* authentic all the same: it tells about the path */
	}
	clamp(peer, place, &inner, ret->flags & SEALED_PARTIAL);
	accept(node, peer, now, &inner, ret->flags & SEALED_PARTIAL);
	return OK;
}

/* Contract in machine.h. */
void inbound_early(struct node *node, struct peer *peer, struct time_us now, struct blob packet)
{
	uint8_t *place = packet.size > 0 ? join_place(node->join, packet.size) : NULL;
	struct inner inner;

	if (!place)
		return;
	memcpy(place, packet.data, packet.size);
	if (inner_parse(place, packet.size, &inner) == OK && inner.total_size == packet.size &&
	    is_allowed(node, peer, &inner)) {
		accept(node, peer, now, &inner, false);
		return;
	}
	join_cancel(node->join);
	node->counters.dropped_inner_source++;
}

/* A control message: rare, opened aside. The path is told first, so that an answer finds it. */
static enum err open_control(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			     const uint8_t *bytes, size_t size)
{
	uint8_t plaintext[CONTROL_PADDED_MAX];
	struct opened opened;
	enum err err =
		size > sizeof plaintext ? ERR_MALFORMED : session_open(peer->session, bytes, size, plaintext, &opened);

	if (err != OK) {
		count_failure(node, err);
		return err;
	}
	peer_wake(node, peer);
	path_heard(node, peer, now, route, size, opened.highest);
	if (peer_is_idle(peer, now))
		peer_plan(node, peer, now); /* its session goes to rest again */
	control_received(node, peer, now, route, plaintext, opened.size);
	return OK;
}

/* One sealed packet of a known PathID. */
static void receive_sealed(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			   const uint8_t *bytes, size_t size, struct heard *heard)
{
	struct opened opened;

	if (!peer->session) {
		node->counters.dropped_stranger += !contact_hold(peer, route, bytes, size);
		return;
	}
	if (bytes[0] & SEALED_CONTROL) {
		(void)open_control(node, peer, now, route, bytes, size);
		return;
	}
	if (open_data(node, peer, now, bytes, size, &opened) != OK)
		return;
	*heard = (struct heard){.peer = peer, .highest = opened.highest, .bytes = size};
}

/* A leg is bound to one address of ours: what leaves from the one before is no longer forwarded. */
static void drop_older_legs(struct node *node, struct peer *peer, struct time_us now, struct path *bound)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (!path->used || path->kind != PATH_RELAY || path == bound ||
		    strcmp(relay_name_at(peer, &path->route.remote), peer->relay_name) != 0)
			continue;
		if (peer->active == i)
			path_use(node, peer, now, bound, CAUSE_MOVED);
		path_drop(node, peer, path, now);
	}
}

static void receive_leg(struct node *node, struct peer *peer, struct time_us now, const struct route *arrived,
			const uint8_t *bytes, size_t size)
{
	struct contact *contact = peer->awake ? &peer->awake->contact : NULL;
	struct route route;
	struct path *path;

	if (contact && contact->used && contact->has_relay && leg_input(&contact->leg, now, bytes, size) == OK) {
		node_proved_on(node, now, &arrived->local.ip);
		peer_plan(node, peer, now);
		return;
	}
	if (relay_beside_received(node, peer, now, arrived, bytes, size))
		return;
	if (!peer->has_relay || leg_input(&peer->leg, now, bytes, size) != OK) {
		node->counters.dropped_stranger++;
		return;
	}
	relay_heard(node, peer);
	node_proved_on(node, now, &arrived->local.ip);
	peer_plan(node, peer, now);
	if (!leg_is_bound(&peer->leg) || !peer_relay_route(node, &peer->leg, &route))
		return;
	peer->leg_was_bound = true;
	leg_rest(&peer->leg, rhythm_bind(node, peer, now, &arrived->local.ip));
	if (!peer->awake)
		return;
	path = path_add(node, peer, now, PATH_RELAY, &route);
	if (!path)
		return;
	if (!path->valid && path->challenges_tx == 0) /* one that failed has to be answered by the peer itself */
		path_set_valid(node, peer, path, now, -1);
	drop_older_legs(node, peer, now, path);
}

/* By type. */
static void receive_one(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes,
			size_t size, struct heard *heard)
{
	struct reader r = reader_over(bytes, size);
	struct header header;
	struct peer *peer;

	if (header_decode(&r, &header) != OK) {
		node->counters.dropped_malformed++;
		return;
	}
	if (header.type == PACKET_RELAY_PROBED) {
		relay_rtt_received(node, now, bytes, size);
		return;
	}
	peer = map_get(&node->by_path_id, header.path_id);
	if (!peer) {
		if (!link_input(node, now, route, bytes, size))
			node->counters.dropped_stranger++;
		return;
	}
	if (header.type & PACKET_SEALED)
		receive_sealed(node, peer, now, route, bytes, size, heard);
	else if (header.type == PACKET_RELAY_CHALLENGE || header.type == PACKET_RELAY_BOUND)
		receive_leg(node, peer, now, route, bytes, size);
	else if (!peer->awake)
		node->counters.dropped_stranger++; /* there is no contact with it */
	else if (header.type == PACKET_TUNNEL_REQUEST)
		contact_request_received(node, peer, now, route, bytes, size);
	else if (header.type == PACKET_TUNNEL_RESPONSE)
		contact_response_received(node, peer, now, route, bytes, size);
	else if (header.type == PACKET_HOLE_PUNCHING) {
		if (!punch_knocked(node, peer, now, route, bytes, size))
			contact_probe_received(node, peer, now, route, bytes, size);
	} else
		node->counters.dropped_malformed++;
}

static void tell_heard(struct node *node, struct time_us now, const struct route *route, const struct heard *heard)
{
	if (!heard->peer)
		return;
	path_heard(node, heard->peer, now, route, heard->bytes, heard->highest);
	liveness_heard(node, heard->peer, now, route);
}

/* Contract in machine.h. */
void inbound_held(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct heard heard = {0};

	receive_one(node, now, route, bytes, size, &heard);
	tell_heard(node, now, route, &heard);
}

/* Segment by segment; what was heard is told when the peer changes and at the end. */
void inbound_datagram(struct node *node, struct time_us now, const struct datagram *datagram)
{
	size_t step = datagram->segment_size ? datagram->segment_size : datagram->size;
	struct heard heard = {0};

	for (size_t at = 0; at < datagram->size; at += step) {
		size_t size = datagram->size - at < step ? datagram->size - at : step;
		struct heard one = {0};

		receive_one(node, now, &datagram->route, datagram->bytes + at, size, &one);
		if (!one.peer)
			continue;
		if (heard.peer && heard.peer != one.peer) {
			tell_heard(node, now, &datagram->route, &heard);
			heard = (struct heard){0};
		}
		heard.peer = one.peer;
		heard.highest |= one.highest;
		heard.bytes += one.bytes;
	}
	tell_heard(node, now, &datagram->route, &heard);
}

/* Answers that the node itself gives to programs on this machine. */
void inbound_local(struct node *node, const uint8_t *bytes, size_t size)
{
	struct inner inner;
	uint8_t *place = join_place(node->join, size);

	if (!place)
		return;
	memcpy(place, bytes, size);
	if (inner_parse(place, size, &inner) == OK)
		join_accept(node->join, &inner, false);
	else
		join_cancel(node->join);
}
