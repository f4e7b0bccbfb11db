#include "proto/node/cut.h"

#include <string.h>

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

/* Where the payload begins behind the transport header at `transport`; 0 when the packet is not of that kind. */
static size_t measure_header(const struct inner *inner, const uint8_t *bytes, size_t transport, uint8_t protocol)
{
	struct inner bare = *inner; /* as if the extension headers belonged to IP's own */

	bare.network_size = (uint16_t)transport;
	bare.protocol = protocol;
	return transport == 0 ? 0 : inner_header_size(&bare, bytes);
}

/* What stands in the checksum field while it covers the pseudo header only, for the whole superpacket. */
static uint16_t sum_of(const struct cut *cut, const struct packet *packet, const struct inner *inner)
{
	struct inner bare = *inner;

	bare.protocol = cut->protocol;
	if (packet->checksum_partial)
		return (uint16_t)get16(cut->header + cut->transport + inner_checksum_offset(cut->protocol));
	return inner_pseudo_sum(&bare, cut->header_size - cut->transport + cut->payload_size);
}

/* A packet as it is: one segment. */
static void begin_plain(struct cut *cut, const struct packet *packet, const struct inner *inner)
{
	*cut = (struct cut){
		.bytes = packet->bytes,
		.payload_size = inner->total_size,
		.gso_size = inner->total_size,
		.is_partial = packet->checksum_partial,
	};
}

/* Remembers the header, because the first segment's tail is soon overwritten. */
enum err cut_begin(struct cut *cut, const struct packet *packet, const struct inner *inner)
{
	uint8_t protocol = 0;
	size_t transport, header;

	if (packet->gso == PACKET_GSO_NONE) {
		begin_plain(cut, packet, inner);
		return OK;
	}
	transport = inner_find_transport(inner, packet->bytes, &protocol);
	header = measure_header(inner, packet->bytes, transport, protocol);
	if (header == 0 || packet->gso_size == 0 || header > sizeof cut->header ||
	    (packet->gso == PACKET_GSO_UDP) != (protocol == PROTOCOL_UDP))
		return ERR_MALFORMED;
	*cut = (struct cut){
		.bytes = packet->bytes,
		.header_size = header,
		.payload_size = inner->total_size - header,
		.gso_size = packet->gso_size,
		.version = inner->version,
		.protocol = protocol,
		.transport = (uint16_t)transport,
		.is_partial = packet->checksum_partial && transport == inner->network_size,
	};
	memcpy(cut->header, packet->bytes, header);
	cut->ip_id = (uint16_t)get16(cut->header + 4);
	if (protocol == PROTOCOL_TCP)
		cut->sequence = get32(cut->header + transport + 4);
	if (!cut->is_partial)
		cut->sum = sum_of(cut, packet, inner);
	return OK;
}

/* Header of the segment that carries payload [at, at + size). */
static void write_header(const struct cut *cut, uint8_t *to, size_t size)
{
	uint8_t *transport = to + cut->transport;
	struct inner inner;

	memcpy(to, cut->header, cut->header_size);
	if (cut->version == 4) {
		put16(to + 2, cut->header_size + size);
		put16(to + 4, (cut->ip_id + cut->at / cut->gso_size) & 0xffff);
	} else {
		put16(to + 4, cut->header_size - 40 + size);
	}
	if (cut->protocol == PROTOCOL_TCP) {
		put32(transport + 4, cut->sequence + (uint32_t)cut->at);
		if (cut->at + size < cut->payload_size)
			transport[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (cut->at > 0)
			transport[13] &= (uint8_t)~TCP_CWR;
	} else {
		put16(transport + 4, 8 + size);
	}
	if (cut->version == 4 && inner_parse(to, cut->header_size + size, &inner) == OK)
		inner_fix_network_checksum(to, &inner);
}

/* For a peer that would not find the transport header: behind extension headers. Rare, so it may cost a pass. */
static void finish_checksum(const struct cut *cut, uint8_t *bytes, size_t size)
{
	size_t field = cut->transport + inner_checksum_offset(cut->protocol), after = cut->header_size - cut->transport;

	put16(bytes + field, inner_resize_sum(cut->sum, after + cut->payload_size, after + size));
	inner_finish_checksum(bytes, cut->header_size + size, cut->transport, field);
}

/* FIN and PSH belong to the last segment, CWR to the first (RFC 3168 6.1.2, as every TSO engine does it). */
bool cut_next(struct cut *cut, uint8_t **ret_bytes, size_t *ret_size)
{
	size_t size = cut->payload_size - cut->at;

	if (size == 0 && cut->at > 0)
		return false;
	if (size > cut->gso_size)
		size = cut->gso_size;
	if (cut->header_size > 0 && (cut->at > 0 || size < cut->payload_size))
		write_header(cut, cut->bytes + cut->at, size);
	if (cut->header_size > 0 && !cut->is_partial)
		finish_checksum(cut, cut->bytes + cut->at, size);
	*ret_bytes = cut->bytes + cut->at;
	*ret_size = cut->header_size + size;
	cut->at += size;
	if (size == 0)
		cut->at = cut->payload_size = 1; /* an empty payload is one segment */
	return true;
}
