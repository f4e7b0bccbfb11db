/*
 * foreign.c: the permanent session with each other zone's coordinator. Either end begins, as soon as it knows the other
 * one, and both answer. Sessions that began at the same time are both good: each end seals under the one that was
 * confirmed last, because whoever begins anew has forgotten the older, and opens both.
 */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/foreign.h"

enum { EPHEMERAL_AT = HEADER_SIZE, PAD_LINK_TO = 64 };

static const struct bucket_rate foreign_rate = {.per_s = 500, .burst = 2000};

/* For logs, metrics and tests. */
static void tell(struct coordinator *c, const struct foreign *f, enum coordinator_event_type type)
{
	static const struct node_id nobody;
	const struct link_session *session = f->own.serial > f->theirs.serial ? &f->own : &f->theirs;
	struct coordinator_event event = {.type = type, .id = &nobody, .fqdn = f->entry.zone};

	if (session->session)
		event.observed = session->route.remote;
	if (c->env.event)
		c->env.event(c->env.ctx, &event);
}

static void end_session(struct link_session *s)
{
	session_destroy(s->session);
	wipe(s, sizeof *s);
}

static void end_pending(struct link_pending *pending)
{
	end_session(&pending->link);
	wipe(pending, sizeof *pending);
}

/* The one to seal under; NULL when there is none. */
static struct link_session *current(struct coordinator *c, struct foreign *f)
{
	struct link_session *both[] = {&f->own, &f->theirs};

	for (int i = 0; i < 2; i++)
		if (both[i]->session && session_is_expired(both[i]->session, c->now))
			end_session(both[i]);
	if (!f->own.session || !f->theirs.session)
		return f->own.session ? &f->own : f->theirs.session ? &f->theirs : NULL;
	return f->own.serial > f->theirs.serial ? &f->own : &f->theirs;
}

static void set_up(struct coordinator *c, struct foreign *f, bool is_up)
{
	if (f->is_up == is_up)
		return;
	f->is_up = is_up;
	c->counters.links += is_up ? 1 : -1U;
	tell(c, f, is_up ? COORDINATOR_LINK_UP : COORDINATOR_LINK_DOWN);
}

static void send_on(struct coordinator *c, struct link_session *s, const uint8_t *plaintext, size_t size)
{
	uint8_t datagram[MESSAGE_MAX];

	if (size <= CONTROL_MAX && session_seal(s->session, 0, SEALED_CONTROL, plaintext, size, datagram) == OK)
		coordinator_send(c, &s->route, datagram, size + OVERHEAD_SIZE);
}

/* See foreign.h. */
bool foreign_send(struct coordinator *c, struct foreign *f, const struct writer *message)
{
	struct link_session *s = current(c, f);
	size_t size;

	if (!s || writer_finish(message, &size) != OK)
		return false;
	send_on(c, s, message->data, size);
	return true;
}

/* By static key. */
struct foreign *foreign_find_key(const struct coordinator *c, const uint8_t static_key[KEY_SIZE])
{
	for (uint32_t i = 0; i < c->foreign_count; i++)
		if (memcmp(c->foreigns[i]->entry.static_key, static_key, KEY_SIZE) == 0)
			return c->foreigns[i];
	return NULL;
}

/* Whose zone is the name one label below? */
struct foreign *foreign_find_zone(const struct coordinator *c, const char *fqdn)
{
	const char *dot = strchr(fqdn, '.');

	for (uint32_t i = 0; dot && i < c->foreign_count; i++)
		if (strcmp(c->foreigns[i]->entry.zone, dot + 1) == 0)
			return c->foreigns[i];
	return NULL;
}

static void destroy(struct coordinator *c, struct foreign *f)
{
	set_up(c, f, false);
	visitor_forget_all(c, f);
	end_session(&f->own);
	end_session(&f->theirs);
	end_pending(&f->pending);
	wipe(f, sizeof *f);
	mem_free(f);
}

/* Their nodes' pairs are gone by then. */
void foreign_destroy_all(struct coordinator *c)
{
	while (c->foreign_count)
		destroy(c, c->foreigns[--c->foreign_count]);
}

static void enter(struct coordinator *c, const struct coordinator_entry *entry)
{
	struct foreign *f = foreign_find_key(c, entry->static_key);

	if (memcmp(entry->static_key, c->config.static_keys.public, KEY_SIZE) == 0 ||
	    (!f && c->foreign_count == FOREIGN_MAX))
		return;
	if (!f) {
		f = mem_alloc(1, sizeof *f);
		f->next_try = c->now;
		c->foreigns[c->foreign_count++] = f;
	}
	f->entry = *entry;
	f->is_listed = true;
}

/* The document is the only one to say who may link. */
void foreign_set_network(struct coordinator *c)
{
	for (uint32_t i = 0; i < c->foreign_count; i++)
		c->foreigns[i]->is_listed = false;
	for (uint8_t i = 0; i < c->network->coordinator_count; i++)
		enter(c, &c->network->coordinators[i]);
	for (uint32_t i = 0; i < c->foreign_count;) {
		struct foreign *f = c->foreigns[i];

		if (f->is_listed) {
			i++;
			continue;
		}
		inquiry_forget_to(c, f);
		c->foreigns[i] = c->foreigns[--c->foreign_count];
		destroy(c, f);
	}
	c->counters.coordinators = c->foreign_count;
}

/* --- a session begins --- */

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

	message_header_encode(MESSAGE_LINK_REQUEST, coordinator_random_u32(c), &w);
	link_request_encode(&request, &w);
	random_fill(&c->env.random, seed, sizeof seed);
	handshake_mac1_key(f->entry.static_key, NULL, mac1_key);
	f->is_trying =
		writer_finish(&w, &size) == OK &&
		handshake_begin(&f->handshake, &setup, (struct blob){payload, size}, f->first, &f->first_size) == OK;
	f->tried = c->now;
	wipe(seed, sizeof seed);
}

/* To all of its addresses at once. Without an answer a fresh message every LINK_FRESH_US, and ever more seldom. */
static void try(struct coordinator *c, struct foreign *f)
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

/* Asks whether the other one is there, and keeps NATs and firewalls between us open. */
static void keep_alive(struct coordinator *c, struct foreign *f)
{
	uint8_t bytes[PAD_REQUEST_TO];
	struct writer w = writer_over(bytes, sizeof bytes);
	uint32_t transaction = coordinator_random_u32(c);
	size_t size;

	message_header_encode(MESSAGE_KEEP_ALIVE, transaction, &w);
	if (writer_finish(&w, &size) == OK)
		(void)!request_add(&f->requests, MESSAGE_KEEP_ALIVE, transaction, (struct blob){bytes, size}, c->now,
				   REQUEST_RETRY_US, true);
	f->next_keepalive = time_add(c->now, KEEPALIVE_US);
}

static bool is_asking(const struct foreign *f)
{
	for (int i = 0; i < REQUESTS_MAX; i++)
		if (f->requests.slots[i].used && f->requests.slots[i].type == MESSAGE_KEEP_ALIVE)
			return true;
	return false;
}

/* See foreign.h. */
void foreign_hasten(struct coordinator *c, struct foreign *f)
{
	if (f->is_up) {
		if (!is_asking(f) && time_since(c->now, f->heard) > REQUEST_RETRY_US)
			keep_alive(c, f);
	} else if (time_since(f->next_try, c->now) > HANDSHAKE_RETRY_MAX_US) {
		f->interval_us = HANDSHAKE_RETRY_US;
		f->next_try = c->now;
	}
}

static void send_requests(struct coordinator *c, struct foreign *f)
{
	struct link_session *s;
	const struct request *due;
	bool gave_up;

	while ((due = request_due(&f->requests, c->now, &gave_up)) || gave_up) {
		if (gave_up) {
			f->own.is_rekeying = false;
			continue;
		}
		s = due->type == MESSAGE_REKEY_REQUEST ? &f->own : current(c, f);
		if (s && s->session)
			send_on(c, s, due->plaintext, due->size);
	}
}

/* Both ends have the keys: what waits for the link goes out now. */
static void confirmed(struct coordinator *c, struct foreign *f, struct link_session *s, const struct route *route)
{
	s->serial = ++c->channel_serial;
	s->heard = f->heard = c->now;
	s->route = *route;
	f->is_trying = false;
	f->interval_us = 0;
	memset(&f->requests, 0, sizeof f->requests);
	admission_prove(&c->admission, &route->remote.ip, c->now);
	set_up(c, f, true);
	keep_alive(c, f);
	send_requests(c, f);
	inquiry_resend(c, f);
	for (struct member *visitor = f->visitors; visitor; visitor = visitor->home_next)
		pair_resend(c, visitor);
}

/* The answer to our first message. */
static enum err input_answer(struct coordinator *c, struct foreign *f, const struct route *route, const uint8_t *bytes,
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
		c->counters.network_doubts += response.network_epoch > network_epoch(c);
		end_session(&f->own);
		f->own.path_id = path_id;
		f->own.session = session_create(c->aead, SUITE_CHACHA20_POLY1305, true, path_id, &keys, c->now);
		confirmed(c, f, &f->own, route);
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
		c->counters.network_doubts += err == OK; /* it may have joined after our document was made */
		return err ? err : ERR_DENIED;
	}
	c->counters.network_doubts += request.network_epoch > network_epoch(c);
	end_pending(pending);
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

/* --- what it says --- */

/* Where it came, so that whoever asks learns that this very session works. */
static enum err input_keep_alive(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct update_response response = {.observed = f->heard_on->route.remote,
					   .network_time_s = coordinator_wall_s(c)};
	size_t size;
	enum err err;

	(void)body;
	message_header_encode(MESSAGE_KEEP_ALIVE_ANSWER, transaction, &w);
	update_response_encode(&response, &w);
	err = writer_finish(&w, &size);
	if (err == OK)
		send_on(c, f->heard_on, bytes, size);
	return err;
}

static enum err input_keep_alive_answer(struct coordinator *c, struct foreign *f, uint32_t transaction,
					struct reader *body)
{
	(void)c;
	(void)body;
	return request_done(&f->requests, transaction, NULL) ? OK : ERR_UNKNOWN;
}

/* Of the session that they began. */
static enum err input_rekey(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct rekey request;
	size_t size;
	enum err err = rekey_decode(body, &request);

	if (err == OK && !f->theirs.session)
		err = ERR_STATE;
	if (err == OK)
		err = channel_rekey(c, f->theirs.session, f->entry.static_key, &request, &f->theirs.rekeyed);
	if (err)
		return err;
	message_header_encode(MESSAGE_REKEY_RESPONSE, transaction, &w);
	rekey_encode(&(struct rekey){.epoch = f->theirs.rekeyed.epoch,
				     .handshake = {f->theirs.rekeyed.answer, REKEY_RESPONSE_SIZE}},
		     &w);
	err = writer_finish(&w, &size);
	if (err == OK)
		send_on(c, &f->theirs, bytes, size);
	return err;
}

/* Of the session that we began. */
static enum err input_rekey_answer(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	struct rekey response;
	enum err err = rekey_decode(body, &response);

	if (err == OK && (!f->own.session || !f->own.is_rekeying))
		err = ERR_STATE;
	if (err == OK)
		err = rekey_finish(&f->own.rekey, f->own.session, &c->config.static_keys, &response, c->now);
	if (err)
		return err;
	f->own.is_rekeying = false;
	wipe(&f->own.rekey, sizeof f->own.rekey);
	(void)request_done(&f->requests, transaction, NULL);
	return OK;
}

/* It goes, on purpose. */
static enum err input_close(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	(void)transaction;
	(void)body;
	set_up(c, f, false);
	return OK;
}

struct link_handler {
	uint8_t type;
	bool is_charged; /* takes from its budget; else it is cheap or answers us */
	enum err (*input)(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);
};

/* All that a coordinator may say to another one (T19); everything else is refused. */
static const struct link_handler handlers[] = {
	{MESSAGE_KEEP_ALIVE, true, input_keep_alive},
	{MESSAGE_KEEP_ALIVE_ANSWER, false, input_keep_alive_answer},
	{MESSAGE_NODE_INFORMATION_REQUEST, true, inquiry_input_request},
	{MESSAGE_NODE_INFORMATION_RESPONSE, false, inquiry_input_response},
	{MESSAGE_ROUTE_UPDATE, true, inquiry_input_update},
	{MESSAGE_ACK, false, inquiry_input_ack},
	{MESSAGE_RELAY_REPORT, true, relays_input_foreign_report},
	{MESSAGE_REKEY_REQUEST, true, input_rekey},
	{MESSAGE_REKEY_RESPONSE, false, input_rekey_answer},
	{MESSAGE_CLOSE, false, input_close},
};

/* One authenticated message. */
static enum err dispatch(struct coordinator *c, struct foreign *f, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct message_header header;
	enum err err = message_header_decode(&r, &header);

	if (err == OK)
		err = ERR_DENIED;
	for (size_t i = 0; err == ERR_DENIED && i < sizeof handlers / sizeof handlers[0]; i++) {
		if (handlers[i].type != header.type)
			continue;
		if (handlers[i].is_charged && !bucket_take(&f->budget, &foreign_rate, c->now)) {
			c->counters.limited_requests++;
			return ERR_FULL;
		}
		err = handlers[i].input(c, f, header.transaction, &r);
		break;
	}
	c->counters.dropped_malformed += err != OK && err != ERR_UNKNOWN;
	return err;
}

/* Servers do not roam: only an address that the network document names is followed. */
static void observe(struct foreign *f, struct link_session *s, const struct route *route)
{
	for (uint8_t i = 0; i < f->entry.addresses.count; i++)
		if (addr_equal(&f->entry.addresses.list[i], &route->remote))
			s->route = *route;
}

static struct link_session *find_session(struct coordinator *c, uint64_t path_id, struct foreign **ret)
{
	for (uint32_t i = 0; i < c->foreign_count; i++) {
		struct foreign *f = c->foreigns[i];
		struct link_session *all[] = {&f->own, &f->theirs, &f->pending.link};

		for (int k = 0; k < 3; k++)
			if (all[k]->session && all[k]->path_id == path_id) {
				*ret = f;
				return all[k];
			}
	}
	return NULL;
}

/* The first packet under a pending session's keys. */
static struct link_session *confirm_pending(struct coordinator *c, struct foreign *f, const struct route *route)
{
	*channel_seen_slot(c, f->pending.seen_tag) = f->pending.seen_tag;
	end_session(&f->theirs);
	f->theirs = f->pending.link;
	f->pending.link.session = NULL; /* theirs now */
	end_pending(&f->pending);
	c->counters.links_answered++;
	confirmed(c, f, &f->theirs, route);
	return &f->theirs;
}

static enum err input_sealed(struct coordinator *c, struct foreign *f, struct link_session *s,
			     const struct route *route, const uint8_t *bytes, size_t size)
{
	uint8_t plaintext[MESSAGE_MAX];
	struct opened opened;
	enum err err;

	if (size < OVERHEAD_SIZE) {
		c->counters.dropped_size++;
		return ERR_SIZE;
	}
	err = session_is_expired(s->session, c->now) ? ERR_EXPIRED
						     : session_open(s->session, bytes, size, plaintext, &opened);
	if (err) {
		c->counters.dropped_auth += err == ERR_AUTH;
		c->counters.dropped_replay += err == ERR_REPLAY;
		return err;
	}
	if (!(opened.flags & SEALED_CONTROL)) {
		c->counters.dropped_type++;
		return ERR_DENIED;
	}
	if (s == &f->pending.link)
		s = confirm_pending(c, f, route);
	else if (opened.highest)
		observe(f, s, route);
	s->heard = f->heard = c->now;
	f->heard_on = s;
	set_up(c, f, true);
	return dispatch(c, f, plaintext, opened.size);
}

/* Few coordinators: a search is as good as a table. */
enum err foreign_input(struct coordinator *c, const struct route *route, const struct header *header,
		       const uint8_t *bytes, size_t size)
{
	struct foreign *f = NULL;
	struct link_session *s;

	if (header->type == PACKET_REGISTRATION_RESPONSE) {
		for (uint32_t i = 0; i < c->foreign_count; i++)
			if (c->foreigns[i]->is_trying && c->foreigns[i]->handshake.path_id == header->path_id)
				return input_answer(c, c->foreigns[i], route, bytes, size);
	} else {
		s = find_session(c, header->path_id, &f);
		if (s)
			return input_sealed(c, f, s, route, bytes, size);
	}
	c->counters.dropped_unknown++; /* a node of before our restart finds out by our silence */
	return ERR_UNKNOWN;
}

/* --- time --- */

/* Whoever began a session that is in use renews its keys. */
static void rekey(struct coordinator *c, struct foreign *f)
{
	struct link_session *s = &f->own;
	uint8_t bytes[CONTROL_MAX], message[REKEY_REQUEST_SIZE], seed[KEY_SIZE];
	struct writer w = writer_over(bytes, sizeof bytes);
	uint32_t transaction = coordinator_random_u32(c);
	size_t size;

	if (!s->session || s->is_rekeying || !session_wants_rekey(s->session, c->now) ||
	    time_since(c->now, s->heard) > 2 * KEEPALIVE_US)
		return;
	random_fill(&c->env.random, seed, sizeof seed);
	if (rekey_begin(&s->rekey, s->session, &c->config.static_keys, f->entry.static_key, seed, message) == OK) {
		message_header_encode(MESSAGE_REKEY_REQUEST, transaction, &w);
		rekey_encode(&(struct rekey){.epoch = session_next_epoch(s->session),
					     .handshake = {message, sizeof message}},
			     &w);
		s->is_rekeying = writer_finish(&w, &size) == OK &&
				 request_add(&f->requests, MESSAGE_REKEY_REQUEST, transaction,
					     (struct blob){bytes, size}, c->now, REQUEST_RETRY_US, true) == OK;
	}
	wipe(seed, sizeof seed);
}

/* When a question that nobody answers means that the other one is gone: counted from its start or the last sign of
 * life. */
static struct time_us silence_deadline(const struct foreign *f)
{
	struct time_us at = TIME_NEVER;

	for (int i = 0; i < REQUESTS_MAX; i++) {
		const struct request *slot = &f->requests.slots[i];

		if (slot->used && slot->tries > 0)
			at = time_min(at, time_add(slot->started.us > f->heard.us ? slot->started : f->heard,
						   LINK_SILENCE_US));
	}
	return at;
}

static void run(struct coordinator *c, struct foreign *f)
{
	if (f->pending.link.session && time_reached(c->now, f->pending.until))
		end_pending(&f->pending);
	if (f->is_up && (time_reached(c->now, silence_deadline(f)) || !current(c, f))) {
		set_up(c, f, false);
		f->interval_us = 0;
		f->next_try = c->now;
	}
	if (!f->is_up) {
		if (time_reached(c->now, f->next_try))
			try(c, f);
		return;
	}
	if (f->own.session)
		session_forget_old(f->own.session, c->now);
	if (f->theirs.session)
		session_forget_old(f->theirs.session, c->now);
	if (time_reached(c->now, f->next_keepalive))
		keep_alive(c, f);
	rekey(c, f);
	send_requests(c, f);
}

static struct time_us deadline_of(const struct foreign *f)
{
	struct time_us at = f->pending.link.session ? f->pending.until : TIME_NEVER;

	if (!f->is_up)
		return time_min(at, f->next_try);
	at = time_min(at, time_min(f->next_keepalive, request_deadline(&f->requests)));
	return time_min(at, silence_deadline(f));
}

/* Everything that is due. */
void foreign_input_time(struct coordinator *c)
{
	for (uint32_t i = 0; i < c->foreign_count; i++)
		if (time_reached(c->now, deadline_of(c->foreigns[i])))
			run(c, c->foreigns[i]);
}

/* The earliest of all. */
struct time_us foreign_deadline(const struct coordinator *c)
{
	struct time_us deadline = TIME_NEVER;

	for (uint32_t i = 0; i < c->foreign_count; i++)
		deadline = time_min(deadline, deadline_of(c->foreigns[i]));
	return deadline;
}
