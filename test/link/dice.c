#include "dice.h"

/* Spreads every bit over all others: the finaliser of splitmix64. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Without a state of its own, so that frame 1000 meets the same fate whatever was set before it. */
uint64_t dice_throw(uint64_t seed, enum dice_purpose purpose, uint64_t number)
{
	return mix(mix(seed + 0x9e3779b97f4a7c15u * ((uint64_t)purpose + 1)) + 0x9e3779b97f4a7c15u * number);
}

/* 0 never hits and a million always does. */
bool dice_hit(uint64_t thrown, uint32_t ppm)
{
	return dice_scale(thrown, DICE_PPM) < ppm;
}

/* By the upper bits of a product, which needs no division and favours no value by more than 2^-32. */
uint64_t dice_scale(uint64_t thrown, uint64_t range)
{
	return (uint64_t)((uint128)thrown * range >> 64);
}
