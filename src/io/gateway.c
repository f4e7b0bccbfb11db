#include "io/gateway.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/gateway_switch.h"
#include "io/netlink_talk.h"
#include "io/ruleset.h"

enum { GATEWAY_PROTOCOL = 73, RULES_MAX = 4096, MEMO_MAX = 4200 };

struct gateway {
	struct ruleset *ruleset; /* owns the table */
	char memo[MEMO_MAX];
	bool has_v6;
};

static int make_link(struct nl *nl, const struct gateway_params *params)
{
	struct nl_request request;
	struct ifinfomsg *body = nl_begin(&request, RTM_NEWLINK, 0, sizeof(*body));

	body->ifi_index = (int)params->ifindex;
	body->ifi_flags = body->ifi_change = IFF_UP;
	mnl_attr_put_u32(request.header, IFLA_MTU, params->mtu);
	return nl_ask(nl, &request);
}

static int make_route(struct nl *nl, const struct gateway_params *params, const struct ip *ip)
{
	struct nl_request request;
	struct rtmsg *body = nl_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));

	body->rtm_family = nl_family_of(ip->family);
	body->rtm_dst_len = (uint8_t)(ip_size(ip) * 8);
	body->rtm_table = RT_TABLE_MAIN;
	body->rtm_protocol = GATEWAY_PROTOCOL;
	body->rtm_type = RTN_UNICAST;
	body->rtm_scope = ip->family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	nl_put_ip(&request, RTA_DST, ip);
	mnl_attr_put_u32(request.header, RTA_OIF, params->ifindex);
	return nl_ask(nl, &request);
}

/* They go with the device. */
static enum err make_routes(const struct gateway *gateway, const struct gateway_params *params,
			    char error[GATEWAY_ERROR_MAX])
{
	struct nl nl;
	int failed;

	if (nl_open(&nl) != OK) {
		snprintf(error, GATEWAY_ERROR_MAX, "cannot talk to the kernel's routing: %s", strerror(errno));
		return ERR_IO;
	}
	failed = make_link(&nl, params);
	if (failed == 0 && params->v4.family)
		failed = make_route(&nl, params, &params->v4);
	if (failed == 0 && gateway->has_v6 && params->v6.family)
		failed = make_route(&nl, params, &params->v6);
	nl_close(&nl);
	if (failed == 0)
		return OK;
	snprintf(error, GATEWAY_ERROR_MAX, "cannot set up %s: %s", params->ifname, strerror(failed));
	return failed == EPERM ? ERR_DENIED : ERR_IO;
}

/* A router ignores router advertisements unless told otherwise: without this the machine would lose its own route. */
static void want_advertisements(struct net_switches *switches)
{
	DIR *interfaces = opendir("/proc/sys/net/ipv6/conf");
	struct dirent *entry;
	char path[SWITCH_PATH_MAX], value[SWITCH_VALUE_MAX];

	while (interfaces && (entry = readdir(interfaces)) != NULL) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IF_NAMESIZE)
			continue;
		snprintf(path, sizeof path, "ipv6/conf/%.15s/accept_ra", entry->d_name);
		if (switch_read(path, value) && strcmp(value, "1") == 0)
			(void)switch_want(switches, path, "2");
	}
	if (interfaces)
		closedir(interfaces);
}

/* The exit's ports are nobody else's. */
static void want_ports(struct net_switches *switches, const struct gateway_params *params)
{
	char before[SWITCH_VALUE_MAX], range[SWITCH_VALUE_MAX + 16];

	if (!switch_read("ipv4/ip_local_reserved_ports", before))
		return;
	snprintf(range, sizeof range, "%s%s%u-%u", before, *before ? "," : "", params->port_min, params->port_max);
	(void)switch_want(switches, "ipv4/ip_local_reserved_ports", range);
}

static bool is_on(const char *path)
{
	char value[SWITCH_VALUE_MAX];

	return switch_read(path, value) && strcmp(value, "0") != 0;
}

/* What was off before stays off for everybody but us: that is the rules' work. */
static enum err turn_switches(const struct gateway *gateway, const struct gateway_params *params,
			      char error[GATEWAY_ERROR_MAX])
{
	struct net_switches *switches = calloc(1, sizeof *switches);
	char own[SWITCH_PATH_MAX];
	enum err err;

	if (!switches)
		abort();
	want_ports(switches, params);
	if (params->v4.family)
		(void)switch_want(switches, "ipv4/ip_forward", "1");
	if (gateway->has_v6 && params->v6.family) {
		snprintf(own, sizeof own, "ipv6/conf/%.15s/disable_ipv6", params->ifname);
		(void)switch_want(switches, own, "0");
		if (!is_on("ipv6/conf/all/forwarding"))
			want_advertisements(switches);
		(void)switch_want(switches, "ipv6/conf/all/forwarding", "1");
	}
	err = switches_turn(switches, gateway->memo);
	free(switches);
	if (err != OK)
		snprintf(error, GATEWAY_ERROR_MAX,
			 "cannot switch forwarding on (%s): set net.ipv4.ip_forward=1 and "
			 "net.ipv6.conf.all.forwarding=1 yourself, or give this container a writable /proc/sys",
			 strerror(errno));
	return err;
}

/* What our own forwarding must not do for others. */
static int add_guard(char *text, size_t size, const char *ifname, bool is_router4, bool is_router6)
{
	const char *families = is_router4   ? (is_router6 ? NULL : "meta nfproto ipv6")
			       : is_router6 ? "meta nfproto ipv4"
					    : "";

	if (!families)
		return snprintf(text, size, "%s", "");
	return snprintf(text, size, "%s iifname != \"%s\" oifname != \"%s\" drop\n", families, ifname, ifname);
}

/* The kernel may lack timeouts of connections: then its own are shorter than ours for UDP that rests. */
static void format_rules(const struct gateway_params *params, bool has_timeouts, const char *guard,
			 char text[RULES_MAX])
{
	char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX], timeouts[512] = "", use[512] = "";
	const char *dev = params->ifname;

	if (has_timeouts) {
		snprintf(timeouts, sizeof timeouts,
			 "ct timeout udp4 {\nprotocol udp\nl3proto ip\npolicy = { unreplied : %lld, replied : %lld "
			 "};\n}\n"
			 "ct timeout udp6 {\nprotocol udp\nl3proto ip6\npolicy = { unreplied : %lld, replied : %lld "
			 "};\n}\n",
			 (long long)params->udp_idle_s, (long long)params->udp_idle_s, (long long)params->udp_idle_s,
			 (long long)params->udp_idle_s);
		snprintf(use, sizeof use,
			 "chain early {\ntype filter hook prerouting priority -150; policy accept;\n"
			 "iifname \"%s\" meta nfproto ipv4 meta l4proto udp ct timeout set \"udp4\"\n"
			 "iifname \"%s\" meta nfproto ipv6 meta l4proto udp ct timeout set \"udp6\"\n}\n",
			 dev, dev);
	}
	snprintf(text, RULES_MAX,
		 "table inet %s {\nflags owner;\n%s%s"
		 "chain own {\ntype filter hook input priority -10; policy accept;\niifname \"%s\" drop\n}\n"
		 "chain through {\ntype filter hook forward priority -10; policy accept;\n%s"
		 "iifname \"%s\" oifname \"%s\" drop\n"
		 "iifname \"%s\" ip saddr != %s drop\niifname \"%s\" ip6 saddr != %s drop\n"
		 "oifname \"%s\" ct state new drop\noifname \"%s\" ct state invalid drop\n}\n"
		 "chain out {\ntype nat hook postrouting priority 100; policy accept;\n"
		 "ip saddr %s masquerade\nip6 saddr %s masquerade\n}\n}\n",
		 dev, timeouts, use, dev, guard, dev, dev, dev, ip_format(&params->v4, v4), dev,
		 ip_format(&params->v6, v6), dev, dev, v4, v6);
}

static enum err make_rules(struct gateway *gateway, const struct gateway_params *params, const char *guard,
			   char error[GATEWAY_ERROR_MAX])
{
	char text[RULES_MAX];

	gateway->ruleset = ruleset_open(error);
	if (!gateway->ruleset)
		return ERR_IO;
	format_rules(params, true, guard, text);
	if (ruleset_apply(gateway->ruleset, text, error) == OK)
		return OK;
	format_rules(params, false, guard, text);
	return ruleset_apply(gateway->ruleset, text, error);
}

/* Rules come before forwarding: at no moment is this machine an open router. */
enum err gateway_open(const struct gateway_params *params, struct gateway **ret, char error[GATEWAY_ERROR_MAX])
{
	struct gateway *gateway = calloc(1, sizeof *gateway);
	char guard[160];
	enum err err;

	if (!gateway)
		abort();
	snprintf(gateway->memo, sizeof gateway->memo, "%s", params->memo);
	gateway->has_v6 = access("/proc/sys/net/ipv6/conf", R_OK) == 0;
	switches_restore(gateway->memo);
	(void)add_guard(guard, sizeof guard, params->ifname, is_on("ipv4/ip_forward"),
			is_on("ipv6/conf/all/forwarding"));
	err = make_rules(gateway, params, guard, error);
	if (err == OK)
		err = turn_switches(gateway, params, error);
	if (err == OK)
		err = make_routes(gateway, params, error);
	if (err != OK) {
		gateway_close(gateway);
		return err;
	}
	*ret = gateway;
	return OK;
}

/* As it was at the start. */
bool gateway_has_v6(const struct gateway *gateway)
{
	return gateway->has_v6;
}

/* Forwarding ends before its rules do. */
void gateway_close(struct gateway *gateway)
{
	if (!gateway)
		return;
	switches_restore(gateway->memo);
	ruleset_close(gateway->ruleset);
	free(gateway);
}
