/*
 * net.h: access networks around one core. Each has an uplink and a downlink, owns a public prefix of both families
 * (50.N.0.0/16, 2600:N::/32), and may hide its hosts behind a NAT (all private ones use 192.168.1.0/24, so that they
 * overlap) and, for IPv6, a firewall.
 */
#pragma once

#include "line.h"
#include "nat.h"

enum { NET_NAME = 16 };

struct net_config {
	char name[NET_NAME];
	bool has_v4, has_v6;
	bool has_nat; /* IPv4 is private behind nat.external */
	struct nat_config nat;
	bool has_firewall; /* in front of the IPv6 hosts */
	struct nat_config firewall;
	struct line_config up, down;
	bool isolates;	      /* its hosts may not talk to each other */
	int64_t lan_delay_us; /* between two hosts inside; 0: 200 us */
	uint32_t host_mtu;    /* of its hosts' interfaces; 0: 1500 */
};

struct net {
	struct net_config config;
	uint8_t number; /* 1 .. */
	struct nat nat, firewall;
	struct line up, down;
	bool silent;	 /* swallows everything, both ways */
	bool mute, deaf; /* the same, only outwards or inwards */
	uint8_t hosts;	 /* addresses handed out so far */
};

void net_init(struct net *net, uint8_t number, const struct net_config *config, uint64_t seed);
void net_finish(struct net *net);
/* The next free host address of this family, or family 0. A host that returns gets another one. */
struct ip net_lease(struct net *net, uint8_t host, uint8_t family);
/* Number of the net that owns a global address; 0: none, also for private ones. */
uint8_t net_number_of(const struct ip *ip);
/* Leaving: *src becomes what the world sees. False: dropped. */
bool net_translate_out(struct net *net, struct time_us now, struct addr *src, const struct addr *dst);
/* Entering: *dst becomes the inside address. False: filtered. */
bool net_translate_in(struct net *net, struct time_us now, const struct addr *src, struct addr *dst);
