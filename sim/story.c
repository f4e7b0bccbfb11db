#include "story.h"

#include "world.h"

#define PIPES_LIMIT_US (20 * USEC_PER_SEC)

/* Virtual time passes. */
void story_run(struct overlay *overlay, int64_t us)
{
	world_run_until(overlay->world, time_add(overlay->world->now, us));
}

/* The first failure counts. */
bool story_expect(struct overlay *overlay, bool holds, const char *what)
{
	if (!holds)
		world_fail(overlay->world, "%s", what);
	return holds && !overlay->world->failed;
}

/* Contract in the header. */
bool story_goes_on(struct overlay *overlay, struct talk *talk, enum move_kind kind, int64_t limit_us, const char *when)
{
	const struct flow *there = talk->flows[0], *back = talk->flows[1];

	for (int i = 0; i < 2 && talk->pipes[i]; i++)
		pipe_mark(talk->pipes[i]);
	if (!overlay_wait_delivered(overlay, talk->flows, 2, PACKETS, limit_us))
		world_fail(overlay->world, "%s: a to b %u of %u, b to a %u of %u in %lld ms", when,
			   there->delivered_marked, there->sent_marked, back->delivered_marked, back->sent_marked,
			   (long long)(limit_us / 1000));
	if (overlay->world->failed)
		return false;
	for (int i = 0; i < 2 && overlay->stats; i++)
		stats_add(overlay->stats, kind, talk->flows[i], talk->pipes[i]);
	return true;
}

/* Contract in the header. */
bool story_start(struct overlay *overlay, struct talk *talk, uint8_t net_a, uint8_t net_b, uint8_t family, size_t size)
{
	*talk = (struct talk){.a = overlay_add_node(overlay, "a", net_a)};
	talk->b = overlay_add_node(overlay, "b", net_b);
	if (!story_expect(overlay, overlay_wait_registered(overlay, REGISTER_LIMIT_US), "not registered in time"))
		return false;
	if (!story_expect(overlay, overlay_wait_connected(overlay, talk->a, talk->b, CONNECT_LIMIT_US),
			  "not connected in time"))
		return false;
	overlay_exchange(overlay, talk->a, talk->b, family, INTERVAL_US, size, talk->flows);
	overlay_exchange_pipes(overlay, talk->flows, talk->pipes);
	return story_goes_on(overlay, talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "after contact");
}

/* Contract in the header. */
bool story_start_drawn(struct overlay *overlay, struct talk *talk, uint32_t loss_ppm)
{
	uint8_t family = stream_chance(&overlay->random, 500000) ? 6 : 4;
	uint8_t net_a = overlay_draw_net(overlay, loss_ppm), net_b = overlay_draw_net(overlay, loss_ppm);

	return story_start(overlay, talk, net_a, net_b, family, (size_t)stream_range(&overlay->random, 64, 1200));
}

static bool pipes_wait(void *ctx)
{
	const struct overlay *overlay = ctx;

	for (uint32_t i = 0; i < overlay->traffic.pipe_count; i++)
		if (overlay->traffic.pipes[i].acked < overlay->traffic.pipes[i].written)
			return true;
	return false;
}

/* Two quiet seconds, so that lost means lost. */
void story_end(struct overlay *overlay)
{
	struct traffic *traffic = &overlay->traffic;

	for (uint32_t i = 0; i < traffic->flow_count; i++)
		flow_stop(&traffic->flows[i]);
	for (uint32_t i = 0; i < traffic->pipe_count; i++)
		pipe_stop(&traffic->pipes[i]);
	story_run(overlay, 2 * USEC_PER_SEC);
	if (!world_run_while(overlay->world, time_add(overlay->world->now, PIPES_LIMIT_US), pipes_wait, overlay))
		for (uint32_t i = 0; i < traffic->pipe_count; i++)
			if (traffic->pipes[i].acked < traffic->pipes[i].written)
				world_fail(overlay->world, "pipe %u: %u of %u segments came out in the end", i,
					   traffic->pipes[i].delivered, traffic->pipes[i].written);
	if (overlay->stats)
		stats_settle(overlay->stats);
}
