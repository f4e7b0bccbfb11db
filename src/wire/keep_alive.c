#include "wire/keep_alive.h"

#include <assert.h>

#include "wire/field.h"

static const uint32_t steps_ms[KEEPALIVE_STEPS] = {20000, 30000, 45000, 68000, 100000, 120000};

/* Half as long again each, up to what a key that is renewed in between may live. */
uint32_t keep_alive_step_ms(unsigned step)
{
	assert(step < KEEPALIVE_STEPS);
	return steps_ms[step];
}

/* For those who wait: never less patient than was asked for, as long as that is allowed. */
unsigned keep_alive_step_of(uint32_t ms)
{
	unsigned step = 0;

	while (step < KEEPALIVE_STEPS - 1 && steps_ms[step] < ms)
		step++;
	return step;
}

/* Nothing for what is 0. */
void keep_alive_encode(const struct keep_alive *m, struct writer *w)
{
	if (m->interval_ms)
		field_put_u32(w, FIELD_KEEPALIVE, m->interval_ms);
	if (m->delay_ms)
		field_put_u32(w, FIELD_DELAY, m->delay_ms);
}

static bool take_keep_alive(void *message, uint8_t type, struct reader *value)
{
	struct keep_alive *m = message;

	switch (type) {
	case FIELD_KEEPALIVE: m->interval_ms = read_u32(value); return true;
	case FIELD_DELAY: m->delay_ms = read_u32(value); return true;
	default: return false;
	}
}

/* An empty body is one. */
enum err keep_alive_decode(struct reader *r, struct keep_alive *ret)
{
	static const struct field_rules rules = {.take = take_keep_alive};
	struct keep_alive m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}
