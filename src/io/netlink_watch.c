#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "io/netlink.h"
#include "io/netlink_talk.h"

enum { NET_LINKS_MAX = 256, NET_DUMP_TRIES = 4, NET_EVENTS_BUFFER = 1 << 20 };

struct net_link {
	uint32_t ifindex, mtu;
	char name[NET_NAME_MAX];
	uint32_t metric_v4, metric_v6; /* of the best default route through it */
};

struct net_watch {
	struct net_watch_params params;
	struct mnl_socket *events;
	struct nl nl;
	struct net_snapshot snapshot, next;
	struct net_link links[NET_LINKS_MAX];
	size_t link_count;
	struct ip source_found; /* answer of net_ask_source */
};

static struct net_link *net_find_link(struct net_watch *watch, uint32_t ifindex)
{
	for (size_t i = 0; i < watch->link_count; i++)
		if (watch->links[i].ifindex == ifindex)
			return &watch->links[i];
	return NULL;
}

static int net_take_link(const struct nlmsghdr *header, void *ctx)
{
	struct net_watch *watch = ctx;
	const struct ifinfomsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[IFLA_MTU + 1];
	struct net_link *link;

	if (header->nlmsg_type != RTM_NEWLINK || (body->ifi_flags & IFF_LOOPBACK) || !(body->ifi_flags & IFF_UP))
		return MNL_CB_OK;
	if ((uint32_t)body->ifi_index == watch->params.ifindex_excluded)
		return MNL_CB_OK;
	if (watch->link_count == NET_LINKS_MAX) {
		watch->next.is_cut = true;
		return MNL_CB_OK;
	}
	nl_attributes(header, sizeof(*body), attributes, IFLA_MTU);
	link = &watch->links[watch->link_count++];
	*link = (struct net_link){.ifindex = (uint32_t)body->ifi_index, .mtu = nl_u32(attributes[IFLA_MTU])};
	link->metric_v4 = link->metric_v6 = UINT32_MAX;
	if (attributes[IFLA_IFNAME])
		strncpy(link->name, mnl_attr_get_str(attributes[IFLA_IFNAME]), sizeof(link->name) - 1);
	return MNL_CB_OK;
}

static bool net_is_local_scope(const struct ip *ip)
{
	if (ip->family == 4)
		return ip->bytes[0] == 127 || (ip->bytes[0] == 169 && ip->bytes[1] == 254);
	return ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

static int net_take_address(const struct nlmsghdr *header, void *ctx)
{
	struct net_watch *watch = ctx;
	const struct ifaddrmsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[IFA_FLAGS + 1];
	struct net_link *link;
	uint32_t flags;
	struct ip ip;

	if (header->nlmsg_type != RTM_NEWADDR || (body->ifa_family != AF_INET && body->ifa_family != AF_INET6))
		return MNL_CB_OK;
	link = net_find_link(watch, body->ifa_index);
	nl_attributes(header, sizeof(*body), attributes, IFA_FLAGS);
	flags = attributes[IFA_FLAGS] ? nl_u32(attributes[IFA_FLAGS]) : body->ifa_flags;
	ip = nl_ip(attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS], body->ifa_family);
	if (!link || ip.family == 0 || net_is_local_scope(&ip))
		return MNL_CB_OK;
	if ((flags & (IFA_F_DEPRECATED | IFA_F_DADFAILED)) ||
	    ((flags & IFA_F_TENTATIVE) && !(flags & IFA_F_OPTIMISTIC)))
		return MNL_CB_OK;
	if (watch->next.count == NET_ADDRESSES_MAX) {
		watch->next.is_cut = true;
		return MNL_CB_OK;
	}
	struct net_address *address = &watch->next.addresses[watch->next.count++];
	*address = (struct net_address){.ip = ip, .ifindex = link->ifindex, .mtu = link->mtu, .metric = UINT32_MAX};
	memcpy(address->ifname, link->name, sizeof(address->ifname));
	return MNL_CB_OK;
}

static void net_note_default(struct net_watch *watch, uint8_t af, uint32_t ifindex, uint32_t metric)
{
	struct net_link *link = net_find_link(watch, ifindex);
	uint32_t *known;

	if (!link)
		return;
	known = af == AF_INET ? &link->metric_v4 : &link->metric_v6;
	if (metric < *known)
		*known = metric;
}

/* Default routes of the main table, with one next hop or several. */
static int net_take_route(const struct nlmsghdr *header, void *ctx)
{
	struct net_watch *watch = ctx;
	const struct rtmsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[RTA_TABLE + 1];
	uint32_t metric;

	if (header->nlmsg_type != RTM_NEWROUTE || body->rtm_dst_len != 0 || body->rtm_type != RTN_UNICAST ||
	    (body->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD)))
		return MNL_CB_OK;
	nl_attributes(header, sizeof(*body), attributes, RTA_TABLE);
	if ((attributes[RTA_TABLE] ? nl_u32(attributes[RTA_TABLE]) : body->rtm_table) != RT_TABLE_MAIN)
		return MNL_CB_OK;
	metric = nl_u32(attributes[RTA_PRIORITY]);
	if (attributes[RTA_OIF])
		net_note_default(watch, body->rtm_family, nl_u32(attributes[RTA_OIF]), metric);
	if (attributes[RTA_MULTIPATH]) {
		const struct rtnexthop *hop = mnl_attr_get_payload(attributes[RTA_MULTIPATH]);
		int left = mnl_attr_get_payload_len(attributes[RTA_MULTIPATH]);

		for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
			if (!(hop->rtnh_flags & RTNH_F_DEAD))
				net_note_default(watch, body->rtm_family, (uint32_t)hop->rtnh_ifindex, metric);
	}
	return MNL_CB_OK;
}

static int net_take_source(const struct nlmsghdr *header, void *ctx)
{
	struct net_watch *watch = ctx;
	const struct rtmsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[RTA_PREFSRC + 1];

	nl_attributes(header, sizeof(*body), attributes, RTA_PREFSRC);
	watch->source_found = nl_ip(attributes[RTA_PREFSRC], body->rtm_family);
	return MNL_CB_OK;
}

/* Which source the kernel would take out of this interface; family 0 when it would not send at all. Nothing is sent. */
static struct ip net_ask_source(struct net_watch *watch, uint8_t af, uint32_t ifindex)
{
	/* Documentation addresses (RFC 5737, RFC 3849): only a default route leads there. */
	static const uint8_t far4[4] = {192, 0, 2, 1}, far6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	struct ip to = af == AF_INET ? ip_from_bytes(4, far4) : ip_from_bytes(6, far6);
	struct nl_request request;
	struct rtmsg *body = nl_begin(&request, RTM_GETROUTE, 0, sizeof(*body));

	body->rtm_family = af;
	body->rtm_dst_len = (uint8_t)(ip_size(&to) * 8);
	nl_put_ip(&request, RTA_DST, &to);
	mnl_attr_put_u32(request.header, RTA_OIF, ifindex);
	watch->source_found = (struct ip){0};
	if (nl_dump(&watch->nl, &request, net_take_source, watch, true) != 0)
		return (struct ip){0};
	return watch->source_found;
}

static void net_mark_default(struct net_watch *watch, uint8_t family)
{
	const struct net_link *best = NULL;
	uint32_t best_metric = UINT32_MAX;
	struct ip source;

	for (size_t i = 0; i < watch->link_count; i++) {
		uint32_t metric = family == 4 ? watch->links[i].metric_v4 : watch->links[i].metric_v6;

		if (metric < best_metric) {
			best = &watch->links[i];
			best_metric = metric;
		}
	}
	if (!best)
		return;
	source = net_ask_source(watch, nl_family_of(family), best->ifindex);
	for (size_t i = 0; i < watch->next.count; i++) {
		struct net_address *address = &watch->next.addresses[i];

		if (address->ip.family == family && address->ifindex == best->ifindex &&
		    (source.family == 0 || ip_equal(&source, &address->ip))) {
			address->is_default = true;
			return;
		}
	}
}

static int net_compare(const struct net_address *a, const struct net_address *b)
{
	if (a->ip.family != b->ip.family)
		return a->ip.family < b->ip.family ? -1 : 1;
	if (a->ifindex != b->ifindex)
		return a->ifindex < b->ifindex ? -1 : 1;
	return ip_compare(&a->ip, &b->ip);
}

/* Few and nearly sorted: by insertion. */
static void net_sort(struct net_snapshot *snapshot)
{
	for (size_t i = 1; i < snapshot->count; i++) {
		struct net_address moving = snapshot->addresses[i];
		size_t at = i;

		for (; at > 0 && net_compare(&moving, &snapshot->addresses[at - 1]) < 0; at--)
			snapshot->addresses[at] = snapshot->addresses[at - 1];
		snapshot->addresses[at] = moving;
	}
}

static int net_dump_links(struct net_watch *watch)
{
	struct nl_request request;

	nl_begin(&request, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	return nl_dump(&watch->nl, &request, net_take_link, watch, false);
}

static int net_dump_addresses(struct net_watch *watch)
{
	struct nl_request request;

	nl_begin(&request, RTM_GETADDR, 0, sizeof(struct ifaddrmsg));
	return nl_dump(&watch->nl, &request, net_take_address, watch, false);
}

static int net_dump_routes(struct net_watch *watch, uint8_t af)
{
	struct nl_request request;
	struct rtmsg *body = nl_begin(&request, RTM_GETROUTE, 0, sizeof(*body));
	int error;

	body->rtm_family = af;
	body->rtm_table = RT_TABLE_MAIN;
	mnl_attr_put_u32(request.header, RTA_TABLE, RT_TABLE_MAIN);
	error = nl_dump(&watch->nl, &request, net_take_route, watch, false);
	return error == ENOENT || error == EOPNOTSUPP || error == EAFNOSUPPORT ? 0
									       : error; /* no such table or family */
}

static int net_dump_all(struct net_watch *watch)
{
	int error;

	watch->next = (struct net_snapshot){0};
	watch->link_count = 0;
	error = net_dump_links(watch);
	if (error == 0)
		error = net_dump_addresses(watch);
	if (error == 0)
		error = net_dump_routes(watch, AF_INET);
	if (error == 0)
		error = net_dump_routes(watch, AF_INET6);
	return error;
}

static bool net_snapshots_differ(const struct net_snapshot *a, const struct net_snapshot *b)
{
	if (a->count != b->count || a->is_cut != b->is_cut)
		return true;
	for (size_t i = 0; i < a->count; i++) {
		const struct net_address *x = &a->addresses[i], *y = &b->addresses[i];

		if (net_compare(x, y) != 0 || x->mtu != y->mtu || x->is_default != y->is_default ||
		    x->metric != y->metric || strcmp(x->ifname, y->ifname) != 0)
			return true;
	}
	return false;
}

static enum err net_rebuild(struct net_watch *watch, bool is_first)
{
	int error = EINTR;

	for (int tries = 0; error == EINTR && tries < NET_DUMP_TRIES; tries++)
		error = net_dump_all(watch);
	if (error != 0 &&
	    error != EINTR) { /* after that many changes under way the last dump is as good as any: events follow */
		errno = error;
		return ERR_IO;
	}
	for (size_t i = 0; i < watch->next.count; i++) {
		struct net_address *address = &watch->next.addresses[i];
		const struct net_link *link = net_find_link(watch, address->ifindex);

		address->metric = address->ip.family == 4 ? link->metric_v4 : link->metric_v6;
	}
	net_sort(&watch->next);
	net_mark_default(watch, 4);
	net_mark_default(watch, 6);
	if (is_first || net_snapshots_differ(&watch->snapshot, &watch->next)) {
		watch->snapshot = watch->next;
		watch->params.changed(watch->params.ctx, &watch->snapshot);
	}
	return OK;
}

/* Subscribes before the first dump, so that no change falls between them. */
enum err net_watch_create(const struct net_watch_params *params, struct net_watch **ret)
{
	unsigned groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
			  RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | 1u << (RTNLGRP_IPV6_RULE - 1);
	struct net_watch *watch = mem_alloc(1, sizeof(*watch));
	int size = NET_EVENTS_BUFFER;
	enum err err;

	watch->params = *params;
	err = nl_open(&watch->nl);
	if (err != OK)
		goto fail;
	err = ERR_IO;
	watch->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!watch->events || mnl_socket_bind(watch->events, groups, MNL_SOCKET_AUTOPID) != 0)
		goto fail;
	setsockopt(mnl_socket_get_fd(watch->events), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	err = net_rebuild(watch, true);
	if (err != OK)
		goto fail;
	*ret = watch;
	return OK;
fail:
	net_watch_destroy(watch);
	return err;
}

/* Keeps errno, for the failure path of net_watch_create. */
void net_watch_destroy(struct net_watch *watch)
{
	int saved = errno;

	if (!watch)
		return;
	if (watch->events)
		mnl_socket_close(watch->events);
	nl_close(&watch->nl);
	mem_free(watch);
	errno = saved;
}

/* Readable when something changed. */
int net_watch_fd(const struct net_watch *watch)
{
	return mnl_socket_get_fd(watch->events);
}

enum { NET_EVENT_ANY = 1, NET_EVENT_ROUTES = 2 };

/* Classifies the events of one message batch. */
static int net_classify(const uint8_t *bytes, size_t size)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)bytes;
	int left = (int)size, seen = 0;

	for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
		seen |= NET_EVENT_ANY;
		if (header->nlmsg_type != RTM_NEWLINK) /* addresses count: a route with a source goes with it */
			seen |= NET_EVENT_ROUTES;
	}
	return seen;
}

/* All waiting events cost one rebuild. */
enum err net_watch_ready(struct net_watch *watch)
{
	int seen = 0;
	enum err err;

	for (;;) {
		ssize_t size = recv(mnl_socket_get_fd(watch->events), watch->nl.buffer, NL_BUFFER_SIZE, MSG_DONTWAIT);

		if (size > 0) {
			seen |= net_classify(watch->nl.buffer, (size_t)size);
			continue;
		}
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == ENOBUFS) { /* events were lost: look at everything */
			seen |= NET_EVENT_ANY | NET_EVENT_ROUTES;
			continue;
		}
		break;
	}
	if (!seen)
		return OK;
	err = net_rebuild(watch, false);
	if ((seen & NET_EVENT_ROUTES) && watch->params.routes_changed)
		watch->params.routes_changed(watch->params.ctx);
	return err;
}

/* Valid until the next net_watch_ready. */
const struct net_snapshot *net_watch_snapshot(const struct net_watch *watch)
{
	return &watch->snapshot;
}
