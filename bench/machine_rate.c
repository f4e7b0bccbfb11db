/*
 * machine_rate.c: what the node machine costs for each datagram when no kernel is in the way: superpackets of a TCP
 * stream go into one node, the trains that come out into another, its receipts back. Time is virtual for the machines;
 * the processor's is measured, for each half by itself, and for the copy that sealing and opening each replace.
 *
 * usage: machine-rate [ROUNDS [STREAMS]]     default 20 rounds of 1,000 superpackets of one stream
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stopwatch.h"
#include "test/unit/node/lan.h"
#include "wire/inner.h"

enum {
	ROUNDS_MAX = 1000,
	SUPERPACKETS = 1000, /* a round */
	SLOTS = 8,	     /* superpackets that lie side by side, as one batch read from a TUN device */
	STREAMS_MAX = 64,
	HEADER = 40,
	SEGMENT = 1380, /* payload at an inner MTU of 1420 */
	PAYLOAD = 47 * SEGMENT,
	SLOT = PACKET_ROOM + HEADER + PAYLOAD + PACKET_ROOM,
	TURN_US = 64 /* virtual time between superpackets: 8 Gbit/s */
};

struct meter {
	uint64_t out_ns, in_ns, copy_ns, segments, packets;
};

static uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* As the kernel hands it over: headers for all of it, a checksum that is begun. */
static void fill(const struct node_status ends[2], uint8_t *slot, unsigned stream, uint32_t sequence,
		 struct packet *ret)
{
	uint8_t *p = slot + PACKET_ROOM;

	memset(p, 0, HEADER);
	p[0] = 0x45;
	put16(p + 2, HEADER + PAYLOAD);
	p[6] = 0x40;
	p[8] = 64;
	p[9] = PROTOCOL_TCP;
	memcpy(p + 12, ends[0].v4.bytes, 4);
	memcpy(p + 16, ends[1].v4.bytes, 4);
	put16(p + 20, 1000 + stream);
	put16(p + 22, 80);
	put16(p + 24, sequence >> 16);
	put16(p + 26, sequence & 0xffff);
	p[32] = 5 << 4;
	p[33] = 0x10;
	*ret = (struct packet){.bytes = p,
			       .size = HEADER + PAYLOAD,
			       .gso = PACKET_GSO_TCP4,
			       .gso_size = SEGMENT,
			       .header_size = HEADER,
			       .checksum_partial = true,
			       .checksum_start = 20,
			       .checksum_offset = 16};
}

static void deliver(struct lan *lan, int to, struct datagram *d)
{
	struct addr local = d->route.local;

	d->route.local = d->route.remote;
	d->route.remote = local.ip.family ? local : lan->nodes[1 - to].addr;
	d->route.remote.port = lan->nodes[1 - to].addr.port;
	node_input_datagram(lan->nodes[to].node, lan->now, d);
}

/* What a plain tunnel would do with it in place of sealing: the reference. */
static void copy(const uint8_t *from, uint8_t *to)
{
	for (size_t at = 0; at < PAYLOAD; at += SEGMENT) {
		memcpy(to, from, HEADER);
		memcpy(to + HEADER, from + HEADER + at, SEGMENT);
		to += HEADER + SEGMENT + 32;
	}
}

static void turn(struct lan *lan, uint8_t *slots, uint8_t *room, unsigned streams, uint32_t sequence, struct meter *m)
{
	struct packet packets[SLOTS], packet;
	struct datagram trains[64];
	struct node_status ends[2];
	size_t count = 0;
	uint64_t start;

	for (int i = 0; i < 2; i++)
		node_get_status(lan->nodes[i].node, lan->now, &ends[i]);
	for (int i = 0; i < SLOTS; i++)
		fill(ends, slots + (size_t)i * SLOT, (unsigned)i % streams,
		     (sequence + (uint32_t)i) / streams * (uint32_t)PAYLOAD, &packets[i]);
	start = cpu_ns();
	for (int i = 0; i < SLOTS; i++)
		copy(packets[i].bytes, room + (size_t)i * SLOT * 2);
	m->copy_ns += cpu_ns() - start;
	start = cpu_ns();
	for (int i = 0; i < SLOTS; i++)
		node_input_packet(lan->nodes[0].node, lan->now, &packets[i]);
	while (count < 64 && node_next_datagram(lan->nodes[0].node, &trains[count]))
		count++;
	m->out_ns += cpu_ns() - start;
	start = cpu_ns();
	for (size_t i = 0; i < count; i++) {
		deliver(lan, 1, &trains[i]);
		while (node_next_packet(lan->nodes[1].node, &packet))
			m->packets++;
	}
	m->in_ns += cpu_ns() - start;
	m->segments += (uint64_t)SLOTS * (PAYLOAD / SEGMENT);
	while (node_next_datagram(lan->nodes[1].node, &trains[0]))
		deliver(lan, 0, &trains[0]);
	lan_run(lan, TURN_US * SLOTS);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 20, streams = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
	uint8_t *slots = mem_alloc_aligned((size_t)SLOTS * SLOT), *room = mem_alloc_aligned((size_t)SLOTS * SLOT * 2);
	struct lan *lan = lan_create();
	struct meter m = {0};
	uint32_t sequence = 0;

	if (rounds < 1 || rounds > ROUNDS_MAX || streams < 1 || streams > STREAMS_MAX)
		return fprintf(stderr, "usage: machine-rate [ROUNDS [STREAMS]]\n"), 1;
	lan_plug(lan, 0, "203.0.113.1:7367");
	lan_plug(lan, 1, "203.0.113.2:7367");
	lan_run(lan, 100000);
	lan_send(lan, 0, "x", 1);
	lan_run(lan, 2 * USEC_PER_SEC);
	for (long i = 0; i < rounds * SUPERPACKETS / SLOTS; i++, sequence += SLOTS) {
		if (i == SUPERPACKETS / SLOTS)
			m = (struct meter){0}; /* the first round warms up */
		turn(lan, slots, room, (unsigned)streams, sequence, &m);
	}
	printf("ns a datagram: out %.0f, in %.0f, a copy %.0f; %.1f datagrams in each packet that comes out\n",
	       (double)m.out_ns / (double)m.segments, (double)m.in_ns / (double)m.segments,
	       (double)m.copy_ns / (double)m.segments, (double)m.segments / (double)(m.packets ? m.packets : 1));
	lan_destroy(lan);
	mem_free(slots);
	mem_free(room);
	return 0;
}
