#include "wire/message.h"

/* Starts every message; fields follow. */
void message_header_encode(uint8_t type, uint32_t transaction, struct writer *w)
{
	write_u8(w, type);
	write_u32(w, transaction);
}

static bool is_known(uint8_t type)
{
	return (type >= MESSAGE_REGISTRATION_REQUEST && type <= MESSAGE_RELAY_REPORT) ||
	       (type >= MESSAGE_TUNNEL_REQUEST && type <= MESSAGE_PUNCH) ||
	       (type >= MESSAGE_ACK && type <= MESSAGE_CLOSE);
}

/* Leaves r at the first field. */
enum err message_header_decode(struct reader *r, struct message_header *ret)
{
	struct message_header header = {.type = read_u8(r)};

	header.transaction = read_u32(r);
	if (!is_known(header.type))
		reader_fail(r, ERR_UNKNOWN);
	if (r->err != OK)
		return r->err;
	*ret = header;
	return OK;
}
