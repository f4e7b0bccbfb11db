/*
 * plan.h: what becomes of a frame on its way through a wire. A pure function of the settings, the seed and what came
 * before: the same frames at the same instants meet the same fate.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PLAN_ETHERNET_BYTES = 14,
	PLAN_COPIES_MAX = 2,
};

/* All zero: a wire without length that drops nothing. */
struct plan_settings {
	uint64_t delay_ns;
	uint64_t jitter_ns;   /* up to that much more or less; order stays */
	uint64_t rate_bps;    /* bits a second, Ethernet header included; 0: no limit */
	uint64_t queue_bytes; /* what may wait for the rate; 0: as long as the rate takes 50 ms for */
	uint32_t loss_ppm;
	uint32_t burst_begin_ppm; /* Gilbert-Elliott: good to bad, each frame; 0: always good */
	uint32_t burst_end_ppm;	  /* bad to good */
	uint32_t burst_loss_ppm;  /* loss while bad */
	uint32_t duplicate_ppm;
	uint32_t reorder_ppm; /* how many are held back, */
	uint64_t reorder_ns;  /* and how long, while others pass them */
	uint32_t mtu;	      /* of IP packets; 0: no limit */
	bool answers;	      /* "too big" is told to the sender */
	bool cut;
};

enum plan_fate {
	PLAN_PASSES,
	PLAN_CUT,
	PLAN_TOO_BIG,
	PLAN_LOST,
	PLAN_BURST_LOST,
	PLAN_QUEUE_FULL,
	PLAN_FATES,
};

struct plan_verdict {
	enum plan_fate fate;
	unsigned copies; /* of those that pass: when each leaves */
	uint64_t due_ns[PLAN_COPIES_MAX];
};

struct plan {
	struct plan_settings settings;
	uint64_t seed;
	uint64_t number;      /* frames decided */
	uint64_t last_due_ns; /* order is kept against this one */
	uint64_t free_ns;     /* when the rate has let everything pass that was let in */
	bool bad;	      /* within a burst */
};

/* A plan with no impairment. */
void plan_init(struct plan *plan, uint64_t seed);

/* From the next frame on. What is on its way stays as it is, so a shorter delay may overtake. */
void plan_set(struct plan *plan, const struct plan_settings *settings);

/* The next frame, of that size with its Ethernet header. Instants never go back. */
void plan_decide(struct plan *plan, uint64_t arrival_ns, size_t frame_bytes, struct plan_verdict *ret);
