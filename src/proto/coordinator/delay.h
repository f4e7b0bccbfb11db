/* delay.h: timers of one fixed delay each: whoever entered first is due first, so every operation is O(1) and no heap
 * is needed. */
#pragma once

#include "base/time.h"

/* Part of what waits; {0} when it waits nowhere. */
struct delay {
	struct delay *prev, *next;
	struct time_us due;
};

struct delay_queue {
	struct delay head; /* ring */
	int64_t delay_us;
};

void delay_queue_init(struct delay_queue *queue, int64_t delay_us);
/* Due at now + delay_us; leaves the queue it was in. */
void delay_start(struct delay_queue *queue, struct delay *delay, struct time_us now);
/* Harmless when it does not wait. */
void delay_stop(struct delay *delay);
bool delay_is_waiting(const struct delay *delay);
/* Takes the next one that is due out of the queue; NULL when there is none. */
struct delay *delay_take(struct delay_queue *queue, struct time_us now);
struct time_us delay_deadline(const struct delay_queue *queue);
