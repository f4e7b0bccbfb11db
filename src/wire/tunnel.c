#include "wire/tunnel.h"

/* Who speaks is proved by the handshake around it. */
void tunnel_hello_encode(const struct tunnel_hello *m, struct writer *w)
{
	size_t from = w->at;

	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	field_put_u32(w, FIELD_FEATURES, m->features);
	if (m->data.size > 0)
		field_put_bytes(w, FIELD_DATA, m->data.data, m->data.size);
	field_put_unknown(w, m->move_epoch);
	field_put_pad(w, from, m->padded_size);
}

static bool take_tunnel_hello(void *message, uint8_t type, struct reader *value)
{
	struct tunnel_hello *m = message;

	switch (type) {
	case FIELD_MOVE_EPOCH: m->move_epoch = read_u32(value); return true;
	case FIELD_FEATURES: m->features = read_u32(value); return true;
	case FIELD_DATA: m->data = read_blob_rest(value, EARLY_MAX); return true;
	default: return false;
	}
}

/* The data is a view inside the reader's memory; padded_size is the encoder's and comes out as 0. */
enum err tunnel_hello_decode(struct reader *r, struct tunnel_hello *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_MOVE_EPOCH | 1ull << FIELD_FEATURES,
						 .take = take_tunnel_hello};
	struct tunnel_hello m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* The sender's own word that it moved: what no forwarder can fake (E3). */
void move_encode(const struct move *m, struct writer *w)
{
	field_put_u32(w, FIELD_MOVE_EPOCH | FIELD_CRITICAL, m->move_epoch);
	candidates_encode(&m->candidates, w);
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	if (m->kept)
		field_put_bytes(w, FIELD_KEPT, NULL, 0);
	field_put_unknown(w, m->move_epoch);
}

static bool take_move(void *message, uint8_t type, struct reader *value)
{
	struct move *m = message;

	switch (type) {
	case FIELD_MOVE_EPOCH: m->move_epoch = read_u32(value); return true;
	case FIELD_CANDIDATE: candidates_take(&m->candidates, value); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	case FIELD_KEPT: m->kept = true; return true;
	default: return false;
	}
}

/* Whether the epoch rose is for the session's owner to judge. */
enum err move_decode(struct reader *r, struct move *ret)
{
	static const struct field_rules rules = {
		.mandatory = 1ull << FIELD_MOVE_EPOCH, .repeatable = 1ull << FIELD_CANDIDATE, .take = take_move};
	struct move m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* Spaces in which nothing has arrived are left out. No unknown field: it is sent often. */
void receipt_encode(const struct receipt *m, struct writer *w)
{
	for (uint8_t path = 0; path < PATHS_MAX; path++) {
		const struct receipt_space *space = &m->spaces[path];
		uint64_t edge = space->next;
		size_t begun;

		if (edge == 0)
			continue;
		begun = field_begin(w, FIELD_RECEIVED);
		write_u8(w, path);
		write_u48(w, edge);
		for (unsigned i = 0; i < space->missing_count; edge = space->missing[i++].first) {
			write_u16(w, (uint16_t)(edge - space->missing[i].end));
			write_u16(w, (uint16_t)(space->missing[i].end - space->missing[i].first));
		}
		field_end(w, begun);
	}
}

/* Downward from what has arrived: how many have, how many have not; neither is none. */
static bool take_missing(struct reader *value, struct receipt_space *space)
{
	uint64_t edge = space->next;

	while (reader_left(value) > 0) {
		uint16_t arrived = read_u16(value), missing = read_u16(value);

		if (space->missing_count == MISSING_MAX || arrived == 0 || missing == 0 ||
		    edge < (uint64_t)arrived + missing)
			return false;
		edge -= (uint64_t)arrived + missing;
		space->missing[space->missing_count++] = (struct span){edge, edge + missing};
	}
	return true;
}

static bool take_receipt(void *message, uint8_t type, struct reader *value)
{
	struct receipt *m = message;
	uint8_t path;

	if (type != FIELD_RECEIVED)
		return false;
	path = read_u8(value);
	if (path >= PATHS_MAX || m->spaces[path].next > 0) {
		reader_fail(value, ERR_MALFORMED);
		return true;
	}
	m->spaces[path].next = read_u48(value);
	if (m->spaces[path].next == 0 || !take_missing(value, &m->spaces[path]))
		reader_fail(value, ERR_MALFORMED);
	return true;
}

/* Each space once. Whether so much was sent is for the session's owner to judge. */
enum err receipt_decode(struct reader *r, struct receipt *ret)
{
	static const struct field_rules rules = {.repeatable = 1ull << FIELD_RECEIVED, .take = take_receipt};
	struct receipt m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* No unknown field: a challenge must stay smaller than any packet that may cause it (E5). */
void path_challenge_encode(const struct path_challenge *m, struct writer *w)
{
	field_put_bytes(w, FIELD_CHALLENGE, m->challenge, CHALLENGE_SIZE);
}

static bool take_path_challenge(void *message, uint8_t type, struct reader *value)
{
	struct path_challenge *m = message;

	if (type != FIELD_CHALLENGE)
		return false;
	read_bytes(value, m->challenge, CHALLENGE_SIZE);
	return true;
}

/* 16 bytes, no more, no less. */
enum err path_challenge_decode(struct reader *r, struct path_challenge *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_CHALLENGE, .take = take_path_challenge};
	struct path_challenge m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* No unknown field: an answer to an address that is not proved yet is as small as it can be (E5). */
void path_response_encode(const struct path_response *m, struct writer *w)
{
	field_put_bytes(w, FIELD_CHALLENGE, m->challenge, CHALLENGE_SIZE);
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
}

static bool take_path_response(void *message, uint8_t type, struct reader *value)
{
	struct path_response *m = message;

	switch (type) {
	case FIELD_CHALLENGE: read_bytes(value, m->challenge, CHALLENGE_SIZE); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	default: return false;
	}
}

/* The address is a hint about one's own NAT and may be missing. */
enum err path_response_decode(struct reader *r, struct path_response *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_CHALLENGE, .take = take_path_response};
	struct path_response m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* No unknown field: an answer is as long as its request, whoever makes it. */
void echo_encode(const struct echo *m, struct writer *w)
{
	field_put_bytes(w, FIELD_DATA, m->data.data, m->data.size);
}

static bool take_echo(void *message, uint8_t type, struct reader *value)
{
	struct echo *m = message;

	if (type != FIELD_DATA)
		return false;
	m->data = read_blob_rest(value, ECHO_MAX);
	return true;
}

/* The data is a view inside the reader's memory. */
enum err echo_decode(struct reader *r, struct echo *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_DATA, .take = take_echo};
	struct echo m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* The handshake message is opaque here. */
void rekey_encode(const struct rekey *m, struct writer *w)
{
	field_put_u8(w, FIELD_EPOCH | FIELD_CRITICAL, m->epoch);
	field_put_bytes(w, FIELD_HANDSHAKE | FIELD_CRITICAL, m->handshake.data, m->handshake.size);
	field_put_unknown(w, m->epoch);
}

static bool take_rekey(void *message, uint8_t type, struct reader *value)
{
	struct rekey *m = message;

	switch (type) {
	case FIELD_EPOCH: m->epoch = read_u8(value); return true;
	case FIELD_HANDSHAKE: m->handshake = read_blob_rest(value, CONTROL_MAX); return true;
	default: return false;
	}
}

/* The handshake message is a view inside the reader's memory. */
enum err rekey_decode(struct reader *r, struct rekey *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_EPOCH | 1ull << FIELD_HANDSHAKE,
						 .take = take_rekey};
	struct rekey m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* Tells why, so that the other end can tell its user. */
void close_encode(const struct close *m, struct writer *w)
{
	field_put_u8(w, FIELD_REASON, m->reason);
	field_put_unknown(w, m->reason);
}

static bool take_close(void *message, uint8_t type, struct reader *value)
{
	struct close *m = message;

	if (type != FIELD_REASON)
		return false;
	m->reason = read_u8(value);
	return true;
}

/* An unknown reason closes too. */
enum err close_decode(struct reader *r, struct close *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_REASON, .take = take_close};
	struct close m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* With whatever stands in mac: the caller computes it over the bytes before it and overwrites it. */
void hole_punching_encode(const struct hole_punching *m, struct writer *w)
{
	header_encode(&(struct header){.type = PACKET_HOLE_PUNCHING, .counter = m->counter, .path_id = m->path_id}, w);
	write_u8(w, m->flags);
	write_bytes(w, m->nonce, sizeof m->nonce);
	write_bytes(w, m->mac, MAC_SIZE);
}

/* A whole datagram; the MAC is the caller's to check. */
enum err hole_punching_decode(struct reader *r, struct hole_punching *ret)
{
	struct hole_punching m = {0};
	struct header header;
	enum err err = header_decode(r, &header);

	if (err != OK)
		return err;
	m.path_id = header.path_id;
	m.counter = header.counter;
	m.flags = read_u8(r);
	read_bytes(r, m.nonce, sizeof m.nonce);
	read_bytes(r, m.mac, MAC_SIZE);
	if (header.type != PACKET_HOLE_PUNCHING || m.flags & ~HOLE_PUNCHING_ANSWER)
		reader_fail(r, ERR_MALFORMED);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}
