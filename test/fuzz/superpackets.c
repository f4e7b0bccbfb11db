/*
 * superpackets.c: a superpacket of either kind, cut by cut.c and joined again by join.c in another grouping, with
 * losses, repetitions and changes of order in between, against a reference that knows nothing of them: it makes each
 * segment anew from the headers' definitions, one at a time, and adds up checksums word by word. Every segment must be
 * the reference's, every packet that comes out must fall into the very packets that went in, in their order. Input: 24
 * bytes that say what two superpackets are like, then one a step (see enum step).
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/node/cut.h"
#include "proto/node/join.h"

enum { SEGMENTS_MOST = 200, FED_MOST = 1024, PAYLOAD_MOST = 40000, BUFFER = 65536, FLOWS = 2 };
enum step {
	STEP_FEED,
	STEP_DROP,
	STEP_SWAP,
	STEP_REPEAT,
	STEP_FORGED,
	STEP_FLUSH,
	STEP_OTHER_FLOW,
	STEP_CHANGED,
	STEPS
};
enum {
	IS_V6 = 1,
	IS_UDP = 2,
	MAY_FRAGMENT = 4, /* then IP identification has to survive */
	IS_FINISHED = 8,  /* no partial checksum in the superpacket */
	JOINS_UDP = 16,
	IS_PLAIN = 32, /* the consumer knows no offloads */
};

struct piece {
	uint8_t *bytes;
	size_t size;
	bool partial;
};

struct flow {
	uint8_t *super;
	size_t size, transport, header, gso_size;
	uint8_t protocol;
	struct piece pieces[SEGMENTS_MOST + 1];
	size_t count, next;
};

struct world {
	uint8_t kind, tcp_flags;
	struct flow flows[FLOWS];
	struct join join;
	struct piece fed[FED_MOST];
	size_t fed_count, expected; /* those before `expected` have come out */
	size_t packets_out;
	bool in_order;
};

struct input {
	const uint8_t *data;
	size_t size;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static uint8_t take(struct input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

static unsigned take16(struct input *in)
{
	unsigned high = take(in);

	return high << 8 | take(in);
}

static unsigned word(const uint8_t *p)
{
	return (unsigned)p[0] * 256 + p[1];
}

static void set_word(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value / 256 % 256);
	p[1] = (uint8_t)(value % 256);
}

/* ---- the reference */

static unsigned sum_up(const uint8_t *p, size_t size, unsigned sum)
{
	for (size_t i = 0; i < size; i++) {
		sum += i % 2 ? p[i] : p[i] * 256u;
		while (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

/* RFC 9293 3.1 and RFC 8200 8.1, written out. */
static unsigned reference_pseudo(const uint8_t *ip, uint8_t protocol, size_t transport_size)
{
	uint8_t tail[8] = {0};

	tail[2] = (uint8_t)(transport_size / 256);
	tail[3] = (uint8_t)(transport_size % 256);
	tail[7] = protocol;
	return ip[0] / 16 == 4 ? sum_up(tail, 8, sum_up(ip + 12, 8, 0)) : sum_up(tail, 8, sum_up(ip + 8, 32, 0));
}

static uint8_t *checksum_of(const struct flow *flow, uint8_t *ip)
{
	return ip + flow->transport + (flow->protocol == PROTOCOL_TCP ? 16 : 6);
}

/* As a receiver verifies it. */
static bool is_finished(const struct flow *flow, const uint8_t *ip, size_t size)
{
	size_t transport_size = size - flow->transport;
	unsigned pseudo = reference_pseudo(ip, flow->protocol, transport_size);

	return sum_up(ip + flow->transport, transport_size, pseudo) % 0xffff == 0 &&
	       !(flow->protocol == PROTOCOL_UDP && word(ip + flow->transport + 6) == 0);
}

/* Segment number n of a superpacket, made from nothing but its header, without checksums. */
static size_t reference_segment(const struct flow *flow, const uint8_t *super, size_t size, size_t gso_size, size_t n,
				uint8_t *ret)
{
	size_t payload = size - flow->header, first = n * gso_size;
	size_t length = payload - first > gso_size ? gso_size : payload - first;
	uint8_t *transport = ret + flow->transport;

	for (size_t i = 0; i < flow->header; i++)
		ret[i] = super[i];
	for (size_t i = 0; i < length; i++)
		ret[flow->header + i] = super[flow->header + first + i];
	if (ret[0] / 16 == 4) {
		set_word(ret + 2, flow->header + length);
		set_word(ret + 4, word(super + 4) + n);
	} else {
		set_word(ret + 4, flow->header + length - 40);
	}
	if (flow->protocol == PROTOCOL_UDP) {
		set_word(transport + 4, 8 + length);
	} else {
		size_t sequence = (size_t)word(super + flow->transport + 4) * 65536 + word(super + flow->transport + 6);

		set_word(transport + 4, (sequence + first) / 65536);
		set_word(transport + 6, sequence + first);
		if (first + length < payload) /* neither the end nor the push before the end */
			transport[13] = (uint8_t)(transport[13] & ~0x09);
		if (n > 0) /* the window was reduced once */
			transport[13] = (uint8_t)(transport[13] & ~0x80);
	}
	return flow->header + length;
}

/* ---- comparing */

/* Equal but for the checksums, which are judged by themselves; ids only where they tell anything. */
static void require_same(const struct flow *flow, const uint8_t *got, const uint8_t *wanted, size_t size, bool with_id)
{
	uint8_t *a = malloc(size), *b = malloc(size);

	memcpy(a, got, size);
	memcpy(b, wanted, size);
	if (a[0] / 16 == 4) {
		require(sum_up(a, (a[0] & 15u) * 4, 0) == 0xffff);
		memset(a + 10, 0, 2);
		memset(b + 10, 0, 2);
		if (!with_id) {
			memset(a + 4, 0, 2);
			memset(b + 4, 0, 2);
		}
	}
	memset(checksum_of(flow, a), 0, 2);
	memset(checksum_of(flow, b), 0, 2);
	require(memcmp(a, b, size) == 0);
	free(a);
	free(b);
}

/* ---- making superpackets */

/* IPv6 extension headers as real stacks send them; returns where the transport begins. */
static size_t add_extensions(uint8_t *p, uint8_t count, uint8_t protocol)
{
	static const uint8_t kinds[3] = {60, 43, 60};
	size_t at = 40;
	uint8_t *next = p + 6;

	for (uint8_t i = 0; i < count; i++) {
		size_t size = 8 + i % 2 * 8u;

		*next = i == 0 && count > 1 ? 0 : kinds[i % 3];
		memset(p + at, 0, size);
		p[at + 1] = (uint8_t)(size / 8 - 1);
		if (*next != 43) { /* PadN to the end */
			p[at + 2] = 1;
			p[at + 3] = (uint8_t)(size - 4);
		}
		next = p + at;
		at += size;
	}
	*next = protocol;
	return at;
}

static size_t make_network(uint8_t *p, struct input *in, uint8_t kind, uint8_t protocol, uint8_t extra, size_t flow)
{
	static const uint8_t ends4[8] = {198, 18, 0, 1, 198, 18, 0, 2};
	uint8_t traffic_class = take(in);
	unsigned id = take16(in);
	size_t options = extra % 11 * 4u;

	memset(p, 0, 512);
	if (kind & IS_V6) {
		p[0] = (uint8_t)(0x60 | traffic_class >> 4);
		p[1] = (uint8_t)(traffic_class << 4);
		p[7] = 64;
		p[8] = p[24] = 0xfd;
		p[23] = 1;
		p[39] = (uint8_t)(2 + flow);
		return add_extensions(p, extra % 4, protocol);
	}
	p[0] = (uint8_t)(0x40 | (20 + options) / 4);
	p[1] = traffic_class;
	set_word(p + 4, id);
	p[6] = kind & MAY_FRAGMENT ? 0 : 0x40;
	p[8] = 64;
	p[9] = protocol;
	memcpy(p + 12, ends4, 8);
	p[19] = (uint8_t)(2 + flow);
	memset(p + 20, 1, options); /* no operation */
	return 20 + options;
}

/* Lengths and sums of the whole, as a kernel hands it over. */
static void finish_super(struct flow *flow, bool is_partial)
{
	uint8_t *p = flow->super, *field = checksum_of(flow, p);

	if (p[0] / 16 == 4) {
		set_word(p + 2, flow->size);
		set_word(p + 10, 0xffff - sum_up(p, (p[0] & 15u) * 4, 0));
	} else {
		set_word(p + 4, flow->size - 40);
	}
	if (flow->protocol == PROTOCOL_UDP)
		set_word(p + flow->transport + 4, flow->size - flow->transport);
	set_word(field, is_partial ? reference_pseudo(p, flow->protocol, flow->size - flow->transport) : 0);
}

static void make_flow(struct world *w, struct input *in, struct flow *flow)
{
	uint8_t options = take(in), seed, *transport;
	size_t number = (size_t)(flow - w->flows), payload, tcp_options = options % 11 * 4u;

	flow->protocol = w->kind & IS_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
	flow->super = calloc(1, PACKET_ROOM + BUFFER + PACKET_ROOM);
	flow->super += PACKET_ROOM;
	flow->gso_size = 1 + take16(in) % 1460;
	payload = 1 + take16(in) % PAYLOAD_MOST;
	if (payload > flow->gso_size * SEGMENTS_MOST)
		payload = flow->gso_size * SEGMENTS_MOST;
	flow->transport = make_network(flow->super, in, w->kind, flow->protocol, options / 11, number);
	transport = flow->super + flow->transport;
	set_word(transport, 1000);
	set_word(transport + 2, 80 + number);
	flow->header = flow->transport + 8;
	if (flow->protocol == PROTOCOL_TCP) {
		set_word(transport + 4, take16(in));
		set_word(transport + 6, 0xff00);
		transport[12] = (uint8_t)((20 + tcp_options) / 4 * 16);
		transport[13] = w->tcp_flags;
		set_word(transport + 14, 500);
		memset(transport + 20, 1, tcp_options);
		flow->header = flow->transport + 20 + tcp_options;
	}
	flow->size = flow->header + payload;
	seed = take(in);
	for (size_t i = 0; i < payload; i++)
		flow->super[flow->header + i] = (uint8_t)(seed + i * 7 + i / 251);
	finish_super(flow, !(w->kind & IS_FINISHED));
}

/* ---- cutting */

/* Each segment is the reference's; what the peer would be sent is kept. */
static void cut_flow(struct world *w, struct flow *flow)
{
	uint8_t *original = malloc(flow->size), wanted[BUFFER], *segment;
	struct packet packet = {
		.bytes = flow->super,
		.size = flow->size,
		.gso = w->kind & IS_UDP	 ? PACKET_GSO_UDP
		       : w->kind & IS_V6 ? PACKET_GSO_TCP6
					 : PACKET_GSO_TCP4,
		.gso_size = (uint16_t)flow->gso_size,
		.header_size = (uint16_t)flow->header,
		.checksum_partial = !(w->kind & IS_FINISHED),
		.checksum_start = (uint16_t)flow->transport,
		.checksum_offset = flow->protocol == PROTOCOL_TCP ? 16 : 6,
	};
	struct inner inner;
	struct cut cut;
	size_t size;

	memcpy(original, flow->super, flow->size);
	require(inner_parse(packet.bytes, packet.size, &inner) == OK);
	require(cut_begin(&cut, &packet, &inner) == OK);
	require(cut.is_partial == (packet.checksum_partial && (!(w->kind & IS_V6) || flow->transport == 40)));
	while (cut_next(&cut, &segment, &size)) {
		struct piece *piece = &flow->pieces[flow->count];

		require(flow->count < SEGMENTS_MOST + 1);
		require(reference_segment(flow, original, flow->size, flow->gso_size, flow->count, wanted) == size);
		require_same(flow, segment, wanted, size, true);
		require(cut.is_partial || is_finished(flow, segment, size));
		*piece = (struct piece){malloc(size), size, cut.is_partial};
		memcpy(piece->bytes, segment, size);
		flow->count++;
	}
	require(flow->count == (flow->size - flow->header + flow->gso_size - 1) / flow->gso_size);
	free(original);
}

/* ---- joining */

static const struct flow *flow_of(const struct world *w, const uint8_t *ip)
{
	return &w->flows[ip[0] / 16 == 4 ? ip[19] - 2 : ip[39] - 2];
}

/* One packet that came out, or one segment of it, is the one that went in next. */
static void expect(struct world *w, const uint8_t *bytes, size_t size, bool is_joined)
{
	const struct piece *piece = &w->fed[w->expected];
	const struct flow *flow = flow_of(w, bytes);

	require(w->expected < w->fed_count && piece->size == size);
	require_same(flow, bytes, piece->bytes, size, !is_joined || (w->kind & MAY_FRAGMENT));
	if (!piece->partial && !is_joined)
		require(memcmp(bytes, piece->bytes, size) == 0);
	w->expected++;
}

/* What the kernel would do with it, by the reference. */
static void expect_packet(struct world *w, const struct packet *packet)
{
	const struct flow *flow = flow_of(w, packet->bytes);
	size_t pieces = packet->gso == PACKET_GSO_NONE
				? 1
				: (packet->size - flow->header + packet->gso_size - 1) / packet->gso_size;
	uint8_t segment[BUFFER], *copy = malloc(packet->size);
	struct inner inner;

	memcpy(copy, packet->bytes, packet->size);
	require(inner_parse(packet->bytes, packet->size, &inner) == OK && inner.total_size == packet->size);
	if (copy[0] / 16 == 4)
		require(sum_up(copy, (copy[0] & 15u) * 4, 0) == 0xffff);
	require(!(w->kind & IS_PLAIN) || (pieces == 1 && !packet->checksum_partial));
	if (packet->checksum_partial)
		require(word(checksum_of(flow, copy)) ==
				reference_pseudo(copy, flow->protocol, packet->size - flow->transport) &&
			packet->checksum_start == flow->transport && packet->header_size == flow->header);
	else
		require(is_finished(flow, copy, packet->size));
	if (packet->gso == PACKET_GSO_UDP)
		require(pieces <= JOIN_UDP_SEGMENTS_MAX &&
			word(copy + flow->transport + 4) == packet->size - flow->transport);
	for (size_t i = 0; i < pieces; i++) {
		size_t size = packet->gso == PACKET_GSO_NONE
				      ? packet->size
				      : reference_segment(flow, copy, packet->size, packet->gso_size, i, segment);

		if (packet->gso != PACKET_GSO_NONE && copy[0] / 16 == 4) {
			set_word(segment + 10, 0);
			set_word(segment + 10, 0xffff - sum_up(segment, (segment[0] & 15u) * 4, 0));
		}
		expect(w, packet->gso == PACKET_GSO_NONE ? copy : segment, size, pieces > 1);
	}
	free(copy);
}

static void flush(struct world *w)
{
	struct packet packet;

	while (join_next(&w->join, &packet)) {
		w->packets_out++;
		expect_packet(w, &packet);
	}
	require(w->expected == w->fed_count);
	join_reset(&w->join);
}

static void feed(struct world *w, const struct piece *piece)
{
	uint8_t *place = join_place(&w->join, piece->size);
	struct inner inner;

	if (w->fed_count == FED_MOST)
		return;
	if (!place) {
		flush(w);
		w->in_order = false;
		place = join_place(&w->join, piece->size);
	}
	memcpy(place, piece->bytes, piece->size);
	require(inner_parse(place, piece->size, &inner) == OK);
	w->fed[w->fed_count++] = *piece;
	join_accept(&w->join, &inner, piece->partial);
}

static void feed_forged(struct world *w, uint8_t seed)
{
	size_t size = 20 + seed * 5u;
	uint8_t *place = join_place(&w->join, size);

	if (!place)
		return;
	memset(place, seed, size);
	join_cancel(&w->join);
}

static void feed_next(struct world *w, struct flow *flow)
{
	if (flow->next < flow->count)
		feed(w, &flow->pieces[flow->next++]);
}

/* The next segment as if something had happened between two superpackets: a push, an acknowledgement, a mark. */
static void change(const struct flow *flow, uint8_t *ip, uint8_t what)
{
	uint8_t *transport = ip + flow->transport;
	bool is_tcp = flow->protocol == PROTOCOL_TCP, is_v4 = ip[0] / 16 == 4;

	switch (what % 8) {
	case 0: transport[is_tcp ? 13 : 1] |= 8; break;
	case 1: transport[is_tcp ? 11 : 1]++; break;
	case 2: transport[is_tcp ? 15 : 1]++; break;
	case 3: ip[1] ^= is_v4 ? 3 : 0x30; break;
	case 4: ip[is_v4 ? 8 : 7]--; break;
	case 5: transport[1]++; break;
	case 6: ip[flow->header - 1] ^= is_tcp && flow->header > flow->transport + 20 ? 1 : 0; break;
	default: ip[is_v4 ? 5 : 3]++; break;
	}
	if (is_v4) {
		set_word(ip + 10, 0);
		set_word(ip + 10, 0xffff - sum_up(ip, (ip[0] & 15u) * 4, 0));
	}
}

static void take_step(struct world *w, struct input *in)
{
	struct flow *flow = &w->flows[0];
	uint8_t byte = take(in);
	enum step step = byte % STEPS;

	w->in_order = w->in_order && (step == STEP_FEED || step == STEP_FORGED);
	switch (step) {
	case STEP_FEED: feed_next(w, flow); break;
	case STEP_DROP: flow->next += flow->next < flow->count; break;
	case STEP_SWAP:
		if (flow->next + 1 < flow->count) {
			feed(w, &flow->pieces[flow->next + 1]);
			feed(w, &flow->pieces[flow->next]);
			flow->next += 2;
		}
		break;
	case STEP_REPEAT:
		if (flow->next > 0)
			feed(w, &flow->pieces[flow->next - 1]);
		break;
	case STEP_FORGED: feed_forged(w, byte); break;
	case STEP_FLUSH: flush(w); break;
	case STEP_OTHER_FLOW: feed_next(w, &w->flows[1]); break;
	case STEP_CHANGED:
		if (flow->next < flow->count && flow->pieces[flow->next].partial)
			change(flow, flow->pieces[flow->next].bytes, byte / STEPS);
		feed_next(w, flow);
		break;
	case STEPS: break;
	}
}

/* What comes in order and may be joined, is: otherwise the fast path would be lost without a word. */
static void require_joined(const struct world *w)
{
	const struct flow *flow = &w->flows[0];
	bool may = !(w->kind & (IS_PLAIN | IS_FINISHED)) && flow->header <= JOIN_HEADER_MAX &&
		   flow->gso_size >= flow->header && flow->transport == (w->kind & IS_V6 ? 40 : 20) &&
		   (w->kind & IS_UDP ? w->kind & JOINS_UDP : (w->tcp_flags & 0xf6) == 0x10);
	size_t most = w->kind & IS_UDP ? JOIN_UDP_SEGMENTS_MAX : SEGMENTS_MOST + 1;

	if (w->in_order && may)
		require(w->packets_out == (flow->count + most - 1) / most);
}

static void free_world(struct world *w)
{
	for (size_t f = 0; f < FLOWS; f++) {
		for (size_t i = 0; i < w->flows[f].count; i++)
			free(w->flows[f].pieces[i].bytes);
		free(w->flows[f].super - PACKET_ROOM);
	}
	join_finish(&w->join);
	free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct world *w = calloc(1, sizeof *w);

	w->in_order = true;
	w->kind = take(&in);
	w->tcp_flags = take(&in);
	for (size_t f = 0; f < FLOWS; f++) {
		make_flow(w, &in, &w->flows[f]);
		cut_flow(w, &w->flows[f]);
	}
	join_init(&w->join, w->kind & JOINS_UDP);
	if (w->kind & IS_PLAIN)
		join_set_plain(&w->join);
	while (in.size > 0 && w->fed_count + 2 < FED_MOST)
		take_step(w, &in);
	while (w->flows[0].next < w->flows[0].count && w->fed_count < FED_MOST)
		feed_next(w, &w->flows[0]);
	flush(w);
	require_joined(w);
	free_world(w);
	return 0;
}
