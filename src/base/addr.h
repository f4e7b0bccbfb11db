/* addr.h: IP addresses, transport addresses and prefixes of both families. Values, no ownership. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { ADDR_TEXT_MAX = 64 }; /* longest text of any of these, with the terminating zero */

/* family 0 means "none"; IPv4 uses the first 4 bytes, the rest is zero. */
struct ip {
	uint8_t family; /* 0, 4 or 6 */
	uint8_t bytes[16];
};

/* A UDP or TCP transport address. Never v4-mapped: io unmaps at the door. */
struct addr {
	struct ip ip;
	uint16_t port; /* host order */
};

struct prefix {
	struct ip ip; /* host bits zero */
	uint8_t bits; /* 0..32 or 0..128 */
};

/* 4 for IPv4, 16 for IPv6, 0 for none. */
static inline size_t ip_size(const struct ip *ip)
{
	return ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0;
}

struct ip ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
/* From network-order bytes: 4 of them for family 4, 16 for family 6. */
struct ip ip_from_bytes(uint8_t family, const uint8_t *bytes);
bool ip_equal(const struct ip *a, const struct ip *b);
/* Total order: family first, then bytes. */
int ip_compare(const struct ip *a, const struct ip *b);
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_is_set(const struct addr *a);

/* "192.0.2.1", "2001:db8::1"; ERR_MALFORMED otherwise, *ret untouched. */
must_use enum err ip_parse(const char *text, struct ip *ret);
/* "192.0.2.1:7367", "[2001:db8::1]:7367"; without a port `port_default` is taken. */
must_use enum err addr_parse(const char *text, uint16_t port_default, struct addr *ret);
/* "198.18.0.0/15"; host bits must be zero. */
must_use enum err prefix_parse(const char *text, struct prefix *ret);

/* Each writes at most ADDR_TEXT_MAX bytes and returns `text`; "none" for family 0. */
const char *ip_format(const struct ip *ip, char text[ADDR_TEXT_MAX]);
const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_MAX]);
const char *prefix_format(const struct prefix *prefix, char text[ADDR_TEXT_MAX]);

bool prefix_contains(const struct prefix *prefix, const struct ip *ip);

/*
 * May this address be offered or probed as a peer's transport address? Refuses unspecified, loopback, multicast,
 * broadcast, link-local, v4-mapped and port 0 (T26). Private addresses pass: peers may share a LAN.
 */
bool addr_is_probeable(const struct addr *addr);
/* Private, ULA, CGNAT or otherwise not globally routed? */
bool ip_is_private(const struct ip *ip);
