#include "wire/registration.h"

/* In the order of preference, which the receiver keeps. */
void candidates_encode(const struct candidates *candidates, struct writer *w)
{
	for (uint8_t i = 0; i < candidates->count && i < CANDIDATES_MAX; i++)
		field_put_addr(w, FIELD_CANDIDATE, &candidates->list[i]);
}

/* The decoder's counterpart; more than CANDIDATES_MAX fail the value's reader. */
void candidates_take(struct candidates *candidates, struct reader *value)
{
	if (candidates->count == CANDIDATES_MAX)
		reader_fail(value, ERR_MALFORMED);
	else
		candidates->list[candidates->count++] = read_addr(value);
}

/* The certificate first: it is what a coordinator judges before all else. */
void registration_request_encode(const struct registration_request *m, struct writer *w)
{
	size_t from = w->at;

	field_put_bytes(w, FIELD_CERTIFICATE | FIELD_CRITICAL, m->certificate.data, m->certificate.size);
	field_put_u32(w, FIELD_FEATURES, m->features);
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	candidates_encode(&m->candidates, w);
	if (m->kept)
		field_put_bytes(w, FIELD_KEPT, NULL, 0);
	field_put_unknown(w, m->move_epoch);
	field_put_pad(w, from, m->padded_size);
}

static bool take_registration_request(void *message, uint8_t type, struct reader *value)
{
	struct registration_request *m = message;

	switch (type) {
	case FIELD_CERTIFICATE: m->certificate = read_blob_rest(value, CERTIFICATE_MAX_SIZE); return true;
	case FIELD_FEATURES: m->features = read_u32(value); return true;
	case FIELD_MOVE_EPOCH: m->move_epoch = read_u32(value); return true;
	case FIELD_CANDIDATE: candidates_take(&m->candidates, value); return true;
	case FIELD_KEPT: m->kept = true; return true;
	default: return false;
	}
}

/* The certificate is not looked into. */
enum err registration_request_decode(struct reader *r, struct registration_request *ret)
{
	static const struct field_rules rules = {
		.mandatory = 1ull << FIELD_CERTIFICATE | 1ull << FIELD_FEATURES | 1ull << FIELD_MOVE_EPOCH,
		.repeatable = 1ull << FIELD_CANDIDATE,
		.take = take_registration_request,
	};
	struct registration_request m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* A refusal has a reason and no lease, an acceptance the other way round. */
void registration_response_encode(const struct registration_response *m, struct writer *w)
{
	if (m->reason != REASON_NONE) {
		field_put_u8(w, FIELD_REASON | FIELD_CRITICAL, m->reason);
	} else {
		field_put_bytes(w, FIELD_LEASE, m->lease.data, m->lease.size);
		field_put_u32(w, FIELD_KEEPALIVE, m->keepalive_ms);
	}
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	field_put_u64(w, FIELD_NETWORK_TIME, m->network_time_s);
	field_put_unknown(w, (uint32_t)m->network_time_s);
}

static bool take_registration_response(void *message, uint8_t type, struct reader *value)
{
	struct registration_response *m = message;

	switch (type) {
	case FIELD_REASON: m->reason = read_u8(value); return true;
	case FIELD_LEASE: m->lease = read_blob_rest(value, LEASE_MAX_SIZE); return true;
	case FIELD_KEEPALIVE: m->keepalive_ms = read_u32(value); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	case FIELD_NETWORK_TIME: m->network_time_s = read_u64(value); return true;
	default: return false;
	}
}

/* The lease is not looked into. */
enum err registration_response_decode(struct reader *r, struct registration_response *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_OBSERVED | 1ull << FIELD_NETWORK_TIME,
						 .take = take_registration_response};
	const uint64_t accepting = 1ull << FIELD_LEASE | 1ull << FIELD_KEEPALIVE, refusing = 1ull << FIELD_REASON;
	struct registration_response m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if ((seen & (accepting | refusing)) != (m.reason == REASON_NONE ? accepting : refusing))
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}

/* The whole location, not a difference: the latest one wins. */
void update_request_encode(const struct update_request *m, struct writer *w)
{
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	candidates_encode(&m->candidates, w);
	field_put_unknown(w, m->move_epoch);
}

static bool take_update_request(void *message, uint8_t type, struct reader *value)
{
	struct update_request *m = message;

	switch (type) {
	case FIELD_MOVE_EPOCH: m->move_epoch = read_u32(value); return true;
	case FIELD_CANDIDATE: candidates_take(&m->candidates, value); return true;
	default: return false;
	}
}

/* No candidate at all is a location too: reachable only where it was observed. */
enum err update_request_decode(struct reader *r, struct update_request *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_MOVE_EPOCH,
						 .repeatable = 1ull << FIELD_CANDIDATE,
						 .take = take_update_request};
	struct update_request m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* Tells the node where it is seen and what time it is. */
void update_response_encode(const struct update_response *m, struct writer *w)
{
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	field_put_u64(w, FIELD_NETWORK_TIME, m->network_time_s);
	if (m->network_epoch)
		field_put_u64(w, FIELD_NETWORK_EPOCH, m->network_epoch);
	field_put_unknown(w, (uint32_t)m->network_time_s);
}

static bool take_update_response(void *message, uint8_t type, struct reader *value)
{
	struct update_response *m = message;

	switch (type) {
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	case FIELD_NETWORK_TIME: m->network_time_s = read_u64(value); return true;
	case FIELD_NETWORK_EPOCH: m->network_epoch = read_u64(value); return true;
	default: return false;
	}
}

/* Answers Update and Keep Alive alike. */
enum err update_response_decode(struct reader *r, struct update_response *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_OBSERVED | 1ull << FIELD_NETWORK_TIME,
						 .take = take_update_response};
	struct update_response m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}
