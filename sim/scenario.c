#include "scenario.h"

#include <string.h>

#include "forger.h"
#include "world.h"

/* Liveness: what must happen within this virtual time, once the world is well. */
#define REGISTER_LIMIT_US (5 * USEC_PER_SEC)
#define CONNECT_LIMIT_US (5 * USEC_PER_SEC)
#define EXCHANGE_LIMIT_US (5 * USEC_PER_SEC)
#define HEALED_LIMIT_US (30 * USEC_PER_SEC)

enum { INTERVAL_US = 5000, PACKETS = 100 };

/* Two nodes in drawn nets that talk to each other. */
struct talk {
	struct overlay_node *a, *b;
	struct flow *flows[2];
};

static void run_for(struct overlay *o, int64_t us)
{
	world_run_until(o->world, time_add(o->world->now, us));
}

static bool expect(struct overlay *o, bool holds, const char *what)
{
	if (!holds)
		world_fail(o->world, "%s", what);
	return holds && !o->world->failed;
}

static bool expect_flow(struct overlay *o, struct talk *talk, int64_t limit_us, const char *when)
{
	bool flows = overlay_wait_delivered(o, talk->flows, 2, PACKETS, limit_us);

	if (!flows)
		world_fail(o->world, "%s: a to b %u of %u, b to a %u of %u in %lld ms", when,
			   talk->flows[0]->delivered_marked, talk->flows[0]->sent_marked,
			   talk->flows[1]->delivered_marked, talk->flows[1]->sent_marked, (long long)(limit_us / 1000));
	return flows;
}

static bool start_talk(struct overlay *o, struct talk *talk, uint32_t loss_ppm)
{
	uint8_t family = stream_chance(&o->random, 500000) ? 6 : 4;

	talk->a = overlay_add_node(o, "a", overlay_draw_net(o, loss_ppm));
	talk->b = overlay_add_node(o, "b", overlay_draw_net(o, loss_ppm));
	if (!expect(o, overlay_wait_registered(o, REGISTER_LIMIT_US), "not registered in time"))
		return false;
	if (!expect(o, overlay_wait_connected(o, talk->a, talk->b, CONNECT_LIMIT_US), "not connected in time"))
		return false;
	overlay_exchange(o, talk->a, talk->b, family, INTERVAL_US, (size_t)stream_range(&o->random, 64, 1200),
			 talk->flows);
	return expect_flow(o, talk, EXCHANGE_LIMIT_US, "after contact");
}

static void run_contact(struct overlay *o)
{
	struct talk talk;

	(void)start_talk(o, &talk, 0);
}

/* Contact by the first packet alone, both at once: the tunnel is directed while the packet waits. */
static void run_first_packet(struct overlay *o)
{
	struct talk talk;

	talk.a = overlay_add_node(o, "a", overlay_draw_net(o, 0));
	talk.b = overlay_add_node(o, "b", overlay_draw_net(o, 0));
	if (!expect(o, overlay_wait_registered(o, REGISTER_LIMIT_US), "not registered in time"))
		return;
	overlay_exchange(o, talk.a, talk.b, 4, 20000, 200, talk.flows);
	(void)expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after the first packet");
}

static void run_move(struct overlay *o)
{
	struct talk talk;

	if (!start_talk(o, &talk, 0))
		return;
	for (unsigned i = 0; i < 3; i++) {
		run_for(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
		host_move(talk.a->host, 1, overlay_draw_net(o, 0));
		if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after a's move"))
			return;
	}
}

static void run_both_move(struct overlay *o)
{
	struct talk talk;

	if (!start_talk(o, &talk, 0))
		return;
	for (unsigned i = 0; i < 3; i++) {
		run_for(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
		host_move(talk.a->host, 1, overlay_draw_net(o, 0));
		host_move(talk.b->host, 1, overlay_draw_net(o, 0));
		if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after both moved"))
			return;
	}
}

/* Whoever knows each other needs no coordinator any more. */
static void run_coordinator_dies(struct overlay *o)
{
	struct talk talk;

	if (!start_talk(o, &talk, 0))
		return;
	host_kill(o->coordinator);
	run_for(o, stream_range(&o->random, 0, 20 * USEC_PER_SEC));
	if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "without a coordinator"))
		return;
	host_move(talk.a->host, 1, overlay_draw_net(o, 0));
	if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after a move without a coordinator"))
		return;
	host_move(talk.a->host, 1, overlay_draw_net(o, 0));
	host_move(talk.b->host, 1, overlay_draw_net(o, 0));
	if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after both moved without a coordinator"))
		return;
	overlay_restart_coordinator(o);
	(void)expect(o, overlay_wait_registered(o, HEALED_LIMIT_US),
		     "not registered with the restarted coordinator in time");
	(void)expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after the coordinator's return");
}

/* The NAT reboots while data flows: nobody tells the node. */
static void run_rebind(struct overlay *o)
{
	struct talk talk;

	if (!start_talk(o, &talk, 0))
		return;
	for (unsigned i = 0; i < 3; i++) {
		run_for(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
		nat_flush(&o->world->nets[talk.a->host->ports[0].net].nat);
		nat_flush(&o->world->nets[talk.a->host->ports[0].net].firewall);
		if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after a's NAT rebooted"))
			return;
	}
}

/* The relay forgets everything, or is gone for a while. */
static void run_relay_restarts(struct overlay *o)
{
	struct talk talk;

	if (!start_talk(o, &talk, 0))
		return;
	host_kill(o->relays[0]);
	run_for(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
	overlay_restart_relay(o, 0);
	(void)expect_flow(o, &talk, HEALED_LIMIT_US, "after the relay's restart");
}

/* The access net swallows everything for a while and says nothing. */
static void run_silence(struct overlay *o)
{
	struct talk talk;
	uint8_t net;

	if (!start_talk(o, &talk, 0))
		return;
	net = talk.a->host->ports[0].net;
	o->world->nets[net].silent = true;
	run_for(o, stream_range(&o->random, USEC_PER_SEC, 60 * USEC_PER_SEC));
	o->world->nets[net].silent = false;
	(void)expect_flow(o, &talk, HEALED_LIMIT_US, "after the silence");
}

/* A second interface comes up before the first one goes, or takes over from a silent one. */
static void run_two_interfaces(struct overlay *o)
{
	struct talk talk;

	if (!start_talk(o, &talk, 0))
		return;
	host_plug(talk.a->host, 2, overlay_draw_net(o, 0));
	host_announce(talk.a->host);
	if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "with a second interface"))
		return;
	run_for(o, stream_range(&o->random, 0, 2 * USEC_PER_SEC));
	host_plug(talk.a->host, 1, 0);
	host_announce(talk.a->host);
	if (!expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after the first interface went"))
		return;
	host_plug(talk.a->host, 1, overlay_draw_net(o, 0));
	host_announce(talk.a->host);
	run_for(o, stream_range(&o->random, USEC_PER_SEC, 3 * USEC_PER_SEC));
	o->world->nets[talk.a->host->ports[0].net].silent = true;
	(void)expect_flow(o, &talk, HEALED_LIMIT_US, "after the first interface fell silent");
}

static void draw_fault(struct overlay *o, struct talk *talk)
{
	struct overlay_node *who = stream_chance(&o->random, 500000) ? talk->a : talk->b;
	struct net *net = &o->world->nets[who->host->ports[0].net];

	switch (stream_below(&o->random, 7)) {
	case 0:
	case 1: host_move(who->host, 1, overlay_draw_net(o, 100000)); break;
	case 2: nat_flush(&net->nat); break;
	case 3: net->silent = !net->silent; break;
	case 4:
		if (o->coordinator->machine)
			host_kill(o->coordinator);
		else
			overlay_restart_coordinator(o);
		break;
	case 5:
		if (o->relays[0]->machine)
			host_kill(o->relays[0]);
		else
			overlay_restart_relay(o, 0);
		break;
	default:
		host_move(talk->a->host, 1, overlay_draw_net(o, 100000));
		host_move(talk->b->host, 1, overlay_draw_net(o, 100000));
	}
}

/* Everything goes wrong at random; then the world is healed, and life must go on. */
static void run_swarm(struct overlay *o)
{
	struct talk talk;
	uint64_t faults = stream_below(&o->random, 12);

	if (!start_talk(o, &talk, 20000))
		return;
	for (uint64_t i = 0; i < faults && !o->world->failed; i++) {
		run_for(o, stream_range(&o->random, 0, 4 * USEC_PER_SEC));
		draw_fault(o, &talk);
	}
	run_for(o, USEC_PER_SEC);
	overlay_heal(o);
	if (!o->coordinator->machine)
		overlay_restart_coordinator(o);
	if (!o->relays[0]->machine)
		overlay_restart_relay(o, 0);
	(void)expect_flow(o, &talk, HEALED_LIMIT_US, "after the world was healed");
}

/* A public net, a millisecond from the core. */
static uint8_t forger_net(struct overlay *o)
{
	struct net_config config = {.name = "forger-net", .has_v4 = true, .has_v6 = true};

	config.up.delay_us = config.down.delay_us = 1000;
	return world_add_net(o->world, &config);
}

/*
 * Under attack: the exchange goes on, also over moves. Who only copies gains no more than E5 grants per real move. Who
 * also hands on what he gets is a router, and a bad one if he likes: data may flow through him until he stops, and then
 * must find another way.
 */
static void run_attacked(struct overlay *o, struct forger *forger)
{
	enum { MOVES = 3 };
	struct talk talk;

	if (!start_talk(o, &talk, 0))
		return;
	forger_listen(forger);
	for (unsigned i = 0; i <= MOVES; i++) {
		if (!forger->relays_back && !expect_flow(o, &talk, EXCHANGE_LIMIT_US, "under attack"))
			return;
		run_for(o, stream_range(&o->random, 0, 2 * USEC_PER_SEC));
		if (i < MOVES)
			host_move(stream_chance(&o->random, 500000) ? talk.a->host : talk.b->host, 1,
				  overlay_draw_net(o, 0));
	}
	if (!forger->relays_back && forger->received_data > MOVES * (uint64_t)UNVALIDATED_BURST_BYTES)
		world_fail(o->world, "the forger was sent %llu bytes of data",
			   (unsigned long long)forger->received_data);
	forger_stop(forger);
	(void)expect_flow(o, &talk, EXCHANGE_LIMIT_US, "after the attack");
}

static void run_forwarder(struct overlay *o)
{
	struct forger forger;

	forger_start(&forger, o->world, forger_net(o), o->world->seed);
	forger.forward_ppm = (uint32_t)stream_below(&o->random, 1000001);
	forger.relays_back = stream_chance(&o->random, 500000);
	run_attacked(o, &forger);
	forger_stop(&forger);
}

static void run_replayer(struct overlay *o)
{
	struct forger forger;

	forger_start(&forger, o->world, forger_net(o), o->world->seed);
	forger.replay_ppm = (uint32_t)stream_below(&o->random, 1000001);
	run_attacked(o, &forger);
	forger_stop(&forger);
}

const struct scenario scenarios[] = {
	{"contact", "two nodes find each other by name and exchange packets", run_contact},
	{"first-packet", "the first packets themselves cause the contact, from both sides", run_first_packet},
	{"move", "one node moves, three times", run_move},
	{"both-move", "both move at the same instant, three times", run_both_move},
	{"coordinator-dies", "moves without a coordinator, and its return", run_coordinator_dies},
	{"rebind", "a NAT forgets its mappings under traffic", run_rebind},
	{"relay-restarts", "the relay is gone for a while and comes back without memory", run_relay_restarts},
	{"silence", "an access network swallows everything for up to a minute", run_silence},
	{"two-interfaces", "make before break, and a silent death of the preferred interface", run_two_interfaces},
	{"forwarder", "an attacker copies packets to their destination from his own address, faster (A2)",
	 run_forwarder},
	{"replayer", "an attacker replays, redirects and damages what he has seen (A1)", run_replayer},
	{"swarm", "loss, reordering, moves, reboots and deaths at random; then healed", run_swarm},
};
const unsigned scenario_count = sizeof scenarios / sizeof *scenarios;

static void sum_up(const struct overlay *o, struct scenario_result *ret)
{
	*ret = (struct scenario_result){
		.failed = o->world->failed,
		.hash = o->world->trace.hash,
		.events = o->world->trace.events,
		.virtual_us = o->world->now.us - 1000 * USEC_PER_SEC,
		.gap_us = -1,
	};
	memcpy(ret->failure, o->world->failure, sizeof ret->failure);
	for (uint32_t i = 0; i < o->traffic.flow_count; i++) {
		const struct flow *flow = &o->traffic.flows[i];

		ret->sent += flow->sent;
		ret->lost += flow->sent - flow->delivered;
		if (flow->gap_us > ret->gap_us)
			ret->gap_us = flow->gap_us;
	}
}

/* After the story two quiet seconds: what is still under way arrives, so that lost means lost. */
void scenario_run(const struct scenario *scenario, uint64_t seed, FILE *draw, struct scenario_result *ret)
{
	struct overlay overlay;

	overlay_init(&overlay, seed, 1);
	scenario->run(&overlay);
	for (uint32_t i = 0; i < overlay.traffic.flow_count; i++)
		flow_stop(&overlay.traffic.flows[i]);
	run_for(&overlay, 2 * USEC_PER_SEC);
	sum_up(&overlay, ret);
	if (ret->failed && draw)
		trace_draw(&overlay.world->trace, draw);
	overlay_finish(&overlay);
}
