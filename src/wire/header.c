#include "wire/header.h"

/* Every datagram starts with these. */
void header_encode(const struct header *header, struct writer *w)
{
	write_u8(w, header->type);
	write_u8(w, header->path);
	write_u48(w, header->counter);
	write_u64(w, header->path_id);
}

static bool is_known(uint8_t type)
{
	if (type & PACKET_SEALED)
		return (type & SEALED_RESERVED) == 0;
	return (type >= PACKET_REGISTRATION_REQUEST && type <= PACKET_HOLE_PUNCHING) ||
	       (type >= PACKET_RELAY_BIND && type <= PACKET_RELAY_ANNOUNCE);
}

/* Leaves r behind the header: what follows depends on the type. */
enum err header_decode(struct reader *r, struct header *ret)
{
	struct header header = {.type = read_u8(r)};

	header.path = read_u8(r);
	header.counter = read_u48(r);
	header.path_id = read_u64(r);
	if (!is_known(header.type) || header.path >= (header.type & PACKET_SEALED ? PATHS_MAX : 1))
		reader_fail(r, ERR_MALFORMED);
	if (r->err != OK)
		return r->err;
	*ret = header;
	return OK;
}

/* What two nodes say to each other. */
bool packet_is_end_to_end(uint8_t type)
{
	return type & PACKET_SEALED || type == PACKET_TUNNEL_REQUEST || type == PACKET_TUNNEL_RESPONSE ||
	       type == PACKET_HOLE_PUNCHING;
}
