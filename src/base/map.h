/*
 * map.h: open-addressing hash table from 64-bit keys to pointers, for look-ups on the packet path. Of a fixed size: no
 * allocation but in map_init and map_insert. Not for keys a stranger chooses freely unless `seed` is secret and random
 * (T32).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct map_slot {
	uint64_t key;
	void *value; /* NULL: empty */
};

struct map {
	struct map_slot *slots;
	size_t mask; /* slots - 1; a power of two less one */
	size_t count, count_max;
	uint64_t seed;
};

/* Room for count_max entries at a load of at most one half. */
void map_init(struct map *map, size_t count_max, uint64_t seed);
void map_finish(struct map *map);
/* NULL when absent. */
void *map_get(const struct map *map, uint64_t key);
/* Replaces an existing entry. value is not NULL. ERR_FULL. */
must_use enum err map_put(struct map *map, uint64_t key, void *value);
/* The same, with twice the room where there is none left. */
void map_insert(struct map *map, uint64_t key, void *value);
/* Harmless when absent. */
void map_remove(struct map *map, uint64_t key);
