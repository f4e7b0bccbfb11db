/*
 * netlink.h: what this machine's network looks like, told when it changes; and the set-up of the TUN in the kernel:
 * addresses, own routing table, rules. Linux route netlink through libmnl.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum { NET_ADDRESSES_MAX = 32, NET_NAME_MAX = 16, NET_ERROR_MAX = 200, NET_PREFIXES_MAX = 88, NET_SPARED_MAX = 16 };

/* One address that tunnels could leave from. */
struct net_address {
	struct ip ip;
	uint32_t ifindex;
	char ifname[NET_NAME_MAX];
	uint32_t mtu;
	bool is_default; /* what the kernel takes as source for this family's best default route */
	uint32_t metric; /* of the best default route through this interface; UINT32_MAX: none */
};

/* Sorted by family, ifindex, address. Without the TUN, loopback, link-local, tentative and deprecated addresses. */
struct net_snapshot {
	struct net_address addresses[NET_ADDRESSES_MAX];
	size_t count;
	bool is_cut; /* there were more than fit */
};

struct net_watch;

struct net_watch_params {
	uint32_t ifindex_excluded; /* the TUN; 0: none */
	void *ctx;
	/* The snapshot differs from the last one told. Must not destroy the watch. */
	void (*changed)(void *ctx, const struct net_snapshot *snapshot);
	/* A route or rule changed, so what netsetup_apply made may be damaged: call netsetup_check. May be NULL. */
	void (*routes_changed)(void *ctx);
};

/* Subscribes, takes the first snapshot and tells it through `changed` before returning. ERR_IO with errno. */
must_use enum err net_watch_create(const struct net_watch_params *params, struct net_watch **ret);
void net_watch_destroy(struct net_watch *watch); /* accepts NULL */
int net_watch_fd(const struct net_watch *watch);
/*
 * Call when the descriptor is readable: reads all events and, if any came, rebuilds the snapshot. Judges by addresses
 * and routes only, never waits for an operational state (it lags by up to a second). Lost events (ENOBUFS) mean a
 * full rebuild. ERR_IO when the kernel refuses the dump.
 */
must_use enum err net_watch_ready(struct net_watch *watch);
const struct net_snapshot *net_watch_snapshot(const struct net_watch *watch);

/* Packets to this interface that the kernel dropped because its queue was full: for a TUN, because nobody read fast
 * enough. ERR_IO with errno. */
must_use enum err net_link_overruns(uint32_t ifindex, uint64_t *ret);
/* How many packets may wait there. ERR_IO with errno. */
must_use enum err net_set_queue(uint32_t ifindex, uint32_t packets);

/*
 * The kernel's side of one TUN. Two nodes in one network namespace must differ in table, which also gives the rule
 * its priority. Everything made carries route protocol 73, so that what another program made is never touched.
 */
struct net_setup {
	uint32_t ifindex; /* of the TUN; not looked at by net_setup_remove */
	uint32_t mtu;
	uint32_t superpacket_max; /* bytes that the kernel puts into one (gso_max_size); 0: as many as it likes */
	struct ip v4, v6;	  /* family 0: none */
	struct prefix prefixes[NET_PREFIXES_MAX]; /* virtual prefixes, and others that go through the TUN */
	size_t prefix_count;
	struct prefix spared[NET_SPARED_MAX]; /* inside of those, and not for the TUN: other tables know */
	size_t spared_count;
	uint32_t table; /* e.g. 7367; not 0, 253..255 */
	uint32_t mark;	/* of our own sockets, which escape the table (T2); not 0 */
};

/* The rule's priority: 5200 + table % 1000; below the main table's 32766. */
uint32_t net_setup_priority(const struct net_setup *setup);

/*
 * Makes addresses, MTU, up, routes, `unreachable` routes of worse metric (so that nothing leaves in clear once the
 * TUN is gone, T1) and rules `not fwmark MARK lookup TABLE`. Idempotent; heals what a crash left. A family without
 * prefixes is left alone; a kernel without IPv6 gets IPv4 only when no prefix asks for more. ERR_IO with errno,
 * ERR_DENIED; error holds one line.
 */
must_use enum err net_setup_apply(const struct net_setup *setup, char error[NET_ERROR_MAX]);
/*
 * Looks whether all routes and rules are there and makes what is missing; *ret_repaired tells whether anything was.
 * Cheap enough for every event; does not provoke further events when nothing is missing.
 */
must_use enum err net_setup_check(const struct net_setup *setup, bool *ret_repaired, char error[NET_ERROR_MAX]);
/* Removes routes of our making that the set-up no longer names; for after a change of its prefixes. */
must_use enum err net_setup_trim(const struct net_setup *setup, char error[NET_ERROR_MAX]);
/* Removes rules and the table's routes. Needs only table and mark, so it also cleans up after a crash. Idempotent. */
must_use enum err net_setup_remove(const struct net_setup *setup, char error[NET_ERROR_MAX]);
