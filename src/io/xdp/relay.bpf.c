/*
 * relay.bpf.c: the relay in the kernel. Forwards sealed datagrams of flows that user space has put into the table, by
 * the same decision (flow.h), and passes whatever is in any way special.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "io/xdp/entry.h"

/* Both have it mapped: the loader's skeleton gives it to user space. */
uint32_t buckets[XDP_BUCKETS][XDP_BUCKET_SLOTS];
struct xdp_entry entries[XDP_ENTRIES];
struct xdp_control control;

/* What of a frame matters, checked against the frame's end. */
struct packet {
	struct relay_endpoint src, dst;
	uint64_t path_id;
	uint32_t ip_size;  /* of the IP header */
	uint16_t udp_size; /* of header and payload */
	uint16_t checksum;
	uint16_t udp_size_sent; /* the same, as sent */
};

/* Beyond the frame's end nothing is read: end was checked by the caller for what it reads here. */
static __always_inline bool read_udp(const struct udphdr *udp, const void *end, struct packet *ret)
{
	const uint8_t *payload = (const uint8_t *)(udp + 1);

	if ((const void *)(payload + XDP_HEADER_SIZE) > end || !(payload[0] & XDP_SEALED))
		return false;
	ret->dst.port = bpf_ntohs(udp->dest);
	ret->src.port = bpf_ntohs(udp->source);
	ret->udp_size_sent = udp->len;
	ret->udp_size = bpf_ntohs(udp->len);
	ret->checksum = udp->check;
	ret->path_id = bpf_be64_to_cpu(*(const uint64_t *)(const void *)(payload + 8));
	return ret->dst.port == control.port;
}

/* No options, no fragments. */
static __always_inline bool read_v4(const struct iphdr *ip, const void *end, struct packet *ret)
{
	if ((const void *)(ip + 1) > end || ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
	    ip->frag_off & bpf_htons(0x3fff))
		return false;
	*ret = (struct packet){.src.family = 4, .dst.family = 4, .ip_size = sizeof(*ip)};
	__builtin_memcpy(ret->src.ip, &ip->saddr, 4);
	__builtin_memcpy(ret->dst.ip, &ip->daddr, 4);
	return read_udp((const void *)(ip + 1), end, ret) && bpf_ntohs(ip->tot_len) == sizeof(*ip) + ret->udp_size;
}

/* No extension headers. */
static __always_inline bool read_v6(const struct ipv6hdr *ip, const void *end, struct packet *ret)
{
	if ((const void *)(ip + 1) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
		return false;
	*ret = (struct packet){.src.family = 6, .dst.family = 6, .ip_size = sizeof(*ip)};
	__builtin_memcpy(ret->src.ip, &ip->saddr, 16);
	__builtin_memcpy(ret->dst.ip, &ip->daddr, 16);
	return read_udp((const void *)(ip + 1), end, ret) && bpf_ntohs(ip->payload_len) == ret->udp_size;
}

static __always_inline bool read_frame(const struct xdp_md *ctx, struct packet *ret)
{
	const void *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *ether = (const void *)(long)ctx->data;
	bool good;

	if ((const void *)(ether + 1) > end)
		return false;
	if (ether->h_proto == bpf_htons(ETH_P_IP))
		good = read_v4((const void *)(ether + 1), end, ret);
	else if (ether->h_proto == bpf_htons(ETH_P_IPV6))
		good = read_v6((const void *)(ether + 1), end, ret);
	else
		return false;
	return good && (uint64_t)(end - (const void *)ether) == XDP_ETHER_SIZE + ret->ip_size + ret->udp_size;
}

static __always_inline struct xdp_entry *find(uint64_t path_id)
{
	uint64_t hash = xdp_hash(control.hash_key, path_id);
	const volatile uint32_t *slots = buckets[xdp_bucket(hash) % XDP_BUCKETS];
	uint32_t tag = xdp_tag(hash);

#pragma unroll
	for (int i = 0; i < XDP_BUCKET_SLOTS; i++) {
		uint32_t slot = slots[i];

		if (slot >> 16 == tag && entries[slot % XDP_ENTRIES].copy.flow.path_id == path_id)
			return &entries[slot % XDP_ENTRIES];
	}
	return 0;
}

/* Rare ones only are counted: datagrams that are forwarded count in their flow. */
static __always_inline int refuse(enum xdp_reason reason)
{
	__sync_fetch_and_add(&control.counts[reason], 1);
	return reason == XDP_REASON_RATE ? XDP_DROP : XDP_PASS;
}

/* Did it come by the way that leads back to its leg, to the address that the leg knows? */
static __always_inline bool came_by(const struct xdp_md *ctx, const struct xdp_way *way, const struct relay_leg *leg,
				    const struct packet *packet)
{
	const uint16_t *mac = (const void *)(long)ctx->data, *ours = way->local_mac;

	if ((const void *)(mac + XDP_ETHER_SIZE / 2) > (const void *)(long)ctx->data_end)
		return false;
	return mac[0] == ours[0] && mac[1] == ours[1] && mac[2] == ours[2] && ctx->ingress_ifindex == way->ifindex &&
	       relay_endpoint_equal(&leg->remote_local, &packet->dst);
}

static __always_inline void write_v4(struct iphdr *ip, const struct relay_leg *to, const struct xdp_way *way,
				     uint16_t udp_size)
{
	uint16_t size = bpf_htons(sizeof(*ip) + udp_size);

	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = size,
		.frag_off = bpf_htons(0x4000),
		.ttl = XDP_HOPS,
		.protocol = IPPROTO_UDP,
		.check = (uint16_t)~xdp_fold(way->header_sum + size),
	};
	__builtin_memcpy(&ip->saddr, to->remote_local.ip, 4);
	__builtin_memcpy(&ip->daddr, to->remote.ip, 4);
}

static __always_inline void write_v6(struct ipv6hdr *ip, const struct relay_leg *to, uint16_t udp_size)
{
	*ip = (struct ipv6hdr){
		.version = 6,
		.payload_len = bpf_htons(udp_size),
		.nexthdr = IPPROTO_UDP,
		.hop_limit = XDP_HOPS,
	};
	__builtin_memcpy(&ip->saddr, to->remote_local.ip, 16);
	__builtin_memcpy(&ip->daddr, to->remote.ip, 16);
}

static __always_inline void write_macs(uint16_t *macs, const struct xdp_way *way)
{
	for (unsigned i = 0; i < 3; i++) {
		macs[i] = way->remote_mac[i];
		macs[3 + i] = way->local_mac[i];
	}
}

/* Ethernet and IP anew, as a socket here would write them; of UDP the ports and what they change in the checksum. */
static __always_inline bool write_frame(struct xdp_md *ctx, const struct packet *packet, const struct relay_leg *to,
					const struct xdp_way *way)
{
	int ip_size = to->remote.family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	int grows = ip_size - (int)packet->ip_size;
	uint8_t *frame, *end;
	struct ethhdr *ether;
	struct udphdr *udp;

	if (grows != 0 && bpf_xdp_adjust_head(ctx, -grows) != 0)
		return false;
	frame = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ether = (struct ethhdr *)frame;
	if (to->remote.family == 4) {
		udp = (struct udphdr *)(frame + XDP_ETHER_SIZE + sizeof(struct iphdr));
		if ((uint8_t *)(udp + 1) > end)
			return false;
		ether->h_proto = bpf_htons(ETH_P_IP);
		write_v4((struct iphdr *)(ether + 1), to, way, packet->udp_size);
	} else {
		udp = (struct udphdr *)(frame + XDP_ETHER_SIZE + sizeof(struct ipv6hdr));
		if ((uint8_t *)(udp + 1) > end)
			return false;
		ether->h_proto = bpf_htons(ETH_P_IPV6);
		write_v6((struct ipv6hdr *)(ether + 1), to, packet->udp_size);
	}
	write_macs((uint16_t *)(void *)frame, way);
	udp->source = bpf_htons(to->remote_local.port);
	udp->dest = bpf_htons(to->remote.port);
	udp->check = xdp_checksum_changed(packet->checksum, way->change);
	return true;
}

/* What is judged before anything of the flow changes; XDP_REASONS: nothing to say against it. */
static __always_inline enum xdp_reason examine(const struct xdp_md *ctx, struct xdp_entry *entry, unsigned from,
					       const struct packet *packet)
{
	const struct relay_leg *legs = entry->copy.flow.legs;
	const struct relay_leg *to = &legs[1 - from];
	struct xdp_way *out = &entry->ways[1 - from];

	if (!came_by(ctx, &entry->ways[from], &legs[from], packet))
		return XDP_REASON_WAY;
	if (packet->checksum == 0 ||
	    xdp_checksum_is_unfinished(packet->checksum, entry->ways[from].pseudo_sum, packet->udp_size_sent))
		return XDP_REASON_CHECKSUM;
	if ((to->remote.family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) + packet->udp_size > out->mtu)
		return XDP_REASON_SIZE;
	if (out->sample) {
		out->sample = 0;
		return XDP_REASON_SAMPLE;
	}
	return XDP_REASONS;
}

static __always_inline int forward(struct xdp_md *ctx, struct xdp_entry *entry, unsigned from,
				   const struct packet *packet, int64_t now_us)
{
	struct relay_flow *flow = &entry->copy.flow;
	const struct relay_endpoint *remote, *local;
	enum xdp_reason reason = examine(ctx, entry, from, packet);

	if (reason != XDP_REASONS)
		return refuse(reason);
	switch (relay_flow_forward_from(flow, &flow->legs[from], true, 1, packet->udp_size - XDP_UDP_SIZE, now_us,
					&remote, &local)) {
	case RELAY_FORWARD: break;
	case RELAY_DROP_RATE: __sync_fetch_and_add(&entry->copy.dropped_rate, 1); return refuse(XDP_REASON_RATE);
	case RELAY_DROP_CAP: return refuse(XDP_REASON_CAP);
	default: return refuse(XDP_REASON_UNBOUND);
	}
	if (!write_frame(ctx, packet, &flow->legs[1 - from], &entry->ways[1 - from]))
		return XDP_DROP;
	if (entry->ways[1 - from].ifindex == ctx->ingress_ifindex && !control.redirects)
		return XDP_TX;
	return bpf_redirect(entry->ways[1 - from].ifindex, 0);
}

/* Anything that is not surely a datagram of an installed flow is not looked at any further. */
SEC("xdp") int relay(struct xdp_md *ctx)
{
	struct packet packet;
	struct xdp_entry *entry;
	struct relay_leg *from;
	int64_t now_us;
	bool proven;

	if (!read_frame(ctx, &packet))
		return XDP_PASS;
	entry = find(packet.path_id);
	if (!entry)
		return XDP_PASS;
	now_us = (int64_t)(bpf_ktime_get_coarse_ns() / 1000) + control.clock_offset_us;
	if (now_us >= entry->copy.until_us)
		return refuse(XDP_REASON_LEASE);
	from = relay_flow_leg_at(&entry->copy.flow, &packet.src, now_us, &proven);
	if (!from || !proven)
		return refuse(XDP_REASON_SOURCE);
	return from == &entry->copy.flow.legs[0] ? forward(ctx, entry, 0, &packet, now_us)
						 : forward(ctx, entry, 1, &packet, now_us);
}

/* Sends back whatever it gets: only the loader runs it, to see whether frames get out that way. */
SEC("xdp") int reflect(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_TX;
}

char terms[] SEC("license") = "Apache-2.0";
