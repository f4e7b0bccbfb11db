/* account_trust.c: networks of other account servers that ours trusts. Only here can such trust be given: what a node
 * or a coordinator believes of another network it has from the document that this machine signs. */
#include <string.h>

#include "crypto/hash.h"
#include "proto/account/account_state.h"

static bool overlaps(const struct prefix *a, const struct prefix *b)
{
	return a->ip.family && a->ip.family == b->ip.family &&
	       (prefix_contains(a, &b->ip) || prefix_contains(b, &a->ip));
}

static bool entries_overlap(const struct trusted_entry *a, const struct trusted_entry *b)
{
	return overlaps(&a->pool4, &b->pool4) || overlaps(&a->pool6, &b->pool6);
}

/* Two networks could not be told apart: whoever is trusted for one could speak for the other. */
static enum err judge(const struct account *account, const struct trusted_entry *list, uint8_t index)
{
	const struct trusted_entry *entry = &list[index];
	struct trusted_entry own = {.pool4 = account->meta.pool4, .pool6 = account->meta.pool6};

	if (strcmp(entry->zone, account->meta.zone) == 0 ||
	    memcmp(entry->authority, account->config.authority.public, KEY_SIZE) == 0)
		return ERR_EXISTS;
	for (uint32_t i = 0; i < account->server_count; i++)
		if (account->servers[i].role == ROLE_COORDINATOR && strcmp(account->servers[i].name, entry->zone) == 0)
			return ERR_EXISTS;
	if (!entry->pool6.ip.family || entries_overlap(entry, &own))
		return ERR_DENIED;
	for (uint8_t i = 0; i < index; i++) {
		if (strcmp(list[i].zone, entry->zone) == 0)
			return ERR_EXISTS;
		if (entries_overlap(entry, &list[i]))
			return ERR_DENIED;
	}
	return OK;
}

/* Zero for none, as in stores of before. */
static void hash_list(const struct trusted_entry *list, uint8_t count, uint8_t ret[HASH_SIZE])
{
	static const struct network nothing;
	struct network network = nothing;
	uint8_t bytes[NETWORK_MAX_SIZE];
	struct writer w = writer_over(bytes, sizeof(bytes));
	size_t size = 0;

	memset(ret, 0, HASH_SIZE);
	network.trusted_count = count;
	for (uint8_t i = 0; i < count; i++)
		network.trusted[i] = list[i];
	network_encode(&network, &w);
	if (count && writer_finish(&w, &size) == OK)
		hash(bytes, size, ret);
}

/* The hash stays with the store, so that a start with the same list gives the same document. */
enum err account_set_trusted(struct account *account, struct time_us now, const struct trusted_entry *list,
			     uint8_t count, uint8_t *ret_bad)
{
	uint8_t digest[HASH_SIZE];

	for (uint8_t i = 0; i < count; i++) {
		enum err err = judge(account, list, i);

		if (err) {
			*ret_bad = i;
			return err;
		}
	}
	hash_list(list, count, digest);
	account->trusted_count = count;
	memset(account->trusted, 0, sizeof(account->trusted));
	for (uint8_t i = 0; i < count; i++)
		account->trusted[i] = list[i];
	account->is_network_fresh = false;
	if (memcmp(digest, account->meta.trust_hash, HASH_SIZE) == 0)
		return OK;
	memcpy(account->meta.trust_hash, digest, HASH_SIZE);
	account_touch_network(account, now);
	return OK;
}
