#include "net.h"

/* A fresh stream for each line, so that traffic in one direction does not shift the other's draws. */
void net_init(struct net *net, uint8_t number, const struct net_config *config, uint64_t seed)
{
	struct nat_config nat = config->nat, firewall = config->firewall;

	*net = (struct net){.config = *config, .number = number};
	if (!net->config.lan_delay_us)
		net->config.lan_delay_us = 200;
	if (!net->config.host_mtu)
		net->config.host_mtu = 1500;
	nat.translates = true;
	firewall.translates = false;
	if (config->has_nat)
		nat_init(&net->nat, &nat, ip_v4(50, number, 0, 1));
	if (config->has_firewall)
		nat_init(&net->firewall, &firewall, (struct ip){0});
	line_init(&net->up, &config->up, stream_for(seed, "uplink", number));
	line_init(&net->down, &config->down, stream_for(seed, "downlink", number));
}

/* Accepts a zeroed one. */
void net_finish(struct net *net)
{
	nat_finish(&net->nat);
	nat_finish(&net->firewall);
}

/* Private ones are all of one subnet, but the same address in two nets is rare, as it is among real homes. */
struct ip net_lease(struct net *net, uint8_t host, uint8_t family)
{
	uint8_t inside = (uint8_t)(2 + (net->number * 11 + host) % 250);

	if (family == 4 && net->config.has_v4)
		return net->config.has_nat ? ip_v4(192, 168, 1, inside) : ip_v4(50, net->number, 1, host);
	if (family == 6 && net->config.has_v6)
		return (struct ip){.family = 6, .bytes = {0x26, 0, 0, net->number, [15] = host}};
	return (struct ip){0};
}

/* By the fixed numbering alone. */
uint8_t net_number_of(const struct ip *ip)
{
	if (ip->family == 4 && ip->bytes[0] == 50)
		return ip->bytes[1];
	if (ip->family == 6 && ip->bytes[0] == 0x26 && ip->bytes[1] == 0 && ip->bytes[2] == 0)
		return ip->bytes[3];
	return 0;
}

/* Packets with private sources do not leave a net without a NAT. */
bool net_translate_out(struct net *net, struct time_us now, struct addr *src, const struct addr *dst)
{
	struct addr outside;

	if (src->ip.family == 6 && net->config.has_firewall)
		return nat_out(&net->firewall, now, src, dst, &outside);
	if (src->ip.family == 4 && net->config.has_nat) {
		if (!nat_out(&net->nat, now, src, dst, &outside))
			return false;
		*src = outside;
	}
	return net_number_of(&src->ip) == net->number;
}

/* Unsolicited packets end here. */
bool net_translate_in(struct net *net, struct time_us now, const struct addr *src, struct addr *dst)
{
	struct addr inside;

	if (dst->ip.family == 6 && net->config.has_firewall)
		return nat_in(&net->firewall, now, dst, src, &inside);
	if (dst->ip.family == 4 && net->config.has_nat) {
		if (!nat_in(&net->nat, now, dst, src, &inside))
			return false;
		*dst = inside;
	}
	return true;
}
