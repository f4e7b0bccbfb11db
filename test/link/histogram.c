#include "histogram.h"

/* One division less than classes of growing width would take, at 32 KiB. */
void histogram_add(struct histogram *histogram, uint64_t usec)
{
	histogram->counts[usec < HISTOGRAM_USEC ? usec : HISTOGRAM_USEC]++;
	histogram->frames++;
	if (usec > histogram->max_usec)
		histogram->max_usec = usec;
}

/* The maximum of both is the maximum of all. */
void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	for (unsigned i = 0; i <= HISTOGRAM_USEC; i++)
		histogram->counts[i] += other->counts[i];
	histogram->frames += other->frames;
	if (other->max_usec > histogram->max_usec)
		histogram->max_usec = other->max_usec;
}

/* From there up, what is beyond the range with it. */
uint64_t histogram_above(const struct histogram *histogram, uint64_t usec)
{
	uint64_t above = 0;

	for (uint64_t i = usec + 1; i <= HISTOGRAM_USEC; i++)
		above += histogram->counts[i];
	return above;
}

/* The smallest lateness that no more than the rest exceed. */
uint64_t histogram_percentile(const struct histogram *histogram, unsigned percent)
{
	uint64_t wanted = (histogram->frames * percent + HISTOGRAM_PERCENT_MAX - 1) / HISTOGRAM_PERCENT_MAX, seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_USEC; i++) {
		seen += histogram->counts[i];
		if (seen >= wanted)
			return seen ? i : 0;
	}
	return histogram->max_usec;
}
