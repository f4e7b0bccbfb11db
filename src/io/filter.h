/*
 * filter.h: virtual addresses are spoken to on the tunnel's device and nowhere else (T3, CVE-2019-14899): a table of
 * the kernel's packet filter (nftables), named after the device. Made anew by each filter_raise. What a killed process
 * leaves drops no more than it should have, and is replaced by the next one.
 */
#pragma once

#include <stddef.h>

#include "base/addr.h"
#include "base/err.h"
#include "io/ruleset.h"

enum { FILTER_ERROR_MAX = RULESET_ERROR_MAX };

struct filter_params {
	const char *ifname;	       /* of the TUN */
	struct ip v4, v6;	       /* our virtual addresses; family 0: none */
	const struct prefix *prefixes; /* virtual addresses of others; who routes one of them elsewhere keeps it */
	size_t prefix_count;
};

/*
 * From elsewhere nothing comes to our virtual addresses nor from others', and nothing leaves from ours. ERR_USAGE: a
 * name that nftables would not take. ERR_UNSUPPORTED or ERR_IO: nothing has changed; error holds one line.
 */
must_use enum err filter_raise(const struct filter_params *params, char error[FILTER_ERROR_MAX]);
/* Harmless when there is none. */
void filter_lower(const char *ifname);
