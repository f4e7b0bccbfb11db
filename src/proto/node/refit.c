/*
 * A train that the kernel refused for its size has gone nowhere: the interface became narrower, or what is brought back
 * after a move was sealed for a wider one. TCP does not mind where its bytes are cut, so they are opened again with our
 * own keys and go in smaller pieces at once, instead of after their sender's patience.
 */
#include "proto/node/machine.h"

enum { REFIT_MAX = 2048 };

/*
 * False for what is not TCP: where trains are not used, the shorter end of one may have passed, and only TCP does not
 * mind to have it twice. Nobody is told "too big" here: the next packet's sender is.
 */
static bool refit_one(struct node *node, struct peer *peer, struct time_us now, size_t mtu, struct blob sealed)
{
	uint8_t bytes[PACKET_ROOM + REFIT_MAX + PACKET_ROOM], *plaintext = bytes + PACKET_ROOM, flags;
	struct packet packet = {.bytes = plaintext, .checksum_partial = true};
	struct inner inner;
	size_t header;

	if (sealed.size > REFIT_MAX || sealed.size < OVERHEAD_SIZE ||
	    session_reopen(peer->session, sealed.data, sealed.size, plaintext, &flags) != OK ||
	    (flags & (SEALED_CONTROL | SEALED_PARTIAL)) != SEALED_PARTIAL ||
	    inner_parse(plaintext, sealed.size - OVERHEAD_SIZE, &inner) != OK || inner.protocol != PROTOCOL_TCP)
		return false;
	header = inner_header_size(&inner, plaintext);
	if (header == 0 || header >= mtu)
		return false;
	packet.size = inner.total_size;
	if (packet.size > mtu) {
		packet.gso = inner.version == 4 ? PACKET_GSO_TCP4 : PACKET_GSO_TCP6;
		packet.header_size = (uint16_t)header;
		packet.gso_size = (uint16_t)(mtu - header);
	}
	outbound_packet(node, now, &packet);
	return true;
}

/* Not when what would be sent now is no shorter: then nothing would ever end. */
void node_input_refit(struct node *node, struct time_us now, const struct datagram *refused)
{
	size_t step = refused->segment_size ? refused->segment_size : refused->size, mtu;
	struct reader r = reader_over(refused->bytes, refused->size);
	struct header header;
	struct peer *peer = header_decode(&r, &header) == OK && (header.type & PACKET_SEALED)
				    ? map_get(&node->by_path_id, header.path_id)
				    : NULL;

	node_enter(node, now);
	if (!peer || !peer->session || peer->active < 0)
		return;
	mtu = peer->paths[peer->active].mtu_proved;
	if (step <= OVERHEAD_SIZE + mtu)
		return;
	for (size_t at = 0; at < refused->size; at += step) {
		size_t left = refused->size - at;

		node->counters.refitted +=
			refit_one(node, peer, now, mtu, (struct blob){refused->bytes + at, left < step ? left : step});
	}
	outbox_forget_train(&node->outbox, refused->bytes);
}
