#include <string.h>

#include "base/mem.h"
#include "proto/account/account_state.h"
#include "wire/field.h"

/* Every value starts with this, so that a later layout can be told apart. */
enum { RECORD_LAYOUT = 1 };

static const char meta_key[] = "account";

static void write_prefix(struct writer *w, const struct prefix *prefix)
{
	write_ip(w, &prefix->ip);
	write_u8(w, prefix->bits);
}

static struct prefix read_prefix(struct reader *r)
{
	struct prefix prefix = {.ip = read_ip(r)};

	prefix.bits = read_u8(r);
	return prefix;
}

static void write_meta(const struct account_meta *meta, struct record *record, struct writer *w)
{
	static const uint8_t nothing[HASH_SIZE];

	record->key_size = sizeof(meta_key) - 1;
	memcpy(record->key, meta_key, record->key_size);
	write_u64(w, meta->serial);
	write_u64(w, meta->epoch);
	write_u64(w, meta->issued_s);
	write_u64(w, meta->revocations);
	write_text(w, meta->zone);
	write_prefix(w, &meta->pool4);
	write_prefix(w, &meta->pool6);
	if (memcmp(meta->trust_hash, nothing, HASH_SIZE) != 0)
		write_bytes(w, meta->trust_hash, HASH_SIZE);
}

static void write_code(const struct account_code *code, struct record *record, struct writer *w)
{
	record->key_size = HASH_SIZE;
	memcpy(record->key, code->hash, HASH_SIZE);
	write_u8(w, code->role);
	write_text(w, code->name);
	write_text(w, code->zone);
	write_u32(w, code->uses);
	write_u32(w, code->uses_max);
	write_u64(w, code->created_s);
	write_u64(w, code->expires_s);
}

static void write_node(const struct account_node *node, struct record *record, struct writer *w)
{
	record->key_size = NODE_ID_SIZE;
	memcpy(record->key, node->certificate.id.bytes, NODE_ID_SIZE);
	write_bytes(w, node->code_hash, HASH_SIZE);
	write_u64(w, node->joined_s);
	write_u64(w, node->revoked_s);
	write_u64(w, node->revocation);
	certificate_encode(&node->certificate, w);
}

static void write_server(const struct account_server_entry *server, struct record *record, struct writer *w)
{
	record->key_size = KEY_SIZE;
	memcpy(record->key, server->static_key, KEY_SIZE);
	write_u8(w, server->role);
	write_text(w, server->name);
	write_bytes(w, server->sign_key, KEY_SIZE);
	write_bytes(w, server->code_hash, HASH_SIZE);
	write_u64(w, server->revoked_s);
	write_u8(w, server->addresses.count);
	for (uint8_t i = 0; i < server->addresses.count; i++)
		write_addr(w, &server->addresses.list[i]);
	if (server->role == ROLE_COORDINATOR)
		write_prefix(w, &server->pool4);
}

/* The entry as it is now. Everything has bounds well below RECORD_VALUE_MAX, so that it always fits. */
void account_record_encode(const struct account_entry *entry, struct record *ret)
{
	struct writer w;
	size_t size = 0;

	memset(ret, 0, sizeof(*ret));
	ret->table = entry->table;
	ret->erase = entry->is_erased;
	w = writer_over(ret->value, sizeof(ret->value));
	write_u8(&w, RECORD_LAYOUT);
	switch (entry->table) {
	case RECORD_META: write_meta((const struct account_meta *)entry, ret, &w); break;
	case RECORD_CODE: write_code((const struct account_code *)entry, ret, &w); break;
	case RECORD_NODE: write_node((const struct account_node *)entry, ret, &w); break;
	case RECORD_SERVER: write_server((const struct account_server_entry *)entry, ret, &w); break;
	case RECORD_LEASE:
	case RECORD_TABLES: break;
	}
	if (writer_finish(&w, &size) == OK && !ret->erase)
		ret->value_size = (uint16_t)size;
	if (ret->erase)
		memset(ret->value, 0, sizeof(ret->value));
}

static enum err load_meta(struct account *account, const struct record *record, struct reader *r)
{
	struct account_meta meta = {.entry = {.table = RECORD_META}};
	enum err err;

	if (record->key_size != sizeof(meta_key) - 1 || memcmp(record->key, meta_key, record->key_size) != 0)
		return OK;
	meta.serial = read_u64(r);
	meta.epoch = read_u64(r);
	meta.issued_s = read_u64(r);
	meta.revocations = read_u64(r);
	read_text(r, meta.zone, ZONE_MAX_SIZE);
	meta.pool4 = read_prefix(r);
	meta.pool6 = read_prefix(r);
	if (r->err == OK && reader_left(r) > 0) /* without any trust it ends here */
		read_bytes(r, meta.trust_hash, HASH_SIZE);
	err = reader_finish(r);
	if (err != OK)
		return err;
	account->meta = meta;
	account->is_loaded = true;
	return OK;
}

static enum err load_code(struct account *account, const struct record *record, struct reader *r)
{
	struct account_code *code = mem_alloc(1, sizeof(*code));
	enum err err;

	code->entry.table = RECORD_CODE;
	memcpy(code->hash, record->key, HASH_SIZE);
	code->role = read_u8(r);
	read_text(r, code->name, FQDN_MAX_SIZE);
	read_text(r, code->zone, ZONE_MAX_SIZE);
	code->uses = read_u32(r);
	code->uses_max = read_u32(r);
	code->created_s = read_u64(r);
	code->expires_s = read_u64(r);
	err = record->key_size == HASH_SIZE ? reader_finish(r) : ERR_MALFORMED;
	if (err == OK)
		err = account_add_code(account, code);
	if (err != OK)
		mem_free(code);
	return err;
}

static enum err load_node(struct account *account, const struct record *record, struct reader *r)
{
	struct account_node *node = mem_alloc(1, sizeof(*node));
	enum err err;

	node->entry.table = RECORD_NODE;
	read_bytes(r, node->code_hash, HASH_SIZE);
	node->joined_s = read_u64(r);
	node->revoked_s = read_u64(r);
	node->revocation = read_u64(r);
	err = certificate_decode(r, &node->certificate);
	if (err == OK)
		err = reader_finish(r);
	if (err == OK &&
	    (record->key_size != NODE_ID_SIZE || memcmp(record->key, node->certificate.id.bytes, NODE_ID_SIZE) != 0))
		err = ERR_MALFORMED;
	if (err == OK)
		err = account_add_node(account, node);
	if (err != OK)
		mem_free(node);
	return err;
}

static enum err load_server(struct account *account, const struct record *record, struct reader *r)
{
	struct account_server_entry server = {.entry = {.table = RECORD_SERVER}};
	enum err err;

	if (record->key_size != KEY_SIZE)
		return ERR_MALFORMED;
	memcpy(server.static_key, record->key, KEY_SIZE);
	server.role = read_u8(r);
	read_text(r, server.name, ZONE_MAX_SIZE);
	read_bytes(r, server.sign_key, KEY_SIZE);
	read_bytes(r, server.code_hash, HASH_SIZE);
	server.revoked_s = read_u64(r);
	server.addresses.count = read_u8(r);
	if (server.addresses.count > SERVER_ADDRESSES_MAX)
		return ERR_MALFORMED;
	for (uint8_t i = 0; i < server.addresses.count; i++)
		server.addresses.list[i] = read_addr(r);
	if (server.role == ROLE_COORDINATOR)
		server.pool4 = read_prefix(r);
	err = reader_finish(r);
	if (err != OK)
		return err;
	if (account->server_count == ACCOUNT_SERVERS_MAX)
		return ERR_FULL;
	account->servers[account->server_count++] = server;
	return OK;
}

/* One stored fact; of other tables nothing is known here. */
enum err account_record_load(struct account *account, const struct record *record)
{
	struct reader r = reader_over(record->value, record->value_size);

	if (record->erase || record->table < RECORD_NODE || record->table > RECORD_META)
		return OK;
	if (read_u8(&r) != RECORD_LAYOUT)
		return ERR_MALFORMED;
	switch (record->table) {
	case RECORD_META: return load_meta(account, record, &r);
	case RECORD_CODE: return load_code(account, record, &r);
	case RECORD_NODE: return load_node(account, record, &r);
	case RECORD_SERVER: return load_server(account, record, &r);
	case RECORD_LEASE:
	case RECORD_TABLES: break;
	}
	return OK;
}
