/* Text of addresses, both ways. Strict: one spelling in, the RFC 5952 spelling out. */
#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decimal number of at most `max`, nothing else in the text. */
static enum err parse_number(const char *text, unsigned long max, unsigned long *ret)
{
	unsigned long value = 0;

	if (*text == '\0')
		return ERR_MALFORMED;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return ERR_MALFORMED;
		value = value * 10 + (unsigned long)(*text - '0');
		if (value > max)
			return ERR_MALFORMED;
	}
	*ret = value;
	return OK;
}

/* inet_pton is pure: no resolver, no locale. */
enum err ip_parse(const char *text, struct ip *ret)
{
	struct ip ip = {0};

	if (inet_pton(AF_INET, text, ip.bytes) == 1)
		ip.family = 4;
	else if (inet_pton(AF_INET6, text, ip.bytes) == 1)
		ip.family = 6;
	else
		return ERR_MALFORMED;
	*ret = ip;
	return OK;
}

/* A v6 address with a port needs its brackets; a bare v6 address is fine without. */
enum err addr_parse(const char *text, uint16_t port_default, struct addr *ret)
{
	char host[ADDR_TEXT_MAX];
	const char *end, *port = NULL;
	unsigned long number = port_default;
	struct addr addr;

	if (text[0] == '[') {
		end = strchr(text++, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return ERR_MALFORMED;
		port = end[1] == ':' ? end + 2 : NULL;
	} else {
		end = strchr(text, ':');
		if (end && !strchr(end + 1, ':'))
			port = end + 1;
		else
			end = text + strlen(text);
	}
	if ((size_t)(end - text) >= sizeof host)
		return ERR_MALFORMED;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	if (ip_parse(host, &addr.ip) != OK || (port && parse_number(port, 65535, &number) != OK))
		return ERR_MALFORMED;
	addr.port = (uint16_t)number;
	*ret = addr;
	return OK;
}

/* Host bits must be zero: 10.0.0.1/8 is a typing mistake, not a prefix. */
enum err prefix_parse(const char *text, struct prefix *ret)
{
	char host[ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	unsigned long bits;
	struct prefix prefix;

	if (!slash || (size_t)(slash - text) >= sizeof host)
		return ERR_MALFORMED;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	if (ip_parse(host, &prefix.ip) != OK || parse_number(slash + 1, ip_size(&prefix.ip) * 8, &bits) != OK)
		return ERR_MALFORMED;
	prefix.bits = (uint8_t)bits;
	for (size_t bit = bits; bit < ip_size(&prefix.ip) * 8; bit++)
		if (prefix.ip.bytes[bit / 8] >> (7 - bit % 8) & 1)
			return ERR_MALFORMED;
	*ret = prefix;
	return OK;
}

/* "none" for an unset address. */
const char *ip_format(const struct ip *ip, char text[ADDR_TEXT_MAX])
{
	if (ip->family == 0 || !inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->bytes, text, ADDR_TEXT_MAX))
		memcpy(text, "none", sizeof "none");
	return text;
}

/* Brackets around v6. */
const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];

	ip_format(&addr->ip, ip);
	if (addr->ip.family == 0)
		return memcpy(text, ip, sizeof ip);
	snprintf(text, ADDR_TEXT_MAX, addr->ip.family == 6 ? "[%.45s]:%u" : "%.45s:%u", ip, addr->port);
	return text;
}

/* address/bits */
const char *prefix_format(const struct prefix *prefix, char text[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];

	snprintf(text, ADDR_TEXT_MAX, "%.45s/%u", ip_format(&prefix->ip, ip), prefix->bits);
	return text;
}
