#include "wire/registration.h"

#include "wire/body.h"

/* One field each. */
void candidates_encode(const struct candidates *candidates, struct writer *w)
{
	for (int i = 0; i < candidates->count; i++) {
		size_t begun = field_begin(w, FIELD_CANDIDATE);

		write_addr(w, &candidates->list[i]);
		field_end(w, begun);
	}
}

/* Bounded (T26). */
void candidates_read(struct reader *value, struct candidates *candidates)
{
	struct addr addr = read_addr(value);

	if (candidates->count == CANDIDATES_MAX)
		reader_fail(value, ERR_MALFORMED);
	else
		candidates->list[candidates->count++] = addr;
}

/* Nothing for an unset address. */
void observed_encode(const struct addr *observed, struct writer *w)
{
	size_t begun;

	if (!addr_is_set(observed))
		return;
	begun = field_begin(w, FIELD_OBSERVED);
	write_addr(w, observed);
	field_end(w, begun);
}

static struct blob read_document(struct reader *value, size_t max)
{
	if (reader_left(value) > max)
		reader_fail(value, ERR_MALFORMED);
	return read_blob(value, reader_left(value));
}

static void request_certificate(struct reader *value, void *m)
{
	((struct registration_request *)m)->certificate = read_document(value, CERTIFICATE_MAX_SIZE);
}

static void request_features(struct reader *value, void *m)
{
	((struct registration_request *)m)->features = read_u32(value);
}

static void request_move_epoch(struct reader *value, void *m)
{
	((struct registration_request *)m)->move_epoch = read_u32(value);
}

static void request_candidate(struct reader *value, void *m)
{
	candidates_read(value, &((struct registration_request *)m)->candidates);
}

static const struct field_rule request_rules[] = {
	{FIELD_CERTIFICATE, true, false, request_certificate},
	{FIELD_FEATURES, true, false, request_features},
	{FIELD_MOVE_EPOCH, true, false, request_move_epoch},
	{FIELD_CANDIDATE, false, true, request_candidate},
};

/* Padded, so that the answer is never larger (security 2). */
void registration_request_encode(const struct registration_request *m, struct writer *w)
{
	size_t start = w->at;

	field_put_bytes(w, FIELD_CERTIFICATE | FIELD_CRITICAL, m->certificate.data, m->certificate.size);
	field_put_u32(w, FIELD_FEATURES, m->features);
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	candidates_encode(&m->candidates, w);
	field_put_unknown(w, m->move_epoch);
	body_pad(w, start, m->padded_size);
}

/* Certificate is borrowed from r. */
enum err registration_request_decode(struct reader *r, struct registration_request *ret)
{
	struct registration_request m = {0};
	enum err err = body_decode(r, request_rules, sizeof request_rules / sizeof request_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void response_reason(struct reader *value, void *m)
{
	((struct registration_response *)m)->reason = read_u8(value);
}

static void response_lease(struct reader *value, void *m)
{
	((struct registration_response *)m)->lease = read_document(value, LEASE_MAX_SIZE);
}

static void response_observed(struct reader *value, void *m)
{
	((struct registration_response *)m)->observed = read_addr(value);
}

static void response_time(struct reader *value, void *m)
{
	((struct registration_response *)m)->network_time_s = read_u64(value);
}

static void response_keepalive(struct reader *value, void *m)
{
	((struct registration_response *)m)->keepalive_ms = read_u32(value);
}

static const struct field_rule response_rules[] = {
	{FIELD_REASON, true, false, response_reason},
	{FIELD_LEASE, false, false, response_lease},
	{FIELD_OBSERVED, true, false, response_observed},
	{FIELD_NETWORK_TIME, true, false, response_time},
	{FIELD_KEEPALIVE, false, false, response_keepalive},
};

/* A refusal carries no lease. */
void registration_response_encode(const struct registration_response *m, struct writer *w)
{
	field_put_u8(w, FIELD_REASON | FIELD_CRITICAL, m->reason);
	if (m->reason == REASON_NONE)
		field_put_bytes(w, FIELD_LEASE, m->lease.data, m->lease.size);
	observed_encode(&m->observed, w);
	field_put_u64(w, FIELD_NETWORK_TIME, m->network_time_s);
	field_put_u32(w, FIELD_KEEPALIVE, m->keepalive_ms);
	field_put_unknown(w, (uint32_t)m->network_time_s);
}

/* Accepted without a lease is no answer. */
enum err registration_response_decode(struct reader *r, struct registration_response *ret)
{
	struct registration_response m = {0};
	enum err err = body_decode(r, response_rules, sizeof response_rules / sizeof response_rules[0], &m);

	if (err == OK && m.reason == REASON_NONE && m.lease.size == 0)
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = m;
	return err;
}

static void update_move_epoch(struct reader *value, void *m)
{
	((struct update_request *)m)->move_epoch = read_u32(value);
}

static void update_candidate(struct reader *value, void *m)
{
	candidates_read(value, &((struct update_request *)m)->candidates);
}

static const struct field_rule update_rules[] = {
	{FIELD_MOVE_EPOCH, true, false, update_move_epoch},
	{FIELD_CANDIDATE, false, true, update_candidate},
};

/* NTM Update. */
void update_request_encode(const struct update_request *m, struct writer *w)
{
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	candidates_encode(&m->candidates, w);
	field_put_unknown(w, m->move_epoch);
}

/* Idempotent: the whole list each time. */
enum err update_request_decode(struct reader *r, struct update_request *ret)
{
	struct update_request m = {0};
	enum err err = body_decode(r, update_rules, sizeof update_rules / sizeof update_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}

static void answer_observed(struct reader *value, void *m)
{
	((struct update_response *)m)->observed = read_addr(value);
}

static void answer_time(struct reader *value, void *m)
{
	((struct update_response *)m)->network_time_s = read_u64(value);
}

static const struct field_rule answer_rules[] = {
	{FIELD_OBSERVED, true, false, answer_observed},
	{FIELD_NETWORK_TIME, true, false, answer_time},
};

/* To Update and Keep Alive. */
void update_response_encode(const struct update_response *m, struct writer *w)
{
	observed_encode(&m->observed, w);
	field_put_u64(w, FIELD_NETWORK_TIME, m->network_time_s);
	field_put_unknown(w, (uint32_t)m->network_time_s);
}

/* Where the coordinator sees us, and its time. */
enum err update_response_decode(struct reader *r, struct update_response *ret)
{
	struct update_response m = {0};
	enum err err = body_decode(r, answer_rules, sizeof answer_rules / sizeof answer_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}
