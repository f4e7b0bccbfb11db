#include "line.h"

/* Zeros stand for defaults that do nothing. */
void line_init(struct line *line, const struct line_config *config, struct stream random)
{
	*line = (struct line){.config = *config, .random = random};
	if (!line->config.mtu)
		line->config.mtu = 65535;
	if (!line->config.queue_bytes)
		line->config.queue_bytes = 64 * 1024;
}

/* Uniform. */
int64_t line_jitter(struct line *line)
{
	return stream_range(&line->random, 0, line->config.jitter_us);
}

/* Every draw is made every time, so that one setting does not shift the others. */
enum line_fate line_pass(struct line *line, struct time_us now, int64_t jitter_us, uint32_t size, struct time_us ret[2],
			 unsigned *ret_count)
{
	const struct line_config *c = &line->config;
	bool lost = stream_chance(&line->random, c->loss_ppm);
	bool twice = stream_chance(&line->random, c->duplicate_ppm);
	bool late = stream_chance(&line->random, c->reorder_ppm);
	struct time_us leaves = now;

	if (size > c->mtu)
		return LINE_TOO_BIG;
	if (lost)
		return LINE_LOST;
	if (c->rate_kbps) {
		struct time_us start = time_reached(now, line->free_at) ? now : line->free_at;

		if (time_since(start, now) * c->rate_kbps / 8000 + size > c->queue_bytes)
			return LINE_FULL;
		leaves = line->free_at = time_add(start, (int64_t)size * 8000 / c->rate_kbps);
	}
	ret[0] = time_add(leaves, c->delay_us + jitter_us + (late ? c->reorder_us : 0));
	ret[1] = time_add(ret[0], c->reorder_us);
	*ret_count = twice ? 2 : 1;
	return LINE_PASS;
}
