/*
 * A node is killed and starts again, and somebody has one packet to say to it, or it to somebody, at any instant after
 * that: it arrives, though it is said only once and the other end's session is gone.
 */
#include "reborn.h"

#include "story.h"
#include "world.h"

#define ARRIVES_US (2 * USEC_PER_SEC) /* after it could: registration, direction and handshake among it */

#define YOUNG_US (1 * USEC_PER_SEC) /* two seconds after it was sealed a packet is forgotten */

struct rebirth {
	struct overlay *o;
	struct talk talk;
	struct flow *flow;
};

/* One packet, the way of that flow. */
static void say_once(struct rebirth *r, const struct flow *way)
{
	r->flow = traffic_start(&r->o->traffic, way->from, way->to, &way->src, &way->dst, USEC_PER_SEC, 200);
	story_run(r->o, 1);
	flow_stop(r->flow);
}

static bool not_delivered(void *ctx)
{
	return ((struct rebirth *)ctx)->flow->delivered == 0;
}

static void expect_arrival(struct rebirth *r, struct time_us possible, const char *what)
{
	if (!world_run_while(r->o->world, time_add(possible, ARRIVES_US), not_delivered, r))
		world_fail(r->o->world, "%s has not arrived", what);
}

/* From its death on, also while it is away and while it comes back. */
static void call_it(struct rebirth *r)
{
	struct overlay *o = r->o;
	struct time_us starts = time_add(o->world->now, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
	struct time_us says = time_add(starts, stream_range(&o->random, -YOUNG_US, USEC_PER_SEC));

	host_kill(r->talk.b->host);
	says = says.us > o->world->now.us ? says : time_add(o->world->now, 1);
	(void)world_run_until(o->world, time_min(starts, says));
	if (time_since(says, starts) < 0) {
		say_once(r, r->talk.flows[0]);
		(void)world_run_until(o->world, starts);
	}
	overlay_start_node(o, r->talk.b);
	if (!r->flow) {
		(void)world_run_until(o->world, says);
		say_once(r, r->talk.flows[0]);
	}
	expect_arrival(r, time_since(says, starts) > 0 ? says : starts, "the only packet to it");
}

static void hear_it(struct rebirth *r)
{
	struct overlay *o = r->o;

	host_kill(r->talk.b->host);
	story_run(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
	overlay_start_node(o, r->talk.b);
	if (!story_expect(o, overlay_wait_registered(o, REGISTER_LIMIT_US), "not registered again in time"))
		return;
	say_once(r, r->talk.flows[1]);
	expect_arrival(r, o->world->now, "its only packet");
}

/* Contract in the header. */
void reborn_run(struct overlay *o)
{
	struct rebirth r = {.o = o};

	if (!story_start_drawn(o, &r.talk, 0))
		return;
	for (int i = 0; i < 2; i++) {
		flow_stop(r.talk.flows[i]);
		pipe_stop(r.talk.pipes[i]);
	}
	story_run(o, stream_range(&o->random, 3 * USEC_PER_SEC, 5 * USEC_PER_SEC));
	if (stream_chance(&o->random, 700000))
		call_it(&r);
	else
		hear_it(&r);
}
