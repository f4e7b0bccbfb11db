/*
 * The only server restarts, coordinator and relay at once and without a word, under a pair that has no way but that
 * relay: how long after its return, and after somebody has something to say, does each end hear the other one? One way
 * M-S 10, C-S 20 ms. Each case runs in several worlds that differ in the phase of everything; the worst counts.
 */
#include <string.h>

#include "story.h"
#include "table.h"
#include "world.h"

enum { ROUNDS = 6, PROBE_US = 20000 };

#define MS USEC_PER_MSEC
#define S USEC_PER_SEC
#define M_US (10 * MS)
#define C_US (20 * MS)
#define WATCH_US (60 * S)

struct restart {
	const char *name, *about;
	int64_t away_us;
	int64_t begins_us; /* data, after the server's death; negative: it flows all the while */
	int64_t limit_us;
	bool is_killed; /* without a word to its members */
};

static uint8_t add_hard_net(struct overlay *o, const char *name, int64_t delay_us)
{
	struct net_config config = {.has_v4 = true, .has_nat = true};

	(void)snprintf(config.name, sizeof config.name, "%s", name);
	config.nat.mapping = config.nat.filtering = NAT_ADDRESS_PORT_DEPENDENT;
	config.nat.draws_ports = true;
	config.up.delay_us = config.down.delay_us = delay_us;
	return world_add_net(o->world, &config);
}

/* Between the two nets nothing passes: knocking at their NATs would lead to a direct way sooner or later. */
static struct world_verdict forbid_direct(void *ctx, const struct addr *src, const struct addr *dst)
{
	const struct overlay *o = ctx;
	uint8_t from = net_number_of(&src->ip), to = net_number_of(&dst->ip);

	return (struct world_verdict){.drops =
					      o->world->nets[from].config.has_nat && o->world->nets[to].config.has_nat};
}

static void end_server(struct overlay *o, bool is_killed)
{
	struct server_host *dc = o->coordinator->machine;
	uint32_t cursor = 0;

	while (!is_killed && coordinator_leave(dc->coordinator, o->world->now, &cursor))
		host_turn(o->coordinator);
	host_turn(o->coordinator);
	host_kill(o->coordinator);
	host_kill(o->relays[0]);
}

static void start_server(struct overlay *o)
{
	overlay_restart_coordinator(o);
	overlay_restart_relay(o, 0);
}

static void stop_talk(struct talk *talk)
{
	for (int i = 0; i < 2; i++) {
		flow_stop(talk->flows[i]);
		pipe_stop(talk->pipes[i]);
	}
}

static void begin_talk(struct overlay *o, struct talk *talk)
{
	overlay_exchange(o, talk->a, talk->b, 4, PROBE_US, 100, talk->flows);
	flow_stop(talk->flows[1]);
}

static void sleep_until(struct overlay *o, struct time_us at)
{
	(void)world_run_until(o->world, at);
}

/* Both times are the same, or one comes before the other. */
static int64_t run_round(const struct restart *restart, struct overlay *o)
{
	struct talk talk;
	uint8_t m = add_hard_net(o, "m", M_US), c = add_hard_net(o, "c", C_US);
	struct time_us died, back, begins, ready;

	o->world->middle = (struct world_middle){.ctx = o, .judge = forbid_direct};
	if (!story_start(o, &talk, m, c, 4, 100))
		return 0;
	story_run(o, 4 * S);
	talk.flows[0]->interval_us = talk.flows[1]->interval_us = PROBE_US;
	if (restart->begins_us >= 0) {
		stop_talk(&talk);
		story_run(o, 40 * S);
	}
	story_run(o, stream_range(&o->random, 0, 20 * S));
	died = o->world->now;
	back = time_add(died, restart->away_us + stream_range(&o->random, 0, 2 * S));
	begins = restart->begins_us < 0 ? died : time_add(back, restart->begins_us - restart->away_us);
	end_server(o, restart->is_killed);
	sleep_until(o, time_min(back, begins));
	if (restart->begins_us >= 0 && time_since(begins, back) < 0)
		begin_talk(o, &talk);
	sleep_until(o, back);
	start_server(o);
	if (restart->begins_us >= 0 && time_since(begins, back) >= 0) {
		sleep_until(o, begins);
		begin_talk(o, &talk);
	}
	ready = o->world->now;
	(void)story_expect(o, overlay_wait_delivered(o, talk.flows, restart->begins_us < 0 ? 2 : 1, 1, WATCH_US),
			   "they do not hear each other again");
	return time_since(o->world->now, ready);
}

/*
 * Who is missed is asked for in proportion to how long it has been away, at most each 2.5 s, each 0.5 s where data has
 * no way; the rest are round trips. An idle end that was told nothing finds out with its next beat.
 */
static const struct restart restarts[] = {
	{"busy", "data flows, away for 0.1 s", 100 * MS, -1, 400 * MS, true},
	{"busy-1", "data flows, away for 1 s", 1 * S, -1, 450 * MS, true},
	{"busy-10", "data flows, away for 10 s", 10 * S, -1, 600 * MS, true},
	{"busy-600", "data flows, away for 600 s", 600 * S, -1, 2700 * MS, false},
	{"amid", "idle; away for 1 s, data begins in the middle", 1 * S, 500 * MS, 550 * MS, false},
	{"late", "idle; away for 1 s, data begins at its return", 1 * S, 1 * S, 550 * MS, false},
	{"later", "idle; away for 1 s, data begins 1 s after its return", 1 * S, 2 * S, 31 * MS, false},
	{"late-60", "idle; killed, away for 60 s, data begins at its return", 60 * S, 60 * S, 2700 * MS, true},
	{"killed", "idle; killed, away for 1 s, data begins at its return", 1 * S, 1 * S, 30 * S, true},
	{"killed-later", "idle; killed, data begins 30 s after its return", 1 * S, 31 * S, 31 * MS, true},
};

static void tell_failure(const struct restart *restart, const struct table_run *run, const struct overlay *o)
{
	FILE *draw = fopen(run->draw, "w");

	printf("FAILED restart=%s SEED=%llu: %s (diagram in %s)\n", restart->name, (unsigned long long)o->world->seed,
	       o->world->failure, run->draw);
	if (draw) {
		trace_draw(&o->world->trace, draw);
		(void)fclose(draw);
	}
}

/* Prints a line. False: a round took longer, or failed. */
static bool run_restart(const struct restart *restart, const struct table_run *run)
{
	int64_t worst_us = 0, sum_us = 0;
	bool holds = true;

	for (uint64_t round = 0; round < ROUNDS; round++) {
		struct overlay o;
		int64_t us;

		overlay_init(&o, run->seed * 1000 + round, 1, 0);
		us = run_round(restart, &o);
		worst_us = us > worst_us ? us : worst_us;
		sum_us += us;
		if (us > restart->limit_us)
			world_fail(o.world, "not within the limit");
		if (o.world->failed)
			tell_failure(restart, run, &o);
		holds &= !o.world->failed;
		overlay_finish(&o);
	}
	printf("%-13s %-56s %9.1f %9.1f %9.1f %s\n", restart->name, restart->about, (double)restart->limit_us / 1e3,
	       (double)worst_us / 1e3, (double)sum_us / 1e3 / ROUNDS, holds ? "ok" : "FAILED");
	return holds;
}

/* Contract in table.h. */
bool restarts_run(const struct table_run *run)
{
	unsigned failed = 0, count = sizeof restarts / sizeof *restarts;

	printf("%-13s %-56s %9s %9s %9s\n", "case", "", "limit ms", "worst", "mean");
	for (unsigned i = 0; i < count; i++)
		failed += !run_restart(&restarts[i], run);
	printf("%u of %u are within their limits\n", count - failed, count);
	return failed == 0;
}
