#include "scenario.h"

#include <string.h>

#include "flood.h"
#include "forger.h"
#include "middle.h"
#include "reborn.h"
#include "renewals.h"
#include "rests.h"
#include "story.h"
#include "world.h"
#include "zones.h"

#define RESTARTED_LIMIT_US (1500 * USEC_PER_MSEC)

static void run_contact(struct overlay *o)
{
	struct talk talk;

	(void)story_start_drawn(o, &talk, 0);
}

/* Contact by the first packet alone, both at once: the tunnel is directed while the packet waits. */
static void run_first_packet(struct overlay *o)
{
	struct talk talk = {0};

	talk.a = overlay_add_node(o, "a", overlay_draw_net(o, 0));
	talk.b = overlay_add_node(o, "b", overlay_draw_net(o, 0));
	if (!story_expect(o, overlay_wait_registered(o, REGISTER_LIMIT_US), "not registered in time"))
		return;
	overlay_exchange(o, talk.a, talk.b, 4, 20000, 200, talk.flows);
	(void)story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "after the first packet");
}

static void run_move(struct overlay *o)
{
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	for (unsigned i = 0; i < 3; i++) {
		story_run(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
		host_move(talk.a->host, 1, overlay_draw_net(o, 0));
		if (!story_goes_on(o, &talk, MOVE_ONE, EXCHANGE_LIMIT_US, "after a's move"))
			return;
	}
}

static void run_both_move(struct overlay *o)
{
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	for (unsigned i = 0; i < 3; i++) {
		story_run(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
		host_move(talk.a->host, 1, overlay_draw_net(o, 0));
		host_move(talk.b->host, 1, overlay_draw_net(o, 0));
		if (!story_goes_on(o, &talk, MOVE_BOTH, EXCHANGE_LIMIT_US, "after both moved"))
			return;
	}
}

/* Whoever knows each other needs no coordinator any more. */
static void run_coordinator_dies(struct overlay *o)
{
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	host_kill(o->coordinator);
	story_run(o, stream_range(&o->random, 0, 20 * USEC_PER_SEC));
	if (!story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "without a coordinator"))
		return;
	host_move(talk.a->host, 1, overlay_draw_net(o, 0));
	if (!story_goes_on(o, &talk, MOVE_ONE, EXCHANGE_LIMIT_US, "after a move without a coordinator"))
		return;
	host_move(talk.a->host, 1, overlay_draw_net(o, 0));
	host_move(talk.b->host, 1, overlay_draw_net(o, 0));
	if (!story_goes_on(o, &talk, MOVE_BOTH, EXCHANGE_LIMIT_US, "after both moved without a coordinator"))
		return;
	overlay_restart_coordinator(o);
	(void)story_expect(o, overlay_wait_registered(o, HEALED_LIMIT_US),
			   "not registered with the restarted coordinator in time");
	(void)story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "after the coordinator's return");
}

/* The NAT reboots while data flows: nobody tells the node. */
static void run_rebind(struct overlay *o)
{
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	for (unsigned i = 0; i < 3; i++) {
		story_run(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
		nat_flush(&o->world->nets[talk.a->host->ports[0].net].nat);
		nat_flush(&o->world->nets[talk.a->host->ports[0].net].firewall);
		if (!story_goes_on(o, &talk, MOVE_REBIND, EXCHANGE_LIMIT_US, "after a's NAT rebooted"))
			return;
	}
}

/* It has lost all but its keys; who of the two speaks first does so a packet each 200 ms. */
static bool speak_again(struct overlay *o, struct talk *talk, bool speaks_first, const char *what)
{
	struct flow *flows[2];

	host_kill(talk->b->host);
	story_run(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
	overlay_start_node(o, talk->b);
	if (!story_expect(o, overlay_wait_registered(o, REGISTER_LIMIT_US), "not registered again in time"))
		return false;
	story_run(o, 200 * USEC_PER_MSEC); /* the word of it arrives */
	overlay_exchange(o, speaks_first ? talk->b : talk->a, speaks_first ? talk->a : talk->b, 4, 200000, 200, flows);
	flow_stop(flows[1]);
	if (!story_expect(o, overlay_wait_delivered(o, flows, 1, 1, RESTARTED_LIMIT_US), what))
		return false;
	flow_stop(flows[0]);
	story_run(o, USEC_PER_SEC); /* what arrived is acknowledged: else it may come twice */
	return true;
}

/* Its peer has the tunnel all the while, and does not wait for its own patience to end: that would be two seconds. */
static void run_node_restarts(struct overlay *o)
{
	struct talk talk;

	if (stream_chance(&o->random, 500000))
		overlay_add_zone(o);
	if (!story_start_drawn(o, &talk, 0))
		return;
	for (int i = 0; i < 2; i++) {
		flow_stop(talk.flows[i]);
		pipe_stop(talk.pipes[i]);
	}
	story_run(o, stream_range(&o->random, 3 * USEC_PER_SEC, 5 * USEC_PER_SEC));
	if (speak_again(o, &talk, false, "it was not reached at once"))
		(void)speak_again(o, &talk, true, "it did not reach its peer at once");
}

/* The relay forgets everything, or is gone for a while. */
static void run_relay_restarts(struct overlay *o)
{
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	host_kill(o->relays[0]);
	story_run(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
	overlay_restart_relay(o, 0);
	(void)story_goes_on(o, &talk, MOVE_RELAY_LOST, HEALED_LIMIT_US, "after the relay's restart");
}

/* Each destination another port, nobody comes in uncalled: only relays and luck lead in. */
static uint8_t add_hard_net(struct overlay *o)
{
	struct net_config config = {.has_v4 = true, .has_nat = true};
	int64_t delay_us = stream_range(&o->random, 500, 60000);

	(void)snprintf(config.name, sizeof config.name, "hard%u", o->world->net_count + 1);
	config.nat.mapping = config.nat.filtering = NAT_ADDRESS_PORT_DEPENDENT;
	config.nat.draws_ports = true;
	config.up.delay_us = config.down.delay_us = delay_us;
	config.up.jitter_us = config.down.jitter_us = stream_range(&o->random, 0, 3000);
	return world_add_net(o->world, &config);
}

/* Packets take as long as the one before them there, so that whoever is late was overtaken. */
static uint8_t add_even_net(struct overlay *o)
{
	struct net_config config = {.has_v4 = true};

	(void)snprintf(config.name, sizeof config.name, "even%u", o->world->net_count + 1);
	config.up.delay_us = config.down.delay_us = stream_range(&o->random, 500, 60000);
	return world_add_net(o->world, &config);
}

/* Between moves, when all goes one way, no packet overtakes another one of its flow. */
static bool keeps_order(struct overlay *o, const struct talk *talk)
{
	uint32_t late[2];

	story_run(o, 2 * USEC_PER_SEC);
	for (int i = 0; i < 2; i++)
		late[i] = talk->flows[i]->late;
	story_run(o, USEC_PER_SEC);
	return story_expect(o, talk->flows[0]->late == late[0] && talk->flows[1]->late == late[1],
			    "packets of a flow were overtaken");
}

/* Nodes of several threads: which of them gets what is drawn anew for each datagram, a flow has one. No more is lost
 * than with one thread: nothing in 184 of 200 runs, and 4 to 31 packets in the same 16. */
static void run_lanes(struct overlay *o)
{
	enum { LOST_MAX = 40 };
	struct talk talk;

	o->lane_count = (unsigned)stream_range(&o->random, 2, NODE_LANES_MAX);
	if (!story_start(o, &talk, add_even_net(o), add_even_net(o), 4, 200))
		return;
	for (unsigned i = 0; i < 6; i++) {
		struct overlay_node *who = stream_chance(&o->random, 500000) ? talk.a : talk.b;

		if (!keeps_order(o, &talk))
			return;
		host_move(who->host, 1, add_even_net(o));
		if (!story_goes_on(o, &talk, MOVE_ONE, EXCHANGE_LIMIT_US, "with several threads"))
			return;
	}
	for (int i = 0; i < 2; i++)
		flow_stop(talk.flows[i]);
	story_run(o, 2 * USEC_PER_SEC);
	for (int i = 0; i < 2; i++)
		if (talk.flows[i]->delivered + LOST_MAX < talk.flows[i]->sent)
			world_fail(o->world, "%u of %u packets were lost",
				   talk.flows[i]->sent - talk.flows[i]->delivered, talk.flows[i]->sent);
}

/* What happens to relays, one thing after the other; at least one is always there. */
static const char *upset_relays(struct overlay *o, const struct talk *talk, bool *dead)
{
	uint32_t used = overlay_relay_of(o, talk->a, talk->b), alive = 0, lost = o->relay_count;

	for (uint32_t i = 0; i < o->relay_count; i++) {
		alive += !dead[i];
		lost = dead[i] ? i : lost;
	}
	if (lost < o->relay_count && stream_chance(&o->random, 500000)) {
		overlay_restart_relay(o, lost);
		dead[lost] = false;
		return "after a relay's return";
	}
	if (used < o->relay_count && !dead[used] && alive > 1) {
		host_kill(o->relays[used]);
		dead[used] = true;
		return "after the relay's death";
	}
	if (o->relay_count < OVERLAY_RELAYS_MAX) {
		overlay_join_relay(o, stream_range(&o->random, 1000, 40000));
		return "after a relay joined";
	}
	return "with all as it was";
}

/* A relay's death costs less than what is kept to be sent again: nothing is lost. */
static void run_relays(struct overlay *o)
{
	bool dead[OVERLAY_RELAYS_MAX] = {false};
	uint8_t net_a = add_hard_net(o), net_b = add_hard_net(o);
	struct talk talk;

	if (!story_start(o, &talk, net_a, net_b, 4, 200))
		return;
	for (unsigned i = 0; i < 8; i++) {
		const char *when;

		story_run(o, stream_range(&o->random, 1, 6) * USEC_PER_SEC);
		if (stream_chance(&o->random, 250000)) {
			host_move(stream_chance(&o->random, 500000) ? talk.a->host : talk.b->host, 1, add_hard_net(o));
			if (!story_goes_on(o, &talk, MOVE_ONE, EXCHANGE_LIMIT_US, "after a move between relays"))
				return;
		}
		when = upset_relays(o, &talk, dead);
		if (!story_goes_on(o, &talk, MOVE_RELAY_LOST, EXCHANGE_LIMIT_US, when))
			return;
	}
}

/* Who forwards, the machine or the kernel beside it, makes no difference to anybody; and the kernel does most of it. */
static void run_kernel(struct overlay *o)
{
	uint8_t net_a = add_hard_net(o), net_b = add_hard_net(o);
	struct relay_counters c;
	struct talk talk;

	o->relays_have_kernel = true;
	host_kill(o->relays[0]);
	overlay_restart_relay(o, 0);
	if (!story_start(o, &talk, net_a, net_b, 4, 200))
		return;
	for (unsigned i = 0; i < 6; i++) {
		uint64_t drawn = stream_below(&o->random, 4);

		story_run(o, stream_range(&o->random, 0, 4 * USEC_PER_SEC));
		if (drawn == 0)
			nat_flush(&o->world->nets[talk.a->host->ports[0].net].nat);
		if (drawn == 1 || drawn == 2)
			host_move(talk.a->host, 1, add_hard_net(o));
		if (drawn >= 2)
			host_move(talk.b->host, 1, add_hard_net(o));
		if (!story_goes_on(o, &talk,
				   drawn == 0	? MOVE_REBIND
				   : drawn == 2 ? MOVE_BOTH
						: MOVE_ONE,
				   EXCHANGE_LIMIT_US, "through a relay in the kernel"))
			return;
	}
	relay_get_counters(((struct server_host *)o->relays[0]->machine)->relay, &c);
	(void)story_expect(o, c.express_forwarded > c.forwarded / 2, "the kernel forwards the smaller part");
}

/* The access net swallows everything for a while and says nothing. */
static void run_silence(struct overlay *o)
{
	struct talk talk;
	uint8_t net;

	if (!story_start_drawn(o, &talk, 0))
		return;
	net = talk.a->host->ports[0].net;
	o->world->nets[net].silent = true;
	story_run(o, stream_range(&o->random, USEC_PER_SEC, 60 * USEC_PER_SEC));
	o->world->nets[net].silent = false;
	(void)story_goes_on(o, &talk, MOVE_CONTACT, HEALED_LIMIT_US, "after the silence");
}

/* A second interface comes up before the first one goes, or takes over from a silent one. */
static void run_two_interfaces(struct overlay *o)
{
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	host_plug(talk.a->host, 2, overlay_draw_net(o, 0));
	host_announce(talk.a->host);
	if (!story_goes_on(o, &talk, MOVE_BESIDE, EXCHANGE_LIMIT_US, "with a second interface"))
		return;
	story_run(o, stream_range(&o->random, 0, 2 * USEC_PER_SEC));
	host_plug(talk.a->host, 1, 0);
	host_announce(talk.a->host);
	if (!story_goes_on(o, &talk, MOVE_OVER, EXCHANGE_LIMIT_US, "after the first interface went"))
		return;
	host_plug(talk.a->host, 1, overlay_draw_net(o, 0));
	host_announce(talk.a->host);
	story_run(o, stream_range(&o->random, USEC_PER_SEC, 3 * USEC_PER_SEC));
	o->world->nets[talk.a->host->ports[0].net].silent = true;
	(void)story_goes_on(o, &talk, MOVE_SILENCE, HEALED_LIMIT_US, "after the first interface fell silent");
}

/* Thirty changes of place in one life, of every kind. */
static void run_journey(struct overlay *o)
{
	enum { MOVES = 30 };
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	for (unsigned i = 0; i < MOVES; i++) {
		uint64_t drawn = stream_below(&o->random, 8);
		enum move_kind kind = drawn == 0 ? MOVE_REBIND : drawn <= 2 ? MOVE_BOTH : MOVE_ONE;
		struct net *net = &o->world->nets[talk.a->host->ports[0].net];

		story_run(o, stream_range(&o->random, 0, USEC_PER_SEC));
		if (kind == MOVE_REBIND) {
			nat_flush(&net->nat);
			nat_flush(&net->firewall);
		}
		if (kind == MOVE_BOTH || (kind == MOVE_ONE && drawn % 2))
			host_move(talk.b->host, 1, overlay_draw_net(o, 0));
		if (kind == MOVE_BOTH || (kind == MOVE_ONE && drawn % 2 == 0))
			host_move(talk.a->host, 1, overlay_draw_net(o, 0));
		if (!story_goes_on(o, &talk, kind, EXCHANGE_LIMIT_US, "on a journey"))
			return;
	}
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

	if (!story_start_drawn(o, &talk, 20000))
		return;
	for (uint64_t i = 0; i < faults && !o->world->failed; i++) {
		story_run(o, stream_range(&o->random, 0, 4 * USEC_PER_SEC));
		draw_fault(o, &talk);
	}
	story_run(o, USEC_PER_SEC);
	overlay_heal(o);
	if (!o->coordinator->machine)
		overlay_restart_coordinator(o);
	if (!o->relays[0]->machine)
		overlay_restart_relay(o, 0);
	(void)story_goes_on(o, &talk, MOVE_CONTACT, HEALED_LIMIT_US, "after the world was healed");
}

/* A public net, a millisecond from the core. */
static uint8_t forger_net(struct overlay *o)
{
	struct net_config config = {.name = "forger-net", .has_v4 = true, .has_v6 = true};

	config.up.delay_us = config.down.delay_us = 1000;
	return world_add_net(o->world, &config);
}

/*
 * Under attack: the exchange goes on, also over moves. Who only copies gains no more than E5's burst once at the peer
 * and once at the relay for each real move, and but for one burst less than he sends. Who also hands on what he gets is
 * a router, and a bad one if he likes: data may flow through him until he stops, and then must find another way.
 */
static bool gained_too_much(const struct forger *forger, unsigned moves)
{
	uint64_t burst = UNVALIDATED_BURST_BYTES;

	return !forger->relays_back &&
	       (forger->received_data > 2 * moves * burst || forger->received_data > forger->forwarded + burst);
}

static void run_attacked(struct overlay *o, struct forger *forger)
{
	enum { MOVES = 3 };
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	forger_listen(forger);
	for (unsigned i = 0; i <= MOVES; i++) {
		if (!forger->relays_back && !story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "under attack"))
			return;
		story_run(o, stream_range(&o->random, 0, 2 * USEC_PER_SEC));
		if (i < MOVES)
			host_move(stream_chance(&o->random, 500000) ? talk.a->host : talk.b->host, 1,
				  overlay_draw_net(o, 0));
	}
	if (gained_too_much(forger, MOVES))
		world_fail(o->world, "the forger was sent %llu bytes of data",
			   (unsigned long long)forger->received_data);
	forger_stop(forger);
	(void)story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "after the attack");
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

/* He is there before the nodes are: their links to the coordinator are copied too, faster than they are. */
static void run_forwarder_early(struct overlay *o)
{
	struct forger forger;
	struct talk talk;

	forger_start(&forger, o->world, forger_net(o), o->world->seed);
	forger.forward_ppm = (uint32_t)stream_below(&o->random, 1000001);
	forger_listen(&forger);
	if (story_start_drawn(o, &talk, 0)) {
		host_move(talk.a->host, 1, overlay_draw_net(o, 0));
		(void)story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "copied from the start");
	}
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

/* He sits in a's net, and loses a when it moves; at the end he is gone. */
static void run_on_path(struct overlay *o)
{
	struct middle middle;
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	middle_start(&middle, o->world, talk.a->host->ports[0].net, 200000);
	if (story_goes_on(o, &talk, MOVE_CONTACT, HEALED_LIMIT_US, "with somebody on the way")) {
		story_run(o, stream_range(&o->random, 0, 5 * USEC_PER_SEC));
		if (stream_chance(&o->random, 500000))
			host_move(talk.a->host, 1, overlay_draw_net(o, 0));
		else
			host_move(talk.b->host, 1, overlay_draw_net(o, 0));
		(void)story_goes_on(o, &talk, MOVE_CONTACT, HEALED_LIMIT_US, "after a move with somebody on the way");
	}
	middle_stop(&middle);
	(void)story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "after he had gone");
}

/* The relay drops, delays, doubles, reorders and sends elsewhere what it should forward. */
static void run_evil_relay(struct overlay *o)
{
	struct middle middle;
	struct talk talk;

	if (!story_start_drawn(o, &talk, 0))
		return;
	middle_start(&middle, o->world, o->relays[0]->ports[0].net, 200000);
	middle.only_out = true;
	middle.divert_ppm = (uint32_t)stream_below(&o->random, 100001);
	for (unsigned i = 0; i < 3; i++) {
		struct overlay_node *who = stream_chance(&o->random, 500000) ? talk.a : talk.b;

		middle.divert = host_addr(who->host, 4);
		if (net_number_of(&middle.divert.ip) == 0)
			middle.divert = host_addr(o->coordinator, 4);
		if (!story_goes_on(o, &talk, MOVE_CONTACT, HEALED_LIMIT_US, "with an evil relay"))
			break;
		story_run(o, stream_range(&o->random, 0, 3 * USEC_PER_SEC));
		host_move(who->host, 1, overlay_draw_net(o, 0));
	}
	middle_stop(&middle);
	(void)story_goes_on(o, &talk, MOVE_CONTACT, EXCHANGE_LIMIT_US, "after the relay repented");
}

const struct scenario scenarios[] = {
	{"contact", "two nodes find each other by name and exchange packets", run_contact},
	{"first-packet", "the first packets themselves cause the contact, from both sides", run_first_packet},
	{"move", "one node moves, three times", run_move},
	{"both-move", "both move at the same instant, three times", run_both_move},
	{"journey", "thirty changes of place in one life", run_journey},
	{"coordinator-dies", "moves without a coordinator, and its return", run_coordinator_dies},
	{"rebind", "a NAT forgets its mappings under traffic", run_rebind},
	{"node-restarts", "a node comes back without memory while its peer still has the tunnel", run_node_restarts},
	{"rests", "first data after long silence in which NATs forgot, one end moved, then both", rests_run},
	{"relay-restarts", "the relay is gone for a while and comes back without memory", run_relay_restarts},
	{"relays", "relays die, return and join while both ends move; the pair has no other way", run_relays, 2},
	{"lanes", "nodes of several threads move; each lane keeps its order, and no more is lost", run_lanes},
	{"kernel", "the relay's kernel forwards for it, while either end moves or its NAT forgets", run_kernel},
	{"silence", "an access network swallows everything for up to a minute", run_silence},
	{"two-interfaces", "make before break, and a silent death of the preferred interface", run_two_interfaces},
	{"forwarder", "an attacker copies packets to their destination from his own address, faster (A2)",
	 run_forwarder},
	{"on-path", "somebody on the way drops, delays, doubles and reorders", run_on_path},
	{"evil-relay", "the relay does so too, and sends packets elsewhere", run_evil_relay},
	{"forwarder-early", "the forwarder copies what nodes and coordinator say, from the start", run_forwarder_early},
	{"replayer", "an attacker replays, redirects and damages what he has seen (A1)", run_replayer},
	{"flooded", "first messages with a valid mac1 from made-up sources while nodes come (T5)", flood_run},
	{"zones", "two coordinators: contact and moves across, loss between them, the restart of either", zones_run},
	{"partners", "the same with two networks, each with an account server of its own, found by DNS",
	 zones_run_partners},
	{"reborn", "a single packet to or from a node that was killed and starts again", reborn_run},
	{"renewals", "certificates run out and are renewed under way; the account server is away for long",
	 renewals_run},
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

/* The stats, if any, get what the run has seen. */
void scenario_run(const struct scenario *scenario, uint64_t seed, FILE *draw, struct stats *stats,
		  struct scenario_result *ret)
{
	struct overlay overlay;

	overlay_init(&overlay, seed, scenario->relays ? scenario->relays : 1, -1);
	overlay.stats = stats;
	scenario->run(&overlay);
	story_end(&overlay);
	sum_up(&overlay, ret);
	if (ret->failed && draw)
		trace_draw(&overlay.world->trace, draw);
	overlay_finish(&overlay);
}
