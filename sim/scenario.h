/* scenario.h: stories that a seed fills in: who is where, what goes wrong, and what must hold afterwards. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "overlay.h"
#include "stats.h"

struct scenario {
	const char *name, *about;
	void (*run)(struct overlay *overlay); /* failures by world_fail */
	uint32_t relays;		      /* 0: one */
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

struct scenario_result {
	bool failed;
	char failure[256];
	uint64_t hash, events;
	int64_t virtual_us;
	int64_t gap_us; /* longest pause in the exchange that the story was about; -1: none measured */
	uint32_t lost;	/* inner packets that never came out */
	uint32_t sent;
};

/* draw: where the diagram of a failed run goes; NULL: nowhere. stats: NULL: nobody asks. */
void scenario_run(const struct scenario *scenario, uint64_t seed, FILE *draw, struct stats *stats,
		  struct scenario_result *ret);
