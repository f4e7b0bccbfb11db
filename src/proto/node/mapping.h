/* mapping.h: what a NAT's ports tell: will the next ones be known? Pure: no node, no clock. */
#pragma once

#include <stddef.h>

#include "wire/punch.h"

enum {
	MAPPING_STEP_MAX = 32, /* between two sockets in a row: more is no order that could be relied on */
	DRAW_PORT_FIRST = 1024,
	DRAW_PORTS = 65536 - DRAW_PORT_FIRST,
};

struct mapping {
	uint8_t kind; /* enum mapping_kind */
	uint8_t port_count;
	uint16_t
		ports[PUNCH_PORTS_MAX]; /* steady: the one; guessable: of the next sockets, in the order of their use */
};

/*
 * Sockets that had spoken to nobody, with own ports `locals`, were seen at ports `seen` when they spoke one after the
 * other: where will the sockets `next` be, when they speak one after the other? At most PUNCH_PORTS_MAX of them.
 */
void mapping_guess(const uint16_t *locals, const uint16_t *seen, size_t count, const uint16_t *next, size_t next_count,
		   struct mapping *ret);

/* Every port from DRAW_PORT_FIRST on, each once, in an order that depends on the seed. */
struct port_draw {
	uint32_t start, stride;
};
struct port_draw port_draw_make(uint32_t start, uint32_t stride);
uint16_t port_draw_at(struct port_draw draw, uint32_t index);
