/*
 * join.h: joins opened segments of one flow into superpackets, the reverse of cut.h. Each segment is opened in place:
 * its payload lands right behind the payload before it, its header on top of that payload's tail, which is saved and
 * put back. So opening is the only copy. Nothing waits: what has arrived in one call goes out after it.
 */
#pragma once

#include "base/packet.h"
#include "wire/inner.h"

enum {
	JOIN_PACKETS_MAX = 2048, /* more than 65,535 / (OVERHEAD_SIZE + 1) segments of one GRO buffer */
	JOIN_ARENA = 512 << 10,	 /* their bytes, with room before and after each */
	JOIN_HEADER_MAX = 120,
	JOIN_UDP_SEGMENTS_MAX = 64, /* of one superpacket: more are refused by kernels that take no more in a call */
};

struct join {
	uint8_t *arena;
	struct packet *packets;
	size_t count, taken;
	size_t fresh; /* arena offset for the next packet that is not joined */
	bool join_udp, is_plain;
	/* The packet that may still grow: the last one. */
	bool open;
	size_t header_size;
	uint16_t network_size;
	uint8_t protocol, version;
	uint16_t segments;
	uint32_t next_sequence;
	/* The place given out, and what lay under it. */
	uint8_t *place;
	bool speculative;
	uint8_t saved[JOIN_HEADER_MAX];
};

void join_init(struct join *join, bool join_udp);
void join_finish(struct join *join);
/* From now on every packet goes out alone, its checksum complete: for a consumer that knows nothing of offloads. */
void join_set_plain(struct join *join);
/* Everything handed out before is gone. */
void join_reset(struct join *join);
/* Where to open the next segment (up to room_size bytes); NULL when the arena is full. */
uint8_t *join_place(struct join *join, size_t room_size);
/* What was opened there is an authentic packet: `inner` describes it. checksum_partial: SEALED_PARTIAL was set. */
void join_accept(struct join *join, const struct inner *inner, bool checksum_partial);
/* What was opened there is worthless. */
void join_cancel(struct join *join);
/* The next packet, or false. */
bool join_next(struct join *join, struct packet *ret);
