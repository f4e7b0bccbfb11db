/*
 * tun.h: a TUN device that exchanges superpackets with the kernel (VNET_HDR, TSO and USO where the kernel has them).
 * No allocation after opening. What the kernel has not, or refuses, is told by tun_abilities; everything works without.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/packet.h"

enum { TUN_BATCH = 16, TUN_NAME_MAX = 16, TUN_ERROR_MAX = 160 };

struct tun;

struct tun_params {
	const char *name; /* "%d" in it is numbered by the kernel */
	bool no_header;	  /* do without the virtio header, and so without everything below */
	bool no_tso;	  /* no TCP superpackets and no unfinished checksums from the kernel */
	bool no_uso;	  /* no UDP superpackets either way */
	bool many;	  /* more queues may follow (tun_add_queue), where the kernel and an older device let them */
};

/* What the kernel agreed to. */
struct tun_abilities {
	bool header; /* superpackets may be written, checksums may be unfinished */
	bool tso;    /* it also hands out TCP superpackets */
	bool uso;    /* UDP superpackets both ways: since Linux 6.2 */
};

struct tun_counters {
	uint64_t read_packets, read_bytes, read_superpackets;
	uint64_t read_malformed; /* virtio header or packet that makes no sense: dropped */
	uint64_t written_packets, written_bytes;
	uint64_t write_refused; /* the kernel refused the packet (EINVAL) */
	uint64_t write_waits;	/* the kernel had no room for a packet, and we waited */
	uint64_t write_dropped; /* interface down, or still no room */
};

/*
 * Makes or takes over the device of this name. ERR_DENIED: no CAP_NET_ADMIN.
 * ERR_EXISTS: in use by another. ERR_UNSUPPORTED: no /dev/net/tun. error holds one line with the remedy. Addresses,
 * MTU and "up" are netlink.h's.
 */
must_use enum err tun_open(const struct tun_params *params, struct tun **ret, char error[TUN_ERROR_MAX]);
/*
 * One more queue of the same device: the kernel hands out each flow at one of them, the one where it was last written
 * to. For a thread of its own; so is a handle of tun_share. ERR_UNSUPPORTED: not a device of many queues.
 */
must_use enum err tun_add_queue(const struct tun *first, struct tun **ret);
/* Another handle of the same queue, to write there, and to read when `reads`. ERR_IO with errno. */
must_use enum err tun_share(const struct tun *tun, bool reads, struct tun **ret);
/* The device goes away with its last handle, its routes too. Accepts NULL. */
void tun_close(struct tun *tun);
int tun_fd(const struct tun *tun);
const char *tun_name(const struct tun *tun);
uint32_t tun_ifindex(const struct tun *tun);
void tun_get_abilities(const struct tun *tun, struct tun_abilities *ret);
/* Somebody deleted the device: its descriptor is of no use any more and always "ready". */
bool tun_is_gone(const struct tun *tun);
void tun_get_counters(const struct tun *tun, struct tun_counters *ret);

/*
 * Takes at most count_max (up to TUN_BATCH) packets without blocking; returns how many. Each is writable in place
 * with PACKET_ROOM around it and valid until the next tun_read. 0: nothing is left.
 */
size_t tun_read(struct tun *tun, struct packet *ret, size_t count_max);
/*
 * Writes one packet; the PACKET_ROOM bytes before packet->bytes are overwritten. ERR_FULL: dropped, interface down or
 * no room after waiting for ten times half a millisecond. ERR_MALFORMED: the kernel refused it. Both are counted.
 */
must_use enum err tun_write(struct tun *tun, const struct packet *packet);
