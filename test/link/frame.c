#include "frame.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <stdbool.h>
#include <string.h>

enum {
	DONT_FRAGMENT = 0x4000,
	FRAGMENT_OFFSET_MASK = 0x1fff,
	TTL = 64,
	/* What an answer quotes is cut so that it is no longer than every host must take. */
	ANSWER4_BYTES_MAX = 576,
	ANSWER6_BYTES_MAX = 1280,
};

static uint16_t type_of(const uint8_t *frame)
{
	return (uint16_t)(frame[ETH_HLEN - 2] << 8 | frame[ETH_HLEN - 1]);
}

static bool is_discovery(const struct ip6_hdr *ip, const uint8_t *rest, size_t size)
{
	return ip->ip6_nxt == IPPROTO_ICMPV6 && size > 0 && *rest >= ND_ROUTER_SOLICIT && *rest <= ND_REDIRECT;
}

/* Never looks behind size. */
enum frame_kind frame_read(const uint8_t *frame, size_t size, struct ip *ret_from, struct ip *ret_to)
{
	struct ip6_hdr six;
	struct iphdr four;

	if (size < ETH_HLEN)
		return FRAME_OTHER;
	if (type_of(frame) == ETH_P_ARP)
		return FRAME_NEIGHBOUR;
	if (type_of(frame) == ETH_P_IP && size >= ETH_HLEN + sizeof four) {
		memcpy(&four, frame + ETH_HLEN, sizeof four);
		*ret_from = ip_from_bytes(4, (const uint8_t *)&four.saddr);
		*ret_to = ip_from_bytes(4, (const uint8_t *)&four.daddr);
		return FRAME_IP;
	}
	if (type_of(frame) == ETH_P_IPV6 && size >= ETH_HLEN + sizeof six) {
		memcpy(&six, frame + ETH_HLEN, sizeof six);
		if (is_discovery(&six, frame + ETH_HLEN + sizeof six, size - ETH_HLEN - sizeof six))
			return FRAME_NEIGHBOUR;
		*ret_from = ip_from_bytes(6, six.ip6_src.s6_addr);
		*ret_to = ip_from_bytes(6, six.ip6_dst.s6_addr);
		return FRAME_IP;
	}
	return FRAME_OTHER;
}

/* The sum of 16-bit words of RFC 1071, not yet folded. */
static uint32_t sum_words(uint32_t sum, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	return size % 2 ? sum + (uint32_t)(at[size - 1] << 8) : sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void answer_ethernet(const uint8_t *frame, uint8_t *answer)
{
	memcpy(answer, frame + ETH_ALEN, ETH_ALEN);
	memcpy(answer + ETH_ALEN, frame, ETH_ALEN);
	memcpy(answer + 2 * ETH_ALEN, frame + 2 * ETH_ALEN, ETH_HLEN - 2 * ETH_ALEN);
}

/* An error about an error, or about the rest of a fragmented packet, nobody may send. */
static bool deserves_answer4(const struct iphdr *ip, const uint8_t *packet, size_t size)
{
	size_t header_bytes = (size_t)ip->ihl * 4;
	uint16_t offset = ntohs(ip->frag_off);

	if (!(offset & DONT_FRAGMENT) || (offset & FRAGMENT_OFFSET_MASK) ||
	    size < header_bytes + sizeof(struct icmphdr))
		return false;
	return ip->protocol != IPPROTO_ICMP || packet[header_bytes] == ICMP_ECHO ||
	       packet[header_bytes] == ICMP_ECHOREPLY;
}

static size_t too_big4(const uint8_t *packet, size_t size, uint32_t mtu, uint8_t *answer)
{
	struct icmphdr icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED};
	size_t room = ANSWER4_BYTES_MAX - sizeof(struct iphdr) - sizeof icmp, quoted = size < room ? size : room;
	struct iphdr ip, reply = {.version = 4, .ihl = 5, .ttl = TTL, .protocol = IPPROTO_ICMP};

	memcpy(&ip, packet, sizeof ip);
	if (!deserves_answer4(&ip, packet, size))
		return 0;
	reply.tot_len = htons((uint16_t)(sizeof reply + sizeof icmp + quoted));
	reply.saddr = ip.daddr;
	reply.daddr = ip.saddr;
	reply.check = checksum(sum_words(0, &reply, sizeof reply));
	icmp.un.frag.mtu = htons((uint16_t)mtu);
	icmp.checksum = checksum(sum_words(sum_words(0, &icmp, sizeof icmp), packet, quoted));
	memcpy(answer, &reply, sizeof reply);
	memcpy(answer + sizeof reply, &icmp, sizeof icmp);
	memcpy(answer + sizeof reply + sizeof icmp, packet, quoted);
	return sizeof reply + sizeof icmp + quoted;
}

static size_t too_big6(const uint8_t *packet, size_t size, uint32_t mtu, uint8_t *answer)
{
	struct icmp6_hdr icmp = {.icmp6_type = ICMP6_PACKET_TOO_BIG, .icmp6_mtu = htonl(mtu)};
	size_t room = ANSWER6_BYTES_MAX - sizeof(struct ip6_hdr) - sizeof icmp, quoted = size < room ? size : room;
	struct ip6_hdr ip, reply = {.ip6_nxt = IPPROTO_ICMPV6, .ip6_hlim = TTL};
	uint32_t sum = (uint32_t)(sizeof icmp + quoted + IPPROTO_ICMPV6);

	memcpy(&ip, packet, sizeof ip);
	if (ip.ip6_nxt == IPPROTO_ICMPV6 && !(packet[sizeof ip] & ICMP6_INFOMSG_MASK))
		return 0;
	reply.ip6_flow = htonl(6u << 28); /* the version shares its bytes */
	reply.ip6_plen = htons((uint16_t)(sizeof icmp + quoted));
	reply.ip6_src = ip.ip6_dst;
	reply.ip6_dst = ip.ip6_src;
	sum = sum_words(sum, &reply.ip6_src, 2 * sizeof reply.ip6_src);
	icmp.icmp6_cksum = checksum(sum_words(sum_words(sum, &icmp, sizeof icmp), packet, quoted));
	memcpy(answer, &reply, sizeof reply);
	memcpy(answer + sizeof reply, &icmp, sizeof icmp);
	memcpy(answer + sizeof reply + sizeof icmp, packet, quoted);
	return sizeof reply + sizeof icmp + quoted;
}

/* A frame that is too big for a wire is longer than the headers looked at here. */
size_t frame_too_big(const uint8_t *frame, size_t size, uint32_t mtu, uint8_t *answer)
{
	struct ip from, to;
	size_t made;

	if (frame_read(frame, size, &from, &to) != FRAME_IP)
		return 0;
	if (from.family == 4)
		made = too_big4(frame + ETH_HLEN, size - ETH_HLEN, mtu, answer + ETH_HLEN);
	else
		made = size - ETH_HLEN > sizeof(struct ip6_hdr)
			       ? too_big6(frame + ETH_HLEN, size - ETH_HLEN, mtu, answer + ETH_HLEN)
			       : 0;
	if (made == 0)
		return 0;
	answer_ethernet(frame, answer);
	return made + ETH_HLEN;
}
