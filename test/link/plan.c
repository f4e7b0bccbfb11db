#include "plan.h"

#include "dice.h"

enum { QUEUE_DEFAULT_MSEC = 50, BITS = 8 };

static const uint64_t NSEC_PER_SEC = 1000000000;
static const uint64_t MSEC_PER_SEC = 1000;

/* Frame 0 is the first; the seed tells this plan from all others. */
void plan_init(struct plan *plan, uint64_t seed)
{
	*plan = (struct plan){.seed = seed};
}

/* The dice go on where they are: numbers of frames count on. */
void plan_set(struct plan *plan, const struct plan_settings *settings)
{
	plan->settings = *settings;
	plan->last_due_ns = 0;
	if (settings->rate_bps == 0)
		plan->free_ns = 0;
	if (settings->burst_begin_ppm == 0)
		plan->bad = false;
}

/* Steps the two states once a frame, then asks whether this frame is lost in the one it is in. */
static bool lost_in_burst(struct plan *plan)
{
	const struct plan_settings *s = &plan->settings;
	uint64_t step = dice_throw(plan->seed, DICE_BURST_STEP, plan->number);

	if (dice_hit(step, plan->bad ? s->burst_end_ppm : s->burst_begin_ppm))
		plan->bad = !plan->bad;
	return plan->bad && dice_hit(dice_throw(plan->seed, DICE_BURST_LOSS, plan->number), s->burst_loss_ppm);
}

static uint64_t queue_bytes(const struct plan_settings *s)
{
	return s->queue_bytes ? s->queue_bytes : s->rate_bps / BITS * QUEUE_DEFAULT_MSEC / MSEC_PER_SEC;
}

/* A bucket of bytes that empties at the rate. The one that is being sent has left the queue. False: it has no room. */
static bool passes_rate(struct plan *plan, uint64_t arrival_ns, size_t frame_bytes, uint64_t *ret_leaves_ns)
{
	const struct plan_settings *s = &plan->settings;
	uint64_t begins_ns = plan->free_ns > arrival_ns ? plan->free_ns : arrival_ns;
	uint128 waiting;

	if (s->rate_bps == 0) {
		*ret_leaves_ns = arrival_ns;
		return true;
	}
	waiting = (uint128)(begins_ns - arrival_ns) * s->rate_bps / BITS / NSEC_PER_SEC;
	if (waiting > queue_bytes(s))
		return false;
	plan->free_ns = begins_ns + (uint64_t)frame_bytes * BITS * NSEC_PER_SEC / s->rate_bps;
	*ret_leaves_ns = plan->free_ns;
	return true;
}

/* Jitter within -jitter .. +jitter, never before the frame came. */
static uint64_t delayed(const struct plan *plan, uint64_t leaves_ns)
{
	const struct plan_settings *s = &plan->settings;
	uint64_t swing = dice_scale(dice_throw(plan->seed, DICE_JITTER, plan->number), 2 * s->jitter_ns + 1);
	uint64_t due = leaves_ns + s->delay_ns + swing;

	return due > leaves_ns + s->jitter_ns ? due - s->jitter_ns : leaves_ns;
}

static enum plan_fate fate_of(struct plan *plan, uint64_t arrival_ns, size_t frame_bytes, uint64_t *ret_leaves_ns)
{
	const struct plan_settings *s = &plan->settings;
	bool burst = lost_in_burst(plan);

	if (s->cut)
		return PLAN_CUT;
	if (s->mtu != 0 && frame_bytes > s->mtu + PLAN_ETHERNET_BYTES)
		return PLAN_TOO_BIG;
	if (dice_hit(dice_throw(plan->seed, DICE_LOSS, plan->number), s->loss_ppm))
		return PLAN_LOST;
	if (burst)
		return PLAN_BURST_LOST;
	return passes_rate(plan, arrival_ns, frame_bytes, ret_leaves_ns) ? PLAN_PASSES : PLAN_QUEUE_FULL;
}

/* Held-back frames do not hold back those behind them; all others keep their order. */
void plan_decide(struct plan *plan, uint64_t arrival_ns, size_t frame_bytes, struct plan_verdict *ret)
{
	const struct plan_settings *s = &plan->settings;
	uint64_t leaves_ns = arrival_ns, due_ns;

	*ret = (struct plan_verdict){.fate = fate_of(plan, arrival_ns, frame_bytes, &leaves_ns)};
	if (ret->fate == PLAN_PASSES) {
		due_ns = delayed(plan, leaves_ns);
		due_ns = due_ns > plan->last_due_ns ? due_ns : plan->last_due_ns;
		if (dice_hit(dice_throw(plan->seed, DICE_REORDER, plan->number), s->reorder_ppm))
			due_ns += s->reorder_ns;
		else
			plan->last_due_ns = due_ns;
		ret->copies = dice_hit(dice_throw(plan->seed, DICE_DUPLICATE, plan->number), s->duplicate_ppm) ? 2 : 1;
		ret->due_ns[0] = ret->due_ns[1] = due_ns;
	}
	plan->number++;
}
