/* way.h: how the kernel would send to an address: which interface, which MAC. For xdp.c. */
#pragma once

#include "base/addr.h"
#include "io/netlink_talk.h"
#include "io/xdp/entry.h"

/* An interface where the relay in the kernel runs. */
struct xdp_interface {
	uint32_t ifindex;
	char name[16];
	uint8_t mac[6];
	int link_fd; /* keeps the program there */
	bool is_veth;
};

/*
 * The way from our address to remote, if it leads straight out of one of these interfaces and the neighbour there is
 * known; else ERR_UNKNOWN. *ret_is_stale: the kernel would like to see traffic that way. No sums.
 */
must_use enum err xdp_way_find(struct nl *nl, const struct xdp_interface *interfaces, size_t count,
			       const struct ip *local, const struct ip *remote, struct xdp_way *ret,
			       bool *ret_is_stale);
/* Frames that left by this interface, as far as its driver counts; 0 when nobody says. */
uint64_t xdp_way_sent(struct nl *nl, uint32_t ifindex);
/* Without the sums and what is to come. */
bool xdp_way_equal(const struct xdp_way *a, const struct xdp_way *b);
