/*
 * keepalive.h: how long an address of ours may be silent: measured by asking the coordinator for an answer that comes
 * only after so much silence. One machine per local address; it knows the steps of keep_alive.h and nothing else.
 *
 * Life: unmeasured -> (begin) -> waiting -> answered in time: one step longer, begin again
 *                                        -> not answered: the NAT had forgotten us; this step stays for HOLD
 *                                        -> something else was said: void, begin again later
 */
#pragma once

#include "base/time.h"
#include "wire/keep_alive.h"

struct keepalive {
	uint8_t step; /* what is known to last */
	bool is_waiting;
	uint8_t sure;	      /* ... when nothing at all is said */
	uint8_t failures;     /* of the next step, in a row */
	bool is_disturbed;    /* the present question */
	bool is_overslept;    /* a longer silence was too long: that the NAT has forgotten us tells nothing new */
	uint32_t transaction; /* of the question */
	struct time_us asked, due;
	struct time_us next; /* no longer step is tried before */
};

/* How often something has to be said: nine tenths of what was seen to last, and what is usual before that. */
int64_t keepalive_interval_us(const struct keepalive *k);
/* Is a longer step worth a question now? */
bool keepalive_may_begin(const struct keepalive *k, struct time_us now);
/* The question has just been sent; returned is the delay that it must ask for. */
uint32_t keepalive_begin(struct keepalive *k, struct time_us now, uint32_t transaction);
/* What keepalive_begin will return. */
uint32_t keepalive_next_ms(const struct keepalive *k);
/* Something else was said or heard: the silence is broken, nothing can be learned. */
void keepalive_void(struct keepalive *k);
/*
 * Something was said to others before the answer was due: a NAT with one memory for all may remember us for that. Good
 * enough while more is said all the time; must_be_sure: it is not, and is tried again later. True when that ends it.
 */
bool keepalive_disturbed(struct keepalive *k, struct time_us now, bool must_be_sure);
/* From now on nothing else is said: what was measured while it was is not relied on. True when that makes it shorter.
 */
bool keepalive_distrust(struct keepalive *k, struct time_us now);
/* An answer came: true when it is the one, and the step has become longer. */
bool keepalive_answered(struct keepalive *k, struct time_us now, uint32_t transaction);
/* True once, when the answer has not come. */
bool keepalive_run(struct keepalive *k, struct time_us now);
/* How we are seen was told. is_other: not as before, so the NAT forgot us; was the silence one that is known to last,
 * then it does not any more. */
void keepalive_seen(struct keepalive *k, struct time_us now, bool is_other);
/* When keepalive_run is wanted. */
struct time_us keepalive_deadline(const struct keepalive *k);
