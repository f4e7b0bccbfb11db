/* foreign_handshake.c: how a link begins. Either end does, as soon as it knows the other one, and both answer. */
#include <string.h>

#include "crypto/hash.h"
#include "proto/coordinator/realm.h"

enum { EPHEMERAL_AT = HEADER_SIZE, PAD_LINK_TO = 64 };

/* With the answer that it waits with. */
void foreign_end_pending(struct link_pending *pending)
{
	foreign_end_session(&pending->link);
	wipe(pending, sizeof *pending);
}

static uint64_t network_epoch(const struct coordinator *c)
{
	return c->network ? c->network->epoch : 0;
}

/* A fresh first message, beside whatever session there is. */
static void begin(struct coordinator *c, struct foreign *f)
{
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct writer w = writer_over(payload, sizeof payload);
	struct link_request request = {.network_epoch = network_epoch(c), .padded_size = PAD_LINK_TO};
	struct handshake_setup setup = {
		.local_static = &c->config.static_keys,
		.remote_static = f->entry.static_key,
		.mac1_key = mac1_key,
		.type = PACKET_REGISTRATION_REQUEST,
		.path_id = direction_path_id(c),
		.ephemeral_seed = seed,
	};
	size_t size = 0;

	if (f->realm) /* it has to ask DNS who we are */
		memcpy(request.zone, c->config.zone, sizeof request.zone);
	message_header_encode(MESSAGE_LINK_REQUEST, coordinator_random_u32(c), &w);
	link_request_encode(&request, &w);
	random_fill(&c->env.random, seed, sizeof seed);
	handshake_mac1_key(f->entry.static_key, NULL, mac1_key);
	f->is_trying =
		writer_finish(&w, &size) == OK &&
		handshake_begin(&f->handshake, &setup, (struct blob){payload, size}, f->first, &f->first_size) == OK;
	f->tried = c->now;
	f->is_cookied = false;
	if (f->is_trying)
		cookie_apply(&f->cookie, c->now, f->first, f->first_size);
	wipe(seed, sizeof seed);
}

/* To all of its addresses at once. Without an answer a fresh message every LINK_FRESH_US, and ever more seldom. */
void foreign_try(struct coordinator *c, struct foreign *f)
{
	if (!f->is_trying || time_since(c->now, f->tried) >= LINK_FRESH_US)
		begin(c, f);
	for (uint8_t i = 0; f->is_trying && i < f->entry.addresses.count; i++) {
		struct route route = {.remote = f->entry.addresses.list[i]};

		coordinator_send(c, &route, f->first, f->first_size);
	}
	if (f->interval_us < HANDSHAKE_RETRY_US)
		f->interval_us = HANDSHAKE_RETRY_US;
	f->next_try = time_add(c->now, f->interval_us);
	f->interval_us = f->interval_us * 2 > LINK_RETRY_MAX_US ? LINK_RETRY_MAX_US : f->interval_us * 2;
}

/* The other one has too much to do: the same message once more at once, with the proof of where we are. */
enum err foreign_input_cookie(struct coordinator *c, struct foreign *f, const uint8_t *bytes, size_t size)
{
	enum err err = cookie_take(&f->cookie, f->entry.static_key, c->now, f->first, f->first_size, bytes, size);

	if (err) {
		c->counters.dropped_auth++;
		return err;
	}
	cookie_apply(&f->cookie, c->now, f->first, f->first_size);
	if (!f->is_cookied)
		f->next_try = c->now;
	f->is_cookied = true;
	return OK;
}

/* The answer to our first message. */
enum err foreign_input_answer(struct coordinator *c, struct foreign *f, const struct route *route, const uint8_t *bytes,
			      size_t size)
{
	uint8_t payload[MESSAGE_MAX];
	struct session_keys keys;
	struct message_header header;
	struct link_response response;
	struct reader r;
	uint64_t path_id = f->handshake.path_id;
	size_t payload_size;
	enum err err = handshake_mac1_check(bytes, size, c->mac1_key);

	if (err == OK)
		err = handshake_finish(&f->handshake, &c->config.static_keys, bytes, size, payload, &payload_size,
				       &keys);
	if (err) {
		c->counters.dropped_auth++;
		return err;
	}
	f->is_trying = false;
	r = reader_over(payload, payload_size);
	err = message_header_decode(&r, &header);
	if (err == OK && header.type != MESSAGE_LINK_RESPONSE)
		err = ERR_MALFORMED;
	if (err == OK)
		err = link_response_decode(&r, &response);
	if (err == OK) {
		c->counters.network_doubts += !f->realm && response.network_epoch > network_epoch(c);
		foreign_end_session(&f->own);
		f->own.path_id = path_id;
		f->own.session = session_create(c->aead, SUITE_CHACHA20_POLY1305, true, path_id, &keys, c->now);
		foreign_confirmed(c, f, &f->own, route);
		c->counters.links_begun++;
	} else {
		c->counters.dropped_malformed++;
	}
	wipe(&keys, sizeof keys);
	return err;
}

static enum err write_response(struct coordinator *c, struct handshake *handshake, uint32_t transaction,
			       const struct route *route, struct link_pending *ret, struct session_keys *ret_keys)
{
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct writer w = writer_over(payload, sizeof payload);
	struct link_response response = {
		.network_epoch = network_epoch(c), .network_time_s = coordinator_wall_s(c), .observed = route->remote};
	struct handshake_setup setup = {
		.local_static = &c->config.static_keys,
		.mac1_key = mac1_key,
		.type = PACKET_REGISTRATION_RESPONSE,
		.path_id = handshake->path_id,
		.ephemeral_seed = seed,
	};
	size_t size = 0;
	enum err err;

	message_header_encode(MESSAGE_LINK_RESPONSE, transaction, &w);
	link_response_encode(&response, &w);
	err = writer_finish(&w, &size);
	if (err)
		return err;
	random_fill(&c->env.random, seed, sizeof seed);
	handshake_mac1_key(handshake->remote_static, NULL, mac1_key);
	err = handshake_answer(handshake, &setup, (struct blob){payload, size}, ret->answer, &ret->answer_size,
			       ret_keys);
	wipe(seed, sizeof seed);
	return err;
}

/* Nobody that we know: it may have joined after our document was made, or be another network's. Then DNS has to say
 * that its key is that zone's before it is answered: it asks again. */
static void seek(struct coordinator *c, const struct link_request *request)
{
	uint8_t reason;
	struct foreign *f;

	if (!request->zone[0]) {
		c->counters.network_doubts++;
		return;
	}
	f = directory_obtain(c, request->zone, &reason);
	if (f)
		directory_refresh(c, f);
}

/* Whoever holds the key of a listed coordinator is answered; the others meet silence. */
enum err foreign_accept(struct coordinator *c, struct handshake *handshake, uint32_t transaction, struct reader *body,
			const struct route *route, const uint8_t *bytes, size_t size)
{
	struct foreign *f = foreign_find_key(c, handshake->remote_static);
	struct link_pending *pending = f ? &f->pending : NULL;
	struct link_request request;
	struct session_keys keys;
	uint64_t path_id = handshake->path_id;
	enum err err = link_request_decode(body, &request);

	if (err || !f) {
		c->counters.dropped_malformed += err != OK;
		c->counters.dropped_unknown += err == OK;
		if (err == OK)
			seek(c, &request);
		return err ? err : ERR_DENIED;
	}
	c->counters.network_doubts += !f->realm && request.network_epoch > network_epoch(c);
	foreign_end_pending(pending);
	err = write_response(c, handshake, transaction, route, pending, &keys);
	if (err == OK && pending->answer_size > size)
		err = ERR_SIZE; /* T6 */
	if (err == OK) {
		pending->link.path_id = path_id;
		pending->link.session = session_create(c->aead, SUITE_CHACHA20_POLY1305, false, path_id, &keys, c->now);
		pending->until = time_add(c->now, PENDING_US);
		pending->seen_tag = registration_seen_tag(c, bytes);
		memcpy(pending->ephemeral, bytes + EPHEMERAL_AT, KEY_SIZE);
		coordinator_send(c, route, pending->answer, pending->answer_size);
	}
	wipe(&keys, sizeof keys);
	return err;
}

/* A first message that waits for its confirmation. */
struct foreign *foreign_find_pending(const struct coordinator *c, uint64_t path_id)
{
	for (uint32_t i = 0; i < c->foreign_count; i++)
		if (c->foreigns[i]->pending.link.session && c->foreigns[i]->pending.link.path_id == path_id)
			return c->foreigns[i];
	return NULL;
}

/* The same first message gets the same answer, wherever it came from. */
bool foreign_repeat(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size,
		    enum err *ret_err)
{
	struct reader r = reader_over(bytes, size);
	struct header header;
	struct foreign *f = header_decode(&r, &header) == OK ? foreign_find_pending(c, header.path_id) : NULL;

	if (!f)
		return false;
	if (memcmp(f->pending.ephemeral, bytes + EPHEMERAL_AT, KEY_SIZE) != 0 || size < f->pending.answer_size) {
		c->counters.dropped_replay++;
		*ret_err = ERR_REPLAY;
		return true;
	}
	c->counters.handshakes_repeated++;
	coordinator_send(c, route, f->pending.answer, f->pending.answer_size);
	*ret_err = OK;
	return true;
}

/* The first packet under a pending session's keys. */
struct link_session *foreign_confirm_pending(struct coordinator *c, struct foreign *f, const struct route *route)
{
	*channel_seen_slot(c, f->pending.seen_tag) = f->pending.seen_tag;
	foreign_end_session(&f->theirs);
	f->theirs = f->pending.link;
	f->pending.link.session = NULL; /* theirs now */
	foreign_end_pending(&f->pending);
	c->counters.links_answered++;
	foreign_confirmed(c, f, &f->theirs, route);
	return &f->theirs;
}
