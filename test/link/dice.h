/* dice.h: chance that can be had again. What is thrown depends on the seed, the purpose and the number alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* For products of two 64-bit values. */
__extension__ typedef unsigned __int128 uint128;

enum { DICE_PPM = 1000000 };

/* Purposes, so that a change of one setting does not shift what happens for another. */
enum dice_purpose {
	DICE_LOSS,
	DICE_BURST_STEP,
	DICE_BURST_LOSS,
	DICE_DUPLICATE,
	DICE_REORDER,
	DICE_JITTER,
};

/* The number-th throw for a purpose: any of 2^64 values. */
uint64_t dice_throw(uint64_t seed, enum dice_purpose purpose, uint64_t number);

/* Did the throw hit, which happens so many times in a million? */
bool dice_hit(uint64_t thrown, uint32_t ppm);

/* The throw scaled to 0 .. range - 1; 0 when range is 0. */
uint64_t dice_scale(uint64_t thrown, uint64_t range);
