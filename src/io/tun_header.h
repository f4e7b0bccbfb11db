/*
 * tun_header.h: the virtio header that stands before each packet of a TUN device with IFF_VNET_HDR. Pure; for tun.c
 * and its tests.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/packet.h"

/* Without num_buffers, which only multi-buffer receive has: 10 bytes. */
enum { TUN_HEADER_SIZE = 10 };

/*
 * Describes the packet at bytes, whose header lies right before it. Offsets are checked and header sizes taken from
 * the packet itself, because hdr_len is only a hint. ERR_MALFORMED, ERR_UNSUPPORTED (a kind of superpacket never
 * asked for); *ret untouched.
 */
must_use enum err tun_header_decode(uint8_t *bytes, size_t size, struct packet *ret);
/* Writes the header into the room before packet->bytes. */
void tun_header_encode(const struct packet *packet);
