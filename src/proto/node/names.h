/* names.h: the stub resolver: answers the network's zone from own state and directs the tunnel while it does (design 8,
 * T22). */
#pragma once

#include "base/time.h"
#include "wire/dns.h"
#include "wire/limits.h"

struct node;

enum { NAMES_WAITING_MAX = 64, NAMES_QUERY_MAX = 512, NAMES_READY_MAX = 64 };
#define NAMES_PATIENCE_US (4 * 1000000LL) /* below the 5 s after which resolvers ask again */

struct waiting_query {
	bool used;
	uint64_t token;
	struct time_us at;
	uint16_t size;
	uint8_t query[NAMES_QUERY_MAX];
	char fqdn[FQDN_MAX_SIZE + 1];
};

struct ready_answer {
	uint64_t token;
	uint16_t size;
	uint8_t bytes[NAMES_QUERY_MAX];
};

struct names {
	struct waiting_query *waiting; /* NAMES_WAITING_MAX */
	struct ready_answer *ready;    /* ring of NAMES_READY_MAX */
	uint64_t ready_first, ready_end;
};

void names_init(struct names *names);
void names_finish(struct names *names);
void names_query(struct node *node, struct time_us now, uint64_t token, const uint8_t *query, size_t size);
/* The name's addresses are known now, or the coordinator refused it (reason != 0). */
void names_resolved(struct node *node, struct time_us now, const char *fqdn, uint8_t reason);
void names_run(struct node *node, struct time_us now);
struct time_us names_deadline(const struct names *names);
bool names_next(struct names *names, uint64_t *ret_token, uint8_t *ret_answer, size_t *ret_size);
