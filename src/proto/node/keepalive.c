#include "proto/node/keepalive.h"

#include <assert.h>

#include "wire/limits.h"

#define OPENING_US (1 * USEC_PER_SEC)	 /* less than the tenth that is not relied on */
#define GRACE_US (2 * USEC_PER_SEC)	 /* for the answer's way */
#define EARLY_US (1 * USEC_PER_SEC)	 /* an answer so early was not delayed: nobody is there who can */
#define HOLD_US (30 * 60 * USEC_PER_SEC) /* after a failure; each further one doubles it, up to 8 hours */
#define DISTURBED_US (120 * USEC_PER_SEC)
enum { FAILURES_MAX = 5 };

static int64_t step_us(unsigned step)
{
	return (int64_t)keep_alive_step_ms(step) * USEC_PER_MSEC;
}

/* The tenth is for clocks that differ and packets that are late. */
int64_t keepalive_interval_us(const struct keepalive *k)
{
	return k->step == 0 ? KEEPALIVE_US : step_us(k->step) * 9 / 10;
}

/* Not while one is under way. */
bool keepalive_may_begin(const struct keepalive *k, struct time_us now)
{
	return !k->is_waiting && k->step + 1 < KEEPALIVE_STEPS && time_reached(now, k->next);
}

/* Only when keepalive_may_begin. */
uint32_t keepalive_next_ms(const struct keepalive *k)
{
	assert(k->step + 1 < KEEPALIVE_STEPS);
	return keep_alive_step_ms(k->step + 1u);
}

/* Contract in the header. */
uint32_t keepalive_begin(struct keepalive *k, struct time_us now, uint32_t transaction)
{
	uint32_t delay_ms = keepalive_next_ms(k);

	k->is_waiting = true;
	k->is_disturbed = false;
	k->transaction = transaction;
	k->asked = now;
	k->due = time_add(now, (int64_t)delay_ms * USEC_PER_MSEC);
	return delay_ms;
}

/* An answer that still comes is nobody's. */
void keepalive_void(struct keepalive *k)
{
	k->is_waiting = false;
}

/* What leaves right behind the question is no disturbance: legs are bound in a turn of their own, and challenged. */
bool keepalive_disturbed(struct keepalive *k, struct time_us now, bool must_be_sure)
{
	if (!k->is_waiting || time_since(now, k->asked) < OPENING_US)
		return false;
	k->is_disturbed = true;
	if (!must_be_sure)
		return false;
	k->is_waiting = false;
	k->next = time_add(now, DISTURBED_US);
	return true;
}

/* Contract in the header. */
bool keepalive_distrust(struct keepalive *k, struct time_us now)
{
	if (k->step == k->sure)
		return false;
	k->step = k->sure;
	k->is_waiting = false;
	k->failures = 0;
	k->next = now;
	return true;
}

static int64_t hold_us(struct keepalive *k)
{
	k->failures += k->failures < FAILURES_MAX;
	return HOLD_US << (k->failures - 1);
}

/* One that is early comes from a coordinator that does not know of delays: not asked again for a while. */
bool keepalive_answered(struct keepalive *k, struct time_us now, uint32_t transaction)
{
	if (!k->is_waiting || transaction != k->transaction)
		return false;
	k->is_waiting = false;
	if (time_since(k->due, now) > EARLY_US) {
		k->next = time_add(now, HOLD_US);
		return false;
	}
	k->failures = 0;
	k->step++;
	if (!k->is_disturbed)
		k->sure = k->step;
	return true;
}

/* One lost packet costs HOLD_US of a shorter interval, which is harmless. */
bool keepalive_run(struct keepalive *k, struct time_us now)
{
	if (!k->is_waiting || !time_reached(now, time_add(k->due, GRACE_US)))
		return false;
	k->is_waiting = false;
	k->is_overslept = true;
	k->next = time_add(now, hold_us(k));
	return true;
}

/* What was measured does not hold: everything from the beginning, but not at once. */
void keepalive_seen(struct keepalive *k, struct time_us now, bool is_other)
{
	if (is_other && k->step > 0 && !k->is_overslept)
		*k = (struct keepalive){.next = time_add(now, HOLD_US)};
	k->is_overslept = false;
}

/* Only an answer that does not come needs a clock. */
struct time_us keepalive_deadline(const struct keepalive *k)
{
	return k->is_waiting ? time_add(k->due, GRACE_US) : TIME_NEVER;
}
