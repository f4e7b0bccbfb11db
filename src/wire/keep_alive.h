/*
 * keep_alive.h: the body of Keep Alive, and the steps in which intervals are told and measured. A node asks for an
 * answer after a delay to learn whether its NAT still knows it then; the coordinator has one queue per step.
 */
#pragma once

#include "base/cursor.h"

enum { KEEPALIVE_STEPS = 6 };

/* Both optional; 0: not told. */
struct keep_alive {
	uint32_t interval_ms; /* how long the sender may be silent from now on: one of the steps */
	uint32_t delay_ms;    /* the answer is wanted that much later: one of the steps */
};

/* In milliseconds: 20,000 to 120,000. */
uint32_t keep_alive_step_ms(unsigned step);
/* The first step that is not shorter; the last one for all that is longer. */
unsigned keep_alive_step_of(uint32_t ms);
void keep_alive_encode(const struct keep_alive *m, struct writer *w);
must_use enum err keep_alive_decode(struct reader *r, struct keep_alive *ret);
