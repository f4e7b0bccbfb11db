/* What a program is told when its packet may not go: at once, so that it need not wait for its own patience to end. */
#include <string.h>

#include "proto/exit/state.h"

enum { TTL = 64 };

static void put32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	p[1] = (uint8_t)(value >> 16);
	p[2] = (uint8_t)(value >> 8);
	p[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * All say "administratively prohibited" to programs (RFC 1812 5.2.7.1, RFC 4443 3.1); which code it is tells the node
 * why: the communication, the network and the host in IPv4; prohibited, source policy and reject route in IPv6.
 */
bool refuse_prohibited(const struct translate *t, enum refuse_cause cause, struct exit_answer *ret)
{
	static const uint8_t codes4[] = {[REFUSE_DESTINATION] = 13, [REFUSE_NODE] = 9, [REFUSE_QUOTA] = 10};
	static const uint8_t codes6[] = {[REFUSE_DESTINATION] = 1, [REFUSE_NODE] = 5, [REFUSE_QUOTA] = 6};
	uint8_t *bytes = ret->buffer + PACKET_ROOM;
	struct translate answer;

	ret->packet = (struct packet){.bytes = bytes};
	ret->packet.size = inner_icmp_error(t->packet->bytes, t->packet->size, 0, bytes);
	if (ret->packet.size == 0)
		return false;
	bytes[t->inner.version == 4 ? 21 : 41] = t->inner.version == 4 ? codes4[cause] : codes6[cause];
	if (translate_parse(&answer, &ret->packet) != OK)
		return false;
	translate_finish_error(&answer);
	return true;
}

static size_t start_reset(const struct translate *t, uint8_t *bytes)
{
	size_t header = t->inner.version == 4 ? 20 : 40, address = t->inner.version == 4 ? 4 : 16;

	memset(bytes, 0, header + 20);
	if (t->inner.version == 4) {
		bytes[0] = 0x45;
		bytes[3] = 40;
		bytes[8] = TTL;
		bytes[9] = PROTOCOL_TCP;
	} else {
		bytes[0] = 0x60;
		bytes[5] = 20;
		bytes[6] = PROTOCOL_TCP;
		bytes[7] = TTL;
	}
	memcpy(bytes + header - 2 * address, t->inner.dst, address);
	memcpy(bytes + header - address, t->inner.src, address);
	return header;
}

/* RFC 9293 3.10.7.1: what the reset says that a host sends which has no such connection. */
bool refuse_reset(const struct translate *t, struct exit_answer *ret)
{
	const uint8_t *transport = t->packet->bytes + t->inner.network_size;
	uint8_t *bytes = ret->buffer + PACKET_ROOM, *tcp;
	size_t header, payload;
	struct inner inner;

	if (t->kind != TRANSLATE_TCP || (t->tcp_flags & TCP_RST))
		return false;
	payload = t->inner.total_size - inner_header_size(&t->inner, t->packet->bytes);
	header = start_reset(t, bytes);
	tcp = bytes + header;
	memcpy(tcp, transport + 2, 2);
	memcpy(tcp + 2, transport, 2);
	tcp[12] = 5 << 4;
	tcp[13] = TCP_RST;
	if (t->tcp_flags & TCP_ACK) {
		memcpy(tcp + 4, transport + 8, 4);
	} else {
		put32(tcp + 8, get32(transport + 4) + (uint32_t)payload + !!(t->tcp_flags & TCP_SYN) +
				       !!(t->tcp_flags & TCP_FIN));
		tcp[13] |= TCP_ACK;
	}
	ret->packet = (struct packet){.bytes = bytes, .size = header + 20};
	if (inner_parse(bytes, ret->packet.size, &inner) != OK)
		return false;
	inner_fix_network_checksum(bytes, &inner);
	inner_complete_checksum(bytes, &inner);
	return true;
}
