/*
 * inner.h: the IP packets inside the tunnel: just enough of IPv4, IPv6, TCP and UDP to route them, to cut and join
 * superpackets, and to answer them with ICMP. Pure functions on bytes; checksums per RFC 1071.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMP6 = 58 };
enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_PSH = 0x08, TCP_ACK = 0x10, TCP_CWR = 0x80 };

/* Where things are in a packet; offsets from its first byte. */
struct inner {
	uint8_t version;  /* 4 or 6 */
	uint8_t protocol; /* of the byte at `transport`; IPv6 extension headers are not walked */
	bool is_fragment;
	uint16_t total_size;	  /* as the IP header says; at most the size given */
	uint16_t network_size;	  /* IP header with options */
	const uint8_t *src, *dst; /* 4 or 16 bytes inside the packet */
};

enum { INNER_EXTENSIONS_MAX = 8 }; /* headers between IPv6 and its transport that are walked */

/* ERR_MALFORMED for anything that is not a whole IP packet. */
must_use enum err inner_parse(const uint8_t *bytes, size_t size, struct inner *ret);
/* Header bytes up to the transport payload for TCP and UDP; 0 for other protocols, fragments and truncated headers. */
size_t inner_header_size(const struct inner *inner, const uint8_t *bytes);

/* Sum of the pseudo header with the given transport length, folded, not inverted, in network order: what
 * CHECKSUM_PARTIAL leaves. */
uint16_t inner_pseudo_sum(const struct inner *inner, size_t transport_size);
/* Recomputes the IPv4 header checksum; nothing for IPv6. */
void inner_fix_network_checksum(uint8_t *bytes, const struct inner *inner);
/* Writes a complete transport checksum where only the pseudo header's was (TCP or UDP). */
void inner_complete_checksum(uint8_t *bytes, const struct inner *inner);
/* Writes a complete checksum of ICMP or ICMPv6, by the packet's version. */
void inner_complete_icmp(uint8_t *bytes, const struct inner *inner);
/* The checksum in `field` after size (even) bytes of what it covers became others (RFC 1624). */
void inner_adjust_checksum(uint8_t *field, const uint8_t *before, const uint8_t *after, size_t size);
/* Lowers the MSS option of a TCP SYN to what fits into packets of mtu bytes; all else stays as it is. */
void inner_clamp_mss(uint8_t *bytes, const struct inner *inner, uint16_t mtu, bool checksum_partial);
/* The transport header behind IPv6 extension headers, and its protocol; 0 when it is not in this packet: a fragment, a
 * chain that ends nowhere. */
size_t inner_find_transport(const struct inner *inner, const uint8_t *bytes, uint8_t *ret_protocol);
/* Completes the checksum at `field` over [start, size), where the sum of what else it covers stands: whatever protocol
 * it is of, as virtio has it. */
void inner_finish_checksum(uint8_t *bytes, size_t size, size_t start, size_t field);
/* The sum that stands in a checksum field before it is finished, for a transport of `after` bytes instead of `before`.
 */
uint16_t inner_resize_sum(uint16_t sum, size_t before, size_t after);
/* Offset of the checksum field within the TCP or UDP header. */
size_t inner_checksum_offset(uint8_t protocol);

/*
 * ICMP or ICMPv6 error in answer to the packet: "packet too big" with mtu (RFC 1191, RFC 8201) or "host unreachable"
 * when mtu is 0. Source is the packet's destination, so that the kernel takes it for the path's word. Returns bytes
 * written to ret (at most INNER_ICMP_MAX), 0 when the packet must not be answered (RFC 1122 3.2.2: errors, fragments
 * but the first, multicast).
 */
enum { INNER_ICMP_MAX = 1280 };
size_t inner_icmp_error(const uint8_t *bytes, size_t size, uint16_t mtu, uint8_t ret[INNER_ICMP_MAX]);
