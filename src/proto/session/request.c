#include "proto/session/request.h"

#include <string.h>

static struct request *slot_find(struct request_table *table, uint8_t type)
{
	for (size_t i = 0; i < REQUESTS_MAX; i++)
		if (table->slots[i].used && table->slots[i].type == type)
			return &table->slots[i];
	return NULL;
}

static struct request *slot_free(struct request_table *table)
{
	for (size_t i = 0; i < REQUESTS_MAX; i++)
		if (!table->slots[i].used)
			return &table->slots[i];
	return NULL;
}

/* Contract in the header. */
enum err request_add(struct request_table *table, uint8_t type, uint32_t transaction, struct blob plaintext,
		     struct time_us now, int64_t interval_us, bool replace)
{
	struct request *slot = replace ? slot_find(table, type) : NULL;

	if (plaintext.size > CONTROL_MAX)
		return ERR_SIZE;
	if (!slot)
		slot = slot_free(table);
	if (!slot)
		return ERR_FULL;
	*slot = (struct request){
		.used = true,
		.type = type,
		.transaction = transaction,
		.size = (uint16_t)plaintext.size,
		.started = now,
		.next = now,
		.interval_us = interval_us,
	};
	if (plaintext.size)
		memcpy(slot->plaintext, plaintext.data, plaintext.size);
	return OK;
}

/* Contract in the header. */
bool request_is_empty(const struct request_table *table)
{
	for (size_t i = 0; table && i < REQUESTS_MAX; i++)
		if (table->slots[i].used)
			return false;
	return true;
}

/* Contract in the header. */
bool request_done(struct request_table *table, uint32_t transaction, struct request *ret)
{
	for (size_t i = 0; table && i < REQUESTS_MAX; i++) {
		struct request *slot = &table->slots[i];

		if (!slot->used || slot->transaction != transaction)
			continue;
		if (ret)
			*ret = *slot;
		slot->used = false;
		return true;
	}
	return false;
}

/* The wait doubles with each try, so that a peer that is gone costs ever less. */
static void request_postpone(struct request *request, struct time_us now)
{
	request->tries++;
	request->next = time_add(now, request->interval_us);
	request->interval_us *= 2;
	if (request->interval_us > HANDSHAKE_RETRY_MAX_US)
		request->interval_us = HANDSHAKE_RETRY_MAX_US;
}

/* The last try is waited for like every other before the request is given up. */
const struct request *request_due(struct request_table *table, struct time_us now, bool *ret_gave_up)
{
	*ret_gave_up = false;
	for (size_t i = 0; table && i < REQUESTS_MAX; i++) {
		struct request *slot = &table->slots[i];

		if (!slot->used || !time_reached(now, slot->next))
			continue;
		if (slot->tries == REQUEST_TRIES_MAX) {
			slot->used = false;
			*ret_gave_up = true;
			return NULL;
		}
		request_postpone(slot, now);
		return slot;
	}
	return NULL;
}

/* TIME_NEVER when nothing waits. */
struct time_us request_deadline(const struct request_table *table)
{
	struct time_us deadline = TIME_NEVER;

	for (size_t i = 0; table && i < REQUESTS_MAX; i++)
		if (table->slots[i].used)
			deadline = time_min(deadline, table->slots[i].next);
	return deadline;
}

/* Contract in the header. */
int64_t request_pace_us(int64_t silence_us)
{
	int64_t pace_us = silence_us / 8;

	if (pace_us < HANDSHAKE_RETRY_US)
		return HANDSHAKE_RETRY_US;
	return pace_us < HANDSHAKE_RETRY_MAX_US ? pace_us : HANDSHAKE_RETRY_MAX_US;
}
