#include "wire/tunnel.h"

#include <string.h>

#include "wire/body.h"

enum { ECHO_MAX = 1000 };

static void hello_move_epoch(struct reader *value, void *m)
{
	((struct tunnel_hello *)m)->move_epoch = read_u32(value);
}

static void hello_features(struct reader *value, void *m)
{
	((struct tunnel_hello *)m)->features = read_u32(value);
}

static const struct field_rule hello_rules[] = {
	{FIELD_MOVE_EPOCH, true, false, hello_move_epoch},
	{FIELD_FEATURES, true, false, hello_features},
};

/* Request and Response alike. */
void tunnel_hello_encode(const struct tunnel_hello *m, struct writer *w)
{
	size_t start = w->at;

	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	field_put_u32(w, FIELD_FEATURES, m->features);
	field_put_unknown(w, m->move_epoch);
	body_pad(w, start, m->padded_size);
}

/* Padding is skipped. */
enum err tunnel_hello_decode(struct reader *r, struct tunnel_hello *ret)
{
	struct tunnel_hello m = {0};
	enum err err = body_decode(r, hello_rules, sizeof hello_rules / sizeof hello_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void move_read_epoch(struct reader *value, void *m)
{
	((struct move *)m)->move_epoch = read_u32(value);
}

static void move_candidate(struct reader *value, void *m)
{
	candidates_read(value, &((struct move *)m)->candidates);
}

static void move_observed(struct reader *value, void *m)
{
	((struct move *)m)->observed = read_addr(value);
}

static const struct field_rule move_rules[] = {
	{FIELD_MOVE_EPOCH, true, false, move_read_epoch},
	{FIELD_CANDIDATE, false, true, move_candidate},
	{FIELD_OBSERVED, false, false, move_observed},
};

/* The whole list each time: idempotent. */
void move_encode(const struct move *m, struct writer *w)
{
	field_put_u32(w, FIELD_MOVE_EPOCH | FIELD_CRITICAL, m->move_epoch);
	candidates_encode(&m->candidates, w);
	observed_encode(&m->observed, w);
	field_put_unknown(w, m->move_epoch);
}

/* The other way. */
enum err move_decode(struct reader *r, struct move *ret)
{
	struct move m = {0};
	enum err err = body_decode(r, move_rules, sizeof move_rules / sizeof move_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void challenge_bytes(struct reader *value, void *m)
{
	read_bytes(value, ((struct path_challenge *)m)->challenge, CHALLENGE_SIZE);
}

static const struct field_rule challenge_rules[] = {{FIELD_CHALLENGE, true, false, challenge_bytes}};

/* RFC 9000 8.2.1. No unknown field: it must stay smaller than any message that may cause it. */
void path_challenge_encode(const struct path_challenge *m, struct writer *w)
{
	field_put_bytes(w, FIELD_CHALLENGE, m->challenge, CHALLENGE_SIZE);
}

/* The other way. */
enum err path_challenge_decode(struct reader *r, struct path_challenge *ret)
{
	struct path_challenge m = {0};
	enum err err = body_decode(r, challenge_rules, sizeof challenge_rules / sizeof challenge_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void response_bytes(struct reader *value, void *m)
{
	read_bytes(value, ((struct path_response *)m)->challenge, CHALLENGE_SIZE);
}

static void response_observed(struct reader *value, void *m)
{
	((struct path_response *)m)->observed = read_addr(value);
}

static const struct field_rule response_rules[] = {
	{FIELD_CHALLENGE, true, false, response_bytes},
	{FIELD_OBSERVED, false, false, response_observed},
};

/* RFC 9000 8.2.2. */
void path_response_encode(const struct path_response *m, struct writer *w)
{
	field_put_bytes(w, FIELD_CHALLENGE, m->challenge, CHALLENGE_SIZE);
	observed_encode(&m->observed, w);
}

/* The other way. */
enum err path_response_decode(struct reader *r, struct path_response *ret)
{
	struct path_response m = {0};
	enum err err = body_decode(r, response_rules, sizeof response_rules / sizeof response_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void echo_data(struct reader *value, void *m)
{
	struct echo *echo = m;

	if (reader_left(value) > ECHO_MAX)
		reader_fail(value, ERR_MALFORMED);
	echo->data = read_blob(value, reader_left(value));
}

static const struct field_rule echo_rules[] = {{FIELD_DATA, true, false, echo_data}};

/* Comes back as it was. */
void echo_encode(const struct echo *m, struct writer *w)
{
	field_put_bytes(w, FIELD_DATA, m->data.data, m->data.size);
}

/* Data is borrowed from r. */
enum err echo_decode(struct reader *r, struct echo *ret)
{
	struct echo m = {0};
	enum err err = body_decode(r, echo_rules, sizeof echo_rules / sizeof echo_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void rekey_epoch(struct reader *value, void *m)
{
	((struct rekey *)m)->epoch = read_u8(value);
}

static void rekey_handshake(struct reader *value, void *m)
{
	((struct rekey *)m)->handshake = read_blob(value, reader_left(value));
}

static const struct field_rule rekey_rules[] = {
	{FIELD_EPOCH, true, false, rekey_epoch},
	{FIELD_HANDSHAKE, true, false, rekey_handshake},
};

/* Request and Response alike. */
void rekey_encode(const struct rekey *m, struct writer *w)
{
	field_put_u8(w, FIELD_EPOCH | FIELD_CRITICAL, m->epoch);
	field_put_bytes(w, FIELD_HANDSHAKE | FIELD_CRITICAL, m->handshake.data, m->handshake.size);
	field_put_unknown(w, m->epoch);
}

/* The handshake message is borrowed from r. */
enum err rekey_decode(struct reader *r, struct rekey *ret)
{
	struct rekey m = {0};
	enum err err = body_decode(r, rekey_rules, sizeof rekey_rules / sizeof rekey_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void close_reason(struct reader *value, void *m)
{
	((struct close *)m)->reason = read_u8(value);
}

static const struct field_rule close_rules[] = {{FIELD_REASON, true, false, close_reason}};

/* Only ever inside a session: nobody else can end one (T7). */
void close_encode(const struct close *m, struct writer *w)
{
	field_put_u8(w, FIELD_REASON, m->reason);
	field_put_unknown(w, m->reason);
}

/* The other way. */
enum err close_decode(struct reader *r, struct close *ret)
{
	struct close m = {0};
	enum err err = body_decode(r, close_rules, sizeof close_rules / sizeof close_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

/* A whole datagram; the MAC is the caller's to compute over what stands before it. */
void hole_punching_encode(const struct hole_punching *m, struct writer *w)
{
	struct header header = {.type = PACKET_HOLE_PUNCHING, .counter = m->counter, .path_id = m->path_id};

	header_encode(&header, w);
	write_u8(w, m->flags);
	write_bytes(w, m->nonce, sizeof m->nonce);
	write_bytes(w, m->mac, sizeof m->mac);
}

/* Shape only. */
enum err hole_punching_decode(struct reader *r, struct hole_punching *ret)
{
	struct header header;
	struct hole_punching m;
	enum err err = header_decode(r, &header);

	if (err == OK && header.type != PACKET_HOLE_PUNCHING)
		err = ERR_MALFORMED;
	if (err != OK)
		return err;
	m.path_id = header.path_id;
	m.counter = header.counter;
	m.flags = read_u8(r);
	read_bytes(r, m.nonce, sizeof m.nonce);
	read_bytes(r, m.mac, sizeof m.mac);
	err = reader_finish(r);
	if (err == OK && (m.flags & ~HOLE_PUNCHING_ANSWER))
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = m;
	return err;
}
