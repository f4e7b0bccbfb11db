#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "cmd/server_state.h"

/* Order does not matter to anybody who compares for change only because it is always found in the same one. */
bool server_addresses_equal(const struct server_addresses *a, const struct server_addresses *b)
{
	if (a->count != b->count)
		return false;
	for (uint8_t i = 0; i < a->count; i++)
		if (!addr_equal(&a->list[i], &b->list[i]))
			return false;
	return true;
}

static bool is_virtual(const struct server *server, const struct ip *ip)
{
	return prefix_contains(&server->settings->pool4, ip) || prefix_contains(&server->settings->pool6, ip);
}

static bool read_interface_address(const struct ifaddrs *entry, struct ip *ret)
{
	if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP) || entry->ifa_flags & IFF_LOOPBACK)
		return false;
	if (entry->ifa_addr->sa_family == AF_INET)
		*ret = ip_from_bytes(
			4, (const uint8_t *)&((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr);
	else if (entry->ifa_addr->sa_family == AF_INET6)
		*ret = ip_from_bytes(6,
				     ((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr.s6_addr);
	else
		return false;
	return true;
}

static void add_addresses(const struct server *server, const struct ifaddrs *all, bool is_private, uint8_t family,
			  struct server_addresses *ret)
{
	uint8_t only = server->settings->listen.ip.family == 4 ? 4 : 0;

	for (const struct ifaddrs *entry = all; entry && ret->count < SERVER_ADDRESSES_MAX; entry = entry->ifa_next) {
		struct addr addr = {.port = server->port};

		if (!read_interface_address(entry, &addr.ip) || addr.ip.family != family || (only && family != only))
			continue;
		if (ip_is_private(&addr.ip) == is_private && addr_is_probeable(&addr) && !is_virtual(server, &addr.ip))
			ret->list[ret->count++] = addr;
	}
}

static bool ip_is_any(const struct ip *ip)
{
	struct ip any = {.family = ip->family};

	return ip->family == 0 || ip_equal(ip, &any);
}

/* Public addresses first, IPv4 first among equals: what most newcomers can reach. */
void server_addresses_find(const struct server *server, struct server_addresses *ret)
{
	const struct settings *settings = server->settings;
	struct server_addresses found = {0};
	struct ifaddrs *all = NULL;

	for (size_t i = 0; i < settings->advertise_count && found.count < SERVER_ADDRESSES_MAX; i++) {
		struct addr addr = settings->advertise[i];

		if (addr.port == 0 || (addr.port == settings->listen.port && settings->listen.port != server->port &&
				       settings->origin[OPTION_LISTEN].source == SOURCE_DEFAULT))
			addr.port = server->port;
		found.list[found.count++] = addr;
	}
	if (found.count == 0 && !ip_is_any(&settings->listen.ip))
		found = (struct server_addresses){.count = 1,
						  .list = {{.ip = settings->listen.ip, .port = server->port}}};
	if (found.count == 0 && getifaddrs(&all) == 0) {
		add_addresses(server, all, false, 4, &found);
		add_addresses(server, all, false, 6, &found);
		add_addresses(server, all, true, 4, &found);
		add_addresses(server, all, true, 6, &found);
		freeifaddrs(all);
	}
	if (found.count == 0) /* a machine without any network still serves itself */
		found = (struct server_addresses){.count = 1,
						  .list = {{.ip = ip_v4(127, 0, 0, 1), .port = server->port}}};
	*ret = found;
}
