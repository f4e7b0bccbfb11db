/*
 * When something is said to keep NATs open. Each local address has an interval that was measured (keepalive.h); what is
 * due on any of them falls on the same beats, so that an idle node wakes up once for all of it.
 */
#include <string.h>

#include "proto/node/machine.h"

#define KEYS_MARGIN_US (15 * USEC_PER_SEC) /* for the answer's patience and a rekey */

static bool is_of_link(const struct node *node, size_t index)
{
	return node_local_for(node, node->link.route.remote.ip.family) == (int)index;
}

static int64_t interval_at(const struct node *node, size_t index)
{
	int64_t interval_us = keepalive_interval_us(&node->local_states[index].keepalive);

	return node->local_states[index].keepalive.step > 0 || interval_us < node->link.keepalive_us
		       ? interval_us
		       : node->link.keepalive_us;
}

/* Of an address that is not ours (any more) the usual one. */
int64_t rhythm_interval_us(const struct node *node, const struct ip *local)
{
	for (size_t i = 0; i < node->local_count; i++)
		if (ip_equal(&node->locals[i].ip, local))
			return interval_at(node, i);
	return KEEPALIVE_US;
}

/* Of the address in most need, among those that the coordinator can be asked from. */
static int64_t beat_us(const struct node *node)
{
	int64_t beat = INT64_MAX;
	struct route route;

	for (size_t i = 0; i < node->local_count; i++)
		if (spare_route(node, i, &route) && interval_at(node, i) < beat)
			beat = interval_at(node, i);
	return beat == INT64_MAX ? KEEPALIVE_US : beat;
}

/* The last beat that the interval reaches. Nodes whose clocks agree must not all speak at once: each has its phase. */
struct time_us rhythm_next(const struct node *node, struct time_us now, const struct ip *local)
{
	struct time_us latest = time_add(now, rhythm_interval_us(node, local));
	int64_t beat = beat_us(node);
	uint32_t phase;
	int64_t at;

	memcpy(&phase, &node->certificate.id, sizeof phase);
	at = latest.us - (latest.us + phase) % beat;
	return at > now.us ? (struct time_us){at} : latest;
}

static bool may_begin(const struct node *node)
{
	if (!node->link.session || !node->link.up || node->link.registering || node->meter.is_running)
		return false;
	for (int i = 0; i < REQUESTS_MAX; i++)
		if (node->link.requests.slots[i].used)
			return false;
	for (size_t i = 0; i < node->local_count; i++)
		if (node->local_states[i].keepalive.is_waiting)
			return false;
	return true;
}

/* Keys are not changed meanwhile: they must outlive it, also where it ends without an answer. */
static bool outlives_keys(const struct node *node, struct time_us now, const struct keepalive *k)
{
	int64_t age_us = time_since(now, session_key_since(node->link.session));

	return age_us + (int64_t)keepalive_next_ms(k) * USEC_PER_MSEC > REJECT_AFTER_US - KEYS_MARGIN_US;
}

static bool leaves_from(struct node *node, struct peer *peer, const struct ip *local)
{
	struct route route;

	return peer->has_relay && peer_relay_route(node, &peer->leg, &route) && ip_equal(&route.local.ip, local);
}

/*
 * What rests is silent with it, as a NAT may have one memory for all that we say: our legs are bound when the silence
 * begins and when it ends, and not in between.
 */
static void bind_legs(struct node *node, const struct ip *local, struct time_us now)
{
	for (size_t i = 0; i < node->roster.count; i++) {
		struct peer *peer = node->roster.all[i];

		if (!peer->rest.paths || !leaves_from(node, peer, local))
			continue;
		leg_rest(&peer->leg, now);
		peer_plan(node, peer, now);
	}
}

static bool somebody_rests(const struct node *node)
{
	for (size_t i = 0; i < node->roster.count; i++)
		if (node->roster.all[i]->rest.paths)
			return true;
	return false;
}

static struct time_us held_until(const struct keepalive *k)
{
	return time_add(keepalive_deadline(k), 1);
}

/* When a leg that is bound now has to be bound again. */
struct time_us rhythm_bind(const struct node *node, const struct peer *peer, struct time_us now, const struct ip *local)
{
	for (size_t i = 0; i < node->local_count && peer->rest.paths; i++)
		if (ip_equal(&node->locals[i].ip, local) && node->local_states[i].keepalive.is_waiting)
			return held_until(&node->local_states[i].keepalive);
	return rhythm_next(node, now, local);
}

/* Asks from there; until the answer is due nothing else is said to the coordinator from there. */
static bool begin_at(struct node *node, struct time_us now, size_t index)
{
	struct keepalive *k = &node->local_states[index].keepalive;
	struct route route;

	if (!keepalive_may_begin(k, now) || node->local_states[index].is_suspect || !spare_route(node, index, &route))
		return false;
	if (is_of_link(node, index)) {
		if (outlives_keys(node, now, k))
			return false;
		route.remote = node->link.route.remote;
	}
	if (!spare_ask(node, now, &route, keepalive_next_ms(k)))
		return false;
	(void)keepalive_begin(k, now, node->transaction);
	node->is_measuring = true;
	bind_legs(node, &node->locals[index].ip, now);
	if (is_of_link(node, index))
		node->link.next_keepalive = time_add(keepalive_deadline(k), 1);
	node_plan(node, keepalive_deadline(k));
	return true;
}

/* The coordinator has just answered, and nothing is under way: the address in use first, the others one after another.
 */
void rhythm_begin(struct node *node, struct time_us now)
{
	if (!may_begin(node))
		return;
	for (int others = 0; others < 2; others++)
		for (size_t i = 0; i < node->local_count; i++)
			if (is_of_link(node, i) == (others == 0) && begin_at(node, now, i))
				return;
}

/* What waited for the end of the silence. */
static void resume(struct node *node, struct time_us at, size_t index)
{
	if (is_of_link(node, index))
		node->link.next_keepalive = time_min(node->link.next_keepalive, at);
	else
		node->local_states[index].next_ask = time_min(node->local_states[index].next_ask, at);
	bind_legs(node, &node->locals[index].ip, node->now); /* silent for as long as the coordinator was */
	node_plan(node, at);
}

/* A pair goes to rest, whose leg leaves from there. */
void rhythm_rest(struct node *node, struct time_us now, const struct ip *local)
{
	for (size_t i = 0; i < node->local_count; i++)
		if (ip_equal(&node->locals[i].ip, local) && keepalive_distrust(&node->local_states[i].keepalive, now))
			resume(node, now, i);
}

/* A datagram leaves, to whomever; only while something is measured. */
void rhythm_sent(struct node *node, struct time_us now, const struct ip *local)
{
	bool must_be_sure = somebody_rests(node), still = false;

	for (size_t i = 0; i < node->local_count; i++) {
		struct keepalive *k = &node->local_states[i].keepalive;

		if (ip_equal(&node->locals[i].ip, local) && keepalive_disturbed(k, now, must_be_sure))
			resume(node, rhythm_next(node, now, local), i);
		still |= k->is_waiting && !k->is_disturbed;
	}
	node->is_measuring = still;
}

/* Something went to the coordinator or came from it. */
void rhythm_spoke(struct node *node, struct time_us now, const struct ip *local)
{
	for (size_t i = 0; i < node->local_count; i++) {
		if (!ip_equal(&node->locals[i].ip, local) || !node->local_states[i].keepalive.is_waiting)
			continue;
		keepalive_void(&node->local_states[i].keepalive);
		resume(node, rhythm_next(node, now, local), i);
	}
}

/* An answer in the space aside: said again at once, as it is what we say that keeps a NAT open (RFC 4787 REQ-6). */
void rhythm_answered(struct node *node, struct time_us now, const struct ip *local, uint32_t transaction)
{
	for (size_t i = 0; i < node->local_count; i++) {
		struct keepalive *k = &node->local_states[i].keepalive;

		if (ip_equal(&node->locals[i].ip, local) && k->is_waiting && transaction == k->transaction) {
			(void)keepalive_answered(k, now, transaction);
			resume(node, now, i);
		}
	}
}

/* Another port of the same address: the NAT had forgotten us since we were last seen, unless that was asked of it. */
void rhythm_seen(struct node *node, struct time_us now, const struct ip *local, const struct addr *observed)
{
	for (size_t i = 0; i < node->local_count; i++) {
		struct local_state *state = &node->local_states[i];

		if (!ip_equal(&node->locals[i].ip, local))
			continue;
		keepalive_seen(&state->keepalive, now,
			       addr_is_set(&state->seen) && !addr_equal(&state->seen, observed));
		state->seen = *observed;
	}
}

/* An answer that has not come: the NAT is opened again at once. */
void rhythm_run(struct node *node, struct time_us now)
{
	for (size_t i = 0; i < node->local_count; i++) {
		struct keepalive *k = &node->local_states[i].keepalive;

		if (keepalive_run(k, now))
			resume(node, now, i);
		node_plan(node, keepalive_deadline(k));
	}
}
