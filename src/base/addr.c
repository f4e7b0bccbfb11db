#include "base/addr.h"

#include <string.h>

/* IPv4 from its four octets. */
struct ip ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct ip){.family = 4, .bytes = {a, b, c, d}};
}

/* From network-order bytes. */
struct ip ip_from_bytes(uint8_t family, const uint8_t *bytes)
{
	struct ip ip = {.family = family};

	memcpy(ip.bytes, bytes, ip_size(&ip));
	return ip;
}

/* Unused bytes are zero by contract, so all 16 may be compared. */
bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, 16) == 0;
}

/* Total order for sorting and tie-breaking. */
int ip_compare(const struct ip *a, const struct ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, 16);
}

/* Same address and port. */
bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

/* Anything there? */
bool addr_is_set(const struct addr *a)
{
	return a->ip.family != 0;
}

/* Does ip lie in the prefix? */
bool prefix_contains(const struct prefix *prefix, const struct ip *ip)
{
	size_t whole = prefix->bits / 8;
	unsigned rest = prefix->bits % 8;

	if (prefix->ip.family != ip->family || memcmp(prefix->ip.bytes, ip->bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	return ((prefix->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}

/* One row per special range; the RFC 6890 registries name them. */
struct special {
	struct prefix prefix;
	bool is_private; /* usable between neighbours, not on the internet */
};

static const struct special specials[] = {
	{{{4, {0}}, 8}, false},		/* this network */
	{{{4, {127}}, 8}, false},	/* loopback */
	{{{4, {169, 254}}, 16}, false}, /* link local */
	{{{4, {224}}, 3}, false},	/* multicast, reserved, broadcast */
	{{{4, {10}}, 8}, true},		/* RFC 1918 */
	{{{4, {172, 16}}, 12}, true},
	{{{4, {192, 168}}, 16}, true},
	{{{4, {100, 64}}, 10}, true},			/* RFC 6598 */
	{{{6, {0}}, 96}, false},			/* unspecified, loopback, v4-compatible */
	{{{6, {[10] = 0xff, [11] = 0xff}}, 96}, false}, /* v4-mapped */
	{{{6, {0xfe, 0x80}}, 10}, false},		/* link local */
	{{{6, {0xff}}, 8}, false},			/* multicast */
	{{{6, {0xfc}}, 7}, true},			/* RFC 4193 */
};

enum { SPECIALS = sizeof specials / sizeof specials[0] };

/* T26: nobody can be made to probe these. */
bool addr_is_probeable(const struct addr *addr)
{
	if (addr->port == 0 || addr->ip.family == 0)
		return false;
	for (int i = 0; i < SPECIALS; i++)
		if (!specials[i].is_private && prefix_contains(&specials[i].prefix, &addr->ip))
			return false;
	return true;
}

/* Not routed globally, but fine between neighbours. */
bool ip_is_private(const struct ip *ip)
{
	for (int i = 0; i < SPECIALS; i++)
		if (specials[i].is_private && prefix_contains(&specials[i].prefix, ip))
			return true;
	return false;
}
