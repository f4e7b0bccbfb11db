/*
 * registration.h: a node and its coordinator: Registration, NTM Update, Keep Alive (design 6). Bodies only: message.h
 * has the header.
 */
#pragma once

#include "wire/credential.h"
#include "wire/message.h"

enum feature {
	FEATURE_AES = 1 << 0,  /* AES-256-GCM runs on instructions here */
	FEATURE_REST = 1 << 1, /* towards a peer: keys that no data has passed under are kept for REST_KEYS_US */
};

/* Where a node may be reached. */
struct candidates {
	uint8_t count;
	struct addr list[CANDIDATES_MAX];
};

struct registration_request {
	struct blob certificate; /* encoded, borrowed */
	uint32_t features;
	uint32_t move_epoch;
	struct candidates candidates; /* host candidates, most preferred first */
	bool kept;		      /* the sender remembers its tunnels; else it begins anew */
	size_t padded_size;	      /* encoder: pad with FIELD_PAD so that the body has at least this many bytes */
};

/* reason != REASON_NONE refuses; then only observed and network_time_s are meaningful. */
struct registration_response {
	uint8_t reason;
	struct blob lease;    /* encoded, borrowed */
	struct addr observed; /* server-reflexive address of the node */
	uint64_t network_time_s;
	uint32_t keepalive_ms;
};

struct update_request {
	uint32_t move_epoch;
	struct candidates candidates;
};

/* Answers both Update and Keep Alive. */
struct update_response {
	struct addr observed;
	uint64_t network_time_s;
	uint64_t network_epoch; /* of the network document that the coordinator has; 0: not told */
};

void registration_request_encode(const struct registration_request *m, struct writer *w);
must_use enum err registration_request_decode(struct reader *r, struct registration_request *ret);
void registration_response_encode(const struct registration_response *m, struct writer *w);
must_use enum err registration_response_decode(struct reader *r, struct registration_response *ret);
void update_request_encode(const struct update_request *m, struct writer *w);
must_use enum err update_request_decode(struct reader *r, struct update_request *ret);
void update_response_encode(const struct update_response *m, struct writer *w);
must_use enum err update_response_decode(struct reader *r, struct update_response *ret);
/* FIELD_CANDIDATE for each; shared by all messages that carry them. */
void candidates_encode(const struct candidates *candidates, struct writer *w);
/* Reads one of them while decoding; one too many fails the value's reader. */
void candidates_take(struct candidates *candidates, struct reader *value);
