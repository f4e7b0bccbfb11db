/*
 * Attacked and unattacked, side by side: each world runs twice from one seed, with and without the attacker, and the
 * same packets are compared one by one. Until he begins both are the same world to the microsecond; then the moves
 * happen at the same instants. The streams carry the same bytes, and neither pauses nor losses exceed those without him
 * by more than the slack below. How much later single packets come is printed, not judged: two runs may be on different
 * paths at an instant, of which one is longer.
 */
#include <string.h>

#include "base/mem.h"
#include "forger.h"
#include "middle.h"
#include "story.h"
#include "table.h"
#include "world.h"

enum { MOVES = 3, WORLDS = 6 };
#define PAUSE_US (3 * USEC_PER_SEC) /* between moves */

/* What came of one run: two flows, packet by packet. */
struct outcome {
	uint32_t sent[2];
	struct time_us *came_at[2];
	int64_t gap_us[2], stall_us[2];
	uint32_t written[2], delivered[2];
	bool failed;
	char failure[256];
};

struct attack {
	const char *name, *about;
	/* All draws happen in both runs; only one of them lets him act. */
	void (*begin)(struct overlay *o, struct talk *talk, struct forger *forger, struct middle *middle, bool is_on);
	/* How much more than without him, in the worst direction: silence of a flow, of a stream; packets lost of some
	 * 5,000. Twice what he holds back himself comes on top: data, and what answers it. */
	int64_t pause_us, stall_us;
	uint32_t lost;
};

struct attack_cost {
	int64_t late_us, gap_us, stall_us;
	uint32_t lost, packets;
};

static void begin_replayer(struct overlay *o, struct talk *talk, struct forger *forger, struct middle *middle,
			   bool is_on)
{
	uint32_t share_ppm = (uint32_t)stream_below(&o->random, 1000001);

	(void)talk;
	(void)middle;
	forger->replay_ppm = share_ppm;
	if (is_on)
		forger_listen(forger);
}

static void begin_forwarder(struct overlay *o, struct talk *talk, struct forger *forger, struct middle *middle,
			    bool is_on)
{
	uint32_t share_ppm = (uint32_t)stream_below(&o->random, 1000001);

	(void)talk;
	(void)middle;
	forger->forward_ppm = share_ppm;
	if (is_on)
		forger_listen(forger);
}

static void begin_delayer(struct overlay *o, struct talk *talk, struct forger *forger, struct middle *middle,
			  bool is_on)
{
	(void)o;
	(void)forger;
	middle_start(middle, o->world, talk->a->host->ports[0].net, 0);
	if (!is_on)
		middle_stop(middle);
}

static void begin_evil_relay(struct overlay *o, struct talk *talk, struct forger *forger, struct middle *middle,
			     bool is_on)
{
	(void)talk;
	(void)forger;
	middle_start(middle, o->world, o->relays[0]->ports[0].net, 200000);
	middle->only_out = true;
	middle->divert_ppm = (uint32_t)stream_below(&o->random, 100001);
	middle->divert = host_addr(o->coordinator, 4);
	if (!is_on)
		middle_stop(middle);
}

/*
 * A path that somebody makes look alive, or that falls silent, is left after max(3 RTT, 250 ms), where an RTT is up to
 * 250 ms here; the first two may do that to us now and then, and no more. The relay loses a fifth of what it carries,
 * of TCP's repetitions too, so that its timer doubles as anywhere.
 */
static const struct attack attacks[] = {
	{"replayer", "replays, redirects and damages (A1)", begin_replayer, 750 * USEC_PER_MSEC, 1500 * USEC_PER_MSEC,
	 300},
	{"forwarder", "copies from his own address, faster (A2)", begin_forwarder, 750 * USEC_PER_MSEC,
	 1500 * USEC_PER_MSEC, 300},
	{"delayer", "on the way: holds back, doubles, reorders (A3)", begin_delayer, 250 * USEC_PER_MSEC,
	 500 * USEC_PER_MSEC, 50},
	{"evil-relay", "drops, delays, doubles, sends elsewhere (A6)", begin_evil_relay, USEC_PER_SEC,
	 10 * USEC_PER_SEC, 1300},
};

static uint8_t forger_net(struct overlay *o)
{
	struct net_config config = {.name = "forger-net", .has_v4 = true, .has_v6 = true};

	config.up.delay_us = config.down.delay_us = 1000;
	return world_add_net(o->world, &config);
}

static void keep(struct talk *talk, struct outcome *ret)
{
	for (int i = 0; i < 2; i++) {
		const struct flow *flow = talk->flows[i];

		ret->sent[i] = flow->sent;
		ret->came_at[i] = mem_alloc(flow->sent, sizeof *flow->came_at);
		memcpy(ret->came_at[i], flow->came_at, flow->sent * sizeof *flow->came_at);
		ret->written[i] = talk->pipes[i]->written;
		ret->delivered[i] = talk->pipes[i]->delivered;
	}
}

/* The same instants in both runs, whatever happens between them. */
static void run_story(const struct attack *attack, struct overlay *o, uint64_t seed, bool is_on, struct outcome *ret,
		      int64_t *ret_held_us)
{
	struct forger forger;
	struct middle middle = {0};
	struct talk talk;

	forger_start(&forger, o->world, forger_net(o), seed);
	if (!story_start_drawn(o, &talk, 0))
		return;
	attack->begin(o, &talk, &forger, &middle, is_on);
	*ret_held_us = middle.delay_us;
	for (int i = 0; i < 2; i++) {
		flow_mark(talk.flows[i]);
		pipe_mark(talk.pipes[i]);
	}
	for (int i = 0; i <= MOVES; i++) {
		story_run(o, PAUSE_US);
		if (i < MOVES)
			host_move(stream_chance(&o->random, 500000) ? talk.a->host : talk.b->host, 1,
				  overlay_draw_net(o, 0));
	}
	for (int i = 0; i < 2; i++) {
		int64_t open_us = time_since(o->world->now, talk.flows[i]->heard);

		ret->gap_us[i] = open_us > talk.flows[i]->gap_us ? open_us : talk.flows[i]->gap_us;
		ret->stall_us[i] = talk.pipes[i]->stall_us;
	}
	forger_stop(&forger);
	o->world->middle = (struct world_middle){0};
	story_end(o);
	keep(&talk, ret);
}

static void run_once(const struct attack *attack, uint64_t seed, bool is_on, const char *draw, struct outcome *ret,
		     int64_t *ret_held_us)
{
	struct overlay overlay;

	*ret = (struct outcome){0};
	overlay_init(&overlay, seed, 1, -1);
	run_story(attack, &overlay, seed, is_on, ret, ret_held_us);
	ret->failed = overlay.world->failed;
	memcpy(ret->failure, overlay.world->failure, sizeof ret->failure);
	if (ret->failed && draw) {
		FILE *out = fopen(draw, "w");

		if (out) {
			trace_draw(&overlay.world->trace, out);
			(void)fclose(out);
		}
	}
	overlay_finish(&overlay);
}

static void note(int64_t *most, int64_t value)
{
	*most = value > *most ? value : *most;
}

static void compare(const struct outcome *quiet, const struct outcome *attacked, struct attack_cost *ret)
{
	*ret = (struct attack_cost){0};
	for (int i = 0; i < 2; i++) {
		note(&ret->gap_us, attacked->gap_us[i] - quiet->gap_us[i]);
		note(&ret->stall_us, attacked->stall_us[i] - quiet->stall_us[i]);
		ret->packets += quiet->sent[i];
		for (uint32_t k = 0; k < quiet->sent[i] && k < attacked->sent[i]; k++) {
			struct time_us before = quiet->came_at[i][k], now = attacked->came_at[i][k];

			if (before.us && now.us)
				note(&ret->late_us, time_since(now, before));
			ret->lost += before.us && !now.us;
		}
	}
}

static bool same_bytes(const struct outcome *quiet, const struct outcome *attacked)
{
	for (int i = 0; i < 2; i++)
		if (quiet->sent[i] != attacked->sent[i] || quiet->written[i] != attacked->written[i] ||
		    attacked->delivered[i] != quiet->delivered[i])
			return false;
	return true;
}

static bool judge(const struct attack *attack, uint64_t seed, const struct outcome *quiet,
		  const struct outcome *attacked, const struct attack_cost *cost, int64_t held_us)
{
	int64_t pause_us = attack->pause_us + 2 * held_us, stall_us = attack->stall_us + 2 * held_us;

	if (quiet->failed || attacked->failed) {
		printf("FAILED attacked=%s SEED=%llu: %s%s\n", attack->name, (unsigned long long)seed,
		       attacked->failed ? "" : "unattacked: ", attacked->failed ? attacked->failure : quiet->failure);
		return false;
	}
	if (same_bytes(quiet, attacked) && cost->gap_us <= pause_us && cost->stall_us <= stall_us &&
	    cost->lost <= attack->lost)
		return true;
	printf("FAILED attacked=%s SEED=%llu: %s, a pause %.1f ms (limit %.1f) and a stall %.1f ms (limit %.1f) "
	       "longer, "
	       "%u lost (limit %u)\n",
	       attack->name, (unsigned long long)seed, same_bytes(quiet, attacked) ? "the same bytes" : "OTHER BYTES",
	       (double)cost->gap_us / 1e3, (double)pause_us / 1e3, (double)cost->stall_us / 1e3, (double)stall_us / 1e3,
	       cost->lost, attack->lost);
	return false;
}

static bool run_world(const struct attack *attack, uint64_t seed, const char *draw, struct attack_cost *worst)
{
	struct outcome quiet, attacked;
	struct attack_cost cost;
	int64_t held_us = 0;
	bool ok;

	run_once(attack, seed, false, NULL, &quiet, &held_us);
	run_once(attack, seed, true, draw, &attacked, &held_us);
	compare(&quiet, &attacked, &cost);
	ok = judge(attack, seed, &quiet, &attacked, &cost, held_us);
	note(&worst->late_us, cost.late_us);
	note(&worst->gap_us, cost.gap_us);
	note(&worst->stall_us, cost.stall_us);
	worst->lost = cost.lost > worst->lost ? cost.lost : worst->lost;
	worst->packets = cost.packets;
	for (int i = 0; i < 2; i++) {
		mem_free(quiet.came_at[i]);
		mem_free(attacked.came_at[i]);
	}
	return ok;
}

/* Some worlds for each attacker. */
bool attacked_run(const struct table_run *run)
{
	bool ok = true;

	printf("%-12s %-48s %12s %12s %12s %s\n", "attacker", "", "later", "pause", "stall", "lost");
	for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
		struct attack_cost worst = {0};

		for (uint64_t k = 0; k < WORLDS; k++)
			ok &= run_world(&attacks[i], run->seed * WORLDS + k, run->draw, &worst);
		printf("%-12s %-48s %9.1f ms %9.1f ms %9.1f ms %u of %u\n", attacks[i].name, attacks[i].about,
		       (double)worst.late_us / 1e3, (double)worst.gap_us / 1e3, (double)worst.stall_us / 1e3,
		       worst.lost, worst.packets);
	}
	return ok;
}
