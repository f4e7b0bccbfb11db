#include <string.h>

#include "wire/body.h"
#include "wire/credential.h"

enum { NETWORK_VERSION = 1 };

static void write_addresses(struct writer *w, const struct server_addresses *addresses)
{
	write_u8(w, addresses->count);
	for (int i = 0; i < addresses->count; i++)
		write_addr(w, &addresses->list[i]);
}

static void read_addresses(struct reader *r, struct server_addresses *ret)
{
	ret->count = read_u8(r);
	if (ret->count > SERVER_ADDRESSES_MAX) {
		ret->count = 0;
		reader_fail(r, ERR_MALFORMED);
	}
	for (int i = 0; i < ret->count; i++)
		ret->list[i] = read_addr(r);
}

static void write_prefix(struct writer *w, const struct prefix *prefix)
{
	write_ip(w, &prefix->ip);
	write_u8(w, prefix->bits);
}

static struct prefix read_prefix(struct reader *r, uint8_t family)
{
	struct prefix prefix = {.ip = read_ip(r), .bits = 0};

	prefix.bits = read_u8(r);
	if (prefix.ip.family != family || prefix.bits > ip_size(&prefix.ip) * 8)
		reader_fail(r, ERR_MALFORMED);
	for (size_t bit = prefix.bits; r->err == OK && bit < ip_size(&prefix.ip) * 8; bit++)
		if (prefix.ip.bytes[bit / 8] >> (7 - bit % 8) & 1)
			reader_fail(r, ERR_MALFORMED);
	return prefix;
}

static void write_coordinator(struct writer *w, const struct coordinator_entry *c)
{
	write_text(w, c->zone);
	write_bytes(w, c->static_key, KEY_SIZE);
	write_bytes(w, c->sign_key, KEY_SIZE);
	write_prefix(w, &c->pool4);
	write_prefix(w, &c->pool6);
	write_addresses(w, &c->addresses);
}

static void read_coordinator(struct reader *r, struct coordinator_entry *ret)
{
	read_text(r, ret->zone, ZONE_MAX_SIZE);
	read_bytes(r, ret->static_key, KEY_SIZE);
	read_bytes(r, ret->sign_key, KEY_SIZE);
	ret->pool4 = read_prefix(r, 4);
	ret->pool6 = read_prefix(r, 6);
	read_addresses(r, &ret->addresses);
	if (ret->zone[0] == '\0' || !text_is_name(ret->zone))
		reader_fail(r, ERR_MALFORMED);
}

static void write_relay(struct writer *w, const struct relay_entry *relay)
{
	write_text(w, relay->name);
	write_bytes(w, relay->static_key, KEY_SIZE);
	write_addresses(w, &relay->addresses);
}

static void read_relay(struct reader *r, struct relay_entry *ret)
{
	read_text(r, ret->name, NAME_MAX_SIZE);
	read_bytes(r, ret->static_key, KEY_SIZE);
	read_addresses(r, &ret->addresses);
	if (ret->name[0] == '\0' || !text_is_name(ret->name))
		reader_fail(r, ERR_MALFORMED);
}

/* Signature last, over all before it. */
void network_encode(const struct network *network, struct writer *w)
{
	write_u8(w, DOCUMENT_NETWORK);
	write_u8(w, NETWORK_VERSION);
	write_u64(w, network->epoch);
	write_u64(w, network->issued_s);
	write_u8(w, network->version_floor);
	write_u8(w, network->coordinator_count);
	for (int i = 0; i < network->coordinator_count; i++)
		write_coordinator(w, &network->coordinators[i]);
	write_u8(w, network->relay_count);
	for (int i = 0; i < network->relay_count; i++)
		write_relay(w, &network->relays[i]);
	write_u16(w, network->revoked_count);
	for (int i = 0; i < network->revoked_count; i++)
		write_bytes(w, network->revoked[i].bytes, NODE_ID_SIZE);
	write_bytes(w, network->signature, SIGNATURE_SIZE);
}

static void read_lists(struct reader *r, struct network *ret)
{
	ret->coordinator_count = read_u8(r);
	if (ret->coordinator_count > COORDINATORS_MAX)
		reader_fail(r, ERR_MALFORMED);
	for (int i = 0; r->err == OK && i < ret->coordinator_count; i++)
		read_coordinator(r, &ret->coordinators[i]);
	ret->relay_count = read_u8(r);
	if (ret->relay_count > RELAYS_MAX)
		reader_fail(r, ERR_MALFORMED);
	for (int i = 0; r->err == OK && i < ret->relay_count; i++)
		read_relay(r, &ret->relays[i]);
	ret->revoked_count = read_u16(r);
	if (ret->revoked_count > sizeof ret->revoked / sizeof ret->revoked[0])
		reader_fail(r, ERR_MALFORMED);
	for (int i = 0; r->err == OK && i < ret->revoked_count; i++)
		read_bytes(r, ret->revoked[i].bytes, NODE_ID_SIZE);
}

/* Decoded straight into *ret because of its size; zeroed on failure. */
enum err network_decode(struct reader *r, struct network *ret)
{
	enum err err;

	memset(ret, 0, sizeof *ret);
	if (read_u8(r) != DOCUMENT_NETWORK || read_u8(r) != NETWORK_VERSION)
		reader_fail(r, ERR_MALFORMED);
	ret->epoch = read_u64(r);
	ret->issued_s = read_u64(r);
	ret->version_floor = read_u8(r);
	read_lists(r, ret);
	read_bytes(r, ret->signature, SIGNATURE_SIZE);
	err = reader_finish(r);
	if (err != OK)
		memset(ret, 0, sizeof *ret);
	return err;
}
