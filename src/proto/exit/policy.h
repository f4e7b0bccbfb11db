/* policy.h: who may leave through an exit, and whereto (T15, T16). Pure: the longest matching prefix decides. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/credential.h"

enum { EXIT_ALLOWED_MAX = 32, EXIT_RULES_MAX = 96, EXIT_ALLOWED_SIZE = FQDN_MAX_SIZE + 1 };

struct exit_rule {
	struct prefix prefix;
	uint16_t port_min, port_max; /* of TCP and UDP; both 0: any, and ICMP */
	bool is_allowed;
	bool is_final; /* a refusal that no longer prefix takes back */
};

/* What the operator decided. All zero: everybody, everywhere but special-purpose ranges, without limit. */
struct exit_policy {
	char allowed[EXIT_ALLOWED_MAX][EXIT_ALLOWED_SIZE]; /* names, or groups as "@group" */
	size_t allowed_count;				   /* 0: every node of the network */
	struct exit_rule rules[EXIT_RULES_MAX];
	size_t rule_count;
	uint64_t quota_bytes; /* of a node in a day, both directions; 0: none */
	uint64_t rate_bytes;  /* of a node in a second, both directions; 0: none */
};

/* By full name, by its first label, or by a group of the certificate. */
bool policy_allows_node(const struct exit_policy *policy, const struct certificate *certificate);
/*
 * Special-purpose ranges (IANA's registries; IPv6 that is not global unicast) are refused, unless a rule allows a
 * prefix that lies inside such a range. An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4, Teredo) needs
 * both allowed. port 0: ICMP.
 */
bool policy_allows_destination(const struct exit_policy *policy, const struct ip *ip, uint16_t port);
/* In one of the special-purpose ranges? */
bool policy_is_special(const struct ip *ip);
