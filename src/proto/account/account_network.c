#include <string.h>

#include "proto/account/account_state.h"
#include "proto/session/trust.h"

enum {
	BUILTIN_WHOLE_BITS =
		16, /* blocks this small go to a built-in coordinator whole: a half would be less than it may serve */
	PIECE_BITS_MIN = 17, /* 32,768 addresses for one coordinator */
	PIECE_BITS_MAX = 30,
};

static uint32_t ip4_number(const struct ip *ip)
{
	return (uint32_t)ip->bytes[0] << 24 | (uint32_t)ip->bytes[1] << 16 | (uint32_t)ip->bytes[2] << 8 | ip->bytes[3];
}

static uint8_t piece_bits(const struct account *account, bool is_builtin)
{
	uint8_t block = account->meta.pool4.bits, bits;

	if (is_builtin)
		return block >= BUILTIN_WHOLE_BITS ? block : (uint8_t)(block + 1);
	if (account->config.piece4_bits > block && account->config.piece4_bits <= PIECE_BITS_MAX)
		return account->config.piece4_bits;
	bits = (uint8_t)(block + 2);
	if (bits < PIECE_BITS_MIN)
		bits = PIECE_BITS_MIN;
	return bits > PIECE_BITS_MAX ? PIECE_BITS_MAX : bits;
}

/* Disjoint from every piece ever given, also to a coordinator that is gone: its leases may still be in use (design 9).
 */
static bool piece_is_free(const struct account *account, const struct prefix *piece)
{
	for (uint32_t i = 0; i < account->server_count; i++) {
		const struct account_server_entry *server = &account->servers[i];

		if (server->role != ROLE_COORDINATOR)
			continue;
		if (prefix_contains(&server->pool4, &piece->ip) || prefix_contains(piece, &server->pool4.ip))
			return false;
	}
	return true;
}

static enum err carve_piece(const struct account *account, bool is_builtin, struct prefix *ret)
{
	const struct prefix *block = &account->meta.pool4;
	uint8_t bits = piece_bits(account, is_builtin);
	uint32_t base = ip4_number(&block->ip);
	uint64_t count;

	if (bits < block->bits)
		return ERR_FULL;
	count = UINT64_C(1) << (bits - block->bits);
	if (count > ACCOUNT_SERVERS_MAX + 1)
		count = ACCOUNT_SERVERS_MAX + 1; /* no more pieces can be taken than there are servers */
	for (uint64_t i = 0; i < count; i++) {
		uint32_t n = base + (uint32_t)(i << (32 - bits));
		struct prefix piece = {
			.ip = ip_v4((uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n),
			.bits = bits,
		};

		if (piece_is_free(account, &piece)) {
			*ret = piece;
			return OK;
		}
	}
	return ERR_FULL;
}

static uint32_t serving_count(const struct account *account, uint8_t role)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < account->server_count; i++)
		count += account->servers[i].role == role && !account->servers[i].revoked_s;
	return count;
}

/* The zone or name that the newcomer gets. */
static uint8_t choose_name(struct account *account, const struct account_server_wish *wish, char ret[ZONE_MAX_SIZE + 1])
{
	char fqdn[FQDN_MAX_SIZE + 1], label[NAME_MAX_SIZE + 1];
	const char *name = wish->name;

	if (wish->role == ROLE_COORDINATOR) {
		if (name[0] == '\0')
			name = account->meta.zone;
		if (!account_zone_is_valid(name))
			return LOGIN_BAD_NAME;
		/* Whoever holds a code may not take "com": only what lies below our zone, or what the code itself
		 * names. */
		if (!wish->is_named_by_code && !wish->is_builtin && !account_zone_is_within(name, account->meta.zone))
			return LOGIN_BAD_NAME;
		if (account_name_is_taken(account, name))
			return LOGIN_NAME_TAKEN;
		memcpy(ret, name, strlen(name) + 1);
		return 0;
	}
	if (name[0] == '\0') {
		if (account_name_derive(account, "relay", account->meta.zone, label) != OK)
			return LOGIN_FULL;
		name = label;
	}
	if (!account_label_is_valid(name) || account_name_join(name, account->meta.zone, fqdn) != OK)
		return LOGIN_BAD_NAME;
	if (account_name_is_taken(account, fqdn))
		return LOGIN_NAME_TAKEN;
	memcpy(ret, name, strlen(name) + 1);
	return 0;
}

/* Gives a new server its name and its piece of the pool. */
uint8_t account_enter_server(struct account *account, struct time_us now, const struct account_server_wish *wish,
			     struct account_server_entry **ret)
{
	struct account_server_entry server = {.entry = {.table = RECORD_SERVER}, .role = wish->role};
	uint32_t limit = wish->role == ROLE_COORDINATOR ? COORDINATORS_MAX : RELAYS_MAX;
	uint8_t reason = choose_name(account, wish, server.name);

	if (reason)
		return reason;
	if (account->server_count == ACCOUNT_SERVERS_MAX || serving_count(account, wish->role) >= limit ||
	    account_find_server(account, wish->static_key))
		return LOGIN_FULL;
	if (wish->role == ROLE_COORDINATOR && carve_piece(account, wish->is_builtin, &server.pool4) != OK)
		return LOGIN_FULL;
	memcpy(server.static_key, wish->static_key, KEY_SIZE);
	memcpy(server.sign_key, wish->sign_key, KEY_SIZE);
	if (wish->code_hash)
		memcpy(server.code_hash, wish->code_hash, HASH_SIZE);
	server.addresses = *wish->addresses;
	account->servers[account->server_count] = server;
	*ret = &account->servers[account->server_count++];
	account_touch(account, &(*ret)->entry);
	account_touch_network(account, now);
	return 0;
}

static bool addresses_equal(const struct server_addresses *a, const struct server_addresses *b)
{
	if (a->count != b->count)
		return false;
	for (uint8_t i = 0; i < a->count; i++)
		if (!addr_equal(&a->list[i], &b->list[i]))
			return false;
	return true;
}

/* A known server is back, perhaps elsewhere. The document changes only when an address did. */
void account_update_server(struct account *account, struct time_us now, struct account_server_entry *server,
			   const struct server_addresses *addresses)
{
	if (addresses->count == 0 || addresses_equal(&server->addresses, addresses))
		return;
	server->addresses = *addresses;
	account_touch(account, &server->entry);
	account_touch_network(account, now);
}

static void fill_coordinator(const struct account *account, const struct account_server_entry *server,
			     struct coordinator_entry *ret)
{
	memcpy(ret->zone, server->name, sizeof(ret->zone));
	memcpy(ret->static_key, server->static_key, KEY_SIZE);
	memcpy(ret->sign_key, server->sign_key, KEY_SIZE);
	ret->pool4 = server->pool4;
	ret->pool6 = account->meta.pool6;
	ret->addresses = server->addresses;
}

static void fill_relay(const struct account_server_entry *server, struct relay_entry *ret)
{
	memcpy(ret->name, server->name, strnlen(server->name, NAME_MAX_SIZE));
	memcpy(ret->static_key, server->static_key, KEY_SIZE);
	ret->addresses = server->addresses;
}

static void build_network(struct account *account)
{
	struct network *network = &account->network;
	struct writer w;

	memset(network, 0, sizeof(*network));
	network->epoch = account->meta.epoch;
	network->issued_s = account->meta.issued_s;
	network->version_floor = PROTOCOL_VERSION;
	for (uint32_t i = 0; i < account->server_count; i++) {
		const struct account_server_entry *server = &account->servers[i];

		if (server->revoked_s)
			continue;
		if (server->role == ROLE_COORDINATOR && network->coordinator_count < COORDINATORS_MAX)
			fill_coordinator(account, server, &network->coordinators[network->coordinator_count++]);
		else if (server->role == ROLE_RELAY && network->relay_count < RELAYS_MAX)
			fill_relay(server, &network->relays[network->relay_count++]);
	}
	for (uint32_t i = 0; i < account->revoked_count; i++)
		network->revoked[i] = account->revoked[i]->certificate.id;
	network->revoked_count = (uint16_t)account->revoked_count;
	network->trusted_count = account->trusted_count;
	memcpy(network->trusted, account->trusted, sizeof(network->trusted));
	network_sign(network, &account->config.authority);
	w = writer_over(account->network_bytes, sizeof(account->network_bytes));
	network_encode(network, &w);
	if (writer_finish(&w, &account->network_size) != OK)
		account->network_size =
			0; /* cannot be: 16 + 16 servers, 256 identities and 8 networks are below 14 KB */
}

/* Made anew only when something changed since; the same facts give the same bytes, also after a restart. */
struct blob account_network(struct account *account, struct time_us now, const struct network **ret_network)
{
	(void)now;
	if (!account->is_network_fresh) {
		build_network(account);
		account->is_network_fresh = true;
	}
	if (ret_network)
		*ret_network = &account->network;
	return (struct blob){account->network_bytes, account->network_size};
}

/* What is not the driver's wish but a limit of this network is ERR_FULL. */
enum err account_put_server(struct account *account, struct time_us now, const struct account_server *server)
{
	struct account_server_entry *entry = account_find_server(account, server->static_key);
	struct account_server_wish wish = {
		.role = server->role,
		.name = server->name,
		.static_key = server->static_key,
		.sign_key = server->sign_key,
		.addresses = &server->addresses,
		.is_builtin = server->is_builtin,
	};

	if (server->role != ROLE_COORDINATOR && server->role != ROLE_RELAY)
		return ERR_USAGE;
	if (entry && entry->role == server->role && !entry->revoked_s) {
		account_update_server(account, now, entry, &server->addresses);
		return OK;
	}
	if (entry)
		return ERR_DENIED;
	switch (account_enter_server(account, now, &wish, &entry)) {
	case 0: return OK;
	case LOGIN_NAME_TAKEN: return ERR_EXISTS;
	case LOGIN_BAD_NAME: return ERR_USAGE;
	default: return ERR_FULL;
	}
}
