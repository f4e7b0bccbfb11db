#include "proto/relay/table.h"

#include "base/mem.h"
#include "crypto/hash.h"

enum { PAIR_ALIGN = 64 };

/* At most half of the index is ever full, so that probing stays short. */
void pair_table_init(struct pair_table *table, uint32_t pairs_max, const uint8_t key[16])
{
	uint32_t slots = 16;
	void *memory = mem_alloc((size_t)pairs_max + 1, sizeof *table->pairs);

	while (slots / 2 < pairs_max)
		slots *= 2;
	*table = (struct pair_table){
		.memory = memory,
		.pairs = (void *)(((uintptr_t)memory + PAIR_ALIGN - 1) / PAIR_ALIGN * PAIR_ALIGN),
		.index = mem_alloc(slots, sizeof *table->index),
		.index_mask = slots - 1,
		.number_mask = slots - 1, /* a number plus one is at most half of it */
		.pairs_max = pairs_max,
		.free = PAIR_NONE,
		.head = {PAIR_NONE, PAIR_NONE},
		.tail = {PAIR_NONE, PAIR_NONE},
	};
	for (unsigned i = 0; i < sizeof table->key; i++)
		table->key[i] = key[i];
}

/* Only pairs that were ever used are touched. */
void pair_table_finish(struct pair_table *table)
{
	wipe(table->pairs, (size_t)table->fresh * sizeof *table->pairs);
	mem_free(table->memory);
	mem_free(table->index);
	wipe(table, sizeof *table);
}

/* PathIDs are chosen by coordinators and seen by strangers; the key keeps both from choosing collisions. */
uint64_t pair_table_hash(const struct pair_table *table, uint64_t path_id)
{
	return siphash(table->key, &path_id, sizeof path_id);
}

/* Bits of the hash that the slot does not tell: who differs in them need not be looked at. */
static uint32_t tag_of(const struct pair_table *table, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & ~table->number_mask;
}

/* The slot that holds path_id, or the empty one where it would go. */
static uint32_t slot_of(const struct pair_table *table, uint64_t path_id, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & table->index_mask, tag = tag_of(table, hash), entry;

	while ((entry = table->index[at])) {
		if ((entry & ~table->number_mask) == tag &&
		    table->pairs[(entry & table->number_mask) - 1].flow.path_id == path_id)
			break;
		at = (at + 1) & table->index_mask;
	}
	return at;
}

/* Contract in the header. */
void pair_table_expect_slot(const struct pair_table *table, uint64_t hash)
{
	__builtin_prefetch(&table->index[(uint32_t)hash & table->index_mask]);
}

/* The first one with these bits of the hash: nearly always the one. */
void pair_table_expect_pair(const struct pair_table *table, uint64_t hash)
{
	uint32_t at = (uint32_t)hash & table->index_mask, tag = tag_of(table, hash), entry;

	while ((entry = table->index[at]) && (entry & ~table->number_mask) != tag)
		at = (at + 1) & table->index_mask;
	if (!entry)
		return;
	for (size_t i = 0; i < sizeof(struct relay_flow); i += PAIR_ALIGN)
		__builtin_prefetch((const uint8_t *)&table->pairs[(entry & table->number_mask) - 1].flow + i, 1);
}

/* One probe sequence. */
struct pair *pair_table_find_hashed(const struct pair_table *table, uint64_t path_id, uint64_t hash)
{
	uint32_t entry = table->index[slot_of(table, path_id, hash)];

	return entry ? &table->pairs[(entry & table->number_mask) - 1] : NULL;
}

/* For those who ask rarely. */
struct pair *pair_table_find(const struct pair_table *table, uint64_t path_id)
{
	return pair_table_find_hashed(table, path_id, pair_table_hash(table, path_id));
}

static void list_append(struct pair_table *table, struct pair *pair, enum pair_list list)
{
	uint32_t number = (uint32_t)(pair - table->pairs);

	pair->list = (uint8_t)list;
	pair->next = PAIR_NONE;
	pair->prev = table->tail[list];
	if (pair->prev == PAIR_NONE)
		table->head[list] = number;
	else
		table->pairs[pair->prev].next = number;
	table->tail[list] = number;
}

static void list_remove(struct pair_table *table, struct pair *pair)
{
	if (pair->prev == PAIR_NONE)
		table->head[pair->list] = pair->next;
	else
		table->pairs[pair->prev].next = pair->next;
	if (pair->next == PAIR_NONE)
		table->tail[pair->list] = pair->prev;
	else
		table->pairs[pair->next].prev = pair->prev;
}

/* Freed pairs are used again before fresh memory is touched. */
struct pair *pair_table_add(struct pair_table *table, uint64_t path_id, struct time_us check)
{
	uint32_t number = table->free;
	uint64_t hash = pair_table_hash(table, path_id);
	struct pair *pair;

	if (number != PAIR_NONE)
		table->free = table->pairs[number].next;
	else if (table->fresh < table->pairs_max)
		number = table->fresh++;
	else
		return NULL;
	pair = &table->pairs[number];
	*pair = (struct pair){.flow.path_id = path_id, .check = check, .used = true};
	table->index[slot_of(table, path_id, hash)] = tag_of(table, hash) | (number + 1);
	table->count++;
	list_append(table, pair, PAIR_UNBOUND);
	return pair;
}

/* Backward-shift deletion: no tombstones, so look-ups stay short for ever. */
static void index_remove(struct pair_table *table, uint64_t path_id)
{
	uint32_t hole = slot_of(table, path_id, pair_table_hash(table, path_id)), at = hole;

	for (;;) {
		at = (at + 1) & table->index_mask;
		if (!table->index[at])
			break;
		const struct pair *pair = &table->pairs[(table->index[at] & table->number_mask) - 1];
		uint32_t home = (uint32_t)pair_table_hash(table, pair->flow.path_id) & table->index_mask;

		if (((at - home) & table->index_mask) >= ((at - hole) & table->index_mask)) {
			table->index[hole] = table->index[at];
			hole = at;
		}
	}
	table->index[hole] = 0;
}

/* The keys are wiped at once. */
void pair_table_remove(struct pair_table *table, struct pair *pair)
{
	list_remove(table, pair);
	index_remove(table, pair->flow.path_id);
	wipe(pair, sizeof *pair);
	pair->next = table->free;
	table->free = (uint32_t)(pair - table->pairs);
	table->count--;
}

/* All entries of a list wait for the same duration, so appending keeps it sorted. */
void pair_table_move(struct pair_table *table, struct pair *pair, enum pair_list list, struct time_us check)
{
	list_remove(table, pair);
	pair->check = check;
	list_append(table, pair, list);
}

/* Ordered by check, so this is the earliest. */
struct pair *pair_table_first(const struct pair_table *table, enum pair_list list)
{
	return table->head[list] == PAIR_NONE ? NULL : &table->pairs[table->head[list]];
}
