#include "proto/coordinator/delay.h"

#include <stddef.h>

/* An empty ring points at itself, so a queue must not be copied afterwards. */
void delay_queue_init(struct delay_queue *queue, int64_t delay_us)
{
	queue->head.prev = queue->head.next = &queue->head;
	queue->delay_us = delay_us;
}

/* Appending keeps the order, because now never goes back. */
void delay_start(struct delay_queue *queue, struct delay *delay, struct time_us now)
{
	delay_stop(delay);
	delay->due = time_add(now, queue->delay_us);
	delay->prev = queue->head.prev;
	delay->next = &queue->head;
	delay->prev->next = delay;
	queue->head.prev = delay;
}

/* Safe to call for anything that is being destroyed. */
void delay_stop(struct delay *delay)
{
	if (!delay->next)
		return;
	delay->prev->next = delay->next;
	delay->next->prev = delay->prev;
	delay->prev = delay->next = NULL;
}

/* In any queue. */
bool delay_is_waiting(const struct delay *delay)
{
	return delay->next != NULL;
}

/* Callers loop over it: what they do may start and stop others. */
struct delay *delay_take(struct delay_queue *queue, struct time_us now)
{
	struct delay *first = queue->head.next;

	if (first == &queue->head || !time_reached(now, first->due))
		return NULL;
	delay_stop(first);
	return first;
}

/* The first one's. */
struct time_us delay_deadline(const struct delay_queue *queue)
{
	return queue->head.next == &queue->head ? TIME_NEVER : queue->head.next->due;
}
