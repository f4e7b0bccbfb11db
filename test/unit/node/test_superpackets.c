/* test_superpackets.c: the same comparison as the fuzz target of that name, over made-up superpackets, the same ones
 * each run, so that a broken rule is noticed without a fuzzer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuzz.h"

enum { ROUNDS = 4000, HEAD = 24, INPUT = 96 };

/* An ACK's, with and without PSH, FIN, CWR: what may be joined, and what just may not. */
static const uint8_t flags[] = {0x10, 0x18, 0x11, 0x19, 0x90, 0x98};

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Whatever falls from the generator: all flags, header options, losses and changes of order. It ends the program when
 * it finds a difference. */
static void any_superpacket_is_what_the_reference_makes_of_it(void **state)
{
	uint32_t random = 2463534242u;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t input[INPUT];
		size_t size = HEAD + next(&random) % (INPUT - HEAD);

		for (size_t k = 0; k < size; k++)
			input[k] = (uint8_t)(next(&random) >> 8);
		if (i % 4 != 0)
			input[1] = flags[(unsigned)i % sizeof flags];
		for (size_t k = HEAD; k < size; k++) /* losses are rarer than what comes in order */
			input[k] = input[k] % 4 ? 0 : (uint8_t)(next(&random) >> 8);
		assert_int_equal(LLVMFuzzerTestOneInput(input, size), 0);
	}
}

/* In order, as networks mostly are: what can be joined is joined. */
static void streams_in_order_are_joined(void **state)
{
	uint32_t random = 88172645u;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t input[11];

		for (size_t k = 0; k < sizeof input; k++)
			input[k] = (uint8_t)(next(&random) >> 8);
		input[1] = flags[(unsigned)i % sizeof flags];
		input[2] %= 11; /* no IP options, no extension headers */
		assert_int_equal(LLVMFuzzerTestOneInput(input, sizeof input), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_superpacket_is_what_the_reference_makes_of_it),
		cmocka_unit_test(streams_in_order_are_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
