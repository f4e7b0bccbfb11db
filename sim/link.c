#include "link.h"

/* Zeros stand for defaults that do nothing. */
void link_init(struct link *link, const struct link_config *config, struct stream random)
{
	*link = (struct link){.config = *config, .random = random};
	if (!link->config.mtu)
		link->config.mtu = 65535;
	if (!link->config.queue_bytes)
		link->config.queue_bytes = 64 * 1024;
}

/* Uniform. */
int64_t link_jitter(struct link *link)
{
	return stream_range(&link->random, 0, link->config.jitter_us);
}

/* Every draw is made every time, so that one setting does not shift the others. */
enum link_fate link_pass(struct link *link, struct time_us now, int64_t jitter_us, uint32_t size,
			 struct time_us ret[2], unsigned *ret_count)
{
	const struct link_config *c = &link->config;
	bool lost = stream_chance(&link->random, c->loss_ppm);
	bool twice = stream_chance(&link->random, c->duplicate_ppm);
	bool late = stream_chance(&link->random, c->reorder_ppm);
	struct time_us leaves = now;

	if (size > c->mtu)
		return LINK_TOO_BIG;
	if (lost)
		return LINK_LOST;
	if (c->rate_kbps) {
		struct time_us start = time_reached(now, link->free_at) ? now : link->free_at;

		if (time_since(start, now) * c->rate_kbps / 8000 + size > c->queue_bytes)
			return LINK_FULL;
		leaves = link->free_at = time_add(start, (int64_t)size * 8000 / c->rate_kbps);
	}
	ret[0] = time_add(leaves, c->delay_us + jitter_us + (late ? c->reorder_us : 0));
	ret[1] = time_add(ret[0], c->reorder_us);
	*ret_count = twice ? 2 : 1;
	return LINK_PASS;
}
