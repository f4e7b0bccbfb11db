/*
 * coordinator.h: the Direction Coordinator as a pure machine: registers nodes, leases their virtual addresses, serves
 * their names, directs tunnels, pushes moves (design 6 to 9).
 *
 * Contract: one thread; `now` never goes back; strangers' bytes never fail an assertion, allocate or grow anything.
 * Acknowledged means durable: after every batch of input the driver pulls records, stores them, calls
 * coordinator_records_durable, then pulls datagrams.
 *
 * What nodes should know: packets from a new address make that address the node's when it has answered a Path Challenge
 * and the old one has not (E3), or at once when an Update Request from there has a risen move epoch. Until it has
 * answered no more goes there than came from it (E5, T6), answers to requests excepted; the epoch buys more. So nodes
 * answer MESSAGE_PATH_CHALLENGE of their coordinator with MESSAGE_PATH_RESPONSE, acknowledge Route Direction and Route
 * Update with MESSAGE_ACK, pad Keep Alive and Update with FIELD_PAD to PAD_REQUEST_TO bytes, and register again when
 * half of their lease has passed.
 */
#pragma once

#include "base/datagram.h"
#include "base/record.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/keys.h"
#include "proto/session/env.h"
#include "wire/credential.h"
#include "wire/relay_report.h"
#include "wire/zone_record.h"

struct coordinator;

enum {
	COORDINATOR_NODES_DEFAULT = 65536,
	PAD_REQUEST_TO = 160, /* plaintext of Keep Alive and Update: an answer and two challenges are then no larger */
};

enum coordinator_event_type {
	COORDINATOR_NODE_LEASED, /* new: it got its addresses */
	COORDINATOR_NODE_ONLINE,
	COORDINATOR_NODE_OFFLINE,
	COORDINATOR_NODE_MOVED,	  /* its observed address changed */
	COORDINATOR_NODE_REFUSED, /* authenticated, but not let in: reason */
	COORDINATOR_NODE_REVOKED,
	COORDINATOR_NODE_RESTORED,
	COORDINATOR_DIRECTED,	  /* node asked for peer: both were told */
	COORDINATOR_NOT_DIRECTED, /* node asked in vain: reason */
	COORDINATOR_LEASE_REUSED, /* the pool is used up: node lost its long expired addresses */
	COORDINATOR_LINK_UP,	  /* fqdn: the zone whose coordinator is linked now */
	COORDINATOR_LINK_DOWN,
	COORDINATOR_NODE_PROVED,   /* it has shown that it receives at observed */
	COORDINATOR_RELAY_CHANGED, /* node and peer get another relay; reason: enum relay_cause */
	COORDINATOR_REALM_TAKEN,   /* fqdn: a zone of another network whose coordinator has proved itself */
	COORDINATOR_REALM_REFUSED, /* ... or could not: reason */
};

/* Pointers are borrowed for the call. Only authenticated facts are events, so that strangers cannot fill a log. */
struct coordinator_event {
	enum coordinator_event_type type;
	const struct node_id *id;
	const char *fqdn;
	const char *peer_fqdn; /* directions; else NULL */
	struct ip v4, v6;
	struct addr observed;
	uint8_t reason; /* enum reason */
};

/* event may be NULL; it must not call back into the machine. */
struct coordinator_env {
	struct random_source random;
	void *ctx;
	void (*event)(void *ctx, const struct coordinator_event *event);
};

struct coordinator_config {
	struct dh_keys static_keys;
	struct sign_keys sign_keys;
	uint8_t authority[KEY_SIZE];  /* account server's key: signs certificates */
	char zone[ZONE_MAX_SIZE + 1]; /* lower case, no final dot */
	struct prefix pool4, pool6;
	struct ip ns_v4, ns_v6;	    /* where the zone is served, for NS glue; family 0: none */
	uint64_t wall_s;	    /* network time (seconds since 1970) at `now` of coordinator_create */
	uint32_t nodes_max;	    /* 0: COORDINATOR_NODES_DEFAULT */
	struct aead_provider *aead; /* borrowed; outlives the machine. NULL: the machine makes its own */
	bool has_resolver;	    /* the driver answers coordinator_next_lookup */
};

struct coordinator *coordinator_create(const struct coordinator_config *config, const struct coordinator_env *env,
				       struct time_us now);
void coordinator_destroy(struct coordinator *coordinator); /* wipes; accepts NULL */
/* Before a planned end: members are told, some with each call; *cursor starts at 0. Datagrams are to be pulled after
 * each one; false after the last. */
bool coordinator_leave(struct coordinator *coordinator, struct time_us now, uint32_t *cursor);

/* Replay of the store, before the first input. Other tables are ignored. An error says which record is unusable; the
 * machine is unchanged. */
must_use enum err coordinator_load(struct coordinator *coordinator, const struct record *record);
/* A verified network document (network_judge): relays, and revocations, which end the sessions of those concerned at
 * once. */
void coordinator_set_network(struct coordinator *coordinator, struct time_us now, const struct network *network);
/* The machine's clock was stepped: network time at now. Sessions do not care (T10). */
void coordinator_set_wall(struct coordinator *coordinator, struct time_us now, uint64_t wall_s);
/* By identity, known here or not; durable, idempotent. */
void coordinator_revoke(struct coordinator *coordinator, struct time_us now, const struct node_id *id);
void coordinator_restore(struct coordinator *coordinator, struct time_us now, const struct node_id *id);

/* One datagram or a train of them. The error tells about the last one that was not accepted, for tests; drivers ignore
 * it. */
enum err coordinator_input_datagram(struct coordinator *coordinator, struct time_us now,
				    const struct datagram *datagram);
void coordinator_input_time(struct coordinator *coordinator, struct time_us now);
/* Every record pulled so far is fsynced: answers that waited for it may go out. */
void coordinator_records_durable(struct coordinator *coordinator, struct time_us now);

bool coordinator_next_datagram(struct coordinator *coordinator, struct datagram *ret);
bool coordinator_next_record(struct coordinator *coordinator, struct record *ret);
struct time_us coordinator_next_deadline(const struct coordinator *coordinator);

enum zone_lookup { ZONE_FOUND, ZONE_ABSENT, ZONE_SILENT };

/* A zone of a trusted network, whose record DNS is to be asked for; each is answered by coordinator_input_zone. */
bool coordinator_next_lookup(struct coordinator *coordinator, char ret_zone[ZONE_MAX_SIZE + 1]);
/* record: when it was found; borrowed. */
void coordinator_input_zone(struct coordinator *coordinator, struct time_us now, const char *zone,
			    enum zone_lookup outcome, const struct zone_record *record, uint32_t ttl_s);

/* May a DNS query over UDP, whose source may be forged, be answered now? */
bool coordinator_admits_dns(struct coordinator *coordinator, struct time_us now, const struct ip *source);
/* Authoritative answer to a DNS query (without TCP's length prefix). 0: nothing may be answered. */
size_t coordinator_answer_dns(struct coordinator *coordinator, struct time_us now, const uint8_t *query, size_t size,
			      bool is_tcp, uint8_t *ret_answer, size_t capacity);

struct coordinator_counters {
	uint64_t datagrams, bytes; /* received */
	uint64_t dropped_size, dropped_type, dropped_unknown, dropped_mac1, dropped_replay, dropped_auth,
		dropped_malformed;
	uint64_t limited_handshakes, limited_requests, cookies; /* cookies: sources asked to prove themselves */
	uint64_t handshakes, handshakes_repeated, registrations, refusals;
	uint64_t directions, directions_repeated, not_directed;
	uint64_t updates_pushed, keep_alives, echoes, rekeys, moves;
	uint64_t sent, sent_bytes, dropped_out; /* dropped_out: the queue was full, or the address is unproven */
	uint64_t dns_queries, dns_answers, dns_refused, dns_limited;
	uint64_t inquiries, inquiries_received; /* between coordinators */
	uint64_t links_begun, links_answered;
	uint64_t relay_choices, relay_changes[RELAY_CAUSES]; /* of tunnels */
	uint64_t relay_reports, relay_complaints, relay_probes;
	uint64_t lookups;	 /* zones that DNS was asked for */
	uint64_t network_doubts; /* signs that our network document is out of date: the driver should fetch it */
	uint32_t nodes, online, pending, tunnels;
	uint32_t relays_silent;			/* now */
	uint32_t coordinators, links, visitors; /* of other zones: listed, linked; their nodes with tunnels here */
};

void coordinator_get_counters(const struct coordinator *coordinator, struct coordinator_counters *ret);

struct coordinator_node_info {
	struct node_id id;
	char fqdn[FQDN_MAX_SIZE + 1];
	struct ip v4, v6;
	struct addr observed; /* family 0 when never heard since the start */
	bool online, revoked;
	uint64_t last_seen_s; /* network time, coarse; 0: never */
	uint64_t lease_not_after_s;
	uint32_t tunnels;
};

/* index counts from 0 without gaps, until false; valid while nothing is put in. Revoked identities without a lease have
 * an empty fqdn. */
bool coordinator_node_at(const struct coordinator *coordinator, uint32_t index, struct coordinator_node_info *ret);
