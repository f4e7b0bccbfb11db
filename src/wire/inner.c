#include "wire/inner.h"

#include <string.h>

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* IPv4: RFC 791. */
static enum err parse_v4(const uint8_t *bytes, size_t size, struct inner *ret)
{
	size_t header = (bytes[0] & 15u) * 4;

	if (size < 20 || header < 20 || header > size || get16(bytes + 2) < header || get16(bytes + 2) > size)
		return ERR_MALFORMED;
	*ret = (struct inner){
		.version = 4,
		.protocol = bytes[9],
		.is_fragment = (get16(bytes + 6) & 0x3fff) != 0,
		.total_size = get16(bytes + 2),
		.network_size = (uint16_t)header,
		.src = bytes + 12,
		.dst = bytes + 16,
	};
	return OK;
}

/* IPv6: RFC 8200; jumbograms do not pass a TUN device. */
static enum err parse_v6(const uint8_t *bytes, size_t size, struct inner *ret)
{
	if (size < 40 || 40u + get16(bytes + 4) > size)
		return ERR_MALFORMED;
	*ret = (struct inner){
		.version = 6,
		.protocol = bytes[6],
		.is_fragment = bytes[6] == 44,
		.total_size = (uint16_t)(40 + get16(bytes + 4)),
		.network_size = 40,
		.src = bytes + 8,
		.dst = bytes + 24,
	};
	return OK;
}

/* Either version, told by the first four bits. */
enum err inner_parse(const uint8_t *bytes, size_t size, struct inner *ret)
{
	if (size > 65535)
		size = 65535;
	if (size >= 20 && bytes[0] >> 4 == 4)
		return parse_v4(bytes, size, ret);
	if (size >= 40 && bytes[0] >> 4 == 6)
		return parse_v6(bytes, size, ret);
	return ERR_MALFORMED;
}

/* Where the payload begins that a superpacket is cut at. */
size_t inner_header_size(const struct inner *inner, const uint8_t *bytes)
{
	size_t header;

	if (inner->is_fragment)
		return 0;
	if (inner->protocol == PROTOCOL_UDP)
		header = inner->network_size + 8u;
	else if (inner->protocol == PROTOCOL_TCP && inner->total_size >= inner->network_size + 20u)
		header = inner->network_size + (bytes[inner->network_size + 12] >> 4) * 4u;
	else
		return 0;
	if (inner->protocol == PROTOCOL_TCP && header < inner->network_size + 20u)
		return 0;
	return header <= inner->total_size ? header : 0;
}

/* RFC 8200 4: hop-by-hop options, routing and destination options have one form. */
size_t inner_find_transport(const struct inner *inner, const uint8_t *bytes, uint8_t *ret_protocol)
{
	size_t at = inner->network_size;
	uint8_t next = inner->protocol;

	if (inner->is_fragment)
		return 0;
	for (int i = 0; inner->version == 6 && (next == 0 || next == 43 || next == 60); i++) {
		if (i == INNER_EXTENSIONS_MAX || at + 8 > inner->total_size)
			return 0;
		next = bytes[at];
		at += 8 + bytes[at + 1] * 8u;
	}
	if (next == 44 || at > inner->total_size)
		return 0;
	*ret_protocol = next;
	return at;
}

/* One's complement sum of 16-bit words, big-endian, not folded. */
static uint64_t sum_words(const uint8_t *bytes, size_t size, uint64_t sum)
{
	for (; size >= 4; bytes += 4, size -= 4)
		sum += (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
	if (size >= 2) {
		sum += (uint32_t)get16(bytes);
		bytes += 2;
		size -= 2;
	}
	return size ? sum + ((uint32_t)bytes[0] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* RFC 9293 3.1, RFC 8200 8.1. */
uint16_t inner_pseudo_sum(const struct inner *inner, size_t transport_size)
{
	size_t address = inner->version == 4 ? 4 : 16;

	return fold(sum_words(inner->src, 2 * address, (uint64_t)inner->protocol + transport_size));
}

/* Zero, sum, invert. */
void inner_fix_network_checksum(uint8_t *bytes, const struct inner *inner)
{
	if (inner->version != 4)
		return;
	put16(bytes + 10, 0);
	put16(bytes + 10, (uint16_t)~fold(sum_words(bytes, inner->network_size, 0)));
}

/* TCP keeps it at 16, UDP at 6. */
size_t inner_checksum_offset(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP ? 16 : 6;
}

/* The sum over the pseudo header stands in the field already or not: it is computed anew. */
void inner_complete_checksum(uint8_t *bytes, const struct inner *inner)
{
	size_t size = (size_t)inner->total_size - inner->network_size;
	uint8_t *transport = bytes + inner->network_size;
	uint8_t *field = transport + inner_checksum_offset(inner->protocol);
	uint16_t sum;

	put16(field, 0);
	sum = (uint16_t)~fold(sum_words(transport, size, inner_pseudo_sum(inner, size)));
	if (sum == 0 && inner->protocol == PROTOCOL_UDP)
		sum = 0xffff; /* RFC 768: zero means "none" */
	put16(field, sum);
}

/* Zero becomes its other form, as the kernel does it for every protocol: to UDP it would mean "none". */
void inner_finish_checksum(uint8_t *bytes, size_t size, size_t start, size_t field)
{
	uint16_t sum = (uint16_t)~fold(sum_words(bytes + start, size - start, 0));

	put16(bytes + field, sum == 0 ? 0xffff : sum);
}

/* RFC 1624: the length is a word of the pseudo header. */
uint16_t inner_resize_sum(uint16_t sum, size_t before, size_t after)
{
	return fold((uint64_t)sum + (uint16_t)~before + (uint16_t)after);
}

/* RFC 792 has no pseudo header, RFC 4443 has. */
void inner_complete_icmp(uint8_t *bytes, const struct inner *inner)
{
	size_t size = (size_t)inner->total_size - inner->network_size;
	uint8_t *icmp = bytes + inner->network_size;

	put16(icmp + 2, 0);
	put16(icmp + 2,
	      (uint16_t)~fold(sum_words(icmp, size, inner->version == 6 ? inner_pseudo_sum(inner, size) : 0)));
}

/* ICMP errors, fragments but the first and group addresses are never answered. */
static bool may_answer(const struct inner *inner, const uint8_t *bytes)
{
	const uint8_t *transport = bytes + inner->network_size;

	if (inner->is_fragment && inner->version == 6)
		return true; /* RFC 4443 2.4 has no such rule */
	if (inner->is_fragment && (get16(bytes + 6) & 0x1fff) != 0)
		return false; /* RFC 1122 3.2.2 */
	if (inner->total_size > inner->network_size) {
		if (inner->protocol == PROTOCOL_ICMP && transport[0] != 8 && transport[0] != 0)
			return false;
		if (inner->protocol == PROTOCOL_ICMP6 && transport[0] < 128)
			return false;
	}
	return inner->version == 4 ? inner->dst[0] < 224 : inner->dst[0] != 0xff;
}

/* RFC 792, RFC 1191: 28 bytes of headers, then the start of the packet. */
static size_t icmp4_error(const uint8_t *bytes, const struct inner *inner, uint16_t mtu, uint8_t *ret)
{
	size_t quoted = inner->total_size < 548 ? inner->total_size : 548, size = 28 + quoted;
	struct inner answer;

	memset(ret, 0, 28);
	ret[0] = 0x45;
	put16(ret + 2, (unsigned)size);
	ret[8] = 64;
	ret[9] = PROTOCOL_ICMP;
	memcpy(ret + 12, inner->dst, 4);
	memcpy(ret + 16, inner->src, 4);
	ret[20] = 3;
	ret[21] = mtu ? 4 : 1;
	put16(ret + 26, mtu);
	memcpy(ret + 28, bytes, quoted);
	put16(ret + 22, (uint16_t)~fold(sum_words(ret + 20, size - 20, 0)));
	if (inner_parse(ret, size, &answer) != OK)
		return 0;
	inner_fix_network_checksum(ret, &answer);
	return size;
}

/* RFC 4443 3.1 and 3.2: as much of the packet as fits into 1280 bytes. */
static size_t icmp6_error(const uint8_t *bytes, const struct inner *inner, uint16_t mtu, uint8_t *ret)
{
	size_t quoted = inner->total_size < INNER_ICMP_MAX - 48 ? inner->total_size : INNER_ICMP_MAX - 48;
	struct inner answer;

	memset(ret, 0, 48);
	ret[0] = 0x60;
	put16(ret + 4, (unsigned)(8 + quoted));
	ret[6] = PROTOCOL_ICMP6;
	ret[7] = 64;
	memcpy(ret + 8, inner->dst, 16);
	memcpy(ret + 24, inner->src, 16);
	ret[40] = mtu ? 2 : 1;
	ret[41] = mtu ? 0 : 3;
	put16(ret + 46, mtu);
	memcpy(ret + 48, bytes, quoted);
	if (inner_parse(ret, 48 + quoted, &answer) != OK)
		return 0;
	put16(ret + 42, (uint16_t)~fold(sum_words(ret + 40, 8 + quoted, inner_pseudo_sum(&answer, 8 + quoted))));
	return 48 + quoted;
}

/* Source is the unreachable destination itself. */
size_t inner_icmp_error(const uint8_t *bytes, size_t size, uint16_t mtu, uint8_t ret[INNER_ICMP_MAX])
{
	struct inner inner;

	if (inner_parse(bytes, size, &inner) != OK || !may_answer(&inner, bytes))
		return 0;
	return inner.version == 4 ? icmp4_error(bytes, &inner, mtu, ret) : icmp6_error(bytes, &inner, mtu, ret);
}
