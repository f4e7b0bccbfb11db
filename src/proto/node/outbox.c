#include "proto/node/outbox.h"

#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "wire/header.h"

#define MISSING_SPAN_US (500 * 1000LL)

/* Entries and memory live as long as the node. */
void outbox_init(struct outbox *box)
{
	*box = (struct outbox){
		.memory = mem_alloc(OUTBOX_CHUNKS, OUTBOX_CHUNK),
		.entries = mem_alloc(OUTBOX_ENTRIES, sizeof *box->entries),
	};
}

/* Sealed bytes need no wiping. */
void outbox_finish(struct outbox *box)
{
	mem_free(box->memory);
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

static struct outbox_chunk *chunk_of(struct outbox *box, size_t offset)
{
	return &box->chunks[offset / OUTBOX_CHUNK];
}

/* Nothing that was sealed after it has arrived either, or part of it: it may still be on its way. */
static bool is_pending(const struct outbox_entry *entry, struct time_us since)
{
	return entry->owner && !entry->is_repeat && time_since(entry->at, since) >= 0 &&
	       entry->counter + entry->segments > entry->owner->arrived.spaces[entry->space].next;
}

/* Later ones have arrived, this has not: it keeps no memory from being used again, but goes again if it is there. */
static bool is_missing(const struct outbox_entry *entry, struct time_us now)
{
	const struct receipt_space *space = entry->owner ? &entry->owner->arrived.spaces[entry->space] : NULL;

	if (!space || entry->is_repeat || time_since(now, entry->at) > MISSING_SPAN_US)
		return false;
	for (unsigned i = 0; i < space->missing_count; i++)
		if (entry->counter < space->missing[i].end &&
		    entry->counter + entry->segments > space->missing[i].first)
			return true;
	return false;
}

/* Is it to be sent again in a replay of what was sealed since then? */
static bool is_needed(const struct outbox_entry *entry, struct time_us now, struct time_us since)
{
	return is_pending(entry, since) || (time_since(entry->at, since) >= 0 && is_missing(entry, now));
}

static bool is_chunk_needed(const struct outbox *box, const struct outbox_chunk *chunk, struct time_us since)
{
	for (uint64_t i = chunk->first > box->first ? chunk->first : box->first; i < chunk->end; i++)
		if (is_pending(entry_at(box, i), since))
			return true;
	return false;
}

/* The lowest free one, else the oldest that has been sent: what was in it is lost to replays. */
static bool open_chunk(struct outbox *box, struct time_us now)
{
	struct time_us since = time_add(now, -REPLAY_SPAN_MAX_US);
	struct outbox_chunk *found = NULL;

	for (int i = 0; i < OUTBOX_CHUNKS; i++) {
		struct outbox_chunk *chunk = &box->chunks[i];

		if (chunk->busy > box->next)
			continue;
		if (!is_chunk_needed(box, chunk, since)) {
			found = chunk;
			break;
		}
		if (!found || chunk->first < found->first)
			found = chunk;
	}
	if (!found)
		return false;
	*found = (struct outbox_chunk){.first = box->end, .end = box->end};
	box->head = (size_t)(found - box->chunks) * OUTBOX_CHUNK;
	return true;
}

/* What nobody needs any more is forgotten: two for each that comes, so that it never lags behind. */
static void trim(struct outbox *box, struct time_us now, struct time_us since)
{
	for (int i = 0; i < 2 && box->first < box->next && !is_needed(entry_at(box, box->first), now, since); i++)
		box->first++;
}

/* A slot for one more entry: the oldest gives way, unless it has not been sent. */
static bool make_entry(struct outbox *box, struct time_us now)
{
	struct time_us since = time_add(now, -REPLAY_SPAN_MAX_US);

	trim(box, now, since);
	if (box->end - box->first < OUTBOX_ENTRIES)
		return true;
	if (box->first == box->next)
		return false;
	if (is_pending(entry_at(box, box->first), since))
		box->forgotten_at = entry_at(box, box->first)->at;
	box->first++;
	return true;
}

/* Can the open train take one more datagram of this size? Equal sizes; a shorter one closes it (UDP_SEGMENT). */
static bool fits_train(const struct outbox *box, size_t size, const struct outbox_owner *owner, uint64_t tag)
{
	const struct outbox_entry *train = last_entry(box);

	return train && owner && !train->closed && train->owner == owner && train->tag == tag &&
	       train->sent_count == 0 && size <= train->segment_size && train->segments < SEGMENTS_MAX &&
	       train->size + size <= OUTBOX_TRAIN_MAX && train->offset + train->size == box->head;
}

/* How many bytes are left behind head in its chunk: none before the first one is open and when it is exactly full. */
static size_t room_left(const struct outbox *box)
{
	return box->end == 0 ? 0 : (OUTBOX_CHUNK - box->head % OUTBOX_CHUNK) % OUTBOX_CHUNK;
}

/* Extends the open train or opens room for a new one. */
uint8_t *outbox_reserve(struct outbox *box, struct time_us now, size_t size, const struct outbox_owner *owner,
			uint64_t tag)
{
	bool has_room = room_left(box) >= size;

	box->reserved = 0;
	box->extends = has_room && fits_train(box, size, owner, tag);
	if (!box->extends && !make_entry(box, now))
		return NULL;
	if (!has_room && !open_chunk(box, now))
		return NULL;
	box->reserved = size;
	return box->memory + box->head;
}

static struct outbox_entry *add_entry(struct outbox *box, struct time_us now, const struct outbox_owner *owner,
				      uint64_t tag)
{
	struct outbox_entry *entry = entry_at(box, box->end++);
	struct outbox_chunk *chunk = chunk_of(box, box->head);
	struct reader r = reader_over(box->memory + box->head, HEADER_SIZE);
	struct header header;
	bool is_sealed = owner && header_decode(&r, &header) == OK;

	*entry = (struct outbox_entry){
		.segment_size = (uint16_t)box->reserved,
		.offset = box->head,
		.owner = owner,
		.tag = tag,
		.space = is_sealed ? header.path : 0,
		.counter = is_sealed ? header.counter : 0,
		.at = now,
	};
	chunk->end = chunk->busy = box->end;
	return entry;
}

/* What was reserved is now a datagram. */
void outbox_commit(struct outbox *box, struct time_us now, const struct route *routes, uint8_t route_count,
		   const struct outbox_owner *owner, uint64_t tag)
{
	struct outbox_entry *train;

	if (box->extends) {
		train = last_entry(box);
		train->closed = box->reserved < train->segment_size;
	} else {
		train = add_entry(box, now, owner, tag);
		train->route_count = route_count;
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
	uint8_t *room = outbox_reserve(box, now, size, NULL, 0);

	if (!room)
		return false;
	memcpy(room, bytes, size);
	outbox_commit(box, now, route, 1, NULL, 0);
	return true;
}

/* Bytes are not copied: a new entry points at the old ones, and their chunk waits for it. */
static void repeat(struct outbox *box, struct time_us now, const struct outbox_entry *old, const struct route *route)
{
	struct outbox_entry *again = entry_at(box, box->end++);

	*again = *old;
	again->routes[0] = *route;
	again->route_count = 1;
	again->sent_count = 0;
	again->closed = again->is_repeat = true;
	again->owner = NULL;
	again->at = now;
	chunk_of(box, again->offset)->busy = box->end;
}

/* Oldest first, as the receiver would have had them. */
uint32_t outbox_replay(struct outbox *box, struct time_us now, const struct outbox_owner *owner, struct time_us since,
		       const struct route *route, size_t *bytes_left, uint32_t *ret_lost)
{
	uint64_t last = box->end;
	uint32_t replayed = 0, lost = box->forgotten_at.us > 0 && time_since(box->forgotten_at, since) >= 0;

	for (uint64_t i = box->first; i < last; i++) {
		const struct outbox_entry old = *entry_at(box, i); /* its slot may become that of its repetition */

		if (old.owner != owner || !is_needed(&old, now, since))
			continue;
		if (i < chunk_of(box, old.offset)->first || old.size > *bytes_left || !make_entry(box, now)) {
			lost += is_pending(&old, since) ? old.segments : 0;
			continue;
		}
		repeat(box, now, &old, route);
		*bytes_left -= old.size;
		replayed += old.segments;
	}
	*ret_lost = lost;
	return replayed;
}

/* In order, so that no younger packet hides from the receipts that an older one is missing. */
void outbox_replay_on(struct outbox *box, struct time_us now, const struct outbox_owner *owner, struct time_us since,
		      const struct route *route, uint64_t *cursor, size_t *bytes_left)
{
	uint64_t last = box->end;

	for (uint64_t i = *cursor > box->first ? *cursor : box->first; i < last; i++) {
		const struct outbox_entry old = *entry_at(box, i);

		if (old.owner == owner && is_needed(&old, now, since) && i >= chunk_of(box, old.offset)->first) {
			if (old.size > *bytes_left || !make_entry(box, now))
				return;
			repeat(box, now, &old, route);
			*bytes_left -= old.size;
		}
		*cursor = i + 1;
	}
}

/* Few are remembered that nobody needs, so the search is short. */
struct time_us outbox_oldest(const struct outbox *box, const struct outbox_owner *owner, struct time_us since)
{
	for (uint64_t i = box->first; i < box->end; i++)
		if (entry_at(box, i)->owner == owner && is_pending(entry_at(box, i), since))
			return entry_at(box, i)->at;
	return TIME_NEVER;
}

/* Without those whose chunk was written to again. */
bool outbox_pending(const struct outbox *box, const struct outbox_owner *owner, struct time_us since, uint64_t *cursor,
		    struct blob *ret_train, uint16_t *ret_segment_size)
{
	for (uint64_t i = *cursor > box->first ? *cursor : box->first; i < box->end; i++) {
		const struct outbox_entry *entry = entry_at(box, i);

		if (entry->owner != owner || !is_pending(entry, since) ||
		    i < box->chunks[entry->offset / OUTBOX_CHUNK].first)
			continue;
		*cursor = i + 1;
		*ret_train = (struct blob){box->memory + entry->offset, entry->size};
		*ret_segment_size = entry->segment_size;
		return true;
	}
	return false;
}

/* A freed peer's address may be used again by another one. */
void outbox_forget(struct outbox *box, const struct outbox_owner *owner)
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
				.bytes = box->memory + entry->offset,
				.size = entry->size,
				.segment_size = entry->segment_size,
			};
			return true;
		}
		box->next++;
	}
	return false;
}
