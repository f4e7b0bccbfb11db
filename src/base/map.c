#include "base/map.h"

#include "base/mem.h"

/* Power of two with at least twice the entries. */
void map_init(struct map *map, size_t count_max, uint64_t seed)
{
	size_t slots = 8;

	while (slots < count_max * 2)
		slots *= 2;
	*map = (struct map){
		.slots = mem_alloc(slots, sizeof *map->slots), .mask = slots - 1, .count_max = count_max, .seed = seed};
}

/* The values belong to the caller. */
void map_finish(struct map *map)
{
	mem_free(map->slots);
	*map = (struct map){0};
}

/* Multiply-xorshift with a secret seed: cheap, and unpredictable from outside. */
static size_t slot_of(const struct map *map, uint64_t key)
{
	uint64_t h = (key ^ map->seed) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return (size_t)(h ^ h >> 32) & map->mask;
}

/* The slot that holds key, or the empty one where it would go. */
static size_t find(const struct map *map, uint64_t key)
{
	size_t at = slot_of(map, key);

	while (map->slots[at].value && map->slots[at].key != key)
		at = (at + 1) & map->mask;
	return at;
}

/* One probe sequence; the table is never more than half full. */
void *map_get(const struct map *map, uint64_t key)
{
	return map->slots[find(map, key)].value;
}

/* Full is an answer, not a reason to grow. */
enum err map_put(struct map *map, uint64_t key, void *value)
{
	size_t at = find(map, key);

	if (!map->slots[at].value) {
		if (map->count == map->count_max)
			return ERR_FULL;
		map->count++;
	}
	map->slots[at] = (struct map_slot){key, value};
	return OK;
}

/* Every entry moves. */
static void grow(struct map *map)
{
	struct map old = *map;

	map_init(map, 2 * old.count_max + !old.count_max, old.seed);
	for (size_t i = 0; i <= old.mask; i++)
		if (old.slots[i].value)
			map->slots[find(map, old.slots[i].key)] = old.slots[i];
	map->count = old.count;
	mem_free(old.slots);
}

/* Contract in the header. */
void map_insert(struct map *map, uint64_t key, void *value)
{
	size_t at;

	if (map->count == map->count_max && !map_get(map, key))
		grow(map);
	at = find(map, key);
	map->count += !map->slots[at].value;
	map->slots[at] = (struct map_slot){key, value};
}

/* Backward-shift deletion: no tombstones, so look-ups stay short for ever. */
void map_remove(struct map *map, uint64_t key)
{
	size_t hole = find(map, key), at = hole;

	if (!map->slots[hole].value)
		return;
	map->count--;
	for (;;) {
		at = (at + 1) & map->mask;
		if (!map->slots[at].value)
			break;
		size_t home = slot_of(map, map->slots[at].key);

		if (((at - home) & map->mask) >= ((at - hole) & map->mask)) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole].value = NULL;
}
