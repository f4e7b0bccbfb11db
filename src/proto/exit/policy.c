#include "proto/exit/policy.h"

#include <string.h>

/* RFC 6890 and the registries that continue it; for IPv6, everything beside global unicast, and what embeds or tunnels.
 */
static const struct prefix special[] = {
	{{4, {0}}, 8},
	{{4, {10}}, 8},
	{{4, {100, 64}}, 10},
	{{4, {127}}, 8},
	{{4, {169, 254}}, 16},
	{{4, {172, 16}}, 12},
	{{4, {192, 0, 0}}, 24},
	{{4, {192, 0, 2}}, 24},
	{{4, {192, 31, 196}}, 24}, /* AS112 */
	{{4, {192, 52, 193}}, 24}, /* AMT */
	{{4, {192, 88, 99}}, 24},  /* 6to4 relays */
	{{4, {192, 168}}, 16},
	{{4, {192, 175, 48}}, 24}, /* AS112 */
	{{4, {198, 18}}, 15},
	{{4, {198, 51, 100}}, 24},
	{{4, {203, 0, 113}}, 24},
	{{4, {224}}, 4},
	{{4, {240}}, 4},
	{{6, {0x00}}, 3}, /* unspecified, loopback, v4-mapped, NAT64 */
	{{6, {0x40}}, 2},
	{{6, {0x80}}, 1},			/* unique local, link-local, multicast */
	{{6, {0x20, 0x01}}, 23},		/* Teredo, benchmarking, ORCHID */
	{{6, {0x20, 0x01, 0x0d, 0xb8}}, 32},	/* documentation */
	{{6, {0x20, 0x02}}, 16},		/* 6to4 */
	{{6, {0x26, 0x20, 0, 0x4f, 0x80}}, 48}, /* AS112 */
	{{6, {0x3f, 0xff}}, 20},		/* documentation */
};

/* The narrowest special range that holds it; NULL. */
static const struct prefix *find_special(const struct ip *ip)
{
	const struct prefix *found = NULL;

	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (prefix_contains(&special[i], ip) && (!found || special[i].bits > found->bits))
			found = &special[i];
	return found;
}

/* For tests and for what is told to operators. */
bool policy_is_special(const struct ip *ip)
{
	return find_special(ip) != NULL;
}

static bool matches_port(const struct exit_rule *rule, uint16_t port)
{
	return rule->port_max == 0 || (port >= rule->port_min && port <= rule->port_max);
}

/* A wide "allow" is about the internet; to open a special range one must name it. */
static bool opens(const struct exit_rule *rule, const struct prefix *range)
{
	return !range || (rule->prefix.bits >= range->bits && prefix_contains(range, &rule->prefix.ip));
}

/* Among equals a refusal wins. */
static bool judge(const struct exit_policy *policy, const struct ip *ip, uint16_t port)
{
	const struct prefix *range = find_special(ip);
	const struct exit_rule *best = NULL;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct exit_rule *rule = &policy->rules[i];

		if (!prefix_contains(&rule->prefix, ip) || !matches_port(rule, port))
			continue;
		if (rule->is_final && !rule->is_allowed)
			return false;
		if (rule->is_allowed && !opens(rule, range))
			continue;
		if (!best || rule->prefix.bits > best->prefix.bits ||
		    (rule->prefix.bits == best->prefix.bits && !rule->is_allowed))
			best = rule;
	}
	return best ? best->is_allowed : range == NULL;
}

/* The IPv4 address that an IPv6 one stands for: RFC 4291 2.5.5.2, RFC 6052, RFC 8215, RFC 3056, RFC 4380. */
static bool find_embedded(const struct ip *ip, struct ip *ret)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	static const uint8_t nat64_local[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
	static const uint8_t teredo[4] = {0x20, 0x01};
	const uint8_t *b = ip->bytes;

	if (ip->family != 6)
		return false;
	if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0 || memcmp(b, nat64_local, 6) == 0)
		*ret = ip_from_bytes(4, b + 12);
	else if (b[0] == 0x20 && b[1] == 0x02)
		*ret = ip_from_bytes(4, b + 2);
	else if (memcmp(b, teredo, 4) == 0)
		*ret = ip_v4(b[12] ^ 0xff, b[13] ^ 0xff, b[14] ^ 0xff, b[15] ^ 0xff);
	else
		return false;
	return true;
}

/* Asked once for each flow. */
bool policy_allows_destination(const struct exit_policy *policy, const struct ip *ip, uint16_t port)
{
	struct ip embedded;

	return judge(policy, ip, port) && (!find_embedded(ip, &embedded) || judge(policy, &embedded, port));
}

static bool is_named(const struct certificate *certificate, const char *text)
{
	size_t label = strcspn(certificate->fqdn, ".");

	if (text[0] != '@')
		return strcmp(text, certificate->fqdn) == 0 ||
		       (strlen(text) == label && strncmp(text, certificate->fqdn, label) == 0);
	for (uint8_t i = 0; i < certificate->group_count && i < GROUPS_MAX; i++)
		if (strcmp(text + 1, certificate->groups[i]) == 0)
			return true;
	return false;
}

/* The certificate was judged by whoever hands it over. */
bool policy_allows_node(const struct exit_policy *policy, const struct certificate *certificate)
{
	for (size_t i = 0; i < policy->allowed_count; i++)
		if (is_named(certificate, policy->allowed[i]))
			return true;
	return policy->allowed_count == 0;
}
