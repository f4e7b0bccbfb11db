#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

/* Zeroed allocation; out of memory at set-up has no better answer than to stop. */
void *mem_alloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

/* Zeroed by calloc, which knows what the kernel has zeroed already: aligned_alloc and memset would touch all of it. */
void *mem_alloc_aligned(size_t size)
{
	uint8_t *whole = mem_alloc(1, size + ALIGNMENT + sizeof whole);
	uint8_t *aligned = whole + sizeof whole + ALIGNMENT - 1;

	aligned -= (uintptr_t)aligned % ALIGNMENT;
	memcpy(aligned - sizeof whole, &whole, sizeof whole);
	return aligned;
}

/* Counterpart of mem_alloc. */
void mem_free(void *p)
{
	free(p);
}

/* Counterpart of mem_alloc_aligned. */
void mem_free_aligned(void *p)
{
	uint8_t *whole = NULL;

	if (p)
		memcpy(&whole, (uint8_t *)p - sizeof whole, sizeof whole);
	mem_free(whole);
}
