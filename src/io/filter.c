#include "io/filter.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/ruleset.h"

enum { RULES_MAX = 16384 };

struct rules {
	char text[RULES_MAX];
	size_t size;
};

static __attribute__((format(printf, 2, 3))) void add(struct rules *rules, const char *format, ...)
{
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(rules->text + rules->size, RULES_MAX - rules->size, format, arguments);
	va_end(arguments);
	rules->size += size > 0 ? (size_t)size : 0;
	if (rules->size >= RULES_MAX)
		rules->size = RULES_MAX - 1; /* nftables refuses what is cut off */
}

static bool is_plain(const char *ifname)
{
	for (const char *at = ifname; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("-_.", *at))
			return false;
	return *ifname != '\0';
}

static const char *keyword(uint8_t family)
{
	return family == 4 ? "ip" : "ip6";
}

/* Addresses first: what is none of the overlay's, nearly all that comes, is looked at no further. */
static void add_address(struct rules *rules, const struct ip *ip, const char *side, const char *elsewhere)
{
	char text[ADDR_TEXT_MAX];

	if (ip->family)
		add(rules, "%s %s %s %s drop\n", keyword(ip->family), side, ip_format(ip, text), elsewhere);
}

/* A neighbour whose network is inside a virtual prefix is reached there, so its packets may come from there, too. */
static void add_prefix(struct rules *rules, const struct prefix *prefix, const char *elsewhere, const char *ifname)
{
	char text[ADDR_TEXT_MAX];

	if (prefix->ip.family)
		add(rules, "%s saddr %s %s fib saddr oifname \"%s\" drop\n", keyword(prefix->ip.family),
		    prefix_format(prefix, text), elsewhere, ifname);
}

/* Before connections are tracked and anything is translated. */
static void add_chain(struct rules *rules, const char *name, const char *hook)
{
	add(rules, "chain %s {\ntype filter hook %s priority -300; policy accept;\n", name, hook);
}

static void add_removal(struct rules *rules, const char *ifname)
{
	add(rules, "table inet ntm_%s\ndelete table inet ntm_%s\n", ifname, ifname);
}

static void add_table(struct rules *rules, const struct filter_params *params)
{
	const char *name = params->ifname;
	char from[80], to[80];

	snprintf(from, sizeof from, "iifname != \"%.15s\" iifname != \"lo\"", name);
	snprintf(to, sizeof to, "oifname != \"%.15s\" oifname != \"lo\"", name);
	add(rules, "table inet ntm_%s {\n", name);
	add_chain(rules, "in", "prerouting");
	add_address(rules, &params->v4, "daddr", from);
	add_address(rules, &params->v6, "daddr", from);
	for (size_t i = 0; i < params->prefix_count; i++)
		add_prefix(rules, &params->prefixes[i], from, name);
	add(rules, "}\n");
	add_chain(rules, "out", "postrouting");
	add_address(rules, &params->v4, "saddr", to);
	add_address(rules, &params->v6, "saddr", to);
	add(rules, "}\n}\n");
}

/* One transaction: either all of it or nothing. */
static enum err run(const struct rules *rules, char error[FILTER_ERROR_MAX])
{
	struct ruleset *ruleset = ruleset_open(error);
	enum err err = ruleset ? ruleset_apply(ruleset, rules->text, error) : ERR_IO;

	ruleset_close(ruleset);
	return err;
}

/* Contract in the header. */
enum err filter_raise(const struct filter_params *params, char error[FILTER_ERROR_MAX])
{
	struct rules rules = {.size = 0};

	if (!is_plain(params->ifname)) {
		snprintf(error, FILTER_ERROR_MAX, "nftables takes no table named like %.15s", params->ifname);
		return ERR_USAGE;
	}
	add_removal(&rules, params->ifname);
	add_table(&rules, params);
	return run(&rules, error);
}

/* Contract in the header. */
void filter_lower(const char *ifname)
{
	struct rules rules = {.size = 0};
	char error[FILTER_ERROR_MAX];

	if (!is_plain(ifname))
		return;
	add_removal(&rules, ifname);
	(void)run(&rules, error);
}
