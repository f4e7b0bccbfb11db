/* port.h: one end of a wire: a network interface from which whole frames are taken, and on which they are put. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "depot.h"

enum { PORT_BATCH = 64 };

struct port {
	int fd;
	uint64_t last_arrival_ns;
	uint64_t overrun; /* frames that came faster than they were taken */
	unsigned count;	  /* frames gathered for sending */
	struct depot_item gathered[PORT_BATCH];
};

/* A frame that came, in a slot that is now the caller's. */
struct port_frame {
	uint64_t arrival_ns; /* when the kernel had it, on the clock of clock_now_ns */
	uint32_t slot;
	uint32_t size_bytes; /* may exceed FRAME_MAX: then only its beginning is there */
};

/* CLOCK_MONOTONIC. */
uint64_t clock_now_ns(void);

/* ERR_IO: no such interface, or not allowed; errno tells. */
must_use enum err port_init(struct port *port, const char *interface);
void port_finish(struct port *port);

/* Takes up to PORT_BATCH frames without waiting. Returns how many; *ret_dropped counts those for which there was no
 * slot. */
unsigned port_receive(struct port *port, struct depot *depot, struct port_frame frames[PORT_BATCH],
		      uint64_t *ret_dropped);

/* Puts a frame to the others that leave together. Flush before PORT_BATCH are gathered. */
void port_gather(struct port *port, const struct depot_item *item);

/* Sends what is gathered. Returns how many of the first count items left; the rest were refused. Their slots stay the
 * caller's. */
unsigned port_flush(struct port *port, struct depot *depot);

/* Frames lost in front of us since it was opened. */
uint64_t port_overrun(struct port *port);
