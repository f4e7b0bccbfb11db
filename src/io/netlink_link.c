/* The queue of an interface: how long it is, and what it could not hold. */
#include <errno.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <string.h>

#include "io/netlink.h"
#include "io/netlink_talk.h"

static int net_take_counts(const struct nlmsghdr *header, void *ctx)
{
	const struct nlattr *attributes[IFLA_STATS64 + 1];
	size_t size, offset = offsetof(struct rtnl_link_stats64, tx_dropped);
	uint64_t *dropped = ctx;

	nl_attributes(header, sizeof(struct ifinfomsg), attributes, IFLA_STATS64);
	size = attributes[IFLA_STATS64] ? mnl_attr_get_payload_len(attributes[IFLA_STATS64]) : 0;
	if (size < offset + sizeof(*dropped)) /* kernels differ in what stands behind */
		return MNL_CB_OK;
	memcpy(dropped, (const uint8_t *)mnl_attr_get_payload(attributes[IFLA_STATS64]) + offset, sizeof(*dropped));
	return MNL_CB_OK;
}

/* A request socket for this once: it is asked for rarely. */
enum err net_link_overruns(uint32_t ifindex, uint64_t *ret)
{
	struct nl_request request;
	struct ifinfomsg *body;
	uint64_t dropped = 0;
	struct nl nl;
	int error;

	if (nl_open(&nl) != OK)
		return ERR_IO;
	body = nl_begin(&request, RTM_GETLINK, 0, sizeof(*body));
	body->ifi_index = (int)ifindex;
	error = nl_dump(&nl, &request, net_take_counts, &dropped, true);
	nl_close(&nl);
	errno = error;
	if (error != 0)
		return ERR_IO;
	*ret = dropped;
	return OK;
}

/* By netlink: the ioctl for it wants the right in the machine's first user namespace, which containers lack. */
enum err net_set_queue(uint32_t ifindex, uint32_t packets)
{
	struct nl_request request;
	struct ifinfomsg *body;
	struct nl nl;

	if (nl_open(&nl) != OK)
		return ERR_IO;
	body = nl_begin(&request, RTM_NEWLINK, 0, sizeof(*body));
	body->ifi_index = (int)ifindex;
	mnl_attr_put_u32(request.header, IFLA_TXQLEN, packets);
	errno = nl_ask(&nl, &request);
	nl_close(&nl);
	return errno == 0 ? OK : ERR_IO;
}
