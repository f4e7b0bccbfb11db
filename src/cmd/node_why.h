/* node_why.h: how a name is reached, or why it is not: the steps of a contact in their order, each with its result and
 * what would help. */
#pragma once

#include "cmd/node_host.h"

enum { WHY_TEXT_MAX = 512 };

struct why {
	json_t *document; /* ntm.why/1; the caller's */
	bool reachable;
	char cause[WHY_TEXT_MAX]; /* the first step that failed, in one line with its remedy; empty: none did */
};

/* What is asked about: a name, and how its coordinator answered, if it did. */
struct why_question {
	const char *name;  /* full */
	bool is_foreign;   /* not a name of another node of this network */
	struct ip general; /* asked about a host outside the overlay: then the name is its exit's; family 0: not so */
	bool refused;
	uint8_t reason;		      /* enum reason */
	bool has_asked, has_answered; /* by an echo over the tunnel */
	int64_t echo_us;	      /* its round trip, or how long it has been waited for */
};

void why_make(const struct host *host, const struct why_question *question, struct time_us now, struct why *ret);
/* Is nobody there who could tell or be reached: no network, or no coordinator for a name that is not known yet? */
bool why_is_hopeless(const struct host *host, const char *name, int64_t waited_us, struct time_us now);
/* Is there nothing to wait for any more? */
bool why_is_settled(const struct host *host, const struct why_question *question, int64_t waited_us,
		    struct time_us now);
