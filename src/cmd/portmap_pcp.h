/* portmap_pcp.h: PCP's MAP request and answer (RFC 6887), the little of it that opens one UDP port. */
#pragma once

#include "cmd/portmap.h"

enum { PCP_PORT = 5351, PCP_MAP_SIZE = 60, PCP_DATAGRAM_MAX = 1100 };

struct pcp_map {
	struct ip client; /* IPv4: our own address, as the server must see it */
	uint8_t nonce[PORTMAP_NONCE_SIZE];
	uint16_t port;	      /* internal */
	struct addr external; /* wished, or given; unset: any */
	uint32_t lifetime_s;  /* 0: withdraw */
};

void pcp_map_encode(const struct pcp_map *map, uint8_t ret[PCP_MAP_SIZE]);
/*
 * The answer to `asked`: address, port and lifetime that were given. ERR_UNSUPPORTED: the server speaks NAT-PMP only.
 * ERR_DENIED: it refuses. ERR_MALFORMED: not an answer to this request; go on waiting.
 */
must_use enum err pcp_answer_decode(const void *bytes, size_t size, const struct pcp_map *asked, struct pcp_map *ret);
