#include "packets.h"

#include <string.h>

enum { TCP = 6, UDP = 17, ICMP = 1, ICMP6 = 58 };

/* Big-endian, as everything on the wire. */
uint16_t read16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void write16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint32_t add_up(const uint8_t *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The test's own text is right. */
struct addr at(const char *text)
{
	struct addr addr = {0};

	(void)!addr_parse(text, 0, &addr);
	return addr;
}

static size_t header_of(const uint8_t *bytes)
{
	return bytes[0] >> 4 == 4 ? (bytes[0] & 15u) * 4 : 40;
}

static uint8_t protocol_of(const uint8_t *bytes)
{
	return bytes[0] >> 4 == 4 ? bytes[9] : bytes[6];
}

/* Sum over pseudo header and transport; 0xffff when it is right. */
static uint32_t transport_sum(const uint8_t *bytes, size_t size)
{
	size_t header = header_of(bytes), address = bytes[0] >> 4 == 4 ? 4 : 16;
	uint32_t sum = 0;

	if (protocol_of(bytes) != ICMP)
		sum = add_up(bytes + (address == 4 ? 12 : 8), 2 * address,
			     protocol_of(bytes) + (uint32_t)(size - header));
	return add_up(bytes + header, size - header, sum);
}

static size_t sum_at(uint8_t protocol)
{
	return protocol == TCP ? 16 : protocol == UDP ? 6 : 2;
}

/* IP header for a transport of this size; returns where that goes. */
static uint8_t *begin(struct made *made, const struct addr *from, const struct addr *to, uint8_t protocol, size_t size)
{
	uint8_t *bytes = made->buffer + PACKET_ROOM;
	size_t header = from->ip.family == 4 ? 20 : 40;

	memset(made, 0, sizeof *made);
	made->packet = (struct packet){.bytes = bytes, .size = header + size};
	if (header == 20) {
		bytes[0] = 0x45;
		write16(bytes + 2, (unsigned)made->packet.size);
		bytes[8] = 61;
		bytes[9] = protocol;
		memcpy(bytes + 12, from->ip.bytes, 4);
		memcpy(bytes + 16, to->ip.bytes, 4);
		write16(bytes + 10, (uint16_t)~add_up(bytes, 20, 0));
	} else {
		bytes[0] = 0x60;
		write16(bytes + 4, (unsigned)size);
		bytes[6] = protocol == ICMP ? ICMP6 : protocol;
		bytes[7] = 61;
		memcpy(bytes + 8, from->ip.bytes, 16);
		memcpy(bytes + 24, to->ip.bytes, 16);
	}
	return bytes + header;
}

static void end(struct made *made)
{
	uint8_t *bytes = made->packet.bytes, *field = bytes + header_of(bytes) + sum_at(protocol_of(bytes));

	write16(field, 0);
	write16(field, (uint16_t)~transport_sum(bytes, made->packet.size));
	if (read16(field) == 0 && protocol_of(bytes) == UDP)
		write16(field, 0xffff);
}

static void fill(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
}

/* RFC 768. */
void make_udp(struct made *made, const char *from, const char *to, size_t payload)
{
	struct addr source = at(from), target = at(to);
	uint8_t *udp = begin(made, &source, &target, UDP, 8 + payload);

	write16(udp, source.port);
	write16(udp + 2, target.port);
	write16(udp + 4, (unsigned)(8 + payload));
	fill(udp + 8, payload);
	end(made);
}

static uint8_t *begin_tcp(struct made *made, const char *from, const char *to, uint8_t flags, size_t header,
			  size_t payload)
{
	struct addr source = at(from), target = at(to);
	uint8_t *tcp = begin(made, &source, &target, TCP, header + payload);

	write16(tcp, source.port);
	write16(tcp + 2, target.port);
	write16(tcp + 6, 1000);
	write16(tcp + 10, 2000);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = flags;
	fill(tcp + header, payload);
	return tcp;
}

/* RFC 9293, without options. */
void make_tcp(struct made *made, const char *from, const char *to, uint8_t flags, size_t payload)
{
	begin_tcp(made, from, to, flags, 20, payload);
	end(made);
}

/* The option may lie at an odd place. */
void make_syn(struct made *made, const char *from, const char *to, uint16_t mss, size_t padding)
{
	uint8_t *tcp = begin_tcp(made, from, to, TCP_SYN, 28, 0);

	memset(tcp + 20, 1, padding);
	tcp[20 + padding] = 2;
	tcp[21 + padding] = 4;
	write16(tcp + 22 + padding, mss);
	end(made);
}

/* RFC 792, RFC 4443. */
void make_echo(struct made *made, const char *from, const char *to, bool is_request)
{
	struct addr source = at(from), target = at(to);
	uint8_t *icmp = begin(made, &source, &target, ICMP, 8 + 32);
	bool is_v4 = source.ip.family == 4;

	icmp[0] = is_request ? (is_v4 ? 8 : 128) : is_v4 ? 0 : 129;
	write16(icmp + 4, is_request ? source.port : target.port);
	write16(icmp + 6, 1);
	fill(icmp + 8, 32);
	end(made);
}

/* A router's or a host's. */
void make_error(struct made *made, const char *from, const char *to, uint8_t type, uint8_t code,
		const struct packet *about, size_t quoted)
{
	struct addr source = at(from), target = at(to);
	uint8_t *icmp = begin(made, &source, &target, ICMP, 8 + quoted);

	icmp[0] = type;
	icmp[1] = code;
	write16(icmp + 6, 1234);
	memcpy(icmp + 8, about->bytes, quoted);
	end(made);
}

static bool network_holds(const uint8_t *bytes)
{
	return bytes[0] >> 4 == 6 || add_up(bytes, header_of(bytes), 0) == 0xffff;
}

/* RFC 791, RFC 8200 4.5. */
void make_piece(struct made *made, const struct packet *whole, uint32_t id, size_t at, size_t size)
{
	size_t header = header_of(whole->bytes), total = whole->size - header, extra = header == 40 ? 8 : 0;
	uint8_t *bytes = made->buffer + PACKET_ROOM;
	bool more = at + size < total;

	memset(made, 0, sizeof *made);
	made->packet = (struct packet){.bytes = bytes, .size = header + extra + size};
	memcpy(bytes, whole->bytes, header);
	memcpy(bytes + header + extra, whole->bytes + header + at, size);
	if (extra == 0) {
		write16(bytes + 2, (unsigned)made->packet.size);
		write16(bytes + 4, id);
		write16(bytes + 6, (unsigned)(at / 8) | (more ? 0x2000u : 0));
		write16(bytes + 10, 0);
		write16(bytes + 10, (uint16_t)~add_up(bytes, 20, 0));
		return;
	}
	write16(bytes + 4, (unsigned)(extra + size));
	bytes[6] = 44;
	bytes[40] = whole->bytes[6];
	write16(bytes + 42, (unsigned)at | (more ? 1u : 0));
	write16(bytes + 44, id >> 16);
	write16(bytes + 46, id & 0xffff);
}

static size_t place_of(const uint8_t *bytes, bool *ret_more, uint32_t *ret_id)
{
	bool is_v4 = bytes[0] >> 4 == 4;

	*ret_more = is_v4 ? bytes[6] & 0x20 : bytes[43] & 1;
	*ret_id = is_v4 ? read16(bytes + 4) : (uint32_t)read16(bytes + 44) << 16 | read16(bytes + 46);
	return is_v4 ? (read16(bytes + 6) & 0x1fffu) * 8 : read16(bytes + 42) & 0xfff8u;
}

/* Into the header of the piece that came first. */
bool join_piece(struct joined *joined, const struct packet *piece)
{
	uint8_t *bytes = joined->made.buffer + PACKET_ROOM;
	size_t header = header_of(piece->bytes), extra = header == 40 ? 8 : 0, size = piece->size - header - extra, at;
	uint32_t id;
	bool more;

	at = place_of(piece->bytes, &more, &id);
	if (joined->seen == 0) {
		memcpy(bytes, piece->bytes, header);
		joined->id = id;
	}
	joined->is_mixed |= joined->id != id ||
			    memcmp(bytes + (extra ? 8 : 12), piece->bytes + (extra ? 8 : 12), extra ? 32 : 8) != 0 ||
			    !network_holds(piece->bytes);
	memcpy(bytes + header + at, piece->bytes + header + extra, size);
	joined->seen += size;
	joined->total = more ? joined->total : at + size;
	if (joined->total == 0 || joined->seen != joined->total)
		return false;
	joined->made.packet = (struct packet){.bytes = bytes, .size = header + joined->total};
	if (extra) {
		write16(bytes + 4, (unsigned)joined->total);
		bytes[6] = piece->bytes[40];
		return !joined->is_mixed && sums_hold(&joined->made.packet);
	}
	write16(bytes + 2, (unsigned)joined->made.packet.size);
	write16(bytes + 6, 0);
	write16(bytes + 10, 0);
	write16(bytes + 10, (uint16_t)~add_up(bytes, 20, 0));
	return !joined->is_mixed && sums_hold(&joined->made.packet);
}

static struct addr end_of(const uint8_t *bytes, bool is_source)
{
	bool is_v4 = bytes[0] >> 4 == 4;
	size_t size = is_v4 ? 4 : 16;
	const uint8_t *transport = bytes + header_of(bytes);
	uint8_t protocol = protocol_of(bytes);
	struct addr end = {
		.ip = ip_from_bytes(is_v4 ? 4 : 6, bytes + (is_v4 ? 12 : 8) + (is_source ? 0 : size)),
	};

	if (protocol == TCP || protocol == UDP)
		end.port = read16(transport + (is_source ? 0 : 2));
	else if ((transport[0] == 8 || transport[0] == 128) == is_source)
		end.port = read16(transport + 4);
	return end;
}

/* As it stands in the packet now. */
struct addr source_of(const struct packet *packet)
{
	return end_of(packet->bytes, true);
}

/* As it stands in the packet now. */
struct addr target_of(const struct packet *packet)
{
	return end_of(packet->bytes, false);
}

/* As it stands in the packet now. */
struct addr quoted_source_of(const struct packet *packet)
{
	return end_of(packet->bytes + header_of(packet->bytes) + 8, true);
}

/* Of whole packets. */
bool sums_hold(const struct packet *packet)
{
	return network_holds(packet->bytes) && transport_sum(packet->bytes, packet->size) == 0xffff;
}

/* The quoted packet must have been quoted to its end. */
bool quoted_sums_hold(const struct packet *packet)
{
	size_t from = header_of(packet->bytes) + 8;
	const uint8_t *quoted = packet->bytes + from;

	return network_holds(quoted) && transport_sum(quoted, packet->size - from) == 0xffff;
}
