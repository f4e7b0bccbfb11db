#include "proto/node/mapping.h"

/* The NAT keeps a socket's own port where that is free. */
static bool is_kept(const uint16_t *locals, const uint16_t *seen, size_t count)
{
	bool kept = true;

	for (size_t i = 0; i < count; i++)
		kept &= locals[i] == seen[i];
	return kept;
}

/*
 * The step from each to the next; 0: none that could be relied on. Others behind the same NAT may have taken a port in
 * between, so the smallest one counts, as long as all go the same way.
 */
static int step_of(const uint16_t *seen, size_t count)
{
	int step = 0;

	for (size_t i = 1; i < count; i++) {
		int one = (int16_t)(uint16_t)(seen[i] - seen[i - 1]), size = one < 0 ? -one : one;

		if (one == 0 || size > MAPPING_STEP_MAX || (step != 0 && (one < 0) != (step < 0)))
			return 0;
		if (step == 0 || size < (step < 0 ? -step : step))
			step = one;
	}
	return step;
}

/* Contract in the header. */
void mapping_guess(const uint16_t *locals, const uint16_t *seen, size_t count, const uint16_t *next, size_t next_count,
		   struct mapping *ret)
{
	bool kept = is_kept(locals, seen, count);
	int step = kept || count < 2 ? 0 : step_of(seen, count);

	*ret = (struct mapping){.kind = MAPPING_RANDOM};
	if ((!kept && step == 0) || count == 0)
		return;
	for (size_t i = 0; i < next_count && i < PUNCH_PORTS_MAX; i++) {
		uint16_t port = kept ? next[i] : (uint16_t)(seen[count - 1] + step * (int)(i + 1));

		if (port < DRAW_PORT_FIRST)
			break; /* beyond the end of the NAT's range: where it begins again is not known */
		ret->ports[ret->port_count++] = port;
	}
	if (ret->port_count > 0)
		ret->kind = MAPPING_GUESSABLE;
}

/* DRAW_PORTS has the prime factors 2, 3 and 7: a stride without them comes by every port. */
struct port_draw port_draw_make(uint32_t start, uint32_t stride)
{
	stride = stride % DRAW_PORTS | 1;
	while (stride % 3 == 0 || stride % 7 == 0)
		stride += 2;
	return (struct port_draw){.start = start % DRAW_PORTS, .stride = stride};
}

/* Contract in the header. */
uint16_t port_draw_at(struct port_draw draw, uint32_t index)
{
	return (uint16_t)(DRAW_PORT_FIRST + (draw.start + (uint64_t)index * draw.stride) % DRAW_PORTS);
}
