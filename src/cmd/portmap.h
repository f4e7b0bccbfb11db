/*
 * portmap.h: asking the NAT before us to open our port: PCP, NAT-PMP, UPnP. The libraries for that block and parse what
 * a gateway says, so they live in a program of their own without privileges (ntm-portmap); ntmd and it talk in lines:
 *
 *     ntmd:        locals NONCE PORT [IP%INTERFACE ...]        all addresses to ask for, whenever they change
 *     ntm-portmap: mapped IP EXTERNAL:PORT LIFETIME METHOD     again at each renewal
 *                  unmapped IP
 *
 * The end of its input is its sign to withdraw what it holds and to end.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"

enum { PORTMAP_LOCALS_MAX = 4, PORTMAP_LINE_MAX = 512, PORTMAP_NONCE_SIZE = 12, PORTMAP_IFNAME_MAX = 16 };

enum portmap_method { PORTMAP_PCP, PORTMAP_NATPMP, PORTMAP_UPNP, PORTMAP_METHODS };

struct portmap_local {
	struct ip ip; /* IPv4 */
	char ifname[PORTMAP_IFNAME_MAX];
};

struct portmap_locals {
	uint8_t nonce[PORTMAP_NONCE_SIZE]; /* PCP: whoever has it may renew and withdraw; the same after a restart */
	uint16_t port;			   /* internal, UDP */
	size_t count;
	struct portmap_local list[PORTMAP_LOCALS_MAX];
};

struct portmap_answer {
	struct ip local;
	struct addr external; /* unset: there is no mapping */
	uint32_t lifetime_s;
	enum portmap_method method;
};

/* portmap_line.c. Without the newline; what is parsed is judged strictly: ERR_MALFORMED. */
void portmap_locals_format(const struct portmap_locals *locals, char ret[PORTMAP_LINE_MAX]);
must_use enum err portmap_locals_parse(const char *line, struct portmap_locals *ret);
void portmap_answer_format(const struct portmap_answer *answer, char ret[PORTMAP_LINE_MAX]);
must_use enum err portmap_answer_parse(const char *line, struct portmap_answer *ret);
const char *portmap_method_name(enum portmap_method method);
