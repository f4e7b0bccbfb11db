/* frame.h: what the emulator reads of an Ethernet frame, and what a router says that cannot forward one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum { FRAME_MAX = 2048 };

enum frame_kind {
	FRAME_OTHER,	 /* neither of the others; passes as IP of no class */
	FRAME_NEIGHBOUR, /* ARP and neighbour discovery: between the ends of one cable, not of a path */
	FRAME_IP,
};

/* The addresses are set for FRAME_IP only. */
enum frame_kind frame_read(const uint8_t *frame, size_t size, struct ip *ret_from, struct ip *ret_to);

/*
 * The "fragmentation needed" (IPv4, if fragments are forbidden) or "packet too big" (IPv6) that answers the frame. The
 * destination seems to say it. 0 where no answer is due. The answer has room for FRAME_MAX bytes.
 */
size_t frame_too_big(const uint8_t *frame, size_t size, uint32_t mtu, uint8_t *answer);
