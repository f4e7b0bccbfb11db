/*
 * channel.c: sessions with members. A pending session becomes the member's live one with the first packet under its
 * keys (E8, T7); the member is where place.c says.
 */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/echo.h"
#include "proto/coordinator/permission.h"
#include "proto/coordinator/realm.h"

/* A member's control messages: enough for a restart with all peers, then a steady trickle. */
static const struct bucket_rate request_rate = {.per_s = 50, .burst = 2 * PAIRS_PER_MEMBER};

/* Direct mapped: a collision only costs a replay its key exchange. */
uint64_t *channel_seen_slot(struct coordinator *c, uint64_t tag)
{
	return &c->seen[(tag >> 32) % SEEN_SLOTS];
}

/* The member stays; whoever ends its live session calls member_drop_sessions. Accepts NULL. */
void channel_destroy(struct coordinator *c, struct channel *channel)
{
	struct member *member;

	if (!channel)
		return;
	member = channel->member;
	for (int i = 0; i < PENDING_PER_MEMBER; i++)
		if (member->pending[i] == channel)
			member->pending[i] = NULL;
	if (member->live == channel) {
		member->live = NULL;
		delay_stop(&member->echo.delay);
	}
	if (!channel->is_live)
		c->counters.pending--;
	map_remove(&c->by_path, channel->path_id);
	delay_stop(&channel->pending);
	delay_stop(&channel->held);
	place_end(&channel->place);
	session_destroy(channel->session);
	mem_free(channel->answer);
	wipe(channel, sizeof *channel);
	mem_free(channel);
}

/* See state.h. The budget of an unproven address is what came from it (E5, T6). */
bool channel_send_to(struct coordinator *c, struct channel *channel, const struct writer *message,
		     const struct route *route, bool is_answer)
{
	uint8_t datagram[MESSAGE_MAX];
	size_t size = 0;

	if (writer_finish(message, &size) != OK || size > CONTROL_MAX || session_is_expired(channel->session, c->now))
		return false;
	if (!place_spend(&channel->place, route, size + OVERHEAD_SIZE, is_answer)) {
		c->counters.dropped_out++;
		return false;
	}
	if (session_seal(channel->session, 0, SEALED_CONTROL, message->data, size, datagram) != OK)
		return false;
	coordinator_send(c, route, datagram, size + OVERHEAD_SIZE);
	return true;
}

/* While it is not clear which of two places is the member's, to both. */
bool channel_send(struct coordinator *c, struct channel *channel, const struct writer *message, bool is_answer)
{
	struct place *place = &channel->place;
	bool is_sent = channel_send_to(c, channel, message, &place->route, is_answer);

	if (place->rival.is_valid)
		is_sent |= channel_send_to(c, channel, message, &place->rival.route, is_answer);
	return is_sent;
}

/* See state.h. */
bool channel_charge(struct coordinator *c, struct member *member)
{
	return bucket_take(&member->requests, &request_rate, c->now);
}

/* Keeps a member in the state "online" and its lease alive without it asking. */
static void heard(struct coordinator *c, struct member *member)
{
	delay_start(&c->online[member->patience], &member->silence, c->now);
	if (!member->is_online) {
		member->is_online = true;
		c->counters.online++;
		coordinator_tell(c, COORDINATOR_NODE_ONLINE, member, NULL, 0);
	}
	if (member->last_seen_s + LAST_SEEN_S > coordinator_wall_s(c))
		return;
	member->last_seen_s = coordinator_wall_s(c);
	if (pool_lease(c, member) == OK)
		member_changed(c, member, false);
}

/* See state.h. */
void channel_take_candidates(struct member *member, const struct candidates *told)
{
	member->candidates.count = 0;
	for (uint8_t i = 0; i < told->count; i++)
		if (addr_is_probeable(&told->list[i]))
			member->candidates.list[member->candidates.count++] = told->list[i];
}

/* By value: the bytes between members of a struct are nobody's. */
static bool is_same(const struct candidates *a, const struct candidates *b)
{
	if (a->count != b->count)
		return false;
	for (uint8_t i = 0; i < a->count; i++)
		if (!addr_equal(&a->list[i], &b->list[i]))
			return false;
	return true;
}

/* The first packet under a pending session's keys: only now the old session goes, and what the first message said is
 * believed. */
static void confirm(struct coordinator *c, struct channel *channel, const struct route *route)
{
	struct member *member = channel->member;
	uint64_t serial = channel->serial;

	for (int i = 0; i < PENDING_PER_MEMBER; i++) {
		if (member->pending[i] == channel)
			member->pending[i] = NULL;
		else if (member->pending[i] && member->pending[i]->serial < serial)
			channel_destroy(c, member->pending[i]);
	}
	channel_destroy(c, member->live);
	member->live = channel;
	channel->is_live = true;
	c->counters.pending--;
	c->counters.registrations++;
	delay_stop(&channel->pending);
	mem_free(channel->answer);
	channel->answer = NULL;
	*channel_seen_slot(c, channel->seen_tag) = channel->seen_tag;
	/* It holds our ephemeral key's outcome, so it received the answer: where, is clear unless somebody copies. */
	place_begin(&channel->place, route,
		    !channel->is_copied &&
			    addr_equal(&channel->answered[route->remote.ip.family == 6], &route->remote));
	member->features = channel->features;
	member->move_epoch = channel->move_epoch;
	channel_take_candidates(member, &channel->candidates);
	admission_prove(&c->admission, &route->remote.ip, c->now);
	pair_mark_stale(member);
	if (channel->is_newborn)
		pair_tell_reborn(c, member);
}

/* For both Update and Keep Alive. */
static void answer_update_to(struct coordinator *c, struct channel *channel, uint8_t type, uint32_t transaction,
			     const struct route *route)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct update_response response = {.observed = route->remote, .network_time_s = coordinator_wall_s(c)};

	/* The budget of an unproven address has no room for it. */
	if (route == &channel->place.route && channel->place.is_proven && c->network)
		response.network_epoch = c->network->epoch;
	message_header_encode(type, transaction, &w);
	update_response_encode(&response, &w);
	(void)channel_send_to(c, channel, &w, route, true);
}

/* Where it came from as well: a NAT that has rebound lets nothing else in. */
static void answer_update(struct coordinator *c, struct channel *channel, uint8_t type, uint32_t transaction)
{
	const struct place *place = &channel->place;

	answer_update_to(c, channel, type, transaction, &place->route);
	if (place->from && addr_equal(&place->from->remote, &place->rival.route.remote))
		answer_update_to(c, channel, type, transaction, &place->rival.route);
}

/* Says that it is there, and for how long it may be silent now. */
static enum err input_keep_alive(struct coordinator *c, struct channel *channel, uint32_t transaction,
				 struct reader *body)
{
	struct keep_alive told;
	enum err err = keep_alive_decode(body, &told);

	if (err)
		return err;
	channel->member->patience = (uint8_t)keep_alive_step_of(told.interval_ms);
	heard(c, channel->member);
	c->counters.keep_alives++;
	answer_update(c, channel, MESSAGE_KEEP_ALIVE_ANSWER, transaction);
	return OK;
}

/* A move as the node tells it: also buys E5's budget at the new address, once per epoch. */
static enum err input_update(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body)
{
	struct member *member = channel->member;
	struct update_request request;
	struct candidates before;
	enum err err = update_request_decode(body, &request);

	if (err)
		return err;
	if (request.move_epoch > member->move_epoch)
		place_moved(c, channel);
	answer_update(c, channel, MESSAGE_UPDATE_RESPONSE, transaction);
	if (request.move_epoch < member->move_epoch)
		return OK; /* overtaken by a newer one */
	before = member->candidates;
	channel_take_candidates(member, &request.candidates);
	if (request.move_epoch == member->move_epoch && is_same(&before, &member->candidates))
		return OK; /* a repetition */
	member->move_epoch = request.move_epoch;
	pair_push_updates(c, member, true);
	pair_resend(c, member);
	return OK;
}

/* Fresh keys, or the same answer to the same request. */
enum err channel_rekey(struct coordinator *c, struct session *session, const uint8_t remote_static[KEY_SIZE],
		       const struct rekey *request, struct rekeyed *ret)
{
	uint8_t digest[HASH_SIZE], seed[KEY_SIZE];
	enum err err;

	hash(request->handshake.data, request->handshake.size, digest);
	if (ret->has && request->epoch == ret->epoch && memcmp(digest, ret->hash, sizeof digest) == 0)
		return OK;
	random_fill(&c->env.random, seed, sizeof seed);
	err = rekey_answer(session, &c->config.static_keys, remote_static, request, seed, c->now, ret->answer);
	wipe(seed, sizeof seed);
	if (err)
		return err;
	ret->has = true;
	ret->epoch = request->epoch;
	memcpy(ret->hash, digest, sizeof digest);
	c->counters.rekeys++;
	return OK;
}

/* The member's static key is in its certificate. */
static enum err input_rekey(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct certificate certificate;
	struct reader r = reader_over(channel->member->certificate, channel->member->certificate_size);
	struct rekey request;
	enum err err = rekey_decode(body, &request);

	if (err == OK)
		err = certificate_decode(&r, &certificate);
	if (err == OK)
		err = channel_rekey(c, channel->session, certificate.static_key, &request, &channel->rekeyed);
	if (err)
		return err;
	message_header_encode(MESSAGE_REKEY_RESPONSE, transaction, &w);
	rekey_encode(&(struct rekey){.epoch = channel->rekeyed.epoch,
				     .handshake = {channel->rekeyed.answer, REKEY_RESPONSE_SIZE}},
		     &w);
	channel_send(c, channel, &w, true);
	return OK;
}

/* It received something of ours. */
static enum err input_ack(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body)
{
	(void)body;
	pair_acknowledge(c, channel->member, transaction);
	return OK;
}

/* A node checks whether its packets get here; the answer is as long as the question but for the address. */
static enum err input_challenge(struct coordinator *c, struct channel *channel, uint32_t transaction,
				struct reader *body)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct path_challenge request;
	struct path_response response = {.observed = channel->place.route.remote};
	enum err err = path_challenge_decode(body, &request);

	if (err)
		return err;
	memcpy(response.challenge, request.challenge, sizeof response.challenge);
	message_header_encode(MESSAGE_PATH_RESPONSE, transaction, &w);
	path_response_encode(&response, &w);
	channel_send(c, channel, &w, true);
	return OK;
}

/* An address receives. */
static enum err input_response(struct coordinator *c, struct channel *channel, uint32_t transaction,
			       struct reader *body)
{
	struct path_response response;
	enum err err = path_response_decode(body, &response);

	(void)transaction;
	if (err)
		return err;
	return place_answered(c, channel, response.challenge);
}

/* A piece of our network document, or of a trusted network's: much for little, so only where the node has shown that it
 * receives. */
static enum err input_network(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct network_request request;
	struct network_response response;
	const struct realm *realm;
	enum err err = network_request_decode(body, &request);

	if (err)
		return err;
	realm = request.zone[0] ? realm_find(c, request.zone) : NULL;
	if (!channel->place.is_proven || (request.zone[0] && !realm))
		return ERR_STATE;
	if (realm ? !network_part_cut(realm->network, realm->bytes, realm->size, request.offset, &response)
		  : !network_part_cut(c->network, c->network_bytes, c->network_size, request.offset, &response))
		return ERR_STATE; /* it may come: the node asks again */
	message_header_encode(MESSAGE_NETWORK_RESPONSE, transaction, &w);
	network_response_encode(&response, &w);
	channel_send(c, channel, &w, true);
	return OK;
}

/* It leaves on purpose. The channel is gone afterwards. */
static enum err input_close(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body)
{
	(void)transaction;
	(void)body;
	member_drop_sessions(c, channel->member);
	return OK;
}

struct handler {
	struct permission permission;
	enum err (*input)(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body);
};

/* All that a member may say (T19); everything else is refused. */
static const struct handler handlers[] = {
	{{MESSAGE_KEEP_ALIVE, true}, input_keep_alive},
	{{MESSAGE_UPDATE_REQUEST, true}, input_update},
	{{MESSAGE_DIRECTION_REQUEST, false}, direction_input}, /* charged there: it answers "busy" */
	{{MESSAGE_REKEY_REQUEST, true}, input_rekey},
	{{MESSAGE_PATH_CHALLENGE, true}, input_challenge},
	{{MESSAGE_PATH_RESPONSE, false}, input_response},
	{{MESSAGE_ACK, false}, input_ack},
	{{MESSAGE_NETWORK_REQUEST, true}, input_network},
	{{MESSAGE_RELAY_REPORT, true}, relays_input_report},
	{{MESSAGE_CLOSE, false}, input_close},
};
static const struct permissions allowed = {handlers, sizeof handlers / sizeof handlers[0], sizeof handlers[0],
					   &request_rate};

/* One authenticated message. */
static enum err dispatch(struct coordinator *c, struct channel *channel, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct message_header header;
	const void *row;
	enum err err = permission_find(c, &allowed, &channel->member->requests, &r, &header, &row);

	if (err == ERR_FULL)
		return err;
	if (err == OK)
		err = ((const struct handler *)row)->input(c, channel, header.transaction, &r);
	c->counters.dropped_malformed += err != OK;
	return err;
}

/*
 * From one address of a node that is here: it wants to know how it is seen there, now or later. Nothing moves, no more
 * goes back than came (E5). While it waits for an answer it says nothing else, and is not gone.
 */
static enum err input_aside(struct coordinator *c, struct channel *channel, const struct route *route,
			    const uint8_t *bytes, const struct opened *opened)
{
	struct reader r = reader_over(bytes, opened->size);
	struct echo_due asked = {.route = *route, .size = opened->size};
	struct message_header header;
	struct keep_alive told;

	if (!channel->is_live || message_header_decode(&r, &header) != OK || header.type != MESSAGE_KEEP_ALIVE ||
	    keep_alive_decode(&r, &told) != OK || !channel_charge(c, channel->member)) {
		c->counters.dropped_malformed++;
		return ERR_DENIED;
	}
	asked.transaction = header.transaction;
	if (told.delay_ms == 0)
		return echo_answer(c, channel, &asked);
	echo_begin(c, channel->member, &asked, told.delay_ms);
	heard(c, channel->member);
	return OK;
}

/* A sealed packet of a known session. Nothing changes unless it is authentic and new. */
enum err channel_input(struct coordinator *c, struct channel *channel, const struct route *route, const uint8_t *bytes,
		       size_t size)
{
	struct member *member = channel->member;
	uint8_t plaintext[MESSAGE_MAX];
	struct opened opened;
	enum err err;

	if (size < OVERHEAD_SIZE || size > MESSAGE_MAX) {
		c->counters.dropped_size++;
		return ERR_SIZE;
	}
	if (session_is_expired(channel->session, c->now)) {
		if (channel->is_live)
			member_drop_sessions(c, member);
		else
			channel_destroy(c, channel);
		return ERR_EXPIRED;
	}
	err = session_open(channel->session, bytes, size, plaintext, &opened);
	if (err) {
		c->counters.dropped_auth += err == ERR_AUTH;
		c->counters.dropped_replay += err == ERR_REPLAY;
		if (err == ERR_REPLAY && channel->is_live)
			place_repeated(c, channel, route, bytes, size);
		return err;
	}
	if (!(opened.flags & SEALED_CONTROL)) {
		c->counters.dropped_type++;
		return ERR_DENIED;
	}
	if (opened.path == LINK_SPACE_ASIDE)
		return input_aside(c, channel, route, plaintext, &opened);
	if (!channel->is_live)
		confirm(c, channel, route);
	place_heard(c, channel, route, bytes, size,
		    opened.highest && opened.size && plaintext[0] != MESSAGE_PATH_RESPONSE);
	heard(c, member);
	err = dispatch(c, channel, plaintext, opened.size);
	if (member->live == channel) {
		place_ask(c, channel);
		channel->place.from = NULL;
	}
	return err;
}
