/*
 * toy.h: the smallest machine: asks its peer every 10 ms, echoes what it is asked, counts answers. To test the world
 * itself.
 */
#pragma once

#include "host.h"

#define TOY_INTERVAL_US 10000

struct toy {
	struct addr peer; /* family 0: only answers */
	struct time_us next;
	uint32_t asked, answered, heard;
	struct addr heard_from;
	bool babbles; /* a bug for the checker to find: answers twice */
	struct datagram out[4];
	uint8_t bytes[4][64];
	unsigned out_count, out_at;
};

extern const struct machine_ops toy_ops;

struct toy *toy_create(const struct addr *peer, struct time_us now);
