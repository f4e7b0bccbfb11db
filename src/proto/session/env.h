/* env.h: what every protocol machine is given once, at creation, by whoever drives it (io or the simulator). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Randomness for one machine. Thread rules: called only from inside the machine's own calls. */
struct random_source {
	void *ctx;
	void (*fill)(void *ctx, void *bytes, size_t size);
};

/* Fills bytes; never fails. */
static inline void random_fill(const struct random_source *source, void *bytes, size_t size)
{
	source->fill(source->ctx, bytes, size);
}
