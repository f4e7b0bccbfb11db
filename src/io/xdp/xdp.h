/*
 * xdp.h: the relay in the kernel, on the interfaces by which nodes reach us. The machine decides which flows it
 * forwards; they are forwarded there until they are removed, the machine no longer renews them, or this process ends,
 * however it ends. Only xdp_open needs rights; afterwards nothing is asked of the kernel but routes and neighbours.
 */
#pragma once

#include <stdbool.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/time.h"
#include "proto/relay/flow.h"

enum { XDP_TEXT_MAX = 200, XDP_INTERFACES_MAX = 8 };

enum xdp_mode {
	XDP_MODE_AUTO,	  /* native, where a driver does it on real hardware */
	XDP_MODE_NATIVE,  /* wherever a driver does it, and the other end takes what is sent that way */
	XDP_MODE_GENERIC, /* by the kernel, after its own work on each packet */
	XDP_MODE_OFF,
};

struct xdp_params {
	enum xdp_mode mode;
	uint16_t port;
	struct ip local; /* the interface that has it; unspecified: every one with an address */
	uint64_t secret; /* random */
};

struct xdp;

/* ERR_UNSUPPORTED, ERR_DENIED or ERR_IO with a line that says why datagrams go through user space. */
must_use enum err xdp_open(const struct xdp_params *params, struct xdp **ret, char why[XDP_TEXT_MAX]);
/* Off the interfaces. Accepts NULL. */
void xdp_close(struct xdp *xdp);
/* "native on eth0, eth1". Writes into text. */
const char *xdp_describe(const struct xdp *xdp, char text[XDP_TEXT_MAX]);
/*
 * From now until `until` the kernel forwards the flow's datagrams. What it returns is shared with the kernel (flow.h).
 * NULL: no room, or no sure way to both legs.
 */
struct relay_copy *xdp_install(struct xdp *xdp, const struct relay_flow *flow, struct time_us now,
			       struct time_us until);
/* Goes on; false when the way to a leg is another one now: remove it. */
bool xdp_renew(struct xdp *xdp, struct relay_copy *copy, struct time_us until);
void xdp_remove(struct xdp *xdp, struct relay_copy *copy, struct time_us now);
/* Why datagrams of installed flows were not forwarded, reason by reason from 0 on, and how many; false at the end. */
bool xdp_next_reason(const struct xdp *xdp, unsigned reason, const char **ret_name, uint64_t *ret_count);
