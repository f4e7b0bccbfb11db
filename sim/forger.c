#include "forger.h"

#include <string.h>

enum { FORGER_PORT = 6666, SEALED = 0x80, SEALED_IS_CONTROL = 0x20 };

static void forger_input(void *m, struct time_us now, const struct datagram *datagram)
{
	struct forger *f = m;

	(void)now;
	if (datagram->size && (datagram->bytes[0] & SEALED) && !(datagram->bytes[0] & SEALED_IS_CONTROL))
		f->received_data += datagram->size;
	if (!f->relays_back || datagram->segment_size || datagram->size > FORGER_SIZE_MAX || !f->last_src.ip.family)
		return;
	/* What came to him was meant for whom he copied: he passes it on as if it came from there. */
	f->is_injecting = true;
	world_inject(f->world, &f->last_dst, &f->last_src, datagram->bytes, datagram->size);
	f->is_injecting = false;
}

static void forger_time(void *m, struct time_us now)
{
	(void)m;
	(void)now;
}

static bool forger_next(void *m, struct time_us now, struct datagram *ret)
{
	(void)m;
	(void)now;
	(void)ret;
	return false;
}

static struct time_us forger_deadline(const void *m)
{
	(void)m;
	return TIME_NEVER;
}

static const struct machine_ops forger_ops = {
	.input_datagram = forger_input,
	.input_time = forger_time,
	.next_datagram = forger_next,
	.next_deadline = forger_deadline,
};

static void remember(struct forger *f, const struct addr *src, const struct addr *dst, const uint8_t *bytes,
		     size_t size)
{
	struct captured *c = &f->memory[f->count++ % FORGER_MEMORY];

	*c = (struct captured){.src = *src, .dst = *dst, .size = (uint16_t)size};
	memcpy(c->bytes, bytes, size);
}

static struct captured *any_captured(struct forger *f)
{
	return &f->memory[stream_below(&f->random, f->count < FORGER_MEMORY ? f->count : FORGER_MEMORY)];
}

/* Old bytes, perhaps damaged, perhaps to or from somebody else whom he has seen. */
static void replay(struct forger *f)
{
	struct captured c = *any_captured(f);

	switch (stream_below(&f->random, 5)) {
	case 0: break;
	case 1: c.src = any_captured(f)->src; break;
	case 2: c.dst = any_captured(f)->dst; break;
	case 3: c.bytes[stream_below(&f->random, c.size)] ^= (uint8_t)(1 << stream_below(&f->random, 8)); break;
	default: c.size = (uint16_t)stream_below(&f->random, c.size + 1u); break;
	}
	if (c.src.ip.family == c.dst.ip.family && c.size)
		world_inject(f->world, &c.src, &c.dst, c.bytes, c.size);
}

static void see(void *ctx, struct time_us now, const struct addr *src, const struct addr *dst, const uint8_t *bytes,
		size_t size)
{
	struct forger *f = ctx;
	struct addr own = host_addr(f->host, dst->ip.family);

	(void)now;
	if (f->is_injecting || size > FORGER_SIZE_MAX || !size)
		return;
	f->is_injecting = true;
	remember(f, src, dst, bytes, size);
	if (stream_chance(&f->random, f->forward_ppm)) {
		f->last_src = *src;
		f->last_dst = *dst;
		world_inject(f->world, &own, dst, bytes, size);
		f->forwarded += size;
	}
	if (stream_chance(&f->random, f->replay_ppm))
		replay(f);
	f->is_injecting = false;
}

/* His net should be near: he is faster. */
void forger_start(struct forger *forger, struct world *world, uint8_t net, uint64_t seed)
{
	*forger = (struct forger){.world = world, .random = stream_for(seed, "forger", 0)};
	forger->host = world_add_host(world, "forger", &forger_ops, forger, FORGER_PORT);
	host_plug(forger->host, 1, net);
}

/* He hears everything, at once. */
void forger_listen(struct forger *forger)
{
	forger->world->tap = (struct world_tap){forger, see};
}

/* He falls silent and deaf. */
void forger_stop(struct forger *forger)
{
	forger->world->tap = (struct world_tap){0};
	forger->host->machine = NULL;
}
