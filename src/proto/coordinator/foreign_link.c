/*
 * foreign_link.c: the permanent session with another zone's coordinator, while it lives. Sessions that both ends began
 * at the same time are both good: each end seals under the one that was confirmed last, because whoever begins anew has
 * forgotten the older, and opens both.
 */
#include <string.h>

#include "crypto/hash.h"
#include "proto/coordinator/realm.h"

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

/* Keys are wiped; an empty one stays as it is. */
void foreign_end_session(struct link_session *s)
{
	session_destroy(s->session);
	wipe(s, sizeof *s);
}

/* The one to seal under; NULL when there is none. */
struct link_session *foreign_session(struct coordinator *c, struct foreign *f)
{
	struct link_session *both[] = {&f->own, &f->theirs};

	for (int i = 0; i < 2; i++)
		if (both[i]->session && session_is_expired(both[i]->session, c->now))
			foreign_end_session(both[i]);
	if (!f->own.session || !f->theirs.session)
		return f->own.session ? &f->own : f->theirs.session ? &f->theirs : NULL;
	return f->own.serial > f->theirs.serial ? &f->own : &f->theirs;
}

/* Told to whoever watches, and counted. */
void foreign_set_up(struct coordinator *c, struct foreign *f, bool is_up)
{
	if (f->is_up == is_up)
		return;
	f->is_up = is_up;
	c->counters.links += is_up ? 1 : -1U;
	tell(c, f, is_up ? COORDINATOR_LINK_UP : COORDINATOR_LINK_DOWN);
}

/* Under these keys, whichever are in use. */
void foreign_send_on(struct coordinator *c, struct link_session *s, const uint8_t *plaintext, size_t size)
{
	uint8_t datagram[MESSAGE_MAX];

	if (size <= CONTROL_MAX && session_seal(s->session, 0, SEALED_CONTROL, plaintext, size, datagram) == OK)
		coordinator_send(c, &s->route, datagram, size + OVERHEAD_SIZE);
}

/* See foreign.h. */
bool foreign_send(struct coordinator *c, struct foreign *f, const struct writer *message)
{
	struct link_session *s = f->realm && !f->is_proved ? NULL : foreign_session(c, f);
	size_t size;

	if (!s || writer_finish(message, &size) != OK)
		return false;
	foreign_send_on(c, s, message->data, size);
	return true;
}

/* See foreign.h. */
void foreign_reply(struct coordinator *c, struct foreign *f, const struct writer *message)
{
	size_t size;

	if (writer_finish(message, &size) == OK)
		foreign_send_on(c, f->heard_on, message->data, size);
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
	} else if ((!f->realm || f->state == DIRECTORY_FOUND) &&
		   time_since(f->next_try, c->now) > HANDSHAKE_RETRY_MAX_US) {
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
		s = due->type == MESSAGE_REKEY_REQUEST ? &f->own : foreign_session(c, f);
		if (s && s->session)
			foreign_send_on(c, s, due->plaintext, due->size);
	}
}

/* Both ends have the keys: what waits for the link goes out now. */
void foreign_confirmed(struct coordinator *c, struct foreign *f, struct link_session *s, const struct route *route)
{
	s->serial = ++c->channel_serial;
	s->heard = f->heard = c->now;
	s->route = *route;
	f->is_trying = false;
	f->interval_us = 0;
	memset(&f->requests, 0, sizeof f->requests);
	admission_prove(&c->admission, &route->remote.ip, c->now);
	foreign_set_up(c, f, true);
	keep_alive(c, f);
	realm_forget_from(f); /* what was asked for under the session before is not answered any more */
	realm_fetch(c, f);
	send_requests(c, f);
	inquiry_resend(c, f);
	for (struct member *visitor = f->visitors; visitor; visitor = visitor->home_next)
		pair_resend(c, visitor);
}

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

/* What is due of one link. */
void foreign_run(struct coordinator *c, struct foreign *f)
{
	if (f->pending.link.session && time_reached(c->now, f->pending.until))
		foreign_end_pending(&f->pending);
	if (f->is_up && (time_reached(c->now, silence_deadline(f)) || !foreign_session(c, f))) {
		foreign_set_up(c, f, false);
		f->interval_us = 0;
		f->next_try = c->now;
	}
	if (!f->is_up) {
		if (time_reached(c->now, f->next_try))
			foreign_try(c, f);
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

/* The earliest of one link. */
struct time_us foreign_deadline_of(const struct foreign *f)
{
	struct time_us at = f->pending.link.session ? f->pending.until : TIME_NEVER;

	if (f->realm && f->state != DIRECTORY_FOUND)
		at = time_min(at, f->state_until);
	if (!f->is_up)
		return time_min(at, f->next_try);
	at = time_min(at, time_min(f->next_keepalive, request_deadline(&f->requests)));
	return time_min(at, silence_deadline(f));
}
