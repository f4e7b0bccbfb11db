/*
 * entry.h: what the relay in the kernel (relay.bpf.c) and its keeper in user space share: a table of flows in one piece
 * of memory that both have mapped, so that installing, removing and reading one is no system call. Fixed-width fields
 * only; what is computed once for each flow, and once for each packet, stands here for both.
 *
 * A flow is found through buckets: PathID -> bucket and tag -> entry. Buckets change by one store of 32 bits. An entry
 * does not change between the store that shows it and, after the one that hides it, a time that no program in the
 * kernel outlives (XDP_GRACE_US): who found one may read it to the end without a lock.
 */
#pragma once

#include "proto/relay/flow.h"

enum {
	XDP_BUCKET_BITS = 12,
	XDP_BUCKETS = 1 << XDP_BUCKET_BITS,
	XDP_BUCKET_SLOTS = 8, /* what does not fit stays in user space: with all ENTRIES taken 1 of 6,000 */
	XDP_ENTRY_BITS = 13,
	XDP_ENTRIES = 1 << XDP_ENTRY_BITS,
	XDP_SEALED = 0x80,    /* of the first payload byte: wire/header.h */
	XDP_HEADER_SIZE = 16, /* of every datagram; the PathID is its second half */
	XDP_ETHER_SIZE = 14,
	XDP_UDP_SIZE = 8,
	XDP_HOPS = 64,
};

#define XDP_GRACE_US (1000 * 1000)

/* Why a datagram of a flow that is installed is not forwarded here. All but the last are passed to user space. */
enum xdp_reason {
	XDP_REASON_LEASE,    /* user space has not looked after this flow for too long */
	XDP_REASON_SOURCE,   /* neither leg is there */
	XDP_REASON_WAY,	     /* it did not come the way that datagrams to that leg go, or not to our address */
	XDP_REASON_CHECKSUM, /* none, or one that the sender's kernel left unfinished */
	XDP_REASON_UNBOUND,
	XDP_REASON_CAP,
	XDP_REASON_SIZE,   /* larger than what goes to the other leg in one piece */
	XDP_REASON_SAMPLE, /* one that shows the kernel that the way to the other leg is in use */
	XDP_REASON_RATE,   /* dropped */
	XDP_REASONS
};

/* How datagrams reach a leg, and what its sums begin with: of 16 bit words as they lie in memory. */
struct xdp_way {
	uint32_t ifindex;
	uint16_t mtu;
	uint16_t local_mac[3], remote_mac[3]; /* as they lie in a frame, in units that it is aligned to */
	uint8_t sample;			      /* the next datagram to the leg goes through user space */
	uint8_t reserved;
	uint32_t header_sum; /* IPv4: of the header to the leg, without its length */
	uint32_t pseudo_sum; /* of the pseudo header of what comes from the leg, without the length */
	uint32_t change;     /* what the datagram's sum gains when the other leg's addresses become this one's */
};

struct xdp_entry {
	struct relay_copy copy;
	struct xdp_way ways[2];
} __attribute__((aligned(64)));

/* Written by user space, but for the counters. */
struct xdp_control {
	uint64_t hash_key;	 /* odd, secret: neither strangers nor coordinators choose collisions */
	int64_t clock_offset_us; /* from the kernel's coarse clock to ours */
	uint64_t counts[XDP_REASONS];
	uint16_t port;
	uint8_t redirects; /* frames that leave where they came in are redirected there: a veth loses them else */
};

/* The upper bits of a product with a secret odd number: each bit of the PathID has its say in them. */
static inline uint64_t xdp_hash(uint64_t key, uint64_t path_id)
{
	return (path_id ^ path_id >> 32) * key;
}

static inline uint32_t xdp_bucket(uint64_t hash)
{
	return (uint32_t)(hash >> (64 - XDP_BUCKET_BITS));
}

/* The upper half of a slot; never 0, which is an empty one. The lower half is the entry's number. */
static inline uint32_t xdp_tag(uint64_t hash)
{
	return ((uint32_t)(hash >> (48 - XDP_BUCKET_BITS)) & 0xffff) | 1;
}

static inline uint32_t xdp_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* A checksum after such a change (RFC 1624). Never 0, which means none. */
static inline uint16_t xdp_checksum_changed(uint16_t checksum, uint32_t change)
{
	uint16_t changed = (uint16_t)~xdp_fold((uint16_t)~checksum + change);

	return changed ? changed : 0xffff;
}

/* What a kernel leaves for its network card to finish is the pseudo header's sum. size: of the datagram, as sent. */
static inline bool xdp_checksum_is_unfinished(uint16_t checksum, uint32_t pseudo_sum, uint16_t size)
{
	return checksum == xdp_fold(pseudo_sum + size);
}
