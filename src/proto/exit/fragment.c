#include "proto/exit/fragment.h"

#include <string.h>

static void make_name(const struct translate *t, uint32_t owner, uint8_t name[FRAGMENT_NAME_SIZE])
{
	memset(name, 0, FRAGMENT_NAME_SIZE);
	memcpy(name, &t->fragment_id, 4);
	memcpy(name + 4, t->source.ip.bytes, 16);
	memcpy(name + 20, t->target.ip.bytes, 16);
	memcpy(name + 36, &owner, 4);
	name[40] = t->inner.version;
	name[41] = t->inner.protocol;
}

static bool is_past(const struct fragmented *datagram, struct time_us now)
{
	return datagram->state == FRAGMENTED_NONE || time_reached(now, datagram->deadline);
}

/* Its held pieces go as well. */
void fragment_forget(struct fragment_table *table, struct fragmented *datagram)
{
	struct fragment_held *held;

	while ((held = fragment_next_held(table, datagram)) != NULL)
		held->of = NULL;
	datagram->state = FRAGMENTED_NONE;
}

/* Kept until its time is over, so that it is refused as a whole. */
void fragment_refuse(struct fragment_table *table, struct fragmented *datagram)
{
	fragment_forget(table, datagram);
	datagram->state = FRAGMENTED_REFUSED;
}

static struct fragmented *find(struct fragment_table *table, struct time_us now, const uint8_t name[FRAGMENT_NAME_SIZE])
{
	for (int i = 0; i < FRAGMENTED_MAX; i++)
		if (!is_past(&table->list[i], now) && memcmp(table->list[i].name, name, FRAGMENT_NAME_SIZE) == 0)
			return &table->list[i];
	return NULL;
}

/* A place that nobody needs; else the oldest of the owner's, who pays for itself; from outside, of all. */
static struct fragmented *choose(struct fragment_table *table, struct time_us now, uint32_t owner)
{
	struct fragmented *free = NULL, *oldest = NULL;
	int own = 0;

	for (int i = 0; i < FRAGMENTED_MAX; i++) {
		struct fragmented *datagram = &table->list[i];

		if (is_past(datagram, now)) {
			free = datagram;
			continue;
		}
		if (datagram->owner != owner)
			continue;
		own++;
		if (!oldest || datagram->deadline.us < oldest->deadline.us)
			oldest = datagram;
	}
	return free && (own < FRAGMENTED_NODE_MAX || owner == FRAGMENT_STRANGER) ? free : oldest;
}

static struct fragmented *obtain(struct fragment_table *table, struct time_us now, const struct translate *t,
				 uint32_t owner)
{
	uint8_t name[FRAGMENT_NAME_SIZE];
	struct fragmented *datagram;

	make_name(t, owner, name);
	datagram = find(table, now, name);
	if (datagram)
		return datagram;
	datagram = choose(table, now, owner);
	if (!datagram)
		return NULL;
	fragment_forget(table, datagram);
	*datagram = (struct fragmented){
		.state = FRAGMENTED_WAITING, .deadline = time_add(now, FRAGMENT_PATIENCE_US), .owner = owner};
	memcpy(datagram->name, name, sizeof name);
	return datagram;
}

/* RFC 5722: one byte that is there twice condemns the whole, whichever piece would be the right one. */
static bool mark(struct fragmented *datagram, const struct translate *t)
{
	uint32_t payload = (uint32_t)t->inner.total_size - t->inner.network_size;
	uint32_t from = t->fragment_at / 8, to = (t->fragment_at + payload + 7) / 8;

	if (!t->has_more && datagram->end != 0)
		return false;
	if (!t->has_more)
		datagram->end = to;
	datagram->highest = to > datagram->highest ? to : datagram->highest;
	if (datagram->end != 0 && datagram->highest > datagram->end)
		return false;
	for (uint32_t i = from; i < to; i++) {
		uint64_t bit = (uint64_t)1 << i % 64;

		if (datagram->units[i / 64] & bit)
			return false;
		datagram->units[i / 64] |= bit;
	}
	datagram->known += to - from;
	return true;
}

/* Pieces that were taken before stay valid no longer. */
struct fragmented *fragment_note(struct fragment_table *table, struct time_us now, const struct translate *t,
				 uint32_t owner)
{
	struct fragmented *datagram = obtain(table, now, t, owner);

	if (!datagram || datagram->state == FRAGMENTED_REFUSED)
		return NULL;
	if (mark(datagram, t))
		return datagram;
	fragment_refuse(table, datagram);
	return NULL;
}

/* A copy: the packet is its owner's. */
bool fragment_hold(struct fragment_table *table, struct time_us now, struct fragmented *datagram,
		   const struct packet *packet)
{
	struct fragment_held *room = NULL;
	int own = 0;

	for (int i = 0; i < FRAGMENTS_HELD_MAX; i++) {
		struct fragment_held *held = &table->held[i];
		bool is_free = !held->is_ready && (!held->of || is_past(held->of, now));

		room = is_free ? held : room;
		own += !is_free && held->of && held->of->owner == datagram->owner;
	}
	if (!room || packet->size > FRAGMENT_HELD_SIZE ||
	    (own >= FRAGMENTS_HELD_NODE_MAX && datagram->owner != FRAGMENT_STRANGER))
		return false;
	room->of = datagram;
	room->size = (uint16_t)packet->size;
	memcpy(room->bytes + PACKET_ROOM, packet->bytes, packet->size);
	return true;
}

/* The table is small, and this is asked once a datagram. */
struct fragment_held *fragment_next_held(struct fragment_table *table, const struct fragmented *datagram)
{
	for (int i = 0; i < FRAGMENTS_HELD_MAX; i++)
		if (table->held[i].of == datagram)
			return &table->held[i];
	return NULL;
}

/* Then its identification may be used again. */
bool fragment_is_complete(const struct fragmented *datagram)
{
	return datagram->end != 0 && datagram->known == datagram->end;
}

/* Each once. */
bool fragment_take(struct fragment_table *table, struct packet *ret)
{
	for (int i = 0; i < FRAGMENTS_HELD_MAX; i++) {
		struct fragment_held *held = &table->held[i];

		if (!held->is_ready)
			continue;
		held->is_ready = false;
		*ret = (struct packet){.bytes = held->bytes + PACKET_ROOM, .size = held->size};
		return true;
	}
	return false;
}
