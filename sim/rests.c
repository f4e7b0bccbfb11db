/*
 * A pair that rests: its NATs forget the way between the two, one end moves meanwhile, then both. Whatever happened,
 * the first packet afterwards arrives in little more than the time of the way through the relay, and none is lost.
 * Behind a NAT that forgets sooner than it should (RFC 4787 REQ-5) the packet may meet a silence that is being tried.
 */
#include "rests.h"

#include "story.h"
#include "world.h"

#define REST_MIN_US (900 * USEC_PER_SEC)
#define REST_MAX_US (2700 * USEC_PER_SEC)
#define FIRST_LIMIT_US (400 * USEC_PER_MSEC)
#define FORGETFUL_LIMIT_US (60 * USEC_PER_SEC)
#define NAT_MEMORY_US (125 * USEC_PER_SEC)
#define LATER_US (300 * USEC_PER_MSEC)

static uint8_t draw_net(struct overlay *o, bool is_forgetful)
{
	uint8_t number = overlay_draw_net(o, 0);
	struct net *net = &o->world->nets[number];

	if (!is_forgetful)
		net->nat.config.timeout_us = net->firewall.config.timeout_us = NAT_MEMORY_US;
	return number;
}

/* One end says something. */
static bool speak(struct overlay *o, struct talk *talk, bool is_forgetful, const char *what)
{
	int64_t limit_us = is_forgetful ? FORGETFUL_LIMIT_US : FIRST_LIMIT_US;
	bool is_a = stream_chance(&o->random, 500000);
	struct flow *flows[2];
	bool ok;

	overlay_exchange(o, is_a ? talk->a : talk->b, is_a ? talk->b : talk->a, 4, LATER_US, 200, flows);
	flow_stop(flows[1]);
	ok = story_expect(o, overlay_wait_delivered(o, flows, 1, 1, limit_us), what);
	story_run(o, 5 * USEC_PER_SEC);
	flow_stop(flows[0]);
	story_run(o, USEC_PER_SEC);
	return ok && story_expect(o, is_forgetful || flows[0]->delivered == flows[0]->sent, "a packet was lost");
}

/* Contract in the header. */
void rests_run(struct overlay *o)
{
	static const char *const after[] = {"late after a rest", "late after a rest in which one end moved",
					    "late after a rest in which both moved"};
	bool is_forgetful = stream_chance(&o->random, 300000);
	uint8_t net_a = draw_net(o, is_forgetful), net_b = draw_net(o, is_forgetful);
	struct talk talk;

	if (!story_start(o, &talk, net_a, net_b, 4, 200))
		return;
	for (int i = 0; i < 2; i++) {
		flow_stop(talk.flows[i]);
		pipe_stop(talk.pipes[i]);
	}
	for (unsigned i = 0; i < sizeof after / sizeof *after; i++) {
		story_run(o, stream_range(&o->random, REST_MIN_US, REST_MAX_US));
		if (i == 2)
			host_move(talk.a->host, 1, draw_net(o, is_forgetful));
		if (i > 0) {
			host_move(talk.b->host, 1, draw_net(o, is_forgetful));
			story_run(o, stream_range(&o->random, 5 * USEC_PER_SEC, REST_MIN_US));
		}
		if (!speak(o, &talk, is_forgetful, after[i]))
			return;
	}
}
