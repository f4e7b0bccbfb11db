/* foreign_message.c: what another zone's coordinator says on its link. */
#include "crypto/hash.h"
#include "proto/coordinator/permission.h"
#include "proto/coordinator/realm.h"

static const struct bucket_rate foreign_rate = {.per_s = 500, .burst = 2000};

/* Where it came, so that whoever asks learns that this very session works. */
static enum err input_keep_alive(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct update_response response = {.observed = f->heard_on->route.remote,
					   .network_time_s = coordinator_wall_s(c),
					   .network_epoch = c->network ? c->network->epoch : 0};
	size_t size;
	enum err err;

	(void)body;
	message_header_encode(MESSAGE_KEEP_ALIVE_ANSWER, transaction, &w);
	update_response_encode(&response, &w);
	err = writer_finish(&w, &size);
	if (err == OK)
		foreign_send_on(c, f->heard_on, bytes, size);
	return err;
}

static enum err input_keep_alive_answer(struct coordinator *c, struct foreign *f, uint32_t transaction,
					struct reader *body)
{
	struct update_response response;
	enum err err = update_response_decode(body, &response);

	if (err)
		return err;
	if (!request_done(&f->requests, transaction, NULL))
		return ERR_UNKNOWN;
	if (f->realm && (!f->is_proved || !f->realm->network || response.network_epoch > f->realm->network->epoch))
		realm_fetch(c, f);
	return OK;
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
		foreign_send_on(c, &f->theirs, bytes, size);
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
	foreign_set_up(c, f, false);
	return OK;
}

struct handler {
	struct permission permission;
	enum err (*input)(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);
};

/* All that a coordinator may say to another one (T19); everything else is refused. */
static const struct handler handlers[] = {
	{{MESSAGE_KEEP_ALIVE, true}, input_keep_alive},
	{{MESSAGE_KEEP_ALIVE_ANSWER, false}, input_keep_alive_answer},
	{{MESSAGE_NODE_INFORMATION_REQUEST, true}, inquiry_input_request},
	{{MESSAGE_NODE_INFORMATION_RESPONSE, false}, inquiry_input_response},
	{{MESSAGE_NETWORK_REQUEST, true}, realm_input_request},
	{{MESSAGE_NETWORK_RESPONSE, false}, realm_input_response},
	{{MESSAGE_ROUTE_UPDATE, true}, inquiry_input_update},
	{{MESSAGE_ACK, false}, inquiry_input_ack},
	{{MESSAGE_RELAY_REPORT, true}, relays_input_foreign_report},
	{{MESSAGE_REKEY_REQUEST, true}, input_rekey},
	{{MESSAGE_REKEY_RESPONSE, false}, input_rekey_answer},
	{{MESSAGE_CLOSE, false}, input_close},
};
static const struct permissions allowed = {handlers, sizeof handlers / sizeof handlers[0], sizeof handlers[0],
					   &foreign_rate};

/* And one of another network, before that network's document names it. */
static const struct handler unproved_handlers[] = {
	{{MESSAGE_KEEP_ALIVE, true}, input_keep_alive},
	{{MESSAGE_KEEP_ALIVE_ANSWER, false}, input_keep_alive_answer},
	{{MESSAGE_NETWORK_REQUEST, true}, realm_input_request},
	{{MESSAGE_NETWORK_RESPONSE, false}, realm_input_response},
	{{MESSAGE_REKEY_REQUEST, true}, input_rekey},
	{{MESSAGE_REKEY_RESPONSE, false}, input_rekey_answer},
	{{MESSAGE_CLOSE, false}, input_close},
};
static const struct permissions allowed_unproved = {unproved_handlers,
						    sizeof unproved_handlers / sizeof unproved_handlers[0],
						    sizeof unproved_handlers[0], &foreign_rate};

/* One authenticated message. */
static enum err dispatch(struct coordinator *c, struct foreign *f, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct message_header header;
	const void *row;
	const struct permissions *permissions = f->realm && !f->is_proved ? &allowed_unproved : &allowed;
	enum err err = permission_find(c, permissions, &f->budget, &r, &header, &row);

	if (err == ERR_FULL)
		return err;
	if (err == OK)
		err = ((const struct handler *)row)->input(c, f, header.transaction, &r);
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

/* One sealed packet; nothing changes unless it is authentic and new. */
enum err foreign_input_sealed(struct coordinator *c, struct foreign *f, struct link_session *s,
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
		s = foreign_confirm_pending(c, f, route);
	else if (opened.highest)
		observe(f, s, route);
	s->heard = f->heard = c->now;
	f->heard_on = s;
	foreign_set_up(c, f, true);
	return dispatch(c, f, plaintext, opened.size);
}
