#include "segment.h"

#include <string.h>

#include "wire/inner.h"

/* In network order, as all inner fields. */
void segment_put(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The reverse. */
uint32_t segment_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static size_t write_ip_header(uint8_t *p, size_t size, const struct ip *src, const struct ip *dst)
{
	if (src->family == 4) {
		memcpy(p, (const uint8_t[]){0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0}, 12);
		p[2] = (uint8_t)(size >> 8);
		p[3] = (uint8_t)size;
		memcpy(p + 12, src->bytes, 4);
		memcpy(p + 16, dst->bytes, 4);
		return 20;
	}
	memcpy(p, (const uint8_t[]){0x60, 0, 0, 0, 0, 0, PROTOCOL_UDP, 64}, 8);
	p[4] = (uint8_t)((size - 40) >> 8);
	p[5] = (uint8_t)(size - 40);
	memcpy(p + 8, src->bytes, 16);
	memcpy(p + 24, dst->bytes, 16);
	return 40;
}

/* The same port at both ends. */
uint8_t *segment_begin(uint8_t *packet, size_t size, const struct ip *src, const struct ip *dst, uint16_t port)
{
	size_t header = write_ip_header(packet, size, src, dst), udp_size = size - header;
	uint8_t *udp = packet + header;

	memset(udp, 0, 8);
	udp[0] = udp[2] = (uint8_t)(port >> 8);
	udp[1] = udp[3] = (uint8_t)port;
	udp[4] = (uint8_t)(udp_size >> 8);
	udp[5] = (uint8_t)udp_size;
	return udp + 8;
}

/* Both checksums: a joining receiver would notice a wrong one. */
void segment_end(uint8_t *packet, size_t size)
{
	struct inner inner;
	uint16_t sum;

	if (inner_parse(packet, size, &inner) != OK)
		return;
	inner_fix_network_checksum(packet, &inner);
	sum = inner_pseudo_sum(&inner, size - inner.network_size);
	memcpy(packet + inner.network_size + 6, &sum, sizeof sum);
	inner_complete_checksum(packet, &inner);
}
