/* stopwatch.h: what a measuring program asks of the kernel's clocks. */
#pragma once

#include <stdint.h>
#include <time.h>

static const uint64_t NSEC_PER_SEC = 1000000000;

/* Nanoseconds of that clock: processor time of the thread or the process, say. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline double now_s(void)
{
	return (double)now_ns() / (double)NSEC_PER_SEC;
}
