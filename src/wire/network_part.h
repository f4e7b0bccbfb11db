/*
 * network_part.h: a network document in pieces, from a coordinator to its nodes and to other networks' coordinators. It
 * is signed by the account server, so that whoever hands it on can only keep it back. Bodies only: message.h has the
 * header.
 */
#pragma once

#include "wire/credential.h"
#include "wire/message.h"

enum { NETWORK_PART_MAX = ECHO_MAX }; /* bytes of the document in one message */

struct network_request {
	uint64_t epoch; /* of the document that is wanted; another one may be given */
	uint16_t offset;
	char zone[ZONE_MAX_SIZE + 1]; /* of a trusted network whose document is wanted; empty: the receiver's own */
};

struct network_response {
	uint64_t epoch;
	uint16_t offset, size; /* size: of the whole document */
	struct blob data;      /* from offset on; borrowed */
};

/* The piece of an encoded document from `offset` on; false: there is none. Borrows bytes. */
bool network_part_cut(const struct network *network, const uint8_t *bytes, size_t size, uint16_t offset,
		      struct network_response *ret);
void network_request_encode(const struct network_request *m, struct writer *w);
must_use enum err network_request_decode(struct reader *r, struct network_request *ret);
void network_response_encode(const struct network_response *m, struct writer *w);
must_use enum err network_response_decode(struct reader *r, struct network_response *ret);
