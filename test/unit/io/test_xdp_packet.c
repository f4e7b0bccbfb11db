/*
 * The same datagrams through the relay in the kernel, one by one by BPF_PROG_RUN, and through the machine. What the
 * kernel forwards is what the machine forwards: same place, same bytes, sound headers and checksums. What it does not
 * surely understand it passes on untouched, and then the machine's word holds, which stands in the table too.
 *
 * Skipped, with the reason, where this process may not load BPF.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/xdp/table.h"
#include "test/unit/relay/fixture.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include <relay.skel.h>

enum { PATH = 7, FRAME_MAX = 2048, LOOPBACK = 1, OTHER = 2, MTU = 1500, EXIT_SKIP = 77 };
enum verdict { DROP = 1, PASS = 2, BACK = 3, ACROSS = 4 }; /* enum xdp_action */

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, their_mac[6] = {2, 0, 0, 0, 0, 0x99};

/* A relay with one pair in the table, and one frame. */
struct world {
	struct fixture f;
	struct xdp_relay *program;
	struct xdp_table table;
	struct xdp_entry *entry;
	struct leg legs[2];
	struct addr places[2];
	uint8_t payload[FRAME_MAX], frame[FRAME_MAX], out[FRAME_MAX];
	size_t size, frame_size, out_size;
};

struct packet_case {
	const char *name;
	uint8_t from, to; /* families */
	size_t size;	  /* of the datagram */
	enum verdict verdict;
	enum err err;			 /* the machine's word */
	int reason;			 /* enum xdp_reason that is counted; -1: none */
	void (*edit)(struct world *w);	 /* of flow, entry or frame, once all is there */
	void (*before)(struct world *w); /* of the payload, before the frame is made */
};

static struct relay_copy *install(void *ctx, const struct relay_flow *flow, struct time_us now, struct time_us until)
{
	struct xdp_way way = {.ifindex = LOOPBACK, .mtu = MTU};
	struct world *w = ctx;

	memcpy(way.local_mac, our_mac, 6);
	memcpy(way.remote_mac, their_mac, 6);
	w->entry = xdp_table_put(&w->table, flow, (struct xdp_way[2]){way, way}, now, until);
	assert_non_null(w->entry);
	return &w->entry->copy;
}

static bool renew(void *ctx, struct relay_copy *copy, struct time_us until)
{
	(void)ctx;
	copy->until_us = until.us;
	return true;
}

static void take_away(void *ctx, struct relay_copy *copy, struct time_us now)
{
	struct world *w = ctx;

	xdp_table_remove(&w->table, (struct xdp_entry *)(void *)copy, now);
	w->entry = NULL;
}

/* From now on the kernel's clock reads what the machine's does. */
static void set_clock(struct world *w)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	w->program->bss->control.clock_offset_us = w->f.now.us - (t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000);
}

/* No two differ in one byte only. */
static struct addr place(uint8_t family, uint8_t host)
{
	uint16_t port = (uint16_t)(1000 + host);
	struct addr addr = {.ip = {.family = 6, .bytes = {0x20, 0x01, 0x0d, 0xb8, 0xff, [15] = host}}, .port = port};

	return family == 4 ? place_addr(host, port) : addr;
}

static const struct addr *ours(const struct addr *theirs)
{
	return theirs->ip.family == 4 ? &relay_addr : &relay_addr6;
}

static void world_init(struct world *w, struct xdp_relay *program, const struct packet_case *c)
{
	struct relay_config config = {.wall_s = 1000000};
	struct relay_express express = {.ctx = w, .install = install, .renew = renew, .remove = take_away};
	uint8_t packet[100];

	*w = (struct world){.program = program, .places = {place(c->from, 1), place(c->to, 2)}, .size = c->size};
	xdp_table_init(&w->table, program->bss->buckets, program->bss->entries, &program->bss->control, 0x9e3779b9);
	program->bss->control.port = relay_addr.port;
	program->bss->control.redirects = 0;
	fixture_init_express(&w->f, &config, &express);
	fixture_bind_at(&w->f, PATH, w->legs, w->places);
	make_sealed(packet, sizeof(packet), PATH, 0);
	assert_int_equal(fixture_send(&w->f, &w->places[0], packet, sizeof(packet), 0), OK);
	assert_non_null(w->entry);
	w->entry->copy.until_us = INT64_MAX;
	set_clock(w);
	make_sealed(w->payload, w->size, PATH, 1);
}

static void world_finish(struct world *w)
{
	fixture_finish(&w->f);
	xdp_table_finish(&w->table);
}

static uint32_t sum_words(const void *bytes, size_t size, uint32_t sum)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

/* Of the whole datagram, with its pseudo header: 0xffff when the checksum in it is right. */
static uint16_t sum_udp(const struct addr *src, const struct addr *dst, const struct udphdr *udp, size_t udp_size)
{
	uint32_t sum = sum_words(src->ip.bytes, 16, sum_words(dst->ip.bytes, 16, IPPROTO_UDP + (uint32_t)udp_size));

	return (uint16_t)xdp_fold(sum_words(udp, udp_size, sum));
}

static size_t make_ip(uint8_t *at, const struct addr *src, const struct addr *dst, size_t udp_size)
{
	struct iphdr v4 = {
		.version = 4, .ihl = 5, .tot_len = htons((uint16_t)(20 + udp_size)), .ttl = 3, .protocol = IPPROTO_UDP};
	struct ipv6hdr v6 = {
		.version = 6, .payload_len = htons((uint16_t)udp_size), .nexthdr = IPPROTO_UDP, .hop_limit = 3};

	if (src->ip.family == 6) {
		memcpy(&v6.saddr, src->ip.bytes, 16);
		memcpy(&v6.daddr, dst->ip.bytes, 16);
		memcpy(at, &v6, sizeof(v6));
		return sizeof(v6);
	}
	memcpy(&v4.saddr, src->ip.bytes, 4);
	memcpy(&v4.daddr, dst->ip.bytes, 4);
	v4.check = htons((uint16_t)~xdp_fold(sum_words(&v4, sizeof(v4), 0)));
	memcpy(at, &v4, sizeof(v4));
	return sizeof(v4);
}

/* As leg 0's kernel would send it. */
static void make_frame(struct world *w, const struct addr *src, const struct addr *dst)
{
	struct udphdr udp = {htons(src->port), htons(dst->port), htons((uint16_t)(8 + w->size)), 0};
	uint8_t *at = w->frame;
	uint16_t sum;

	memcpy(at, our_mac, 6);
	memcpy(at + 6, their_mac, 6);
	at[12] = src->ip.family == 4 ? 0x08 : 0x86;
	at[13] = src->ip.family == 4 ? 0x00 : 0xdd;
	at += ETH_HLEN;
	at += make_ip(at, src, dst, 8 + w->size);
	memcpy(at + 8, w->payload, w->size);
	memcpy(at, &udp, 8);
	sum = (uint16_t)~sum_udp(src, dst, (struct udphdr *)(void *)at, 8 + w->size);
	udp.check = htons(sum ? sum : 0xffff);
	memcpy(at, &udp, 8);
	w->frame_size = (size_t)(at - w->frame) + 8 + w->size;
}

static struct udphdr *udp_in(uint8_t *frame)
{
	return (struct udphdr *)(void *)(frame + ETH_HLEN + (frame[12] == 0x08 ? 20 : 40));
}

static enum verdict run_kernel(struct world *w)
{
	struct bpf_test_run_opts options = {.sz = sizeof(options),
					    .data_in = w->frame,
					    .data_size_in = (uint32_t)w->frame_size,
					    .data_out = w->out,
					    .data_size_out = sizeof(w->out),
					    .repeat = 1};

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(w->program->progs.relay), &options), 0);
	w->out_size = options.data_size_out;
	return (enum verdict)options.retval;
}

/* What left the kernel is what the machine would have sent there. */
static void assert_forwarded(struct world *w)
{
	const struct addr *to = &w->places[1], *from = ours(to);
	size_t ip_size = to->ip.family == 4 ? 20 : 40, udp_size = 8 + w->size;
	uint8_t wanted[40], *ip = w->out + ETH_HLEN;
	struct udphdr *udp = udp_in(w->out);

	assert_int_equal(w->out_size, ETH_HLEN + ip_size + udp_size);
	assert_memory_equal(w->out, their_mac, 6);
	assert_memory_equal(w->out + 6, our_mac, 6);
	assert_int_equal(w->out[12], to->ip.family == 4 ? 0x08 : 0x86);
	assert_int_equal(make_ip(wanted, from, to, udp_size), ip_size);
	if (to->ip.family == 4) {
		assert_int_equal(xdp_fold(sum_words(ip, 20, 0)), 0xffff);
		assert_int_equal(ip[8], XDP_HOPS);
		assert_memory_equal(ip, wanted, 4);
		assert_memory_equal(ip + 12, wanted + 12, 8);
	} else {
		assert_int_equal(ip[7], XDP_HOPS);
		assert_memory_equal(ip, wanted, 7);
		assert_memory_equal(ip + 8, wanted + 8, 32);
	}
	assert_int_equal(ntohs(udp->source), from->port);
	assert_int_equal(ntohs(udp->dest), to->port);
	assert_int_equal(ntohs(udp->len), udp_size);
	assert_int_not_equal(udp->check, 0);
	assert_int_equal(sum_udp(from, to, udp, udp_size), 0xffff);
	assert_memory_equal(udp + 1, w->payload, w->size);
}

/* The machine's word, with the pair as the kernel left it. */
static void run_machine(struct world *w, const struct packet_case *c)
{
	assert_int_equal(fixture_send(&w->f, &w->places[0], w->payload, w->size, 0), c->err);
	if (c->err != OK)
		return;
	assert_int_equal(w->f.out_count, 1);
	assert_true(addr_equal(&w->f.out[0].route.remote, &w->places[1]));
	assert_true(addr_equal(&w->f.out[0].route.local, ours(&w->places[1])));
	assert_int_equal(w->f.out[0].size, w->size);
	assert_memory_equal(w->f.out[0].bytes, w->payload, w->size);
}

static void edit_type(struct world *w)
{
	w->payload[0] = PACKET_TUNNEL_REQUEST;
}

static void edit_path(struct world *w)
{
	w->payload[15]++;
}

static void edit_source(struct world *w)
{
	w->places[0].ip.bytes[3] += 100;
	make_frame(w, &w->places[0], ours(&w->places[0]));
}

static void edit_source_port(struct world *w)
{
	w->places[0].port++;
	make_frame(w, &w->places[0], ours(&w->places[0]));
}

static void edit_destination(struct world *w)
{
	struct addr dst = *ours(&w->places[0]);

	dst.ip.bytes[3]++;
	make_frame(w, &w->places[0], &dst);
}

static void edit_destination_port(struct world *w)
{
	struct addr dst = *ours(&w->places[0]);

	dst.port++;
	make_frame(w, &w->places[0], &dst);
}

static void edit_no_checksum(struct world *w)
{
	udp_in(w->frame)->check = 0;
}

/* As it leaves a socket when a card is to finish it. */
static void edit_unfinished_checksum(struct world *w)
{
	struct udphdr *udp = udp_in(w->frame);
	const struct addr *src = &w->places[0];
	uint32_t sum = sum_words(src->ip.bytes, 16, sum_words(ours(src)->ip.bytes, 16, IPPROTO_UDP + ntohs(udp->len)));

	udp->check = htons((uint16_t)xdp_fold(sum));
}

static void edit_options(struct world *w)
{
	w->frame[ETH_HLEN] = 0x46;
}

static void edit_first_fragment(struct world *w)
{
	w->frame[ETH_HLEN + 6] = 0x20;
}

static void edit_later_fragment(struct world *w)
{
	w->frame[ETH_HLEN + 7] = 8;
}

static void edit_extension(struct world *w)
{
	w->frame[ETH_HLEN + 6] = IPPROTO_DSTOPTS;
}

static void edit_protocol(struct world *w)
{
	w->frame[ETH_HLEN + 9] = IPPROTO_TCP;
}

static void edit_vlan(struct world *w)
{
	memmove(w->frame + 16, w->frame + 12, w->frame_size - 12);
	memcpy(w->frame + 12, (uint8_t[]){0x81, 0x00, 0x00, 0x05}, 4);
	w->frame_size += 4;
}

static void edit_trailing(struct world *w)
{
	w->frame_size++;
}

static void edit_truncated(struct world *w)
{
	w->frame_size--;
}

static void edit_longer_than_said(struct world *w)
{
	udp_in(w->frame)->len = htons(ntohs(udp_in(w->frame)->len) + 1);
}

static void edit_mac(struct world *w)
{
	w->frame[5]++;
}

static void edit_came_elsewhere(struct world *w)
{
	w->entry->ways[0].ifindex = OTHER;
}

static void edit_leaves_elsewhere(struct world *w)
{
	w->entry->ways[1].ifindex = OTHER;
}

static void edit_redirects(struct world *w)
{
	w->program->bss->control.redirects = 1;
}

static void edit_lease(struct world *w)
{
	w->entry->copy.until_us = w->f.now.us;
}

static void edit_silent_peer(struct world *w)
{
	w->entry->copy.flow.legs[1].heard_us = w->f.now.us - LEG_IDLE_US;
	w->entry->copy.flow.legs[0].heard_us = w->f.now.us;
}

static void edit_silent_sender(struct world *w)
{
	w->entry->copy.flow.legs[0].heard_us = w->f.now.us - LEG_IDLE_US;
}

static void edit_rate(struct world *w)
{
	w->entry->copy.flow.rate_kbps = 8;
	w->entry->copy.flow.burst_us = 100000;
	w->entry->copy.flow.legs[0].bucket_ns = (w->f.now.us + 3600 * USEC_PER_SEC) * 1000;
}

static void edit_cap(struct world *w)
{
	w->entry->copy.flow.bytes_left = w->size - 1;
}

static void edit_exact_cap(struct world *w)
{
	w->entry->copy.flow.bytes_left = w->size;
}

static void edit_sample(struct world *w)
{
	w->entry->ways[1].sample = 1;
}

static void edit_narrow(struct world *w)
{
	w->entry->ways[1].mtu = (uint16_t)(20 + 8 + w->size - 1);
}

/* A Bind of the next generation: the machine has a candidate, and takes the pair back. */
static void edit_moving(struct world *w)
{
	struct addr elsewhere = place(w->places[0].ip.family, 9);
	uint8_t bytes[LEG_DATAGRAM_MAX];
	size_t size;

	leg_move(&w->legs[0], w->f.now);
	assert_true(leg_output(&w->legs[0], w->f.now, bytes, &size));
	assert_int_equal(fixture_send(&w->f, &elsewhere, bytes, size, 0), OK);
	assert_null(w->entry);
}

static void edit_moved_away(struct world *w)
{
	edit_moving(w);
	assert_int_equal(leg_input(&w->legs[0], w->f.now, w->f.out[0].bytes, w->f.out[0].size), OK);
	w->places[0] = place(w->places[0].ip.family, 9);
	fixture_run_leg(&w->f, &w->legs[0], &w->places[0]);
	assert_true(leg_is_bound(&w->legs[0]));
	assert_int_equal(fixture_send(&w->f, &w->places[0], w->payload, w->size, 0), OK);
	assert_non_null(w->entry);
	w->entry->copy.until_us = INT64_MAX;
}

static void edit_moved(struct world *w)
{
	edit_moved_away(w);
	make_frame(w, &w->places[0], ours(&w->places[0]));
}

/* The frame is from the old address still. */
static void edit_moved_old(struct world *w)
{
	struct addr old = w->places[0];

	edit_moved_away(w);
	w->places[0] = old;
}

static const struct packet_case cases[] = {
	{"IPv4", 4, 4, 100, BACK, OK, -1},
	{"IPv4, odd", 4, 4, 33, BACK, OK, -1},
	{"IPv4, the least", 4, 4, 32, BACK, OK, -1},
	{"IPv4, the most", 4, 4, MTU - 28, BACK, OK, -1},
	{"IPv6", 6, 6, 100, BACK, OK, -1},
	{"IPv6, odd", 6, 6, 1399, BACK, OK, -1},
	{"IPv6, the most", 6, 6, MTU - 48, BACK, OK, -1},
	{"IPv4 to IPv6", 4, 6, 100, BACK, OK, -1},
	{"IPv4 to IPv6, odd", 4, 6, 1401, BACK, OK, -1},
	{"IPv6 to IPv4", 6, 4, 100, BACK, OK, -1},
	{"IPv6 to IPv4, odd", 6, 4, 1401, BACK, OK, -1},
	{"to another interface", 4, 4, 100, ACROSS, OK, -1, edit_leaves_elsewhere},
	{"to another interface and family", 6, 4, 100, ACROSS, OK, -1, edit_leaves_elsewhere},
	{"back to where it came from, on a veth", 4, 4, 100, ACROSS, OK, -1, edit_redirects},
	{"a handshake", 4, 4, 100, PASS, OK, -1, NULL, edit_type},
	{"of no pair", 4, 4, 100, PASS, ERR_UNKNOWN, -1, NULL, edit_path},
	{"from elsewhere", 4, 4, 100, PASS, ERR_DENIED, XDP_REASON_SOURCE, edit_source},
	{"from elsewhere, IPv6", 6, 4, 100, PASS, ERR_DENIED, XDP_REASON_SOURCE, edit_source},
	{"from another port", 4, 4, 100, PASS, ERR_DENIED, XDP_REASON_SOURCE, edit_source_port},
	{"to another address", 4, 4, 100, PASS, OK, XDP_REASON_WAY, edit_destination},
	{"to another address, IPv6", 6, 6, 100, PASS, OK, XDP_REASON_WAY, edit_destination},
	{"to another port", 4, 4, 100, PASS, OK, -1, edit_destination_port},
	{"to another MAC", 4, 4, 100, PASS, OK, XDP_REASON_WAY, edit_mac},
	{"by another interface", 4, 4, 100, PASS, OK, XDP_REASON_WAY, edit_came_elsewhere},
	{"without a checksum", 4, 4, 100, PASS, OK, XDP_REASON_CHECKSUM, edit_no_checksum},
	{"with an unfinished checksum", 4, 4, 100, PASS, OK, XDP_REASON_CHECKSUM, edit_unfinished_checksum},
	{"with an unfinished checksum, IPv6", 6, 4, 1401, PASS, OK, XDP_REASON_CHECKSUM, edit_unfinished_checksum},
	{"IP options", 4, 4, 100, PASS, OK, -1, edit_options},
	{"a first fragment", 4, 4, 100, PASS, OK, -1, edit_first_fragment},
	{"a later fragment", 4, 4, 100, PASS, OK, -1, edit_later_fragment},
	{"an extension header", 6, 6, 100, PASS, OK, -1, edit_extension},
	{"not UDP", 4, 4, 100, PASS, OK, -1, edit_protocol},
	{"a VLAN", 4, 4, 100, PASS, OK, -1, edit_vlan},
	{"bytes behind it", 4, 4, 100, PASS, OK, -1, edit_trailing},
	{"not all of it", 4, 4, 100, PASS, OK, -1, edit_truncated},
	{"lengths that differ", 4, 4, 100, PASS, OK, -1, edit_longer_than_said},
	{"shorter than a header", 4, 4, 15, PASS, ERR_TRUNCATED, -1},
	{"too large for the other leg's interface", 4, 4, 100, PASS, OK, XDP_REASON_SIZE, edit_narrow},
	{"too large for the other family", 4, 6, MTU - 28, PASS, OK, XDP_REASON_SIZE},
	{"not looked after", 4, 4, 100, PASS, OK, XDP_REASON_LEASE, edit_lease},
	{"the other leg is silent", 4, 4, 100, PASS, OK, XDP_REASON_UNBOUND, edit_silent_peer},
	{"its own leg was silent", 4, 4, 100, PASS, OK, XDP_REASON_SOURCE, edit_silent_sender},
	{"over the rate", 4, 4, 100, DROP, OK, XDP_REASON_RATE, edit_rate},
	{"over what was lent of the cap", 4, 4, 100, PASS, OK, XDP_REASON_CAP, edit_cap},
	{"the last of what was lent", 4, 4, 100, BACK, OK, -1, edit_exact_cap},
	{"a sample", 4, 4, 100, PASS, OK, XDP_REASON_SAMPLE, edit_sample},
	{"its leg is moving", 4, 4, 100, PASS, OK, -1, edit_moving},
	{"its leg has moved", 4, 4, 100, BACK, OK, -1, edit_moved},
	{"its leg has moved away", 4, 4, 100, PASS, ERR_DENIED, XDP_REASON_SOURCE, edit_moved_old},
};

static struct xdp_relay *program;

static void run_case(const struct packet_case *c)
{
	static struct world w;
	uint64_t counts[XDP_REASONS], packets;

	world_init(&w, program, c);
	if (c->before)
		c->before(&w);
	make_frame(&w, &w.places[0], ours(&w.places[0]));
	if (c->edit)
		c->edit(&w);
	memcpy(counts, program->bss->control.counts, sizeof(counts));
	packets = w.entry ? w.entry->copy.flow.legs[0].packets : 0;
	assert_int_equal(run_kernel(&w), c->verdict);
	if (c->verdict == BACK || c->verdict == ACROSS) {
		assert_forwarded(&w);
		packets++;
	} else {
		assert_int_equal(w.out_size, w.frame_size);
		assert_memory_equal(w.out, w.frame, w.frame_size);
	}
	if (w.entry)
		assert_int_equal(w.entry->copy.flow.legs[0].packets, packets);
	for (int i = 0; i < XDP_REASONS; i++)
		assert_int_equal(program->bss->control.counts[i] - counts[i], i == c->reason);
	if (c->verdict != DROP)
		run_machine(&w, c);
	world_finish(&w);
}

static void test_each_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		print_message("           %s\n", cases[i].name);
		run_case(&cases[i]);
	}
}

/* The kernel takes for sealed what the machine does. */
static void test_types(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++)
		if (type & XDP_SEALED)
			assert_true(packet_is_end_to_end((uint8_t)type));
	assert_int_equal(XDP_SEALED, PACKET_SEALED);
	assert_int_equal(XDP_HEADER_SIZE, HEADER_SIZE);
}

/* Sums for all endings, and what becomes of 0. */
static void test_checksums_of_any_content(void **state)
{
	static const struct packet_case c = {"any", 6, 4, 64, BACK, OK, -1};
	static struct world w;

	(void)state;
	world_init(&w, program, &c);
	for (unsigned i = 0; i < 4000; i++) {
		w.payload[20] = (uint8_t)(i * 37);
		w.payload[21] = (uint8_t)(i * 37 >> 8);
		make_frame(&w, &w.places[0], ours(&w.places[0]));
		if (udp_in(w.frame)->check == 0xffff)
			continue; /* 0 or 0xffff: a socket writes the latter, for both */
		assert_int_equal(run_kernel(&w), BACK);
		assert_forwarded(&w);
	}
	world_finish(&w);
}

/* Must the kernel pass a frame with these bits of this byte flipped? The rest is no business of a relay's. */
static bool matters(const struct world *w, size_t at, uint8_t flip)
{
	/* The beginnings of the headers; of what follows there every bit does. */
	static const uint8_t v4[12] = {0xff, 0, 0xff, 0xff, 0, 0, 0x3f, 0xff, 0, 0xff, 0, 0};
	static const uint8_t v6[8] = {0xf0, 0, 0, 0, 0xff, 0xff, 0xff, 0};
	static const uint8_t udp[8 + 8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, XDP_SEALED};
	bool is_v4 = w->places[0].ip.family == 4;
	size_t ip_size = is_v4 ? 20 : 40;

	if (at < ETH_HLEN)
		return at < 6 || at >= 12;
	at -= ETH_HLEN;
	if (at < ip_size)
		return is_v4 ? at >= sizeof(v4) || flip & v4[at] : at >= sizeof(v6) || flip & v6[at];
	at -= ip_size;
	return at < sizeof(udp) ? flip & udp[at] : at < 8 + XDP_HEADER_SIZE;
}

/* Each byte of a frame changed into each other one. */
static void damage_each_byte(const struct packet_case *c)
{
	static struct world w;
	enum verdict verdict;
	size_t checksum;

	world_init(&w, program, c);
	make_frame(&w, &w.places[0], ours(&w.places[0]));
	checksum = (size_t)((uint8_t *)&udp_in(w.frame)->check - w.frame);
	for (size_t at = 0; at < w.frame_size; at++)
		for (unsigned flip = 1; flip < 256; flip++) {
			w.frame[at] ^= (uint8_t)flip;
			verdict = run_kernel(&w);
			if (matters(&w, at, (uint8_t)flip))
				assert_int_equal(verdict, PASS);
			else if (at / 2 != checksum / 2) /* one that is 0 or looks unfinished passes */
				assert_int_equal(verdict, BACK);
			if (verdict == PASS)
				assert_memory_equal(w.out, w.frame, w.frame_size);
			w.frame[at] ^= (uint8_t)flip;
		}
	world_finish(&w);
}

static void test_each_byte_damaged(void **state)
{
	static const struct packet_case v4 = {"IPv4", 4, 4, 48, BACK, OK, -1}, v6 = {"IPv6", 6, 6, 48, BACK, OK, -1};

	(void)state;
	damage_each_byte(&v4);
	damage_each_byte(&v6);
}

/* Many pairs at once, each found; what is removed is not found, and its place not used again too soon. */
static void test_many_flows(void **state)
{
	struct xdp_way ways[2] = {{.ifindex = LOOPBACK, .mtu = MTU}, {.ifindex = LOOPBACK, .mtu = MTU}};
	static struct xdp_entry *entries[XDP_ENTRIES];
	struct xdp_table table;
	struct time_us now = {0};
	unsigned installed = 0;

	(void)state;
	xdp_table_init(&table, program->bss->buckets, program->bss->entries, &program->bss->control,
		       0x1234567812345677);
	for (uint64_t i = 0; i < XDP_ENTRIES; i++) {
		struct relay_flow flow = {.path_id = i * UINT64_C(0x0101010101010101)};

		entries[i] = xdp_table_put(&table, &flow, ways, now, TIME_NEVER);
		installed += entries[i] != NULL;
	}
	assert_true(installed > XDP_ENTRIES * 97 / 100); /* the rest found its bucket full */
	for (uint64_t i = 0; i < XDP_ENTRIES; i++)
		if (entries[i]) {
			assert_int_equal(entries[i]->copy.flow.path_id, i * UINT64_C(0x0101010101010101));
			xdp_table_remove(&table, entries[i], now);
			xdp_table_remove(&table, entries[i], now);
		}
	for (unsigned i = 0; i < XDP_BUCKETS * XDP_BUCKET_SLOTS; i++)
		assert_int_equal(program->bss->buckets[i / XDP_BUCKET_SLOTS][i % XDP_BUCKET_SLOTS], 0);
	assert_int_equal(table.free_count, XDP_ENTRIES);
	for (unsigned i = installed; i < XDP_ENTRIES; i++) /* what was never used goes first */
		assert_non_null(xdp_table_put(&table, &(struct relay_flow){.path_id = i}, ways, now, TIME_NEVER));
	assert_null(xdp_table_put(&table, &(struct relay_flow){.path_id = 1}, ways, now, TIME_NEVER));
	now.us = XDP_GRACE_US;
	assert_non_null(xdp_table_put(&table, &(struct relay_flow){.path_id = 1}, ways, now, TIME_NEVER));
	memset(program->bss->buckets, 0, sizeof(program->bss->buckets));
	xdp_table_finish(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_each_case),
		cmocka_unit_test(test_checksums_of_any_content),
		cmocka_unit_test(test_each_byte_damaged),
		cmocka_unit_test(test_many_flows),
	};
	int failed;

	libbpf_set_print(NULL);
	program = xdp_relay__open_and_load();
	if (!program) {
		fprintf(stderr, "SKIP: this process may not load BPF: %s\n", strerror(errno));
		return EXIT_SKIP;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	xdp_relay__destroy(program);
	return failed;
}
