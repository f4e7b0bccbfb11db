#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/netlink.h"
#include "io/netlink_talk.h"

enum {
	NET_PROTOCOL = 73, /* what we made, of routes and rules */
	NET_PRIORITY = 5200,
	NET_METRIC_TUN = 1024,
	NET_METRIC_GUARD = 65000, /* `unreachable`, for when the TUN is gone */
	NET_DUMP_TRIES = 4,
	NET_REMOVE_ROUNDS = 16,
	NET_REMOVE_BYTES = 16384,
	NET_ADDRESS_SELF_MADE =
		1, /* IN6_ADDR_GEN_MODE_NONE: no link-local address, no router solicitations into the TUN */
};

/* What of the set-up is in the kernel already. Index 0 is IPv4, 1 IPv6. */
struct net_found {
	const struct net_setup *setup;
	bool link, address[2], rule[2];
	bool route[NET_PREFIXES_MAX], guard[NET_PREFIXES_MAX], spared[NET_SPARED_MAX];
};

static bool net_has_family(const struct net_setup *setup, uint8_t family)
{
	for (size_t i = 0; i < setup->prefix_count; i++)
		if (setup->prefixes[i].ip.family == family)
			return true;
	return false;
}

/* Differs with the table, so that nodes of one namespace can be told apart. */
uint32_t net_setup_priority(const struct net_setup *setup)
{
	return NET_PRIORITY + setup->table % 1000;
}

static int net_see_link(const struct nlmsghdr *header, void *ctx)
{
	struct net_found *found = ctx;
	const struct ifinfomsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[IFLA_MTU + 1];

	nl_attributes(header, sizeof(*body), attributes, IFLA_MTU);
	found->link = (body->ifi_flags & IFF_UP) && nl_u32(attributes[IFLA_MTU]) == found->setup->mtu;
	return MNL_CB_OK;
}

static int net_see_address(const struct nlmsghdr *header, void *ctx)
{
	struct net_found *found = ctx;
	const struct ifaddrmsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[IFA_LOCAL + 1];
	struct ip ip;

	if (body->ifa_index != found->setup->ifindex)
		return MNL_CB_OK;
	nl_attributes(header, sizeof(*body), attributes, IFA_LOCAL);
	ip = nl_ip(attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS], body->ifa_family);
	found->address[0] = found->address[0] || (ip.family == 4 && ip_equal(&ip, &found->setup->v4));
	found->address[1] = found->address[1] || (ip.family == 6 && ip_equal(&ip, &found->setup->v6));
	return MNL_CB_OK;
}

/* Is this message a route of our making in our table? */
static bool net_is_own_route(const struct nlmsghdr *header, const struct net_setup *setup,
			     const struct nlattr *attributes[RTA_TABLE + 1])
{
	const struct rtmsg *body = mnl_nlmsg_get_payload(header);

	nl_attributes(header, sizeof(*body), attributes, RTA_TABLE);
	return body->rtm_protocol == NET_PROTOCOL && !(body->rtm_flags & RTM_F_CLONED) &&
	       (attributes[RTA_TABLE] ? nl_u32(attributes[RTA_TABLE]) : body->rtm_table) == setup->table;
}

/* A route to everywhere has no destination. */
static bool net_is_to(const struct prefix *prefix, const struct rtmsg *body, const struct ip *to)
{
	if (prefix->bits != body->rtm_dst_len || body->rtm_family != nl_family_of(prefix->ip.family))
		return false;
	return prefix->bits == 0 || ip_equal(&prefix->ip, to);
}

static int net_see_route(const struct nlmsghdr *header, void *ctx)
{
	struct net_found *found = ctx;
	const struct rtmsg *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[RTA_TABLE + 1];
	struct ip to;

	if (!net_is_own_route(header, found->setup, attributes))
		return MNL_CB_OK;
	to = nl_ip(attributes[RTA_DST], body->rtm_family);
	for (size_t i = 0; i < found->setup->prefix_count; i++) {
		const struct prefix *prefix = &found->setup->prefixes[i];

		if (!net_is_to(prefix, body, &to))
			continue;
		if (body->rtm_type == RTN_UNREACHABLE)
			found->guard[i] = true;
		else if (nl_u32(attributes[RTA_OIF]) == found->setup->ifindex)
			found->route[i] = true;
	}
	for (size_t i = 0; i < found->setup->spared_count; i++)
		if (net_is_to(&found->setup->spared[i], body, &to) && body->rtm_type == RTN_THROW)
			found->spared[i] = true;
	return MNL_CB_OK;
}

static bool net_is_own_rule(const struct nlmsghdr *header, const struct net_setup *setup,
			    const struct nlattr *attributes[FRA_PROTOCOL + 1])
{
	const struct fib_rule_hdr *body = mnl_nlmsg_get_payload(header);

	nl_attributes(header, sizeof(*body), attributes, FRA_PROTOCOL);
	return attributes[FRA_PROTOCOL] && mnl_attr_get_u8(attributes[FRA_PROTOCOL]) == NET_PROTOCOL &&
	       (attributes[FRA_TABLE] ? nl_u32(attributes[FRA_TABLE]) : body->table) == setup->table;
}

static int net_see_rule(const struct nlmsghdr *header, void *ctx)
{
	struct net_found *found = ctx;
	const struct fib_rule_hdr *body = mnl_nlmsg_get_payload(header);
	const struct nlattr *attributes[FRA_PROTOCOL + 1];

	if (net_is_own_rule(header, found->setup, attributes) && (body->flags & FIB_RULE_INVERT) &&
	    nl_u32(attributes[FRA_FWMARK]) == found->setup->mark &&
	    nl_u32(attributes[FRA_PRIORITY]) == net_setup_priority(found->setup))
		found->rule[body->family == AF_INET ? 0 : 1] = true;
	return MNL_CB_OK;
}

static int net_dump_table(struct nl *nl, uint32_t table, uint8_t af, mnl_cb_t each, void *ctx)
{
	struct nl_request request;
	struct rtmsg *body = nl_begin(&request, RTM_GETROUTE, 0, sizeof(*body));
	int error;

	body->rtm_family = af;
	mnl_attr_put_u32(request.header, RTA_TABLE, table);
	error = nl_dump(nl, &request, each, ctx, false);
	return error == ENOENT || error == EOPNOTSUPP || error == EAFNOSUPPORT ? 0
									       : error; /* no such table or family */
}

static int net_dump_rules(struct nl *nl, uint8_t af, mnl_cb_t each, void *ctx)
{
	struct nl_request request;
	struct fib_rule_hdr *body = nl_begin(&request, RTM_GETRULE, 0, sizeof(*body));
	int error;

	body->family = af;
	error = nl_dump(nl, &request, each, ctx, false);
	return error == EOPNOTSUPP || error == EAFNOSUPPORT ? 0 : error;
}

static int net_look_once(struct nl *nl, struct net_found *found)
{
	struct nl_request request;
	struct ifinfomsg *link = nl_begin(&request, RTM_GETLINK, 0, sizeof(*link));
	int error;

	link->ifi_index = (int)found->setup->ifindex;
	error = nl_dump(nl, &request, net_see_link, found, true);
	if (error == 0) {
		nl_begin(&request, RTM_GETADDR, 0, sizeof(struct ifaddrmsg));
		error = nl_dump(nl, &request, net_see_address, found, false);
	}
	for (int i = 0; i < 2 && error == 0; i++) {
		uint8_t af = i == 0 ? AF_INET : AF_INET6;

		error = net_dump_table(nl, found->setup->table, af, net_see_route, found);
		if (error == 0)
			error = net_dump_rules(nl, af, net_see_rule, found);
	}
	return error;
}

static int net_look(struct nl *nl, const struct net_setup *setup, struct net_found *ret)
{
	int error = EINTR;

	for (int tries = 0; error == EINTR && tries < NET_DUMP_TRIES; tries++) {
		*ret = (struct net_found){.setup = setup};
		error = net_look_once(nl, ret);
	}
	return error == EINTR ? 0 : error;
}

/* Only faster: a kernel that refuses it is no worse off. */
static void net_limit_superpackets(struct nl *nl, const struct net_setup *setup)
{
	struct nl_request request;
	struct ifinfomsg *body = nl_begin(&request, RTM_NEWLINK, 0, sizeof(*body));

	body->ifi_index = (int)setup->ifindex;
	mnl_attr_put_u32(request.header, IFLA_GSO_MAX_SIZE, setup->superpacket_max);
	nl_ask(nl, &request);
}

static int net_make_link(struct nl *nl, const struct net_setup *setup)
{
	struct nl_request request;
	struct ifinfomsg *body = nl_begin(&request, RTM_NEWLINK, 0, sizeof(*body));
	struct nlattr *families, *v6;
	int error;

	body->ifi_index = (int)setup->ifindex;
	families = mnl_attr_nest_start(request.header, IFLA_AF_SPEC);
	v6 = mnl_attr_nest_start(request.header, AF_INET6);
	mnl_attr_put_u8(request.header, IFLA_INET6_ADDR_GEN_MODE, NET_ADDRESS_SELF_MADE);
	mnl_attr_nest_end(request.header, v6);
	mnl_attr_nest_end(request.header, families);
	nl_ask(nl, &request); /* a kernel without IPv6 refuses, and needs none of it */

	body = nl_begin(&request, RTM_NEWLINK, 0, sizeof(*body));
	body->ifi_index = (int)setup->ifindex;
	body->ifi_flags = body->ifi_change = IFF_UP;
	mnl_attr_put_u32(request.header, IFLA_MTU, setup->mtu);
	error = nl_ask(nl, &request);
	if (error == 0 && setup->superpacket_max > 0)
		net_limit_superpackets(nl, setup);
	return error;
}

/* Containers often begin with IPv6 switched off on every interface; this one is ours. */
static void net_enable_v6(const struct net_setup *setup)
{
	char name[IF_NAMESIZE], path[64 + IF_NAMESIZE];
	int fd;
	ssize_t n;

	if (!if_indextoname(setup->ifindex, name))
		return;
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = write(fd, "0", 1);
	(void)n; /* the next attempt shows whether it helped */
	close(fd);
}

static int net_make_address(struct nl *nl, const struct net_setup *setup, const struct ip *ip)
{
	struct nl_request request;
	struct ifaddrmsg *body = nl_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));

	body->ifa_family = nl_family_of(ip->family);
	body->ifa_prefixlen = (uint8_t)(ip_size(ip) * 8);
	body->ifa_index = setup->ifindex;
	nl_put_ip(&request, IFA_LOCAL, ip);
	nl_put_ip(&request, IFA_ADDRESS, ip);
	if (ip->family == 6)
		mnl_attr_put_u32(request.header, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE);
	return nl_ask(nl, &request);
}

static int net_make_route(struct nl *nl, const struct net_setup *setup, const struct prefix *prefix, bool is_guard)
{
	struct nl_request request;
	struct rtmsg *body = nl_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));
	const struct ip *source = prefix->ip.family == 4 ? &setup->v4 : &setup->v6;

	body->rtm_family = nl_family_of(prefix->ip.family);
	body->rtm_dst_len = prefix->bits;
	body->rtm_protocol = NET_PROTOCOL;
	body->rtm_type = is_guard ? RTN_UNREACHABLE : RTN_UNICAST;
	body->rtm_scope = is_guard || prefix->ip.family == 6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	mnl_attr_put_u32(request.header, RTA_TABLE, setup->table);
	mnl_attr_put_u32(request.header, RTA_PRIORITY, is_guard ? NET_METRIC_GUARD : NET_METRIC_TUN);
	nl_put_ip(&request, RTA_DST, &prefix->ip);
	if (!is_guard) {
		mnl_attr_put_u32(request.header, RTA_OIF, setup->ifindex);
		if (source->family != 0)
			nl_put_ip(&request, RTA_PREFSRC, source);
	}
	return nl_ask(nl, &request);
}

/* Whoever looks here is sent on to the next rule. */
static int net_make_spared(struct nl *nl, const struct net_setup *setup, const struct prefix *prefix)
{
	struct nl_request request;
	struct rtmsg *body = nl_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));

	body->rtm_family = nl_family_of(prefix->ip.family);
	body->rtm_dst_len = prefix->bits;
	body->rtm_protocol = NET_PROTOCOL;
	body->rtm_type = RTN_THROW;
	body->rtm_scope = RT_SCOPE_UNIVERSE;
	mnl_attr_put_u32(request.header, RTA_TABLE, setup->table);
	mnl_attr_put_u32(request.header, RTA_PRIORITY, NET_METRIC_TUN);
	nl_put_ip(&request, RTA_DST, &prefix->ip);
	return nl_ask(nl, &request);
}

static int net_make_rule(struct nl *nl, const struct net_setup *setup, uint8_t af)
{
	struct nl_request request;
	struct fib_rule_hdr *body = nl_begin(&request, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*body));
	int error;

	body->family = af;
	body->action = FR_ACT_TO_TBL;
	body->flags = FIB_RULE_INVERT;
	mnl_attr_put_u32(request.header, FRA_TABLE, setup->table);
	mnl_attr_put_u32(request.header, FRA_PRIORITY, net_setup_priority(setup));
	mnl_attr_put_u32(request.header, FRA_FWMARK, setup->mark);
	mnl_attr_put_u32(request.header, FRA_FWMASK, UINT32_MAX);
	mnl_attr_put_u8(request.header, FRA_PROTOCOL, NET_PROTOCOL);
	error = nl_ask(nl, &request);
	return error == EEXIST ? 0 : error;
}

/* Does the kernel mean that it does not do IPv6 (here)? Then nothing of it can leave in clear either. */
static bool net_lacks_v6(int error)
{
	return error == EAFNOSUPPORT || error == EOPNOTSUPP || error == EACCES || error == ENODEV;
}

/* One step of the work: notes whether something was made, and forgives a missing family. */
static bool net_step(int error, uint8_t family, const char *what, bool *made, char text[NET_ERROR_MAX])
{
	if (error == 0) {
		*made = true;
		return true;
	}
	if (family == 6 && net_lacks_v6(error))
		return true;
	snprintf(text, NET_ERROR_MAX, "cannot set %s: %s%s", what, strerror(error),
		 error == EPERM ? ": run as root or with CAP_NET_ADMIN" : "");
	errno = error;
	return false;
}

/* First what keeps packets from leaving in clear, then what lets them through. */
static bool net_make_guards(struct nl *nl, const struct net_found *found, bool *made, char text[NET_ERROR_MAX])
{
	const struct net_setup *setup = found->setup;

	for (size_t i = 0; i < setup->prefix_count; i++) {
		const struct prefix *prefix = &setup->prefixes[i];

		if (!found->guard[i] && !net_step(net_make_route(nl, setup, prefix, true), prefix->ip.family,
						  "unreachable route", made, text))
			return false;
	}
	for (size_t i = 0; i < setup->spared_count; i++)
		if (!found->spared[i] && !net_step(net_make_spared(nl, setup, &setup->spared[i]),
						   setup->spared[i].ip.family, "spared route", made, text))
			return false;
	for (int i = 0; i < 2; i++) {
		uint8_t family = i == 0 ? 4 : 6;

		if (!found->rule[i] && net_has_family(setup, family) &&
		    !net_step(net_make_rule(nl, setup, nl_family_of(family)), family, "routing rule", made, text))
			return false;
	}
	return true;
}

static bool net_make_missing(struct nl *nl, const struct net_found *found, bool *made, char text[NET_ERROR_MAX])
{
	const struct net_setup *setup = found->setup;

	if (!net_make_guards(nl, found, made, text))
		return false;
	if (!found->link && !net_step(net_make_link(nl, setup), 0, "MTU and state of the interface", made, text))
		return false;
	if (!found->address[0] && setup->v4.family == 4 &&
	    !net_step(net_make_address(nl, setup, &setup->v4), 4, "IPv4 address", made, text))
		return false;
	if (!found->address[1] && setup->v6.family == 6) {
		int error = net_make_address(nl, setup, &setup->v6);

		if (net_lacks_v6(error)) {
			net_enable_v6(setup);
			error = net_make_address(nl, setup, &setup->v6);
		}
		if (!net_step(error, 6, "IPv6 address", made, text))
			return false;
	}
	for (size_t i = 0; i < setup->prefix_count; i++) {
		const struct prefix *prefix = &setup->prefixes[i];

		if (!found->route[i] &&
		    !net_step(net_make_route(nl, setup, prefix, false), prefix->ip.family, "route", made, text))
			return false;
	}
	return true;
}

static bool net_setup_is_sound(const struct net_setup *setup)
{
	return setup->table != 0 && (setup->table < RT_TABLE_DEFAULT || setup->table > RT_TABLE_LOCAL) &&
	       setup->mark != 0 && setup->prefix_count <= NET_PREFIXES_MAX && setup->spared_count <= NET_SPARED_MAX;
}

/* Looks first and makes only what is missing: otherwise each check would cause the next event. */
enum err net_setup_check(const struct net_setup *setup, bool *ret_repaired, char error[NET_ERROR_MAX])
{
	struct nl nl;
	struct net_found found;
	bool made = false, good;
	int failed;

	if (!net_setup_is_sound(setup)) {
		snprintf(error, NET_ERROR_MAX,
			 "routing table %u, mark %u: table must not be 0 or 253 to 255, mark not 0", setup->table,
			 setup->mark);
		return ERR_USAGE;
	}
	if (nl_open(&nl) != OK) {
		snprintf(error, NET_ERROR_MAX, "cannot talk to the kernel's routing: %s", strerror(errno));
		return ERR_IO;
	}
	failed = net_look(&nl, setup, &found);
	good = failed == 0 ? net_make_missing(&nl, &found, &made, error)
			   : net_step(failed, 0, "up the interface (it is gone)", &made, error);
	failed = errno;
	nl_close(&nl);
	errno = failed;
	if (!good)
		return failed == EPERM ? ERR_DENIED : ERR_IO;
	*ret_repaired = made;
	return OK;
}

/* The same as a check: what is there stays, after a crash too. */
enum err net_setup_apply(const struct net_setup *setup, char error[NET_ERROR_MAX])
{
	bool repaired;

	return net_setup_check(setup, &repaired, error);
}

/* Messages of a dump, kept to be sent back as deletions. */
struct net_collection {
	const struct net_setup *setup;
	bool only_strays; /* what the set-up names stays */
	size_t used;
	_Alignas(struct nlmsghdr) uint8_t bytes[NET_REMOVE_BYTES];
};

static void net_collect(struct net_collection *collection, const struct nlmsghdr *header)
{
	size_t size = NLMSG_ALIGN(header->nlmsg_len);

	if (collection->used + size > sizeof(collection->bytes))
		return; /* the next round takes it */
	memcpy(collection->bytes + collection->used, header, header->nlmsg_len);
	collection->used += size;
}

static bool net_is_named(const struct nlmsghdr *header, const struct net_setup *setup,
			 const struct nlattr *attributes[RTA_TABLE + 1])
{
	const struct rtmsg *body = mnl_nlmsg_get_payload(header);
	struct ip to = nl_ip(attributes[RTA_DST], body->rtm_family);

	for (size_t i = 0; i < setup->prefix_count && body->rtm_type != RTN_THROW; i++)
		if (net_is_to(&setup->prefixes[i], body, &to))
			return true;
	for (size_t i = 0; i < setup->spared_count && body->rtm_type == RTN_THROW; i++)
		if (net_is_to(&setup->spared[i], body, &to))
			return true;
	return false;
}

static int net_collect_route(const struct nlmsghdr *header, void *ctx)
{
	struct net_collection *collection = ctx;
	const struct nlattr *attributes[RTA_TABLE + 1];

	if (net_is_own_route(header, collection->setup, attributes) &&
	    !(collection->only_strays && net_is_named(header, collection->setup, attributes)))
		net_collect(collection, header);
	return MNL_CB_OK;
}

static int net_collect_rule(const struct nlmsghdr *header, void *ctx)
{
	struct net_collection *collection = ctx;
	const struct nlattr *attributes[FRA_PROTOCOL + 1];

	if (net_is_own_rule(header, collection->setup, attributes))
		net_collect(collection, header);
	return MNL_CB_OK;
}

/* 0 or the errno of what could not be removed; what is gone already does not matter. */
static int net_delete_collected(struct nl *nl, struct net_collection *collection)
{
	int failed = 0;

	for (size_t at = 0; at < collection->used;) {
		struct nlmsghdr *header = (struct nlmsghdr *)(collection->bytes + at);
		struct nl_request request = {.header = header};
		int error;

		at += NLMSG_ALIGN(header->nlmsg_len);
		header->nlmsg_type = header->nlmsg_type == RTM_NEWRULE ? RTM_DELRULE : RTM_DELROUTE;
		header->nlmsg_flags = NLM_F_REQUEST;
		header->nlmsg_pid = 0;
		error = nl_ask(nl, &request);
		if (error != 0 && error != ESRCH && error != ENOENT)
			failed = error;
	}
	return failed;
}

static int net_remove_round(struct nl *nl, struct net_collection *collection)
{
	int error = 0;

	collection->used = 0;
	for (int i = 0; i < 2 && error == 0; i++) {
		uint8_t af = i == 0 ? AF_INET : AF_INET6;

		error = collection->only_strays ? 0 : net_dump_rules(nl, af, net_collect_rule, collection);
		if (error == 0)
			error = net_dump_table(nl, collection->setup->table, af, net_collect_route, collection);
	}
	if (error != 0)
		return error == EINTR ? 0 : error;
	return net_delete_collected(nl, collection);
}

static enum err net_remove(const struct net_setup *setup, bool only_strays, char error[NET_ERROR_MAX])
{
	struct net_collection collection = {.setup = setup, .only_strays = only_strays};
	struct nl nl;
	int failed = 0;

	if (nl_open(&nl) != OK) {
		snprintf(error, NET_ERROR_MAX, "cannot talk to the kernel's routing: %s", strerror(errno));
		return ERR_IO;
	}
	for (int round = 0; round < NET_REMOVE_ROUNDS; round++) {
		failed = net_remove_round(&nl, &collection);
		if (failed != 0 || collection.used == 0)
			break;
	}
	nl_close(&nl);
	if (failed == 0)
		return OK;
	snprintf(error, NET_ERROR_MAX, "cannot remove routes and rules of table %u: %s", setup->table,
		 strerror(failed));
	errno = failed;
	return failed == EPERM ? ERR_DENIED : ERR_IO;
}

/* By table and protocol number, never by what this process remembers. */
enum err net_setup_remove(const struct net_setup *setup, char error[NET_ERROR_MAX])
{
	return net_remove(setup, false, error);
}

/* Guards of what stays are not touched: nothing leaves in clear meanwhile. */
enum err net_setup_trim(const struct net_setup *setup, char error[NET_ERROR_MAX])
{
	return net_remove(setup, true, error);
}
