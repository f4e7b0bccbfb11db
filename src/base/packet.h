/* packet.h: an inner IP packet, possibly a superpacket that still has to be cut, as TUN devices with offloads exchange
 * them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum packet_gso { PACKET_GSO_NONE, PACKET_GSO_TCP4, PACKET_GSO_TCP6, PACKET_GSO_UDP };

enum { PACKET_ROOM = 64 }; /* writable bytes that must lie before and after the packet in its buffer */

/*
 * bytes start at the IP header. The buffer is writable and has PACKET_ROOM before and after: cutting writes headers and
 * padding in place. Borrowed for the call (in) or until the machine's next input call (out).
 */
struct packet {
	uint8_t *bytes;
	size_t size;
	enum packet_gso gso;
	uint16_t gso_size;	  /* transport payload of each segment, when gso is set */
	uint16_t header_size;	  /* network and transport header, when gso is set */
	bool checksum_partial;	  /* transport checksum holds only the pseudo header's sum */
	uint16_t checksum_start;  /* offset of what it covers, when partial; 0: right behind the IP header */
	uint16_t checksum_offset; /* of the checksum within it, when partial */
};
