#include <string.h>

#include "wire/credential.h"
#include "wire/field.h"

/* Count and addresses; a count over the limit fails the writer's reader, not memory. */
void write_server_addresses(struct writer *w, const struct server_addresses *addresses)
{
	write_u8(w, addresses->count);
	for (uint8_t i = 0; i < addresses->count && i < SERVER_ADDRESSES_MAX; i++)
		write_addr(w, &addresses->list[i]);
}

/* Empty after a failure. */
void read_server_addresses(struct reader *r, struct server_addresses *ret)
{
	struct server_addresses addresses = {.count = read_u8(r)};

	if (addresses.count > SERVER_ADDRESSES_MAX) {
		reader_fail(r, ERR_MALFORMED);
		addresses.count = 0;
	}
	for (uint8_t i = 0; i < addresses.count; i++)
		addresses.list[i] = read_addr(r);
	*ret = r->err == OK ? addresses : (struct server_addresses){0};
}

/* u8 family (0: none), address, u8 bits; nothing after the family of none. */
static void write_pool(struct writer *w, const struct prefix *pool)
{
	write_ip(w, &pool->ip);
	if (pool->ip.family)
		write_u8(w, pool->bits);
}

static bool has_host_bits(const struct prefix *prefix)
{
	uint8_t any = 0;

	for (size_t i = 0; i < ip_size(&prefix->ip); i++) {
		size_t before = 8 * i;
		uint8_t mask = prefix->bits <= before	    ? 0xff
			       : prefix->bits >= before + 8 ? 0
							    : (uint8_t)(0xff >> (prefix->bits - before));

		any |= prefix->ip.bytes[i] & mask;
	}
	return any != 0;
}

static struct prefix read_pool(struct reader *r, uint8_t family)
{
	struct prefix pool = {0};
	struct reader ahead = *r;

	if (read_u8(&ahead) == 0) {
		*r = ahead;
		return pool;
	}
	pool.ip = read_ip(r);
	pool.bits = read_u8(r);
	if (pool.ip.family != family || pool.bits > 8 * ip_size(&pool.ip) || has_host_bits(&pool))
		reader_fail(r, ERR_MALFORMED);
	return pool;
}

static void write_coordinator(struct writer *w, const struct coordinator_entry *entry)
{
	write_text(w, entry->zone);
	write_bytes(w, entry->static_key, KEY_SIZE);
	write_bytes(w, entry->sign_key, KEY_SIZE);
	write_pool(w, &entry->pool4);
	write_pool(w, &entry->pool6);
	write_server_addresses(w, &entry->addresses);
}

static void read_coordinator(struct reader *r, struct coordinator_entry *ret)
{
	read_name(r, ret->zone, ZONE_MAX_SIZE);
	read_bytes(r, ret->static_key, KEY_SIZE);
	read_bytes(r, ret->sign_key, KEY_SIZE);
	ret->pool4 = read_pool(r, 4);
	ret->pool6 = read_pool(r, 6);
	read_server_addresses(r, &ret->addresses);
}

static void write_relay(struct writer *w, const struct relay_entry *entry)
{
	write_text(w, entry->name);
	write_bytes(w, entry->static_key, KEY_SIZE);
	write_server_addresses(w, &entry->addresses);
}

static void read_relay(struct reader *r, struct relay_entry *ret)
{
	read_name(r, ret->name, NAME_MAX_SIZE);
	read_bytes(r, ret->static_key, KEY_SIZE);
	read_server_addresses(r, &ret->addresses);
}

static void write_trusted(struct writer *w, const struct trusted_entry *entry)
{
	write_text(w, entry->zone);
	write_bytes(w, entry->authority, KEY_SIZE);
	write_pool(w, &entry->pool4);
	write_pool(w, &entry->pool6);
}

static void read_trusted(struct reader *r, struct trusted_entry *ret)
{
	read_name(r, ret->zone, ZONE_MAX_SIZE);
	read_bytes(r, ret->authority, KEY_SIZE);
	ret->pool4 = read_pool(r, 4);
	ret->pool6 = read_pool(r, 6);
}

static bool counts_fit(const struct network *network)
{
	return network->coordinator_count <= COORDINATORS_MAX && network->relay_count <= RELAYS_MAX &&
	       network->revoked_count <= REVOKED_MAX && network->trusted_count <= TRUSTED_MAX;
}

/* Layout: docs/protocol.md, documents. The version follows from the contents, so that there is one encoding. */
void network_encode(const struct network *network, struct writer *w)
{
	if (!counts_fit(network)) {
		w->err = w->err == OK ? ERR_SIZE : w->err;
		return;
	}
	write_u8(w, DOCUMENT_NETWORK);
	write_u8(w, network->trusted_count ? DOCUMENT_VERSION_TRUST : DOCUMENT_VERSION);
	write_u64(w, network->epoch);
	write_u64(w, network->issued_s);
	write_u8(w, network->version_floor);
	write_u8(w, network->coordinator_count);
	for (uint8_t i = 0; i < network->coordinator_count; i++)
		write_coordinator(w, &network->coordinators[i]);
	write_u8(w, network->relay_count);
	for (uint8_t i = 0; i < network->relay_count; i++)
		write_relay(w, &network->relays[i]);
	write_u16(w, network->revoked_count);
	for (uint16_t i = 0; i < network->revoked_count; i++)
		write_bytes(w, network->revoked[i].bytes, NODE_ID_SIZE);
	if (network->trusted_count)
		write_u8(w, network->trusted_count);
	for (uint8_t i = 0; i < network->trusted_count; i++)
		write_trusted(w, &network->trusted[i]);
	write_bytes(w, network->signature, SIGNATURE_SIZE);
}

/* A count over its limit ends the reading before anything is stored. */
static size_t read_count(struct reader *r, size_t count, size_t max)
{
	if (count > max)
		reader_fail(r, ERR_MALFORMED);
	return r->err == OK ? count : 0;
}

static void read_network(struct reader *r, struct network *ret)
{
	uint8_t kind = read_u8(r), version = read_u8(r);

	if (kind != DOCUMENT_NETWORK || (version != DOCUMENT_VERSION && version != DOCUMENT_VERSION_TRUST))
		reader_fail(r, ERR_MALFORMED);
	ret->epoch = read_u64(r);
	ret->issued_s = read_u64(r);
	ret->version_floor = read_u8(r);
	ret->coordinator_count = (uint8_t)read_count(r, read_u8(r), COORDINATORS_MAX);
	for (uint8_t i = 0; i < ret->coordinator_count; i++)
		read_coordinator(r, &ret->coordinators[i]);
	ret->relay_count = (uint8_t)read_count(r, read_u8(r), RELAYS_MAX);
	for (uint8_t i = 0; i < ret->relay_count; i++)
		read_relay(r, &ret->relays[i]);
	ret->revoked_count = (uint16_t)read_count(r, read_u16(r), REVOKED_MAX);
	for (uint16_t i = 0; i < ret->revoked_count; i++)
		read_bytes(r, ret->revoked[i].bytes, NODE_ID_SIZE);
	if (version == DOCUMENT_VERSION_TRUST) {
		ret->trusted_count = (uint8_t)read_count(r, read_u8(r), TRUSTED_MAX);
		if (ret->trusted_count == 0)
			reader_fail(r, ERR_MALFORMED); /* it would be version 1 */
	}
	for (uint8_t i = 0; i < ret->trusted_count; i++)
		read_trusted(r, &ret->trusted[i]);
	read_bytes(r, ret->signature, SIGNATURE_SIZE);
}

/* Bytes only: whether it holds is network_judge's affair. */
enum err network_decode(struct reader *r, struct network *ret)
{
	struct network network = {0};
	enum err err;

	read_network(r, &network);
	err = reader_finish(r);
	if (err == OK)
		*ret = network;
	return err;
}
