/*
 * information.h: what coordinators say to each other: the link between them, Node Information Request and Response
 * (design 6 and 7). Bodies only: message.h has the header. A Route Update that one coordinator hands to another is
 * answered by an Ack with a body.
 */
#pragma once

#include "wire/direction.h"

/* Payload of the first handshake message between two coordinators. */
struct link_request {
	uint64_t network_epoch;	      /* of the network document that the sender has; 0: none yet */
	char zone[ZONE_MAX_SIZE + 1]; /* the sender's, for a receiver of another network; empty: of the same one */
	size_t padded_size;	      /* encoder: pad with FIELD_PAD so that the body has at least this many bytes */
};

struct link_response {
	uint64_t network_epoch;
	uint64_t network_time_s;
	struct addr observed; /* of the coordinator that asked */
};

/* A node of the sender's zone wants a tunnel to one of the receiver's. Exactly one of name and ip is set. */
struct node_information_request {
	uint64_t path_id; /* both chosen by the sender */
	uint8_t temp_key[KEY_SIZE];
	char name[FQDN_MAX_SIZE + 1];
	struct ip ip;
	struct blob certificate, lease; /* the asker's, encoded, borrowed */
	uint32_t features, move_epoch;
	struct addr observed;
	struct candidates candidates;
	bool has_relay;
	struct relay_grant relay;  /* leg 0 */
	uint8_t leg_key[KEY_SIZE]; /* of leg 1 */
	uint8_t relay_cause;
	struct relay_sight sight; /* the asker's */
};

/* reason != REASON_NONE refuses; then nothing else is there. */
struct node_information_response {
	uint8_t reason;
	uint64_t path_id;
	uint8_t suite;
	struct blob certificate, lease; /* the peer's, encoded, borrowed */
	uint32_t move_epoch;
	struct addr observed;
	struct candidates candidates;
	struct relay_sight sight; /* the peer's */
};

/* Body of an Ack between coordinators: which tunnel's Route Update has arrived. */
struct route_update_ack {
	uint64_t path_id;
};

void link_request_encode(const struct link_request *m, struct writer *w);
must_use enum err link_request_decode(struct reader *r, struct link_request *ret);
void link_response_encode(const struct link_response *m, struct writer *w);
must_use enum err link_response_decode(struct reader *r, struct link_response *ret);
void node_information_request_encode(const struct node_information_request *m, struct writer *w);
must_use enum err node_information_request_decode(struct reader *r, struct node_information_request *ret);
void node_information_response_encode(const struct node_information_response *m, struct writer *w);
must_use enum err node_information_response_decode(struct reader *r, struct node_information_response *ret);
void route_update_ack_encode(const struct route_update_ack *m, struct writer *w);
must_use enum err route_update_ack_decode(struct reader *r, struct route_update_ack *ret);
