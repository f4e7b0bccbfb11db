/* depot.h: the frames that are on their way: slots for bytes, and which is due next. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "frame.h"

struct port;

/* A frame in a slot. Whoever took the slot gives it back, or puts it in line. */
struct depot_item {
	uint64_t due_ns;
	uint64_t number;  /* of equals the first comes first */
	struct port *out; /* where it leaves */
	uint32_t slot;
	uint16_t size_bytes;
	uint16_t way; /* whose statistics it belongs to */
};

struct depot;

/* NULL without memory. Slots take memory when they are first used. */
struct depot *depot_create(uint32_t slots);
void depot_destroy(struct depot *depot);

/* FRAME_MAX bytes. */
uint8_t *depot_bytes(struct depot *depot, uint32_t slot);

/* ERR_FULL: all are in use. */
must_use enum err depot_take(struct depot *depot, uint32_t *ret_slot);
void depot_give(struct depot *depot, uint32_t slot);

/* In line by its due time; never fails, since there is a place for every slot. */
void depot_put(struct depot *depot, const struct depot_item *item);

/* The first in line, or NULL. Valid until the line changes. */
const struct depot_item *depot_first(const struct depot *depot);
void depot_remove_first(struct depot *depot);
