/*
 * A peer that has lost its memory knows nothing of the session under which data was sealed for it, and cannot say that.
 * When it is back, what it has not acknowledged is opened again with our own keys and waits for the new session.
 */
#include <string.h>

#include "proto/node/machine.h"

#define RESCUE_SPAN_US (5 * USEC_PER_SEC) /* nobody waits for older packets */

static void rescue_one(struct node *node, struct time_us now, struct session *old, struct blob datagram)
{
	uint8_t bytes[PACKET_ROOM + WAITING_PACKET_MAX + PACKET_ROOM], *plaintext = bytes + PACKET_ROOM, flags;
	struct packet packet = {.bytes = plaintext};
	struct inner inner;

	if (datagram.size > WAITING_PACKET_MAX ||
	    session_reopen(old, datagram.data, datagram.size, plaintext, &flags) != OK || (flags & SEALED_CONTROL) ||
	    inner_parse(plaintext, datagram.size - OVERHEAD_SIZE, &inner) != OK)
		return;
	packet.size = inner.total_size; /* without what it was padded with */
	packet.checksum_partial = flags & SEALED_PARTIAL;
	waiting_hold(node, now, &packet);
	node->counters.rescued++;
}

/* What was sealed before the peer was heard last has arrived more likely than not. */
static struct time_us last_heard(const struct peer *peer, struct time_us now)
{
	struct time_us at = time_add(now, -RESCUE_SPAN_US);

	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && peer->awake->paths[i].heard.us > at.us)
			at = peer->awake->paths[i].heard;
	return at;
}

/* Contract in machine.h. */
void rescue_sealed(struct node *node, const struct peer *peer, struct session *old, struct time_us now)
{
	struct time_us since = last_heard(peer, now);
	struct blob train;
	uint16_t step;
	uint64_t cursor = 0;

	while (outbox_pending(&node->outbox, &peer->awake->sending, since, &cursor, &train, &step))
		for (size_t at = 0; at < train.size; at += step) {
			size_t left = train.size - at;

			rescue_one(node, now, old, (struct blob){train.data + at, left < step ? left : step});
		}
}
