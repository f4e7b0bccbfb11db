/*
 * registration.c: first messages of nodes. Cheapest check first (security 2): size, session look-up, mac1, replays,
 * budget, and only then a key exchange. A stranger gets silence; a holder of a certificate gets its lease, once that is
 * durable.
 */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/foreign.h"
#include "proto/session/cookie.h"
#include "wire/dns.h"

/* What an authenticated first message says. The certificate's bytes live in payload. */
struct arrival {
	struct handshake handshake;
	uint64_t path_id; /* kept here: the handshake is wiped when it is answered */
	struct message_header header;
	struct registration_request request;
	struct certificate certificate;
	bool is_certified; /* the certificate holds and is the sender's */
	uint8_t payload[MESSAGE_MAX];
};

enum { EPHEMERAL_AT = HEADER_SIZE };

/* What is remembered of a first message: its header and ephemeral key. Never 0. */
uint64_t registration_seen_tag(const struct coordinator *c, const uint8_t *bytes)
{
	return siphash(c->hash_key, bytes, HEADER_SIZE + KEY_SIZE) | 1;
}

/* Sends the answer that was written once. It is not larger than any first message with this PathID, as those are equal.
 */
static void send_answer(struct coordinator *c, struct channel *channel, const struct route *route)
{
	struct addr *answered = &channel->answered[route->remote.ip.family == 6];

	if (!addr_is_set(answered))
		*answered = route->remote;
	channel->is_copied |= !addr_equal(answered, &route->remote);
	coordinator_send(c, route, channel->answer, channel->answer_size);
}

/* The same first message again: the same answer, to wherever it came from, or silence while it waits for the store. */
static enum err repeat(struct coordinator *c, struct channel *channel, const struct route *route, const uint8_t *bytes,
		       size_t size)
{
	if (channel->is_live || memcmp(channel->ephemeral, bytes + EPHEMERAL_AT, KEY_SIZE) != 0 ||
	    size < channel->answer_size) {
		c->counters.dropped_replay++;
		return ERR_REPLAY;
	}
	c->counters.handshakes_repeated++;
	if (!delay_is_waiting(&channel->held))
		send_answer(c, channel, route);
	return OK;
}

/* One label below the zone, and not the name server's own. */
bool registration_name_fits(const char *fqdn, const char *zone)
{
	size_t size = strlen(fqdn), zone_size = strlen(zone);

	if (size < zone_size + 2 || !dns_name_in_zone(fqdn, zone))
		return false;
	if (!dns_label_is_host(fqdn, size - zone_size - 1))
		return false;
	return size - zone_size - 1 != 2 || memcmp(fqdn, "ns", 2) != 0;
}

/* Does the certificate hold, belong to whoever holds the static key, and name somebody of this zone? */
static uint8_t judge(const struct coordinator *c, struct arrival *arrival)
{
	struct certificate *certificate = &arrival->certificate;
	const struct member *member;

	if (certificate_judge_cached(c->signatures, arrival->request.certificate, c->config.authority,
				     coordinator_wall_s(c), certificate) != OK)
		return REASON_BAD_CREDENTIAL;
	if (!equal_secret(certificate->static_key, arrival->handshake.remote_static, KEY_SIZE))
		return REASON_BAD_CREDENTIAL;
	arrival->is_certified = true;
	if (member_is_revoked(c, &certificate->id))
		return REASON_REVOKED;
	if (!registration_name_fits(certificate->fqdn, c->config.zone))
		return REASON_BAD_CREDENTIAL;
	member = member_find(c, &certificate->id);
	if (member && member->certificate_size && certificate->serial < member->certificate_serial)
		return REASON_BAD_CREDENTIAL; /* replaced by a newer one: a thief's, or a replay */
	return REASON_NONE;
}

/* Certificate and name as this arrival proves them. */
static enum err take_certificate(struct coordinator *c, struct member *member, const struct arrival *arrival)
{
	struct blob encoded = arrival->request.certificate;
	enum err err;

	if (encoded.size > CERTIFICATE_MAX_SIZE)
		return ERR_SIZE;
	if (member->certificate_size == encoded.size && memcmp(member->certificate, encoded.data, encoded.size) == 0 &&
	    member->fqdn[0])
		return OK;
	if (strcmp(member->fqdn, arrival->certificate.fqdn) != 0) {
		err = member_set_name(c, member, arrival->certificate.fqdn);
		if (err)
			return err;
		c->zone_serial++;
	}
	member->certificate_serial = arrival->certificate.serial;
	member->certificate_size = (uint16_t)encoded.size;
	memcpy(member->certificate, encoded.data, encoded.size);
	member_changed(c, member, true);
	return OK;
}

/* Finds or makes the identity with its lease and name: all or nothing. *ret is only set for REASON_NONE. */
static uint8_t enter(struct coordinator *c, const struct arrival *arrival, struct member **ret)
{
	struct member *member = member_find(c, &arrival->certificate.id);
	bool is_new = !member || !member->has_lease;

	if (!member_may_take_name(c, &arrival->certificate.id, arrival->certificate.fqdn))
		return REASON_BAD_CREDENTIAL;
	if (!member)
		member = member_add(c, &arrival->certificate.id);
	if (!member)
		return REASON_NO_ADDRESS;
	if (pool_lease(c, member) != OK) {
		if (!member->has_lease && !member->is_revoked)
			member_remove(c, member);
		return REASON_NO_ADDRESS;
	}
	if (take_certificate(c, member, arrival) != OK)
		return REASON_BAD_CREDENTIAL;
	if (is_new)
		coordinator_tell(c, COORDINATOR_NODE_LEASED, member, NULL, 0);
	*ret = member;
	return REASON_NONE;
}

/* Writes the answer datagram and makes the keys. ERR_SIZE when it would be larger than the request (T6). */
static enum err write_answer(struct coordinator *c, struct arrival *arrival, const struct route *route,
			     const struct member *member, uint8_t reason, size_t request_size, uint8_t *ret,
			     size_t *ret_size, struct session_keys *ret_keys)
{
	uint8_t payload[MESSAGE_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct writer w = writer_over(payload, HANDSHAKE_PAYLOAD_MAX);
	struct registration_response response = {
		.reason = reason,
		.observed = route->remote,
		.network_time_s = coordinator_wall_s(c),
		.keepalive_ms = KEEPALIVE_US / USEC_PER_MSEC,
	};
	struct handshake_setup setup = {
		.local_static = &c->config.static_keys,
		.mac1_key = mac1_key,
		.type = PACKET_REGISTRATION_RESPONSE,
		.path_id = arrival->path_id,
		.ephemeral_seed = seed,
	};
	size_t size = 0;
	enum err err;

	if (member)
		response.lease = (struct blob){member->lease_bytes, member->lease_size};
	message_header_encode(MESSAGE_REGISTRATION_RESPONSE, arrival->header.transaction, &w);
	registration_response_encode(&response, &w);
	err = writer_finish(&w, &size);
	if (err == OK && HANDSHAKE_OVERHEAD_RESPONSE + size > request_size)
		err = ERR_SIZE;
	if (err)
		return err;
	random_fill(&c->env.random, seed, sizeof seed);
	handshake_mac1_key(arrival->handshake.remote_static, NULL, mac1_key);
	err = handshake_answer(&arrival->handshake, &setup, (struct blob){payload, size}, ret, ret_size, ret_keys);
	wipe(seed, sizeof seed);
	return err;
}

/* Whoever finished the key exchange is told why not; nothing is remembered, and only holders of a certificate make an
 * event. */
static void refuse(struct coordinator *c, struct arrival *arrival, const struct route *route, uint8_t reason,
		   size_t request_size)
{
	uint8_t answer[MESSAGE_MAX];
	struct session_keys keys;
	struct member unknown = {.id = arrival->certificate.id};
	const struct member *member = member_find(c, &arrival->certificate.id);
	size_t size;

	c->counters.refusals++;
	if (arrival->is_certified)
		coordinator_tell(c, COORDINATOR_NODE_REFUSED, member ? member : &unknown, NULL, reason);
	if (write_answer(c, arrival, route, NULL, reason, request_size, answer, &size, &keys) == OK)
		coordinator_send(c, route, answer, size);
	wipe(&keys, sizeof keys);
}

/* A slot for one more handshake of this member; the oldest unconfirmed one gives way, the live one never. */
static struct channel **pending_slot(struct coordinator *c, struct member *member)
{
	struct channel **oldest = &member->pending[0];

	for (int i = 0; i < PENDING_PER_MEMBER; i++) {
		if (!member->pending[i])
			return &member->pending[i];
		if (member->pending[i]->serial < (*oldest)->serial)
			oldest = &member->pending[i];
	}
	channel_destroy(c, *oldest);
	return oldest;
}

/* Remembers the answered handshake until its first sealed packet or PENDING_US. */
static struct channel *open_channel(struct coordinator *c, struct member *member, const struct arrival *arrival,
				    const struct route *route, const struct session_keys *keys)
{
	struct channel **slot = pending_slot(c, member);
	struct channel *channel = mem_alloc(1, sizeof *channel);

	channel->member = member;
	channel->path_id = arrival->path_id;
	if (map_put(&c->by_path, channel->path_id, channel) != OK) {
		mem_free(channel);
		return NULL;
	}
	channel->session = session_create(c->aead, SUITE_CHACHA20_POLY1305, false, channel->path_id, keys, c->now);
	channel->serial = ++c->channel_serial;
	place_begin(&channel->place, route, false);
	channel->features = arrival->request.features;
	channel->move_epoch = arrival->request.move_epoch;
	channel->candidates = arrival->request.candidates;
	channel->is_newborn = !arrival->request.kept;
	delay_start(&c->pendings, &channel->pending, c->now);
	c->counters.pending++;
	*slot = channel;
	return channel;
}

/* Answers a certified node, at once or when the store has its lease. */
static enum err admit(struct coordinator *c, struct arrival *arrival, const struct route *route, const uint8_t *bytes,
		      size_t size, struct member *member)
{
	uint8_t answer[MESSAGE_MAX];
	struct session_keys keys;
	struct channel *channel;
	size_t answer_size;
	enum err err = write_answer(c, arrival, route, member, REASON_NONE, size, answer, &answer_size, &keys);

	if (err) {
		c->counters.dropped_size++;
		return err;
	}
	channel = open_channel(c, member, arrival, route, &keys);
	wipe(&keys, sizeof keys);
	if (!channel)
		return ERR_FULL;
	channel->seen_tag = registration_seen_tag(c, bytes);
	memcpy(channel->ephemeral, bytes + EPHEMERAL_AT, KEY_SIZE);
	channel->answer = mem_alloc(1, answer_size);
	channel->answer_size = answer_size;
	memcpy(channel->answer, answer, answer_size);
	channel->held_until = member->fact_number;
	if (channel->held_until > c->records_durable)
		delay_start(&c->held, &channel->held, c->now);
	else
		send_answer(c, channel, route);
	return OK;
}

/* After the key exchange: the sender holds the static key it names. */
static enum err input_authenticated(struct coordinator *c, struct arrival *arrival, const struct route *route,
				    const uint8_t *bytes, size_t size, size_t payload_size)
{
	struct reader r = reader_over(arrival->payload, payload_size);
	struct member *member = NULL;
	uint8_t reason;

	c->counters.handshakes++;
	arrival->path_id = arrival->handshake.path_id;
	if (message_header_decode(&r, &arrival->header) == OK && arrival->header.type == MESSAGE_LINK_REQUEST)
		return foreign_accept(c, &arrival->handshake, arrival->header.transaction, &r, route, bytes, size);
	if (r.err != OK || arrival->header.type != MESSAGE_REGISTRATION_REQUEST ||
	    registration_request_decode(&r, &arrival->request) != OK) {
		c->counters.dropped_malformed++;
		return ERR_MALFORMED;
	}
	reason = judge(c, arrival);
	if (reason == REASON_NONE)
		reason = enter(c, arrival, &member);
	if (reason != REASON_NONE) {
		refuse(c, arrival, route, reason, size);
		return ERR_DENIED;
	}
	return admit(c, arrival, route, bytes, size, member);
}

/*
 * Over the budget of the many: whoever proves its source has another one. The others are told how; a few hashes, and no
 * more bytes than came.
 */
static bool admit_by_cookie(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size)
{
	const uint8_t *secret = c->admission.cookie_secret;
	uint8_t nonce[COOKIE_NONCE_SIZE], reply[COOKIE_REPLY_SIZE];

	if (cookie_is_proof(secret, c->now, &route->remote, bytes, size))
		return admission_take_asked(&c->admission, &route->remote.ip, c->now);
	random_fill(&c->env.random, nonce, sizeof nonce);
	cookie_reply_make(secret, c->config.static_keys.public, c->now, &route->remote, bytes, size, nonce, reply);
	c->counters.cookies++;
	coordinator_send(c, route, reply, sizeof reply);
	return false;
}

/* Everything before the key exchange. *ret_channel is set for a repetition. */
static enum err check_cheaply(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size,
			      struct channel **ret_channel)
{
	struct reader r = reader_over(bytes, size);
	struct header header;
	uint64_t tag;

	if (size < HANDSHAKE_OVERHEAD_REQUEST || size > MESSAGE_MAX) {
		c->counters.dropped_size++;
		return ERR_SIZE;
	}
	if (header_decode(&r, &header) != OK || header.path != 0 || header.counter != 0) {
		c->counters.dropped_malformed++;
		return ERR_MALFORMED;
	}
	*ret_channel = map_get(&c->by_path, header.path_id);
	if (handshake_mac1_holds(bytes, size, c->mac1_key) != OK) {
		c->counters.dropped_mac1++;
		return ERR_AUTH;
	}
	if (*ret_channel || foreign_find_pending(c, header.path_id))
		return OK;
	tag = registration_seen_tag(c, bytes);
	if (*channel_seen_slot(c, tag) == tag) {
		c->counters.dropped_replay++;
		return ERR_REPLAY;
	}
	if (!admission_take(&c->admission, &route->remote.ip, c->now) && !admit_by_cookie(c, route, bytes, size)) {
		c->counters.limited_handshakes++;
		return ERR_FULL;
	}
	return OK;
}

/* A PACKET_REGISTRATION_REQUEST from anybody. */
enum err registration_input(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct arrival arrival = {0};
	struct channel *known = NULL;
	size_t payload_size;
	enum err err = check_cheaply(c, route, bytes, size, &known);

	if (err)
		return err;
	if (known)
		return repeat(c, known, route, bytes, size);
	if (foreign_repeat(c, route, bytes, size, &err))
		return err;
	err = handshake_accept(&arrival.handshake, &(struct handshake_setup){.local_static = &c->config.static_keys},
			       bytes, size, arrival.payload, &payload_size);
	if (err)
		c->counters.dropped_auth++;
	else
		err = input_authenticated(c, &arrival, route, bytes, size, payload_size);
	wipe(&arrival, sizeof arrival);
	return err;
}

/* In the order in which they came; a later one that needs nothing new waits no longer than the ones before. */
void registration_release_held(struct coordinator *c)
{
	struct delay *next = c->held.head.next;

	while (next != &c->held.head) {
		struct channel *channel = (struct channel *)((char *)next - offsetof(struct channel, held));

		next = next->next;
		if (channel->held_until > c->records_durable)
			continue;
		delay_stop(&channel->held);
		send_answer(c, channel, &channel->place.route);
	}
}
