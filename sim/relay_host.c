#include "relay_host.h"

#include "base/mem.h"
#include "world.h"

static void on_event(void *ctx, const struct relay_event *event)
{
	static const char *const texts[] = {"bound", "moved", "idle", "expired"};
	struct relay_host *r = ctx;

	world_note(r->host->world, r->host->name, "leg %u %s", event->leg, texts[event->type]);
	if (event->type != RELAY_EVENT_LEG_BOUND && event->type != RELAY_EVENT_LEG_MOVED)
		return;
	r->proven[r->proven_count++ % RELAY_HOST_PROVEN_MAX] = event->remote;
}

/* Randomness depends on when it starts: a restarted one makes other secrets. */
void relay_host_start(struct host *host, const struct relay_config *config, const uint8_t (*coordinators)[KEY_SIZE],
		      size_t count)
{
	struct relay_host *r = mem_alloc(1, sizeof *r);
	struct relay_env env = {.random = {&r->random, stream_fill}, .ctx = r, .event = on_event};

	r->host = host;
	r->random = stream_for(host->world->seed ^ (uint64_t)host->world->now.us, "relay", host->number);
	r->relay = relay_create(config, &env, host->world->now);
	if (relay_set_coordinators(r->relay, coordinators, count) != OK)
		world_fail(host->world, "%s refuses its coordinators", host->name);
	host->machine = r;
	host_turn(host);
}

static void input_datagram(void *m, struct time_us now, const struct datagram *datagram)
{
	(void)relay_input_datagram(((struct relay_host *)m)->relay, now, datagram);
}

static void input_time(void *m, struct time_us now)
{
	relay_input_time(((struct relay_host *)m)->relay, now);
}

static bool next_datagram(void *m, struct time_us now, struct datagram *ret)
{
	(void)now;
	return relay_next_datagram(((struct relay_host *)m)->relay, ret);
}

static struct time_us next_deadline(const void *m)
{
	return relay_next_deadline(((const struct relay_host *)m)->relay);
}

/* Strict: nothing for free to anybody. */
static uint64_t allowance(const void *m, const struct addr *remote)
{
	const struct relay_host *r = m;

	for (uint32_t i = 0; i < r->proven_count && i < RELAY_HOST_PROVEN_MAX; i++)
		if (addr_equal(&r->proven[i], remote))
			return UINT64_MAX;
	return 0;
}

static void destroy(void *m)
{
	relay_destroy(((struct relay_host *)m)->relay);
	mem_free(m);
}

const struct machine_ops relay_host_ops = {
	.input_datagram = input_datagram,
	.input_time = input_time,
	.next_datagram = next_datagram,
	.next_deadline = next_deadline,
	.allowance = allowance,
	.destroy = destroy,
};
