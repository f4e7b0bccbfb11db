/* histogram.h: how late frames left, to the microsecond, for a few milliseconds; later ones are counted together. */
#pragma once

#include <stdint.h>

enum {
	HISTOGRAM_USEC = 4096,
	HISTOGRAM_PERCENT_MAX = 100,
};

struct histogram {
	uint64_t frames;
	uint64_t max_usec;
	uint64_t counts[HISTOGRAM_USEC + 1];
};

/* Counts one. */
void histogram_add(struct histogram *histogram, uint64_t usec);

/* Adds all of another. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* How many frames were later than that, which is less than HISTOGRAM_USEC. */
uint64_t histogram_above(const struct histogram *histogram, uint64_t usec);

/* So many percent were at most so late, rounded up to a microsecond; beyond the range the maximum; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *histogram, unsigned percent);
