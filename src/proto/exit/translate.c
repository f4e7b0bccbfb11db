#include "proto/exit/translate.h"

#include <string.h>

enum { TCP_HEADER = 20, UDP_HEADER = 8, ICMP_HEADER = 8, QUOTED_PORTS = 8 };
enum { FRAGMENT_HEADER = 8, PROTOCOL_FRAGMENT = 44, MORE4 = 0x2000, OFFSET4 = 0x1fff, OFFSET6 = 0xfff8 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Of IPv4: errors say 3, 4, 11 or 12; of IPv6 all below 128. */
static bool is_error(uint8_t version, uint8_t type)
{
	return version == 4 ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

/* Ports of a transport header of which at least eight bytes are there. */
static enum translate_kind read_ports(uint8_t version, uint8_t protocol, const uint8_t *transport, uint16_t *ret_source,
				      uint16_t *ret_target, bool *ret_request)
{
	uint8_t request = version == 4 ? 8 : 128, answer = version == 4 ? 0 : 129;

	*ret_source = *ret_target = 0;
	*ret_request = false;
	if (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) {
		*ret_source = get16(transport);
		*ret_target = get16(transport + 2);
		return protocol == PROTOCOL_TCP ? TRANSLATE_TCP : TRANSLATE_UDP;
	}
	if (protocol != (version == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6))
		return TRANSLATE_OTHER;
	if (transport[0] == request || transport[0] == answer) {
		*ret_request = transport[0] == request;
		*(*ret_request ? ret_source : ret_target) = get16(transport + 4);
		return TRANSLATE_ECHO;
	}
	return is_error(version, transport[0]) ? TRANSLATE_ERROR : TRANSLATE_OTHER;
}

/* The packet that an error quotes: often only its first bytes. */
static enum err parse_quoted(struct translate *t)
{
	const uint8_t *bytes = t->packet->bytes;
	size_t at = t->inner.network_size + (size_t)ICMP_HEADER, left = t->inner.total_size - at, header;
	uint8_t version = t->inner.version, protocol, size = version == 4 ? 4 : 16;
	const uint8_t *quoted = bytes + at;

	if (left < (version == 4 ? 20u : 40u) + QUOTED_PORTS || quoted[0] >> 4 != version)
		return ERR_MALFORMED;
	header = version == 4 ? (quoted[0] & 15u) * 4 : 40;
	protocol = version == 4 ? quoted[9] : quoted[6];
	if (version == 6 && protocol == PROTOCOL_FRAGMENT) {
		if (get16(quoted + 42) & OFFSET6)
			return ERR_MALFORMED;
		protocol = quoted[40];
		header += FRAGMENT_HEADER;
	}
	if (header < 20 || left < header + QUOTED_PORTS || (version == 4 && (get16(quoted + 6) & OFFSET4)))
		return ERR_MALFORMED;
	t->quoted_at = at;
	t->quoted_transport_at = at + header;
	t->quoted_source.ip = ip_from_bytes(version, quoted + (version == 4 ? 12 : 8));
	t->quoted_target.ip = ip_from_bytes(version, quoted + (version == 4 ? 12 : 8) + size);
	t->quoted_kind = read_ports(version, protocol, quoted + header, &t->quoted_source.port, &t->quoted_target.port,
				    &t->quoted_request);
	return OK;
}

static enum err parse_transport(struct translate *t)
{
	const uint8_t *transport = t->packet->bytes + t->inner.network_size;
	size_t left = (size_t)t->inner.total_size - t->inner.network_size;
	size_t least = t->inner.protocol == PROTOCOL_TCP ? TCP_HEADER : UDP_HEADER;

	if (left < least)
		return t->inner.protocol == PROTOCOL_TCP || t->inner.protocol == PROTOCOL_UDP ? ERR_MALFORMED : OK;
	t->kind = read_ports(t->inner.version, t->inner.protocol, transport, &t->source.port, &t->target.port,
			     &t->is_request);
	if (t->kind == TRANSLATE_TCP) {
		t->tcp_flags = transport[13];
		return inner_header_size(&t->inner, t->packet->bytes) ? OK : ERR_MALFORMED;
	}
	return t->kind == TRANSLATE_ERROR ? parse_quoted(t) : OK;
}

/* RFC 791, RFC 8200 4.5. Behind it the packet counts as one that is not cut, with what there is of its transport. */
static enum err parse_fragment(struct translate *t)
{
	const uint8_t *bytes = t->packet->bytes;
	size_t payload;

	t->is_fragment = true;
	if (t->inner.version == 4) {
		t->has_more = get16(bytes + 6) & MORE4;
		t->fragment_at = (uint16_t)((get16(bytes + 6) & OFFSET4) * 8);
		t->fragment_id = get16(bytes + 4);
	} else {
		if (t->inner.total_size < t->inner.network_size + FRAGMENT_HEADER)
			return ERR_MALFORMED;
		t->has_more = bytes[43] & 1;
		t->fragment_at = get16(bytes + 42) & OFFSET6;
		t->fragment_id = (uint32_t)get16(bytes + 44) << 16 | get16(bytes + 46);
		t->inner.protocol = bytes[40];
		t->inner.network_size += FRAGMENT_HEADER;
	}
	t->inner.is_fragment = false;
	payload = (size_t)t->inner.total_size - t->inner.network_size;
	if (payload == 0 || t->fragment_at + payload > UINT16_MAX || (t->has_more && payload % 8 != 0))
		return ERR_MALFORMED;
	t->kind = TRANSLATE_FRAGMENT;
	return OK;
}

/* Nothing is changed. */
enum err translate_parse(struct translate *ret, struct packet *packet)
{
	struct translate t = {.packet = packet, .kind = TRANSLATE_OTHER};
	enum err err = inner_parse(packet->bytes, packet->size, &t.inner);

	if (err != OK || t.inner.total_size != packet->size)
		return ERR_MALFORMED;
	t.source.ip = ip_from_bytes(t.inner.version, t.inner.src);
	t.target.ip = ip_from_bytes(t.inner.version, t.inner.dst);
	if (t.inner.is_fragment)
		err = parse_fragment(&t);
	if (err == OK && t.fragment_at == 0) {
		t.kind = TRANSLATE_OTHER;
		err = parse_transport(&t);
	}
	if (err == OK && t.is_fragment && t.kind == TRANSLATE_ERROR)
		err = ERR_MALFORMED; /* they are small (RFC 1812 4.3.2.3, RFC 4443 2.4) */
	if (err == OK && packet->checksum_partial &&
	    (t.is_fragment || (t.kind != TRANSLATE_TCP && t.kind != TRANSLATE_UDP)))
		err = ERR_MALFORMED; /* nobody leaves others unfinished */
	if (err == OK)
		*ret = t;
	return err;
}

/* Where the checksum of this transport is; NULL when it has none (RFC 768) or the kernel finishes it. */
static uint8_t *checksum_field(const struct translate *t)
{
	uint8_t *transport = t->packet->bytes + t->inner.network_size;

	if (t->packet->checksum_partial)
		return NULL;
	switch (t->kind) {
	case TRANSLATE_TCP: return transport + 16;
	case TRANSLATE_UDP: return get16(transport + 6) == 0 ? NULL : transport + 6;
	case TRANSLATE_ECHO: return transport + 2;
	case TRANSLATE_ERROR:
	case TRANSLATE_OTHER:
	case TRANSLATE_FRAGMENT: break;
	}
	return NULL;
}

/* RFC 768: zero would mean that there is none. */
static void keep_udp_checksum(enum translate_kind kind, uint8_t *field)
{
	if (kind == TRANSLATE_UDP && field && get16(field) == 0)
		put16(field, 0xffff);
}

/* ICMP of IPv4 does not cover addresses. */
static bool covers_addresses(const struct translate *t)
{
	return t->inner.version == 6 || t->kind != TRANSLATE_ECHO;
}

static void set_address(struct translate *t, size_t at, const struct ip *ip)
{
	uint8_t *bytes = t->packet->bytes, *field = checksum_field(t);

	if (field && covers_addresses(t))
		inner_adjust_checksum(field, bytes + at, ip->bytes, ip_size(ip));
	keep_udp_checksum(t->kind, field);
	memcpy(bytes + at, ip->bytes, ip_size(ip));
	inner_fix_network_checksum(bytes, &t->inner);
	if (t->packet->checksum_partial)
		put16(bytes + t->inner.network_size + inner_checksum_offset(t->inner.protocol),
		      inner_pseudo_sum(&t->inner, (size_t)t->inner.total_size - t->inner.network_size));
}

static void set_port(struct translate *t, bool is_source, uint16_t port)
{
	uint8_t *transport = t->packet->bytes + t->inner.network_size, *field = checksum_field(t), bytes[2];
	size_t at = is_source ? 0 : 2;

	if (t->kind == TRANSLATE_ECHO) {
		if (t->is_request != is_source)
			return;
		at = 4;
	} else if (t->kind != TRANSLATE_TCP && t->kind != TRANSLATE_UDP) {
		return;
	}
	put16(bytes, port);
	if (field)
		inner_adjust_checksum(field, transport + at, bytes, 2);
	memcpy(transport + at, bytes, 2);
	keep_udp_checksum(t->kind, field);
}

/* The view follows the bytes. */
void translate_set_source(struct translate *t, const struct addr *to)
{
	set_address(t, t->inner.version == 4 ? 12 : 8, &to->ip);
	set_port(t, true, to->port);
	t->source = *to;
}

/* As above, for the other end. */
void translate_set_target(struct translate *t, const struct addr *to)
{
	set_address(t, t->inner.version == 4 ? 16 : 24, &to->ip);
	set_port(t, false, to->port);
	t->target = *to;
}

/* Where the checksum of the quoted transport is, when that much was quoted. */
static uint8_t *quoted_checksum(const struct translate *t)
{
	uint8_t *transport = t->packet->bytes + t->quoted_transport_at;
	size_t left = t->inner.total_size - t->quoted_transport_at;

	if (t->quoted_kind == TRANSLATE_TCP)
		return left >= 18 ? transport + 16 : NULL;
	if (t->quoted_kind == TRANSLATE_UDP)
		return get16(transport + 6) ? transport + 6 : NULL;
	return t->quoted_kind == TRANSLATE_ECHO ? transport + 2 : NULL;
}

static void set_quoted(struct translate *t, bool is_source, const struct addr *to)
{
	uint8_t *quoted = t->packet->bytes + t->quoted_at, *transport = t->packet->bytes + t->quoted_transport_at;
	uint8_t *field = quoted_checksum(t), port[2];
	size_t size = ip_size(&to->ip), at = (t->inner.version == 4 ? 12 : 8) + (is_source ? 0 : size);
	size_t port_at = t->quoted_kind == TRANSLATE_ECHO ? 4 : is_source ? 0 : 2;

	put16(port, to->port);
	if (field && (t->inner.version == 6 || t->quoted_kind != TRANSLATE_ECHO))
		inner_adjust_checksum(field, quoted + at, to->ip.bytes, size);
	if (field)
		inner_adjust_checksum(field, transport + port_at, port, 2);
	keep_udp_checksum(t->quoted_kind, field);
	if (t->inner.version == 4)
		inner_adjust_checksum(quoted + 10, quoted + at, to->ip.bytes, size);
	memcpy(quoted + at, to->ip.bytes, size);
	memcpy(transport + port_at, port, 2);
}

/* So that the program that sent it recognises its own packet. */
void translate_set_quoted_source(struct translate *t, const struct addr *to)
{
	set_quoted(t, true, to);
	t->quoted_source = *to;
}

/* The same for an error about a packet that came in. */
void translate_set_quoted_target(struct translate *t, const struct addr *to)
{
	set_quoted(t, false, to);
	t->quoted_target = *to;
}

static uint16_t sum_of_error(const struct translate *t)
{
	const uint8_t *icmp = t->packet->bytes + t->inner.network_size;
	size_t size = (size_t)t->inner.total_size - t->inner.network_size;
	uint32_t sum = t->inner.version == 6 ? inner_pseudo_sum(&t->inner, size) : 0;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += get16(icmp + i);
	if (size & 1)
		sum += (uint32_t)icmp[size - 1] << 8;
	return fold(sum);
}

/* We write the checksum anew, so a wrong one would become a right one. */
bool translate_error_holds(const struct translate *t)
{
	return sum_of_error(t) == UINT16_MAX;
}

/* At most some 1,280 bytes: cheaper than to follow each change. */
void translate_finish_error(struct translate *t)
{
	uint8_t *icmp = t->packet->bytes + t->inner.network_size;

	put16(icmp + 2, 0);
	put16(icmp + 2, (uint16_t)~sum_of_error(t));
}

/* In IPv4 its lower half. */
void translate_set_fragment_id(struct translate *t, uint32_t id)
{
	uint8_t *bytes = t->packet->bytes;

	if (t->inner.version == 4) {
		put16(bytes + 4, (uint16_t)id);
		inner_fix_network_checksum(bytes, &t->inner);
	} else {
		put16(bytes + 44, (uint16_t)(id >> 16));
		put16(bytes + 46, (uint16_t)id);
	}
}

/* Contract in the header. */
void translate_clamp_mss(struct translate *t, uint16_t mtu)
{
	inner_clamp_mss(t->packet->bytes, &t->inner, mtu, t->packet->checksum_partial);
}
