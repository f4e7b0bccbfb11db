/*
 * node_abilities.h: which of the kernel's abilities the packet path uses, which it does without (the kernel lacks them,
 * a device refused them, or --without), and what happens to a packet that the kernel refuses all the same.
 */
#pragma once

#include "cmd/node_host.h"

/* What --without forbids. */
void abilities_limit_udp(const struct settings *settings, struct udp_params *params);
void abilities_limit_tun(const struct settings *settings, struct tun_params *params);
struct tun_abilities abilities_of_tun(const struct host *host);

/* Bits of enum without: what the packet path does without at this moment. */
uint32_t abilities_lacking(const struct host *host);
/* "udp-gro" and so on, by the number of the bit; NULL behind the last. */
const char *abilities_name(unsigned bit);
/* For `ntm status --json`. */
json_t *abilities_document(const struct host *host);

/* Writes a packet of the node's into the TUN: a refused superpacket as its segments. Losses are counted there. */
void abilities_write(struct host *host, struct packet *packet);
/* The same with a handle of a thread's own. True: the kernel refuses superpackets of its kind, which the node has to be
 * told. */
must_use bool abilities_write_to(struct tun *tun, struct packet *packet);
void abilities_refused(struct host *host, enum packet_gso gso);

/* Those of several handles. */
void abilities_add_udp(struct udp_counters *sum, const struct udp_counters *counters);
void abilities_add_tun(struct tun_counters *sum, const struct tun_counters *counters);
/* Of all handles of the host. */
void abilities_count(const struct host *host, struct udp_counters *udp, struct tun_counters *tun);
