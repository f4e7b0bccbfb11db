/*
 * tun.h: a TUN device that exchanges superpackets with the kernel (VNET_HDR, TSO and USO where the kernel has them).
 * No allocation after opening.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/packet.h"

enum { TUN_BATCH = 16, TUN_NAME_MAX = 16, TUN_ERROR_MAX = 160 };

struct tun;

struct tun_counters {
	uint64_t read_packets, read_bytes, read_superpackets;
	uint64_t read_malformed; /* virtio header or packet that makes no sense: dropped */
	uint64_t written_packets, written_bytes;
	uint64_t write_refused; /* the kernel refused the packet (EINVAL) */
	uint64_t write_dropped; /* interface down or its queue full */
};

/*
 * Makes or takes over the device of this name ("%d" in it is numbered by the kernel). ERR_DENIED: no CAP_NET_ADMIN.
 * ERR_EXISTS: in use by another. ERR_UNSUPPORTED: no /dev/net/tun. error holds one line with the remedy. Addresses,
 * MTU and "up" are netlink.h's.
 */
must_use enum err tun_open(const char *name, struct tun **ret, char error[TUN_ERROR_MAX]);
/* The device goes away, its routes too. Accepts NULL. */
void tun_close(struct tun *tun);
int tun_fd(const struct tun *tun);
const char *tun_name(const struct tun *tun);
uint32_t tun_ifindex(const struct tun *tun);
/* What the kernel agreed to: checksum and TSO, and USO as well. */
bool tun_has_tso(const struct tun *tun);
bool tun_has_uso(const struct tun *tun);
/* Somebody deleted the device: its descriptor is of no use any more and always "ready". */
bool tun_is_gone(const struct tun *tun);
void tun_get_counters(const struct tun *tun, struct tun_counters *ret);

/*
 * Takes at most count_max (up to TUN_BATCH) packets without blocking; returns how many. Each is writable in place
 * with PACKET_ROOM around it and valid until the next tun_read. 0: nothing is left.
 */
size_t tun_read(struct tun *tun, struct packet *ret, size_t count_max);
/*
 * Writes one packet; the PACKET_ROOM bytes before packet->bytes are overwritten. ERR_FULL: dropped, queue full or
 * interface down. ERR_MALFORMED: the kernel refused it. Both are counted.
 */
must_use enum err tun_write(struct tun *tun, const struct packet *packet);
