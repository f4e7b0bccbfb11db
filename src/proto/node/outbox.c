#include "proto/node/outbox.h"

#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "wire/header.h"

#define MISSING_SPAN_US (500 * 1000LL)

/* Entries and memory live as long as the node. */
void outbox_init(struct outbox *box, unsigned lane_count)
{
	*box = (struct outbox){.lane_count = lane_count};
	for (unsigned i = 0; i < lane_count; i++) {
		box->lanes[i].memory = mem_alloc(OUTBOX_CHUNKS, OUTBOX_CHUNK);
		box->lanes[i].entries = mem_alloc(OUTBOX_ENTRIES, sizeof *box->lanes[i].entries);
	}
}

/* Sealed bytes need no wiping. */
void outbox_finish(struct outbox *box)
{
	for (unsigned i = 0; i < box->lane_count; i++) {
		mem_free(box->lanes[i].memory);
		mem_free(box->lanes[i].entries);
	}
	*box = (struct outbox){0};
}

static struct outbox_lane *current_lane(struct outbox *box)
{
	return &box->lanes[box->current];
}

/* Contract in the header. */
void outbox_use(struct outbox *box, unsigned lane)
{
	box->current = lane;
}

/* Contract in the header. */
void outbox_sent(struct outbox *box)
{
	current_lane(box)->next = current_lane(box)->taken;
}

static struct outbox_entry *entry_at(const struct outbox_lane *lane, uint64_t index)
{
	return &lane->entries[index % OUTBOX_ENTRIES];
}

static struct outbox_entry *last_entry(const struct outbox_lane *lane)
{
	return lane->end > lane->taken ? entry_at(lane, lane->end - 1) : NULL;
}

static struct outbox_chunk *chunk_of(struct outbox_lane *lane, size_t offset)
{
	return &lane->chunks[offset / OUTBOX_CHUNK];
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

static bool is_chunk_needed(const struct outbox_lane *lane, const struct outbox_chunk *chunk, struct time_us since)
{
	for (uint64_t i = chunk->first > lane->first ? chunk->first : lane->first; i < chunk->end; i++)
		if (is_pending(entry_at(lane, i), since))
			return true;
	return false;
}

/* The lowest free one, else the oldest that has been sent: what was in it is lost to replays. */
static bool open_chunk(struct outbox_lane *lane, struct time_us now)
{
	struct time_us since = time_add(now, -REPLAY_SPAN_MAX_US);
	struct outbox_chunk *found = NULL;

	for (int i = 0; i < OUTBOX_CHUNKS; i++) {
		struct outbox_chunk *chunk = &lane->chunks[i];

		if (chunk->busy > lane->next)
			continue;
		if (!is_chunk_needed(lane, chunk, since)) {
			found = chunk;
			break;
		}
		if (!found || chunk->first < found->first)
			found = chunk;
	}
	if (!found)
		return false;
	*found = (struct outbox_chunk){.first = lane->end, .end = lane->end};
	lane->head = (size_t)(found - lane->chunks) * OUTBOX_CHUNK;
	return true;
}

/* What nobody needs any more is forgotten: two for each that comes, so that it never lags behind. */
static void trim(struct outbox_lane *lane, struct time_us now, struct time_us since)
{
	for (int i = 0; i < 2 && lane->first < lane->next && !is_needed(entry_at(lane, lane->first), now, since); i++)
		lane->first++;
}

/* A slot for one more entry: the oldest gives way, unless it has not been sent. */
static bool make_entry(struct outbox_lane *lane, struct time_us now)
{
	struct time_us since = time_add(now, -REPLAY_SPAN_MAX_US);

	trim(lane, now, since);
	if (lane->end - lane->first < OUTBOX_ENTRIES)
		return true;
	if (lane->first == lane->next)
		return false;
	if (is_pending(entry_at(lane, lane->first), since))
		lane->forgotten_at = entry_at(lane, lane->first)->at;
	lane->first++;
	return true;
}

/* Can the open train take one more datagram of this size? Equal sizes; a shorter one closes it (UDP_SEGMENT). Only the
 * newest of all lanes grows: its counters follow each other. */
static bool fits_train(const struct outbox *box, size_t size, const struct outbox_owner *owner, uint64_t tag)
{
	const struct outbox_lane *lane = &box->lanes[box->current];
	const struct outbox_entry *train = last_entry(lane);

	return train && owner && !train->closed && train->owner == owner && train->tag == tag &&
	       train->number + 1 == box->number && train->sent_count == 0 && size <= train->segment_size &&
	       train->segments < SEGMENTS_MAX && train->size + size <= OUTBOX_TRAIN_MAX &&
	       train->offset + train->size == lane->head;
}

/* How many bytes are left behind head in its chunk: none before the first one is open and when it is exactly full. */
static size_t room_left(const struct outbox_lane *lane)
{
	return lane->end == 0 ? 0 : (OUTBOX_CHUNK - lane->head % OUTBOX_CHUNK) % OUTBOX_CHUNK;
}

/* Extends the open train or opens room for a new one. */
uint8_t *outbox_reserve(struct outbox *box, struct time_us now, size_t size, const struct outbox_owner *owner,
			uint64_t tag)
{
	struct outbox_lane *lane = current_lane(box);
	bool has_room = room_left(lane) >= size;

	lane->reserved = 0;
	lane->extends = has_room && fits_train(box, size, owner, tag);
	if (!lane->extends && !make_entry(lane, now))
		return NULL;
	if (!has_room && !open_chunk(lane, now))
		return NULL;
	lane->reserved = size;
	return lane->memory + lane->head;
}

/* One more to hand out; what it says is the caller's. */
static struct outbox_entry *append_entry(struct outbox *box, struct outbox_lane *lane, struct outbox_entry entry)
{
	struct outbox_entry *slot = entry_at(lane, lane->end++);

	entry.number = box->number++;
	*slot = entry;
	chunk_of(lane, entry.offset)->busy = lane->end;
	box->ready |= UINT32_C(1) << (lane - box->lanes);
	return slot;
}

static struct outbox_entry *add_entry(struct outbox *box, struct time_us now, const struct outbox_owner *owner,
				      uint64_t tag)
{
	struct outbox_lane *lane = current_lane(box);
	struct reader r = reader_over(lane->memory + lane->head, HEADER_SIZE);
	struct header header;
	bool is_sealed = owner && header_decode(&r, &header) == OK;

	chunk_of(lane, lane->head)->end = lane->end + 1;
	return append_entry(box, lane,
			    (struct outbox_entry){
				    .segment_size = (uint16_t)lane->reserved,
				    .offset = lane->head,
				    .owner = owner,
				    .tag = tag,
				    .space = is_sealed ? header.path : 0,
				    .counter = is_sealed ? header.counter : 0,
				    .at = now,
			    });
}

/* What was reserved is now a datagram. */
void outbox_commit(struct outbox *box, struct time_us now, const struct route *routes, uint8_t route_count,
		   const struct outbox_owner *owner, uint64_t tag)
{
	struct outbox_lane *lane = current_lane(box);
	struct outbox_entry *train;

	if (lane->extends) {
		train = last_entry(lane);
		train->closed = lane->reserved < train->segment_size;
	} else {
		train = add_entry(box, now, owner, tag);
		train->route_count = route_count;
		memcpy(train->routes, routes, route_count * sizeof *routes);
	}
	train->segments++;
	train->size += lane->reserved;
	lane->head += lane->reserved;
	lane->reserved = 0;
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
static void repeat(struct outbox *box, struct outbox_lane *lane, struct time_us now, const struct outbox_entry *old,
		   const struct route *route)
{
	struct outbox_entry again = *old;

	again.routes[0] = *route;
	again.route_count = 1;
	again.sent_count = 0;
	again.closed = again.is_repeat = true;
	again.owner = NULL;
	again.at = now;
	append_entry(box, lane, again);
}

/* Through all lanes at once, in the order in which the entries were made. */
struct walk {
	uint64_t at[OUTBOX_LANES_MAX], last[OUTBOX_LANES_MAX];
};

/* Where the lane's entries with this number or a higher one begin: their numbers rise. */
static uint64_t index_from(const struct outbox_lane *lane, uint64_t number)
{
	uint64_t low = lane->first, high = lane->end;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (entry_at(lane, middle)->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* From the entry with this number on, up to what there is now. */
static struct walk walk_from(const struct outbox *box, uint64_t number)
{
	struct walk walk = {0};

	for (unsigned i = 0; i < box->lane_count; i++) {
		walk.at[i] = index_from(&box->lanes[i], number);
		walk.last[i] = box->lanes[i].end;
	}
	return walk;
}

/* Where the next one lies; false at the end. */
static bool walk_next(const struct outbox *box, struct walk *walk, unsigned *ret_lane, uint64_t *ret_index)
{
	uint64_t lowest = UINT64_MAX;

	for (unsigned i = 0; i < box->lane_count; i++) {
		uint64_t number = walk->at[i] < walk->last[i] ? entry_at(&box->lanes[i], walk->at[i])->number : lowest;

		if (number >= lowest)
			continue;
		lowest = number;
		*ret_lane = i;
		*ret_index = walk->at[i];
	}
	if (lowest == UINT64_MAX)
		return false;
	walk->at[*ret_lane]++;
	return true;
}

/* Has its memory been given to another one since? */
static bool is_overwritten(const struct outbox_lane *lane, uint64_t index, const struct outbox_entry *entry)
{
	return index < lane->chunks[entry->offset / OUTBOX_CHUNK].first;
}

/* Oldest first, as the receiver would have had them. */
uint32_t outbox_replay(struct outbox *box, struct time_us now, const struct outbox_owner *owner, struct time_us since,
		       const struct route *route, size_t *bytes_left, uint32_t *ret_lost)
{
	struct walk walk = walk_from(box, 0);
	uint32_t replayed = 0, lost = 0;
	unsigned number = 0;
	uint64_t i = 0;

	for (unsigned k = 0; k < box->lane_count; k++)
		lost += box->lanes[k].forgotten_at.us > 0 && time_since(box->lanes[k].forgotten_at, since) >= 0;
	while (walk_next(box, &walk, &number, &i)) {
		struct outbox_lane *lane = &box->lanes[number];
		const struct outbox_entry old = *entry_at(lane, i); /* its slot may become that of its repetition */

		if (old.owner != owner || !is_needed(&old, now, since))
			continue;
		if (is_overwritten(lane, i, &old) || old.size > *bytes_left || !make_entry(lane, now)) {
			lost += is_pending(&old, since) ? old.segments : 0;
			continue;
		}
		repeat(box, lane, now, &old, route);
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
	struct walk walk = walk_from(box, *cursor);
	unsigned number = 0;
	uint64_t i = 0;

	while (walk_next(box, &walk, &number, &i)) {
		struct outbox_lane *lane = &box->lanes[number];
		const struct outbox_entry old = *entry_at(lane, i);

		if (old.owner == owner && is_needed(&old, now, since) && !is_overwritten(lane, i, &old)) {
			if (old.size > *bytes_left || !make_entry(lane, now))
				return;
			repeat(box, lane, now, &old, route);
			*bytes_left -= old.size;
		}
		*cursor = old.number + 1;
	}
}

/* Few are remembered that nobody needs, so the search is short. */
struct time_us outbox_oldest(const struct outbox *box, const struct outbox_owner *owner, struct time_us since)
{
	struct time_us oldest = TIME_NEVER;

	for (unsigned k = 0; k < box->lane_count; k++) {
		const struct outbox_lane *lane = &box->lanes[k];

		for (uint64_t i = lane->first; i < lane->end; i++)
			if (entry_at(lane, i)->owner == owner && is_pending(entry_at(lane, i), since)) {
				oldest = time_min(oldest, entry_at(lane, i)->at);
				break;
			}
	}
	return oldest;
}

/* Without those whose chunk was written to again. */
bool outbox_pending(const struct outbox *box, const struct outbox_owner *owner, struct time_us since, uint64_t *cursor,
		    struct blob *ret_train, uint16_t *ret_segment_size)
{
	struct walk walk = walk_from(box, *cursor);
	unsigned number = 0;
	uint64_t i = 0;

	while (walk_next(box, &walk, &number, &i)) {
		const struct outbox_lane *lane = &box->lanes[number];
		const struct outbox_entry *entry = entry_at(lane, i);

		if (entry->owner != owner || !is_pending(entry, since) || is_overwritten(lane, i, entry))
			continue;
		*cursor = entry->number + 1;
		*ret_train = (struct blob){lane->memory + entry->offset, entry->size};
		*ret_segment_size = entry->segment_size;
		return true;
	}
	return false;
}

/* A freed peer's address may be used again by another one. */
void outbox_forget(struct outbox *box, const struct outbox_owner *owner)
{
	for (unsigned k = 0; k < box->lane_count; k++) {
		struct outbox_lane *lane = &box->lanes[k];

		for (uint64_t i = lane->first; i < lane->end; i++)
			if (entry_at(lane, i)->owner == owner)
				entry_at(lane, i)->owner = NULL;
	}
}

/* Each train leaves once per route. */
bool outbox_next(struct outbox *box, struct datagram *ret)
{
	struct outbox_lane *lane = current_lane(box);

	while (lane->taken < lane->end) {
		struct outbox_entry *entry = entry_at(lane, lane->taken);

		if (entry->sent_count < entry->route_count) {
			*ret = (struct datagram){
				.route = entry->routes[entry->sent_count++],
				.bytes = lane->memory + entry->offset,
				.size = entry->size,
				.segment_size = entry->segment_size,
			};
			return true;
		}
		lane->taken++;
		if (box->lane_count == 1) /* whoever asks for the next has sent this one */
			lane->next = lane->taken;
	}
	box->ready &= ~(UINT32_C(1) << box->current);
	return false;
}
