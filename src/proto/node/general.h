/* general.h: hosts outside the overlay, for the files of this folder alone: what may pass (general.c), and through
 * which exit (exits.c). */
#pragma once

#include "proto/node/exits.h"
#include "proto/session/env.h"
#include "wire/inner.h"

enum { REFUSALS_KEPT = 8 };

/* An exit that a rule names. */
struct general_exit {
	bool is_known;
	struct node_id id;	   /* of the peer that is it, when known */
	struct time_us asked;	   /* for a tunnel to it */
	struct time_us lost_since; /* us 0: it is up */
};

/* What carries a rule now. */
struct general_choice {
	uint8_t place; /* among the rule's exits */
	uint32_t takeovers;
	uint8_t rival;		    /* another place, whose exit has answered since this one was lost */
	struct time_us rival_since; /* us 0: there is none */
};

struct general_refusal {
	struct ip ip;
	enum node_refusal why;
};

/* node_ask_general. */
struct general_question {
	struct ip ip; /* family 0: none */
	uint16_t identifier;
	struct time_us at;
	bool has_answered;
	int64_t rtt_us;
};

/* The exits that we use, or that we are one. */
struct general {
	bool is_exit;
	struct node_exits use;
	struct general_exit exits[NODE_EXITS_MAX];
	struct general_choice choices[NODE_EXIT_RULES_MAX];
	struct general_refusal refusals[REFUSALS_KEPT];
	uint8_t refusal_next;
	struct general_question question;
};

struct node;
struct peer;

/* general.c */
bool general_takes(const struct node *node, const struct inner *inner);
bool general_may_send(const struct node *node, const struct inner *inner);
bool general_is_allowed(struct node *node, const struct peer *peer, const struct inner *inner);
/* Neither an address of the overlay nor of a group. */
bool general_is_outside(const struct node *node, uint8_t version, const uint8_t *address);
/* A packet that was allowed: what it says about our question, or about a refusal. */
void general_heard(struct node *node, struct time_us now, const struct inner *inner);

/* exits.c */
/* The peer that this packet goes to; NULL: no exit is known for it yet. */
struct peer *exits_peer_for(struct node *node, const struct inner *inner);
/* May this exit bring packets from that address? */
bool exits_may_bring(struct node *node, const struct peer *peer, const struct inner *inner);
/* A packet waits for its exit. */
void exits_ask(struct node *node, struct time_us now, const struct inner *inner);
void exits_run(struct node *node, struct time_us now);
