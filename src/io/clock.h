/* clock.h: the time and the randomness that drivers hand to the protocol machines. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

/*
 * CLOCK_BOOTTIME: it goes on while the machine sleeps. Keys, leases of NAT boxes and idle limits grow old during a
 * suspend too; with CLOCK_MONOTONIC a laptop would wake up believing that its paths were heard a moment ago. The loop
 * wakes up after a resume (loop.h).
 */
struct time_us clock_now(void);
/* Seconds since 1970 as this machine believes; may be wrong by decades (T10). */
uint64_t clock_wall_s(void);
/*
 * getrandom(2), matches struct random_source.fill. ctx is unused. Ends the process when the kernel has no randomness.
 */
void random_kernel(void *ctx, void *bytes, size_t size);
