/* Inner packets of peers that have no way for data yet: held until there is one, the first of them sent ahead. */
#include <string.h>

#include "proto/node/machine.h"

#define WAITING_PATIENCE_US (5 * USEC_PER_SEC)

/* The oldest gives way. */
void waiting_hold(struct node *node, struct time_us now, const struct packet *packet)
{
	struct waiting *slot = &node->waiting[0];

	if (packet->gso != PACKET_GSO_NONE || packet->size > WAITING_PACKET_MAX) {
		node->counters.dropped_no_path++;
		return;
	}
	for (int i = 0; i < WAITING_MAX; i++) {
		if (!node->waiting[i].used) {
			slot = &node->waiting[i];
			break;
		}
		if (node->waiting[i].at.us < slot->at.us)
			slot = &node->waiting[i];
	}
	node->counters.dropped_queue_full += slot->used;
	slot->used = true;
	slot->at = now;
	slot->size = (uint16_t)packet->size;
	slot->checksum_partial = packet->checksum_partial;
	slot->lane = (uint8_t)node->outbox.current;
	memcpy(slot->bytes + PACKET_ROOM, packet->bytes, packet->size);
}

static bool is_for(const struct waiting *slot, const struct ip *destination)
{
	struct inner inner;

	return slot->used && inner_parse(slot->bytes + PACKET_ROOM, slot->size, &inner) == OK &&
	       inner.version == destination->family && memcmp(inner.dst, destination->bytes, ip_size(destination)) == 0;
}

static bool is_for_peer(struct node *node, const struct waiting *slot, const struct peer *peer)
{
	struct inner inner;

	if (is_for(slot, &peer->v4) || is_for(slot, &peer->v6))
		return true;
	return slot->used && inner_parse(slot->bytes + PACKET_ROOM, slot->size, &inner) == OK &&
	       general_takes(node, &inner) && peer == exits_peer_for(node, &inner);
}

static bool may_go(struct peer *peer, const struct waiting *slot)
{
	const size_t *budget = peer->active >= 0 ? path_budget(peer, &peer->awake->paths[peer->active]) : NULL;

	return peer_has_path(peer) && (!budget || *budget >= slot->size);
}

/* In the order in which they were held, near enough: slots are filled from the first. */
void waiting_release(struct node *node, struct peer *peer, struct time_us now)
{
	unsigned lane = node->outbox.current;

	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *slot = &node->waiting[i];
		struct packet packet;

		if (!is_for_peer(node, slot, peer) || !may_go(peer, slot))
			continue;
		slot->used = false;
		if (time_since(now, slot->at) > WAITING_PATIENCE_US)
			continue;
		packet = (struct packet){.bytes = slot->bytes + PACKET_ROOM,
					 .size = slot->size,
					 .checksum_partial = slot->checksum_partial};
		outbox_use(&node->outbox, slot->lane);
		outbound_packet(node, now, &packet);
		outbox_use(&node->outbox, lane);
	}
}

/* Whoever takes it out of turn completes it: nothing travels partial but under its own seal. */
struct blob waiting_first(struct node *node, const struct peer *peer, size_t max)
{
	struct waiting *first = NULL;
	struct inner inner;

	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *slot = &node->waiting[i];

		if (is_for_peer(node, slot, peer) && (!first || slot->at.us < first->at.us))
			first = slot;
	}
	if (!first || first->size > max || inner_parse(first->bytes + PACKET_ROOM, first->size, &inner) != OK)
		return (struct blob){0};
	if (first->checksum_partial)
		inner_complete_checksum(first->bytes + PACKET_ROOM, &inner);
	first->checksum_partial = false;
	return (struct blob){first->bytes + PACKET_ROOM, first->size};
}

/* Has it been taken by somebody else meanwhile? Then nothing is forgotten. */
void waiting_forget(struct node *node, const uint8_t *bytes, size_t size)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *slot = &node->waiting[i];

		if (slot->used && slot->size == size && memcmp(slot->bytes + PACKET_ROOM, bytes, size) == 0) {
			slot->used = false;
			return;
		}
	}
}

/* Programs learn at once that there is nobody, instead of waiting for their own patience to end. */
void waiting_refuse(struct node *node, const struct ip *destination)
{
	uint8_t answer[INNER_ICMP_MAX];

	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *slot = &node->waiting[i];
		size_t size;

		if (destination->family == 0 || !is_for(slot, destination))
			continue;
		slot->used = false;
		size = inner_icmp_error(slot->bytes + PACKET_ROOM, slot->size, 0, answer);
		if (size > 0)
			inbound_local(node, answer, size);
	}
}
