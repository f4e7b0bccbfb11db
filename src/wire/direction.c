#include "wire/direction.h"

#include <string.h>

#include "wire/body.h"

static void put_ip(struct writer *w, const struct ip *ip)
{
	size_t begun = field_begin(w, FIELD_IP);

	write_ip(w, ip);
	field_end(w, begun);
}

static void put_name_or_ip(struct writer *w, const char *name, const struct ip *ip)
{
	if (name[0])
		field_put_bytes(w, FIELD_NAME, name, strlen(name));
	else
		put_ip(w, ip);
}

/* The field's length is the text's: no length byte of its own. */
static void read_name(struct reader *value, char *ret, size_t max)
{
	struct blob text = read_blob(value, reader_left(value));

	if (text.size == 0 || text.size > max || memchr(text.data, 0, text.size)) {
		reader_fail(value, ERR_MALFORMED);
		return;
	}
	memcpy(ret, text.data, text.size);
	ret[text.size] = '\0';
	if (!text_is_name(ret))
		reader_fail(value, ERR_MALFORMED);
}

static void request_name(struct reader *value, void *m)
{
	read_name(value, ((struct direction_request *)m)->name, FQDN_MAX_SIZE);
}

static void request_ip(struct reader *value, void *m)
{
	((struct direction_request *)m)->ip = read_ip(value);
}

static const struct field_rule request_rules[] = {
	{FIELD_NAME, false, false, request_name},
	{FIELD_IP, false, false, request_ip},
};

/* By name or by address. */
void direction_request_encode(const struct direction_request *m, struct writer *w)
{
	put_name_or_ip(w, m->name, &m->ip);
	field_put_unknown(w, (uint32_t)strlen(m->name));
}

/* Exactly one of both. */
enum err direction_request_decode(struct reader *r, struct direction_request *ret)
{
	struct direction_request m = {0};
	enum err err = body_decode(r, request_rules, sizeof request_rules / sizeof request_rules[0], &m);

	if (err == OK && (m.name[0] != '\0') == (m.ip.family != 0))
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = m;
	return err;
}

static void refusal_reason(struct reader *value, void *m)
{
	((struct direction_refusal *)m)->reason = read_u8(value);
}

static void refusal_name(struct reader *value, void *m)
{
	read_name(value, ((struct direction_refusal *)m)->name, FQDN_MAX_SIZE);
}

static void refusal_ip(struct reader *value, void *m)
{
	((struct direction_refusal *)m)->ip = read_ip(value);
}

static const struct field_rule refusal_rules[] = {
	{FIELD_REASON, true, false, refusal_reason},
	{FIELD_NAME, false, false, refusal_name},
	{FIELD_IP, false, false, refusal_ip},
};

/* As asked, and why not. */
void direction_refusal_encode(const struct direction_refusal *m, struct writer *w)
{
	field_put_u8(w, FIELD_REASON, m->reason);
	put_name_or_ip(w, m->name, &m->ip);
	field_put_unknown(w, m->reason);
}

/* Exactly one of name and address. */
enum err direction_refusal_decode(struct reader *r, struct direction_refusal *ret)
{
	struct direction_refusal m = {0};
	enum err err = body_decode(r, refusal_rules, sizeof refusal_rules / sizeof refusal_rules[0], &m);

	if (err == OK && ((m.name[0] != '\0') == (m.ip.family != 0) || m.reason == REASON_NONE))
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = m;
	return err;
}

static void put_relay(struct writer *w, const struct relay_grant *relay)
{
	size_t begun = field_begin(w, FIELD_RELAY);

	write_text(w, relay->name);
	write_u8(w, relay->addresses.count);
	for (int i = 0; i < relay->addresses.count; i++)
		write_addr(w, &relay->addresses.list[i]);
	write_u8(w, relay->leg);
	write_bytes(w, relay->leg_key, KEY_SIZE);
	write_u16(w, (uint16_t)relay->ticket.size);
	write_bytes(w, relay->ticket.data, relay->ticket.size);
	field_end(w, begun);
}

static void route_path_id(struct reader *value, void *m)
{
	((struct route_direction *)m)->path_id = read_u64(value);
}

static void route_temp_key(struct reader *value, void *m)
{
	read_bytes(value, ((struct route_direction *)m)->temp_key, KEY_SIZE);
}

static void route_suite(struct reader *value, void *m)
{
	uint8_t suite = read_u8(value);

	((struct route_direction *)m)->suite = suite;
	if (suite != SUITE_AES256_GCM && suite != SUITE_CHACHA20_POLY1305)
		reader_fail(value, ERR_MALFORMED);
}

static void route_certificate(struct reader *value, void *m)
{
	((struct route_direction *)m)->certificate = read_blob(value, reader_left(value));
}

static void route_lease(struct reader *value, void *m)
{
	((struct route_direction *)m)->lease = read_blob(value, reader_left(value));
}

static void route_observed(struct reader *value, void *m)
{
	((struct route_direction *)m)->observed = read_addr(value);
}

static void route_candidate(struct reader *value, void *m)
{
	candidates_read(value, &((struct route_direction *)m)->candidates);
}

static void route_relay(struct reader *value, void *m)
{
	struct route_direction *route = m;
	struct relay_grant *relay = &route->relay;

	read_text(value, relay->name, NAME_MAX_SIZE);
	relay->addresses.count = read_u8(value);
	if (relay->addresses.count == 0 || relay->addresses.count > SERVER_ADDRESSES_MAX) {
		reader_fail(value, ERR_MALFORMED);
		return;
	}
	for (int i = 0; i < relay->addresses.count; i++)
		relay->addresses.list[i] = read_addr(value);
	relay->leg = read_u8(value);
	read_bytes(value, relay->leg_key, KEY_SIZE);
	relay->ticket = read_blob(value, read_u16(value));
	if (relay->leg > 1 || relay->ticket.size > TICKET_MAX_SIZE || !text_is_name(relay->name))
		reader_fail(value, ERR_MALFORMED);
	route->has_relay = true;
}

/* In NTMobile's papers the requester is told apart by an address; here by a flag, so that its transaction ends. */
static void route_requested(struct reader *value, void *m)
{
	uint8_t requested = read_u8(value);

	((struct route_direction *)m)->requested = requested == 1;
	if (requested > 1)
		reader_fail(value, ERR_MALFORMED);
}

static const struct field_rule route_rules[] = {
	{FIELD_PATH_ID, true, false, route_path_id},
	{FIELD_TEMP_KEY, true, false, route_temp_key},
	{FIELD_SUITE, true, false, route_suite},
	{FIELD_CERTIFICATE, true, false, route_certificate},
	{FIELD_LEASE, true, false, route_lease},
	{FIELD_OBSERVED, false, false, route_observed},
	{FIELD_CANDIDATE, false, true, route_candidate},
	{FIELD_RELAY, false, false, route_relay},
	{FIELD_REQUESTED, true, false, route_requested},
};

/* The largest message there is: about 950 bytes. */
void route_direction_encode(const struct route_direction *m, struct writer *w)
{
	field_put_u64(w, FIELD_PATH_ID | FIELD_CRITICAL, m->path_id);
	field_put_bytes(w, FIELD_TEMP_KEY | FIELD_CRITICAL, m->temp_key, KEY_SIZE);
	field_put_u8(w, FIELD_SUITE | FIELD_CRITICAL, m->suite);
	field_put_bytes(w, FIELD_CERTIFICATE | FIELD_CRITICAL, m->certificate.data, m->certificate.size);
	field_put_bytes(w, FIELD_LEASE | FIELD_CRITICAL, m->lease.data, m->lease.size);
	observed_encode(&m->observed, w);
	candidates_encode(&m->candidates, w);
	if (m->has_relay)
		put_relay(w, &m->relay);
	field_put_u8(w, FIELD_REQUESTED, m->requested);
	field_put_unknown(w, (uint32_t)m->path_id);
}

/* Documents and ticket are borrowed from r. */
enum err route_direction_decode(struct reader *r, struct route_direction *ret)
{
	struct route_direction m = {0};
	enum err err = body_decode(r, route_rules, sizeof route_rules / sizeof route_rules[0], &m);

	if (err == OK && (m.certificate.size > CERTIFICATE_MAX_SIZE || m.lease.size > LEASE_MAX_SIZE))
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = m;
	return err;
}

static void update_path_id(struct reader *value, void *m)
{
	((struct route_update *)m)->path_id = read_u64(value);
}

static void update_move_epoch(struct reader *value, void *m)
{
	((struct route_update *)m)->move_epoch = read_u32(value);
}

static void update_observed(struct reader *value, void *m)
{
	((struct route_update *)m)->observed = read_addr(value);
}

static void update_candidate(struct reader *value, void *m)
{
	candidates_read(value, &((struct route_update *)m)->candidates);
}

static const struct field_rule update_rules[] = {
	{FIELD_PATH_ID, true, false, update_path_id},
	{FIELD_MOVE_EPOCH, true, false, update_move_epoch},
	{FIELD_OBSERVED, false, false, update_observed},
	{FIELD_CANDIDATE, false, true, update_candidate},
};

/* Only what may have changed. */
void route_update_encode(const struct route_update *m, struct writer *w)
{
	field_put_u64(w, FIELD_PATH_ID | FIELD_CRITICAL, m->path_id);
	field_put_u32(w, FIELD_MOVE_EPOCH, m->move_epoch);
	observed_encode(&m->observed, w);
	candidates_encode(&m->candidates, w);
	field_put_unknown(w, m->move_epoch);
}

/* Idempotent: the whole list each time. */
enum err route_update_decode(struct reader *r, struct route_update *ret)
{
	struct route_update m = {0};
	enum err err = body_decode(r, update_rules, sizeof update_rules / sizeof update_rules[0], &m);

	if (err == OK)
		*ret = m;
	return err;
}
