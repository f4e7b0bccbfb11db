#include <stdio.h>
#include <string.h>

#include "proto/account/account_state.h"

enum { DERIVED_MAX = 10000 }; /* suffixes tried for one label */

static bool label_part_is_valid(const char *text, size_t size)
{
	if (size == 0 || size > NAME_MAX_SIZE || text[0] == '-' || text[size - 1] == '-')
		return false;
	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

/* One label of a host name, in lower case. */
bool account_label_is_valid(const char *label)
{
	return label_part_is_valid(label, strnlen(label, NAME_MAX_SIZE + 1));
}

/* Labels with dots between, none before or after; the last is not all digits, so that no name looks like an address. */
bool account_zone_is_valid(const char *zone)
{
	size_t size = strnlen(zone, ZONE_MAX_SIZE + 1), start = 0;

	if (size == 0 || size > ZONE_MAX_SIZE)
		return false;
	for (size_t i = 0; i <= size; i++) {
		if (i < size && zone[i] != '.')
			continue;
		if (!label_part_is_valid(zone + start, i - start))
			return false;
		if (i == size)
			return strspn(zone + start, "0123456789") != size - start;
		start = i + 1;
	}
	return false;
}

/* Whole labels are compared: "xnet" is not below "net". */
bool account_zone_is_within(const char *zone, const char *above)
{
	size_t size = strlen(zone), above_size = strlen(above);

	if (size < above_size || strcmp(zone + size - above_size, above) != 0)
		return false;
	return size == above_size || zone[size - above_size - 1] == '.';
}

/* label.zone; untouched when too long. */
enum err account_name_join(const char *label, const char *zone, char ret[FQDN_MAX_SIZE + 1])
{
	size_t label_size = strlen(label), zone_size = strlen(zone);

	if (label_size + 1 + zone_size > FQDN_MAX_SIZE)
		return ERR_SIZE;
	memcpy(ret, label, label_size);
	ret[label_size] = '.';
	memcpy(ret + label_size + 1, zone, zone_size + 1);
	return OK;
}

/*
 * Nodes, zones and relays share one name space, so that `revoke NAME` means one thing. "ns" is every zone's name
 * server.
 */
bool account_name_is_taken(struct account *account, const char *fqdn)
{
	char name[FQDN_MAX_SIZE + 1];

	if (account_find_name(account, fqdn) || strncmp(fqdn, "ns.", 3) == 0)
		return true;
	for (uint32_t i = 0; i < account->server_count; i++) {
		const struct account_server_entry *server = &account->servers[i];

		if (server->revoked_s)
			continue;
		if (server->role == ROLE_COORDINATOR && strcmp(server->name, fqdn) == 0)
			return true;
		if (server->role == ROLE_RELAY && account_name_join(server->name, account->meta.zone, name) == OK &&
		    strcmp(name, fqdn) == 0)
			return true;
	}
	return false;
}

/* The label itself, else with the smallest free suffix, cut to fit. */
enum err account_name_derive(struct account *account, const char *label, const char *zone,
			     char ret_label[NAME_MAX_SIZE + 1])
{
	char candidate[NAME_MAX_SIZE + 1], fqdn[FQDN_MAX_SIZE + 1], suffix[8];

	for (unsigned i = 1; i <= DERIVED_MAX; i++) {
		size_t suffix_size = i == 1 ? 0 : (size_t)snprintf(suffix, sizeof(suffix), "-%u", i);
		size_t size = strlen(label);

		if (size > NAME_MAX_SIZE - suffix_size)
			size = NAME_MAX_SIZE - suffix_size;
		memcpy(candidate, label, size);
		memcpy(candidate + size, suffix, suffix_size);
		candidate[size + suffix_size] = '\0';
		if (account_name_join(candidate, zone, fqdn) != OK)
			return ERR_SIZE;
		if (!account_name_is_taken(account, fqdn)) {
			memcpy(ret_label, candidate, sizeof(candidate));
			return OK;
		}
	}
	return ERR_EXISTS;
}
