/* Sealed messages between the two ends of a tunnel, by type. */
#include <string.h>

#include "proto/node/machine.h"
#include "wire/message.h"
#include "wire/punch.h"
#include "wire/tunnel.h"

/* One received message, and how to answer it. */
struct received {
	struct node *node;
	struct peer *peer;
	struct time_us now;
	const struct route *route; /* as it came */
	uint32_t transaction;
	struct reader *body;
};

static void send_written(const struct received *m, const struct route *route, struct writer *w)
{
	size_t size;

	if (writer_finish(w, &size) == OK)
		peer_send(m->node, m->peer, m->now, route, (struct blob){w->data, size});
}

static enum err receive_ack(const struct received *m)
{
	struct request request;

	(void)request_done(m->peer->requests, m->transaction, &request);
	return OK;
}

/* RFC 9000 8.2.2: the answer goes back the way the challenge came. */
static enum err receive_challenge(const struct received *m)
{
	uint8_t plaintext[CONTROL_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct path_challenge challenge;
	struct path_response response;
	enum err err = path_challenge_decode(m->body, &challenge);

	if (err != OK)
		return err;
	rest_asked(m->node, m->peer, m->now);
	memcpy(response.challenge, challenge.challenge, CHALLENGE_SIZE);
	response.observed = m->route->remote;
	message_header_encode(MESSAGE_PATH_RESPONSE, m->transaction, &w);
	path_response_encode(&response, &w);
	send_written(m, m->route, &w);
	return OK;
}

static enum err receive_response(const struct received *m)
{
	struct path_response response;
	enum err err = path_response_decode(m->body, &response);

	if (err == OK)
		path_answered(m->node, m->peer, m->now, m->route, response.challenge);
	return err;
}

/* Told whenever the peer has received data for a while. */
static enum err receive_receipt(const struct received *m)
{
	struct receipt receipt;
	enum err err = receipt_decode(m->body, &receipt);

	if (err == OK)
		liveness_receipt(m->node, m->peer, m->now, &receipt);
	return err;
}

static enum err receive_move(const struct received *m)
{
	uint8_t plaintext[64];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct move move;
	enum err err = move_decode(m->body, &move);

	if (err != OK)
		return err;
	move_peer(m->node, m->peer, m->now, m->route, &move);
	message_header_encode(MESSAGE_ACK, m->transaction, &w);
	send_written(m, m->route, &w);
	return OK;
}

/* Where the peer can be knocked at. */
static enum err receive_punch(const struct received *m)
{
	struct punch_message message;
	enum err err = punch_message_decode(m->body, &message);

	if (err == OK)
		punch_received(m->node, m->peer, m->now, m->transaction, &message);
	return err;
}

static enum err receive_echo_request(const struct received *m)
{
	uint8_t plaintext[CONTROL_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct echo echo;
	enum err err = echo_decode(m->body, &echo);

	if (err != OK)
		return err;
	rest_end(m->node, m->peer, m->now);
	message_header_encode(MESSAGE_ECHO_RESPONSE, m->transaction, &w);
	echo_encode(&echo, &w);
	send_written(m, m->route, &w);
	return OK;
}

/* Our own echo comes back with what we wrote into it: token, sequence and the instant. */
static enum err receive_echo_response(const struct received *m)
{
	struct node_event event = {.type = NODE_EVENT_ECHO, .route = *m->route};
	struct echo echo;
	struct reader r;
	enum err err = echo_decode(m->body, &echo);

	if (err != OK)
		return err;
	r = reader_over(echo.data.data, echo.data.size);
	event.token = read_u64(&r);
	event.sequence = read_u32(&r);
	event.rtt_us = m->now.us - (int64_t)read_u64(&r);
	if (reader_finish(&r) != OK || event.rtt_us < 0)
		return ERR_MALFORMED;
	peer_get_fqdn(m->peer, event.peer);
	event.kind = peer_is_relay(m->peer, &m->route->remote) ? PATH_RELAY : PATH_DIRECT;
	if (event.kind == PATH_RELAY)
		memcpy(event.relay, relay_name_at(m->peer, &m->route->remote), sizeof event.relay);
	node_emit(m->node, &event);
	return OK;
}

static enum err receive_rekey_request(const struct received *m)
{
	uint8_t answer[CONTROL_MAX];
	struct rekey request;
	size_t size;
	enum err err = rekey_decode(m->body, &request);

	if (err == OK)
		err = keys_answer(m->node, &m->peer->awake->rekeying, m->peer->session, m->peer->identity->static_key,
				  m->now, m->transaction, &request, answer, &size);
	if (err == OK)
		peer_send(m->node, m->peer, m->now, m->route, (struct blob){answer, size});
	return err;
}

static enum err receive_rekey_response(const struct received *m)
{
	struct request request;
	struct rekey response;
	enum err err = rekey_decode(m->body, &response);

	if (err == OK)
		err = keys_finish(m->node, &m->peer->awake->rekeying, m->peer->session, &response, m->now);
	if (err != OK)
		return err;
	(void)request_done(m->peer->requests, m->transaction, &request);
	liveness_tell(m->node, m->peer, m->now); /* the next beat may be too late to show the new keys */
	node_emit_peer(m->node, m->peer, NODE_EVENT_REKEY);
	return OK;
}

/* The peer leaves on purpose: nothing is sent to it any more; the next packet asks its coordinator. */
static enum err receive_close(const struct received *m)
{
	struct peer *peer = m->peer;
	struct close message;
	enum err err = close_decode(m->body, &message);

	if (err != OK)
		return err;
	peer_end_session(m->node, peer, m->now, message.reason);
	return OK;
}

static const struct {
	uint8_t type;
	enum err (*receive)(const struct received *m);
} handlers[] = {
	{MESSAGE_ACK, receive_ack},
	{MESSAGE_PATH_CHALLENGE, receive_challenge},
	{MESSAGE_PATH_RESPONSE, receive_response},
	{MESSAGE_MOVE, receive_move},
	{MESSAGE_RECEIPT, receive_receipt},
	{MESSAGE_PUNCH, receive_punch},
	{MESSAGE_ECHO_REQUEST, receive_echo_request},
	{MESSAGE_ECHO_RESPONSE, receive_echo_response},
	{MESSAGE_REKEY_REQUEST, receive_rekey_request},
	{MESSAGE_REKEY_RESPONSE, receive_rekey_response},
	{MESSAGE_CLOSE, receive_close},
};

/* Types that are not in the table have no business between nodes. */
void control_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
		      const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct received m = {.node = node, .peer = peer, .now = now, .route = route, .body = &r};
	struct message_header header;

	if (message_header_decode(&r, &header) == OK) {
		m.transaction = header.transaction;
		for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
			if (handlers[i].type == header.type && handlers[i].receive(&m) == OK)
				return;
	}
	node->counters.dropped_malformed++;
}
