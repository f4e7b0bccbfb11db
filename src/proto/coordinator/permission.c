#include "proto/coordinator/permission.h"

/* The budget is asked last, so that what is refused anyway costs the sender nothing. */
enum err permission_find(struct coordinator *c, const struct permissions *permissions, struct bucket *budget,
			 struct reader *r, struct message_header *ret_header, const void **ret_row)
{
	const uint8_t *row = permissions->rows;
	enum err err = message_header_decode(r, ret_header);

	if (err)
		return err;
	for (size_t i = 0; i < permissions->count; i++, row += permissions->row_size) {
		const struct permission *permission = (const void *)row;

		if (permission->type != ret_header->type)
			continue;
		if (permission->is_charged && !bucket_take(budget, permissions->rate, c->now)) {
			c->counters.limited_requests++;
			return ERR_FULL;
		}
		*ret_row = row;
		return OK;
	}
	return ERR_DENIED;
}
