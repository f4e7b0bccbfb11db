/*
 * pair.c: members that were directed to each other, and messages to them that are repeated until acknowledged. A
 * message is encoded anew for each try, so that it always tells the latest; a table of plaintexts (session/request.h)
 * would repeat stale addresses and cap busy servers at four.
 */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/foreign.h"

/* Asked once per direction, so walking at most PAIRS_PER_MEMBER is good enough. */
struct pair *pair_find(const struct member *a, const struct member *b)
{
	for (struct pair_end *end = a->ends; end; end = end->next)
		if (end->pair->ends[0].member == b || end->pair->ends[1].member == b)
			return end->pair;
	return NULL;
}

/* The end that member is; it is one of the two. */
struct pair_end *pair_end_of(struct pair *pair, const struct member *member)
{
	return &pair->ends[pair->ends[0].member == member ? 0 : 1];
}

/* The secrets serve one handshake only (design 4). */
void direction_forget(struct direction *direction)
{
	if (direction)
		wipe(direction, sizeof *direction);
	mem_free(direction);
}

/* The pair stays. */
static void forget_direction(struct pair *pair)
{
	delay_stop(&pair->secret);
	direction_forget(pair->direction);
	pair->direction = NULL;
}

/* Out of the member's list. */
static void unlink_end(struct pair_end *end)
{
	struct member *member = end->member;

	if (end->prev)
		end->prev->next = end->next;
	else
		member->ends = end->next;
	if (end->next)
		end->next->prev = end->prev;
	member->end_count--;
}

/* Nothing is sent: the tunnel itself is the two ends' affair. */
void pair_destroy(struct coordinator *c, struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		for (int kind = 0; kind < DELIVERIES; kind++)
			delay_stop(&pair->ends[i].deliveries[kind].repeat);
		unlink_end(&pair->ends[i]);
	}
	forget_direction(pair);
	relays_forget_grant(pair);
	c->counters.tunnels--;
	if (map_get(&c->by_tunnel, pair->path_id) == pair)
		map_remove(&c->by_tunnel, pair->path_id);
	for (int i = 0; i < 2; i++)
		visitor_release(c, pair->ends[i].member);
	mem_free(pair);
}

/* It has gone for good. */
void pair_forget_all(struct coordinator *c, struct member *member)
{
	while (member->ends)
		pair_destroy(c, member->ends->pair);
}

/* A new session may be a node that has forgotten everything: what it was told before is not given again. */
void pair_mark_stale(struct member *member)
{
	for (struct pair_end *end = member->ends; end; end = end->next)
		end->pair->is_stale = true;
}

/* Whoever has a tunnel with it ends that, instead of speaking to nobody until it doubts. */
void pair_tell_reborn(struct coordinator *c, struct member *member)
{
	for (struct pair_end *end = member->ends; end; end = end->next) {
		end->is_reborn = true;
		delay_stop(&end->deliveries[DELIVER_DIRECTION].repeat); /* of a tunnel that the other end has begun */
	}
	pair_push_updates(c, member, true);
}

/* Makes room for one more by forgetting the oldest. */
static void make_room(struct coordinator *c, struct member *member)
{
	struct pair_end *oldest = member->ends;

	if (member->end_count < PAIRS_PER_MEMBER)
		return;
	while (oldest->next)
		oldest = oldest->next;
	pair_destroy(c, oldest->pair);
}

/* The ticket is sealed for the relay and travels with the nodes, so the relay need not be asked (design 6). */
static void grant_relay(struct coordinator *c, uint64_t path_id, const struct relay_choice *choice,
			struct direction *direction)
{
	const struct relay_state *relay = &c->relays.list[choice->index];
	uint64_t now_s = coordinator_wall_s(c);
	struct ticket ticket = {.path_id = path_id,
				.not_before_s = now_s > 300 ? now_s - 300 : 0,
				.not_after_s = now_s + TICKET_VALID_S};
	uint8_t nonce[12];

	if (!choice->has)
		return;
	random_fill(&c->env.random, direction->leg_keys, sizeof direction->leg_keys);
	random_fill(&c->env.random, nonce, sizeof nonce);
	memcpy(ticket.leg_keys, direction->leg_keys, sizeof ticket.leg_keys);
	ticket_seal(&ticket, relay->key, c->config.static_keys.public, nonce, direction->ticket);
	wipe(&ticket, sizeof ticket);
	direction->relay = c->network->relays[choice->index];
	direction->relay_tag = relay->tag;
	direction->relay_cause = choice->cause;
	direction->ticket_size = TICKET_SEALED_SIZE;
	direction->has_relay = true;
}

/* Never 0, so that 0 can mean "none". */
uint64_t direction_path_id(struct coordinator *c)
{
	uint64_t path_id = 0;

	while (path_id == 0)
		random_fill(&c->env.random, &path_id, sizeof path_id);
	return path_id;
}

/* See state.h. */
struct direction *direction_make(struct coordinator *c, uint64_t path_id, const struct relay_choice *choice)
{
	struct direction *direction = mem_alloc(1, sizeof *direction);

	random_fill(&c->env.random, direction->temp_key, sizeof direction->temp_key);
	grant_relay(c, path_id, choice, direction);
	return direction;
}

/* Enters one end at the front of its member's list. */
static void link_end(struct pair *pair, int index, struct member *member)
{
	struct pair_end *end = &pair->ends[index];

	end->member = member;
	end->pair = pair;
	end->next = member->ends;
	if (end->next)
		end->next->prev = end;
	member->ends = end;
	member->end_count++;
	for (int kind = 0; kind < DELIVERIES; kind++)
		end->deliveries[kind] = (struct delivery){.kind = (uint8_t)kind, .end = (uint8_t)index, .pair = pair};
}

/* What the two had before is replaced. */
struct pair *pair_install(struct coordinator *c, struct member *a, struct member *b, uint64_t path_id, enum suite suite,
			  struct direction *direction)
{
	struct pair *pair = pair_find(a, b);
	bool in_order = node_id_compare(&a->id, &b->id) < 0, is_abroad = a->home || b->home;

	a->is_held = b->is_held = true;
	if (pair)
		pair_destroy(c, pair);
	make_room(c, a);
	make_room(c, b);
	a->is_held = b->is_held = false;
	pair = mem_alloc(1, sizeof *pair);
	pair->path_id = path_id;
	if (is_abroad && (map_get(&c->by_tunnel, path_id) || map_put(&c->by_tunnel, path_id, pair) != OK)) {
		mem_free(pair);
		visitor_release(c, a);
		visitor_release(c, b);
		return NULL;
	}
	link_end(pair, in_order ? 0 : 1, a);
	link_end(pair, in_order ? 1 : 0, b);
	pair->suite = suite;
	pair->direction = direction;
	pair->made = c->now;
	pair->relay =
		(struct pair_relay){.tag = direction->relay_tag, .cause = direction->relay_cause, .since = c->now};
	c->counters.relay_choices += direction->has_relay;
	delay_start(&c->secrets, &pair->secret, c->now);
	c->counters.tunnels++;
	return pair;
}

/* A fresh direction. Both are ours, so nothing can be in its way. */
struct pair *pair_create(struct coordinator *c, struct member *a, struct member *b)
{
	bool in_order = node_id_compare(&a->id, &b->id) < 0;
	enum suite suite = a->features & b->features & FEATURE_AES ? SUITE_AES256_GCM : SUITE_CHACHA20_POLY1305;
	uint64_t path_id = direction_path_id(c);
	const struct pair *before = pair_find(a, b);
	uint8_t key[2 * NODE_ID_SIZE], turn = before ? (uint8_t)(before->turn + 1) : 0;
	uint32_t avoid = before && !before->is_stale ? before->relay.tag : 0;
	struct relay_choice choice;
	struct pair *pair;

	memcpy(key, (in_order ? a : b)->id.bytes, NODE_ID_SIZE);
	memcpy(key + NODE_ID_SIZE, (in_order ? b : a)->id.bytes, NODE_ID_SIZE);
	choice = relays_choose(c, a, b, siphash(c->hash_key, key, sizeof key), turn, avoid);
	pair = pair_install(c, a, b, path_id, suite, direction_make(c, path_id, &choice));
	if (pair)
		pair->turn = turn;
	return pair;
}

/* The grant of another relay. To another zone both legs: its coordinator hands them out. */
static void add_grant(const struct pair_end *end, struct route_update *update)
{
	const struct direction *grant = end->pair->relay.grant;
	uint8_t leg = end->member->home ? 0 : end == &end->pair->ends[1];

	if (!grant || !grant->has_relay)
		return;
	update->has_relay = true;
	update->relay.addresses = grant->relay.addresses;
	update->relay.leg = leg;
	update->relay.ticket = (struct blob){grant->ticket, grant->ticket_size};
	memcpy(update->relay.name, grant->relay.name, sizeof update->relay.name);
	memcpy(update->relay.leg_key, grant->leg_keys[leg], KEY_SIZE);
	update->relay_cause = end->pair->relay.cause;
	update->has_leg_key = end->member->home != NULL;
	if (update->has_leg_key)
		memcpy(update->leg_key, grant->leg_keys[1], KEY_SIZE);
}

/* Route Update for one end: where its peer is, and which other relay it gets. */
static enum err update_encode(const struct coordinator *c, const struct pair_end *end, uint32_t transaction,
			      struct writer *w)
{
	const struct pair_end *other = &end->pair->ends[end == &end->pair->ends[0]];
	const struct member *peer = other->member;
	struct route_update update = {
		.path_id = end->pair->path_id,
		.reason = peer->is_revoked   ? REASON_REVOKED
			  : other->is_reborn ? REASON_LEAVING
					     : REASON_NONE,
		.move_epoch = peer->move_epoch,
		.observed = peer->observed,
		.candidates = peer->candidates,
	};
	size_t size;

	add_grant(end, &update);
	if (end->member->home)
		update.sight = peer->sight;
	else if (c->network)
		update.network_epoch = c->network->epoch;
	message_header_encode(MESSAGE_ROUTE_UPDATE, transaction, w);
	route_update_encode(&update, w);
	wipe(&update, sizeof update);
	return writer_finish(w, &size);
}

/* One try. False when there is nothing to tell any more. */
static bool send_try(struct coordinator *c, struct delivery *delivery)
{
	struct pair_end *end = &delivery->pair->ends[delivery->end];
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	enum err err = delivery->kind == DELIVER_DIRECTION ? direction_encode(c, end, delivery->transaction, &w)
							   : update_encode(c, end, delivery->transaction, &w);

	if (err == OK) {
		bool is_sent = end->member->home   ? foreign_send(c, end->member->home, &w)
			       : end->member->live ? channel_send(c, end->member->live, &w, false)
						   : false;

		c->counters.updates_pushed += is_sent && delivery->kind == DELIVER_UPDATE;
	}
	wipe(bytes, sizeof bytes);
	return err == OK;
}

/* A newer message of a kind replaces the older one. */
void pair_deliver(struct coordinator *c, struct pair_end *end, enum delivery_kind kind, uint32_t transaction)
{
	struct delivery *delivery = &end->deliveries[kind];

	delivery->transaction = transaction;
	delivery->tries = 1;
	if (send_try(c, delivery))
		delay_start(&c->repeats[0], &delivery->repeat, c->now);
	else
		delay_stop(&delivery->repeat);
}

/* The member moved: its peers hear of it, each by its own message. Not at once: together with what comes within the
 * next 100 ms. */
void pair_push_updates(struct coordinator *c, struct member *member, bool at_once)
{
	for (struct pair_end *end = member->ends; end; end = end->next) {
		struct pair_end *other = &end->pair->ends[end == &end->pair->ends[0]];
		struct delivery *delivery = &other->deliveries[DELIVER_UPDATE];

		if (!other->member->live && !other->member->home)
			continue;
		if (at_once) {
			pair_deliver(c, other, DELIVER_UPDATE, coordinator_random_u32(c));
			continue;
		}
		delivery->transaction = coordinator_random_u32(c);
		delivery->tries = 0;
		if (!delay_is_waiting(&delivery->repeat))
			delay_start(&c->repeats[0], &delivery->repeat, c->now);
	}
}

/* The member can be reached again: what it has not acknowledged goes out now instead of with the next repetition. */
void pair_resend(struct coordinator *c, struct member *member)
{
	for (struct pair_end *end = member->ends; end; end = end->next)
		for (int kind = 0; kind < DELIVERIES; kind++)
			if (delay_is_waiting(&end->deliveries[kind].repeat))
				(void)send_try(c, &end->deliveries[kind]);
}

/* Unknown transactions are late or none of ours. */
void pair_acknowledge(struct coordinator *c, struct member *member, uint32_t transaction)
{
	(void)c;
	for (struct pair_end *end = member->ends; end; end = end->next)
		for (int kind = 0; kind < DELIVERIES; kind++)
			if (end->deliveries[kind].transaction == transaction)
				delay_stop(&end->deliveries[kind].repeat);
}

/* Repetitions that are due, and secrets that have served. */
void pair_input_time(struct coordinator *c)
{
	struct delay *delay;

	for (int level = 0; level < DELIVERY_TRIES; level++) {
		while ((delay = delay_take(&c->repeats[level], c->now)) != NULL) {
			struct delivery *delivery =
				(struct delivery *)((char *)delay - offsetof(struct delivery, repeat));

			if (delivery->tries < DELIVERY_TRIES && send_try(c, delivery))
				delay_start(&c->repeats[delivery->tries++], &delivery->repeat, c->now);
		}
	}
	while ((delay = delay_take(&c->secrets, c->now)) != NULL)
		forget_direction((struct pair *)((char *)delay - offsetof(struct pair, secret)));
}
