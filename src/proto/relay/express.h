/*
 * express.h: pairs whose datagrams a faster forwarder beside the machine takes (relay.h: struct relay_express). What
 * goes there is not remembered (memory.h), so it gets what the memory has no room for: legs that are too fast, and
 * whichever of many come last on a busy relay. The machine stays the one that judges: it looks once a second what was
 * forwarded, charges it, lends a part of the byte cap anew, and takes back pairs that have become slow.
 */
#pragma once

#include <stdint.h>

#include "base/time.h"
#include "proto/relay/flow.h"

struct relay;
struct pair;

enum {
	EXPRESS_MAX = 8192,  /* pairs at once */
	EXPRESS_UNITS = 512, /* a slice of the memory: datagrams and trains that the machine keeps for itself */
	EXPRESS_BYTES_MIN = 16 << 20, /* a pair with less left is counted byte by byte by the machine */
	EXPRESS_LENT = 4,	      /* this part of what is left is lent */
	EXPRESS_IN_VAIN = 16,	      /* as many passed in a second and nothing forwarded: no use to lend the pair */
	EXPRESS_PAUSE = 64,	      /* for so long, in units of 2^20 us */
};

#define EXPRESS_TICK_US (1 * USEC_PER_SEC)
#define EXPRESS_LEASE_US (3 * USEC_PER_SEC)

struct express_flow {
	struct relay_copy *copy;		     /* the forwarder's */
	uint32_t pair;				     /* number in the table */
	uint64_t packets[2], bytes[2], dropped_rate; /* of the copy, that were charged */
	uint64_t since;				     /* packets since the last tick */
	uint64_t passed;			     /* datagrams and trains that came to the machine since then */
};

struct express {
	struct express_flow *list; /* NULL: no forwarder */
	uint32_t count;
	struct time_us tick; /* next; when there are any */
	uint64_t units;	     /* that the machine forwarded itself since the last one */
};

void express_init(struct relay *relay);
void express_finish(struct relay *relay);
/* To the forwarder, if both legs are bound, nothing is pending, and it takes it. */
void express_join(struct relay *relay, struct pair *pair);
/* Back: before anything of the pair's legs changes. Harmless when it is not there. */
void express_leave(struct relay *relay, struct pair *pair);
/* What the forwarder did becomes the pair's; before the pair is judged. Harmless as above. */
void express_pull(struct relay *relay, struct pair *pair);
/* The other way, after the machine itself has judged something that the forwarder passed on. */
void express_push(struct relay *relay, const struct pair *pair);
void express_input_time(struct relay *relay);
