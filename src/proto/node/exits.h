/*
 * exits.h: which exits a node uses for hosts outside the overlay: by prefix, the longest one decides; for each prefix
 * in order of preference. One exit carries a prefix at a time, so that its flows keep their address; another takes over
 * when it has been silent for a while and that other one answers, and then keeps the prefix: to go back would break the
 * flows that have begun there.
 */
#pragma once

#include "base/addr.h"
#include "base/time.h"
#include "wire/credential.h"

enum { NODE_EXITS_MAX = 8, NODE_EXIT_RULES_MAX = 40 };

struct node_exit_rule {
	struct prefix prefix;
	uint8_t count;
	uint8_t exits[NODE_EXITS_MAX]; /* indices of names, most preferred first */
};

/* All zero: none, and nothing leaves. */
struct node_exits {
	uint8_t count, rule_count;
	char names[NODE_EXITS_MAX][FQDN_MAX_SIZE + 1];
	struct node_exit_rule rules[NODE_EXIT_RULES_MAX];
};

/* What the exit in use said about a destination when it refused a packet to it. */
enum node_refusal { NODE_REFUSAL_NONE, NODE_REFUSAL_DESTINATION, NODE_REFUSAL_NODE, NODE_REFUSAL_QUOTA };

/* One rule as it is now. */
struct node_exit_status {
	struct node_exit_rule rule;
	uint8_t place;	  /* of the exit in use, among the rule's; 0: the preferred one */
	const char *name; /* full; lives as long as the setting */
	bool is_up;
	uint32_t takeovers; /* by another exit than the one before */
};

struct node;
/* Packets to these destinations go to these exits from now on, where the account server has made them such (certificate
 * group "exit"). Names may be labels of the own zone. ERR_UNKNOWN: one is not a name of this network; nothing changed.
 */
must_use enum err node_use_exits(struct node *node, struct time_us now, const struct node_exits *exits);
/* By index from 0; false where there is none. */
bool node_get_exit(struct node *node, size_t rule, struct node_exit_status *ret);
/* The index of the rule that decides about this address, -1: none does, it is not for an exit. */
int node_exit_rule_for(const struct node *node, const struct ip *ip);

/*
 * Does a general host answer, and what does the exit say to it? One ICMP echo of the node's own. ERR_STATE: no exit is
 * there for it. A second question replaces the first.
 */
must_use enum err node_ask_general(struct node *node, struct time_us now, const struct ip *ip);
struct node_general_answer {
	bool is_asked, has_answered;
	int64_t rtt_us;
	enum node_refusal refusal; /* of this or an earlier packet to it */
};
void node_get_general_answer(const struct node *node, const struct ip *ip, struct node_general_answer *ret);
