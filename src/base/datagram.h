/* datagram.h: a UDP datagram, or a train of equal ones, on its way in or out of a protocol machine. Bytes are borrowed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

/* Where a datagram came from or goes to. local.ip family 0 and ifindex 0: the kernel chooses. */
struct route {
	struct addr local; /* our own address */
	uint32_t ifindex;  /* interface; on input where it arrived */
	struct addr remote;
};

/*
 * One datagram, or several back to back: every segment_size bytes start a new one, the last may be shorter
 * (UDP_SEGMENT, UDP_GRO). In: valid during the call. Out: owned by the machine, valid until its next input call.
 */
struct datagram {
	struct route route;
	const uint8_t *bytes;
	size_t size;
	uint16_t segment_size; /* equal to size, or 0, for a single one */
};
