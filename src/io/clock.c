#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* BOOTTIME, because keys and NAT bindings age while the machine sleeps. */
struct time_us clock_now(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (struct time_us){(int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000};
}

/* For certificates and logs only: freshness never comes from this clock. */
uint64_t clock_wall_s(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec;
}

/* Blocks only before the kernel was first seeded, at boot. */
void random_kernel(void *ctx, void *bytes, size_t size)
{
	uint8_t *at = bytes;

	(void)ctx;
	while (size > 0) {
		ssize_t n = getrandom(at, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort(); /* keys from anything else would be worse than no service */
		at += n;
		size -= (size_t)n;
	}
}
