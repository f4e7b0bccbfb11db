#include "proto/relay/table.h"

#include "base/mem.h"
#include "crypto/hash.h"

/* At most half of the index is ever full, so that probing stays short. */
void pair_table_init(struct pair_table *table, uint32_t pairs_max, const uint8_t key[16])
{
	uint32_t slots = 16;

	while (slots / 2 < pairs_max)
		slots *= 2;
	*table = (struct pair_table){
		.pairs = mem_alloc(pairs_max, sizeof *table->pairs),
		.index = mem_alloc(slots, sizeof *table->index),
		.index_mask = slots - 1,
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
	mem_free(table->pairs);
	mem_free(table->index);
	wipe(table, sizeof *table);
}

/* PathIDs are chosen by coordinators and seen by strangers; the key keeps both from choosing collisions. */
static uint32_t home_of(const struct pair_table *table, uint64_t path_id)
{
	return (uint32_t)siphash(table->key, &path_id, sizeof path_id) & table->index_mask;
}

/* The slot that holds path_id, or the empty one where it would go. */
static uint32_t slot_of(const struct pair_table *table, uint64_t path_id)
{
	uint32_t at = home_of(table, path_id);

	while (table->index[at] && table->pairs[table->index[at] - 1].flow.path_id != path_id)
		at = (at + 1) & table->index_mask;
	return at;
}

/* One probe sequence. */
struct pair *pair_table_find(const struct pair_table *table, uint64_t path_id)
{
	uint32_t entry = table->index[slot_of(table, path_id)];

	return entry ? &table->pairs[entry - 1] : NULL;
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
	struct pair *pair;

	if (number != PAIR_NONE)
		table->free = table->pairs[number].next;
	else if (table->fresh < table->pairs_max)
		number = table->fresh++;
	else
		return NULL;
	pair = &table->pairs[number];
	*pair = (struct pair){.flow.path_id = path_id, .check = check, .used = true};
	table->index[slot_of(table, path_id)] = number + 1;
	table->count++;
	list_append(table, pair, PAIR_UNBOUND);
	return pair;
}

/* Backward-shift deletion: no tombstones, so look-ups stay short for ever. */
static void index_remove(struct pair_table *table, uint64_t path_id)
{
	uint32_t hole = slot_of(table, path_id), at = hole;

	for (;;) {
		at = (at + 1) & table->index_mask;
		if (!table->index[at])
			break;
		uint32_t home = home_of(table, table->pairs[table->index[at] - 1].flow.path_id);

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
