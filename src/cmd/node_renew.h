/*
 * node_renew.h: a node's certificate is renewed while it runs, and its network document fetched when its coordinator
 * has not been there for long. In a thread of its own: TLS takes its time, packets do not wait for it.
 */
#pragma once

#include <jansson.h>

#include "cmd/node_host.h"

struct node_renew;

/* NULL, and logged: the kernel has no descriptor for us; then it is renewed by the next start. */
struct node_renew *node_renew_open(struct host *host);
/* What is under way ends with its own deadlines, a few seconds at most; nobody waits for it. Accepts NULL. */
void node_renew_close(struct node_renew *renew);
/* Starts what is due. Returns when to call again. */
struct time_us node_renew_run(struct node_renew *renew, struct time_us now);

/* For people. */
struct node_renew_status {
	uint64_t not_after_s, due_s; /* since 1970 */
	bool is_expired, is_late;    /* as far as the time is known; late: due, and it did not work */
	const char *error;	     /* of the last try; empty: it worked, or there was none */
};
void node_renew_get(const struct node_renew *renew, struct time_us now, struct node_renew_status *ret);
