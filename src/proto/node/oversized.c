/*
 * A train that the kernel refused for its size has gone nowhere: the interface became narrower, or what is brought back
 * after a move was sealed for a wider one. Its sender is told at once, not by its next packet, which may be waiting for
 * the acknowledgement of these: Linux's TCP then sends all that was too large again, in smaller pieces.
 */
#include "proto/node/machine.h"

enum { OVERSIZED_MAX = 2048 };

/* Of its first packet; the others are of the same stream but for chance. */
void node_input_oversized(struct node *node, struct time_us now, const struct datagram *refused)
{
	uint8_t plaintext[OVERSIZED_MAX], answer[INNER_ICMP_MAX], flags;
	size_t size = refused->segment_size ? refused->segment_size : refused->size;
	struct reader r = reader_over(refused->bytes, refused->size);
	struct header header;
	struct inner inner;
	struct peer *peer;
	struct path *path;

	node_enter(node, now);
	if (header_decode(&r, &header) != OK || !(header.type & PACKET_SEALED) || size > OVERSIZED_MAX)
		return;
	peer = map_get(&node->by_path_id, header.path_id);
	path = peer ? path_find(peer, &refused->route) : NULL;
	if (!path || !peer->session || session_reopen(peer->session, refused->bytes, size, plaintext, &flags) != OK ||
	    (flags & SEALED_CONTROL) || inner_parse(plaintext, size - OVERHEAD_SIZE, &inner) != OK ||
	    inner.total_size <= path->mtu)
		return;
	size = inner_icmp_error(plaintext, inner.total_size, path->mtu, answer);
	if (size > 0)
		inbound_local(node, answer, size);
	node->counters.oversized++;
}
