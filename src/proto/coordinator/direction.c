/*
 * direction.c: Direction Request to Route Direction at both ends (design 6, 7). One pair gets one tunnel, however often
 * and from whichever side it is asked for.
 */
#include <string.h>

#include "crypto/hash.h"
#include "proto/coordinator/foreign.h"

static const struct bucket_rate direction_rate = {.per_s = 50, .burst = 2 * PAIRS_PER_MEMBER};

/* ASCII lower case: names compare so (RFC 4343). */
static void lower_text(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text + 'a' - 'A');
}

/* With `count` of the peer's candidates; the certificate decides how many fit. */
static enum err encode_with(const struct pair_end *end, uint32_t transaction, uint8_t count, struct writer *w)
{
	struct pair *pair = end->pair;
	const struct direction *direction = pair->direction;
	uint8_t leg = end == &pair->ends[1];
	const struct member *peer = pair->ends[1 - leg].member;
	struct route_direction message = {
		.path_id = pair->path_id,
		.suite = (uint8_t)pair->suite,
		.observed = peer->observed,
		.candidates = peer->candidates,
		.certificate = {peer->certificate, peer->certificate_size},
		.lease = {peer->lease_bytes, peer->lease_size},
		.has_relay = direction->has_relay,
		.requested = end->has_asked && end->transaction == transaction,
	};
	size_t size;

	message.candidates.count = count;
	memcpy(message.temp_key, direction->temp_key, KEY_SIZE);
	if (direction->has_relay) {
		message.relay_cause = direction->relay_cause;
		message.relay.addresses = direction->relay.addresses;
		message.relay.leg = leg;
		message.relay.ticket = (struct blob){direction->ticket, direction->ticket_size};
		memcpy(message.relay.name, direction->relay.name, sizeof message.relay.name);
		memcpy(message.relay.leg_key, direction->leg_keys[leg], KEY_SIZE);
	}
	message_header_encode(MESSAGE_ROUTE_DIRECTION, transaction, w);
	route_direction_encode(&message, w);
	wipe(&message, sizeof message);
	return writer_finish(w, &size);
}

/* Less preferred candidates are left out before the message would not fit. */
enum err direction_encode(const struct coordinator *c, const struct pair_end *end, uint32_t transaction,
			  struct writer *w)
{
	const struct member *peer = end->pair->ends[end == &end->pair->ends[0]].member;
	struct writer start = *w;
	enum err err = ERR_STATE;

	(void)c;
	for (int count = peer->candidates.count; end->pair->direction && count >= 0; count--) {
		*w = start;
		err = encode_with(end, transaction, (uint8_t)count, w);
		if (err != ERR_SIZE)
			break;
	}
	return err;
}

/* Who is meant? REASON_NONE and *ret, or why not. */
static uint8_t find_target(const struct coordinator *c, const struct member *asker,
			   const struct direction_request *request, struct member **ret)
{
	struct member *target = request->name[0] ? member_find_name(c, request->name) : member_find_ip(c, &request->ip);

	if (!target || !target->has_lease || !target->certificate_size)
		return REASON_UNKNOWN_NAME;
	if (target == asker)
		return REASON_BAD_REQUEST;
	if (member_is_revoked(c, &target->id))
		return REASON_REVOKED;
	if (!target->is_online || !target->live)
		return REASON_OFFLINE;
	*ret = target;
	return REASON_NONE;
}

/* Contract in foreign.h. */
void direction_refuse(struct coordinator *c, struct channel *channel, uint32_t transaction,
		      const struct direction_request *request, uint8_t reason, bool is_answer)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct direction_refusal refusal = {.reason = reason, .ip = request->ip};

	memcpy(refusal.name, request->name, sizeof refusal.name);
	message_header_encode(MESSAGE_DIRECTION_REFUSAL, transaction, &w);
	direction_refusal_encode(&refusal, &w);
	if (channel)
		channel_send(c, channel, &w, is_answer);
	c->counters.not_directed++;
}

/* The direction that both have or are about to have; a fresh one unless this end only now joins in, or repeats itself.
 */
static struct pair *choose_pair(struct coordinator *c, struct member *asker, struct member *target,
				uint32_t transaction, bool *ret_is_new)
{
	struct pair *pair = pair_find(asker, target);
	const struct pair_end *end = pair ? pair_end_of(pair, asker) : NULL;
	bool is_same =
		pair && pair->direction && !pair->is_stale && (!end->has_asked || end->transaction == transaction);

	*ret_is_new = !is_same;
	return is_same ? pair : pair_create(c, asker, target);
}

/* A Direction Request of a live member: Route Direction to both ends at once, or a refusal. */
enum err direction_input(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body)
{
	struct member *asker = channel->member, *target = NULL;
	struct direction_request request;
	struct pair_end *end;
	struct pair *pair;
	bool is_new;
	uint8_t reason = REASON_BUSY;
	enum err err = direction_request_decode(body, &request);

	if (err)
		return err;
	lower_text(request.name);
	if (bucket_take(&asker->requests, &direction_rate, c->now))
		reason = find_target(c, asker, &request, &target);
	else
		c->counters.limited_requests++;
	if (reason == REASON_UNKNOWN_NAME) {
		reason = inquiry_begin(c, asker, transaction, &request);
		if (reason == REASON_NONE)
			return OK; /* another zone's */
	}
	if (reason != REASON_NONE) {
		direction_refuse(c, channel, transaction, &request, reason, true);
		if (reason != REASON_BUSY)
			coordinator_tell(c, COORDINATOR_NOT_DIRECTED, asker, target, reason);
		return OK;
	}
	pair = choose_pair(c, asker, target, transaction, &is_new);
	end = pair_end_of(pair, asker);
	end->has_asked = true;
	end->transaction = transaction;
	pair_deliver(c, end, DELIVER_DIRECTION, transaction);
	if (!is_new) {
		c->counters.directions_repeated++;
		return OK;
	}
	pair_deliver(c, pair_end_of(pair, target), DELIVER_DIRECTION, coordinator_random_u32(c));
	c->counters.directions++;
	coordinator_tell(c, COORDINATOR_DIRECTED, asker, target, 0);
	return OK;
}
