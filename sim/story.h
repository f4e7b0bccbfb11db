/* story.h: what all scenarios are told with: two nodes that talk, and what must have happened by when. */
#pragma once

#include "overlay.h"
#include "stats.h"

/* Liveness: what must happen within this virtual time, once the world is well. */
#define REGISTER_LIMIT_US (5 * USEC_PER_SEC)
#define CONNECT_LIMIT_US (5 * USEC_PER_SEC)
#define EXCHANGE_LIMIT_US (5 * USEC_PER_SEC)
#define HEALED_LIMIT_US (30 * USEC_PER_SEC)

enum { INTERVAL_US = 5000, PACKETS = 100 };

struct talk {
	struct overlay_node *a, *b;
	struct flow *flows[2];
	struct pipe *pipes[2];
};

void story_run(struct overlay *overlay, int64_t us);
/* Fails the run unless it holds. False also when it has failed before. */
bool story_expect(struct overlay *overlay, bool holds, const char *what);
/* Nodes a and b in these nets, registered, connected by name, talking. False: the run has failed. */
bool story_start(struct overlay *overlay, struct talk *talk, uint8_t net_a, uint8_t net_b, uint8_t family, size_t size);
/* Everything about them is drawn. */
bool story_start_drawn(struct overlay *overlay, struct talk *talk, uint32_t loss_ppm);
/* Something has just happened: PACKETS of those sent from now on arrive in each direction in time. */
bool story_goes_on(struct overlay *overlay, struct talk *talk, enum move_kind kind, int64_t limit_us, const char *when);
/* The end: nothing is sent any more, what is under way arrives, what the pipes were given has come out. */
void story_end(struct overlay *overlay);
