#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/account/account_state.h"
#include "proto/session/trust.h"

/* Codes that nobody will ask about any more. */
static void forget_old_codes(struct account *account, uint64_t now_s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < account->code_count; i++) {
		struct account_code *code = account->codes[i];
		struct reader r = reader_over(code->hash, sizeof(uint64_t));

		if (code->expires_s + ACCOUNT_CODE_KEPT_S > now_s) {
			account->codes[kept++] = code;
			continue;
		}
		map_remove(&account->codes_by_hash, read_u64(&r));
		code->entry.is_erased = true;
		account_touch(account, &code->entry);
	}
	account->code_count = kept;
}

static bool zone_is_served(const struct account *account, const char *zone)
{
	if (strcmp(zone, account->meta.zone) == 0)
		return true;
	for (uint32_t i = 0; i < account->server_count; i++) {
		const struct account_server_entry *server = &account->servers[i];

		if (!server->revoked_s && server->role == ROLE_COORDINATOR && strcmp(server->name, zone) == 0)
			return true;
	}
	return false;
}

static enum err check_invite_name(struct account *account, const struct account_invite *invite)
{
	const char *zone = invite->zone[0] ? invite->zone : account->meta.zone;
	char fqdn[FQDN_MAX_SIZE + 1];

	if (invite->name[0] == '\0')
		return OK;
	if (invite->role == ROLE_COORDINATOR) {
		if (!account_zone_is_valid(invite->name))
			return ERR_USAGE;
		return account_name_is_taken(account, invite->name) ? ERR_EXISTS : OK;
	}
	if (!account_label_is_valid(invite->name) || account_name_join(invite->name, zone, fqdn) != OK)
		return ERR_USAGE;
	return invite->uses == 1 && account_name_is_taken(account, fqdn) ? ERR_EXISTS : OK;
}

static enum err check_invite(struct account *account, const struct account_invite *invite)
{
	if (invite->role > ROLE_EXIT || invite->uses == 0 || invite->uses > ACCOUNT_USES_MAX ||
	    invite->expires_in_s == 0 || invite->expires_in_s > (uint64_t)ACCOUNT_EXPIRY_MAX_S ||
	    invite->addresses.count == 0 || invite->addresses.count > SERVER_ADDRESSES_MAX)
		return ERR_USAGE;
	if (invite->zone[0] &&
	    ((invite->role != ROLE_NODE && invite->role != ROLE_EXIT) || !zone_is_served(account, invite->zone)))
		return ERR_UNKNOWN;
	return check_invite_name(account, invite);
}

/* The secret leaves the machine here and never again. */
enum err account_invite(struct account *account, struct time_us now, const struct account_invite *invite,
			struct join_code *ret)
{
	struct join_code join = {.role = invite->role, .addresses = invite->addresses};
	uint64_t now_s = account_wall_s(account, now);
	struct account_code *code;
	enum err err = check_invite(account, invite);

	if (err != OK)
		return err;
	if (account->code_count == ACCOUNT_CODES_MAX)
		forget_old_codes(account, now_s);
	if (account->code_count == ACCOUNT_CODES_MAX)
		return ERR_FULL;
	random_fill(&account->random, join.secret, sizeof(join.secret));
	authority_pin(account->config.authority.public, join.pin);
	code = mem_alloc(1, sizeof(*code));
	code->entry.table = RECORD_CODE;
	account_hash_secret(join.secret, code->hash);
	code->role = invite->role;
	memcpy(code->name, invite->name, sizeof(code->name));
	memcpy(code->zone, invite->zone, sizeof(code->zone));
	code->uses_max = invite->uses;
	code->created_s = now_s;
	code->expires_s = now_s + invite->expires_in_s;
	err = account_add_code(account, code);
	if (err != OK) {
		mem_free(code);
		return err;
	}
	account_touch(account, &code->entry);
	account->counters.invites++;
	*ret = join;
	wipe(&join, sizeof(join));
	return OK;
}

static bool parse_hex_id(const char *text, struct node_id *ret)
{
	static const char digits[] = "0123456789abcdef";
	struct node_id id;

	if (strlen(text) != (size_t)2 * NODE_ID_SIZE)
		return false;
	for (size_t i = 0; i < NODE_ID_SIZE; i++) {
		const char *high = strchr(digits, text[2 * i]), *low = strchr(digits, text[2 * i + 1]);

		if (!high || !low)
			return false;
		id.bytes[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	*ret = id;
	return true;
}

/* In good standing first; else one that had the name and was revoked already. */
static struct account_node *find_node_for_person(const struct account *account, const char *name)
{
	struct account_node *node;
	struct node_id id;
	char fqdn[FQDN_MAX_SIZE + 1];

	if (strlen(name) > FQDN_MAX_SIZE)
		return NULL;
	memcpy(fqdn, name, strlen(name) + 1);
	if (!strchr(name, '.') && account_name_join(name, account->meta.zone, fqdn) != OK)
		return NULL;
	node = account_find_name(account, fqdn);
	if (!node && parse_hex_id(name, &id))
		node = account_find_node(account, &id);
	for (uint32_t i = account->node_count; !node && i > 0; i--)
		if (strcmp(account->nodes[i - 1]->certificate.fqdn, fqdn) == 0)
			node = account->nodes[i - 1];
	return node;
}

static void revoke_node(struct account *account, struct time_us now, struct account_node *node)
{
	if (node->revoked_s)
		return;
	map_remove(&account->nodes_by_name,
		   siphash(account->name_key, node->certificate.fqdn, strlen(node->certificate.fqdn)));
	node->revoked_s = account_wall_s(account, now);
	if (node->revoked_s == 0)
		node->revoked_s = 1; /* a clock that starts in 1970 must not make it look innocent */
	node->revocation = ++account->meta.revocations;
	account_note_revoked(account, node);
	account_touch(account, &node->entry);
	account_touch_network(account, now);
	account->counters.revocations++;
}

static bool revoke_server(struct account *account, struct time_us now, const char *name)
{
	bool is_found = false;

	for (uint32_t i = 0; i < account->server_count; i++) {
		struct account_server_entry *server = &account->servers[i];

		if (strcmp(server->name, name) != 0)
			continue;
		is_found = true;
		if (server->revoked_s)
			continue;
		server->revoked_s = account_wall_s(account, now) ? account_wall_s(account, now) : 1;
		account_touch(account, &server->entry);
		account_touch_network(account, now);
		account->counters.revocations++;
	}
	return is_found;
}

/* By identity: the name becomes free, the identity never comes back (T14). */
enum err account_revoke(struct account *account, struct time_us now, const char *name, struct node_id *ret_id)
{
	struct account_node *node = find_node_for_person(account, name);

	if (node) {
		revoke_node(account, now, node);
		*ret_id = node->certificate.id;
		return OK;
	}
	if (!revoke_server(account, now, name))
		return ERR_UNKNOWN;
	memset(ret_id, 0, sizeof(*ret_id));
	return OK;
}
