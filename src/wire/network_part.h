/*
 * network_part.h: the network document in pieces, from a coordinator to its nodes. It is signed by the account server,
 * so that whoever hands it on can only keep it back. Bodies only: message.h has the header.
 */
#pragma once

#include "wire/message.h"

enum { NETWORK_PART_MAX = ECHO_MAX }; /* bytes of the document in one message */

struct network_request {
	uint64_t epoch; /* of the document that is wanted; another one may be given */
	uint16_t offset;
};

struct network_response {
	uint64_t epoch;
	uint16_t offset, size; /* size: of the whole document */
	struct blob data;      /* from offset on; borrowed */
};

void network_request_encode(const struct network_request *m, struct writer *w);
must_use enum err network_request_decode(struct reader *r, struct network_request *ret);
void network_response_encode(const struct network_response *m, struct writer *w);
must_use enum err network_response_decode(struct reader *r, struct network_response *ret);
