#include "proto/node/outbox.h"

#include <string.h>

#include "base/mem.h"
#include "wire/limits.h"

/* Entries and arena live as long as the node. */
void outbox_init(struct outbox *box)
{
	*box = (struct outbox){
		.arena = mem_alloc_aligned(OUTBOX_ARENA),
		.entries = mem_alloc(OUTBOX_ENTRIES, sizeof *box->entries),
	};
}

/* Sealed bytes need no wiping. */
void outbox_finish(struct outbox *box)
{
	mem_free(box->arena);
	mem_free(box->entries);
	*box = (struct outbox){0};
}

static struct outbox_entry *entry_at(const struct outbox *box, uint64_t index)
{
	return &box->entries[index % OUTBOX_ENTRIES];
}

static struct outbox_entry *last_entry(const struct outbox *box)
{
	return box->end > box->next ? entry_at(box, box->end - 1) : NULL;
}

/* Forgets what lies in [from, from + size). False when something there has not been sent. */
static bool make_room(struct outbox *box, size_t from, size_t size)
{
	while (box->first < box->end) {
		const struct outbox_entry *oldest = entry_at(box, box->first);
		bool overlaps = oldest->offset < from + size && from < oldest->offset + oldest->size;

		if (!oldest->is_repeat && !overlaps && box->end - box->first < OUTBOX_ENTRIES)
			return true;
		if (box->first == box->next)
			return false;
		box->overwritten += overlaps;
		box->first++;
	}
	return true;
}

/* Can the open train take one more datagram of this size? Equal sizes; a shorter one closes it (UDP_SEGMENT). */
static bool fits_train(const struct outbox *box, size_t size, const void *owner, uint64_t tag)
{
	const struct outbox_entry *train = last_entry(box);

	return train && owner && !train->closed && train->owner == owner && train->tag == tag &&
	       train->sent_count == 0 && size <= train->segment_size && train->segments < SEGMENTS_MAX &&
	       train->size + size <= OUTBOX_TRAIN_MAX && train->offset + train->size == box->head &&
	       box->head + size <= OUTBOX_ARENA;
}

/* Extends the open train or opens room for a new one, wrapping at the end of the arena. */
uint8_t *outbox_reserve(struct outbox *box, size_t size, const void *owner, uint64_t tag)
{
	size_t at = box->head;

	box->reserved = 0;
	box->extends = fits_train(box, size, owner, tag);
	if (!box->extends && at + size > OUTBOX_ARENA)
		at = 0;
	if (!make_room(box, at, size))
		return NULL;
	box->head = at;
	box->reserved = size;
	return box->arena + at;
}

/* What was reserved is now a datagram. */
void outbox_commit(struct outbox *box, struct time_us now, const struct route *routes, uint8_t route_count,
		   const void *owner, uint64_t tag)
{
	struct outbox_entry *train;

	if (box->extends) {
		train = entry_at(box, box->end - 1);
		train->closed = box->reserved < train->segment_size;
	} else {
		train = entry_at(box, box->end++);
		*train = (struct outbox_entry){
			.route_count = route_count,
			.segment_size = (uint16_t)box->reserved,
			.offset = box->head,
			.owner = owner,
			.tag = tag,
			.at = now,
		};
		memcpy(train->routes, routes, route_count * sizeof *routes);
	}
	train->segments++;
	train->size += box->reserved;
	box->head += box->reserved;
	box->reserved = 0;
}

/* Copied: control messages are small and rare. */
bool outbox_put(struct outbox *box, struct time_us now, const struct route *route, const uint8_t *bytes, size_t size)
{
	uint8_t *room = outbox_reserve(box, size, NULL, 0);

	if (!room)
		return false;
	memcpy(room, bytes, size);
	outbox_commit(box, now, route, 1, NULL, 0);
	return true;
}

/* Is the entry far enough from the write position to survive until it has been sent again? */
static bool is_safe(const struct outbox *box, const struct outbox_entry *entry)
{
	size_t ahead = (entry->offset + OUTBOX_ARENA - box->head) % OUTBOX_ARENA;

	return ahead >= OUTBOX_GUARD || entry->offset < box->head;
}

/* Bytes are not copied: a new entry points at the old ones. */
uint32_t outbox_replay(struct outbox *box, struct time_us now, const void *owner, struct time_us since,
		       const struct route *route, size_t *bytes_left, uint32_t *ret_lost)
{
	uint64_t last = box->end;
	uint32_t replayed = 0, lost = 0;

	if (box->first < last && box->overwritten > 0 && time_since(entry_at(box, box->first)->at, since) > 0)
		lost = 1;
	for (uint64_t i = box->first; i < last; i++) {
		const struct outbox_entry old = *entry_at(box, i);

		if (old.owner != owner || old.is_repeat || time_since(old.at, since) < 0)
			continue;
		if (!is_safe(box, &old) || box->end - box->first >= OUTBOX_ENTRIES || old.size > *bytes_left) {
			lost += old.segments;
			continue;
		}
		struct outbox_entry *again = entry_at(box, box->end++);

		*again = old;
		again->routes[0] = *route;
		again->route_count = 1;
		again->sent_count = 0;
		again->closed = again->is_repeat = true;
		again->owner = NULL;
		again->at = now;
		*bytes_left -= old.size;
		replayed += old.segments;
	}
	*ret_lost = lost;
	return replayed;
}

/* A freed peer's address may be used again by another one. */
void outbox_forget(struct outbox *box, const void *owner)
{
	for (uint64_t i = box->first; i < box->end; i++)
		if (entry_at(box, i)->owner == owner)
			entry_at(box, i)->owner = NULL;
}

/* Each train leaves once per route. */
bool outbox_next(struct outbox *box, struct datagram *ret)
{
	while (box->next < box->end) {
		struct outbox_entry *entry = entry_at(box, box->next);

		if (entry->sent_count < entry->route_count) {
			*ret = (struct datagram){
				.route = entry->routes[entry->sent_count++],
				.bytes = box->arena + entry->offset,
				.size = entry->size,
				.segment_size = entry->segment_size,
			};
			return true;
		}
		box->next++;
	}
	return false;
}
