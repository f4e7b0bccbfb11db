/*
 * credential.h: the three signed documents: account certificate (by the account server), lease (by a coordinator),
 * network document (by the account server). Each is: u8 kind, u8 version, body, Ed25519 signature over all before it,
 * preceded by a domain-separating text. One canonical encoding: decoding and encoding again gives the same bytes
 * (T14), so a document has no optional fields. Here are only bytes; signing and judging is proto/session/trust.h.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "wire/limits.h"

struct node_id {
	uint8_t bytes[NODE_ID_SIZE];
};

enum document_kind { DOCUMENT_CERTIFICATE = 1, DOCUMENT_LEASE = 2, DOCUMENT_NETWORK = 3 };
enum { DOCUMENT_VERSION = 1, DOCUMENT_VERSION_TRUST = 2 /* of a network document that trusts other networks */ };

/* Design 4: who a device is, by the account server. */
struct certificate {
	uint64_t serial;
	struct node_id id;		/* hash of identity_key, checked by trust_* */
	uint8_t identity_key[KEY_SIZE]; /* Ed25519 */
	uint8_t static_key[KEY_SIZE];	/* X25519 */
	char fqdn[FQDN_MAX_SIZE + 1];	/* lower case, no final dot */
	char account[ACCOUNT_MAX_SIZE + 1];
	uint8_t group_count;
	char groups[GROUPS_MAX][GROUP_MAX_SIZE + 1]; /* strictly ascending */
	uint64_t not_before_s, not_after_s;	     /* since 1970 */
	uint8_t signature[SIGNATURE_SIZE];
};

/* Design 4: which virtual addresses a device holds, by its coordinator. */
struct lease {
	struct node_id id;
	struct ip v4, v6; /* v4 may be none */
	uint64_t epoch;	  /* rises when the same node is leased anew */
	uint64_t issued_s, not_after_s;
	uint8_t coordinator_key[KEY_SIZE]; /* Ed25519, must be listed in the network document */
	uint8_t signature[SIGNATURE_SIZE];
};

struct server_addresses {
	uint8_t count;
	struct addr list[SERVER_ADDRESSES_MAX];
};

struct coordinator_entry {
	char zone[ZONE_MAX_SIZE + 1];
	uint8_t static_key[KEY_SIZE]; /* X25519: handshakes */
	uint8_t sign_key[KEY_SIZE];   /* Ed25519: leases */
	struct prefix pool4, pool6;   /* what it may lease (design 9); either may be none */
	struct server_addresses addresses;
};

struct relay_entry {
	char name[NAME_MAX_SIZE + 1];
	uint8_t static_key[KEY_SIZE]; /* X25519: tickets are sealed to it */
	struct server_addresses addresses;
};

/* A network of another account server whose nodes ours may meet. */
struct trusted_entry {
	char zone[ZONE_MAX_SIZE + 1]; /* it names nodes in there and below, and nowhere else */
	uint8_t authority[KEY_SIZE];  /* of its account server */
	struct prefix pool4, pool6;   /* its nodes' addresses lie in there; either may be none */
};

/* Who serves this network, by the account server: pinned by the join code, refreshed over TLS. */
struct network {
	uint64_t epoch; /* rises with every change */
	uint64_t issued_s;
	uint8_t version_floor; /* lowest protocol version to speak (security 4) */
	uint8_t coordinator_count, relay_count;
	struct coordinator_entry coordinators[COORDINATORS_MAX];
	struct relay_entry relays[RELAYS_MAX];
	uint16_t revoked_count;
	struct node_id revoked[REVOKED_MAX]; /* newest first; older revocations live in the coordinators' stores */
	uint8_t trusted_count;
	struct trusted_entry trusted[TRUSTED_MAX];
	uint8_t signature[SIGNATURE_SIZE];
};

/*
 * Encoders write the document with its signature, which covers all bytes but its own: the last SIGNATURE_SIZE.
 * Decoders take exactly one document: bytes after it are ERR_MALFORMED.
 */
void certificate_encode(const struct certificate *certificate, struct writer *w);
must_use enum err certificate_decode(struct reader *r, struct certificate *ret);
void lease_encode(const struct lease *lease, struct writer *w);
must_use enum err lease_decode(struct reader *r, struct lease *ret);
void network_encode(const struct network *network, struct writer *w);
must_use enum err network_decode(struct reader *r, struct network *ret);

/* u8 count, transport addresses. */
void write_server_addresses(struct writer *w, const struct server_addresses *addresses);
void read_server_addresses(struct reader *r, struct server_addresses *ret);
