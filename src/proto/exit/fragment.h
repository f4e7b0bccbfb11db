/*
 * fragment.h: datagrams that pass in pieces. The first piece has the ports: what is decided about it holds for the
 * others, which follow it under its new address; those that come before it are kept until it does. Nothing is put
 * together, so a datagram costs a bit for eight bytes. All memory is taken at creation.
 */
#pragma once

#include "base/err.h"
#include "base/packet.h"
#include "base/time.h"
#include "proto/exit/translate.h"

enum {
	FRAGMENTED_MAX = 128,	  /* datagrams in pieces at a time, each direction */
	FRAGMENTED_NODE_MAX = 32, /* of these, one node's */
	FRAGMENTS_HELD_MAX = 32,  /* pieces that came before the first one, each direction */
	FRAGMENTS_HELD_NODE_MAX = 8,
	FRAGMENT_HELD_SIZE = 1500,
	FRAGMENT_NAME_SIZE = 42, /* what pieces of a datagram have in common */
	FRAGMENT_UNITS = 65536 / 8,
};
#define FRAGMENT_STRANGER UINT32_MAX		 /* owner of what comes from outside */
#define FRAGMENT_PATIENCE_US (30 * USEC_PER_SEC) /* RFC 791 3.2 says at least 15 s, RFC 8200 60 s at the receiver */

enum fragment_state {
	FRAGMENTED_NONE,
	FRAGMENTED_WAITING, /* for its first piece */
	FRAGMENTED_OPEN,
	FRAGMENTED_REFUSED, /* its first piece, or two pieces overlapped: what comes is dropped */
};

struct fragmented {
	enum fragment_state state;
	struct time_us deadline;
	uint8_t name[FRAGMENT_NAME_SIZE];
	uint32_t owner; /* the index of the node that sends it, or FRAGMENT_STRANGER */
	uint32_t id;	/* from now on */
	struct addr to; /* the new source, outwards; the new target, inwards; the port is the first piece's alone */
	uint32_t node;	/* whose share it counts against */
	uint32_t end;	/* of the datagram's payload, when its last piece is known; else 0 */
	uint32_t known; /* units of eight bytes that have passed */
	uint32_t highest;
	uint64_t units[FRAGMENT_UNITS / 64];
};

/* A piece that waits, first for its datagram, then to be taken. */
struct fragment_held {
	struct fragmented *of; /* NULL: free, or to be taken */
	bool is_ready;
	uint16_t size;
	uint8_t bytes[PACKET_ROOM + FRAGMENT_HELD_SIZE + PACKET_ROOM];
};

struct fragment_table {
	struct fragmented list[FRAGMENTED_MAX];
	struct fragment_held held[FRAGMENTS_HELD_MAX];
};

/* The datagram of this piece, which is noted in it. owner: whose it is. NULL: drop it. */
struct fragmented *fragment_note(struct fragment_table *table, struct time_us now, const struct translate *t,
				 uint32_t owner);
/* The first piece was refused: the others will be too. */
void fragment_refuse(struct fragment_table *table, struct fragmented *datagram);
/* False: there is no room for it. */
must_use bool fragment_hold(struct fragment_table *table, struct time_us now, struct fragmented *datagram,
			    const struct packet *packet);
/* A held piece of this datagram, in no order; NULL: none is left. It stays until it is taken or freed. */
struct fragment_held *fragment_next_held(struct fragment_table *table, const struct fragmented *datagram);
/* All pieces have passed. */
bool fragment_is_complete(const struct fragmented *datagram);
void fragment_forget(struct fragment_table *table, struct fragmented *datagram);
/* The next held piece that may go. Valid until the next piece is noted. */
bool fragment_take(struct fragment_table *table, struct packet *ret);
