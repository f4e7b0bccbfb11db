/* permission.h: what a sender may say, as a table (T19): a message that stands in none of its rows is refused, whoever
 * is meant. For the files of this folder only. */
#pragma once

#include "proto/coordinator/state.h"

/* The first member of each row of such a table. */
struct permission {
	uint8_t type;
	bool is_charged; /* takes from the sender's budget; else it is cheap or answers us */
};

struct permissions {
	const void *rows;
	size_t count, row_size;
	const struct bucket_rate *rate;
};

/* Reads the header of one authenticated message. *ret_row is the row that handles it; ERR_DENIED when there is none,
 * ERR_FULL when the budget is used up. */
must_use enum err permission_find(struct coordinator *c, const struct permissions *permissions, struct bucket *budget,
				  struct reader *r, struct message_header *ret_header, const void **ret_row);
