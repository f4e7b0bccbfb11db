/* mem.h: the only door to the heap for base, wire, crypto and proto. Set-up only, never per packet. */
#pragma once

#include <stddef.h>

/* Zeroed memory for count * size bytes; ends the process when there is none, so never NULL. */
void *mem_alloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* The same, aligned for vector loads (64 bytes); a large one costs nothing before it is used. mem_free_aligned's. */
void *mem_alloc_aligned(size_t size) __attribute__((malloc, returns_nonnull));

/* Accepts NULL. */
void mem_free(void *p);
/* Of mem_alloc_aligned; accepts NULL. */
void mem_free_aligned(void *p);
