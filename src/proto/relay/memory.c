#include "proto/relay/memory.h"

#include <string.h>

#include "base/mem.h"

/* A slice's chunk is found by its number alone. */
void memory_init(struct memory *memory, size_t size)
{
	size_t chunk_size = size / MEMORY_SLICES / MEMORY_ALIGN * MEMORY_ALIGN;

	*memory = (struct memory){0};
	if (!chunk_size)
		return;
	memory->chunk_size =
		chunk_size < UINT32_MAX / 2 ? (uint32_t)chunk_size : UINT32_MAX / 2 / MEMORY_ALIGN * MEMORY_ALIGN;
	memory->bytes = mem_alloc(MEMORY_SLICES, memory->chunk_size);
}

/* What is remembered is sealed: nothing to wipe. */
void memory_finish(struct memory *memory)
{
	mem_free(memory->bytes);
	*memory = (struct memory){0};
}

static uint32_t slice_of(int64_t us)
{
	return (uint32_t)(us >> MEMORY_SLICE_BITS);
}

static struct memory_entry *entry_at(const struct memory *memory, uint32_t slice, uint32_t offset)
{
	return (struct memory_entry *)(void *)(memory->bytes + (size_t)(slice % MEMORY_SLICES) * memory->chunk_size +
					       offset);
}

/* A number is the slice and, one higher than it is, the offset in its chunk: 0 is none. */
struct memory_entry *memory_at(const struct memory *memory, uint64_t number)
{
	uint32_t slice = (uint32_t)(number >> 32);

	if (!number || memory->chunks[slice % MEMORY_SLICES].slice != slice)
		return NULL;
	return entry_at(memory, slice, (uint32_t)number - 1);
}

/* The chunk of this slice, empty when it is new. */
static uint32_t chunk_of(struct memory *memory, uint32_t slice)
{
	uint32_t index = slice % MEMORY_SLICES;

	if (memory->chunks[index].slice != slice) {
		memory->chunks[index].slice = slice;
		memory->chunks[index].used = memory->chunks[index].count = 0;
	}
	return index;
}

/* What the leg has used of this slice; more than a share when it has wanted more than there was not long ago. */
static uint32_t share_of(const struct memory *memory, uint32_t slice, uint64_t newest)
{
	const struct memory_entry *before = memory_at(memory, newest);
	uint32_t age = slice - (uint32_t)(newest >> 32);

	if (before && before->wants_more && age <= MEMORY_PAUSE)
		return memory->chunk_size;
	return before && age == 0 ? before->share : 0;
}

/* Is the slice full, or has the leg had its share of it? share: with what it wants now; count: without. */
static bool is_full(const struct memory *memory, uint32_t index, uint32_t share, uint32_t size, uint32_t count)
{
	if (share > memory->chunk_size / MEMORY_SHARE || size > memory->chunk_size - memory->chunks[index].used)
		return true;
	return memory->entries_max &&
	       (count >= memory->entries_max / MEMORY_SHARE || memory->chunks[index].count >= memory->entries_max);
}

/* No search, no list but the leg's own: a copy, and 40 bytes before it. */
uint64_t memory_keep(struct memory *memory, struct time_us now, uint64_t newest, const struct datagram *datagram,
		     uint8_t leg, uint8_t place)
{
	uint32_t slice = slice_of(now.us), index = chunk_of(memory, slice), offset = memory->chunks[index].used;
	uint32_t share = share_of(memory, slice, newest);
	uint32_t size = (uint32_t)((sizeof(struct memory_entry) + datagram->size + MEMORY_ALIGN - 1) / MEMORY_ALIGN *
				   MEMORY_ALIGN);
	struct memory_entry *entry = memory_at(memory, newest);
	uint32_t count = entry && (uint32_t)(newest >> 32) == slice ? entry->count : 0;

	if (is_full(memory, index, share + size, size, count)) {
		if (entry && share < memory->chunk_size)
			entry->wants_more = true;
		return newest;
	}
	memory->chunks[index].used += size;
	memory->chunks[index].count++;
	entry = entry_at(memory, slice, offset);
	*entry = (struct memory_entry){
		.older = newest,
		.kept_us = now.us,
		.size = (uint32_t)datagram->size,
		.share = share + size,
		.segment_size = datagram->segment_size,
		.leg = leg,
		.place = place,
		.count = (uint16_t)(count + 1),
	};
	memcpy(entry + 1, datagram->bytes, datagram->size);
	return (uint64_t)slice << 32 | (offset + 1);
}
