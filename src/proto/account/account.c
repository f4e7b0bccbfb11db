#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/account/account_state.h"
#include "proto/session/trust.h"

/* Keys of the look-up tables: ids and hashes are cut to 64 bits, the whole is compared afterwards. */
static uint64_t table_key(const uint8_t *bytes)
{
	struct reader r = reader_over(bytes, sizeof(uint64_t));

	return read_u64(&r);
}

static uint64_t name_key(const struct account *account, const char *fqdn)
{
	return siphash(account->name_key, fqdn, strlen(fqdn));
}

static uint64_t random_seed(const struct random_source *random)
{
	uint64_t seed;

	random_fill(random, &seed, sizeof(seed));
	return seed;
}

/* Tables have their full size from the start; untouched pages cost nothing. */
struct account *account_create(const struct account_config *config, const struct random_source *random,
			       struct time_us now)
{
	struct account *account = mem_alloc(1, sizeof(*account));

	account->config = *config;
	account->random = *random;
	account->created = now;
	account->meta.entry.table = RECORD_META;
	if (account->config.certificate_valid_s == 0)
		account->config.certificate_valid_s = CERTIFICATE_VALID_S;
	account->nodes_max = config->nodes_max ? config->nodes_max : ACCOUNT_NODES_DEFAULT;
	account->nodes = mem_alloc(account->nodes_max, sizeof(account->nodes[0]));
	account->codes = mem_alloc(ACCOUNT_CODES_MAX, sizeof(account->codes[0]));
	account->answers = mem_alloc(ACCOUNT_ANSWERS_MAX, sizeof(account->answers[0]));
	map_init(&account->nodes_by_id, account->nodes_max, random_seed(random));
	map_init(&account->nodes_by_name, account->nodes_max, random_seed(random));
	map_init(&account->codes_by_hash, ACCOUNT_CODES_MAX, random_seed(random));
	random_fill(random, account->name_key, sizeof(account->name_key));
	return account;
}

/* The signing seed goes with the rest. */
void account_destroy(struct account *account)
{
	if (!account)
		return;
	for (struct account_entry *entry = account->queue_first, *next; entry; entry = next) {
		next = entry->next;
		if (entry->is_erased)
			mem_free(entry);
	}
	for (uint32_t i = 0; i < account->node_count; i++)
		mem_free(account->nodes[i]);
	for (uint32_t i = 0; i < account->code_count; i++)
		mem_free(account->codes[i]);
	map_finish(&account->nodes_by_id);
	map_finish(&account->nodes_by_name);
	map_finish(&account->codes_by_hash);
	mem_free(account->nodes);
	mem_free(account->codes);
	mem_free(account->answers);
	wipe(account, sizeof(*account));
	mem_free(account);
}

/* See account_record.c. */
enum err account_load(struct account *account, const struct record *record)
{
	return account_record_load(account, record);
}

static bool pools_are_usable(const struct prefix *pool4, const struct prefix *pool6)
{
	return pool4->ip.family == 4 && pool4->bits >= 8 && pool4->bits <= 29 && pool6->ip.family == 6 &&
	       pool6->bits == 32;
}

/* What the store told wins over what the driver was told. */
enum err account_start(struct account *account, struct time_us now)
{
	const struct account_config *config = &account->config;

	if (!account->is_loaded) {
		if (!account_zone_is_valid(config->zone) || !pools_are_usable(&config->pool4, &config->pool6))
			return ERR_USAGE;
		memcpy(account->meta.zone, config->zone, sizeof(account->meta.zone));
		account->meta.pool4 = config->pool4;
		account->meta.pool6 = config->pool6;
		account_touch_network(account, now);
	}
	account->is_started = true;
	return OK;
}

/* Network time is what the wall clock said at creation, plus what the monotonic one says since. */
uint64_t account_wall_s(const struct account *account, struct time_us now)
{
	return account->config.wall_s + (uint64_t)(time_since(now, account->created) / USEC_PER_SEC);
}

/* From now on. */
void account_set_wall(struct account *account, struct time_us now, uint64_t wall_s)
{
	account->config.wall_s = wall_s;
	account->created = now;
}

/* An entry waits once, however often it changes before it is pulled. */
void account_touch(struct account *account, struct account_entry *entry)
{
	account->changes++;
	if (entry->is_queued)
		return;
	entry->is_queued = true;
	entry->next = NULL;
	if (account->queue_last)
		account->queue_last->next = entry;
	else
		account->queue_first = entry;
	account->queue_last = entry;
}

/* Signed lazily: a thousand changes before anybody asks cost one signature. */
void account_touch_network(struct account *account, struct time_us now)
{
	account->meta.epoch++;
	account->meta.issued_s = account_wall_s(account, now);
	account->is_network_fresh = false;
	account_touch(account, &account->meta.entry);
}

/* In the order of change. What was erased is let go of here. */
bool account_next_record(struct account *account, struct record *ret)
{
	struct account_entry *entry = account->queue_first;

	if (!entry)
		return false;
	account->queue_first = entry->next;
	if (!account->queue_first) {
		account->queue_last = NULL;
		account->pulled = account->changes;
	}
	entry->is_queued = false;
	account_record_encode(entry, ret);
	if (entry->is_erased)
		mem_free(entry);
	return true;
}

/* Only what had been pulled to the end counts. */
void account_records_durable(struct account *account)
{
	account->durable = account->pulled;
}

static void fill_response(struct account *account, const struct account_pending *pending, struct account_answer *ret)
{
	struct login_response *response = &ret->response;
	struct blob network = account_network(account, account->created, NULL);
	struct writer w = writer_over(response->certificate, sizeof(response->certificate));

	if (pending->node) {
		certificate_encode(&pending->node->certificate, &w);
		if (writer_finish(&w, &response->certificate_size) != OK)
			response->certificate_size = 0;
		ret->id = pending->node->certificate.id;
		memcpy(ret->fqdn, pending->node->certificate.fqdn, sizeof(ret->fqdn));
	} else {
		memcpy(ret->fqdn, pending->fqdn, sizeof(ret->fqdn));
	}
	memcpy(response->network, network.data, network.size);
	response->network_size = network.size;
}

/* Held back until the disk has what the answer says. */
bool account_next_answer(struct account *account, struct account_answer *ret)
{
	const struct account_pending *pending = &account->answers[account->answer_first];

	if (account->answer_count == 0 || pending->change > account->durable)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->token = pending->token;
	ret->role = pending->role;
	ret->repeated = pending->is_repeated;
	ret->refused = pending->reason != 0;
	if (ret->refused) {
		ret->refusal.reason = pending->reason;
		memcpy(ret->refusal.text, pending->text, sizeof(ret->refusal.text));
	} else {
		fill_response(account, pending, ret);
	}
	account->answer_first = (account->answer_first + 1) % ACCOUNT_ANSWERS_MAX;
	account->answer_count--;
	return true;
}

/* The whole id is compared: two ids with the same first half are two devices. */
struct account_node *account_find_node(const struct account *account, const struct node_id *id)
{
	struct account_node *node = map_get(&account->nodes_by_id, table_key(id->bytes));

	return node && node_id_equal(&node->certificate.id, id) ? node : NULL;
}

/* By the hash, which tells nothing about the secret. */
struct account_code *account_find_code(const struct account *account, const uint8_t hash[HASH_SIZE])
{
	struct account_code *code = map_get(&account->codes_by_hash, table_key(hash));

	return code && memcmp(code->hash, hash, HASH_SIZE) == 0 ? code : NULL;
}

/* Only nodes in good standing have their name. */
struct account_node *account_find_name(const struct account *account, const char *fqdn)
{
	struct account_node *node = map_get(&account->nodes_by_name, name_key(account, fqdn));

	return node && strcmp(node->certificate.fqdn, fqdn) == 0 ? node : NULL;
}

/* Revoked ones too. */
struct account_server_entry *account_find_server(struct account *account, const uint8_t static_key[KEY_SIZE])
{
	for (uint32_t i = 0; i < account->server_count; i++)
		if (memcmp(account->servers[i].static_key, static_key, KEY_SIZE) == 0)
			return &account->servers[i];
	return NULL;
}

/* An id whose first half is taken is refused: nobody meets one by chance. */
enum err account_add_node(struct account *account, struct account_node *node)
{
	uint64_t id_key = table_key(node->certificate.id.bytes);

	if (account->node_count == account->nodes_max || map_get(&account->nodes_by_id, id_key))
		return ERR_FULL;
	if (map_put(&account->nodes_by_id, id_key, node) != OK)
		return ERR_FULL;
	if (!node->revoked_s &&
	    map_put(&account->nodes_by_name, name_key(account, node->certificate.fqdn), node) != OK) {
		map_remove(&account->nodes_by_id, id_key);
		return ERR_FULL;
	}
	account->nodes[account->node_count++] = node;
	if (node->revoked_s)
		account_note_revoked(account, node);
	return OK;
}

/* The table is the caller's to make room in. */
enum err account_add_code(struct account *account, struct account_code *code)
{
	uint64_t key = table_key(code->hash);

	if (account->code_count == ACCOUNT_CODES_MAX || map_get(&account->codes_by_hash, key))
		return ERR_FULL;
	if (map_put(&account->codes_by_hash, key, code) != OK)
		return ERR_FULL;
	account->codes[account->code_count++] = code;
	return OK;
}

/* Newest first; records come in any order. */
void account_note_revoked(struct account *account, struct account_node *node)
{
	uint32_t at = 0;

	account->revoked_total++;
	while (at < account->revoked_count && account->revoked[at]->revocation > node->revocation)
		at++;
	if (at == ACCOUNT_REVOKED_MAX)
		return;
	if (account->revoked_count < ACCOUNT_REVOKED_MAX)
		account->revoked_count++;
	memmove(&account->revoked[at + 1], &account->revoked[at],
		(account->revoked_count - at - 1) * sizeof(account->revoked[0]));
	account->revoked[at] = node;
}

/* Labelled, so that the hash is of no use elsewhere. */
void account_hash_secret(const uint8_t secret[JOIN_SECRET_SIZE], uint8_t ret[HASH_SIZE])
{
	static const char label[] = "ntm join secret";
	struct blob parts[] = {{(const uint8_t *)label, sizeof(label) - 1}, {secret, JOIN_SECRET_SIZE}};

	hash_parts(parts, 2, ret);
}

/* The account server's public key. */
const uint8_t *account_authority(const struct account *account)
{
	return account->config.authority.public;
}

/* As created, whatever the configuration says today. */
const char *account_zone(const struct account *account)
{
	return account->meta.zone;
}

/* Likewise. */
struct prefix account_pool4(const struct account *account)
{
	return account->meta.pool4;
}

/* Likewise. */
struct prefix account_pool6(const struct account *account)
{
	return account->meta.pool6;
}

/* In the order of their coming, those of former lives in the order of the store; revoked ones too. */
bool account_node_at(const struct account *account, uint32_t index, struct account_node_info *ret)
{
	const struct account_node *node;

	if (index >= account->node_count)
		return false;
	node = account->nodes[index];
	memset(ret, 0, sizeof(*ret));
	ret->id = node->certificate.id;
	memcpy(ret->fqdn, node->certificate.fqdn, sizeof(ret->fqdn));
	ret->serial = node->certificate.serial;
	ret->joined_s = node->joined_s;
	ret->not_after_s = node->certificate.not_after_s;
	ret->revoked_s = node->revoked_s;
	return true;
}

/* Gauges are counted here, so that nothing else has to keep them right. */
void account_get_counters(const struct account *account, struct time_us now, struct account_counters *ret)
{
	uint64_t now_s = account_wall_s(account, now);

	*ret = account->counters;
	ret->nodes = account->node_count - account->revoked_total;
	ret->revoked = account->revoked_total;
	for (uint32_t i = 0; i < account->code_count; i++)
		ret->codes_open +=
			account->codes[i]->uses < account->codes[i]->uses_max && account->codes[i]->expires_s > now_s;
	for (uint32_t i = 0; i < account->server_count; i++) {
		const struct account_server_entry *server = &account->servers[i];

		ret->coordinators += !server->revoked_s && server->role == ROLE_COORDINATOR;
		ret->relays += !server->revoked_s && server->role == ROLE_RELAY;
	}
}
