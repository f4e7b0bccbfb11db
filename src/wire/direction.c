#include "wire/direction.h"

/* A person may type capitals; on the wire a name has one spelling. */
void node_name_encode(const char *name, struct writer *w)
{
	char lower[FQDN_MAX_SIZE + 1] = {0};

	for (size_t i = 0; i < FQDN_MAX_SIZE && name[i]; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	field_put_text(w, FIELD_NAME, lower);
}

/* Names arrive in one spelling. */
void node_name_take(struct reader *value, char ret[FQDN_MAX_SIZE + 1])
{
	read_text_rest(value, ret, FQDN_MAX_SIZE);
	if (!name_is_valid(ret))
		reader_fail(value, ERR_MALFORMED);
}

static bool has_one(uint64_t seen, uint8_t a, uint8_t b)
{
	return (seen >> a & 1) + (seen >> b & 1) == 1;
}

/* By name or by virtual address. */
void direction_request_encode(const struct direction_request *m, struct writer *w)
{
	size_t begun = w->at;

	node_name_encode(m->name, w);
	field_put_ip(w, FIELD_IP, &m->ip);
	field_put_unknown(w, (uint32_t)(w->at - begun));
}

static bool take_direction_request(void *message, uint8_t type, struct reader *value)
{
	struct direction_request *m = message;

	switch (type) {
	case FIELD_NAME: node_name_take(value, m->name); return true;
	case FIELD_IP: m->ip = read_ip(value); return true;
	default: return false;
	}
}

/* Exactly one of both. */
enum err direction_request_decode(struct reader *r, struct direction_request *ret)
{
	static const struct field_rules rules = {.take = take_direction_request};
	struct direction_request m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if (!has_one(seen, FIELD_NAME, FIELD_IP))
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}

/* Why there is no Route Direction, and for whom. */
void direction_refusal_encode(const struct direction_refusal *m, struct writer *w)
{
	field_put_u8(w, FIELD_REASON, m->reason);
	node_name_encode(m->name, w);
	field_put_ip(w, FIELD_IP, &m->ip);
	field_put_unknown(w, m->reason);
}

static bool take_direction_refusal(void *message, uint8_t type, struct reader *value)
{
	struct direction_refusal *m = message;

	switch (type) {
	case FIELD_REASON: m->reason = read_u8(value); return true;
	case FIELD_NAME: node_name_take(value, m->name); return true;
	case FIELD_IP: m->ip = read_ip(value); return true;
	default: return false;
	}
}

/* Name or address as asked, exactly one. */
enum err direction_refusal_decode(struct reader *r, struct direction_refusal *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_REASON, .take = take_direction_refusal};
	struct direction_refusal m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if (m.reason == REASON_NONE || !has_one(seen, FIELD_NAME, FIELD_IP))
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}

/* The ticket fills the rest. */
void relay_grant_encode(const struct relay_grant *relay, struct writer *w)
{
	size_t begun = field_begin(w, FIELD_RELAY);

	write_text(w, relay->name);
	write_server_addresses(w, &relay->addresses);
	write_u8(w, relay->leg);
	write_bytes(w, relay->leg_key, KEY_SIZE);
	write_bytes(w, relay->ticket.data, relay->ticket.size);
	field_end(w, begun);
}

/* Several relays may be granted, most preferred first; this version uses one. */
void relay_grant_take(struct reader *value, bool *has, struct relay_grant *ret)
{
	struct relay_grant relay = {0};

	read_name(value, relay.name, NAME_MAX_SIZE);
	read_server_addresses(value, &relay.addresses);
	relay.leg = read_u8(value);
	read_bytes(value, relay.leg_key, KEY_SIZE);
	relay.ticket = read_blob_rest(value, TICKET_MAX_SIZE);
	if (relay.leg > 1)
		reader_fail(value, ERR_MALFORMED);
	if (value->err == OK && !*has) {
		*ret = relay;
		*has = true;
	}
}

/* Seeds of the unknown field are lengths: PathID and keys must not leak through it. */
void route_direction_encode(const struct route_direction *m, struct writer *w)
{
	field_put_u64(w, FIELD_PATH_ID | FIELD_CRITICAL, m->path_id);
	field_put_bytes(w, FIELD_TEMP_KEY | FIELD_CRITICAL, m->temp_key, KEY_SIZE);
	field_put_u8(w, FIELD_SUITE | FIELD_CRITICAL, m->suite);
	field_put_bytes(w, FIELD_CERTIFICATE | FIELD_CRITICAL, m->certificate.data, m->certificate.size);
	field_put_bytes(w, FIELD_LEASE | FIELD_CRITICAL, m->lease.data, m->lease.size);
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	candidates_encode(&m->candidates, w);
	if (m->has_relay)
		relay_grant_encode(&m->relay, w);
	if (m->relay_cause)
		field_put_u8(w, FIELD_RELAY_CAUSE, m->relay_cause);
	if (m->requested)
		field_put_bytes(w, FIELD_REQUESTED, NULL, 0);
	field_put_unknown(w, (uint32_t)m->certificate.size);
}

static bool take_route_direction(void *message, uint8_t type, struct reader *value)
{
	struct route_direction *m = message;

	switch (type) {
	case FIELD_PATH_ID: m->path_id = read_u64(value); return true;
	case FIELD_TEMP_KEY: read_bytes(value, m->temp_key, KEY_SIZE); return true;
	case FIELD_SUITE: m->suite = read_u8(value); return true;
	case FIELD_CERTIFICATE: m->certificate = read_blob_rest(value, CERTIFICATE_MAX_SIZE); return true;
	case FIELD_LEASE: m->lease = read_blob_rest(value, LEASE_MAX_SIZE); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	case FIELD_CANDIDATE: candidates_take(&m->candidates, value); return true;
	case FIELD_RELAY: relay_grant_take(value, &m->has_relay, &m->relay); return true;
	case FIELD_RELAY_CAUSE: m->relay_cause = read_u8(value); return true;
	case FIELD_REQUESTED: m->requested = true; return true;
	default: return false;
	}
}

/* An unknown suite fails closed (T18). Certificate, lease and ticket are not looked into. */
enum err route_direction_decode(struct reader *r, struct route_direction *ret)
{
	static const struct field_rules rules = {
		.mandatory = 1ull << FIELD_PATH_ID | 1ull << FIELD_TEMP_KEY | 1ull << FIELD_SUITE |
			     1ull << FIELD_CERTIFICATE | 1ull << FIELD_LEASE,
		.repeatable = 1ull << FIELD_CANDIDATE | 1ull << FIELD_RELAY,
		.take = take_route_direction,
	};
	struct route_direction m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if (m.suite != SUITE_AES256_GCM && m.suite != SUITE_CHACHA20_POLY1305)
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}

/* A peer's new location, for when its NAT keeps its own word from arriving. */
void route_update_encode(const struct route_update *m, struct writer *w)
{
	field_put_u64(w, FIELD_PATH_ID | FIELD_CRITICAL, m->path_id);
	if (m->reason != REASON_NONE)
		field_put_u8(w, FIELD_REASON, m->reason);
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	candidates_encode(&m->candidates, w);
	if (m->has_relay)
		relay_grant_encode(&m->relay, w);
	if (m->has_leg_key)
		field_put_bytes(w, FIELD_LEG_KEY, m->leg_key, KEY_SIZE);
	if (m->relay_cause)
		field_put_u8(w, FIELD_RELAY_CAUSE, m->relay_cause);
	relay_sight_encode(&m->sight, w);
	if (m->network_epoch)
		field_put_u64(w, FIELD_NETWORK_EPOCH, m->network_epoch);
	field_put_unknown(w, m->move_epoch);
}

static bool take_route_update(void *message, uint8_t type, struct reader *value)
{
	struct route_update *m = message;

	switch (type) {
	case FIELD_PATH_ID: m->path_id = read_u64(value); return true;
	case FIELD_REASON: m->reason = read_u8(value); return true;
	case FIELD_MOVE_EPOCH: m->move_epoch = read_u32(value); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	case FIELD_CANDIDATE: candidates_take(&m->candidates, value); return true;
	case FIELD_RELAY: relay_grant_take(value, &m->has_relay, &m->relay); return true;
	case FIELD_LEG_KEY:
		read_bytes(value, m->leg_key, KEY_SIZE);
		m->has_leg_key = true;
		return true;
	case FIELD_RELAY_CAUSE: m->relay_cause = read_u8(value); return true;
	case FIELD_RELAY_SEEN: relay_sight_take(&m->sight, value); return true;
	case FIELD_NETWORK_EPOCH: m->network_epoch = read_u64(value); return true;
	default: return false;
	}
}

/* Addresses told here are candidates, no more (E8). */
enum err route_update_decode(struct reader *r, struct route_update *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_PATH_ID | 1ull << FIELD_MOVE_EPOCH,
						 .repeatable = 1ull << FIELD_CANDIDATE | 1ull << FIELD_RELAY |
							       1ull << FIELD_RELAY_SEEN,
						 .take = take_route_update};
	struct route_update m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if (m.has_leg_key && !m.has_relay)
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}
