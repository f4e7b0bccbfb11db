/* The largest segment that two TCP ends allow each other (RFC 879), lowered to what the way between them takes. */
#include <string.h>

#include "wire/inner.h"

enum { TCP_HEADER = 20, MSS_OPTION = 2, MSS_OPTION_SIZE = 4, NO_OPERATION = 1 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* RFC 1624 equation 3. */
void inner_adjust_checksum(uint8_t *field, const uint8_t *before, const uint8_t *after, size_t size)
{
	uint32_t sum = (uint16_t)~get16(field);

	for (size_t i = 0; i < size; i += 2)
		sum += (uint32_t)(uint16_t)~get16(before + i) + get16(after + i);
	put16(field, (uint16_t)~fold(sum));
}

/* An option at an odd place shifts its bytes within the sum. */
static void set_mss(uint8_t *transport, size_t at, uint16_t mss, bool checksum_partial)
{
	uint8_t before[4] = {0}, after[4] = {0};
	size_t odd = at & 1;

	memcpy(before + odd, transport + at, 2);
	put16(after + odd, mss);
	if (!checksum_partial)
		inner_adjust_checksum(transport + inner_checksum_offset(PROTOCOL_TCP), before, after, sizeof before);
	put16(transport + at, mss);
}

/* Malformed options end the search: the ends will make of them what they do without us. */
void inner_clamp_mss(uint8_t *bytes, const struct inner *inner, uint16_t mtu, bool checksum_partial)
{
	uint8_t *transport = bytes + inner->network_size;
	size_t headers = (inner->version == 4 ? 20 : 40) + TCP_HEADER, end;

	if (inner->protocol != PROTOCOL_TCP || mtu <= headers || inner_header_size(inner, bytes) == 0 ||
	    !(transport[13] & TCP_SYN))
		return;
	end = inner_header_size(inner, bytes) - inner->network_size;
	for (size_t at = TCP_HEADER; at + 1 < end && transport[at] != 0;) {
		size_t size = transport[at] == NO_OPERATION ? 1 : transport[at + 1];

		if (size == 0 || at + size > end || (transport[at] != NO_OPERATION && size < 2))
			return;
		if (transport[at] == MSS_OPTION && size == MSS_OPTION_SIZE && get16(transport + at + 2) > mtu - headers)
			set_mss(transport, at + 2, (uint16_t)(mtu - headers), checksum_partial);
		at += size;
	}
}
