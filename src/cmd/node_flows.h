/*
 * node_flows.h: which queue of a TUN device each flow comes out of. The kernel hands a flow out where its last packet
 * was written, so what is written must go where it is read already, or a flow would change its thread and be
 * overtaken. No lock: whoever reads an old value once does no worse than chance.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/packet.h"

enum { FLOWS_SLOTS = 1 << 16 };

/* By a hash that is the same in both directions; 0: not seen, else the queue and one. */
struct flows {
	_Atomic uint8_t queues[FLOWS_SLOTS];
};

/* A packet of this flow was read from that queue. True: the one before it was not. */
bool flows_note(struct flows *flows, const struct packet *packet, unsigned queue);
/* Where to write: the queue that it is read from; one not seen yet falls on any of them, always the same. */
unsigned flows_find(const struct flows *flows, const struct packet *packet, unsigned queue_count);
