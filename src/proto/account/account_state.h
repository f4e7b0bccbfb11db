/* account_state.h: the inside of the account machine; only files of this folder include it. */
#pragma once

#include "base/map.h"
#include "proto/account/account.h"

enum { ACCOUNT_SERVERS_MAX = 64, ACCOUNT_REVOKED_MAX = 256 };

/* What everything durable starts with: changed entries queue up until their record is pulled. */
struct account_entry {
	enum record_table table;
	bool is_queued, is_erased;
	struct account_entry *next;
};

struct account_meta {
	struct account_entry entry;
	uint64_t serial, epoch, issued_s, revocations;
	char zone[ZONE_MAX_SIZE + 1];
	struct prefix pool4, pool6;
	uint8_t trust_hash[HASH_SIZE]; /* of the list of trusted networks; zero: none */
};

struct account_code {
	struct account_entry entry;
	uint8_t hash[HASH_SIZE]; /* of the secret, which is kept nowhere */
	uint8_t role;
	char name[FQDN_MAX_SIZE + 1];
	char zone[ZONE_MAX_SIZE + 1];
	uint32_t uses, uses_max;
	uint64_t created_s, expires_s;
};

struct account_node {
	struct account_entry entry;
	struct certificate certificate;
	uint8_t code_hash[HASH_SIZE];		  /* of the code that admitted it last */
	uint64_t joined_s, revoked_s, revocation; /* revocation: order among the revoked, from 1 */
};

/* A coordinator or a relay. Revoked ones stay: their piece of the pool is still leased out. */
struct account_server_entry {
	struct account_entry entry;
	uint8_t role;
	char name[ZONE_MAX_SIZE + 1];
	uint8_t static_key[KEY_SIZE], sign_key[KEY_SIZE], code_hash[HASH_SIZE];
	struct prefix pool4; /* coordinators */
	struct server_addresses addresses;
	uint64_t revoked_s;
};

/* An answer on its way: what it says is made when it is pulled. */
struct account_pending {
	uint64_t token, change; /* change: what must be durable first */
	uint8_t role;
	bool is_repeated;
	uint8_t reason; /* enum login_reason; 0: admitted */
	char text[sizeof(((struct login_refusal *)0)->text)];
	struct account_node *node; /* of an admitted node */
	char fqdn[FQDN_MAX_SIZE + 1];
};

struct account {
	struct account_config config;
	struct random_source random;
	struct time_us created;
	bool is_started, is_loaded; /* is_loaded: the store knows a network */
	struct account_meta meta;

	struct account_node **nodes;
	uint32_t node_count, nodes_max;
	struct map nodes_by_id, nodes_by_name;
	uint8_t name_key[16];
	struct account_node *revoked[ACCOUNT_REVOKED_MAX]; /* newest first */
	uint32_t revoked_count, revoked_total;

	struct account_code **codes;
	uint32_t code_count;
	struct map codes_by_hash;

	struct account_server_entry servers[ACCOUNT_SERVERS_MAX];
	uint32_t server_count;

	/* changes counts every change; pulled and durable say how far records and disk have followed. */
	struct account_entry *queue_first, *queue_last;
	uint64_t changes, pulled, durable;
	struct account_pending *answers; /* ring of ACCOUNT_ANSWERS_MAX */
	uint32_t answer_first, answer_count;

	uint8_t trusted_count; /* told at every start, not stored */
	struct trusted_entry trusted[TRUSTED_MAX];

	bool is_network_fresh;
	struct network network;
	uint8_t network_bytes[NETWORK_MAX_SIZE];
	size_t network_size;
	struct account_counters counters;
};

/* Network time. */
uint64_t account_wall_s(const struct account *account, struct time_us now);
/* The entry has changed and must reach the store. */
void account_touch(struct account *account, struct account_entry *entry);
/* The network document has changed: its epoch rises. */
void account_touch_network(struct account *account, struct time_us now);
/* NULL when absent. */
struct account_node *account_find_node(const struct account *account, const struct node_id *id);
struct account_code *account_find_code(const struct account *account, const uint8_t hash[HASH_SIZE]);
struct account_node *account_find_name(const struct account *account, const char *fqdn);
struct account_server_entry *account_find_server(struct account *account, const uint8_t static_key[KEY_SIZE]);
/* Takes over a node that is not in the tables yet. ERR_FULL. */
must_use enum err account_add_node(struct account *account, struct account_node *node);
must_use enum err account_add_code(struct account *account, struct account_code *code);
/* Keeps the list of the revoked in order. */
void account_note_revoked(struct account *account, struct account_node *node);
void account_hash_secret(const uint8_t secret[JOIN_SECRET_SIZE], uint8_t ret[HASH_SIZE]);

/* Record <-> entry (account_record.c). */
void account_record_encode(const struct account_entry *entry, struct record *ret);
must_use enum err account_record_load(struct account *account, const struct record *record);

/* Names (account_name.c). */
bool account_label_is_valid(const char *label);
bool account_zone_is_valid(const char *zone);
/* zone is `above` or below it. */
bool account_zone_is_within(const char *zone, const char *above);
/* ERR_SIZE when it does not fit. */
must_use enum err account_name_join(const char *label, const char *zone, char ret[FQDN_MAX_SIZE + 1]);
/* By a node in good standing, a zone, or a relay. */
bool account_name_is_taken(struct account *account, const char *fqdn);
/* label, or label-2, label-3 ...: the first that is free in zone. ERR_EXISTS. */
must_use enum err account_name_derive(struct account *account, const char *label, const char *zone,
				      char ret_label[NAME_MAX_SIZE + 1]);

/* Servers (account_network.c). A reason (enum login_reason), 0: entered. */
struct account_server_wish {
	uint8_t role;
	const char *name; /* empty: one is found */
	const uint8_t *static_key, *sign_key, *code_hash;
	const struct server_addresses *addresses;
	bool is_builtin, is_named_by_code;
};
uint8_t account_enter_server(struct account *account, struct time_us now, const struct account_server_wish *wish,
			     struct account_server_entry **ret);
void account_update_server(struct account *account, struct time_us now, struct account_server_entry *server,
			   const struct server_addresses *addresses);
