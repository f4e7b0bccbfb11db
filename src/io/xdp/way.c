#include "io/xdp/way.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <stddef.h>
#include <string.h>

struct route_found {
	uint32_t ifindex, mtu;
	struct ip gateway;
	bool is_plain; /* unicast, and no gateway of the other family */
};

static int take_route(const struct nlmsghdr *header, void *ctx)
{
	struct route_found *found = ctx;
	const struct rtmsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[RTA_VIA + 1], *metric;

	nl_attributes(header, sizeof(*body), attributes, RTA_VIA);
	found->ifindex = nl_u32(attributes[RTA_OIF]);
	found->gateway = nl_ip(attributes[RTA_GATEWAY], body->rtm_family);
	found->is_plain = body->rtm_type == RTN_UNICAST && !attributes[RTA_VIA];
	if (attributes[RTA_METRICS])
		mnl_attr_for_each_nested(metric, attributes[RTA_METRICS]) if (mnl_attr_get_type(metric) == RTAX_MTU)
			found->mtu = nl_u32(metric);
	return MNL_CB_OK;
}

static bool find_route(struct nl *nl, const struct ip *local, const struct ip *remote, struct route_found *ret)
{
	struct nl_request request;
	struct rtmsg *body = nl_begin(&request, RTM_GETROUTE, 0, sizeof(*body));

	body->rtm_family = nl_family_of(remote->family);
	body->rtm_dst_len = body->rtm_src_len = (uint8_t)(ip_size(remote) * 8);
	nl_put_ip(&request, RTA_DST, remote);
	nl_put_ip(&request, RTA_SRC, local);
	*ret = (struct route_found){0};
	return nl_dump(nl, &request, take_route, ret, true) == 0 && ret->is_plain;
}

struct neighbour_found {
	uint8_t mac[6];
	uint16_t state;
};

static int take_neighbour(const struct nlmsghdr *header, void *ctx)
{
	struct neighbour_found *found = ctx;
	const struct ndmsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[NDA_LLADDR + 1];

	nl_attributes(header, sizeof(*body), attributes, NDA_LLADDR);
	if (!attributes[NDA_LLADDR] || mnl_attr_get_payload_len(attributes[NDA_LLADDR]) != sizeof(found->mac))
		return MNL_CB_OK;
	memcpy(found->mac, mnl_attr_get_payload(attributes[NDA_LLADDR]), sizeof(found->mac));
	found->state = body->ndm_state;
	return MNL_CB_OK;
}

static bool find_neighbour(struct nl *nl, uint32_t ifindex, const struct ip *ip, struct neighbour_found *ret)
{
	struct nl_request request;
	struct ndmsg *body = nl_begin(&request, RTM_GETNEIGH, 0, sizeof(*body));

	body->ndm_family = nl_family_of(ip->family);
	body->ndm_ifindex = (int)ifindex;
	nl_put_ip(&request, NDA_DST, ip);
	*ret = (struct neighbour_found){0};
	return nl_dump(nl, &request, take_neighbour, ret, true) == 0 &&
	       ret->state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT);
}

struct link_found {
	uint32_t mtu;
	uint64_t sent;
};

static int take_link(const struct nlmsghdr *header, void *ctx)
{
	struct link_found *found = ctx;
	const struct nlattr *attributes[IFLA_STATS64 + 1], *stats;

	nl_attributes(header, sizeof(struct ifinfomsg), attributes, IFLA_STATS64);
	stats = attributes[IFLA_STATS64];
	found->mtu = nl_u32(attributes[IFLA_MTU]);
	if (stats &&
	    mnl_attr_get_payload_len(stats) >= offsetof(struct rtnl_link_stats64, tx_packets) + sizeof(found->sent))
		memcpy(&found->sent,
		       (const uint8_t *)mnl_attr_get_payload(stats) + offsetof(struct rtnl_link_stats64, tx_packets),
		       sizeof(found->sent));
	return MNL_CB_OK;
}

static struct link_found find_link(struct nl *nl, uint32_t ifindex)
{
	struct nl_request request;
	struct ifinfomsg *body = nl_begin(&request, RTM_GETLINK, 0, sizeof(*body));
	struct link_found found = {0};

	body->ifi_index = (int)ifindex;
	(void)nl_dump(nl, &request, take_link, &found, true);
	return found;
}

/* Contract in way.h. */
uint64_t xdp_way_sent(struct nl *nl, uint32_t ifindex)
{
	return find_link(nl, ifindex).sent;
}

/* Three questions, each answered out of the kernel's tables. */
enum err xdp_way_find(struct nl *nl, const struct xdp_interface *interfaces, size_t count, const struct ip *local,
		      const struct ip *remote, struct xdp_way *ret, bool *ret_is_stale)
{
	const struct xdp_interface *out = NULL;
	struct neighbour_found neighbour;
	struct route_found route;
	uint32_t mtu;

	if (local->family != remote->family || !find_route(nl, local, remote, &route))
		return ERR_UNKNOWN;
	for (size_t i = 0; i < count; i++)
		if (interfaces[i].ifindex == route.ifindex)
			out = &interfaces[i];
	if (!out || !find_neighbour(nl, out->ifindex, route.gateway.family ? &route.gateway : remote, &neighbour))
		return ERR_UNKNOWN;
	mtu = find_link(nl, out->ifindex).mtu;
	if (route.mtu && route.mtu < mtu)
		mtu = route.mtu;
	*ret = (struct xdp_way){.ifindex = out->ifindex, .mtu = mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX};
	memcpy(ret->local_mac, out->mac, sizeof(ret->local_mac));
	memcpy(ret->remote_mac, neighbour.mac, sizeof(ret->remote_mac));
	*ret_is_stale = neighbour.state == NUD_STALE;
	return OK;
}

/* A change of any of these is another way. */
bool xdp_way_equal(const struct xdp_way *a, const struct xdp_way *b)
{
	return a->ifindex == b->ifindex && a->mtu == b->mtu &&
	       memcmp(a->local_mac, b->local_mac, sizeof(a->local_mac)) == 0 &&
	       memcmp(a->remote_mac, b->remote_mac, sizeof(a->remote_mac)) == 0;
}
