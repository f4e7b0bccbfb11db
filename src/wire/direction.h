/* direction.h: how a coordinator brings two nodes together: Direction Request, Route Direction (design 6 and 7). */
#pragma once

#include "wire/registration.h"
#include "wire/relay_report.h"

enum suite { SUITE_AES256_GCM = 1, SUITE_CHACHA20_POLY1305 = 2 }; /* fixed per tunnel by the coordinator */

/* Exactly one of name and ip is set. */
struct direction_request {
	char name[FQDN_MAX_SIZE + 1];
	struct ip ip;
};

struct direction_refusal {
	uint8_t reason;
	char name[FQDN_MAX_SIZE + 1]; /* both as asked */
	struct ip ip;
};

/* What a node needs to use a relay for one tunnel. */
struct relay_grant {
	char name[NAME_MAX_SIZE + 1];
	struct server_addresses addresses;
	uint8_t leg;		   /* 0: the end with the lower NodeID, 1: the other */
	uint8_t leg_key[KEY_SIZE]; /* authenticates this leg's binds */
	struct blob ticket;	   /* sealed for the relay, opaque to the node; borrowed */
};

/* Complete instruction to open one tunnel. The same PathID and TempKey go to both ends. */
struct route_direction {
	uint64_t path_id;
	uint8_t temp_key[KEY_SIZE];
	uint8_t suite;
	struct blob certificate, lease; /* the peer's, encoded, borrowed */
	struct addr observed;		/* the peer's server-reflexive address */
	struct candidates candidates;	/* the peer's host candidates */
	bool has_relay;
	struct relay_grant relay;
	uint8_t relay_cause; /* enum relay_cause */
	bool requested;	     /* the receiver asked for it: its Direction Request's transaction is repeated */
};

/* The peer of tunnel path_id moved, or the tunnel gets another relay. */
struct route_update {
	uint64_t path_id;
	uint8_t reason; /* REASON_NONE: it moved; REASON_REVOKED: it is no member any more, the tunnel ends */
	uint32_t move_epoch;
	struct addr observed;
	struct candidates candidates;
	/* Another relay for this tunnel, beside the one that it has until the new one works. */
	bool has_relay;
	struct relay_grant relay;
	uint8_t relay_cause;
	bool has_leg_key; /* between coordinators: then the grant is for leg 0, this is of leg 1 */
	uint8_t leg_key[KEY_SIZE];
	struct relay_sight sight; /* between coordinators: as the node that moved sees relays */
	uint64_t network_epoch;	  /* of the sender's network document; 0: not told */
};

/* FIELD_NAME in lower case; nothing for an empty one. Shared by all messages that name a node. */
void node_name_encode(const char *name, struct writer *w);
void node_name_take(struct reader *value, char ret[FQDN_MAX_SIZE + 1]);
/* FIELD_RELAY. */
void relay_grant_encode(const struct relay_grant *relay, struct writer *w);
/* Reads one while decoding; the first one stays, as this version uses one. */
void relay_grant_take(struct reader *value, bool *has, struct relay_grant *ret);

void direction_request_encode(const struct direction_request *m, struct writer *w);
must_use enum err direction_request_decode(struct reader *r, struct direction_request *ret);
void direction_refusal_encode(const struct direction_refusal *m, struct writer *w);
must_use enum err direction_refusal_decode(struct reader *r, struct direction_refusal *ret);
void route_direction_encode(const struct route_direction *m, struct writer *w);
must_use enum err route_direction_decode(struct reader *r, struct route_direction *ret);
void route_update_encode(const struct route_update *m, struct writer *w);
must_use enum err route_update_decode(struct reader *r, struct route_update *ret);
