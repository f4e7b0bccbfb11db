#include "wire/header.h"

#include <endian.h>
#include <string.h>

#define COUNTER_MAX 0xffffffffffff /* 48 bit */

/* The packet path does this for each datagram: two numbers of eight bytes, not four fields byte by byte. */
void header_encode(const struct header *header, struct writer *w)
{
	uint64_t words[2] = {
		htobe64((uint64_t)header->type << 56 | (uint64_t)header->path << 48 | header->counter),
		htobe64(header->path_id),
	};

	if (header->counter > COUNTER_MAX)
		write_u48(w, header->counter); /* does not fit, and says so */
	else
		write_bytes(w, words, sizeof words);
}

static bool is_known(uint8_t type)
{
	if (type & PACKET_SEALED)
		return (type & SEALED_RESERVED) == 0;
	return (type >= PACKET_REGISTRATION_REQUEST && type <= PACKET_HOLE_PUNCHING) ||
	       (type >= PACKET_RELAY_BIND && type <= PACKET_RELAY_ANNOUNCE);
}

static uint64_t big_endian(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof value);
	return be64toh(value);
}

/* Leaves r behind the header: what follows depends on the type. */
enum err header_decode(struct reader *r, struct header *ret)
{
	const uint8_t *p = read_blob(r, HEADER_SIZE).data;

	if (p && (!is_known(p[0]) || p[1] >= (p[0] & PACKET_SEALED ? PATHS_MAX : 1)))
		reader_fail(r, ERR_MALFORMED);
	if (r->err != OK)
		return r->err;
	*ret = (struct header){
		.type = p[0], .path = p[1], .counter = big_endian(p) & COUNTER_MAX, .path_id = big_endian(p + 8)};
	return OK;
}

/* What two nodes say to each other. */
bool packet_is_end_to_end(uint8_t type)
{
	return type & PACKET_SEALED || type == PACKET_TUNNEL_REQUEST || type == PACKET_TUNNEL_RESPONSE ||
	       type == PACKET_HOLE_PUNCHING;
}
