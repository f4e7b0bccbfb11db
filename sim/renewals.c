/*
 * Certificates of three minutes, renewed while data flows, as a driver does it; then the account server is away until
 * they have run out, and comes back. Nothing may be felt of all that by who talks already.
 */
#include "renewals.h"

#include "proto/node/renewal.h"
#include "story.h"
#include "world.h"

enum { VALID_S = 180, NODES = 3 };

/* NATs forget meanwhile, too, and a way that is lost costs some round trips. */
#define GAP_MAX_US (1 * USEC_PER_SEC)

struct life {
	struct overlay *o;
	struct talk talk;
	struct overlay_node *third;
	struct renewal renewals[NODES];
	unsigned renewed, refused;
	uint64_t handshakes; /* of a and b, that are known of */
	bool is_away;	     /* the account server */
};

static struct overlay_node *node_at(struct life *life, int index)
{
	return index == 0 ? life->talk.a : index == 1 ? life->talk.b : life->third;
}

static void renew_what_is_due(struct life *life, int index)
{
	struct overlay_node *node = node_at(life, index);
	struct time_us now = life->o->world->now;
	struct node_status status;

	node_get_status(node_of(node->host), now, &status);
	if (!renewal_is_due(&life->renewals[index], now, status.network_time_s))
		return;
	if (life->is_away) {
		renewal_failed(&life->renewals[index], now, status.network_time_s);
		life->refused++;
		return;
	}
	overlay_renew_certificate(life->o, node);
	renewal_succeeded(&life->renewals[index], now, node_get_certificate(node_of(node->host)));
	life->renewed++;
}

static void live(struct life *life, int64_t duration_s)
{
	for (int64_t s = 0; s < duration_s && !life->o->world->failed; s++) {
		story_run(life->o, USEC_PER_SEC);
		for (int i = 0; i < NODES; i++)
			renew_what_is_due(life, i);
	}
}

static uint64_t count_handshakes(struct life *life)
{
	uint64_t sum = 0;

	for (int i = 0; i < 2; i++) {
		struct node_status status;

		node_get_status(node_of(node_at(life, i)->host), life->o->world->now, &status);
		sum += status.counters.handshakes;
	}
	return sum;
}

/* Nobody's session was made anew, and nobody was out of reach. */
static bool felt_nothing(struct life *life, const char *what)
{
	const struct flow *flows[] = {life->talk.flows[0], life->talk.flows[1]};
	bool holds = story_expect(life->o, count_handshakes(life) == life->handshakes, "a tunnel was made anew");

	for (int i = 0; i < 2 && holds; i++)
		holds = story_expect(life->o, flows[i]->gap_us < GAP_MAX_US, what);
	return holds;
}

static bool meets(struct life *life, struct overlay_node *from, struct overlay_node *to)
{
	struct flow *flows[2];

	overlay_exchange(life->o, from, to, 4, 100000, 100, flows);
	if (!overlay_wait_delivered(life->o, flows, 2, 1, 3 * USEC_PER_SEC))
		return false;
	flow_stop(flows[0]);
	flow_stop(flows[1]);
	life->handshakes = count_handshakes(life);
	return true;
}

static void begin(struct life *life)
{
	for (int i = 0; i < NODES; i++)
		renewal_init(&life->renewals[i], node_get_certificate(node_of(node_at(life, i)->host)));
	for (int i = 0; i < 2; i++) {
		pipe_stop(life->talk.pipes[i]);
		life->talk.flows[i]->interval_us = 100000;
	}
	story_run(life->o, 5 * USEC_PER_SEC); /* the best way is found */
	life->handshakes = count_handshakes(life);
	for (int i = 0; i < 2; i++)
		flow_mark(life->talk.flows[i]);
}

/* Contract in the header. */
void renewals_run(struct overlay *o)
{
	struct life life = {.o = o};

	o->certificate_valid_s = VALID_S;
	if (!story_start_drawn(o, &life.talk, 0))
		return;
	life.third = overlay_add_node(o, "c", overlay_draw_net(o, 0));
	begin(&life);
	live(&life, 4 * VALID_S);
	if (!story_expect(o, life.renewed >= 4 * NODES, "certificates are renewed too rarely") ||
	    !story_expect(o, life.renewed <= 9 * NODES, "certificates are renewed too often") ||
	    !felt_nothing(&life, "data waited for a renewal") ||
	    !story_expect(o, meets(&life, life.third, life.talk.a), "a renewed certificate makes no tunnel"))
		return;
	life.is_away = true;
	live(&life, 2 * VALID_S);
	if (!story_expect(o, life.refused >= NODES && life.refused < 60 * NODES,
			  "it does not try again, or too often") ||
	    !felt_nothing(&life, "data waited while the certificate had run out"))
		return;
	life.is_away = false;
	live(&life, 301);
	if (felt_nothing(&life, "data waited for a late renewal"))
		(void)story_expect(o, meets(&life, life.talk.b, life.third), "a late renewal makes no tunnel");
}
