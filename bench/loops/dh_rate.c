/*
 * dh_rate.c: reference R5, how many X25519 one core does with the library that handshakes use: the most that handshakes
 * can be, times four (two ends, each an ephemeral-static pair at least).
 *
 * usage: dh-rate [SECONDS]     default 2; prints the rate, by the processor's time: who else wants the core does not
 * count
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../stopwatch.h"
#include "crypto/keys.h"
#include "io/clock.h"

static int64_t cpu_us(void)
{
	return (int64_t)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000);
}

int main(int argc, char **argv)
{
	long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 2;
	struct dh_keys own, other;
	uint8_t seed[KEY_BYTES] = {1}, shared[KEY_BYTES];
	struct time_us until;
	int64_t start_us = cpu_us();
	unsigned long count = 0;

	if (!crypto_init() || seconds < 1 || seconds > 60)
		return 1;
	dh_keys_from_seed(seed, &own);
	seed[0] = 2;
	dh_keys_from_seed(seed, &other);
	until = time_add(clock_now(), seconds * USEC_PER_SEC);
	while (!time_reached(clock_now(), until))
		for (int i = 0; i < 100; i++, count++)
			if (dh(own.secret, other.public, shared) != OK)
				return 1;
	printf("%.0f X25519 a second\n", (double)count * (double)USEC_PER_SEC / (double)(cpu_us() - start_us));
	return 0;
}
