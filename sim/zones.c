#include "zones.h"

#include "story.h"
#include "world.h"

/* Between the coordinators, too, packets are lost, doubled and late. */
static void draw_trouble(struct overlay *o, uint8_t number)
{
	struct net *net = &o->world->nets[number];
	struct line_config *lines[] = {&net->up.config, &net->down.config};

	for (unsigned i = 0; i < 2; i++) {
		lines[i]->loss_ppm = (uint32_t)stream_below(&o->random, 50001);
		lines[i]->duplicate_ppm = (uint32_t)stream_below(&o->random, 50001);
		lines[i]->reorder_ppm = (uint32_t)stream_below(&o->random, 50001);
		lines[i]->reorder_us = stream_range(&o->random, 1000, 20000);
	}
}

/* Each end in turn, then both. */
static bool move_all(struct overlay *o, struct talk *talk, const char *when)
{
	for (unsigned i = 0; i < 3; i++) {
		story_run(o, stream_range(&o->random, 0, 2 * USEC_PER_SEC));
		if (i != 1)
			host_move(talk->a->host, 1, overlay_draw_net(o, 0));
		if (i != 0)
			host_move(talk->b->host, 1, overlay_draw_net(o, 0));
		if (!story_goes_on(o, talk, i < 2 ? MOVE_ONE : MOVE_BOTH, HEALED_LIMIT_US, when))
			return false;
	}
	return true;
}

/* One of the two dies under a tunnel between the zones and comes back: the tunnel goes on all the while. */
static bool restart_one(struct overlay *o, struct talk *talk)
{
	bool is_two = stream_chance(&o->random, 500000);

	host_kill(is_two ? o->two.host : o->coordinator);
	story_run(o, stream_range(&o->random, 0, 20 * USEC_PER_SEC));
	host_move(talk->a->host, 1, overlay_draw_net(o, 0));
	if (!story_goes_on(o, talk, MOVE_ONE, HEALED_LIMIT_US, "without one of the coordinators"))
		return false;
	if (is_two)
		overlay_restart_zone_two(o);
	else
		overlay_restart_coordinator(o);
	return story_expect(o, overlay_wait_registered(o, HEALED_LIMIT_US), "not registered after the restart");
}

/* a is of the first zone, b of the second, c of the first again. */
static void run(struct overlay *o)
{
	struct talk talk;
	struct overlay_node *c;

	if (stream_chance(&o->random, 500000)) {
		draw_trouble(o, o->coordinator_net);
		draw_trouble(o, o->two.net);
	}
	if (!story_start_drawn(o, &talk, 0) || !move_all(o, &talk, "across zones") || !restart_one(o, &talk))
		return;
	c = overlay_add_node(o, "c", overlay_draw_net(o, 0));
	if (!story_expect(o, overlay_wait_registered(o, HEALED_LIMIT_US), "the third node is not registered in time"))
		return;
	/* Both ask for each other in the same instant. */
	if (node_contact(node_of(c->host), o->world->now, talk.b->fqdn) != OK)
		world_fail(o->world, "c does not know the other zone");
	host_turn(c->host);
	(void)story_expect(o, overlay_wait_connected(o, talk.b, c, HEALED_LIMIT_US), "no contact after the restart");
	(void)story_goes_on(o, &talk, MOVE_CONTACT, HEALED_LIMIT_US, "at the end");
}

/* One network. */
void zones_run(struct overlay *o)
{
	overlay_add_zone(o);
	run(o);
}

/* Two account servers that trust each other, two documents, and DNS between them. */
void zones_run_partners(struct overlay *o)
{
	overlay_add_partner(o);
	run(o);
}
