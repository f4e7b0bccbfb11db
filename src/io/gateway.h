/*
 * gateway.h: the kernel's side of an exit: its device and the two addresses behind it, masquerading, forwarding. The
 * nftables table belongs to this process and goes with it, however it ends; switches under /proc/sys are noted in a
 * file and put back at the end, or at the next start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "io/ruleset.h"

enum { GATEWAY_ERROR_MAX = RULESET_ERROR_MAX };

struct gateway;

struct gateway_params {
	const char *ifname; /* the exit's TUN; its name is also the table's */
	uint32_t ifindex, mtu;
	struct ip v4, v6;	     /* what packets from the exit bear before they are masqueraded */
	uint16_t port_min, port_max; /* kept from sockets of this machine */
	int64_t udp_idle_s;	     /* how long the kernel remembers what it masqueraded */
	const char *memo;	     /* file for what was there before */
};

/*
 * Nothing but the exit's packets is forwarded, if this machine forwarded nothing before. ERR_DENIED, ERR_IO or
 * ERR_UNSUPPORTED; error holds one line.
 */
must_use enum err gateway_open(const struct gateway_params *params, struct gateway **ret,
			       char error[GATEWAY_ERROR_MAX]);
/* Does this machine have IPv6 at all? */
bool gateway_has_v6(const struct gateway *gateway);
void gateway_close(struct gateway *gateway); /* accepts NULL */
