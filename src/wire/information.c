#include "wire/information.h"

/* Padded, so that the answer is no larger. */
void link_request_encode(const struct link_request *m, struct writer *w)
{
	size_t from = w->at;

	field_put_u64(w, FIELD_NETWORK_EPOCH, m->network_epoch);
	field_put_text(w, FIELD_NAME, m->zone);
	field_put_unknown(w, (uint32_t)m->network_epoch);
	field_put_pad(w, from, m->padded_size);
}

static bool take_link_request(void *message, uint8_t type, struct reader *value)
{
	struct link_request *m = message;

	switch (type) {
	case FIELD_NETWORK_EPOCH: m->network_epoch = read_u64(value); return true;
	case FIELD_NAME: zone_name_take(value, m->zone); return true;
	default: return false;
	}
}

/* Who sends it is told by the handshake around it. */
enum err link_request_decode(struct reader *r, struct link_request *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_NETWORK_EPOCH, .take = take_link_request};
	struct link_request m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* The link stands with it: coordinators refuse each other by silence. */
void link_response_encode(const struct link_response *m, struct writer *w)
{
	field_put_u64(w, FIELD_NETWORK_EPOCH, m->network_epoch);
	field_put_u64(w, FIELD_NETWORK_TIME, m->network_time_s);
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	field_put_unknown(w, (uint32_t)m->network_epoch);
}

static bool take_link_response(void *message, uint8_t type, struct reader *value)
{
	struct link_response *m = message;

	switch (type) {
	case FIELD_NETWORK_EPOCH: m->network_epoch = read_u64(value); return true;
	case FIELD_NETWORK_TIME: m->network_time_s = read_u64(value); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	default: return false;
	}
}

/* The time is the other one's opinion: coordinators have clocks of their own. */
enum err link_response_decode(struct reader *r, struct link_response *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_NETWORK_EPOCH | 1ull << FIELD_NETWORK_TIME |
							      1ull << FIELD_OBSERVED,
						 .take = take_link_response};
	struct link_response m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* The seed of the unknown field is a length: PathID and keys must not leak through it. */
void node_information_request_encode(const struct node_information_request *m, struct writer *w)
{
	field_put_u64(w, FIELD_PATH_ID | FIELD_CRITICAL, m->path_id);
	field_put_bytes(w, FIELD_TEMP_KEY | FIELD_CRITICAL, m->temp_key, KEY_SIZE);
	node_name_encode(m->name, w);
	field_put_ip(w, FIELD_IP, &m->ip);
	field_put_bytes(w, FIELD_CERTIFICATE | FIELD_CRITICAL, m->certificate.data, m->certificate.size);
	field_put_bytes(w, FIELD_LEASE | FIELD_CRITICAL, m->lease.data, m->lease.size);
	field_put_u32(w, FIELD_FEATURES, m->features);
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	candidates_encode(&m->candidates, w);
	if (m->has_relay) {
		relay_grant_encode(&m->relay, w);
		field_put_bytes(w, FIELD_LEG_KEY, m->leg_key, KEY_SIZE);
	}
	if (m->relay_cause)
		field_put_u8(w, FIELD_RELAY_CAUSE, m->relay_cause);
	relay_sight_encode(&m->sight, w);
	field_put_unknown(w, (uint32_t)m->certificate.size);
}

static bool take_node_information_request(void *message, uint8_t type, struct reader *value)
{
	struct node_information_request *m = message;

	switch (type) {
	case FIELD_PATH_ID: m->path_id = read_u64(value); return true;
	case FIELD_TEMP_KEY: read_bytes(value, m->temp_key, KEY_SIZE); return true;
	case FIELD_NAME: node_name_take(value, m->name); return true;
	case FIELD_IP: m->ip = read_ip(value); return true;
	case FIELD_CERTIFICATE: m->certificate = read_blob_rest(value, CERTIFICATE_MAX_SIZE); return true;
	case FIELD_LEASE: m->lease = read_blob_rest(value, LEASE_MAX_SIZE); return true;
	case FIELD_FEATURES: m->features = read_u32(value); return true;
	case FIELD_MOVE_EPOCH: m->move_epoch = read_u32(value); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	case FIELD_CANDIDATE: candidates_take(&m->candidates, value); return true;
	case FIELD_RELAY: relay_grant_take(value, &m->has_relay, &m->relay); return true;
	case FIELD_LEG_KEY: read_bytes(value, m->leg_key, KEY_SIZE); return true;
	case FIELD_RELAY_CAUSE: m->relay_cause = read_u8(value); return true;
	case FIELD_RELAY_SEEN: relay_sight_take(&m->sight, value); return true;
	default: return false;
	}
}

/* A relay comes with both leg keys or not at all. Certificate, lease and ticket are not looked into. */
enum err node_information_request_decode(struct reader *r, struct node_information_request *ret)
{
	static const struct field_rules rules = {
		.mandatory = 1ull << FIELD_PATH_ID | 1ull << FIELD_TEMP_KEY | 1ull << FIELD_CERTIFICATE |
			     1ull << FIELD_LEASE | 1ull << FIELD_FEATURES | 1ull << FIELD_MOVE_EPOCH,
		.repeatable = 1ull << FIELD_CANDIDATE | 1ull << FIELD_RELAY | 1ull << FIELD_RELAY_SEEN,
		.take = take_node_information_request,
	};
	struct node_information_request m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if ((m.name[0] != '\0') == (m.ip.family != 0) || m.has_relay != !!(seen & (1ull << FIELD_LEG_KEY)) ||
	    m.relay.leg != 0 || m.path_id == 0)
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}

/* A refusal is a reason and nothing else. */
void node_information_response_encode(const struct node_information_response *m, struct writer *w)
{
	if (m->reason != REASON_NONE) {
		field_put_u8(w, FIELD_REASON | FIELD_CRITICAL, m->reason);
		field_put_unknown(w, m->reason);
		return;
	}
	field_put_u64(w, FIELD_PATH_ID | FIELD_CRITICAL, m->path_id);
	field_put_u8(w, FIELD_SUITE | FIELD_CRITICAL, m->suite);
	field_put_bytes(w, FIELD_CERTIFICATE | FIELD_CRITICAL, m->certificate.data, m->certificate.size);
	field_put_bytes(w, FIELD_LEASE | FIELD_CRITICAL, m->lease.data, m->lease.size);
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	field_put_addr(w, FIELD_OBSERVED, &m->observed);
	candidates_encode(&m->candidates, w);
	relay_sight_encode(&m->sight, w);
	field_put_unknown(w, (uint32_t)m->certificate.size);
}

static bool take_node_information_response(void *message, uint8_t type, struct reader *value)
{
	struct node_information_response *m = message;

	switch (type) {
	case FIELD_REASON: m->reason = read_u8(value); return true;
	case FIELD_PATH_ID: m->path_id = read_u64(value); return true;
	case FIELD_SUITE: m->suite = read_u8(value); return true;
	case FIELD_CERTIFICATE: m->certificate = read_blob_rest(value, CERTIFICATE_MAX_SIZE); return true;
	case FIELD_LEASE: m->lease = read_blob_rest(value, LEASE_MAX_SIZE); return true;
	case FIELD_MOVE_EPOCH: m->move_epoch = read_u32(value); return true;
	case FIELD_OBSERVED: m->observed = read_addr(value); return true;
	case FIELD_CANDIDATE: candidates_take(&m->candidates, value); return true;
	case FIELD_RELAY_SEEN: relay_sight_take(&m->sight, value); return true;
	default: return false;
	}
}

/* Either a reason or all that a Route Direction needs; an unknown suite fails closed (T18). */
enum err node_information_response_decode(struct reader *r, struct node_information_response *ret)
{
	static const struct field_rules rules = {.repeatable = 1ull << FIELD_CANDIDATE | 1ull << FIELD_RELAY_SEEN,
						 .take = take_node_information_response};
	const uint64_t needed = 1ull << FIELD_PATH_ID | 1ull << FIELD_SUITE | 1ull << FIELD_CERTIFICATE |
				1ull << FIELD_LEASE | 1ull << FIELD_MOVE_EPOCH;
	struct node_information_response m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if (seen & (1ull << FIELD_REASON) ? seen != (1ull << FIELD_REASON) || m.reason == REASON_NONE : needed & ~seen)
		return ERR_MALFORMED;
	if (m.reason == REASON_NONE && m.suite != SUITE_AES256_GCM && m.suite != SUITE_CHACHA20_POLY1305)
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}

/* Nodes' Acks have no body: they are found by their transaction. */
void route_update_ack_encode(const struct route_update_ack *m, struct writer *w)
{
	field_put_u64(w, FIELD_PATH_ID, m->path_id);
}

static bool take_route_update_ack(void *message, uint8_t type, struct reader *value)
{
	struct route_update_ack *m = message;

	if (type != FIELD_PATH_ID)
		return false;
	m->path_id = read_u64(value);
	return true;
}

/* The tunnel is mandatory. */
enum err route_update_ack_decode(struct reader *r, struct route_update_ack *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_PATH_ID, .take = take_route_update_ack};
	struct route_update_ack m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}
