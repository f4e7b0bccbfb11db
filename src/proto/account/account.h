/*
 * account.h: the Account Server as a pure machine: admits devices and servers by join code, signs their certificates,
 * keeps the list of who serves and who is revoked, carves the virtual IPv4 block (design 4 and 9).
 *
 * Contract: one thread; `now` never goes back. Acknowledged means durable: after every input the driver pulls
 * account_next_record until false, stores them in one transaction, fsyncs, calls account_records_durable, and only then
 * do answers come out of account_next_answer. Join codes and revocations are told to people after the same step. When
 * the store fails the machine is ahead of it: end the process.
 */
#pragma once

#include "base/record.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "proto/session/env.h"
#include "wire/login.h"

struct account;

enum {
	ACCOUNT_NODES_DEFAULT = 65536,
	ACCOUNT_CODES_MAX = 16384,  /* codes remembered: open, used and expired ones */
	ACCOUNT_ANSWERS_MAX = 1024, /* logins that wait for the store */
	ACCOUNT_USES_MAX = 1000000, /* of one code */
	ACCOUNT_EXPORTER_SIZE = 32,
	ACCOUNT_PROOF_TEXT_SIZE = 9 + 1 + ACCOUNT_EXPORTER_SIZE + 2 * KEY_SIZE,
};
#define ACCOUNT_CODE_KEPT_S (30 * 86400LL) /* after its expiry a code is still told apart from a mistyped one */
#define ACCOUNT_EXPIRY_MAX_S (3650 * 86400LL)

struct account_config {
	struct sign_keys authority;   /* signs everything; the driver keeps its seed */
	char zone[ZONE_MAX_SIZE + 1]; /* lower case, no final dot; ignored when records tell another */
	struct prefix pool4, pool6;   /* the network's blocks; likewise */
	uint8_t piece4_bits; /* size of a coordinator's piece of pool4; 0: two bits more than the block, at least 17 */
	uint64_t wall_s;     /* seconds since 1970 at `now` of account_create */
	uint32_t nodes_max;  /* 0: ACCOUNT_NODES_DEFAULT */
	uint64_t certificate_valid_s; /* of devices, from when they are made; 0: CERTIFICATE_VALID_S */
};

struct account *account_create(const struct account_config *config, const struct random_source *random,
			       struct time_us now);
void account_destroy(struct account *account); /* wipes; accepts NULL */
/* Replay of the store, before the first input. Other tables are ignored. An error names an unusable record; the machine
 * is unchanged. */
must_use enum err account_load(struct account *account, const struct record *record);
/* After the last account_load. On first start it emits what must not change later: zone and pools. ERR_USAGE: zone or
 * pools make no sense. */
must_use enum err account_start(struct account *account, struct time_us now);
/* The machine's clock was stepped. */
void account_set_wall(struct account *account, struct time_us now, uint64_t wall_s);

/* What the proof in a login request signs (wire/login.h); sign_key is the identity key. */
void account_proof_text(uint8_t role, const uint8_t exporter[ACCOUNT_EXPORTER_SIZE], const uint8_t static_key[KEY_SIZE],
			const uint8_t identity_key[KEY_SIZE], uint8_t ret[ACCOUNT_PROOF_TEXT_SIZE]);

/*
 * A login over the TLS connection with this exporter; token comes back with the answer. A request whose secret is all
 * zero renews: the identity is known and not revoked; it gets a fresh certificate, a server may tell new addresses.
 * ERR_FULL: too many wait for the store, nothing was done.
 */
must_use enum err account_login(struct account *account, struct time_us now, uint64_t token,
				const struct login_request *request, const uint8_t exporter[ACCOUNT_EXPORTER_SIZE]);

struct account_answer {
	uint64_t token;
	bool refused;
	struct login_refusal refusal;	/* when refused */
	struct login_response response; /* else */
	/* For logs; of an admitted node, coordinator or relay. */
	uint8_t role;
	bool repeated; /* the same device asked again: no use was counted */
	struct node_id id;
	char fqdn[FQDN_MAX_SIZE + 1];
};
/* Only what is durable. False when there is none (yet). */
bool account_next_answer(struct account *account, struct account_answer *ret);
bool account_next_record(struct account *account, struct record *ret);
/* Everything pulled so far is fsynced. */
void account_records_durable(struct account *account);

struct account_invite {
	uint8_t role;		      /* enum login_role */
	char name[FQDN_MAX_SIZE + 1]; /* label of a node or relay, zone of a coordinator; empty: the newcomer chooses */
	char zone[ZONE_MAX_SIZE + 1]; /* nodes: which zone they join; empty: the network's */
	uint32_t uses;		      /* 1.. */
	uint64_t expires_in_s;	      /* 1.. */
	struct server_addresses addresses; /* of the account server, to be put into the code */
};
/* ERR_USAGE: bad name or number. ERR_EXISTS: the name is taken. ERR_UNKNOWN: no such zone. ERR_FULL. Only a hash of the
 * secret is kept. */
must_use enum err account_invite(struct account *account, struct time_us now, const struct account_invite *invite,
				 struct join_code *ret);

/*
 * By label, FQDN, zone of a coordinator, name of a relay or NodeID in hex. ERR_UNKNOWN. Revoking twice is no error.
 * *ret_id is all zero for servers, which are only taken out of the network document.
 */
must_use enum err account_revoke(struct account *account, struct time_us now, const char *name, struct node_id *ret_id);

/* A server in the driver's own process: entered or updated without a code, at every start. */
struct account_server {
	uint8_t role;		      /* ROLE_COORDINATOR or ROLE_RELAY */
	char name[ZONE_MAX_SIZE + 1]; /* zone, empty: the network's; name of a relay */
	uint8_t static_key[KEY_SIZE], sign_key[KEY_SIZE];
	struct server_addresses addresses;
	bool is_builtin; /* a coordinator that takes half of a pool4 of /15 and more, all of a smaller one */
};
must_use enum err account_put_server(struct account *account, struct time_us now, const struct account_server *server);

/*
 * Networks of other account servers whose nodes may meet ours, in place of those before; the document changes only when
 * they do. ERR_EXISTS: a zone or key is ours, or stands twice. ERR_DENIED: addresses overlap with ours or another's, or
 * there is no IPv6 prefix. *ret_bad is the index of the entry then, and nothing is changed.
 */
must_use enum err account_set_trusted(struct account *account, struct time_us now, const struct trusted_entry *list,
				      uint8_t count, uint8_t *ret_bad);

/* The current signed network document, and the same decoded. Both valid until the next call with `now`. */
struct blob account_network(struct account *account, struct time_us now, const struct network **ret_network);
const uint8_t *account_authority(const struct account *account);
const char *account_zone(const struct account *account);
struct prefix account_pool4(const struct account *account);
struct prefix account_pool6(const struct account *account);

struct account_node_info {
	struct node_id id;
	char fqdn[FQDN_MAX_SIZE + 1];
	uint64_t serial, joined_s, not_after_s, revoked_s; /* revoked_s 0: in good standing */
};
/* index counts from 0 without gaps, until false. */
bool account_node_at(const struct account *account, uint32_t index, struct account_node_info *ret);

struct account_counters {
	uint64_t logins, renewals, repeated, refused[10]; /* refused: by enum login_reason, 0 for others */
	uint64_t invites, revocations;
	uint32_t nodes, revoked, codes_open, coordinators, relays;
};
void account_get_counters(const struct account *account, struct time_us now, struct account_counters *ret);
