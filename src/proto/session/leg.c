#include "proto/session/leg.h"

#include <string.h>

#include "crypto/hash.h"
#include "proto/session/request.h"

/* The grant came from the coordinator's session, so it is authentic, but its shape is still judged here. */
enum err leg_init(struct leg *leg, uint64_t path_id, const struct relay_grant *grant, struct time_us now)
{
	if (grant->leg > 1 || grant->ticket.size > TICKET_MAX_SIZE || grant->ticket.size == 0)
		return ERR_MALFORMED;
	if (grant->addresses.count == 0 || grant->addresses.count > SERVER_ADDRESSES_MAX)
		return ERR_MALFORMED;
	*leg = (struct leg){
		.path_id = path_id,
		.index = grant->leg,
		.ticket_size = (uint16_t)grant->ticket.size,
		.addresses = grant->addresses,
		.sent = now,
		.next = now,
		.rtt_us = -1,
	};
	memcpy(leg->key, grant->leg_key, KEY_SIZE);
	memcpy(leg->ticket, grant->ticket.data, grant->ticket.size);
	return OK;
}

/* A finished leg is all zero and must not be used. */
void leg_finish(struct leg *leg)
{
	wipe(leg, sizeof *leg);
}

/* Asks anew under a higher generation: what the relay has bound is out of date. */
static void leg_ask_anew(struct leg *leg)
{
	leg->generation++;
	leg->seen = (struct addr){0};
	leg->bound = false;
	leg->answer_due = leg->answered = false;
	leg->tries = 0;
}

/* Not retried less often than a first Bind: the move is the moment when time counts. */
void leg_move(struct leg *leg, struct time_us now)
{
	leg_ask_anew(leg);
	leg->silent = (struct time_us){0};
	leg->next = now;
}

/* The pause keeps a caller that complains about every packet from flooding the relay. */
void leg_refresh(struct leg *leg, struct time_us now)
{
	struct time_us earliest = leg->tries ? time_add(leg->sent, HANDSHAKE_RETRY_US) : now;

	leg->next = time_min(leg->next, time_reached(now, earliest) ? now : earliest);
}

static void leg_write_mac(const struct leg *leg, struct writer *w)
{
	uint8_t tag[MAC_BYTES];

	mac(leg->key, w->data, w->at, tag);
	write_bytes(w, tag, sizeof tag);
}

static bool leg_write_answer(struct leg *leg, uint8_t *ret, size_t *ret_size)
{
	struct relay_challenge answer = {
		.type = PACKET_RELAY_ANSWER, .path_id = leg->path_id, .leg = leg->index, .generation = leg->generation};
	struct writer w = writer_over(ret, LEG_DATAGRAM_MAX);

	memcpy(answer.cookie, leg->cookie, sizeof answer.cookie);
	relay_challenge_encode_unsigned(&answer, &w);
	leg_write_mac(leg, &w);
	leg->answer_due = false;
	leg->answered = true;
	return writer_finish(&w, ret_size) == OK;
}

static bool leg_write_bind(const struct leg *leg, uint8_t *ret, size_t *ret_size)
{
	struct relay_bind bind = {
		.path_id = leg->path_id,
		.leg = leg->index,
		.generation = leg->generation,
		.ticket = {leg->ticket, leg->ticket_size},
	};
	struct writer w = writer_over(ret, LEG_DATAGRAM_MAX);

	relay_bind_encode_unsigned(&bind, &w);
	leg_write_mac(leg, &w);
	return writer_finish(&w, ret_size) == OK;
}

/* After silence the relay's next address, and a higher generation with it: to the relay this is a move. */
static void leg_give_up_address(struct leg *leg)
{
	leg->bound = false;
	if (leg->addresses.count < 2)
		return;
	leg->address = (uint8_t)((leg->address + 1) % leg->addresses.count);
	leg_ask_anew(leg);
}

/* A relay that has been away for hours, or has no room for us, is not to wake an idle node every other second. */
static struct time_us leg_due(const struct leg *leg)
{
	int64_t pace_us = time_since(leg->sent, leg->silent) / 8;

	if (!leg->is_spare || leg->silent.us == 0)
		return leg->next;
	return time_later(leg->next, time_add(leg->sent, pace_us < KEEPALIVE_US ? pace_us : KEEPALIVE_US));
}

/* An Answer goes first: it is what ends the exchange. */
bool leg_output(struct leg *leg, struct time_us now, uint8_t *ret, size_t *ret_size)
{
	if (leg->answer_due)
		return leg_write_answer(leg, ret, ret_size);
	if (!time_reached(now, leg_due(leg)))
		return false;
	/* The Answer may have bound where our NAT had us then; only a higher generation leaves that. */
	if (leg->answered)
		leg_ask_anew(leg);
	if (leg->tries && leg->tries % LEG_TRIES_PER_ADDRESS == 0)
		leg_give_up_address(leg);
	if (leg->tries < UINT8_MAX)
		leg->tries++;
	leg->sent = now;
	if (leg->silent.us == 0)
		leg->silent = now;
	leg->next = time_add(now, request_pace_us(time_since(now, leg->silent)));
	return leg_write_bind(leg, ret, ret_size);
}

/* Only an exchange without repetition tells a round trip time (Karn). */
static void leg_measure(struct leg *leg, struct time_us now)
{
	if (leg->tries == 1)
		leg->rtt_us = time_since(now, leg->sent);
}

/* For Bound: two round trips, or what they were at most where the Bind was repeated. */
static int64_t leg_patience_us(const struct leg *leg, struct time_us now)
{
	int64_t twice_us = 2 * (leg->tries > 1 ? time_since(now, leg->silent) : leg->rtt_us);

	return twice_us > HANDSHAKE_RETRY_US ? twice_us : HANDSHAKE_RETRY_US;
}

static void leg_challenged(struct leg *leg, struct time_us now, const struct relay_challenge *challenge)
{
	int64_t patience_us = leg_patience_us(leg, now);

	memcpy(leg->cookie, challenge->cookie, sizeof leg->cookie);
	leg->answer_due = true;
	leg->tries = 1;
	leg->sent = now;
	leg->next = time_add(now, patience_us);
}

/* A late Bound, with no Bind outstanding, still confirms the leg. */
static void leg_confirmed(struct leg *leg, struct time_us now, const struct relay_challenge *bound)
{
	leg->seen = relay_seen_get(bound->cookie);
	leg->bound = true;
	leg->answer_due = leg->answered = false;
	leg->tries = 0;
	leg->next = time_add(now, KEEPALIVE_US);
}

/*
 * Nothing changes unless the MAC under the leg key holds. Answering a replayed Challenge costs one datagram of the
 * same size.
 */
enum err leg_input(struct leg *leg, struct time_us now, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct relay_challenge m;
	uint8_t tag[MAC_BYTES];
	enum err err = relay_challenge_decode(&r, &m);

	if (err != OK)
		return err;
	if (m.type != PACKET_RELAY_CHALLENGE && m.type != PACKET_RELAY_BOUND)
		return ERR_MALFORMED;
	if (size != RELAY_CHALLENGE_SIZE)
		return ERR_MALFORMED;
	mac(leg->key, bytes, size - MAC_SIZE, tag);
	if (!equal_secret(tag, m.mac, MAC_SIZE))
		return ERR_AUTH;
	if (m.path_id != leg->path_id || m.leg != leg->index || m.generation != leg->generation)
		return ERR_STATE;
	leg_measure(leg, now);
	if (m.type == PACKET_RELAY_CHALLENGE)
		leg_challenged(leg, now, &m);
	else
		leg_confirmed(leg, now, &m);
	leg->silent = (struct time_us){0};
	return OK;
}

/* An Answer that waits is due at once. */
struct time_us leg_deadline(const struct leg *leg)
{
	return leg->answer_due ? (struct time_us){INT64_MIN} : leg_due(leg);
}

/* Nothing is asked now, so nothing is put off. */
void leg_rest(struct leg *leg, struct time_us until)
{
	if (leg->bound && !leg->answer_due && leg->tries == 0)
		leg->next = until;
}

/* Has the relay confirmed this generation, and answered since? */
bool leg_is_bound(const struct leg *leg)
{
	return leg->bound;
}

/* Changes only in leg_output and leg_prefer_family. */
const struct addr *leg_relay(const struct leg *leg)
{
	return &leg->addresses.list[leg->address];
}

/* A relay that is reached at another address sees another source, so this is a move. */
void leg_prefer_family(struct leg *leg, uint8_t family)
{
	if (leg_relay(leg)->ip.family == family)
		return;
	for (uint8_t i = 0; i < leg->addresses.count; i++)
		if (leg->addresses.list[i].ip.family == family) {
			leg->address = i;
			leg_ask_anew(leg);
			leg->next = leg->sent;
			return;
		}
}
