/*
 * middle.h: an attacker on the way (A3), or a relay that does not do what it should (A6): of what enters or leaves one
 * net he drops, delays, doubles and diverts some. He has no keys.
 */
#pragma once

#include "world.h"

struct middle {
	struct world *world;
	struct stream random;
	uint8_t net;
	bool only_out; /* a relay's hand lies on what leaves it */
	uint32_t drop_ppm, delay_ppm, double_ppm, divert_ppm;
	int64_t delay_us; /* at most; what is delayed more or less comes in another order */
	struct addr divert;
};

/* From now on, until middle_stop. The shares are drawn; drop_ppm is the most that he drops. */
void middle_start(struct middle *middle, struct world *world, uint8_t net, uint32_t drop_ppm);
void middle_stop(struct middle *middle);
