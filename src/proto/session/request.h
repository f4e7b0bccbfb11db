/*
 * request.h: control messages that are repeated until answered. A small table per link: sealing is done anew for each
 * transmission (fresh counter), the plaintext is kept. Answers find their request by transaction id.
 */
#pragma once

#include "base/cursor.h"
#include "base/time.h"
#include "wire/limits.h"

enum { REQUESTS_MAX = 8, REQUEST_TRIES_MAX = 8 };

struct request {
	bool used;
	uint8_t type; /* enum message_type, for the owner */
	uint32_t transaction;
	uint16_t size;
	uint8_t tries;
	struct time_us started, next;
	int64_t interval_us;
	uint8_t plaintext[CONTROL_MAX];
};

struct request_table {
	struct request slots[REQUESTS_MAX];
};

/* Does nothing wait? For all but request_add NULL is such a table, so that an owner need not keep one. */
bool request_is_empty(const struct request_table *table);

/*
 * Enters a message that is to be sent at `now`; first repetition after interval_us, then doubling to
 * HANDSHAKE_RETRY_MAX_US. With the same type already waiting, that one is replaced when `replace` is set (a newer
 * Update makes the older one pointless). ERR_FULL, ERR_SIZE.
 */
must_use enum err request_add(struct request_table *table, uint8_t type, uint32_t transaction, struct blob plaintext,
			      struct time_us now, int64_t interval_us, bool replace);
/*
 * The answer came: frees the slot and tells when the request was first sent and how often, for the RTT. False when
 * nobody asked.
 */
bool request_done(struct request_table *table, uint32_t transaction, struct request *ret);
/*
 * The next message to send at now, or NULL; counts the try. A request whose REQUEST_TRIES_MAX tries are over is
 * dropped: NULL with *ret_gave_up set, and the caller asks again, as others may be due.
 */
const struct request *request_due(struct request_table *table, struct time_us now, bool *ret_gave_up);
/*
 * When to ask a server again that has been silent for so long: an eighth of that, within HANDSHAKE_RETRY_US and
 * HANDSHAKE_RETRY_MAX_US. Quick at first, polite later, and never long beside what it was away.
 */
int64_t request_pace_us(int64_t silence_us);
struct time_us request_deadline(const struct request_table *table);
