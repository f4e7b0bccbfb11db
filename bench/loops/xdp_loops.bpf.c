/*
 * xdp_loops.bpf.c: reference R4, what a driver's hook can do with a datagram and no table: drop it, or send it back
 * where it came from. IPv4 without options; everything else passes.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct frame {
	struct ethhdr link;
	struct iphdr ip;
	struct udphdr udp;
} __attribute__((packed));

static __always_inline struct frame *datagram_of(struct xdp_md *ctx)
{
	struct frame *frame = (struct frame *)(long)ctx->data;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end || frame->link.h_proto != bpf_htons(ETH_P_IP) ||
	    frame->ip.ihl != 5 || frame->ip.protocol != IPPROTO_UDP)
		return 0;
	return frame;
}

/* What a forwarder without a table does to a datagram: the checksum stays what it is, since a sum knows no order. */
SEC("xdp") int loop_swap(struct xdp_md *ctx)
{
	struct frame *frame = datagram_of(ctx);
	unsigned char link[ETH_ALEN];
	__be32 address;
	__be16 port;

	if (!frame)
		return XDP_PASS;
	__builtin_memcpy(link, frame->link.h_dest, ETH_ALEN);
	__builtin_memcpy(frame->link.h_dest, frame->link.h_source, ETH_ALEN);
	__builtin_memcpy(frame->link.h_source, link, ETH_ALEN);
	address = frame->ip.saddr;
	frame->ip.saddr = frame->ip.daddr;
	frame->ip.daddr = address;
	port = frame->udp.source;
	frame->udp.source = frame->udp.dest;
	frame->udp.dest = port;
	return XDP_TX;
}

/* The least that can be done. */
SEC("xdp") int loop_drop(struct xdp_md *ctx)
{
	return datagram_of(ctx) ? XDP_DROP : XDP_PASS;
}

char license_name[] SEC("license") = "GPL";
