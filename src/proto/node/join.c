#include "proto/node/join.h"

#include <string.h>

#include "base/mem.h"

enum { PACKET_TOTAL_MAX = 65000 };

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* Allocates once. */
void join_init(struct join *join, bool join_udp)
{
	*join = (struct join){
		.arena = mem_alloc_aligned(JOIN_ARENA),
		.packets = mem_alloc(JOIN_PACKETS_MAX, sizeof *join->packets),
		.fresh = PACKET_ROOM,
		.join_udp = join_udp,
	};
}

/* For good. */
void join_set_plain(struct join *join)
{
	join->is_plain = true;
	join->open = false;
}

/* Plaintext of others' connections: wiping is left to the allocator's reuse, as in every kernel. */
void join_finish(struct join *join)
{
	mem_free_aligned(join->arena);
	mem_free(join->packets);
	*join = (struct join){0};
}

/* Packets handed out by join_next are no longer read. */
void join_reset(struct join *join)
{
	join->count = join->taken = 0;
	join->fresh = PACKET_ROOM;
	join->open = false;
	join->place = NULL;
}

static struct packet *last(struct join *join)
{
	return &join->packets[join->count - 1];
}

/* First byte behind the last packet and its room, where the next one may start. */
static size_t next_fresh(const struct join *join, const struct packet *packet)
{
	size_t end = (size_t)(packet->bytes - join->arena) + packet->size;

	return (end + 2 * PACKET_ROOM + 15) & ~(size_t)15;
}

/* Behind the open packet's payload when there is one, with the header over its tail. */
uint8_t *join_place(struct join *join, size_t room_size)
{
	if (join->count == JOIN_PACKETS_MAX || join->fresh + room_size + 4 * PACKET_ROOM + JOIN_HEADER_MAX > JOIN_ARENA)
		return NULL;
	join->speculative = join->open;
	if (!join->open) {
		join->place = join->arena + join->fresh;
		return join->place;
	}
	join->place = last(join)->bytes + last(join)->size - join->header_size;
	memcpy(join->saved, join->place, join->header_size);
	return join->place;
}

/* The tail under the header is put back. */
void join_cancel(struct join *join)
{
	if (join->speculative)
		memcpy(join->place, join->saved, join->header_size);
	join->place = NULL;
}

/* IP fields that one superpacket can only have once. */
static bool same_network_header(const struct join *join, const uint8_t *first, const uint8_t *next)
{
	if (join->version == 6)
		return memcmp(first, next, 4) == 0 && memcmp(first + 6, next + 6, 34) == 0;
	return first[1] == next[1] && memcmp(first + 6, next + 6, 4) == 0 && memcmp(first + 12, next + 12, 8) == 0 &&
	       ((first[6] & 0x40) || get16(next + 4) == ((get16(first + 4) + join->segments) & 0xffff));
}

/* Same flow, next byte, same acknowledgement, window and options: what a TSO engine would have cut from one packet. */
static bool continues_tcp(const struct join *join, const uint8_t *first, const uint8_t *next)
{
	const uint8_t *a = first + join->network_size, *b = next + join->network_size;
	size_t options = join->header_size - join->network_size - 20;

	return memcmp(a, b, 4) == 0 && get32(b + 4) == join->next_sequence && memcmp(a + 8, b + 8, 5) == 0 &&
	       ((a[13] ^ b[13]) & ~(TCP_FIN | TCP_PSH)) == 0 && memcmp(a + 14, b + 14, 2) == 0 &&
	       memcmp(a + 18, b + 18, 2) == 0 && memcmp(a + 20, b + 20, options) == 0;
}

/* A length that differs from IP's (RFC 768 allows less) would be lost in a superpacket. */
static bool has_udp_size(const struct inner *inner, const uint8_t *bytes)
{
	return get16(bytes + inner->network_size + 4) == (unsigned)(inner->total_size - inner->network_size);
}

/* Does the segment at join->place belong to the open packet? */
static bool continues(struct join *join, const struct inner *inner, size_t header_size, bool partial)
{
	const uint8_t *first = last(join)->bytes;
	size_t payload = inner->total_size - header_size;

	if (!partial || inner->version != join->version || inner->protocol != join->protocol ||
	    header_size != join->header_size || inner->network_size != join->network_size || payload == 0 ||
	    payload > last(join)->gso_size || last(join)->size + payload > PACKET_TOTAL_MAX)
		return false;
	/* The first packet's header lies apart from the place unless it is tiny: compare against the saved tail
	 * otherwise. */
	if (last(join)->size < 2 * join->header_size)
		return false;
	if (!same_network_header(join, first, join->place))
		return false;
	if (inner->protocol == PROTOCOL_TCP)
		return continues_tcp(join, first, join->place);
	return join->segments < JOIN_UDP_SEGMENTS_MAX && has_udp_size(inner, join->place) &&
	       memcmp(first + join->network_size, join->place + join->network_size, 4) == 0;
}

/* Appends the segment at join->place: its payload is there already. */
static void append(struct join *join, const struct inner *inner)
{
	struct packet *packet = last(join);
	size_t payload = inner->total_size - join->header_size;
	uint8_t flags = 0;

	if (join->protocol == PROTOCOL_TCP) {
		flags = join->place[join->network_size + 13] & (TCP_FIN | TCP_PSH);
		packet->bytes[join->network_size + 13] |= flags;
	}
	memcpy(join->place, join->saved, join->header_size);
	packet->size += payload;
	join->segments++;
	join->next_sequence += (uint32_t)payload;
	join->fresh = next_fresh(join, packet);
	if (flags || payload < packet->gso_size)
		join->open = false;
}

/* May segments be added to this packet? Only plain data with a checksum that covers nothing but the pseudo header. */
static bool can_grow(const struct join *join, const struct inner *inner, size_t header_size, const uint8_t *bytes)
{
	const uint8_t *transport = bytes + inner->network_size;

	if (join->is_plain || header_size == 0 || header_size > JOIN_HEADER_MAX || inner->total_size == header_size)
		return false;
	if (inner->version == 4 && inner->network_size != 20)
		return false;
	if (inner->protocol == PROTOCOL_UDP)
		return join->join_udp && has_udp_size(inner, bytes);
	return (transport[13] & ~TCP_PSH) == TCP_ACK && !(transport[13] & TCP_PSH);
}

/* A packet of its own, which later segments may join. */
static void start(struct join *join, const struct inner *inner, bool partial, uint8_t *bytes)
{
	struct packet *packet = &join->packets[join->count++];
	size_t header_size = partial ? inner_header_size(inner, bytes) : 0;

	*packet = (struct packet){.bytes = bytes, .size = inner->total_size};
	if (header_size > 0) {
		packet->checksum_partial = true;
		packet->checksum_start = inner->network_size;
		packet->checksum_offset = (uint16_t)inner_checksum_offset(inner->protocol);
		packet->header_size = (uint16_t)header_size;
		packet->gso_size = (uint16_t)(inner->total_size - header_size);
	}
	join->fresh = next_fresh(join, packet);
	join->open = can_grow(join, inner, header_size, bytes);
	if (!join->open)
		return;
	join->header_size = header_size;
	join->network_size = inner->network_size;
	join->protocol = inner->protocol;
	join->version = inner->version;
	join->segments = 1;
	join->next_sequence =
		inner->protocol == PROTOCOL_TCP ? get32(bytes + inner->network_size + 4) + packet->gso_size : 0;
}

/* Joins, or moves the segment to a place of its own and restores what it lay on. */
void join_accept(struct join *join, const struct inner *inner, bool checksum_partial)
{
	struct inner moved = *inner;
	uint8_t *bytes = join->place;

	if (join->speculative) {
		if (continues(join, inner, inner_header_size(inner, bytes), checksum_partial)) {
			append(join, inner);
			return;
		}
		bytes = join->arena + join->fresh;
		memmove(bytes, join->place, inner->total_size);
		memcpy(join->place, join->saved, join->header_size);
		moved.src = bytes + (inner->src - join->place);
		moved.dst = bytes + (inner->dst - join->place);
	}
	start(join, &moved, checksum_partial, bytes);
}

/* Lengths, checksums and offload fields of the finished packet. */
static void seal_up(struct packet *packet, bool is_plain)
{
	struct inner inner;
	uint8_t *bytes = packet->bytes;
	size_t payload = packet->size - packet->header_size;
	bool joined = payload > packet->gso_size;

	if (!packet->checksum_partial)
		return;
	if (joined) {
		if (bytes[0] >> 4 == 4)
			put16(bytes + 2, packet->size);
		else
			put16(bytes + 4, packet->size - 40);
	}
	if (inner_parse(bytes, packet->size, &inner) != OK)
		return;
	if (is_plain && !joined) { /* what was joined before that was known is refused, and cut */
		inner_complete_checksum(bytes, &inner);
		packet->checksum_partial = false;
		return;
	}
	if (joined) {
		inner_fix_network_checksum(bytes, &inner);
		if (inner.protocol == PROTOCOL_UDP)
			put16(bytes + inner.network_size + 4, packet->size - inner.network_size);
		packet->gso = inner.protocol == PROTOCOL_UDP ? PACKET_GSO_UDP
			      : inner.version == 4	     ? PACKET_GSO_TCP4
							     : PACKET_GSO_TCP6;
	}
	put16(bytes + packet->checksum_start + packet->checksum_offset,
	      inner_pseudo_sum(&inner, packet->size - inner.network_size));
}

/* In order of arrival. */
bool join_next(struct join *join, struct packet *ret)
{
	if (join->taken == join->count)
		return false;
	join->open = false;
	seal_up(&join->packets[join->taken], join->is_plain);
	*ret = join->packets[join->taken++];
	return true;
}
