/* Inner packets on their way out: find the peer, cut, seal into the outbox. The packet path: no allocation, no copy but
 * sealing. */
#include <string.h>

#include "proto/node/cut.h"
#include "proto/node/machine.h"

enum {
	DONT_FRAGMENT = 0x40,	 /* in the byte that has the flags */
	MORE_FRAGMENTS = 0x2000, /* in flags and offset together */
};
#define DIRECTION_AGAIN_US (1 * USEC_PER_SEC)

/* Source must be ours, so that nothing is carried for others (T12 on the way out). */
static bool is_own_source(const struct node *node, const struct inner *inner)
{
	if (inner->version == 4)
		return memcmp(inner->src, node->lease.v4.bytes, 4) == 0 && node->lease.v4.family;
	return memcmp(inner->src, node->lease.v6.bytes, 16) == 0 && node->lease.v6.family;
}

/* RFC 1191 and RFC 8201 in place of the router that the tunnel is. */
static void answer_too_big(struct node *node, const struct packet *packet, uint16_t mtu)
{
	uint8_t answer[INNER_ICMP_MAX];
	size_t size = inner_icmp_error(packet->bytes, packet->size, mtu, answer);

	if (size > 0)
		inbound_local(node, answer, size);
}

/* Rounded up, unless that would make the largest packets larger than the path takes. The buffer has room behind the
 * packet. */
static size_t pad(uint8_t *bytes, size_t size, size_t mtu)
{
	size_t padded = (size + PAD_TO - 1) & ~(size_t)(PAD_TO - 1);

	if (padded > mtu)
		return size;
	memset(bytes + size, 0, padded - size);
	return padded;
}

/* At most, with what each of its segments gets. */
static size_t sealed_size(const struct packet *packet)
{
	size_t segments = packet->gso == PACKET_GSO_NONE ? 1 : packet->size / packet->gso_size + 1;

	return packet->size + segments * (packet->header_size + PAD_TO + OVERHEAD_SIZE);
}

/* Where data goes now: nowhere while a move has left us without an address, or an upgrade holds it back; then it is
 * sealed and kept for the replay. */
static uint8_t get_routes(struct peer *peer, size_t bytes, struct route ret[OUTBOX_ROUTES])
{
	uint8_t count = 0;

	if (peer->held_until.us > 0)
		return 0;
	if (peer->active >= 0)
		ret[count++] = peer->awake->paths[peer->active].route;
	if (peer->second >= 0 && !peer->awake->paths[peer->second].is_suggested &&
	    path_may_send(peer, &peer->awake->paths[peer->second], bytes))
		ret[count++] = peer->awake->paths[peer->second].route;
	return count;
}

/* Seals one packet or all segments of a superpacket. path NULL: there is none at the moment. */
static void send_packet(struct node *node, struct peer *peer, struct time_us now, struct packet *packet,
			const struct inner *inner, struct path *path)
{
	struct route routes[OUTBOX_ROUTES];
	uint8_t route_count = get_routes(peer, sealed_size(packet), routes), flags;
	uint8_t number = path_number(path ? path->kind : PATH_DIRECT);
	size_t mtu = path ? path->mtu : PATH_MTU_MAX, size;
	uint64_t tag = peer->route_tag * (OUTBOX_ROUTES + 1) + route_count; /* a train has one set of routes */
	struct cut cut;
	uint8_t *segment;

	if (cut_begin(&cut, packet, inner) != OK) {
		node->counters.dropped_malformed++;
		return;
	}
	flags = cut.is_partial ? SEALED_PARTIAL : 0;
	while (cut_next(&cut, &segment, &size)) {
		size_t padded = packet->gso == PACKET_GSO_NONE ? pad(segment, size, mtu) : size;
		uint8_t *room = outbox_reserve(&node->outbox, now, padded + OVERHEAD_SIZE, &peer->awake->sending, tag);

		if (!room || session_seal(peer->session, number, flags, segment, padded, room) != OK) {
			node->counters.dropped_queue_full++;
			return;
		}
		outbox_commit(&node->outbox, now, routes, route_count, &peer->awake->sending, tag);
		peer->tx_packets++;
		peer->tx_bytes += size;
		node->counters.tx_packets++;
		node->counters.tx_bytes += size;
	}
	node->counters.tx_superpackets += packet->gso != PACKET_GSO_NONE;
	if (path)
		path_sent(node, peer, path, now);
}

/* RFC 791 3.2: for senders that did not forbid it. A slow path: what knows its MTU never comes here. */
static void send_fragments(struct node *node, struct peer *peer, struct time_us now, const struct packet *packet,
			   const struct inner *inner, struct path *path)
{
	uint8_t buffer[PACKET_ROOM + PATH_MTU_MAX + PACKET_ROOM], *bytes = buffer + PACKET_ROOM;
	size_t header = inner->network_size, payload = packet->size - header, step = (path->mtu - header) & ~(size_t)7;
	unsigned flags = (unsigned)packet->bytes[6] << 8 | packet->bytes[7];

	if (packet->checksum_partial)
		inner_complete_checksum(packet->bytes, inner);
	for (size_t at = 0; at < payload; at += step) {
		size_t size = payload - at < step ? payload - at : step;
		unsigned field = flags + (unsigned)(at / 8);
		struct packet piece = {.bytes = bytes, .size = header + size};
		struct inner parsed;

		if (at + size < payload)
			field |= MORE_FRAGMENTS;
		memcpy(bytes, packet->bytes, header);
		memcpy(bytes + header, packet->bytes + header + at, size);
		bytes[2] = (uint8_t)(piece.size >> 8);
		bytes[3] = (uint8_t)piece.size;
		bytes[6] = (uint8_t)(field >> 8);
		bytes[7] = (uint8_t)field;
		if (inner_parse(bytes, piece.size, &parsed) != OK)
			return;
		inner_fix_network_checksum(bytes, &parsed);
		send_packet(node, peer, now, &piece, &parsed, path);
	}
}

static size_t largest_piece(const struct packet *packet)
{
	return packet->gso == PACKET_GSO_NONE ? packet->size : (size_t)packet->header_size + packet->gso_size;
}

/*
 * TCP does not mind where its bytes are cut: where a path has not proved yet that large packets pass, or they do not,
 * they go as smaller ones, so that a narrower network costs the stream nothing (E7).
 */
static void shorten(const struct path *path, const struct inner *inner, struct packet *packet)
{
	size_t header = inner->protocol == PROTOCOL_TCP ? inner_header_size(inner, packet->bytes) : 0;

	if (header == 0 || !packet->checksum_partial || largest_piece(packet) <= path->mtu_proved)
		return;
	packet->gso = inner->version == 4 ? PACKET_GSO_TCP4 : PACKET_GSO_TCP6;
	packet->header_size = (uint16_t)header;
	packet->gso_size = (uint16_t)(path->mtu_proved - header);
}

/* Does every piece fit the path? Otherwise its sender is told, and sends smaller ones from now on. */
static bool fits(struct node *node, const struct path *path, const struct inner *inner, struct packet *packet)
{
	if (!path)
		return true;
	if (largest_piece(packet) > path->mtu)
		answer_too_big(node, packet, path->mtu);
	shorten(path, inner, packet);
	if (largest_piece(packet) <= path->mtu)
		return true;
	node->counters.dropped_too_big++;
	return false;
}

/* A tunnel is asked for by the destination's address; not more than once a second for the same. */
static void ask_direction(struct node *node, struct peer *peer, struct time_us now, const struct inner *inner)
{
	struct ip destination = ip_from_bytes(inner->version, inner->dst);

	if (peer && (peer->awake->contact.used ||
		     (peer->last_direction.us && time_since(now, peer->last_direction) < DIRECTION_AGAIN_US)))
		return;
	if (peer)
		peer->last_direction = now;
	link_request_direction(node, now, NULL, &destination);
}

/*
 * The peer finishes a checksum only where it finds it: of TCP or UDP right behind the IP header. What the kernel left
 * unfinished elsewhere (behind IPv6 extension headers, inside a tunnel of somebody else's) is finished here, as cut.c
 * does it for superpackets. False when it makes no sense.
 */
static bool settle_checksum(struct packet *packet, const struct inner *inner)
{
	size_t field = (size_t)packet->checksum_start + packet->checksum_offset;

	if (!packet->checksum_partial || packet->gso != PACKET_GSO_NONE || packet->checksum_start == 0)
		return true;
	if (packet->checksum_start == inner->network_size && inner_header_size(inner, packet->bytes) > 0 &&
	    packet->checksum_offset == inner_checksum_offset(inner->protocol))
		return true;
	if (field + 2 > packet->size)
		return false;
	inner_finish_checksum(packet->bytes, packet->size, packet->checksum_start, field);
	packet->checksum_partial = false;
	return true;
}

/* From the TUN device. */
void outbound_packet(struct node *node, struct time_us now, struct packet *packet)
{
	struct inner inner;
	struct peer *peer;
	struct path *path;
	bool is_general;

	if (inner_parse(packet->bytes, packet->size, &inner) != OK || inner.total_size != packet->size ||
	    !node->addressed || !(is_own_source(node, &inner) || general_may_send(node, &inner)) ||
	    !settle_checksum(packet, &inner)) {
		node->counters.dropped_malformed++;
		return;
	}
	is_general = general_takes(node, &inner);
	peer = is_general ? exits_peer_for(node, &inner) : peer_by_inner(node, inner.version, inner.dst);
	if (!peer || !(peer_has_path(peer) || (peer->session && peer->awake->moving.active))) {
		struct ip destination = ip_from_bytes(inner.version, inner.dst);

		if (!is_general && !node_is_virtual(node, &destination)) {
			node->counters.dropped_no_peer++;
			return;
		}
		waiting_hold(node, now, packet);
		if (is_general)
			exits_ask(node, now, &inner);
		else
			ask_direction(node, peer, now, &inner);
		if (peer)
			contact_data_waits(node, peer, now);
		return;
	}
	if (peer->rest.keys)
		rest_end(node, peer, now);
	path = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	peer->last_data = now;
	if (path && !path_may_send(peer, path, sealed_size(packet))) {
		path_select(node, peer, now, CAUSE_NONE); /* a valid one if there is any */
		path = &peer->awake->paths[peer->active];
		if (!path->valid) {
			waiting_hold(node, now, packet); /* goes out as soon as one is valid */
			return;
		}
	}
	if (path && packet->size > path->mtu && packet->gso == PACKET_GSO_NONE && inner.version == 4 &&
	    !(packet->bytes[6] & DONT_FRAGMENT))
		send_fragments(node, peer, now, packet, &inner, path);
	else if (fits(node, path, &inner, packet))
		send_packet(node, peer, now, packet, &inner, path);
}
