#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Zeroed allocation; out of memory at set-up has no better answer than to stop. */
void *mem_alloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

/* Zeroed, 64-byte aligned. */
void *mem_alloc_aligned(size_t size)
{
	size_t rounded = (size + 63) & ~(size_t)63;
	void *p = aligned_alloc(64, rounded ? rounded : 64);

	if (!p)
		abort();
	memset(p, 0, rounded);
	return p;
}

/* Counterpart of both. */
void mem_free(void *p)
{
	free(p);
}
