#include "middle.h"

static struct world_verdict judge(void *ctx, const struct addr *src, const struct addr *dst)
{
	struct middle *m = ctx;
	struct world_verdict verdict = {0};

	if (net_number_of(&src->ip) != m->net && (m->only_out || net_number_of(&dst->ip) != m->net))
		return verdict;
	verdict.drops = stream_chance(&m->random, m->drop_ppm);
	verdict.doubles = stream_chance(&m->random, m->double_ppm);
	if (stream_chance(&m->random, m->delay_ppm))
		verdict.delay_us = stream_range(&m->random, 0, m->delay_us);
	if (stream_chance(&m->random, m->divert_ppm) && m->divert.ip.family == dst->ip.family)
		verdict.divert = m->divert;
	return verdict;
}

/* Contract in the header. */
void middle_start(struct middle *middle, struct world *world, uint8_t net, uint32_t drop_ppm)
{
	struct stream random = stream_for(world->seed, "middle", net);

	*middle = (struct middle){.world = world, .net = net};
	middle->drop_ppm = (uint32_t)stream_below(&random, drop_ppm + 1);
	middle->delay_ppm = (uint32_t)stream_below(&random, 1000001);
	middle->double_ppm = (uint32_t)stream_below(&random, 500001);
	middle->delay_us = stream_range(&random, 0, 100000);
	middle->random = random;
	world->middle = (struct world_middle){middle, judge};
}

/* What he holds still comes. */
void middle_stop(struct middle *middle)
{
	middle->world->middle = (struct world_middle){0};
}
