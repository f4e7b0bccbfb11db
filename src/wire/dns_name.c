/* dns_name.c: names as text: zones, host labels, reverse names. */
#include <string.h>

#include "wire/dns.h"

static const char REVERSE_V4[] = "in-addr.arpa";
static const char REVERSE_V6[] = "ip6.arpa";

/* Whole labels only: "xntm.internal" is not in "ntm.internal". A dot inside a label is escaped in texts, so this cannot
 * be fooled. */
bool dns_name_in_zone(const char *name, const char *zone)
{
	size_t name_size = strlen(name), zone_size = strlen(zone);

	if (zone_size == 0)
		return true;
	if (name_size < zone_size || memcmp(name + name_size - zone_size, zone, zone_size) != 0)
		return false;
	return name_size == zone_size || name[name_size - zone_size - 1] == '.';
}

/* RFC 1123 2.1. */
bool dns_label_is_host(const char *text, size_t size)
{
	if (size == 0 || size > DNS_LABEL_MAX || text[0] == '-' || text[size - 1] == '-')
		return false;
	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

/* The label that ends at `end`: its start. */
static const char *label_start(const char *name, const char *end)
{
	while (end > name && end[-1] != '.')
		end--;
	return end;
}

/* "0" to "255" without leading zeros: one spelling per address. */
static bool parse_octet(const char *text, size_t size, uint8_t *ret)
{
	unsigned value = 0;

	if (size == 0 || size > 3 || (size > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	if (value > 255)
		return false;
	*ret = (uint8_t)value;
	return true;
}

/* One hexadecimal digit. */
static bool parse_nibble(const char *text, size_t size, uint8_t *ret)
{
	if (size != 1)
		return false;
	if (*text >= '0' && *text <= '9')
		*ret = (uint8_t)(*text - '0');
	else if (*text >= 'a' && *text <= 'f')
		*ret = (uint8_t)(*text - 'a' + 10);
	else
		return false;
	return true;
}

/* Puts the next more specific part into the prefix; false when it is no part or one too many. */
static bool reverse_push(struct prefix *prefix, const char *text, size_t size)
{
	uint8_t part;

	if (prefix->ip.family == 4) {
		if (prefix->bits >= 32 || !parse_octet(text, size, &part))
			return false;
		prefix->ip.bytes[prefix->bits / 8] = part;
		prefix->bits += 8;
		return true;
	}
	if (prefix->bits >= 128 || !parse_nibble(text, size, &part))
		return false;
	prefix->ip.bytes[prefix->bits / 8] |= (uint8_t)(prefix->bits % 8 ? part : part << 4);
	prefix->bits += 4;
	return true;
}

/* Walks the labels from the right, which is from the address's left. */
enum err dns_reverse_parse(const char *name, struct prefix *ret)
{
	struct prefix prefix = {0};
	const char *end = name + strlen(name);

	if (dns_name_in_zone(name, REVERSE_V4)) {
		prefix.ip.family = 4;
		end -= strlen(REVERSE_V4);
	} else if (dns_name_in_zone(name, REVERSE_V6)) {
		prefix.ip.family = 6;
		end -= strlen(REVERSE_V6);
	} else {
		return ERR_UNKNOWN;
	}
	while (end > name) {
		const char *start;

		end--; /* the dot */
		start = label_start(name, end);
		if (!reverse_push(&prefix, start, (size_t)(end - start)))
			return ERR_UNKNOWN;
		end = start;
	}
	*ret = prefix;
	return OK;
}

/* Decimal, no leading zeros. Returns the new end. */
static char *put_octet(char *at, uint8_t value)
{
	if (value >= 100)
		*at++ = (char)('0' + value / 100);
	if (value >= 10)
		*at++ = (char)('0' + value / 10 % 10);
	*at++ = (char)('0' + value % 10);
	return at;
}

/* Most specific part first. */
void dns_reverse_name(const struct ip *ip, uint8_t bits, char ret[DNS_REVERSE_MAX])
{
	unsigned step = ip->family == 4 ? 8 : 4;
	char *at = ret;

	for (unsigned i = (bits + step - 1) / step; i-- > 0;) {
		if (ip->family == 4)
			at = put_octet(at, ip->bytes[i]);
		else
			*at++ = "0123456789abcdef"[ip->bytes[i / 2] >> (i % 2 ? 0 : 4) & 0x0f];
		*at++ = '.';
	}
	memcpy(at, ip->family == 4 ? REVERSE_V4 : REVERSE_V6,
	       (ip->family == 4 ? sizeof REVERSE_V4 : sizeof REVERSE_V6));
}
