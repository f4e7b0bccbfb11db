#include "io/tun_header.h"

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

enum { TUN_GSO_UDP_L4 = 5, TUN_EXTENSIONS_MAX = 8 }; /* the first is not in the headers of Debian 12 */

_Static_assert(sizeof(struct virtio_net_hdr) == TUN_HEADER_SIZE, "virtio header");

/* Offset of the transport header and its protocol; 0 when the packet is not what it should be. */
static size_t tun_find_transport(const uint8_t *bytes, size_t size, uint8_t *ret_protocol)
{
	size_t at = 40;
	uint8_t next;

	if (bytes[0] >> 4 == 4) {
		at = (size_t)(bytes[0] & 15) * 4;
		if (at < 20 || at > size)
			return 0;
		*ret_protocol = bytes[9];
		return at;
	}
	if (size < at)
		return 0;
	next = bytes[6];
	for (int i = 0; i < TUN_EXTENSIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) {
			*ret_protocol = next;
			return at;
		}
		if (at + 8 > size)
			return 0;
		next = bytes[at];
		at += 8 + (size_t)bytes[at + 1] * 8;
		if (at > size)
			return 0;
	}
	return 0;
}

/* Network and transport header of a superpacket of this kind; 0 when the packet is of another. */
static size_t tun_measure_headers(const uint8_t *bytes, size_t size, enum packet_gso gso, size_t *ret_transport)
{
	uint8_t protocol, version = bytes[0] >> 4;
	size_t transport = tun_find_transport(bytes, size, &protocol), header;

	if (transport == 0 || (gso == PACKET_GSO_TCP4 && version != 4) || (gso == PACKET_GSO_TCP6 && version != 6))
		return 0;
	if (protocol != (gso == PACKET_GSO_UDP ? IPPROTO_UDP : IPPROTO_TCP))
		return 0;
	*ret_transport = transport;
	if (gso == PACKET_GSO_UDP)
		return transport + 8;
	if (transport + 20 > size)
		return 0;
	header = (size_t)(bytes[transport + 12] >> 4) * 4;
	return header < 20 ? 0 : transport + header;
}

static enum err tun_gso_from(uint8_t gso_type, enum packet_gso *ret)
{
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE: *ret = PACKET_GSO_NONE; return OK;
	case VIRTIO_NET_HDR_GSO_TCPV4: *ret = PACKET_GSO_TCP4; return OK;
	case VIRTIO_NET_HDR_GSO_TCPV6: *ret = PACKET_GSO_TCP6; return OK;
	case TUN_GSO_UDP_L4: *ret = PACKET_GSO_UDP; return OK;
	default: return ERR_UNSUPPORTED;
	}
}

/* The kernel is trusted with our memory, but packets of strangers pass through it. */
enum err tun_header_decode(uint8_t *bytes, size_t size, struct packet *ret)
{
	struct packet packet = {.bytes = bytes, .size = size};
	struct virtio_net_hdr header;
	enum err err;

	memcpy(&header, bytes - sizeof(header), sizeof(header));
	if (size < 20 || (bytes[0] >> 4 != 4 && bytes[0] >> 4 != 6) || (bytes[0] >> 4 == 6 && size < 40))
		return ERR_MALFORMED;
	err = tun_gso_from(header.gso_type, &packet.gso);
	if (err != OK)
		return err;
	if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		packet.checksum_partial = true;
		packet.checksum_start = header.csum_start;
		packet.checksum_offset = header.csum_offset;
		if ((size_t)header.csum_start + header.csum_offset + 2 > size)
			return ERR_MALFORMED;
	}
	if (packet.gso != PACKET_GSO_NONE) {
		size_t transport, measured = tun_measure_headers(bytes, size, packet.gso, &transport);

		if (measured == 0 || measured >= size || measured > UINT16_MAX || header.gso_size == 0)
			return ERR_MALFORMED;
		if (packet.checksum_partial && packet.checksum_start != transport)
			return ERR_MALFORMED;
		packet.header_size = (uint16_t)measured;
		packet.gso_size = header.gso_size;
	}
	*ret = packet;
	return OK;
}

/* hdr_len is a hint for the kernel's linear part. */
void tun_header_encode(const struct packet *packet)
{
	struct virtio_net_hdr header = {0};

	if (packet->checksum_partial) {
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = packet->checksum_start;
		header.csum_offset = packet->checksum_offset;
	}
	switch (packet->gso) {
	case PACKET_GSO_NONE: break;
	case PACKET_GSO_TCP4: header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4; break;
	case PACKET_GSO_TCP6: header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6; break;
	case PACKET_GSO_UDP: header.gso_type = TUN_GSO_UDP_L4; break;
	}
	if (packet->gso != PACKET_GSO_NONE) {
		header.gso_size = packet->gso_size;
		header.hdr_len = packet->header_size;
	}
	memcpy(packet->bytes - sizeof(header), &header, sizeof(header));
}
