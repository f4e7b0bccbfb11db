/* segment.h: inner UDP packets as programs of a simulated host would send them, with right checksums. */
#pragma once

#include "base/addr.h"

enum { SEGMENT_PAYLOAD_AT_MAX = 48, SEGMENT_MAX = 2048 };

/* Headers of a UDP packet of `size` IP bytes; returns where its payload starts. src and dst of one family. */
uint8_t *segment_begin(uint8_t *packet, size_t size, const struct ip *src, const struct ip *dst, uint16_t port);
/* Checksums, once the payload is there. */
void segment_end(uint8_t *packet, size_t size);
/* Big endian. */
void segment_put(uint8_t *p, uint32_t value);
uint32_t segment_get(const uint8_t *p);
