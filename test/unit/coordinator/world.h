/* world.h: a coordinator and fake nodes around it, in one process with virtual time. A fake node does only what a test
 * tells it to. */
#pragma once

#include "base/record.h"
#include "crypto/hash.h"
#include "proto/coordinator/coordinator.h"
#include "proto/session/cookie.h"
#include "proto/session/rekey.h"
#include "proto/session/session.h"
#include "proto/session/trust.h"
#include "wire/direction.h"
#include "wire/message.h"

enum { INBOX_MAX = 64, WALL_S = 1800000000 };

struct letter {
	uint8_t type;
	uint32_t transaction;
	size_t size;
	uint8_t body[CONTROL_MAX];
};

struct fake_node {
	struct sign_keys identity;
	struct dh_keys keys;
	struct certificate certificate;
	uint8_t encoded[CERTIFICATE_MAX_SIZE];
	size_t encoded_size;
	struct route route; /* as the coordinator sees it: remote is this node */
	struct addr also;   /* it receives here too */
	uint32_t features, move_epoch;
	bool kept; /* remembers its tunnels when it registers */
	struct candidates candidates;
	/* Handshake and session. */
	struct handshake handshake;
	uint64_t path_id;
	uint8_t first[MESSAGE_MAX];
	size_t first_size;
	struct session *session;
	uint8_t refused;  /* reason, once a refusal arrived */
	unsigned answers; /* registration responses that arrived */
	unsigned cookies; /* replies of a coordinator under load, the last of them here */
	struct cookie cookie;
	struct lease lease;
	uint8_t lease_bytes[LEASE_MAX_SIZE];
	size_t lease_size;
	struct addr observed;
	uint64_t network_time_s;
	uint32_t transaction;
	/* Control messages received, oldest first. */
	size_t inbox_count;
	struct letter inbox[INBOX_MAX];
};

struct world {
	struct coordinator *c;
	struct coordinator_config config;
	struct sign_keys authority;
	struct aead_provider *aead;
	struct time_us now;
	uint64_t random_state;
	uint64_t serial;
	struct fake_node **nodes;
	size_t node_count;
	struct record *records; /* the durable store: latest per key */
	size_t record_count;
	bool is_store_stuck;		     /* records are pulled, but not yet fsynced */
	uint64_t sent_bytes, received_bytes; /* coordinator's view of all that world_deliver and world_pump moved */
	unsigned events[24];
	uint8_t last_reason;
	size_t lost;	     /* datagrams to addresses where nobody is */
	struct addr watched; /* where somebody counts what he is sent */
	uint64_t watched_bytes;
	/* Gets those first, if it is set; the answer is delivered by the test. */
	void (*elsewhere)(struct world *world, const struct datagram *datagram);
	/* Another zone's world; NULL: there is none. */
	struct world *other;
	struct addr address; /* of this coordinator, for the other one */
	struct network network;
	bool is_cut;	    /* what this one sends to the other is lost */
	unsigned cut_first; /* so many of them are */
	unsigned between;   /* datagrams sent to the other one */
	/* Another network's, with an account server of its own. */
	bool is_abroad;
	bool is_dns_silent;		  /* DNS never answers */
	const struct zone_record *forged; /* what DNS tells instead of what is */
	unsigned lookups;
	/* On the way to the other one, while is_holding. */
	bool is_holding;
	size_t held_count;
	struct {
		size_t size;
		uint8_t bytes[MESSAGE_MAX];
	} held[8];
};

void world_init(struct world *world, const char *pool4);
void world_finish(struct world *world);
/* Ends the coordinator and starts another one from the store. */
void world_restart(struct world *world);
/* Lets time pass, with every deadline in between. */
void world_pass(struct world *world, int64_t duration_us);
/* Stores records (unless stuck), then delivers every datagram. */
void world_pump(struct world *world);
/* Two zones of one network: coordinators with different keys, zones and IPv4 pools. Before any node is made. b's pump
 * runs when a's does. */
void world_join(struct world *a, struct world *b);
/* Two networks, each with an account server of its own, that trust each other; DNS tells each of the other. Nothing is
 * published yet. As world_join otherwise. */
void world_befriend(struct world *a, struct world *b);
/* Signs and gives out this network's own document. */
void world_publish_own(struct world *world);
/* What was held arrives; what it leads to is held again. */
void world_release(struct world *world);
/* The document that both have, signed again after a change of a->network. */
void world_publish(struct world *a);
/* Bytes from somewhere, then a pump. */
enum err world_deliver(struct world *world, const struct route *route, const uint8_t *bytes, size_t size);

/* A node with a certificate for name.ntm.internal and an address of its own. */
struct fake_node *world_node(struct world *world, const char *name);
void node_recertify(struct world *world, struct fake_node *node, const char *fqdn, const struct sign_keys *authority);
/* Makes a fresh first message in node->first. padded_size as of registration_request. */
void fake_begin(struct world *world, struct fake_node *node, size_t padded_size);
/* Puts the cookie into the first message that there is. */
void fake_prove_source(struct world *world, struct fake_node *node);
enum err fake_send_first(struct world *world, struct fake_node *node);
/* Whole registration, with a Keep Alive that confirms it. */
void fake_register(struct world *world, struct fake_node *node);
/* Seals and delivers a message; body may be NULL. */
enum err fake_send(struct world *world, struct fake_node *node, uint8_t type, uint32_t transaction,
		   const struct writer *body);
void fake_keep_alive(struct world *world, struct fake_node *node);
/* As a node pads them. */
struct writer fake_padding(uint8_t *bytes, size_t size);
/* Answers every Path Challenge that has arrived, the oldest first; false when there was none. */
bool fake_prove(struct world *world, struct fake_node *node);
/* The Path Response to a Path Challenge, in bytes. */
struct writer fake_answer(const struct letter *letter, uint8_t *bytes, size_t size);
/* A Route Direction out of a letter; its blobs lie in the letter. */
struct route_direction open_direction(const struct letter *letter);
/* The reason of a refusal. */
uint8_t open_refusal(const struct letter *letter);
void fake_ask(struct world *world, struct fake_node *node, uint32_t transaction, const char *name);
void fake_ack(struct world *world, struct fake_node *node, uint32_t transaction);
/* The oldest letter of a type is taken out; NULL-like (type 0) when there is none. */
struct letter fake_take(struct fake_node *node, uint8_t type);
void fake_move_to(struct fake_node *node, const char *addr);
/* Its NAT gave it another address: it shows there that it receives, and the old one falls silent. */
void fake_rebind_to(struct world *world, struct fake_node *node, const char *addr);
