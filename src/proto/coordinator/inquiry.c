/*
 * inquiry.c: contact across zones. PathID, TempKey and relay are chosen by the coordinator of the node that asks; its
 * Node Information Request tells the other coordinator everything, so that this one directs its node at once and
 * answers: nobody waits for an answer before it hands on (design 7).
 */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/realm.h"

/* --- asked by us --- */

static void destroy(struct coordinator *c, struct inquiry *inquiry)
{
	struct inquiry **at = &inquiry->asker->inquiries;

	while (*at != inquiry)
		at = &(*at)->next;
	*at = inquiry->next;
	inquiry->asker->inquiry_count--;
	map_remove(&c->by_inquiry, inquiry->transaction);
	delay_stop(&inquiry->repeat);
	direction_forget(inquiry->direction);
	mem_free(inquiry);
}

/* Answered by one of those who were asked: the others are not needed any more. */
static void destroy_question(struct coordinator *c, struct member *asker, uint32_t transaction)
{
	for (struct inquiry *next = asker->inquiries, *other; (other = next);) {
		next = other->next;
		if (other->asker_transaction == transaction)
			destroy(c, other);
	}
}

/* The node is gone, or its coordinator ends. */
void inquiry_forget_all(struct coordinator *c, struct member *asker)
{
	while (asker->inquiries)
		destroy(c, asker->inquiries);
}

/* One of those who were asked does not have it. The node hears of it when nobody is left who might. */
static void end_refused(struct coordinator *c, struct inquiry *inquiry, uint8_t reason)
{
	struct member *asker = inquiry->asker;
	uint32_t transaction = inquiry->asker_transaction;
	struct direction_request wanted = inquiry->wanted;

	destroy(c, inquiry);
	for (const struct inquiry *other = asker->inquiries; other; other = other->next)
		if (other->asker_transaction == transaction)
			return;
	direction_refuse(c, asker->live, transaction, &wanted, reason, false);
	coordinator_tell(c, COORDINATOR_NOT_DIRECTED, asker, NULL, reason);
}

/* See foreign.h. */
void inquiry_refuse_to(struct coordinator *c, const struct foreign *f, uint8_t reason)
{
	for (int level = 0; level < DELIVERY_TRIES; level++) {
		struct delay *next = c->inquiries[level].head.next;

		while (next != &c->inquiries[level].head) {
			struct inquiry *inquiry = (struct inquiry *)((char *)next - offsetof(struct inquiry, repeat));

			next = next->next;
			if (inquiry->to == f)
				end_refused(c, inquiry, reason);
		}
	}
}

static enum err encode_with(const struct inquiry *inquiry, uint8_t candidates, bool with_relay, struct writer *w)
{
	const struct member *asker = inquiry->asker;
	const struct direction *direction = inquiry->direction;
	struct node_information_request m = {
		.path_id = inquiry->path_id,
		.ip = inquiry->wanted.ip,
		.certificate = {asker->certificate, asker->certificate_size},
		.lease = {asker->lease_bytes, asker->lease_size},
		.features = asker->features,
		.move_epoch = asker->move_epoch,
		.observed = asker->observed,
		.candidates = asker->candidates,
		.sight = asker->sight,
		.has_relay = with_relay,
	};
	size_t size;

	memcpy(m.name, inquiry->wanted.name, sizeof m.name);
	memcpy(m.temp_key, direction->temp_key, KEY_SIZE);
	m.candidates.count = candidates;
	if (with_relay) {
		memcpy(m.relay.name, direction->relay.name, sizeof m.relay.name);
		m.relay.addresses = direction->relay.addresses;
		memcpy(m.relay.leg_key, direction->leg_keys[0], KEY_SIZE);
		memcpy(m.leg_key, direction->leg_keys[1], KEY_SIZE);
		m.relay.ticket = (struct blob){direction->ticket, direction->ticket_size};
		m.relay_cause = direction->relay_cause;
	}
	message_header_encode(MESSAGE_NODE_INFORMATION_REQUEST, inquiry->transaction, w);
	node_information_request_encode(&m, w);
	wipe(&m, sizeof m);
	return writer_finish(w, &size);
}

/* Encoded anew for each try, from where the asker is now. Less preferred candidates are left out before it would not
 * fit, then the relay: only names near their limit need that. */
static void send_request(struct coordinator *c, struct inquiry *inquiry)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w;
	enum err err = ERR_SIZE;

	for (int relay = inquiry->direction->has_relay; err == ERR_SIZE && relay >= 0; relay--)
		for (int count = inquiry->asker->candidates.count; err == ERR_SIZE && count >= 0; count--) {
			w = writer_over(bytes, sizeof bytes);
			err = encode_with(inquiry, (uint8_t)count, relay, &w);
		}
	if (err == OK)
		foreign_send(c, inquiry->to, &w);
	wipe(bytes, sizeof bytes);
}

static bool is_wanted(const struct direction_request *wanted, const char *fqdn, const struct lease *lease)
{
	return wanted->name[0] ? strcmp(wanted->name, fqdn) == 0
			       : ip_equal(&wanted->ip, &lease->v4) || ip_equal(&wanted->ip, &lease->v6);
}

/* The relay of the tunnel that they have: it is asked for again, so that one may not help. 0: none. */
static uint32_t before_tag(const struct member *asker, const struct direction_request *wanted)
{
	for (const struct pair_end *end = asker->ends; end; end = end->next) {
		const struct member *peer = end->pair->ends[end == &end->pair->ends[0]].member;

		if (peer->home && is_wanted(wanted, peer->fqdn, &peer->lease))
			return end->pair->is_stale ? 0 : end->pair->relay.tag;
	}
	return 0;
}

/* The relay is chosen before it is known who is meant: by how the asker sees it. The answer may change it. */
static bool ask(struct coordinator *c, struct foreign *f, struct member *asker, uint32_t transaction,
		const struct direction_request *wanted)
{
	uint8_t key[NODE_ID_SIZE + sizeof *wanted];
	struct relay_choice choice;
	struct inquiry *inquiry = mem_alloc(1, sizeof *inquiry);

	*inquiry = (struct inquiry){.asker = asker,
				    .to = f,
				    .transaction = coordinator_random_u32(c),
				    .asker_transaction = transaction,
				    .wanted = *wanted,
				    .path_id = direction_path_id(c),
				    .tries = 1};
	if (map_get(&c->by_inquiry, inquiry->transaction) ||
	    map_put(&c->by_inquiry, inquiry->transaction, inquiry) != OK) {
		mem_free(inquiry);
		return false;
	}
	memcpy(key, asker->id.bytes, NODE_ID_SIZE);
	memcpy(key + NODE_ID_SIZE, wanted->name, sizeof wanted->name);
	memcpy(key + NODE_ID_SIZE + sizeof wanted->name, wanted->ip.bytes, sizeof wanted->ip.bytes);
	choice = relays_choose(c, asker, NULL,
			       siphash(c->hash_key, key, NODE_ID_SIZE + sizeof wanted->name + sizeof wanted->ip.bytes),
			       0, before_tag(asker, wanted));
	inquiry->direction = direction_make(c, inquiry->path_id, &choice);
	inquiry->next = asker->inquiries;
	asker->inquiries = inquiry;
	asker->inquiry_count++;
	delay_start(&c->inquiries[0], &inquiry->repeat, c->now);
	c->counters.inquiries++;
	send_request(c, inquiry);
	foreign_hasten(c, f);
	return true;
}

static bool is_same_question(const struct direction_request *a, const struct direction_request *b)
{
	return strcmp(a->name, b->name) == 0 && ip_equal(&a->ip, &b->ip);
}

/* Is the answer on its way, or was it given just now? As for members of one zone, see direction.c. */
static bool is_answered(struct coordinator *c, struct member *asker, uint32_t transaction,
			const struct direction_request *wanted)
{
	for (struct inquiry *inquiry = asker->inquiries; inquiry; inquiry = inquiry->next)
		if (is_same_question(&inquiry->wanted, wanted)) {
			inquiry->asker_transaction = transaction;
			return true;
		}
	for (struct pair_end *end = asker->ends; end; end = end->next) {
		struct pair *pair = end->pair;
		const struct member *peer = pair->ends[end == &pair->ends[0]].member;

		if (!peer->home || !is_wanted(wanted, peer->fqdn, &peer->lease))
			continue;
		if (!pair->direction || pair->is_stale || (end->has_asked && end->transaction != transaction))
			return false;
		end->has_asked = true;
		end->transaction = transaction;
		pair_deliver(c, end, DELIVER_DIRECTION, transaction);
		return true;
	}
	return false;
}

/* Everybody who may have leased it. IPv6 pools are often the same for all. */
static unsigned ask_by_address(struct coordinator *c, struct member *asker, uint32_t transaction,
			       const struct direction_request *wanted)
{
	unsigned asked = 0;

	for (uint32_t i = 0; i < c->foreign_count; i++) {
		const struct foreign *f = c->foreigns[i];
		const struct prefix *pool = wanted->ip.family == 4 ? &f->entry.pool4 : &f->entry.pool6;

		if ((!f->realm || f->is_proved) && pool->ip.family && prefix_contains(pool, &wanted->ip))
			asked += ask(c, c->foreigns[i], asker, transaction, wanted);
	}
	return asked;
}

static void make_room(struct coordinator *c, struct member *asker)
{
	while (asker->inquiry_count >= INQUIRIES_PER_MEMBER) {
		struct inquiry *oldest = asker->inquiries;

		while (oldest->next)
			oldest = oldest->next;
		destroy(c, oldest);
	}
}

/* Of our network, or of one that it trusts. */
static uint8_t ask_by_name(struct coordinator *c, struct member *asker, uint32_t transaction,
			   const struct direction_request *wanted)
{
	const char *dot = strchr(wanted->name, '.');
	struct foreign *f = foreign_find_zone(c, wanted->name);
	uint8_t reason = REASON_NONE;

	if (!dot || strlen(dot + 1) > ZONE_MAX_SIZE || strcmp(dot + 1, c->config.zone) == 0)
		return REASON_UNKNOWN_NAME;
	if (!f || f->realm)
		f = directory_obtain(c, dot + 1, &reason);
	if (!f)
		return reason;
	if (!ask(c, f, asker, transaction, wanted))
		return REASON_BUSY;
	return REASON_NONE;
}

/* Each coordinator that is asked gets a PathID and a key of its own: whoever does not have the node learns nothing that
 * serves for its tunnel. */
uint8_t inquiry_begin(struct coordinator *c, struct member *asker, uint32_t transaction,
		      const struct direction_request *wanted)
{
	if (is_answered(c, asker, transaction, wanted)) {
		c->counters.directions_repeated++;
		return REASON_NONE;
	}
	make_room(c, asker);
	if (wanted->name[0])
		return ask_by_name(c, asker, transaction, wanted);
	return ask_by_address(c, asker, transaction, wanted) > 0 ? REASON_NONE : REASON_UNKNOWN_NAME;
}

/* See foreign.h. */
void inquiry_resend(struct coordinator *c, const struct foreign *f)
{
	for (int level = 0; level < DELIVERY_TRIES; level++)
		for (struct delay *at = c->inquiries[level].head.next; at != &c->inquiries[level].head; at = at->next) {
			struct inquiry *inquiry = (struct inquiry *)((char *)at - offsetof(struct inquiry, repeat));

			if (inquiry->to == f)
				send_request(c, inquiry);
		}
}

/* Repetitions, and those that nobody answers. */
void inquiry_input_time(struct coordinator *c)
{
	struct delay *delay;

	for (int level = 0; level < DELIVERY_TRIES; level++)
		while ((delay = delay_take(&c->inquiries[level], c->now)) != NULL) {
			struct inquiry *inquiry = (struct inquiry *)((char *)delay - offsetof(struct inquiry, repeat));

			if (inquiry->tries == DELIVERY_TRIES) {
				end_refused(c, inquiry, REASON_OFFLINE);
				continue;
			}
			delay_start(&c->inquiries[inquiry->tries++], &inquiry->repeat, c->now);
			send_request(c, inquiry);
			foreign_hasten(c, inquiry->to);
			directory_refresh(c, inquiry->to);
		}
}

/* When the next one is due. */
struct time_us inquiry_deadline(const struct coordinator *c)
{
	struct time_us deadline = TIME_NEVER;

	for (int i = 0; i < DELIVERY_TRIES; i++)
		deadline = time_min(deadline, delay_deadline(&c->inquiries[i]));
	return deadline;
}

static void place(struct member *visitor, uint32_t move_epoch, const struct addr *observed,
		  const struct candidates *candidates)
{
	visitor->move_epoch = move_epoch;
	visitor->observed = addr_is_probeable(observed) ? *observed : (struct addr){0};
	channel_take_candidates(visitor, candidates);
}

/* The tunnel is there: our end hears of it. */
static void settle(struct coordinator *c, struct inquiry *inquiry, struct member *visitor, enum suite suite)
{
	struct member *asker = inquiry->asker;
	uint32_t transaction = inquiry->asker_transaction;
	struct pair *pair = pair_install(c, asker, visitor, inquiry->path_id, suite, inquiry->direction);
	struct pair_end *end;

	if (!pair) {
		end_refused(c, inquiry, REASON_BUSY);
		return;
	}
	inquiry->direction = NULL; /* the pair's now */
	destroy_question(c, asker, transaction);
	pair->is_asked = true;
	end = pair_end_of(pair, asker);
	end->has_asked = true;
	end->transaction = transaction;
	pair_deliver(c, end, DELIVER_DIRECTION, transaction);
	c->counters.directions++;
	coordinator_tell(c, COORDINATOR_DIRECTED, asker, visitor, 0);
	relays_judge(c, pair);
}

/* The other coordinator has directed its node already, or says why not. */
enum err inquiry_input_response(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	struct inquiry *inquiry = map_get(&c->by_inquiry, transaction);
	struct node_information_response m;
	struct certificate certificate;
	struct member *visitor;
	struct lease lease;
	uint8_t reason;
	enum err err = node_information_response_decode(body, &m);

	if (err)
		return err;
	if (!inquiry || inquiry->to != f)
		return ERR_UNKNOWN; /* late, or a repetition */
	reason = m.reason;
	if (reason == REASON_NONE)
		reason = visitor_judge(c, f, m.certificate, m.lease, &certificate, &lease);
	if (reason == REASON_NONE &&
	    (m.path_id != inquiry->path_id || !is_wanted(&inquiry->wanted, certificate.fqdn, &lease) ||
	     node_id_equal(&certificate.id, &inquiry->asker->id)))
		reason = REASON_BAD_CREDENTIAL;
	if (reason != REASON_NONE) {
		end_refused(c, inquiry, reason);
		return OK;
	}
	visitor = visitor_enter(c, f, &certificate, m.certificate, &lease, m.lease);
	if (!visitor) {
		end_refused(c, inquiry, REASON_BUSY);
		return OK;
	}
	place(visitor, m.move_epoch, &m.observed, &m.candidates);
	visitor->sight = m.sight;
	settle(c, inquiry, visitor, (enum suite)m.suite);
	return OK;
}

/* --- asked by them --- */

static void answer_refusal(struct coordinator *c, struct foreign *f, uint32_t transaction, uint8_t reason)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);

	message_header_encode(MESSAGE_NODE_INFORMATION_RESPONSE, transaction, &w);
	node_information_response_encode(&(struct node_information_response){.reason = reason}, &w);
	foreign_send(c, f, &w);
	c->counters.not_directed++;
}

static void answer(struct coordinator *c, struct foreign *f, uint32_t transaction, const struct pair *pair,
		   const struct member *target)
{
	uint8_t bytes[CONTROL_MAX];
	struct node_information_response m = {
		.path_id = pair->path_id,
		.suite = (uint8_t)pair->suite,
		.certificate = {target->certificate, target->certificate_size},
		.lease = {target->lease_bytes, target->lease_size},
		.move_epoch = target->move_epoch,
		.observed = target->observed,
		.candidates = target->candidates,
		.sight = target->sight,
	};
	struct writer w = writer_over(bytes, sizeof bytes);

	/* The longest of all documents and candidates fit: 640 + 256 + 8 * 22 and some. */
	message_header_encode(MESSAGE_NODE_INFORMATION_RESPONSE, transaction, &w);
	node_information_response_encode(&m, &w);
	foreign_send(c, f, &w);
}

static uint8_t find_target(const struct coordinator *c, const struct node_information_request *m, struct member **ret)
{
	struct member *target = m->name[0] ? member_find_name(c, m->name) : member_find_ip(c, &m->ip);

	if (!target || !target->has_lease || !target->certificate_size)
		return REASON_UNKNOWN_NAME;
	if (member_is_revoked(c, &target->id))
		return REASON_REVOKED;
	if (!target->is_online || !target->live)
		return REASON_OFFLINE;
	*ret = target;
	return REASON_NONE;
}

/* Our own question of the same two ends the other way round, still unanswered. */
static struct inquiry *find_crossing(const struct member *target, const struct certificate *asker,
				     const struct lease *lease)
{
	for (struct inquiry *inquiry = target->inquiries; inquiry; inquiry = inquiry->next)
		if (is_wanted(&inquiry->wanted, asker->fqdn, lease))
			return inquiry;
	return NULL;
}

/*
 * Both ends ask for each other at the same time: the question of the end with the lower NodeID counts. Ours does when
 * it is under way, or has been answered so lately that theirs was sent before they knew; should they mean it, they ask
 * again.
 */
static bool is_overruled(struct coordinator *c, const struct member *target, const struct certificate *asker,
			 const struct lease *lease, const struct pair *pair)
{
	bool is_asker_first = node_id_compare(&asker->id, &target->id) < 0;

	if (is_asker_first)
		return false;
	if (find_crossing(target, asker, lease))
		return true;
	return pair && pair->is_asked && pair->direction && !pair->is_stale &&
	       time_since(c->now, pair->made) < COLLISION_US;
}

/* Which of our relays that is; 0: none of them. */
static uint32_t tag_by_name(const struct coordinator *c, const char *name)
{
	for (uint8_t i = 0; i < c->relays.count; i++)
		if (strcmp(c->network->relays[i].name, name) == 0)
			return c->relays.list[i].tag;
	return 0;
}

/* A relay that another coordinator granted. Names of another network's relays say nothing about ours. */
static void take_grant(const struct coordinator *c, const struct foreign *f, const struct relay_grant *grant,
		       const uint8_t leg_key[KEY_SIZE], uint8_t cause, struct direction *direction)
{
	if (f->realm && !realm_has_relay(f->realm, grant))
		return;
	direction->has_relay = true;
	memcpy(direction->leg_keys[0], grant->leg_key, KEY_SIZE);
	memcpy(direction->leg_keys[1], leg_key, KEY_SIZE);
	memcpy(direction->ticket, grant->ticket.data, grant->ticket.size);
	direction->ticket_size = (uint16_t)grant->ticket.size;
	memcpy(direction->relay.name, grant->name, sizeof direction->relay.name);
	direction->relay.addresses = grant->addresses;
	direction->relay_tag = f->realm ? 0 : tag_by_name(c, grant->name);
	direction->relay_cause = cause;
}

static struct direction *direction_of(const struct coordinator *c, const struct foreign *f,
				      const struct node_information_request *m)
{
	struct direction *direction = mem_alloc(1, sizeof *direction);

	memcpy(direction->temp_key, m->temp_key, KEY_SIZE);
	if (m->has_relay)
		take_grant(c, f, &m->relay, m->leg_key, m->relay_cause, direction);
	return direction;
}

/* Our node hears of it at once; should it have asked the same the other way round, it has its answer. */
static void direct(struct coordinator *c, struct pair *pair, struct member *target, const struct certificate *asker,
		   const struct lease *lease)
{
	struct pair_end *end = pair_end_of(pair, target);
	struct inquiry *crossing = find_crossing(target, asker, lease);
	uint32_t transaction = crossing ? crossing->asker_transaction : coordinator_random_u32(c);

	end->has_asked = crossing != NULL;
	end->transaction = transaction;
	if (crossing)
		destroy_question(c, target, transaction);
	pair_deliver(c, end, DELIVER_DIRECTION, transaction);
	c->counters.directions++;
	coordinator_tell(c, COORDINATOR_DIRECTED, target, pair->ends[end == &pair->ends[0]].member, 0);
}

/* After everything has been judged. NULL: the PathID is taken, or the table is full. */
static struct pair *make_pair(struct coordinator *c, struct foreign *f, const struct node_information_request *m,
			      const struct certificate *certificate, const struct lease *lease, struct member *target)
{
	struct member *visitor = visitor_enter(c, f, certificate, m->certificate, lease, m->lease);
	enum suite suite = m->features & target->features & FEATURE_AES ? SUITE_AES256_GCM : SUITE_CHACHA20_POLY1305;
	struct direction *direction;
	struct pair *pair;

	if (!visitor)
		return NULL;
	place(visitor, m->move_epoch, &m->observed, &m->candidates);
	visitor->features = m->features;
	visitor->sight = m->sight;
	direction = direction_of(c, f, m);
	pair = pair_install(c, target, visitor, m->path_id, suite, direction);
	if (!pair)
		direction_forget(direction);
	return pair;
}

/* The target hears of it before the asker's coordinator does. A repeated request gets its answer again, never a second
 * tunnel. */
enum err inquiry_input_request(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	struct node_information_request m;
	struct certificate certificate;
	struct member *target = NULL, *visitor;
	struct lease lease;
	struct pair *pair;
	uint8_t reason;
	enum err err = node_information_request_decode(body, &m);

	if (err)
		return err;
	c->counters.inquiries_received++;
	reason = visitor_judge(c, f, m.certificate, m.lease, &certificate, &lease);
	if (reason == REASON_NONE)
		reason = find_target(c, &m, &target);
	if (reason != REASON_NONE) {
		answer_refusal(c, f, transaction, reason);
		wipe(&m, sizeof m);
		return OK;
	}
	visitor = visitor_find(c, &certificate.id);
	pair = visitor ? pair_find(target, visitor) : NULL;
	if (pair && pair->path_id == m.path_id) {
		c->counters.directions_repeated++;
		answer(c, f, transaction, pair, target);
	} else if (!is_overruled(c, target, &certificate, &lease, pair)) {
		pair = make_pair(c, f, &m, &certificate, &lease, target);
		if (pair) {
			direct(c, pair, target, &certificate, &lease);
			answer(c, f, transaction, pair, target);
		} else {
			answer_refusal(c, f, transaction, REASON_BUSY);
		}
	}
	wipe(&m, sizeof m);
	return OK;
}

/* Whose end of the pair is that coordinator's? NULL: neither. */
static struct pair_end *visitor_end(struct pair *pair, const struct foreign *f)
{
	for (int i = 0; pair && i < 2; i++)
		if (pair->ends[i].member->home == f)
			return &pair->ends[i];
	return NULL;
}

static void acknowledge(struct coordinator *c, struct foreign *f, uint32_t transaction, uint64_t path_id)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);

	message_header_encode(MESSAGE_ACK, transaction, &w);
	route_update_ack_encode(&(struct route_update_ack){.path_id = path_id}, &w);
	foreign_send(c, f, &w);
}

/* The coordinator that directed the tunnel gives it another relay. The same one again is a repetition. */
static void take_relay(struct coordinator *c, const struct foreign *f, struct pair *pair, const struct route_update *m)
{
	struct direction *grant = pair->relay.grant;

	if (f->realm && !realm_has_relay(f->realm, &m->relay))
		return;
	if (grant && grant->ticket_size == m->relay.ticket.size &&
	    memcmp(grant->ticket, m->relay.ticket.data, grant->ticket_size) == 0)
		return;
	relays_forget_grant(pair);
	grant = mem_alloc(1, sizeof *grant);
	take_grant(c, f, &m->relay, m->leg_key, m->relay_cause, grant);
	pair->relay = (struct pair_relay){
		.tag = grant->relay_tag, .cause = grant->relay_cause, .since = c->now, .grant = grant};
	delay_start(&c->relays.grants, &pair->relay.grant_age, c->now);
}

/* Its node moved, or is no member any more: handed on to ours. After a restart the tunnel is not known here; then there
 * is nobody to hand it on to. */
enum err inquiry_input_update(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	struct route_update m;
	struct pair *pair;
	struct pair_end *end;
	struct member *visitor;
	enum err err = route_update_decode(body, &m);

	if (err)
		return err;
	pair = map_get(&c->by_tunnel, m.path_id);
	end = visitor_end(pair, f);
	if (pair && !end)
		return ERR_DENIED;
	acknowledge(c, f, transaction, m.path_id);
	if (!pair || pair->update_transaction == transaction)
		return OK;
	visitor = end->member;
	if (m.move_epoch < visitor->move_epoch && m.reason != REASON_LEAVING)
		return OK;			      /* overtaken by a newer one */
	end->is_reborn |= m.reason == REASON_LEAVING; /* who begins anew counts its moves anew */
	pair->is_stale |= end->is_reborn;
	pair->update_transaction = transaction;
	place(visitor, m.move_epoch, &m.observed, &m.candidates);
	visitor->sight = m.sight;
	if (m.has_relay && m.has_leg_key && !pair->is_asked)
		take_relay(c, f, pair, &m);
	visitor->is_revoked = m.reason == REASON_REVOKED;
	pair_deliver(c, &pair->ends[end == &pair->ends[0]], DELIVER_UPDATE, coordinator_random_u32(c));
	relays_judge(c, pair);
	return OK;
}

/* The other coordinator hands the Route Update on from now on. */
enum err inquiry_input_ack(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	struct route_update_ack m;
	struct pair_end *end;
	enum err err = route_update_ack_decode(body, &m);

	if (err)
		return err;
	end = visitor_end(map_get(&c->by_tunnel, m.path_id), f);
	if (end && end->deliveries[DELIVER_UPDATE].transaction == transaction)
		delay_stop(&end->deliveries[DELIVER_UPDATE].repeat);
	return OK;
}
