/*
 * cut.h: cuts a superpacket into segments without copying its payload. The header of each segment is written over the
 * tail of the one before it, so every segment is contiguous in the packet's own buffer: the caller must have sealed a
 * segment before it asks for the next.
 */
#pragma once

#include "base/packet.h"
#include "wire/inner.h"

enum { CUT_HEADER_MAX = 512 }; /* IP 60 + TCP 60, and as much of IPv6 extension headers as leaves room for data */

struct cut {
	uint8_t *bytes;
	size_t header_size, payload_size, gso_size, at;
	uint8_t version, protocol;
	bool is_partial;    /* segments keep the pseudo header's sum for a checksum, which the peer finishes */
	uint16_t transport; /* offset of the transport header */
	uint16_t ip_id, sum;
	uint32_t sequence;
	uint8_t header[CUT_HEADER_MAX]; /* as it came */
};

/* ERR_MALFORMED when the packet is not what its gso fields say. A plain packet is one segment. */
must_use enum err cut_begin(struct cut *cut, const struct packet *packet, const struct inner *inner);
/* The next segment, valid until the next call; false at the end. */
bool cut_next(struct cut *cut, uint8_t **ret_bytes, size_t *ret_size);
